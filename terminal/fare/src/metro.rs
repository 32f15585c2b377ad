//! Metro: distance fares over a network.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, FareError, LegClass, LegMark, OperatorId, PriorLeg, Quote, QuoteError, Rider, Route,
    Status, Stop, StopId, TariffRef,
    calendar::Calendar,
    clock,
    discount::Discount,
    gtfs::Feed,
    quote::Bill,
    ride::Leg,
    schema::{Band, MetroFile, SameStation, Tail},
    transfer::Transfers,
};

/// A journey from gate to gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetroRide {
    /// Who runs the metro.
    pub operator: OperatorId,
    /// Station of entry.
    pub from_stop: StopId,
    /// Station of exit.
    pub to_stop: StopId,
    /// Time of entry: concessions and the transfer window are judged here.
    pub entered_at: CardTime,
    /// Time of exit.
    pub exited_at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The transfer window that was open at entry. [`PriorLeg::from_journey`] of the last record
    /// gives it at the entry gate, and at the exit gate from the record that the entry wrote.
    pub prior: Option<PriorLeg>,
}

/// A tap at an entry gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetroEntry {
    /// Who runs the metro.
    pub operator: OperatorId,
    /// Station.
    pub stop: StopId,
    /// When.
    pub at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The open transfer window, from the card's last journey record.
    pub prior: Option<PriorLeg>,
}

/// What an entry gate needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryTerms {
    /// The highest fare this rider can come to: what a missing exit costs (record 1A's maximum).
    pub maximum: Fen,
    /// The lowest fare this rider can come to: less than this on the card and the gate stays shut.
    pub least: Fen,
    /// What the entry's journey record says: a running window is carried to the exit.
    pub leg: LegMark,
    /// The tariff.
    pub tariff: TariffRef,
}

/// A way between two stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    metres: u32,
    /// Whether any segment of it has a derived length.
    derived: bool,
}

/// Distance to fare.
#[derive(Debug)]
struct Scale {
    bands: Vec<Band>,
    tail: Tail,
}

impl Scale {
    fn new(file: &str, bands: Vec<Band>, tail: Tail) -> Result<Self, FareError> {
        let rising = bands
            .windows(2)
            .all(|w| w[0].up_to_m < w[1].up_to_m && w[0].fare.0 <= w[1].fare.0);
        if bands.is_empty() || !rising {
            return Err(FareError::field(
                file,
                "band",
                "needs at least one band, with rising edges and fares that do not fall",
            ));
        }
        if tail.every_m == 0 {
            return Err(FareError::field(file, "tail.every_m", "must be above zero"));
        }
        Ok(Self { bands, tail })
    }

    /// The fare for a distance; edges are inclusive.
    fn fare(&self, metres: u32) -> Fen {
        let (mut edge, mut fare) = (0, Fen::ZERO);
        for band in &self.bands {
            (edge, fare) = (band.up_to_m, band.fare.0);
            if metres <= edge {
                return fare;
            }
        }
        let started = (metres - edge).div_ceil(self.tail.every_m);
        fare + Fen(i64::from(started) * self.tail.add.0.0)
    }
}

/// A metro operator's tariff and network.
#[derive(Debug)]
pub(crate) struct MetroTariff {
    tariff: TariffRef,
    pub(crate) city: CityCode,
    scale: Scale,
    stay_limit_seconds: Option<i64>,
    same_station: SameStation,
    discounts: Vec<Discount>,
    routes: Vec<Route>,
    stops: BTreeMap<StopId, Stop>,
    /// Shortest ways between every two stations that are joined.
    ways: BTreeMap<(StopId, StopId), Way>,
    highest: Fen,
}

impl MetroTariff {
    /// Most stations a network may have; all pairs are computed when it is loaded.
    const MAX_STATIONS: usize = 500;

