//! From two stations to a fare: by distance or by zones, peak or not.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::Fen;

use crate::{
    QuoteError, StopId, ZoneId,
    network::{Way, Ways},
    problems::Problems,
    schema::{Band, Tail, Yuan, Zone, ZoneFare},
};

/// A fare and, where it differs, the fare in the peak.
#[derive(Debug, Clone, Copy)]
struct Price {
    fare: Fen,
    peak: Fen,
}

impl Price {
    fn new(fare: Yuan, peak: Option<Yuan>) -> Self {
        Self {
            fare: fare.0,
            peak: peak.unwrap_or(fare).0,
        }
    }

    const fn at(self, peak: bool) -> Fen {
        if peak { self.peak } else { self.fare }
    }
}

/// Distance to fare.
#[derive(Debug)]
struct Bands {
    /// Upper edges, inclusive, metres.
    bands: Vec<(u32, Price)>,
    tail: Tail,
}

impl Bands {
    fn new(problems: &mut Problems<'_>, bands: &[Band], tail: Tail) -> Option<Self> {
        let bands: Vec<(u32, Price)> = bands
            .iter()
            .map(|band| (band.up_to_m, Price::new(band.fare, band.peak_fare)))
            .collect();
        for (i, ((edge, low), (next, high))) in bands.iter().zip(bands.iter().skip(1)).enumerate() {
            if edge >= next || low.fare > high.fare || low.peak > high.peak {
                let problem = "must have a higher edge than the band before, and no lower fare";
                problems.add(format!("band[{}]", i + 1), problem);
            }
        }
        if tail.every_m == 0 {
            problems.add("tail.every_m", "must be above zero");
            return None;
        }
        Some(Self { bands, tail })
    }

    /// The fare for a distance; edges are inclusive.
    fn fare(&self, metres: u32, peak: bool) -> Fen {
        let (mut edge, mut fare) = (0, Fen::ZERO);
        for (up_to, price) in &self.bands {
            (edge, fare) = (*up_to, price.at(peak));
            if metres <= edge {
                return fare;
            }
        }
        let started = (metres - edge).div_ceil(self.tail.every_m);
        fare + Fen(i64::from(started) * self.tail.add.0.0)
    }
}

/// How a gated network prices.
#[derive(Debug)]
pub(crate) struct Scale {
    kind: Kind,
    /// Of all pairs of stations: every quote asks for it.
    highest: Price,
}

#[derive(Debug)]
enum Kind {
    Distance {
        bands: Bands,
        ways: Ways,
    },
    Zones {
        of: BTreeMap<StopId, ZoneId>,
        fares: BTreeMap<(ZoneId, ZoneId), Price>,
    },
}

