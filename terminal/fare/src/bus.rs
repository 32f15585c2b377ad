//! Buses: flat and sectional fares.

use std::collections::BTreeMap;

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, FareError, FareState, OperatorId, PriorLeg, Quote, QuoteError, Rider, Route, RouteId,
    TariffRef,
    contract::ScopedLeg,
    discount::Discount,
    gtfs::Feed,
    quote::Bill,
    ride::{CityRules, Leg},
    schema::BusFile,
    section::{Ridden, Sections},
};

/// One tap on a bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusRide {
    /// Who runs the bus.
    pub operator: OperatorId,
    /// Its route.
    pub route: RouteId,
    /// What is known of the way, on a sectional route.
    #[serde(default)]
    pub ridden: Ridden,
    /// When the card was tapped.
    pub at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The open transfer window, from the card's last journey record.
    pub prior: Option<PriorLeg>,
    /// The card's fare record of this city; without it neither caps nor passes hold.
    #[serde(default)]
    pub state: Option<FareState>,
}

#[derive(Debug)]
struct PricedRoute {
    price: Price,
    route: Route,
}

#[derive(Debug)]
enum Price {
    /// The feed's fare.
    Flat {
        fare_id: String,
        fare: Fen,
    },
    Sections(Sections),
}

/// A bus operator's tariff.
#[derive(Debug)]
pub(crate) struct BusTariff {
    tariff: TariffRef,
    pub(crate) city: CityCode,
    routes: BTreeMap<RouteId, PricedRoute>,
    pub(crate) discounts: Vec<Discount>,
}

impl BusTariff {
    pub(crate) fn sections(&self, route: &RouteId) -> usize {
        match self.routes.get(route).map(|route| &route.price) {
            Some(Price::Sections(sections)) => sections.count(),
            Some(Price::Flat { .. }) | None => 0,
        }
    }

    pub(crate) fn new(file: &str, raw: BusFile, feed: &Feed) -> Result<Self, FareError> {
        let mut routes = BTreeMap::new();
        let mut codes = BTreeMap::new();
        for raw_route in &raw.route {
            let field = || format!("route `{}`", raw_route.id);
            let known = feed
                .routes
                .get(&raw_route.id)
                .filter(|r| r.agency == raw.operator)
                .ok_or_else(|| {
                    let problem = format!(
                        "{}routes.txt has no such route of {}",
                        feed.dir, raw.operator
                    );
                    FareError::field(file, field(), problem)
                })?;
            let price = match (Sections::new(file, raw_route, known)?, known.flat.clone()) {
                (Some(sections), None) => Price::Sections(sections),
                (None, Some((fare_id, fare))) => Price::Flat { fare_id, fare },
                (None, None) => {
                    let problem = format!("{}fare_rules.txt has no fare for it", feed.dir);
                    return Err(FareError::field(file, field(), problem));
                }
                (Some(_), Some(_)) => {
                    let problem = format!(
                        "has sections here and a flat fare in {}fare_rules.txt; keep one",
                        feed.dir
                    );
                    return Err(FareError::field(file, field(), problem));
                }
            };
            if raw_route.code.0 == 0 {
                return Err(FareError::field(
                    file,
                    field(),
                    "code 0 means none; number the route from 1",
                ));
            }
            if let Some(other) = codes.insert(raw_route.code, &raw_route.id) {
                let problem = format!("code {} is already that of `{other}`", raw_route.code.0);
                return Err(FareError::field(file, field(), problem));
            }
            let entry = PricedRoute {
                price,
                route: Route::new(raw_route.id.clone(), raw_route.code, raw_route.class, known),
            };
            if routes.insert(raw_route.id.clone(), entry).is_some() {
                return Err(FareError::field(file, field(), "appears twice"));
            }
        }
        for discount in &raw.discount {
            discount.check(file)?;
        }
        Ok(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            city: raw.city.into(),
            routes,
            discounts: raw.discount,
        })
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().map(|r| &r.route)
    }

    pub(crate) fn quote(&self, ride: &BusRide, rules: CityRules<'_>) -> Result<Quote, QuoteError> {
        let PricedRoute { price, route } = self
            .routes
            .get(&ride.route)
            .ok_or_else(|| QuoteError::Route(ride.operator.clone(), ride.route.clone()))?;
        let mut bill = Bill::new();
        let (name, number) = (&route.name, route.code.0);
        let (rule, zh, en, fare) = match price {
            Price::Flat { fare_id, fare } => (
                fare_id.as_str(),
                format!("{name}单一票价{fare}元"),
                format!("route {number}, flat fare {fare}"),
                *fare,
            ),
            Price::Sections(sections) => {
                let (ridden, fare) = sections.fare(&route.id, &ride.ridden)?;
                (
                    "sections",
                    format!("{name}乘坐{ridden}段，票价{fare}元"),
                    format!("route {number}, {ridden} section(s): {fare}"),
                    fare,
                )
            }
        };
        bill.add(&self.tariff.id, rule, zh, en, fare);
        let leg = ScopedLeg {
            operator: &ride.operator,
            class: route.class,
            route: Some(&route.id),
            zones: None,
        };
        Ok(Leg {
            tariff: &self.tariff,
            discounts: &self.discounts,
            rules,
            city: self.city,
            leg,
            rider: ride.rider,
            prior: ride.prior.as_ref(),
            state: (ride.state)
                .filter(|state| state.city == self.city)
                .map(|state| state.believed(ride.at, ride.at)),
            starts: ride.at,
            ends: ride.at,
            uses_calendar: false,
        }
        .price(&bill))
    }
}
