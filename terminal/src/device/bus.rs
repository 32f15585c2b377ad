//! Bus validators 车载机.

use std::sync::Arc;

use card_spec::{
    Fen,
    purse::files::{CardKind, JourneyType, Mode},
    time::CardTime,
};
use clearing_api::record::Service;
use fare::{
    BusRide, LegMark, LineCode, OperatorId, Place, Quote, Ridden, Rider, RouteId, StationCode,
    Tariffs,
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
    asks_age: bool,
    companion: bool,
    /// Sections ridden through, as far as they are known.
    ridden: Option<u8>,
}

impl BusValidator {
    /// A validator of `site` on `route`; fails when the operator does not run it.
    pub fn new(site: Site, tariffs: Arc<Tariffs>, route: RouteId) -> Result<Self, Refusal> {
        let operator = OperatorId::from(site.operator.as_str());
        let line = line_of(&tariffs, &operator, &route)?;
        Ok(Self {
            asks_age: tariffs.asks_age(&operator),
            site,
            tariffs,
            route,
            line,
            companion: false,
            ridden: None,
        })
    }

    /// Whether it sells to a companion of the card's holder: at the ordinary price, without the
    /// transfer, which is the holder's.
    #[must_use]
    pub fn for_companion(self, companion: bool) -> Self {
        Self { companion, ..self }
    }

    /// How many sections the route has; 0 with a flat fare.
    pub fn sections(&self) -> u8 {
        let operator = OperatorId::from(self.site.operator.as_str());
        let count = self.tariffs.bus_sections(&operator, &self.route);
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// For a ride through so many sections.
    #[must_use]
    pub fn through(self, ridden: Option<u8>) -> Self {
        Self { ridden, ..self }
    }
}

pub(super) fn line_of(
    tariffs: &Tariffs,
    operator: &OperatorId,
    route: &RouteId,
) -> Result<LineCode, Refusal> {
    tariffs
        .route(operator, route)
        .map(|r| r.code)
        .ok_or_else(|| no_price(fare::QuoteError::Route(operator.clone(), route.clone())))
}

/// Which of the "paid" codes a quote deserves: that of the last contract that took something off.
fn paid(quote: &Quote) -> Code {
    let own = format!("{}/", quote.tariff.id);
    let reductions = quote.steps.iter().filter(|step| step.delta < Fen::ZERO);
    let codes = reductions.map(|step| match step.rule.split('/').nth(1) {
        Some("pass") => Code::PaidPass,
        Some("cap") => Code::PaidCapped,
        _ if step.rule.starts_with(&own) => Code::PaidConcession,
        _ => Code::PaidTransfer,
    });
    // In the order of contracts: concession, transfer, cap; a pass is alone.
    codes
        .max_by_key(|code| match code {
            Code::PaidPass => 3,
            Code::PaidCapped => 2,
            Code::PaidTransfer => 1,
            _ => 0,
        })
        .unwrap_or(Code::Paid)
}

impl Seller for BusValidator {
    fn reads(&self) -> Reads {
        Reads {
            fares: (!self.companion).then(|| self.site.fare_city()),
            age: self.asks_age,
            ..Reads::default()
        }
    }

    fn repeats(&self) -> bool {
        self.companion
    }

    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let city = self.site.fare_city();
        let rider = match self.companion {
            true => Rider::of_kind(CardKind::Normal),
            false => card.rider(),
        };
        let ride = BusRide {
            operator: self.site.operator.as_str().into(),
            route: self.route.clone(),
            ridden: self.ridden.map_or(Ridden::Unknown, Ridden::Sections),
            at,
            rider,
            prior: card.prior(city).filter(|_| !self.companion),
            state: card.state(city).filter(|_| !self.companion),
        };
        let quote = self.tariffs.quote_bus(&ride).map_err(no_price)?;
        let place = Place {
            line: self.line,
            station: StationCode(0),
        };
        let kind = JourneyType::Single;
        let leg = match self.companion {
            // The holder's transfer window stays as it was.
            true => LegMark::carried(card.prior(city).as_ref(), city, at),
            false => quote.leg,
        };
        Ok(Offer {
            amount: quote.amount,
            least_balance: quote.amount,
            journey: Some(journey(
                &self.site,
                kind,
                Mode::Bus,
                place,
                quote.amount,
                at,
                leg,
            )),
            metro: None,
            state: quote.state,
            service: Service::Bus {
                operator: self.site.operator.clone(),
                route: self.route.as_str().to_owned(),
                prior: card.prior_hex().filter(|_| !self.companion),
                state: card.state_hex(city).filter(|_| !self.companion),
                age: rider.age,
                kind: rider.kind,
                companion: self.companion,
                sections: self.ridden,
            },
            code: paid(&quote),
            price: price_lines(&quote),
        })
    }
}