/// What a fare between two stations rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Basis<'a> {
    Distance(Way),
    Zones([&'a ZoneId; 2]),
}

impl Scale {
    fn new(kind: Kind) -> Self {
        let highest = |peak| {
            let highest = match &kind {
                Kind::Distance { bands, ways } => {
                    ways.all().map(|way| bands.fare(way.metres, peak)).max()
                }
                Kind::Zones { fares, .. } => fares.values().map(|price| price.at(peak)).max(),
            };
            highest.unwrap_or_default()
        };
        let highest = Price {
            fare: highest(false),
            peak: highest(true),
        };
        Self { kind, highest }
    }

    pub(crate) fn by_distance(
        problems: &mut Problems<'_>,
        bands: &[Band],
        tail: Option<Tail>,
        ways: Ways,
    ) -> Option<Self> {
        if tail.is_none() {
            problems.add("tail", "is missing beside `band`; add it");
        }
        let bands = Bands::new(problems, bands, tail?)?;
        Some(Self::new(Kind::Distance { bands, ways }))
    }

    /// Every stop of the network must lie in one zone, every two zones must have a fare.
    pub(crate) fn by_zones(
        problems: &mut Problems<'_>,
        zones: &[Zone],
        zone_fares: &[ZoneFare],
        stops: &BTreeSet<StopId>,
    ) -> Self {
        let mut of = BTreeMap::new();
        for zone in zones {
            for stop in &zone.stops {
                let field = format!("zone `{}`", zone.id);
                if !stops.contains(stop) {
                    problems.add(&*field, format!("`{stop}` is a stop of no trip"));
                }
                if of.insert(stop.clone(), zone.id.clone()).is_some() {
                    problems.add(field, format!("stop `{stop}` lies in two zones"));
                }
            }
        }
        for stop in stops.iter().filter(|stop| !of.contains_key(*stop)) {
            problems.add("zone", format!("stop `{stop}` lies in no zone"));
        }
        let mut fares = BTreeMap::new();
        for (i, row) in zone_fares.iter().enumerate() {
            let price = Price::new(row.fare, row.peak_fare);
            let [a, b] = &row.zones;
            for id in [a, b] {
                if !zones.iter().any(|zone| zone.id == *id) {
                    let problem = format!("`{id}` is no `zone` of this file; add or correct it");
                    problems.add(format!("zone_fare[{i}], zones"), problem);
                }
            }
            if fares.insert(pair(a, b), price).is_some() {
                problems.add(
                    format!("zone_fare[{i}]"),
                    format!("{a} - {b} appears twice"),
                );
            }
        }
        for (i, a) in zones.iter().enumerate() {
            for b in zones.iter().skip(i) {
                if !fares.contains_key(&pair(&a.id, &b.id)) {
                    let problem = format!("{} - {} is missing; add it", a.id, b.id);
                    problems.add("zone_fare", problem);
                }
            }
        }
        Self::new(Kind::Zones { of, fares })
    }

    /// The fare between two stations, and what it rests on. From a station to itself it is that of
    /// no distance, or within its zone.
    pub(crate) fn fare(
        &self,
        from: &StopId,
        to: &StopId,
        peak: bool,
    ) -> Result<(Fen, Basis<'_>), QuoteError> {
        let priced = match &self.kind {
            Kind::Distance { bands, ways } => ways
                .get(from, to)
                .map(|way| (bands.fare(way.metres, peak), Basis::Distance(way))),
            Kind::Zones { of, fares } => of.get(from).zip(of.get(to)).and_then(|(a, b)| {
                let price = fares.get(&pair(a, b))?;
                Some((price.at(peak), Basis::Zones([a, b])))
            }),
        };
        priced.ok_or_else(|| QuoteError::NoPath(from.clone(), to.clone()))
    }

    /// Whether it prices by zones and has this one.
    pub(crate) fn has_zone(&self, id: &ZoneId) -> bool {
        match &self.kind {
            Kind::Distance { .. } => false,
            Kind::Zones { of, .. } => of.values().any(|zone| zone == id),
        }
    }

    /// The lowest fare of the network.
    pub(crate) fn lowest(&self, peak: bool) -> Fen {
        match &self.kind {
            Kind::Distance { bands, .. } => bands.fare(0, peak),
            Kind::Zones { fares, .. } => {
                let lowest = fares.values().map(|price| price.at(peak)).min();
                lowest.unwrap_or_default()
            }
        }
    }

    /// The fare for a distance; `None` where zones make the fare.
    pub(crate) fn distance_fare(&self, metres: u32) -> Option<Fen> {
        match &self.kind {
            Kind::Distance { bands, .. } => Some(bands.fare(metres, false)),
            Kind::Zones { .. } => None,
        }
    }

    /// The highest single fare between two stations of the network.
    pub(crate) const fn highest(&self, peak: bool) -> Fen {
        self.highest.at(peak)
    }
}

fn pair(a: &ZoneId, b: &ZoneId) -> (ZoneId, ZoneId) {
    if a <= b {
        (a.clone(), b.clone())
    } else {
        (b.clone(), a.clone())
    }
}
