//! GTFS-Fares V1: fare_attributes.txt and fare_rules.txt.
//!
//! A fare covers rides when one of its rules does; a fare without rules covers any. A rule's filled
//! fields must all fit: the route of every ride, the zone of the first stop, the zone of the last
//! stop, and the zones passed (reference: "all `contains_id` zones must be matched"; a zone more is
//! another itinerary). Rows that differ in `contains_id` only are one rule, as are rows that differ
//! in `route_id` only: who changes within the fare may use all of its routes.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    findings::Findings,
    money::Currency,
    network::{Network, RouteIx, dangling, once, spec},
    ride::{Charge, Payment, Run, Timed},
    rows,
    source::Files,
};

type Zone = Box<str>;

#[derive(Debug)]
struct Rule {
    /// Position of its fare.
    fare: usize,
    line: u64,
    /// `None`: any.
    routes: Option<BTreeSet<RouteIx>>,
    /// Empty: any.
    contains: BTreeSet<Zone>,
}

#[derive(Debug)]
struct Fare {
    id: Box<str>,
    line: u64,
    minor: i64,
    currency: Currency,
    /// `None`: any.
    agency: Option<Box<str>>,
    /// Most changes; `None`: no limit.
    transfers: Option<u32>,
    seconds: Option<u32>,
    /// Without any it covers every ride.
    ruled: bool,
}

/// Zones that a rule asks for at both ends; `None`: any.
type Ends = (Option<Zone>, Option<Zone>);

/// The fares of a feed.
#[derive(Debug, Default)]
pub(super) struct Fares {
    fares: Vec<Fare>,
    /// By the zones at both ends: an operator's zone matrix has thousands of rules.
    rules: BTreeMap<Ends, Vec<Rule>>,
    pub(super) currencies: Vec<Currency>,
    /// Whether any rule asks for the zones passed.
    pub(super) by_zones_passed: bool,
}

impl Fares {
    pub(super) fn any(&self) -> bool {
        !self.fares.is_empty()
    }

    pub(super) fn read(files: &Files, network: &Network, findings: &mut Findings) -> Self {
        let mut fares = Self::default();
        let mut seen = BTreeMap::new();
        let file = spec("fare_attributes.txt");
        rows::read(files, file, findings, |row, findings| {
            let agency = row.some("agency_id");
            match &agency {
                None if network.agency_count > 1 => {
                    let remedy = "write it: the feed has several agencies";
                    findings.error(row.at("agency_id"), "the value is missing", remedy);
                }
                Some(id) if !network.agencies.contains(id) => {
                    dangling(row, "agency_id", "agency.txt", findings);
                }
                _ => {}
            }
            if row.text("price").starts_with('-') {
                let remedy = "a fare costs 0 or more";
                findings.error(row.at("price"), "is negative", remedy);
            }
            let price = rows::amount(row, ("price", "currency_type"), false, findings);
            let id: Box<str> = row.text("fare_id").into();
            let new = once(&mut seen, id.clone(), row, "fare_id", findings);
            // A fare without a price stays known, so that its rules are not called strays.
            let (minor, currency) = price.unwrap_or((0, Currency::NONE));
            if new {
                if !fares.currencies.contains(&currency) {
                    fares.currencies.push(currency);
                }
                fares.fares.push(Fare {
                    id,
                    line: row.line,
                    minor,
                    currency,
                    agency: agency.filter(|_| network.agency_count > 1),
                    transfers: row.number("transfers"),
                    seconds: row.number("transfer_duration"),
                    ruled: false,
                });
            }
        });
        fares.read_rules(files, network, findings);
        fares
    }

