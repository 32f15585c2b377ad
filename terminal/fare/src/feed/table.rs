//! All pairs of stops.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{
    Feed,
    money::Currency,
    network::StopIx,
    ride::{Ride, Run},
    v2_match::Payer,
};
use crate::Tariffs;

/// The cheapest single ride between two stops for one rider category and medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRow<'a> {
    /// GTFS `stop_id`.
    pub from_stop_id: &'a str,
    /// GTFS `stop_id`.
    pub to_stop_id: &'a str,
    /// Rider category; empty where the feed has none.
    pub rider: &'a str,
    /// Fare medium; empty where the feed has none or does not say.
    pub media: &'a str,
    /// `fare_product_id`, or `fare_id` in V1.
    pub product: Box<str>,
    /// Price in minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

/// Prices of one ride: by rider, medium (positions) and currency, with the rule's line.
type Prices = BTreeMap<(usize, usize, Currency), (i64, u64, Box<str>)>;
/// What the price of a ride depends on: classes of both ends, what runs, zones passed.
type Key = (u32, u32, Run, Option<std::collections::BTreeSet<Box<str>>>);

/// Keeps the memory of a table bounded whatever the number of zones.
const MOST_REMEMBERED: usize = 50_000;

impl Feed {
    /// Every ordered pair of two stops where riders board (`location_type` 0) that a single ride
    /// joins for a price, sorted by stop ids, rider, medium, currency. One ride, one vehicle: where
    /// trips run from the one stop to the other, on one of them; where none does, what the rules
    /// price without asking for a route or network, or on one that has no timetable in the feed.
    /// At the cheapest time, where prices depend on time. Equal prices: the rule that stands first.
    pub fn table(&self) -> impl Iterator<Item = TableRow<'_>> {
        let mut stops: Vec<StopIx> = (0..).take(self.network.stops.len()).collect();
        stops.retain(|ix| self.network.stops[*ix as usize].boardable);
        stops.sort_by_key(|ix| &self.network.stops[*ix as usize].id);
        let riders = match self.riders() {
            _ if self.tariffs.is_some() => Self::kinds().map(|(name, _)| name).collect(),
            riders if riders.is_empty() => vec![""],
            riders => riders,
        };
        let media = self.media();
        let mut known: HashMap<Key, Prices> = HashMap::new();
        let targets = stops.clone();
        stops.into_iter().flat_map(move |from| {
            let mut direct: BTreeMap<StopIx, Vec<Ride>> = BTreeMap::new();
            for ride in self.journeys.onward(&self.network, from) {
                direct.entry(ride.to).or_default().push(ride);
            }
            let mut rows = Vec::new();
            for to in targets.iter().copied().filter(|to| *to != from) {
                let rides = direct
                    .remove(&to)
                    .unwrap_or_else(|| self.untimetabled(from, to));
                let mut best = Prices::new();
                if let Some(tariffs) = &self.tariffs {
                    best = self.city_prices(tariffs, &rides);
                }
                for ride in rides.into_iter().filter(|_| self.tariffs.is_none()) {
                    let key = (
                        self.class(from),
                        self.class(to),
                        ride.run.clone(),
                        ride.zones.clone(),
                    );
                    if known.len() >= MOST_REMEMBERED {
                        known.clear();
                    }
                    let prices = known
                        .entry(key)
                        .or_insert_with(|| self.prices(ride, &riders, &media));
                    for (key, price) in prices {
                        let kept = best.entry(*key).or_insert_with(|| price.clone());
                        if (price.0, price.1) < (kept.0, kept.1) {
                            kept.clone_from(price);
                        }
                    }
                }
                let id = |ix: StopIx| &*self.network.stops[ix as usize].id;
                rows.extend(
                    best.into_iter()
                        .map(|((rider, medium, currency), price)| TableRow {
                            from_stop_id: id(from),
                            to_stop_id: id(to),
                            rider: riders.get(rider).copied().unwrap_or_default(),
                            media: media.get(medium).copied().flatten().unwrap_or_default(),
                            product: price.2,
                            amount_minor: price.0,
                            currency,
                        }),
                );
            }
            rows
        })
    }

    fn city_prices(&self, tariffs: &Tariffs, rides: &[Ride]) -> Prices {
        let kinds = (0..).zip(Self::kinds());
        let priced = kinds.filter_map(|(rider, (_, kind))| {
            let (minor, tariff) = self.cheapest_leg(tariffs, rides, kind)?;
            Some(((rider, 0, Currency::CNY), (minor, 0, tariff)))
        });
        priced.collect()
    }

    fn prices(&self, ride: Ride, riders: &[&str], media: &[Option<&str>]) -> Prices {
        let rides = [ride];
        let mut best = Prices::new();
        for (r, rider) in riders.iter().enumerate() {
            for (m, media) in media.iter().enumerate() {
                let payer = Payer {
                    rider: (!rider.is_empty()).then_some(rider),
                    media: *media,
                };
                for when in &self.states {
                    for payment in self.payments(&rides, when, payer) {
                        let Some(charge) = payment.charges.first() else {
                            continue;
                        };
                        let price = (payment.total(), charge.line, charge.product.clone());
                        let kept = best
                            .entry((r, m, payment.currency))
                            .or_insert_with(|| price.clone());
                        if (price.0, price.1) < (kept.0, kept.1) {
                            *kept = price;
                        }
                    }
                }
            }
        }
        best
    }
}