    pub(crate) fn new(file: &str, raw: MetroFile, feed: &Feed) -> Result<Self, FareError> {
        let mut routes: Vec<Route> = Vec::new();
        let mut links = BTreeMap::new();
        for line in &raw.line {
            let field = || format!("line `{}`", line.route);
            let known = feed
                .routes
                .get(&line.route)
                .filter(|r| r.agency == raw.operator)
                .ok_or_else(|| {
                    let problem = format!(
                        "{}routes.txt has no such route of {}",
                        feed.dir, raw.operator
                    );
                    FareError::field(file, field(), problem)
                })?;
            let served: BTreeSet<(&StopId, &StopId)> = known
                .patterns
                .iter()
                .flat_map(|p| p.windows(2).map(|w| ordered(&w[0], &w[1])))
                .collect();
            let mut measured = BTreeSet::new();
            for segment in &line.segment {
                let pair = ordered(&segment.from, &segment.to);
                let field = || format!("line `{}`, segment {} - {}", line.route, pair.0, pair.1);
                if !served.contains(&pair) {
                    let problem =
                        "no trip of the line runs between these stops without another between";
                    return Err(FareError::field(file, field(), problem));
                }
                if segment.metres == 0 || segment.metres > 100_000 {
                    let problem = "metres must lie between 1 and 100000";
                    return Err(FareError::field(file, field(), problem));
                }
                if !measured.insert(pair) {
                    return Err(FareError::field(file, field(), "appears twice"));
                }
                let way = Way {
                    metres: segment.metres,
                    derived: segment.status != Status::Published,
                };
                let link = links.entry((pair.0.clone(), pair.1.clone())).or_insert(way);
                *link = way.min(*link);
            }
            if let Some((a, b)) = served.difference(&measured).next() {
                let problem = format!("has no length for the segment {a} - {b}");
                return Err(FareError::field(file, field(), problem));
            }
            let taken = routes.iter().any(|r| r.code == line.code);
            if line.code.0 == 0 || line.code.metro_byte().is_none() || taken {
                let problem = "code must be unique, from 1 to 255: record 1A has one byte for it";
                return Err(FareError::field(file, field(), problem));
            }
            let route = Route::new(line.route.clone(), line.code, LegClass::Metro, known);
            routes.push(route);
        }
        for discount in &raw.discount {
            discount.check(file)?;
        }
        let ways = shortest_ways(file, &links)?;
        let stops: BTreeMap<StopId, Stop> = ways
            .keys()
            .filter_map(|(from, _)| Some((from.clone(), feed.stops.get(from)?.clone())))
            .collect();
        let scale = Scale::new(file, raw.band, raw.tail)?;
        let highest = ways
            .values()
            .map(|way| scale.fare(way.metres))
            .max()
            .unwrap_or_default();
        Ok(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            city: raw.city.into(),
            scale,
            stay_limit_seconds: raw.stay_limit_minutes.map(|m| i64::from(m) * 60),
            same_station: raw.same_station,
            discounts: raw.discount,
            routes,
            stops,
            ways,
            highest,
        })
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    pub(crate) fn stops(&self) -> impl Iterator<Item = &Stop> {
        self.stops.values()
    }

    pub(crate) fn distance_fare(&self, metres: u32) -> Fen {
        self.scale.fare(metres)
    }

    pub(crate) fn highest(&self) -> Fen {
        self.highest
    }

    fn stop(&self, operator: &OperatorId, id: &StopId) -> Result<&Stop, QuoteError> {
        self.stops
            .get(id)
            .ok_or_else(|| QuoteError::Stop(operator.clone(), id.clone()))
    }

