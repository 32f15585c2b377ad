//! stop_times.txt: from rows in any order to the stop sequences that trips run.

use std::collections::{HashMap, HashSet};

use super::{
    findings::{Findings, Place},
    network::{Call, Network, Pattern, RouteIx, StopIx, dangling, spec},
    rows,
    source::Files,
};

/// One row, small: a feed may have millions.
struct Halt {
    trip: u32,
    sequence: u32,
    line: u64,
    /// `None`: a place of on-demand service, which is no stop.
    stop: Option<StopIx>,
    arrival: Option<u32>,
    departure: Option<u32>,
    board: bool,
    alight: bool,
}

impl Network {
    /// Reads stop_times.txt into patterns.
    pub(super) fn read_calls(
        &mut self,
        files: &Files,
        trips: HashMap<Box<str>, (RouteIx, u64)>,
        findings: &mut Findings,
    ) {
        let mut by_line: Vec<(Box<str>, RouteIx, u64)> = trips
            .into_iter()
            .map(|(id, (route, line))| (id, route, line))
            .collect();
        by_line.sort_by_key(|(_, _, line)| *line);
        let index: HashMap<&str, u32> = by_line
            .iter()
            .enumerate()
            .map(|(ix, (id, ..))| (&**id, ix as u32))
            .collect();
        let mut halts = Vec::new();
        let file = spec("stop_times.txt");
        rows::read(files, file, findings, |row, findings| {
            let Some(trip) = index.get(row.text("trip_id")) else {
                dangling(row, "trip_id", "trips.txt", findings);
                return;
            };
            let id = row.text("stop_id");
            let stop = self.stop_ix.get(id).copied();
            let flexible = ["location_group_id", "location_id"]
                .iter()
                .any(|field| !row.text(field).is_empty());
            match stop {
                None if id.is_empty() && flexible => {}
                None if id.is_empty() => {
                    let remedy = "write the stop of this halt";
                    findings.error(row.at("stop_id"), "the value is missing", remedy);
                }
                None => dangling(row, "stop_id", "stops.txt", findings),
                Some(ix) if !self.stops[ix as usize].boardable => {
                    let remedy = "name one of its platforms, location_type 0";
                    findings.error(row.at("stop_id"), "is no place to board", remedy);
                }
                Some(_) => {}
            }
            halts.push(Halt {
                trip: *trip,
                sequence: row.number("stop_sequence").unwrap_or_default(),
                line: row.line,
                stop,
                arrival: row.time("arrival_time"),
                departure: row.time("departure_time"),
                board: row.text("pickup_type") != "1",
                alight: row.text("drop_off_type") != "1",
            });
        });
        halts.sort_by_key(|halt| (halt.trip, halt.sequence, halt.line));
        let mut known: HashSet<(RouteIx, Vec<Call>)> = HashSet::new();
        let mut served = vec![false; by_line.len()];
        for trip in halts.chunk_by(|a, b| a.trip == b.trip) {
            check_order(trip, findings);
            let Some((id, route, line)) = by_line.get(trip[0].trip as usize) else {
                continue;
            };
            served[trip[0].trip as usize] = true;
            if trip.len() < 2 {
                let at = Place {
                    file: "trips.txt",
                    line: Some(*line),
                    field: "trip_id",
                    value: id,
                };
                findings.warn(at, "halts only once", "a trip has two stops or more");
            }
            self.add_pattern(*route, trip, &mut known);
        }
        for ((id, _, line), _) in by_line.iter().zip(&served).filter(|(_, served)| !**served) {
            let at = Place {
                file: "trips.txt",
                line: Some(*line),
                field: "trip_id",
                value: id,
            };
            findings.warn(at, "has no stop_times", "add them, or remove the trip");
        }
    }

    fn add_pattern(
        &mut self,
        route: RouteIx,
        trip: &[Halt],
        known: &mut HashSet<(RouteIx, Vec<Call>)>,
    ) {
        let (mut calls, mut times, mut clock) = (Vec::new(), Vec::new(), 0);
        for halt in trip {
            // A halt without times lies between its neighbours; the earlier one's is taken.
            let arrival = halt.arrival.or(halt.departure).unwrap_or(clock);
            clock = halt.departure.unwrap_or(arrival);
            if let Some(stop) = halt.stop {
                calls.push(Call {
                    stop,
                    board: halt.board,
                    alight: halt.alight,
                });
                times.push((arrival, clock));
            }
        }
        let Some(known_route) = self.routes.get_mut(route as usize) else {
            return;
        };
        known_route.timetabled = true;
        if known.insert((route, calls.clone())) {
            self.patterns.push(Pattern {
                route,
                calls,
                times,
            });
        }
    }
}

/// stop_times.txt: the pair (trip_id, stop_sequence) is the key; times do not run backwards.
fn check_order(trip: &[Halt], findings: &mut Findings) {
    let mut clock = 0;
    for (ix, halt) in trip.iter().enumerate() {
        let mut at = Place {
            file: "stop_times.txt",
            line: Some(halt.line),
            field: "stop_sequence",
            value: &halt.sequence.to_string(),
        };
        if let Some(before) = ix.checked_sub(1).and_then(|b| trip.get(b))
            && before.sequence == halt.sequence
        {
            let problem = format!("repeats the key of line {}", before.line);
            findings.error(at, problem, "number the halts of a trip one by one");
        }
        for (field, time) in [
            ("arrival_time", halt.arrival),
            ("departure_time", halt.departure),
        ] {
            let Some(time) = time else { continue };
            if time < clock {
                (at.field, at.value) = (field, "");
                let remedy = "times of a trip must not fall along stop_sequence";
                findings.error(at, "lies before the time before it", remedy);
            }
            clock = time;
        }
    }
}
