//! Who runs where: agencies, stops, routes and their networks, the stop sequences of trips.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    calendar::Services,
    findings::{Findings, Place},
    rows::{self, Row},
    schema::{self, FileSpec},
    source::Files,
};

/// Position of a stop in [`Network::stops`].
pub(super) type StopIx = u32;
/// Position of a route in [`Network::routes`].
pub(super) type RouteIx = u32;

/// A row of stops.txt.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    /// `location_type` 0: the only places where riders board and alight.
    pub(super) boardable: bool,
    /// `location_type` 1.
    station: bool,
    pub(super) parent: Option<StopIx>,
    pub(super) zone: Option<Box<str>>,
}

/// A row of routes.txt.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) agency: Option<Box<str>>,
    pub(super) network: Option<Box<str>>,
    /// Whether any trip of it has stop_times.
    pub(super) timetabled: bool,
}

/// One halt of a pattern. Seconds are those of the first trip that runs the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) stop: StopIx,
    pub(super) board: bool,
    pub(super) alight: bool,
}

/// A stop sequence that at least one trip runs.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) route: RouteIx,
    pub(super) calls: Vec<Call>,
    /// Arrival and departure at each call, seconds of the service day.
    pub(super) times: Vec<(u32, u32)>,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) agencies: BTreeSet<Box<str>>,
    pub(super) agency_count: usize,
    pub(super) stops: Vec<Stop>,
    pub(super) stop_ix: BTreeMap<Box<str>, StopIx>,
    pub(super) routes: Vec<Route>,
    pub(super) route_ix: BTreeMap<Box<str>, RouteIx>,
    /// All networks that routes.txt or networks.txt define.
    pub(super) networks: BTreeSet<Box<str>>,
    pub(super) patterns: Vec<Pattern>,
    /// Stops that transfers.txt joins, in this direction.
    pub(super) walks: BTreeSet<(StopIx, StopIx)>,
}