    fn leg<'a>(
        &'a self,
        rider: Rider,
        (starts, ends): (CardTime, CardTime),
        prior: Option<&'a PriorLeg>,
        transfers: Option<&'a Transfers>,
        calendar: &'a Calendar,
    ) -> Leg<'a> {
        Leg {
            tariff: &self.tariff,
            discounts: &self.discounts,
            transfers,
            calendar,
            city: self.city,
            class: LegClass::Metro,
            rider,
            prior,
            starts,
            ends,
        }
    }

    pub(crate) fn entry(
        &self,
        entry: &MetroEntry,
        transfers: Option<&Transfers>,
        calendar: &Calendar,
    ) -> Result<EntryTerms, QuoteError> {
        self.stop(&entry.operator, &entry.stop)?;
        let price = |fare: Fen, prior| {
            let mut bill = Bill::new();
            bill.add(&self.tariff.id, "entry", String::new(), String::new(), fare);
            let times = (entry.at, entry.at);
            self.leg(entry.rider, times, prior, transfers, calendar)
                .price(bill)
                .amount
        };
        let least = match self.same_station {
            SameStation::Lowest => price(self.scale.fare(0), entry.prior.as_ref()),
            SameStation::Free => Fen::ZERO,
        };
        Ok(EntryTerms {
            maximum: price(self.highest, None),
            least,
            leg: LegMark::carried(entry.prior.as_ref(), self.city, entry.at),
            tariff: self.tariff.clone(),
        })
    }

    pub(crate) fn quote(
        &self,
        ride: &MetroRide,
        transfers: Option<&Transfers>,
        calendar: &Calendar,
    ) -> Result<Quote, QuoteError> {
        let from = self.stop(&ride.operator, &ride.from_stop)?;
        let to = self.stop(&ride.operator, &ride.to_stop)?;
        let stay = clock::seconds(ride.exited_at) - clock::seconds(ride.entered_at);
        if stay < 0 {
            return Err(QuoteError::TimeOrder);
        }
        let mut bill = Bill::new();
        if from.id == to.id {
            self.same_station_step(&mut bill, from);
        } else {
            let way = self
                .ways
                .get(&(from.id.clone(), to.id.clone()))
                .ok_or_else(|| QuoteError::NoPath(from.id.clone(), to.id.clone()))?;
            self.distance_step(&mut bill, from, to, *way);
        }
        let fare = bill.total();
        if self.stay_limit_seconds.is_some_and(|limit| stay > limit) && self.highest > fare {
            bill.add(
                &self.tariff.id,
                "overstay",
                format!(
                    "超时{}分钟，按线网单程最高票价{}元",
                    stay / 60,
                    self.highest
                ),
                format!(
                    "{} min inside, over the limit: highest single fare {}",
                    stay / 60,
                    self.highest
                ),
                self.highest - fare,
            );
        }
        let times = (ride.entered_at, ride.exited_at);
        Ok(self
            .leg(ride.rider, times, ride.prior.as_ref(), transfers, calendar)
            .price(bill))
    }

    fn same_station_step(&self, bill: &mut Bill, at: &Stop) {
        let fare = match self.same_station {
            SameStation::Lowest => self.scale.fare(0),
            SameStation::Free => Fen::ZERO,
        };
        bill.add(
            &self.tariff.id,
            "same-station",
            format!("{}同站进出，收{fare}元", at.zh),
            format!("entered and left at {}: {fare}", at.en),
            fare,
        );
    }

    fn distance_step(&self, bill: &mut Bill, from: &Stop, to: &Stop, way: Way) {
        let fare = self.scale.fare(way.metres);
        let (km, m) = (way.metres / 1000, way.metres % 1000);
        let (zh, en) = if way.derived {
            ("（推算里程）", ", derived length")
        } else {
            ("", "")
        };
        bill.add(
            &self.tariff.id,
            "distance",
            format!("{}至{}{km}.{m:03}公里{zh}，票价{fare}元", from.zh, to.zh),
            format!("{} to {}, {km}.{m:03} km{en}: {fare}", from.en, to.en),
            fare,
        );
    }
}

fn ordered<'a>(a: &'a StopId, b: &'a StopId) -> (&'a StopId, &'a StopId) {
    if a <= b { (a, b) } else { (b, a) }
}

/// All shortest ways (Floyd and Warshall), so that a fare is one look-up at the gate.
fn shortest_ways(
    file: &str,
    links: &BTreeMap<(StopId, StopId), Way>,
) -> Result<BTreeMap<(StopId, StopId), Way>, FareError> {
    let stops: BTreeSet<&StopId> = links.keys().flat_map(|(a, b)| [a, b]).collect();
    if stops.len() > MetroTariff::MAX_STATIONS {
        let problem = format!("at most {} stations", MetroTariff::MAX_STATIONS);
        return Err(FareError::field(file, "line", problem));
    }
    let mut ways: BTreeMap<&StopId, BTreeMap<&StopId, Way>> = BTreeMap::new();
    for ((a, b), way) in links {
        ways.entry(a).or_default().insert(b, *way);
        ways.entry(b).or_default().insert(a, *way);
    }
    for via in &stops {
        let onward = ways.get(via).cloned().unwrap_or_default();
        for (from, reached) in &mut ways {
            let Some(first) = reached.get(via).copied() else {
                continue;
            };
            for (to, second) in &onward {
                if to == from {
                    continue;
                }
                let way = Way {
                    metres: first.metres.saturating_add(second.metres),
                    derived: first.derived || second.derived,
                };
                let known = reached.entry(to).or_insert(way);
                *known = way.min(*known);
            }
        }
    }
    Ok(ways
        .into_iter()
        .flat_map(|(from, reached)| {
            reached
                .into_iter()
                .map(move |(to, way)| ((from.clone(), to.clone()), way))
        })
        .collect())
}
