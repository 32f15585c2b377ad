//! The taxi meter's card terminal.

use std::sync::Arc;

use card_spec::{
    purse::files::{JourneyType, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{LegMark, LineCode, Place, StationCode, Tariffs, TaxiTrip};

use super::{CardView, Offer, Reads, Seller, Site, journey, no_price, price_lines};
use crate::{code::Code, result::Refusal};

/// A taxi meter at flag-up: it knows the trip, the card pays.
#[derive(Debug, Clone)]
pub struct TaxiMeter {
    /// Operator and device.
    pub site: Site,
    /// Tariffs.
    pub tariffs: Arc<Tariffs>,
    /// Plate or meter number.
    pub vehicle: String,
    /// Metres driven.
    pub metres: u32,
    /// Seconds below the tariff's speed limit.
    pub waiting_seconds: u32,
    /// Flag down.
    pub started: CardTime,
}

impl Seller for TaxiMeter {
    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let trip = TaxiTrip {
            operator: self.site.operator.as_str().into(),
            metres: self.metres,
            low_speed_seconds: self.waiting_seconds,
            started_at: self.started,
            ended_at: at,
        };
        let quote = self.tariffs.quote_taxi(&trip).map_err(no_price)?;
        let place = Place {
            line: LineCode(0),
            station: StationCode(0),
        };
        let city = self.site.fare_city();
        let leg = LegMark::carried(card.prior(city).as_ref(), city, at);
        let (kind, mode) = (JourneyType::Single, Mode::Taxi);
        Ok(Offer {
            amount: quote.amount,
            least_balance: quote.amount,
            journey: Some(journey(
                &self.site,
                kind,
                mode,
                place,
                quote.amount,
                at,
                leg,
            )),
            metro: None,
            state: None,
            service: Service::Taxi {
                operator: self.site.operator.clone(),
                vehicle: self.vehicle.clone(),
                metres: self.metres,
                waiting_seconds: self.waiting_seconds,
                started: self.started,
            },
            code: Code::ServicePaid,
            price: price_lines(&quote),
        })
    }
}
