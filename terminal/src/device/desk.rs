//! The fare-adjustment desk 补票亭: writes a missing entry, or charges and closes a journey.

use std::sync::Arc;

use card_spec::{
    Fen,
    purse::files::{JourneyType, Metro, MetroState, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{
    Area, CityCode, DeskAdvice, DeskVisit, LegMark, MetroExit, ModeHistory, Passage, Quote,
    RouteId, StopId, Tariffs,
};

use super::{
    CardView, Offer, Reads, Seller, Site, journey,
    metro::{GatePlace, passage},
    no_price, price_lines,
};
use crate::{code::Code, machine::Text, result::Refusal};

/// A desk at a station.
#[derive(Debug, Clone)]
pub struct FareDesk(GatePlace);

impl FareDesk {
    /// A desk of `site` at `stop` on `line`; fails when the tariff data knows neither.
    pub fn new(
        site: Site,
        tariffs: Arc<Tariffs>,
        line: &RouteId,
        stop: StopId,
    ) -> Result<Self, Refusal> {
        GatePlace::new(site, tariffs, line, stop).map(Self)
    }

    /// Takes over the network's modes of the last seven days.
    pub fn learn(&mut self, history: &ModeHistory) {
        self.0.history.clone_from(history);
    }

    /// The city whose fares hold here.
    pub(crate) fn city(&self) -> CityCode {
        self.0.site.fare_city()
    }

    /// The network's stations: number on cards, id and name.
    pub fn stations(&self) -> Vec<(u16, StopId, Text)> {
        let stations = self.0.tariffs.stations(&self.0.operator);
        let known = |stop: &&fare::Stop| {
            let name = Text::new(&stop.zh, &stop.en);
            (stop.code.0, stop.id.clone(), name)
        };
        stations.iter().map(known).collect()
    }

    /// The desk for one rider.
    pub const fn visit(&self, area: Area, named: Option<StopId>) -> Desk<'_> {
        Desk {
            desk: self,
            area,
            named,
        }
    }
}

/// A rider at a desk.
#[derive(Debug)]
pub struct Desk<'d> {
    desk: &'d FareDesk,
    area: Area,
    named: Option<StopId>,
}

impl Desk<'_> {
    /// What the desk would do, and what the card says of its last journey.
    pub fn advice(&self, at: CardTime, card: &CardView) -> Result<(Passage, DeskAdvice), Refusal> {
        let place = &self.desk.0;
        let before = card.metro.map_or(Metro::EMPTY, |m| m.record);
        // There is no desk behind the desk: a record that it cannot read is the issuer's case.
        let passage =
            passage(place, &before).map_err(|why| Refusal::new(Code::BadCard, why.detail))?;
        if passage == Passage::Elsewhere {
            return Err(Code::InsideElsewhere.into());
        }
        let visit = DeskVisit {
            exit: MetroExit {
                operator: place.operator.clone(),
                stop: place.stop.clone(),
                at,
                rider: card.rider(),
                prior: card.prior(place.site.fare_city()),
                state: card.state(place.site.fare_city()),
            },
            area: self.area,
            named: self.named.clone(),
        };
        let advice = place.tariffs.desk(&visit, &passage, &place.history);
        Ok((passage, advice.map_err(no_price)?))
    }

    fn write_entry(&self, stop: &StopId, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let place = &self.desk.0;
        let city = place.site.fare_city();
        let before = card.metro.map_or(Metro::EMPTY, |m| m.record);
        let station = place.tariffs.stop(&place.operator, stop).map(|s| s.code);
        let station = station.ok_or(Code::TariffFault)?;
        let highest = place.tariffs.metro_highest_fare(&place.operator);
        let metro = Metro {
            state: MetroState::UpdatedIn,
            entry: place.side_of(station, at),
            maximum_fare: highest.map_err(no_price)?,
            amount: Fen::ZERO,
            exit_amount: Fen::ZERO,
            ..before
        };
        let leg = LegMark::carried(card.prior(city).as_ref(), city, at);
        let mut at_entry = place.place();
        at_entry.station = station;
        let (kind, nothing) = (JourneyType::Entry, Fen::ZERO);
        let record = journey(&place.site, kind, Mode::Metro, at_entry, nothing, at, leg);
        Ok(Offer {
            amount: nothing,
            least_balance: nothing,
            journey: Some(record),
            metro: Some(metro),
            state: None,
            service: Service::MetroEntry {
                operator: place.site.operator.clone(),
                stop: stop.as_str().to_owned(),
            },
            code: Code::JourneyCorrected,
            price: Vec::new(),
        })
    }

    fn close(&self, passage: Passage, quote: &Quote, at: CardTime, card: &CardView) -> Offer {
        let place = &self.desk.0;
        let before = card.metro.map_or(Metro::EMPTY, |m| m.record);
        let metro = Metro {
            state: MetroState::UpdatedOut,
            exit: place.side(at),
            exit_amount: quote.amount,
            ..before
        };
        let (kind, amount) = (JourneyType::Exit, quote.amount);
        let record = journey(
            &place.site,
            kind,
            Mode::Metro,
            place.place(),
            amount,
            at,
            quote.leg,
        );
        let entry = match passage {
            Passage::Inside { stop, at, .. } => Some((stop.as_str().to_owned(), at)),
            Passage::Outside { .. } | Passage::Elsewhere => None,
        };
        Offer {
            amount,
            least_balance: amount,
            journey: Some(record),
            metro: Some(metro),
            state: quote.state,
            service: Service::MetroDesk {
                operator: place.site.operator.clone(),
                desk: place.stop.as_str().to_owned(),
                paid_area: self.area == Area::Paid,
                entry,
                named: self.named.as_ref().map(|stop| stop.as_str().to_owned()),
                prior: card.prior_hex(),
                state: card.state_hex(place.site.fare_city()),
                age: card.age,
                kind: card.region.kind,
            },
            code: Code::JourneyCorrected,
            price: price_lines(quote),
        }
    }
}

impl Seller for Desk<'_> {
    fn reads(&self) -> Reads {
        Reads {
            fares: Some(self.desk.0.site.fare_city()),
            metro: true,
            age: self.desk.0.asks_age,
            ..Reads::default()
        }
    }

    fn repeats(&self) -> bool {
        // The gate refused the card a moment ago; that is why it is here.
        true
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        match self.advice(at, card)? {
            (_, DeskAdvice::UseTheGate) => Err(Code::UseTheGate.into()),
            (_, DeskAdvice::WriteEntry { stop, at }) => self.write_entry(&stop, at, card),
            (passage, DeskAdvice::CloseJourney { quote }) => {
                Ok(self.close(passage, &quote, at, card))
            }
        }
    }
}
