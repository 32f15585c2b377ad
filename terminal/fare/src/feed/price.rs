//! The price of a journey, by whichever version of fares the feed has.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fares, Feed,
    money::Currency,
    network::{Network, StopIx},
    ride::{Payment, Ride, Run, timed},
    timeframes::When,
    v2_match::Payer,
    v2_rules,
};

/// Numbers the stops so that those with the same zone and the same areas have the same number.
pub(super) fn classes(network: &Network, fares: &v2_rules::Fares) -> Vec<u32> {
    let mut known = BTreeMap::new();
    (0..)
        .zip(&network.stops)
        .map(|(ix, stop)| {
            let next = known.len() as u32;
            // Join rules tell stops apart by name.
            let named = fares.joins.iter().any(|join| {
                join.stops
                    .is_some_and(|(from, to)| network.with_parent(ix).any(|s| s == from || s == to))
            });
            let key = (&stop.zone, fares.areas.get(&ix), named.then_some(ix));
            *known.entry(key).or_insert(next)
        })
        .collect()
}

impl Feed {
    pub(super) fn class(&self, stop: StopIx) -> u32 {
        self.classes.get(stop as usize).copied().unwrap_or_default()
    }

    /// The ways to pay for rides one behind the other.
    pub(super) fn payments(&self, rides: &[Ride], when: &When, payer: Payer<'_>) -> Vec<Payment> {
        let rides = timed(rides);
        match &self.fares {
            Fares::V1(fares) => fares.payments(&self.network, &rides),
            Fares::V2(fares) => fares.payments(&self.network, &self.services, when, &rides, payer),
        }
    }

    /// Currencies in the order in which the feed uses them.
    pub(super) fn currencies(&self) -> &[Currency] {
        match &self.fares {
            Fares::V1(fares) => &fares.currencies,
            Fares::V2(fares) => &fares.currencies,
        }
    }

    /// Rider categories; none where the feed has none.
    pub(super) fn riders(&self) -> Vec<&str> {
        match &self.fares {
            Fares::V1(_) => Vec::new(),
            Fares::V2(fares) => fares.riders.keys().map(|id| &**id).collect(),
        }
    }

    /// The media that products name, and `None` where some product names none.
    pub(super) fn media(&self) -> Vec<Option<&str>> {
        match &self.fares {
            Fares::V1(_) => vec![None],
            Fares::V2(fares) => {
                let all = fares.products.values().flatten();
                let mut media: Vec<_> = all.map(|p| p.media.as_deref()).collect();
                media.sort_unstable();
                media.dedup();
                media
            }
        }
    }

    /// Rides that no trip of the feed runs, for stops between which no trip runs: prices may hang
    /// on zones or areas alone, and what a feed has no timetable for may run anywhere.
    pub(super) fn untimetabled(&self, from: StopIx, to: StopIx) -> Vec<Ride> {
        let ride = |run: &Run| Ride {
            run: run.clone(),
            from,
            to,
            zones: None,
            seconds: 0,
        };
        self.silent.iter().map(ride).collect()
    }
}

/// What runs without a timetable: anything, and what rules ask for that has no trips in the feed.
pub(super) fn silent(network: &Network, fares: &Fares) -> Vec<Run> {
    let mut runs = vec![Run::Any];
    match fares {
        Fares::V1(fares) => runs.extend(
            (0..)
                .zip(&network.routes)
                .filter(|(ix, route)| !route.timetabled && fares.asks_for(network, *ix))
                .map(|(ix, _)| Run::Route(ix)),
        ),
        Fares::V2(_) => {
            let timetabled: BTreeSet<Box<str>> = network
                .routes
                .iter()
                .filter(|route| route.timetabled)
                .filter_map(|route| route.network.clone())
                .collect();
            let silent = network.networks.difference(&timetabled);
            runs.extend(silent.cloned().map(Run::Network));
        }
    }
    runs
}
