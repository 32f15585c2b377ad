//! Kerb-side parking meters 泊车电子计时表 and car parks 停车场.

use std::sync::Arc;

use card_spec::{
    Fen,
    purse::files::{Journey, JourneyType, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{
    CarParkStay, LegMark, LineCode, MeterStay, ParkId, Place, StationCode, Tariffs, VehicleClass,
    ZoneClass,
};
use sha2::{Digest, Sha256};

use super::{CardView, Offer, Reads, Seller, Site, journey, no_price, price_lines};
use crate::{card::purse::JOURNEYS_MAX, code::Code, result::Refusal};

/// A kerb-side meter or its warden's hand-held at departure: it knows the arrival, the card pays.
#[derive(Debug, Clone)]
pub struct ParkingMeter {
    /// Operator and device.
    pub site: Site,
    /// Tariffs.
    pub tariffs: Arc<Tariffs>,
    /// Class of the space.
    pub class: ZoneClass,
    /// Class of the vehicle.
    pub vehicle: VehicleClass,
    /// Arrival.
    pub from: CardTime,
}

const fn vehicle_id(vehicle: VehicleClass) -> &'static str {
    match vehicle {
        VehicleClass::Small => "small",
        VehicleClass::Medium => "medium",
        VehicleClass::Large => "large",
    }
}

impl Seller for ParkingMeter {
    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let stay = MeterStay {
            operator: self.site.operator.as_str().into(),
            class: self.class.clone(),
            vehicle: self.vehicle,
            from: self.from,
            to: at,
            permit: None,
        };
        let quote = self.tariffs.quote_meter(&stay).map_err(no_price)?;
        let place = Place {
            line: LineCode(0),
            station: StationCode(0),
        };
        let city = self.site.fare_city();
        let leg = LegMark::carried(card.prior(city).as_ref(), city, at);
        let (kind, mode) = (JourneyType::Single, Mode::ParkingMeter);
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
            service: Service::ParkingMeter {
                operator: self.site.operator.clone(),
                class: self.class.as_str().to_owned(),
                vehicle: vehicle_id(self.vehicle).to_owned(),
                from: self.from,
            },
            code: Code::ServicePaid,
            price: price_lines(&quote),
        })
    }
}

/// One car park of an operator.
#[derive(Debug, Clone)]
struct Park {
    site: Site,
    tariffs: Arc<Tariffs>,
    id: ParkId,
    vehicle: VehicleClass,
}

impl Park {
    /// Car parks have no number in the tariff data: the card names one by two bytes of its id's
    /// digest, beside the operator.
    fn place(&self) -> Place {
        let [a, b, ..]: [u8; 32] = Sha256::digest(self.id.as_str().as_bytes()).into();
        Place {
            line: LineCode(0),
            station: StationCode(u16::from_be_bytes([a, b])),
        }
    }

    fn service(&self, from: CardTime) -> Service {
        Service::CarPark {
            operator: self.site.operator.clone(),
            park: self.id.as_str().to_owned(),
            vehicle: vehicle_id(self.vehicle).to_owned(),
            from,
        }
    }

    fn is_mine(&self, record: &Journey) -> bool {
        record.mode == Mode::CarPark
            && record.place == self.place().to_bytes()
            && record.acquirer == self.site.acquirer()
    }

    /// The newest record of this car park on the card.
    fn last(&self, card: &CardView) -> Option<Journey> {
        card.journeys
            .iter()
            .map(|j| j.record)
            .find(|record| self.is_mine(record))
    }

    fn leg(&self, card: &CardView, at: CardTime) -> LegMark {
        let city = self.site.fare_city();
        LegMark::carried(card.prior(city).as_ref(), city, at)
    }
}

/// A car park's entry barrier: nothing is paid, the entry is written on the card.
#[derive(Debug, Clone)]
pub struct CarParkEntry(Park);

impl CarParkEntry {
    /// The entry of car park `id`.
    pub const fn new(site: Site, tariffs: Arc<Tariffs>, id: ParkId, vehicle: VehicleClass) -> Self {
        Self(Park {
            site,
            tariffs,
            id,
            vehicle,
        })
    }
}

impl Seller for CarParkEntry {
    fn reads(&self) -> Reads {
        Reads {
            journeys: JOURNEYS_MAX,
            ..Reads::default()
        }
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let park = &self.0;
        if park
            .last(card)
            .is_some_and(|record| record.kind == JourneyType::Entry)
        {
            return Err(Code::AlreadyInside.into());
        }
        let (kind, place, leg) = (JourneyType::Entry, park.place(), park.leg(card, at));
        Ok(Offer {
            amount: Fen::ZERO,
            least_balance: Fen::ZERO,
            journey: Some(journey(
                &park.site,
                kind,
                Mode::CarPark,
                place,
                Fen::ZERO,
                at,
                leg,
            )),
            metro: None,
            state: None,
            service: park.service(at),
            code: Code::ParkEntered,
            price: Vec::new(),
        })
    }
}

/// A car park's exit barrier: the stay since the entry on the card is paid.
#[derive(Debug, Clone)]
pub struct CarParkExit(Park);

impl CarParkExit {
    /// The exit of car park `id`.
    pub const fn new(site: Site, tariffs: Arc<Tariffs>, id: ParkId, vehicle: VehicleClass) -> Self {
        Self(Park {
            site,
            tariffs,
            id,
            vehicle,
        })
    }
}

impl Seller for CarParkExit {
    fn reads(&self) -> Reads {
        Reads {
            journeys: JOURNEYS_MAX,
            ..Reads::default()
        }
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let park = &self.0;
        let entry = park
            .last(card)
            .filter(|record| record.kind == JourneyType::Entry)
            .ok_or(Code::NoEntry)?;
        let stay = CarParkStay {
            operator: park.site.operator.as_str().into(),
            park: park.id.clone(),
            vehicle: park.vehicle,
            entered_at: entry.time,
            exited_at: at,
            permit: None,
        };
        let quote = park.tariffs.quote_car_park(&stay).map_err(no_price)?;
        let (kind, place, leg) = (JourneyType::Exit, park.place(), park.leg(card, at));
        Ok(Offer {
            amount: quote.amount,
            least_balance: quote.amount,
            journey: Some(journey(
                &park.site,
                kind,
                Mode::CarPark,
                place,
                quote.amount,
                at,
                leg,
            )),
            metro: None,
            state: None,
            service: park.service(entry.time),
            code: Code::ServicePaid,
            price: price_lines(&quote),
        })
    }
}
