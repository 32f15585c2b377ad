//! What devices sell: pure decisions over values. No reader, no clock, no file in here.

mod bus;
mod desk;
mod inspector;
mod metro;
mod parking;
mod pass;
mod taxi;
mod till;

pub use bus::BusValidator;
pub use desk::{Desk, FareDesk};
pub use inspector::Inspection;
pub use metro::{MetroEntryGate, MetroExitGate};
pub use parking::{CarParkEntry, CarParkExit, ParkingMeter};
pub use pass::PassSale;
pub use taxi::TaxiMeter;
pub use till::Till;

use card_spec::{
    Fen,
    id::{DeviceNo, RegionCode},
    purse::{
        files::{Journey, JourneyType, Metro, Mode, Public, Region},
        sfi,
    },
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{CityCode, FareState, TravelUpdate};

use crate::{
    card::{
        memory::FareMemory,
        purse::{CacheUpdate, JourneyRead, MetroRead},
    },
    code::Code,
    result::{PriceLine, Refusal},
};

/// Where a device stands and for whom it sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Device number.
    pub device: DeviceNo,
    /// Operator: the agency id of the tariff data.
    pub operator: String,
    /// Region of the device; its first two bytes are the city on the card.
    pub region: RegionCode,
}

impl Site {
    /// The two bytes by which journey records name the city.
    pub const fn city(&self) -> [u8; 2] {
        let [a, b, _] = self.region.to_bytes();
        [a, b]
    }

    /// The city whose fares hold here.
    pub fn fare_city(&self) -> CityCode {
        self.region.into()
    }

    /// The acquirer field of journey and metro records: the operator's id, cut or 00-padded.
    pub fn acquirer(&self) -> [u8; 8] {
        let mut out = [0; 8];
        for (target, byte) in out.iter_mut().zip(self.operator.bytes()) {
            *target = byte;
        }
        out
    }
}

/// What a sale needs to know of a card, beyond file 17.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// The city whose transfers, caps and passes the price depends on.
    pub fares: Option<CityCode>,
    /// Most journey records, newest first.
    pub journeys: u8,
    /// The metro record.
    pub metro: bool,
    /// The holder's age (file 16), asked only of cards whose kind depends on it.
    pub age: bool,
}

/// What a device knows of a presented card when it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardView {
    /// File 15.
    pub public: Public,
    /// File 17.
    pub region: Region,
    /// Completed years of age, when read.
    pub age: Option<u8>,
    /// Journey records, newest first.
    pub journeys: Vec<JourneyRead>,
    /// Metro record.
    pub metro: Option<MetroRead>,
    /// What a card of ours remembers of fares.
    pub fares: Option<FareMemory>,
}

impl CardView {
    /// The rider as the fare engine prices.
    pub const fn rider(&self) -> fare::Rider {
        fare::Rider {
            kind: self.region.kind,
            age: self.age,
        }
    }

    /// The fare state in `city` of a card of ours.
    pub fn state(&self, city: CityCode) -> Option<FareState> {
        self.fares.as_ref()?.state(city)
    }

    /// The state's bytes as uploads carry them.
    pub fn state_hex(&self, city: CityCode) -> Option<String> {
        Some(hex::encode(self.state(city)?.to_bytes()))
    }

    /// The open transfer window: of a card of ours by its fare state, of another system's by its
    /// newest journey record.
    pub fn prior(&self, city: CityCode) -> Option<fare::PriorLeg> {
        match &self.fares {
            Some(fares) => fares.state(city)?.prior(),
            None => fare::PriorLeg::from_journey(&self.journeys.first()?.record),
        }
    }

    /// The newest journey record's bytes as uploads carry them, where the window comes from it.
    pub fn prior_hex(&self) -> Option<String> {
        match self.fares {
            Some(_) => None,
            None => self.journeys.first().map(|j| hex::encode(j.raw)),
        }
    }
}

/// What a device would sell to a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Price.
    pub amount: Fen,
    /// The card must hold at least this much, or the gate stays shut.
    pub least_balance: Fen,
    /// Journey record to append; its balance is filled in when the card has told it. Without one
    /// the sale is a plain purchase: what is bought in a shop is no journey.
    pub journey: Option<Journey>,
    /// Metro record to write; likewise.
    pub metro: Option<Metro>,
    /// What the city's fare state becomes, where a card of ours keeps one.
    pub state: Option<FareState>,
    /// What the back office re-rates.
    pub service: Service,
    /// Code when it opens.
    pub code: Code,
    /// How the price came about.
    pub price: Vec<PriceLine>,
}

impl Offer {
    /// The CAPP updates of the sale, in the order they are sent.
    pub fn updates(&self, balance_after: Fen, travel: Option<&TravelUpdate>) -> Vec<CacheUpdate> {
        let metro = self.metro.map(|metro| CacheUpdate {
            sfi: sfi::METRO,
            number: 1,
            data: Metro {
                balance: balance_after,
                ..metro
            }
            .to_bytes()
            .to_vec(),
        });
        let journey = self.journey.map(|journey| CacheUpdate {
            sfi: sfi::JOURNEY,
            number: 0,
            data: Journey {
                balance: balance_after,
                ..journey
            }
            .to_bytes()
            .to_vec(),
        });
        let cities = travel.and_then(|travel| travel.record_2);
        let cities = cities.map(|record| CacheUpdate {
            sfi: sfi::METRO,
            number: 2,
            data: record.to_vec(),
        });
        let travel = travel.map(|travel| CacheUpdate {
            sfi: sfi::TRAVEL,
            number: 0,
            data: travel.travel.to_vec(),
        });
        [metro, cities, travel, journey]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// A device's rule: what it sells to a card at a time.
pub trait Seller {
    /// Takes over the network's modes of the last seven days.
    fn learn(&mut self, _history: &fare::ModeHistory) {}
    /// Which files it needs.
    fn reads(&self) -> Reads;
    /// Whether the same card may pay again at once.
    fn repeats(&self) -> bool {
        false
    }
    /// What it sells, or why not.
    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal>;
}

/// A journey record of a sale at `site`.
fn journey(
    site: &Site,
    kind: JourneyType,
    mode: Mode,
    place: fare::Place,
    amount: Fen,
    at: CardTime,
    leg: fare::LegMark,
) -> Journey {
    Journey {
        kind,
        device: site.device,
        mode,
        place: place.to_bytes(),
        amount,
        balance: Fen::ZERO,
        time: at,
        city: site.city(),
        acquirer: site.acquirer(),
        rfu: leg.to_rfu(),
    }
}

/// The explanation of a quote, for screens and receipts.
fn price_lines(quote: &fare::Quote) -> Vec<PriceLine> {
    quote
        .steps
        .iter()
        .map(|step| PriceLine {
            rule: step.rule.clone(),
            zh: step.zh.clone(),
            en: step.en.clone(),
            delta: step.delta,
        })
        .collect()
}

/// A question without a price puts the device out of service, except where only this card or this
/// trip is at fault.
fn no_price(error: fare::QuoteError) -> Refusal {
    let code = match error {
        fare::QuoteError::TimeOrder | fare::QuoteError::TooLong(_) => Code::NoEntry,
        _ => Code::TariffFault,
    };
    Refusal::new(code, error)
}
