//! Bus validators and metro gates.

use std::sync::Arc;

use card_spec::{
    Fen,
    purse::files::{CardKind, JourneyType, Metro, MetroSide, MetroState, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{
    BusRide, LegMark, LineCode, MetroEntry, MetroRide, OperatorId, Place, Quote, Ridden, Rider,
    RouteId, StationCode, StopId, Tariffs,
};

use super::{CardView, Offer, Reads, Seller, Site, journey, no_price, price_lines};
use crate::{code::Code, result::Refusal};

/// A bus validator 车载机 on one route: flat fare, concessions, transfers.
#[derive(Debug, Clone)]
pub struct BusValidator {
    site: Site,
    tariffs: Arc<Tariffs>,
    route: RouteId,
    line: LineCode,
    companion: bool,
}

impl BusValidator {
    /// A validator of `site` on `route`; fails when the operator does not run it.
    pub fn new(site: Site, tariffs: Arc<Tariffs>, route: RouteId) -> Result<Self, Refusal> {
        let operator = OperatorId::from(site.operator.as_str());
        let line = line_of(&tariffs, &operator, &route)?;
        Ok(Self {
            site,
            tariffs,
            route,
            line,
            companion: false,
        })
    }

    /// Whether it sells to a companion of the card's holder: at the ordinary price, without the
    /// transfer, which is the holder's.
    #[must_use]
    pub fn for_companion(self, companion: bool) -> Self {
        Self { companion, ..self }
    }
}

fn line_of(tariffs: &Tariffs, operator: &OperatorId, route: &RouteId) -> Result<LineCode, Refusal> {
    tariffs
        .route(operator, route)
        .map(|r| r.code)
        .ok_or_else(|| no_price(fare::QuoteError::Route(operator.clone(), route.clone())))
}

/// Which of the three "paid" codes a quote deserves.
fn paid(quote: &Quote) -> Code {
    let own = format!("{}/", quote.tariff.id);
    let transfer = quote
        .steps
        .iter()
        .any(|s| s.delta < Fen::ZERO && !s.rule.starts_with(&own));
    match (transfer, quote.amount < quote.base) {
        (true, _) => Code::PaidTransfer,
        (false, true) => Code::PaidConcession,
        (false, false) => Code::Paid,
    }
}

impl Seller for BusValidator {
    fn reads(&self) -> Reads {
        Reads {
            journeys: 1,
            metro: false,
            age: true,
        }
    }

    fn repeats(&self) -> bool {
        self.companion
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let rider = match self.companion {
            true => Rider::of_kind(CardKind::Normal),
            false => card.rider(),
        };
        let ride = BusRide {
            operator: self.site.operator.as_str().into(),
            route: self.route.clone(),
            ridden: Ridden::Unknown,
            at,
            rider,
            prior: card.prior().filter(|_| !self.companion),
            state: None,
        };
        let quote = self.tariffs.quote_bus(&ride).map_err(no_price)?;
        let place = Place {
            line: self.line,
            station: StationCode(0),
        };
        let kind = JourneyType::Single;
        let leg = match self.companion {
            // The holder's transfer window stays as it was.
            true => LegMark::carried(card.prior().as_ref(), self.site.region.into(), at),
            false => quote.leg,
        };
        Ok(Offer {
            amount: quote.amount,
            least_balance: quote.amount,
            journey: journey(&self.site, kind, Mode::Bus, place, quote.amount, at, leg),
            metro: None,
            service: Service::Bus {
                operator: self.site.operator.clone(),
                route: self.route.as_str().to_owned(),
                sections: None,
                prior: card.prior_hex().filter(|_| !self.companion),
                age: rider.age,
                kind: rider.kind,
                state: None,
            },
            code: paid(&quote),
            price: price_lines(&quote),
        })
    }
}

/// Where a gate stands.
#[derive(Debug, Clone)]
struct GatePlace {
    site: Site,
    tariffs: Arc<Tariffs>,
    operator: OperatorId,
    stop: StopId,
    station: StationCode,
    line: LineCode,
}

impl GatePlace {
    fn new(
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
            site,
            tariffs,
            operator,
            stop,
            station,
            line,
        })
    }

    fn side(&self, at: CardTime) -> MetroSide {
        MetroSide {
            city: self.site.city(),
            institution: self.site.acquirer(),
            station: self.station.to_metro_field(),
            terminal: self.site.device.to_bytes(),
            time: at.to_bytes(),
            // Lines of a metro stay below 256 (the tariff files say so and are checked).
            line: self.line.metro_byte().unwrap_or_default(),
        }
    }

    const fn place(&self) -> Place {
        Place {
            line: self.line,
            station: self.station,
        }
    }
}

