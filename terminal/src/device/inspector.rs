//! The inspector's hand-held 稽查终端: what a card says of this ride. Nothing is written, and
//! nothing is proved: a copied card would say the same until its next tap.

use card_spec::{
    purse::files::{JourneyType, MetroState, Mode},
    time::CardTime,
};
use fare::{LineCode, Place};

use super::{CardView, Site};
use crate::{clock, code::Code};

/// The longest ride that a tap pays for.
const RIDE_SECONDS: i64 = 2 * 3_600;

/// An inspection on one line.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Operator and device.
    pub site: Site,
    /// The bus line that is inspected; none in a metro.
    pub line: Option<LineCode>,
}

impl Inspection {
    /// Whether the card paid for being here: a tap on a bus of this line, or a metro entry of this
    /// operator without an exit, within the last two hours.
    pub fn judge(&self, at: CardTime, card: &CardView) -> Code {
        let recent = |time| (0..=RIDE_SECONDS).contains(&clock::elapsed(time, at));
        let newest = card.journeys.first().map(|journey| &journey.record);
        let bus = newest.is_some_and(|record| {
            record.kind == JourneyType::Single
                && record.mode == Mode::Bus
                && record.acquirer == self.site.acquirer()
                && Place::from_bytes(record.place)
                    .is_some_and(|place| Some(place.line) == self.line)
                && recent(record.time)
        });
        let metro = card.metro.as_ref().is_some_and(|metro| {
            let record = &metro.record;
            matches!(record.state, MetroState::In | MetroState::UpdatedIn)
                && record.entry.institution == self.site.acquirer()
                && CardTime::from_bytes(record.entry.time).is_ok_and(recent)
        });
        match bus || metro {
            true => Code::RidePaid,
            false => Code::RideUnpaid,
        }
    }
}
