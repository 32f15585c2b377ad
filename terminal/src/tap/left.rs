//! What a sale leaves in the card's fare memory.

use card_spec::{Channel, purse::files::Metro, time::CardTime};
use fare::{TravelError, TravelUpdate};

use crate::{
    card::purse::PurseSession,
    code::Code,
    device::{CardView, Offer},
    result::Refusal,
};

/// The updates, and what stood there before them.
pub(super) struct Left {
    pub(super) travel: Option<TravelUpdate>,
    /// Records of file 1A by number, as they were before.
    pub(super) before: Vec<(u8, [u8; Metro::LEN])>,
}

impl Left {
    /// A ride's state that found no place beside four other cities' passes is not kept.
    pub(super) fn by<C: Channel + ?Sized>(
        purse: &mut PurseSession<'_, C>,
        view: &CardView,
        offer: &Offer,
        at: CardTime,
    ) -> Result<Self, Refusal> {
        let mut fares = view.fares;
        let mut travel = None;
        if let (Some(fares), Some(after)) = (&mut fares, &offer.state) {
            let mut update = fares.update(after, at);
            if update == Err(TravelError::ReadRecord2) && fares.cities.is_none() {
                fares.cities = purse.cities()?;
                update = fares.update(after, at);
            }
            travel = match update {
                Ok(travel) => travel,
                // A pass that is sold or ridden must be written: a ride that is not counted is free.
                Err(full) if fares.passes_change(after) => {
                    return Err(Refusal::new(Code::NoPass, full));
                }
                Err(_) => None,
            };
        }
        let metro = view.metro.map(|metro| (1, metro.raw));
        let cities = fares.and_then(|fares| fares.cities);
        let cities = cities.map(|cities| (2, cities.raw));
        let before = metro.into_iter().chain(cities).collect();
        Ok(Self { travel, before })
    }
}
