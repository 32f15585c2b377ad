//! Ways to travel between two stops, from the stop sequences of the feed's trips.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ask::Ways,
    network::{Network, RouteIx, StopIx},
    ride::{Ride, Run},
};

/// Most ways with changes that are priced for one question.
pub(super) const MOST_JOURNEYS: usize = 20_000;

/// Route, both ends, zones passed.
type RideKey = (RouteIx, StopIx, StopIx, Option<BTreeSet<Box<str>>>);

/// Where each stop lies in the patterns.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    /// (pattern, position) by stop.
    calls: Vec<Vec<(u32, u32)>>,
    /// Stops to change to, the stop itself included, by stop.
    changes: Vec<Vec<StopIx>>,
    with_zones: bool,
}

impl Journeys {
    /// `with_zones`: whether fares ask for the zones passed.
    pub(super) fn new(network: &Network, with_zones: bool) -> Self {
        let count = network.stops.len();
        let mut calls = vec![Vec::new(); count];
        for (pattern, p) in (0..).zip(&network.patterns) {
            for (position, call) in (0..).zip(&p.calls) {
                calls[call.stop as usize].push((pattern, position));
            }
        }
        let mut stations: BTreeMap<StopIx, Vec<StopIx>> = BTreeMap::new();
        for (ix, stop) in (0..).zip(&network.stops) {
            if let (Some(parent), true) = (stop.parent, stop.boardable) {
                stations.entry(parent).or_default().push(ix);
            }
        }
        let changes = (0..count as StopIx)
            .map(|stop| {
                let mut all = BTreeSet::from([stop]);
                let parent = network.stops[stop as usize].parent;
                all.extend(parent.and_then(|p| stations.get(&p)).into_iter().flatten());
                let walks = network.walks.range((stop, 0)..=(stop, StopIx::MAX));
                all.extend(walks.map(|(_, to)| *to));
                all.into_iter().collect()
            })
            .collect();
        Self {
            calls,
            changes,
            with_zones,
        }
    }

    /// All rides that begin at a stop: one for each route, end and set of zones passed.
    pub(super) fn onward(&self, network: &Network, from: StopIx) -> BTreeSet<Ride> {
        let mut found = BTreeMap::new();
        for (pattern, at) in &self.calls[from as usize] {
            let pattern = &network.patterns[*pattern as usize];
            let at = *at as usize;
            if !pattern.calls[at].board {
                continue;
            }
            for end in at + 1..pattern.calls.len() {
                self.add(
                    network,
                    pattern.route,
                    (&pattern.calls, &pattern.times),
                    (at, end),
                    &mut found,
                );
            }
        }
        found.into_values().collect()
    }

    /// All rides that end at a stop.
    fn back(&self, network: &Network, to: StopIx) -> BTreeSet<Ride> {
        let mut found = BTreeMap::new();
        for (pattern, end) in &self.calls[to as usize] {
            let pattern = &network.patterns[*pattern as usize];
            for at in 0..*end as usize {
                if pattern.calls[at].board {
                    let calls = (&*pattern.calls, &*pattern.times);
                    self.add(
                        network,
                        pattern.route,
                        calls,
                        (at, *end as usize),
                        &mut found,
                    );
                }
            }
        }
        found.into_values().collect()
    }

    fn add(
        &self,
        network: &Network,
        route: RouteIx,
        (calls, times): (&[super::network::Call], &[(u32, u32)]),
        (at, end): (usize, usize),
        found: &mut BTreeMap<RideKey, Ride>,
    ) {
        let (from, to) = (calls[at].stop, calls[end].stop);
        if !calls[end].alight || from == to {
            return;
        }
        let zone = |call: &super::network::Call| network.stops[call.stop as usize].zone.clone();
        let zones = self
            .with_zones
            .then(|| calls[at..=end].iter().filter_map(zone).collect());
        let seconds = times[end].0.saturating_sub(times[at].1);
        found
            .entry((route, from, to, zones.clone()))
            .and_modify(|ride| ride.seconds = ride.seconds.min(seconds))
            .or_insert(Ride {
                run: Run::Route(route),
                from,
                to,
                zones,
                seconds,
            });
    }

    /// Ways between places with up to so many changes (two at most), each to another route. Of the ways that no fare can
    /// tell apart (same routes, same classes of stops to change at) one is kept.
    pub(super) fn between(
        &self,
        network: &Network,
        (from, to): (&[StopIx], &[StopIx]),
        changes: usize,
        class: impl Fn(StopIx) -> u32,
    ) -> Ways {
        let first: Vec<Ride> = from.iter().flat_map(|s| self.onward(network, *s)).collect();
        let mut last: BTreeMap<StopIx, Vec<Ride>> = BTreeMap::new();
        for ride in to.iter().flat_map(|s| self.back(network, *s)) {
            last.entry(ride.from).or_default().push(ride);
        }
        let mut found = Kept::new(class);
        for a in &first {
            if to.contains(&a.to) {
                found.keep(&[a]);
            }
        }
        if changes == 0 {
            return found.ways;
        }
        for a in &first {
            for b in self.changes[a.to as usize]
                .iter()
                .filter_map(|s| last.get(s))
                .flatten()
            {
                found.keep(&[a, b]);
            }
        }
        if changes == 1 {
            return found.ways;
        }
        let mut middles: BTreeMap<StopIx, BTreeSet<Ride>> = BTreeMap::new();
        for a in &first {
            for change in &self.changes[a.to as usize] {
                let middle = middles.entry(*change).or_insert_with(|| {
                    let useful = |ride: &Ride| {
                        self.changes[ride.to as usize]
                            .iter()
                            .any(|s| last.contains_key(s))
                    };
                    self.onward(network, *change)
                        .into_iter()
                        .filter(useful)
                        .collect()
                });
                for b in middle.iter() {
                    let ends = self.changes[b.to as usize].iter();
                    for c in ends.filter_map(|s| last.get(s)).flatten() {
                        if found.ways.cut {
                            return found.ways;
                        }
                        found.keep(&[a, b, c]);
                    }
                }
            }
        }
        found.ways
    }
}

type Key = (RouteIx, u32, u32, Option<BTreeSet<Box<str>>>);

struct Kept<F> {
    class: F,
    seen: BTreeSet<Vec<Key>>,
    ways: Ways,
}

impl<F: Fn(StopIx) -> u32> Kept<F> {
    fn new(class: F) -> Self {
        Self {
            class,
            seen: BTreeSet::new(),
            ways: Ways::default(),
        }
    }

    fn keep(&mut self, rides: &[&Ride]) {
        let changes = rides.windows(2).all(|pair| pair[0].run != pair[1].run);
        if !changes || self.ways.cut {
            return;
        }
        let key = rides.iter().filter_map(|ride| match ride.run {
            Run::Route(route) => {
                let ends = ((self.class)(ride.from), (self.class)(ride.to));
                Some((route, ends.0, ends.1, ride.zones.clone()))
            }
            Run::Network(_) | Run::Any => None,
        });
        if !self.seen.insert(key.collect()) {
            return;
        }
        self.ways.cut = self.ways.journeys.len() == MOST_JOURNEYS;
        if !self.ways.cut {
            self.ways
                .journeys
                .push(rides.iter().map(|ride| (*ride).clone()).collect());
        }
    }
}
