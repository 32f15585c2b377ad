//! Networks with gates 有闸机的线网: metro and BRT, from entry to exit.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    CityCode, EntryTerms, FareState, LegClass, LegMark, MetroEntry, MetroRide, OperatorId,
    PriorLeg, Quote, QuoteError, Rider, Route, Stop, StopId, TariffRef, ZoneId, clock,
    contract::ScopedLeg,
    discount::Discount,
    gtfs::Feed,
    network::{Links, Ways},
    problems::Problems,
    quote::Bill,
    ride::{CityRules, Leg},
    scale::{Basis, Scale},
    schema::{EntryBalance, GateClass, MetroFile, SameStation},
    window::{self, Held, TimeWindow},
};
use card_spec::{Fen, time::CardTime};

/// The card that stands before the gate.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    pub(crate) rider: Rider,
    pub(crate) prior: Option<&'a PriorLeg>,
    pub(crate) state: Option<&'a FareState>,
}

impl<'a> Presented<'a> {
    pub(crate) const fn of_entry(entry: &'a MetroEntry) -> Self {
        Self {
            rider: entry.rider,
            prior: entry.prior.as_ref(),
            state: entry.state.as_ref(),
        }
    }
}

/// A price that no pair of stations makes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fixed {
    Lowest,
    Highest,
}

/// Whether the stay limit is looked at: a time bypass waives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StayLimit {
    Holds,
    Waived,
}

/// The tariff and network of an operator with gates: metro, BRT.
#[derive(Debug)]
pub(crate) struct MetroTariff {
    pub(crate) tariff: TariffRef,
    pub(crate) operator: OperatorId,
    pub(crate) city: CityCode,
    class: LegClass,
    scale: Scale,
    peak: Vec<TimeWindow>,
    entry_balance: EntryBalance,
    stay_limit_seconds: Option<i64>,
    pub(crate) double_tap_seconds: i64,
    pub(crate) correction_days: u16,
    same_station: SameStation,
    pub(crate) discounts: Vec<Discount>,
    routes: Vec<Route>,
    stops: BTreeMap<StopId, Stop>,
}

impl MetroTariff {
    pub(crate) fn new(problems: &mut Problems<'_>, raw: MetroFile, feed: &Feed) -> Option<Self> {
        let class = match raw.class {
            GateClass::Metro => LegClass::Metro,
            GateClass::Brt => LegClass::Brt,
        };
        let by_zones = !raw.zone.is_empty();
        if by_zones != raw.band.is_empty() {
            let problem = "a network is priced by distance (`band`) or by zones (`zone`)";
            problems.add("band", problem);
        }
        let mut routes: Vec<Route> = Vec::new();
        let mut links = Links::default();
        let mut served = BTreeSet::new();
        for line in &raw.line {
            let field = format!("line `{}`", line.route);
            let Some(known) = feed.route_of(&raw.operator, &line.route) else {
                problems.add(field, feed.no_route_of(&raw.operator));
                continue;
            };
            if !by_zones {
                links.add(problems, line, known);
            } else if !line.segment.is_empty() {
                let problem = "zones make the fare; leave the segments out";
                problems.add(format!("{field}, segment"), problem);
            }
            served.extend(known.patterns.iter().flatten().cloned());
            let taken = routes.iter().any(|r| r.code == line.code);
            if line.code.0 == 0 || line.code.metro_byte().is_none() || taken {
                let problem = "must be unique, from 1 to 255: record 1A has one byte for it";
                problems.add(format!("{field}, code"), problem);
            }
            let route = Route::new(line.route.clone(), line.code, class, known);
            routes.push(route);
        }
        for discount in &raw.discount {
            discount.check(problems);
        }
        if served.len() > Ways::MAX_STATIONS {
            let problem = format!("has more than {} stations", Ways::MAX_STATIONS);
            problems.add("line", problem);
            return None;
        }
        let scale = if by_zones {
            Scale::by_zones(problems, &raw.zone, &raw.zone_fare, &served)
        } else {
            Scale::by_distance(problems, &raw.band, raw.tail, Ways::new(&links))?
        };
        let stops = served
            .into_iter()
            .filter_map(|id| Some((id.clone(), feed.stops.get(&id)?.clone())))
            .collect();
        Some(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            operator: raw.operator,
            city: raw.city.into(),
            class,
            scale,
            peak: raw.peak,
            entry_balance: raw.entry_balance,
            stay_limit_seconds: raw.stay_limit_minutes.map(|m| i64::from(m) * 60),
            double_tap_seconds: raw.double_tap_seconds.into(),
            correction_days: raw.correction_days,
            same_station: raw.same_station,
            discounts: raw.discount,
            routes,
            stops,
        })
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    pub(crate) fn stops(&self) -> impl Iterator<Item = &Stop> {
        self.stops.values()
    }

    pub(crate) fn has_zone(&self, id: &ZoneId) -> bool {
        self.scale.has_zone(id)
    }

    pub(crate) fn distance_fare(&self, metres: u32) -> Option<Fen> {
        self.scale.distance_fare(metres)
    }

    /// The highest single fare, peak or not, undiscounted.
    pub(crate) fn highest(&self) -> Fen {
        self.scale.highest(false).max(self.scale.highest(true))
    }

    pub(crate) fn stop(&self, id: &StopId) -> Result<&Stop, QuoteError> {
        self.stops
            .get(id)
            .ok_or_else(|| QuoteError::Stop(self.operator.clone(), id.clone()))
    }

