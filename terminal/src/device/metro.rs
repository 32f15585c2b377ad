//! Metro gates 闸机.

use std::sync::Arc;

use card_spec::{
    Fen,
    purse::files::{JourneyType, Metro, MetroSide, MetroState, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{
    EntryDecision, ExitDecision, GateRefusal, LineCode, MetroEntry, MetroExit, ModeHistory,
    OperatorId, Passage, Place, RouteId, StationCode, StopId, Tariffs, Unfinished,
};

use super::{CardView, Offer, Reads, Seller, Site, bus::line_of, journey, no_price, price_lines};
use crate::{code::Code, result::Refusal};

/// Where a gate stands.
#[derive(Debug, Clone)]
pub(super) struct GatePlace {
    pub(super) site: Site,
    pub(super) tariffs: Arc<Tariffs>,
    pub(super) operator: OperatorId,
    pub(super) asks_age: bool,
    pub(super) stop: StopId,
    station: StationCode,
    line: LineCode,
    /// The modes of the network of the last seven days: what happened to a card before is judged
    /// by them.
    pub(super) history: ModeHistory,
}

impl GatePlace {
    pub(super) fn new(
        site: Site,
        tariffs: Arc<Tariffs>,
        line: &RouteId,
        stop: StopId,
    ) -> Result<Self, Refusal> {
        let operator = OperatorId::from(site.operator.as_str());
        let line = line_of(&tariffs, &operator, line)?;
        let station = tariffs
            .stop(&operator, &stop)
            .map(|s| s.code)
            .ok_or_else(|| no_price(fare::QuoteError::Stop(operator.clone(), stop.clone())))?;
        Ok(Self {
            asks_age: tariffs.asks_age(&operator),
            site,
            tariffs,
            operator,
            stop,
            station,
            line,
            history: ModeHistory::default(),
        })
    }

    /// The record of passing here.
    pub(super) fn side(&self, at: CardTime) -> MetroSide {
        self.side_of(self.station, at)
    }

    /// The record of passing at `station`, written here.
    pub(super) fn side_of(&self, station: StationCode, at: CardTime) -> MetroSide {
        MetroSide {
            city: self.site.city(),
            institution: self.site.acquirer(),
            station: station.to_metro_field(),
            terminal: self.site.device.to_bytes(),
            time: at.to_bytes(),
            // Lines of a metro stay below 256 (the tariff files say so and are checked).
            line: self.line.metro_byte().unwrap_or_default(),
        }
    }

    pub(super) const fn place(&self) -> Place {
        Place {
            line: self.line,
            station: self.station,
        }
    }
}

/// What a card tells of its last journey. A record that this network does not know is the desk's
/// case.
pub(super) fn passage(place: &GatePlace, record: &Metro) -> Result<Passage, Refusal> {
    let passage = place.tariffs.passage(&place.operator, record);
    passage.map_err(|error| Refusal::new(Code::NoEntry, error))
}

fn refused(why: GateRefusal) -> Refusal {
    match why {
        GateRefusal::DoubleTap => Code::TooSoon.into(),
        GateRefusal::NoEntry => Code::NoEntry.into(),
        GateRefusal::Elsewhere => Code::InsideElsewhere.into(),
    }
}

/// A metro entry gate 进站闸机: nothing is paid, the card must hold the lowest fare.
#[derive(Debug, Clone)]
pub struct MetroEntryGate(GatePlace);

impl MetroEntryGate {
    /// A gate of `site` at `stop` on `line`; fails when the tariff data knows neither.
    pub fn new(
        site: Site,
        tariffs: Arc<Tariffs>,
        line: &RouteId,
        stop: StopId,
    ) -> Result<Self, Refusal> {
        GatePlace::new(site, tariffs, line, stop).map(Self)
    }
}

impl Seller for MetroEntryGate {
    fn learn(&mut self, history: &ModeHistory) {
        self.0.history.clone_from(history);
    }

    fn reads(&self) -> Reads {
        Reads {
            fares: Some(self.0.site.fare_city()),
            metro: true,
            age: self.0.asks_age,
            ..Reads::default()
        }
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let gate = &self.0;
        let before = card.metro.map_or(Metro::EMPTY, |m| m.record);
        let entry = MetroEntry {
            operator: gate.operator.clone(),
            stop: gate.stop.clone(),
            at,
            rider: card.rider(),
            prior: card.prior(gate.site.fare_city()),
            state: card.state(gate.site.fare_city()),
        };
        let passage = passage(gate, &before)?;
        let decision = gate
            .tariffs
            .decide_entry(&entry, &passage, &gate.history)
            .map_err(|why| match why {
                // By this gate's clock the entry is still to come: the desk sorts it out.
                fare::QuoteError::TimeOrder => Refusal::new(Code::AlreadyInside, why),
                other => no_price(other),
            })?;
        let terms = match decision {
            // Whoever forgot to tap out is asked at the desk where it was; the highest fare is
            // taken only from who cannot tell.
            EntryDecision::Enter {
                unfinished: Some(Unfinished::Charged { .. }),
                ..
            } => return Err(Code::AlreadyInside.into()),
            EntryDecision::Enter { terms, .. } => terms,
            EntryDecision::OpenWritesNothing => return Err(Code::GateStandsOpen.into()),
            EntryDecision::Refuse { why } => return Err(refused(why)),
        };
        let metro = Metro {
            state: MetroState::In,
            entry: gate.side(at),
            maximum_fare: terms.maximum,
            amount: Fen::ZERO,
            exit_amount: Fen::ZERO,
            ..before
        };
        let (kind, place) = (JourneyType::Entry, gate.place());
        Ok(Offer {
            amount: Fen::ZERO,
            least_balance: terms.least,
            journey: Some(journey(
                &gate.site,
                kind,
                Mode::Metro,
                place,
                Fen::ZERO,
                at,
                terms.leg,
            )),
            metro: Some(metro),
            // A window that is open stays as it is.
            state: None,
            service: Service::MetroEntry {
                operator: gate.site.operator.clone(),
                stop: gate.stop.as_str().to_owned(),
            },
            code: Code::Entered,
            price: Vec::new(),
        })
    }
}

/// A metro exit gate 出站闸机: the distance from the entry on the card is paid.
#[derive(Debug, Clone)]
pub struct MetroExitGate(GatePlace);

impl MetroExitGate {
    /// A gate of `site` at `stop` on `line`; fails when the tariff data knows neither.
    pub fn new(
        site: Site,
        tariffs: Arc<Tariffs>,
        line: &RouteId,
        stop: StopId,
    ) -> Result<Self, Refusal> {
        GatePlace::new(site, tariffs, line, stop).map(Self)
    }
}

impl Seller for MetroExitGate {
    fn learn(&mut self, history: &ModeHistory) {
        self.0.history.clone_from(history);
    }

    fn reads(&self) -> Reads {
        Reads {
            fares: Some(self.0.site.fare_city()),
            metro: true,
            age: self.0.asks_age,
            ..Reads::default()
        }
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let gate = &self.0;
        let before = card.metro.ok_or(Code::NoEntry)?.record;
        let passage = passage(gate, &before)?;
        let exit = MetroExit {
            operator: gate.operator.clone(),
            stop: gate.stop.clone(),
            at,
            rider: card.rider(),
            prior: card.prior(gate.site.fare_city()),
            state: card.state(gate.site.fare_city()),
        };
        let decision = gate
            .tariffs
            .decide_exit(&exit, &passage, &gate.history)
            .map_err(no_price)?;
        let quote = match decision {
            ExitDecision::Leave { quote, .. } => quote,
            ExitDecision::OpenWritesNothing => return Err(Code::GateStandsOpen.into()),
            ExitDecision::Refuse { why } => return Err(refused(why)),
        };
        // Who came in through open gates has no entry to tell of.
        let (from, entered) = match passage {
            Passage::Inside { stop, at, .. } => (stop, at),
            Passage::Outside { .. } | Passage::Elsewhere => (gate.stop.clone(), at),
        };
        let metro = Metro {
            state: MetroState::Out,
            exit: gate.side(at),
            exit_amount: quote.amount,
            ..before
        };
        let (kind, place) = (JourneyType::Exit, gate.place());
        Ok(Offer {
            amount: quote.amount,
            least_balance: quote.amount,
            journey: Some(journey(
                &gate.site,
                kind,
                Mode::Metro,
                place,
                quote.amount,
                at,
                quote.leg,
            )),
            metro: Some(metro),
            state: quote.state,
            service: Service::MetroExit {
                operator: gate.site.operator.clone(),
                from: from.as_str().to_owned(),
                to: gate.stop.as_str().to_owned(),
                entered,
                prior: card.prior_hex(),
                state: card.state_hex(gate.site.fare_city()),
                age: card.age,
                kind: card.region.kind,
            },
            code: Code::Exited,
            price: price_lines(&quote),
        })
    }
}
