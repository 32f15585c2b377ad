//! Buses with flat fares.

use std::collections::BTreeMap;

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, FareError, OperatorId, PriorLeg, Quote, QuoteError, Rider, Route, RouteId, TariffRef,
    calendar::Calendar, discount::Discount, gtfs::Feed, quote::Bill, ride::Leg, schema::BusFile,
    transfer::Transfers,
};

/// One tap on a bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusRide {
    /// Who runs the bus.
    pub operator: OperatorId,
    /// Its route.
    pub route: RouteId,
    /// When the card was tapped.
    pub at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The open transfer window, from the card's last journey record.
    pub prior: Option<PriorLeg>,
}

#[derive(Debug)]
struct FlatRoute {
    fare_id: String,
    fare: Fen,
    route: Route,
}

/// A bus operator's tariff.
#[derive(Debug)]
pub(crate) struct BusTariff {
    tariff: TariffRef,
    pub(crate) city: CityCode,
    routes: BTreeMap<RouteId, FlatRoute>,
    discounts: Vec<Discount>,
}

impl BusTariff {
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
            let (fare_id, fare) = known.flat.clone().ok_or_else(|| {
                let problem = format!("{}fare_rules.txt has no fare for it", feed.dir);
                FareError::field(file, field(), problem)
            })?;
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
            let entry = FlatRoute {
                fare_id,
                fare,
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

    pub(crate) fn quote(
        &self,
        ride: &BusRide,
        transfers: Option<&Transfers>,
        calendar: &Calendar,
    ) -> Result<Quote, QuoteError> {
        let route = self
            .routes
            .get(&ride.route)
            .ok_or_else(|| QuoteError::Route(ride.operator.clone(), ride.route.clone()))?;
        let mut bill = Bill::new();
        bill.add(
            &self.tariff.id,
            &route.fare_id,
            format!("{}单一票价{}元", route.route.name, route.fare),
            format!("route {}, flat fare {}", route.route.code.0, route.fare),
            route.fare,
        );
        Ok(Leg {
            tariff: &self.tariff,
            discounts: &self.discounts,
            transfers,
            calendar,
            city: self.city,
            class: route.route.class,
            rider: ride.rider,
            prior: ride.prior.as_ref(),
            starts: ride.at,
            ends: ride.at,
        }
        .price(bill))
    }
}