const fn is_inside(state: MetroState) -> bool {
    matches!(state, MetroState::In | MetroState::UpdatedIn)
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
    fn reads(&self) -> Reads {
        Reads {
            journeys: 1,
            metro: true,
            age: true,
        }
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let gate = &self.0;
        let before = card.metro.map_or(Metro::EMPTY, |m| m.record);
        if is_inside(before.state) {
            return Err(Code::AlreadyInside.into());
        }
        let entry = MetroEntry {
            operator: gate.operator.clone(),
            stop: gate.stop.clone(),
            at,
            rider: card.rider(),
            prior: card.prior(),
            state: None,
        };
        let terms = gate.tariffs.metro_entry(&entry).map_err(no_price)?;
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
            journey: journey(
                &gate.site,
                kind,
                Mode::Metro,
                place,
                Fen::ZERO,
                at,
                terms.leg,
            ),
            metro: Some(metro),
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

    /// Where and when the card entered this network.
    fn entry(&self, metro: &Metro) -> Result<(StopId, CardTime), Refusal> {
        let gate = &self.0;
        if !is_inside(metro.state) {
            return Err(Code::NoEntry.into());
        }
        let no_entry = |detail: &str| Refusal::new(Code::NoEntry, detail);
        if metro.entry.institution != gate.site.acquirer() {
            return Err(no_entry("the card entered another operator's network"));
        }
        let code = StationCode::from_metro_field(metro.entry.station)
            .ok_or_else(|| no_entry("the entry station is not of this system"))?;
        let stop = gate
            .tariffs
            .stop_by_code(&gate.operator, code)
            .ok_or_else(|| no_entry("the entry station is unknown here"))?;
        let time = CardTime::from_bytes(metro.entry.time)
            .map_err(|_| no_entry("the entry time is not a time"))?;
        Ok((stop.id.clone(), time))
    }
}

impl Seller for MetroExitGate {
    fn reads(&self) -> Reads {
        Reads {
            journeys: 1,
            metro: true,
            age: true,
        }
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let gate = &self.0;
        let before = card.metro.ok_or(Code::NoEntry)?.record;
        let (from, entered) = self.entry(&before)?;
        let ride = MetroRide {
            operator: gate.operator.clone(),
            from_stop: from.clone(),
            to_stop: gate.stop.clone(),
            entered_at: entered,
            exited_at: at,
            rider: card.rider(),
            prior: card.prior(),
            state: None,
        };
        let quote = gate.tariffs.quote_metro(&ride).map_err(no_price)?;
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
            journey: journey(
                &gate.site,
                kind,
                Mode::Metro,
                place,
                quote.amount,
                at,
                quote.leg,
            ),
            metro: Some(metro),
            service: Service::MetroExit {
                operator: gate.site.operator.clone(),
                from: from.as_str().to_owned(),
                to: gate.stop.as_str().to_owned(),
                entered,
                prior: card.prior_hex(),
                state: None,
                age: card.age,
                kind: card.region.kind,
            },
            code: Code::Exited,
            price: price_lines(&quote),
        })
    }
}
