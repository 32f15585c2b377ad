//! Buses: flat and sectional fares.

use std::collections::BTreeMap;

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, FareState, OperatorId, PriorLeg, Quote, QuoteError, Rider, Route, RouteId, TariffRef,
    contract::ScopedLeg,
    discount::Discount,
    gtfs::Feed,
    problems::Problems,
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
    pub(crate) tariff: TariffRef,
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

    pub(crate) fn new(problems: &mut Problems<'_>, raw: BusFile, feed: &Feed) -> Self {
        let mut routes = BTreeMap::new();
        let mut codes = BTreeMap::new();
        for raw_route in &raw.route {
            let field = format!("route `{}`", raw_route.id);
            let Some(known) = feed.route_of(&raw.operator, &raw_route.id) else {
                problems.add(field, feed.no_route_of(&raw.operator));
                continue;
            };
            if raw_route.code.0 == 0 {
                let problem = "0 means none; number the route from 1";
                problems.add(format!("{field}, code"), problem);
            } else if let Some(other) = codes.insert(raw_route.code, &raw_route.id) {
                let problem = format!("is already that of `{other}`; give it another");
                problems.add(format!("{field}, code"), problem);
            }
            let sections = Sections::new(problems, raw_route, known);
            let price = match (sections, known.flat.clone()) {
                (Some(sections), None) => Price::Sections(sections),
                (None, Some((fare_id, fare))) => Price::Flat { fare_id, fare },
                (None, None) => {
                    let problem = format!("{}fare_rules.txt has no fare for it; add one", feed.dir);
                    problems.add(field, problem);
                    continue;
                }
                (Some(_), Some(_)) => {
                    let problem = format!(
                        "has sections here and a flat fare in {}fare_rules.txt; keep one",
                        feed.dir
                    );
                    problems.add(field, problem);
                    continue;
                }
            };
            let entry = PricedRoute {
                price,
                route: Route::new(raw_route.id.clone(), raw_route.code, raw_route.class, known),
            };
            if routes.insert(raw_route.id.clone(), entry).is_some() {
                problems.add(field, "appears twice");
            }
        }
        for discount in &raw.discount {
            discount.check(problems);
        }
        Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            city: raw.city.into(),
            routes,
            discounts: raw.discount,
        }
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