    fn read_rules(&mut self, files: &Files, network: &Network, findings: &mut Findings) {
        let zones: BTreeSet<&str> = network
            .stops
            .iter()
            .filter_map(|s| s.zone.as_deref())
            .collect();
        let by_id: BTreeMap<Box<str>, usize> = (0..)
            .zip(&self.fares)
            .map(|(ix, fare)| (fare.id.clone(), ix))
            .collect();
        let mut seen = BTreeMap::new();
        // Rows that differ in contains_id only, then those that differ in route_id only.
        type Key = (usize, Option<RouteIx>, Ends);
        let mut passing: BTreeMap<Key, (u64, BTreeSet<Zone>)> = BTreeMap::new();
        let file = spec("fare_rules.txt");
        rows::read(files, file, findings, |row, findings| {
            const FIELDS: [&str; 5] = [
                "fare_id",
                "route_id",
                "origin_id",
                "destination_id",
                "contains_id",
            ];
            let key = FIELDS.map(|field| row.text(field).to_owned());
            if !once(&mut seen, key, row, "fare_id", findings) {
                return;
            }
            for field in ["origin_id", "destination_id", "contains_id"] {
                let zone = row.text(field);
                if !zones.contains(zone) {
                    dangling(row, field, "stops.txt as a zone_id", findings);
                }
            }
            let route = network.route_ix.get(row.text("route_id")).copied();
            if route.is_none() {
                dangling(row, "route_id", "routes.txt", findings);
            }
            let Some(fare) = by_id.get(row.text("fare_id")) else {
                dangling(row, "fare_id", "fare_attributes.txt", findings);
                return;
            };
            let ends = (row.some("origin_id"), row.some("destination_id"));
            let key = (*fare, route, ends);
            let rule = passing.entry(key).or_insert((row.line, BTreeSet::new()));
            rule.1.extend(row.some("contains_id"));
        });
        let mut rules: BTreeMap<(usize, Ends, BTreeSet<Zone>, bool), Rule> = BTreeMap::new();
        for ((fare, route, ends), (line, contains)) in passing {
            self.fares[fare].ruled = true;
            self.by_zones_passed |= !contains.is_empty();
            let key = (fare, ends, contains.clone(), route.is_some());
            let rule = rules.entry(key).or_insert(Rule {
                fare,
                line,
                routes: route.map(|_| BTreeSet::new()),
                contains,
            });
            rule.line = rule.line.min(line);
            if let Some(routes) = &mut rule.routes {
                routes.extend(route);
            }
        }
        for ((_, ends, ..), rule) in rules {
            self.rules.entry(ends).or_default().push(rule);
        }
    }

    /// Routes that rules or agencies ask for by name.
    pub(super) fn asks_for(&self, network: &Network, route: RouteIx) -> bool {
        let agency = network
            .routes
            .get(route as usize)
            .and_then(|r| r.agency.as_ref());
        let named = |rule: &Rule| rule.routes.as_ref().is_some_and(|r| r.contains(&route));
        let run = |fare: &Fare| fare.agency.is_some() && fare.agency.as_ref() == agency;
        self.fares.iter().any(run) || self.rules.values().flatten().any(named)
    }

