//! The sale of a pass or a multi-ride ticket 月票: paid from the purse, written into the card's fare
//! state in the same transaction.

use std::sync::Arc;

use card_spec::{
    purse::files::{JourneyType, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{LegMark, LineCode, PassOrder, Place, QuoteError, StationCode, Tariffs};

use super::{CardView, Offer, Reads, Seller, Site, journey, no_price, price_lines};
use crate::{code::Code, result::Refusal};

/// One sale.
#[derive(Debug, Clone)]
pub struct PassSale {
    /// Operator and device.
    pub site: Site,
    /// Tariffs.
    pub tariffs: Arc<Tariffs>,
    /// The pass: its id in the city's contracts.
    pub pass: String,
    /// A time on its first day; of a calendar month any.
    pub from: CardTime,
}

impl Seller for PassSale {
    fn reads(&self) -> Reads {
        Reads {
            fares: Some(self.site.fare_city()),
            age: true,
            ..Reads::default()
        }
    }

    fn repeats(&self) -> bool {
        // A second pass of the kind is refused by its own rule.
        true
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let city = self.site.fare_city();
        let state = card.state(city).ok_or_else(|| {
            let why = "the card of another system keeps no passes";
            Refusal::new(Code::NoPass, why)
        })?;
        let order = PassOrder {
            city,
            pass: self.pass.clone(),
            rider: card.rider(),
            at,
            from: self.from,
            state,
        };
        let sale = self.tariffs.quote_pass(&order).map_err(refused)?;
        let place = Place {
            line: LineCode(0),
            station: StationCode(0),
        };
        let amount = sale.quote.amount;
        let leg = LegMark::carried(state.prior().as_ref(), city, at);
        let (kind, mode) = (JourneyType::Single, Mode::Bus);
        Ok(Offer {
            amount,
            least_balance: amount,
            journey: Some(journey(&self.site, kind, mode, place, amount, at, leg)),
            metro: None,
            state: Some(sale.state),
            service: Service::Pass {
                operator: self.site.operator.clone(),
                city: self.site.region,
                pass: self.pass.clone(),
                from: self.from,
                state: card.state_hex(city).unwrap_or_default(),
                age: card.age,
                kind: card.region.kind,
            },
            code: Code::PassSold,
            price: price_lines(&sale.quote),
        })
    }
}

/// What keeps this card from this pass is the holder's to know; anything else is the tariff's fault.
fn refused(error: QuoteError) -> Refusal {
    match error {
        QuoteError::PassKind(_)
        | QuoteError::PassHeld(_)
        | QuoteError::PassPlaces
        | QuoteError::TimeOrder => Refusal::new(Code::NoPass, error),
        _ => no_price(error),
    }
}