/// The specification of a file of this module's; all of them are in the table.
pub(super) fn spec(name: &'static str) -> &'static FileSpec {
    const NONE: &FileSpec = &FileSpec {
        name: "",
        required: false,
        columns: &[],
    };
    schema::find(name).unwrap_or(NONE)
}

/// Reports a duplicate of a primary key.
pub(super) fn once<K: Ord>(
    seen: &mut BTreeMap<K, u64>,
    key: K,
    row: &Row<'_>,
    field: &str,
    findings: &mut Findings,
) -> bool {
    if !row.has(field) {
        return true;
    }
    if let Some(first) = seen.get(&key) {
        let problem = format!("repeats the key of line {first}");
        findings.error(row.at(field), problem, "remove one of the two rows");
        return false;
    }
    seen.insert(key, row.line);
    true
}

/// Reports a reference to nothing; that a value is missing is reported elsewhere.
pub(super) fn dangling(row: &Row<'_>, field: &str, file: &str, findings: &mut Findings) {
    if row.text(field).is_empty() {
        return;
    }
    let problem = format!("is not in {file}");
    findings.error(row.at(field), problem, "add it there or correct it here");
}

impl Network {
    pub(super) fn read(files: &Files, services: &Services, findings: &mut Findings) -> Self {
        let mut network = Self::default();
        network.read_agencies(files, findings);
        network.read_stops(files, findings);
        network.read_routes(files, findings);
        network.read_networks(files, findings);
        let trips = network.read_trips(files, services, findings);
        network.read_calls(files, trips, findings);
        network.read_transfers(files, findings);
        network
    }

    fn read_agencies(&mut self, files: &Files, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        let (mut zones, mut nameless) = (BTreeSet::new(), Vec::new());
        let here = rows::read(files, spec("agency.txt"), findings, |row, findings| {
            self.agency_count += 1;
            let id = row.text("agency_id");
            if id.is_empty() {
                nameless.push(row.line);
            }
            if once(&mut seen, Box::<str>::from(id), row, "agency_id", findings) {
                self.agencies.insert(id.into());
            }
            zones.insert(row.text("agency_timezone").to_owned());
            if zones.len() > 1 {
                let problem = "differs from the other agencies'";
                let remedy = "give all agencies of a feed one time zone";
                findings.error(row.at("agency_timezone"), problem, remedy);
            }
        });
        if self.agency_count > 1 {
            for line in nameless {
                let at = Place {
                    file: "agency.txt",
                    line: Some(line),
                    field: "agency_id",
                    value: "",
                };
                let remedy = "write one: with several agencies each needs it";
                findings.error(at, "the value is missing", remedy);
            }
        }
        if here && self.agency_count == 0 {
            let at = Place::file("agency.txt");
            findings.warn(at, "names no agency", "add who runs the service");
        }
    }

    fn read_stops(&mut self, files: &Files, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        let mut parents = BTreeMap::new();
        let file = spec("stops.txt");
        rows::read(files, file, findings, |row, findings| {
            let kind = row.text("location_type");
            if matches!(kind, "" | "0" | "1" | "2") {
                if row.text("stop_name").is_empty() {
                    let remedy = "write it: stops, stations and entrances need a name";
                    findings.error(row.at("stop_name"), "the value is missing", remedy);
                }
                for field in ["stop_lat", "stop_lon"] {
                    if row.text(field).is_empty() {
                        let remedy = "write it; no price depends on it";
                        findings.warn(row.at(field), "the value is missing", remedy);
                    }
                }
            }
            let id = row.text("stop_id");
            if !once(&mut seen, Box::<str>::from(id), row, "stop_id", findings) {
                return;
            }
            let ix = self.stops.len() as StopIx;
            self.stop_ix.insert(id.into(), ix);
            self.stops.push(Stop {
                id: id.into(),
                name: row.text("stop_name").into(),
                boardable: matches!(kind, "" | "0"),
                station: kind == "1",
                parent: None,
                zone: row.some("zone_id"),
            });
            match (kind, row.some("parent_station")) {
                ("1", Some(_)) => {
                    let remedy = "leave it empty: a station has no parent";
                    findings.error(row.at("parent_station"), "is forbidden here", remedy);
                }
                ("2" | "3" | "4", None) => {
                    let remedy = "write it: entrances, nodes and boarding areas need one";
                    findings.error(row.at("parent_station"), "the value is missing", remedy);
                }
                (_, Some(parent)) => {
                    parents.insert(ix, parent);
                }
                (_, None) => {}
            }
        });
        let lines: BTreeMap<StopIx, u64> = seen
            .into_iter()
            .filter_map(|(id, line)| Some((*self.stop_ix.get(&id)?, line)))
            .collect();
        for (ix, parent) in parents {
            let at = Place {
                file: "stops.txt",
                line: lines.get(&ix).copied(),
                field: "parent_station",
                value: &parent,
            };
            let Some(up) = self.stop_ix.get(&parent).copied() else {
                findings.error(at, "is not in stops.txt", "add it there or correct it here");
                continue;
            };
            let child = &self.stops[ix as usize];
            if child.boardable && !self.stops[up as usize].station {
                let remedy = "name a station, location_type 1";
                findings.error(at, "is no station", remedy);
            } else {
                self.stops[ix as usize].parent = Some(up);
            }
        }
    }

    fn read_routes(&mut self, files: &Files, findings: &mut Findings) {
        let mut seen = BTreeMap::new();
        let single = match self.agencies.first() {
            Some(only) if self.agencies.len() == 1 => Some(only.clone()),
            _ => None,
        };
        rows::read(files, spec("routes.txt"), findings, |row, findings| {
            let agency = row.some("agency_id");
            match &agency {
                None if self.agency_count > 1 => {
                    let remedy = "write it: the feed has several agencies";
                    findings.error(row.at("agency_id"), "the value is missing", remedy);
                }
                Some(id) if !self.agencies.contains(id) => {
                    dangling(row, "agency_id", "agency.txt", findings);
                }
                _ => {}
            }
            let short = row.text("route_short_name");
            let name = match short {
                "" => row.text("route_long_name"),
                _ => short,
            };
            if name.is_empty() {
                let remedy = "write it, or route_long_name: a route needs one of the two";
                findings.error(row.at("route_short_name"), "the value is missing", remedy);
            }
            let id = row.text("route_id");
            if !once(&mut seen, Box::<str>::from(id), row, "route_id", findings) {
                return;
            }
            self.route_ix
                .insert(id.into(), self.routes.len() as RouteIx);
            let network = row.some("network_id");
            self.networks.extend(network.clone());
            self.routes.push(Route {
                id: id.into(),
                name: name.into(),
                agency: agency.or_else(|| single.clone()),
                network,
                timetabled: false,
            });
        });
    }

    /// networks.txt and route_networks.txt, forbidden where routes.txt has `network_id`.
    fn read_networks(&mut self, files: &Files, findings: &mut Findings) {
        let own = !self.networks.is_empty();
        for name in ["networks.txt", "route_networks.txt"] {
            if own && files.texts.contains_key(name) {
                let problem = "is forbidden where routes.txt has network_id";
                findings.error(Place::file(name), problem, "keep one of the two");
            }
        }
        let mut seen = BTreeMap::new();
        rows::read(files, spec("networks.txt"), findings, |row, findings| {
            let id = row.text("network_id");
            once(&mut seen, Box::<str>::from(id), row, "network_id", findings);
            self.networks.insert(id.into());
        });
        let mut seen = BTreeMap::new();
        let file = spec("route_networks.txt");
        rows::read(files, file, findings, |row, findings| {
            let network = row.text("network_id");
            if !self.networks.contains(network) {
                dangling(row, "network_id", "networks.txt", findings);
            }
            let route = row.text("route_id");
            once(
                &mut seen,
                Box::<str>::from(route),
                row,
                "route_id",
                findings,
            );
            match self.route_ix.get(route) {
                Some(ix) => self.routes[*ix as usize].network = Some(network.into()),
                None => absent(row, "route_id", "routes.txt", findings),
            }
        });
    }

    /// Route of each trip, by its id; a route that is not there is an error already.
    fn read_trips(
        &mut self,
        files: &Files,
        services: &Services,
        findings: &mut Findings,
    ) -> HashMap<Box<str>, (RouteIx, u64)> {
        let mut trips: HashMap<Box<str>, (RouteIx, u64)> = HashMap::new();
        rows::read(files, spec("trips.txt"), findings, |row, findings| {
            let service = row.text("service_id");
            if !services.knows(service) {
                dangling(
                    row,
                    "service_id",
                    "calendar.txt or calendar_dates.txt",
                    findings,
                );
            }
            let route = self.route_ix.get(row.text("route_id")).copied();
            if route.is_none() {
                dangling(row, "route_id", "routes.txt", findings);
            }
            let id: Box<str> = row.text("trip_id").into();
            if let Some((_, first)) = trips.insert(id, (route.unwrap_or(RouteIx::MAX), row.line)) {
                let problem = format!("repeats the key of line {first}");
                findings.error(row.at("trip_id"), problem, "remove one of the two rows");
            }
        });
        trips
    }

    fn read_transfers(&mut self, files: &Files, findings: &mut Findings) {
        rows::read(files, spec("transfers.txt"), findings, |row, findings| {
            let mut ends = [None; 2];
            for (end, field) in ends.iter_mut().zip(["from_stop_id", "to_stop_id"]) {
                let id = row.text(field);
                *end = self.stop_ix.get(id).copied();
                if end.is_none() && !id.is_empty() {
                    absent(row, field, "stops.txt", findings);
                }
            }
            if let [Some(from), Some(to)] = ends
                && row.text("transfer_type") != "3"
            {
                self.walks.insert((from, to));
            }
        });
    }

    /// The stop and its station.
    pub(super) fn with_parent(&self, stop: StopIx) -> impl Iterator<Item = StopIx> + '_ {
        std::iter::once(stop).chain(self.stops.get(stop as usize).and_then(|s| s.parent))
    }

    /// Where one boards who is at a place: the stop itself, or the platforms of a station.
    pub(super) fn platforms(&self, place: StopIx) -> Vec<StopIx> {
        let stop = &self.stops[place as usize];
        if stop.boardable {
            return vec![place];
        }
        let station = if stop.station {
            Some(place)
        } else {
            stop.parent
        };
        (0..self.stops.len() as StopIx)
            .filter(|ix| {
                let s = &self.stops[*ix as usize];
                s.boardable && s.parent.is_some() && s.parent == station
            })
            .collect()
    }
}

/// A reference to nothing in a table that only assigns: a row about a stop or route that the feed
/// does not have says nothing about those it has, as in an excerpt of a larger feed.
pub(super) fn absent(row: &Row<'_>, field: &str, file: &str, findings: &mut Findings) {
    let problem = format!("is not in {file}: the row has no effect");
    findings.warn(
        row.at(field),
        problem,
        "remove the row, or add what it is about",
    );
}