    /// All sensible ways to pay: the rides are cut into parts, each paid by one fare, the cheapest
    /// or the dearest that covers it. (Nothing between these can be the best or the worst.)
    pub(super) fn payments(&self, network: &Network, rides: &[Timed<'_>]) -> Vec<Payment> {
        let mut done = Vec::new();
        self.pay(network, rides, Vec::new(), None, &mut done);
        let mut singles = BTreeMap::new();
        for ride in rides {
            for (fare, _) in self.covering(network, std::slice::from_ref(ride)) {
                let least = singles
                    .entry((fare.currency, ride.starts))
                    .or_insert(fare.minor);
                *least = fare.minor.min(*least);
            }
        }
        for payment in &mut done {
            let own = singles.iter().filter(|((c, _), _)| *c == payment.currency);
            payment.separate = own.map(|(_, minor)| minor).sum();
        }
        done
    }

    fn pay(
        &self,
        network: &Network,
        rides: &[Timed<'_>],
        paid: Vec<Charge>,
        currency: Option<Currency>,
        done: &mut Vec<Payment>,
    ) {
        if rides.is_empty() {
            done.extend(currency.map(|currency| Payment {
                currency,
                charges: paid,
                separate: 0,
            }));
            return;
        }
        for cut in 1..=rides.len() {
            let (part, rest) = rides.split_at(cut);
            for (fare, line) in self.extremes(network, part) {
                if currency.is_some_and(|known| known != fare.currency) {
                    continue;
                }
                let mut paid = paid.clone();
                paid.push(fare.charge(line, cut));
                self.pay(network, rest, paid, Some(fare.currency), done);
            }
        }
    }

    /// The cheapest and the dearest covering fare of each currency.
    fn extremes<'a>(
        &'a self,
        network: &Network,
        part: &[Timed<'_>],
    ) -> Vec<(&'a Fare, Option<u64>)> {
        let mut best: BTreeMap<Currency, (&Fare, Option<u64>)> = BTreeMap::new();
        let mut worst = best.clone();
        for (fare, line) in self.covering(network, part) {
            let kept = best.entry(fare.currency).or_insert((fare, line));
            if fare.minor < kept.0.minor {
                *kept = (fare, line);
            }
            let kept = worst.entry(fare.currency).or_insert((fare, line));
            if fare.minor > kept.0.minor {
                *kept = (fare, line);
            }
        }
        worst.retain(|currency, (fare, _)| best[currency].0.minor != fare.minor);
        best.into_values().chain(worst.into_values()).collect()
    }

    /// Every fare that pays for these rides together, with the line of the rule that says so.
    fn covering(&self, network: &Network, part: &[Timed<'_>]) -> Vec<(&Fare, Option<u64>)> {
        let zone = |stop| {
            network
                .stops
                .get(stop as usize)
                .and_then(|s| s.zone.clone())
        };
        let origin = part.first().and_then(|timed| zone(timed.ride.from));
        let destination = part.last().and_then(|timed| zone(timed.ride.to));
        let passed: Option<BTreeSet<&Zone>> = part
            .iter()
            .map(|timed| timed.ride.zones.as_ref())
            .collect::<Option<Vec<_>>>()
            .map(|sets| sets.into_iter().flatten().collect());
        let passes = |rule: &Rule| {
            rule.contains.is_empty()
                || passed
                    .as_ref()
                    .is_some_and(|p| p.iter().copied().eq(&rule.contains))
        };
        let ends: BTreeSet<Ends> = [None, origin]
            .into_iter()
            .flat_map(|from| [None, destination.clone()].map(|to| (from.clone(), to)))
            .collect();
        let mut lines: BTreeMap<usize, u64> = BTreeMap::new();
        for rule in ends
            .iter()
            .filter_map(|ends| self.rules.get(ends))
            .flatten()
        {
            if rule.fits_routes(part) && passes(rule) {
                let line = lines.entry(rule.fare).or_insert(rule.line);
                *line = rule.line.min(*line);
            }
        }
        (0..)
            .zip(&self.fares)
            .filter(|(ix, fare)| !fare.ruled || lines.contains_key(ix))
            .filter(|(_, fare)| fare.allows(network, part))
            .map(|(ix, fare)| (fare, lines.get(&ix).copied()))
            .collect()
    }
}

impl Rule {
    fn fits_routes(&self, part: &[Timed<'_>]) -> bool {
        self.routes.as_ref().is_none_or(|routes| {
            part.iter().all(|timed| match timed.ride.run {
                Run::Route(route) => routes.contains(&route),
                Run::Network(_) | Run::Any => false,
            })
        })
    }
}

impl Fare {
    /// Agency, number of changes and time.
    fn allows(&self, network: &Network, part: &[Timed<'_>]) -> bool {
        let changes = part.len() as u32 - 1;
        // The clock runs from boarding to the last boarding; a ticket for one ride is valid for it.
        let elapsed = match part {
            [first, .., last] => last.starts - first.starts,
            _ => 0,
        };
        let ours = |timed: &Timed<'_>| match (&self.agency, &timed.ride.run) {
            (None, _) => true,
            (Some(agency), Run::Route(route)) => {
                let route = network.routes.get(*route as usize);
                route.is_some_and(|r| r.agency.as_ref() == Some(agency))
            }
            (Some(_), _) => false,
        };
        self.transfers.is_none_or(|most| changes <= most)
            && self.seconds.is_none_or(|most| elapsed <= most)
            && part.iter().all(ours)
    }

    fn charge(&self, rule: Option<u64>, rides: usize) -> Charge {
        let why = match rides {
            1 => format!("fare {}", self.id),
            _ => format!("fare {} for {rides} rides", self.id),
        };
        Charge {
            file: if rule.is_some() {
                "fare_rules.txt"
            } else {
                "fare_attributes.txt"
            },
            line: rule.unwrap_or(self.line),
            product: self.id.clone(),
            minor: self.minor,
            why,
        }
    }
}