    /// Prices a leg whose base price stands in the bill.
    fn price(
        &self,
        bill: &Bill,
        who: &Presented<'_>,
        (starts, ends): (CardTime, CardTime),
        zones: Option<[&ZoneId; 2]>,
        rules: CityRules<'_>,
    ) -> Quote {
        let leg = ScopedLeg {
            operator: &self.operator,
            class: self.class,
            route: None,
            zones,
        };
        Leg {
            tariff: &self.tariff,
            discounts: &self.discounts,
            rules,
            city: self.city,
            leg,
            rider: who.rider,
            prior: who.prior,
            state: (who.state.copied())
                .filter(|state| state.city == self.city)
                .map(|state| state.believed(starts, ends)),
            starts,
            ends,
            uses_calendar: self.peak(starts, rules).uses_calendar,
        }
        .price(bill)
    }

    fn peak(&self, at: CardTime, rules: CityRules<'_>) -> Held {
        window::any(&self.peak, rules.calendar, at)
    }

    /// A journey at a price that no pair of stations makes: what a missing exit costs, a bypass.
    pub(crate) fn fixed(
        &self,
        which: Fixed,
        who: &Presented<'_>,
        at: CardTime,
        rules: CityRules<'_>,
    ) -> Quote {
        let peak = self.peak(at, rules).holds;
        let (rule, zh, en, fare) = match which {
            Fixed::Lowest => ("lowest", "最低票价", "lowest fare", self.scale.lowest(peak)),
            Fixed::Highest => (
                "highest",
                "线网最高单程票价",
                "highest single fare of the network",
                self.scale.highest(peak),
            ),
        };
        let mut bill = Bill::new();
        let (zh, en) = (format!("{zh}{fare}元"), format!("{en}: {fare}"));
        bill.add(&self.tariff.id, rule, zh, en, fare);
        self.price(&bill, who, (at, at), None, rules)
    }

    pub(crate) fn entry(
        &self,
        entry: &MetroEntry,
        rules: CityRules<'_>,
    ) -> Result<EntryTerms, QuoteError> {
        self.stop(&entry.stop)?;
        let who = Presented::of_entry(entry);
        // A transfer discount is not counted on: the highest fare is the one without.
        let alone = Presented { prior: None, ..who };
        let maximum = self.fixed(Fixed::Highest, &alone, entry.at, rules).amount;
        let least = match (self.entry_balance, self.same_station) {
            (EntryBalance::Highest, _) => maximum,
            (EntryBalance::Lowest, SameStation::Lowest) => {
                self.fixed(Fixed::Lowest, &who, entry.at, rules).amount
            }
            (EntryBalance::Lowest, SameStation::Free) => Fen::ZERO,
        };
        Ok(EntryTerms {
            maximum,
            least,
            leg: LegMark::carried(entry.prior.as_ref(), self.city, entry.at),
            tariff: self.tariff.clone(),
        })
    }

    pub(crate) fn quote(
        &self,
        ride: &MetroRide,
        limit: StayLimit,
        rules: CityRules<'_>,
    ) -> Result<Quote, QuoteError> {
        let from = self.stop(&ride.from_stop)?;
        let to = self.stop(&ride.to_stop)?;
        let stay = clock::seconds(ride.exited_at) - clock::seconds(ride.entered_at);
        if stay < 0 {
            return Err(QuoteError::TimeOrder);
        }
        let peak = self.peak(ride.entered_at, rules).holds;
        let mut bill = Bill::new();
        let (fare, basis) = self.scale.fare(&from.id, &to.id, peak)?;
        let zones = match basis {
            Basis::Zones(zones) => Some(zones),
            Basis::Distance(_) => None,
        };
        if from.id == to.id {
            self.same_station_step(&mut bill, from, fare);
        } else {
            self.fare_step(&mut bill, [from, to], basis, fare, peak);
        }
        let fare = bill.total();
        let highest = self.scale.highest(peak);
        let over =
            limit == StayLimit::Holds && self.stay_limit_seconds.is_some_and(|limit| stay > limit);
        if over && highest > fare {
            let minutes = stay / 60;
            bill.add(
                &self.tariff.id,
                "overstay",
                format!("超时{minutes}分钟，按线网单程最高票价{highest}元"),
                format!("{minutes} min inside, over the limit: highest single fare {highest}"),
                highest - fare,
            );
        }
        let times = (ride.entered_at, ride.exited_at);
        let who = Presented {
            rider: ride.rider,
            prior: ride.prior.as_ref(),
            state: ride.state.as_ref(),
        };
        Ok(self.price(&bill, &who, times, zones, rules))
    }

    fn same_station_step(&self, bill: &mut Bill, at: &Stop, fare: Fen) {
        let fare = match self.same_station {
            SameStation::Lowest => fare,
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

    fn fare_step(
        &self,
        bill: &mut Bill,
        [from, to]: [&Stop; 2],
        basis: Basis<'_>,
        fare: Fen,
        peak: bool,
    ) {
        let (peak_zh, peak_en) = if peak { ("高峰", "peak ") } else { ("", "") };
        let (rule, zh, en) = match basis {
            Basis::Distance(way) => {
                let (km, m) = (way.metres / 1000, way.metres % 1000);
                let (zh, en) = if way.derived {
                    ("（推算里程）", ", derived length")
                } else {
                    ("", "")
                };
                (
                    "distance",
                    format!("{km}.{m:03}公里{zh}"),
                    format!(", {km}.{m:03} km{en}"),
                )
            }
            Basis::Zones([a, b]) => (
                "zones",
                format!("（{a}区至{b}区）"),
                format!(", zone {a} to {b}"),
            ),
        };
        bill.add(
            &self.tariff.id,
            rule,
            format!("{}至{}{zh}，{peak_zh}票价{fare}元", from.zh, to.zh),
            format!("{} to {}{en}: {peak_en}{fare}", from.en, to.en),
            fare,
        );
    }
}
