//! The shortest ways of a network with gates.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Status, StopId, gtfs::FeedRoute, problems::Problems, schema::MetroLine};

/// A way between two stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) metres: u32,
    /// Whether any segment of it has a derived length.
    pub(crate) derived: bool,
}

/// The segments of the lines, each with its length.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<(StopId, StopId), Way>);

impl Links {
    /// Takes over the segments of a line: one for each pair of neighbours on its trips.
    pub(crate) fn add(&mut self, problems: &mut Problems<'_>, line: &MetroLine, known: &FeedRoute) {
        let served: BTreeSet<(&StopId, &StopId)> = known
            .patterns
            .iter()
            .flat_map(|p| p.windows(2).map(|w| ordered(&w[0], &w[1])))
            .collect();
        let mut measured = BTreeSet::new();
        for (i, segment) in line.segment.iter().enumerate() {
            let pair = ordered(&segment.from, &segment.to);
            let mut error = |problem: &str| {
                let problem = format!("{} - {}: {problem}", pair.0, pair.1);
                problems.add(format!("line `{}`, segment[{i}]", line.route), problem);
            };
            if !served.contains(&pair) {
                error("no trip of the line runs between these stops without another between");
                continue;
            }
            if segment.metres == 0 || segment.metres > 100_000 {
                error("metres must lie between 1 and 100000");
            }
            if !measured.insert(pair) {
                error("appears twice");
            }
            let way = Way {
                metres: segment.metres,
                derived: segment.status != Status::Published,
            };
            let link = self
                .0
                .entry((pair.0.clone(), pair.1.clone()))
                .or_insert(way);
            *link = way.min(*link);
        }
        for (a, b) in served.difference(&measured) {
            let problem = format!("has no length for the segment {a} - {b}; add it");
            problems.add(format!("line `{}`", line.route), problem);
        }
    }
}

fn ordered<'a>(a: &'a StopId, b: &'a StopId) -> (&'a StopId, &'a StopId) {
    if a <= b { (a, b) } else { (b, a) }
}

/// Shortest ways between every two stations that are joined.
#[derive(Debug)]
pub(crate) struct Ways(BTreeMap<StopId, BTreeMap<StopId, Way>>);

impl Ways {
    /// Most stations a network may have; all pairs are computed when it is loaded.
    pub(crate) const MAX_STATIONS: usize = 500;

    /// All of them (Floyd and Warshall), so that a fare is one look-up at the gate.
    pub(crate) fn new(links: &Links) -> Self {
        let mut ways: BTreeMap<StopId, BTreeMap<StopId, Way>> = BTreeMap::new();
        for ((a, b), way) in &links.0 {
            ways.entry(a.clone()).or_default().insert(b.clone(), *way);
            ways.entry(b.clone()).or_default().insert(a.clone(), *way);
        }
        let stops: Vec<StopId> = ways.keys().cloned().collect();
        for via in &stops {
            let onward = ways.get(via).cloned().unwrap_or_default();
            for (from, reached) in &mut ways {
                let Some(first) = reached.get(via).copied() else {
                    continue;
                };
                for (to, second) in onward.iter().filter(|(to, _)| *to != from) {
                    let way = Way {
                        metres: first.metres.saturating_add(second.metres),
                        derived: first.derived || second.derived,
                    };
                    let known = reached.entry(to.clone()).or_insert(way);
                    *known = way.min(*known);
                }
            }
        }
        Self(ways)
    }

    pub(crate) fn get(&self, from: &StopId, to: &StopId) -> Option<Way> {
        let reached = self.0.get(from)?;
        if from == to {
            return Some(Way {
                metres: 0,
                derived: false,
            });
        }
        reached.get(to).copied()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Way> {
        self.0.values().flat_map(BTreeMap::values)
    }
}
