//! A city's GTFS feed: the tables that pricing needs, read row by row so that an error names its
//! file and line, and checked against one another.
//!
//! Row types are those of crate `gtfs-structures`; its own reader is not used because it stops at
//! the first table and does not say in which line.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::Fen;
use gtfs_structures::{
    Agency, FareAttribute, FareRule, RawStopTime, RawTranslation, RawTrip, Route as RouteRow,
    Stop as StopRow,
};

use crate::{
    OperatorId, RouteId, StationCode, Stop, StopId,
    gtfs_table::{Errors, optional, required},
    load::Texts,
    schema::Yuan,
};

/// A route and the stop sequences of its trips.
#[derive(Debug)]
pub(crate) struct FeedRoute {
    pub(crate) agency: OperatorId,
    pub(crate) name: String,
    pub(crate) ends_zh: String,
    pub(crate) ends_en: String,
    /// Distinct stop sequences, in file order.
    pub(crate) patterns: Vec<Vec<StopId>>,
    /// The flat fare, where `fare_rules.txt` has one.
    pub(crate) flat: Option<(String, Fen)>,
}

/// A checked feed.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Folder inside the data folder, ending in `/`.
    pub(crate) dir: String,
    /// Each with its line.
    pub(crate) agencies: BTreeMap<OperatorId, u64>,
    pub(crate) stops: BTreeMap<StopId, Stop>,
    pub(crate) routes: BTreeMap<RouteId, FeedRoute>,
}

impl Feed {
    /// Reads all of it; what is read is of use only where no error is added.
    pub(crate) fn read(texts: &Texts, dir: &str, errors: &mut Errors) -> Self {
        let names = translations(texts, dir, errors);
        let mut feed = Self {
            dir: dir.to_owned(),
            agencies: agencies(texts, dir, errors),
            stops: stops(texts, dir, &names, errors),
            routes: BTreeMap::new(),
        };
        feed.read_routes(texts, &names, errors);
        feed.read_patterns(texts, errors);
        feed.read_flat_fares(texts, errors);
        feed
    }

    pub(crate) fn route_of(&self, operator: &OperatorId, id: &RouteId) -> Option<&FeedRoute> {
        self.routes
            .get(id)
            .filter(|route| route.agency == *operator)
    }

    /// What is wrong where [`Self::route_of`] gives none.
    pub(crate) fn no_route_of(&self, operator: &OperatorId) -> String {
        let dir = &self.dir;
        format!("{dir}routes.txt has no such route of {operator}; add it there or correct it here")
    }

    fn read_routes(&mut self, texts: &Texts, names: &Translations, errors: &mut Errors) {
        let table = required::<RouteRow>(texts, &self.dir, "routes.txt", errors);
        for row in &table.rows {
            let route = &row.value;
            let agency = OperatorId::from(route.agency_id.as_deref().unwrap_or_default());
            if !self.agencies.contains_key(&agency) {
                let problem = format!("`{agency}` is not in agency.txt");
                errors.push(table.error(row, "agency_id", problem));
            }
            let name = route.short_name.clone().unwrap_or_default();
            let ends = route.long_name.clone().unwrap_or_else(|| name.clone());
            let entry = FeedRoute {
                agency,
                name,
                ends_en: names.get("routes", &route.id).unwrap_or(&ends).to_owned(),
                ends_zh: ends,
                patterns: Vec::new(),
                flat: None,
            };
            let id = RouteId::from(route.id.as_str());
            if self.routes.insert(id, entry).is_some() {
                let problem = format!("`{}` appears twice", route.id);
                errors.push(table.error(row, "route_id", problem));
            }
        }
    }

    fn read_patterns(&mut self, texts: &Texts, errors: &mut Errors) {
        let trips = required::<RawTrip>(texts, &self.dir, "trips.txt", errors);
        let mut route_of = BTreeMap::new();
        for row in &trips.rows {
            let route = RouteId::from(row.value.route_id.as_str());
            if !self.routes.contains_key(&route) {
                let problem = format!("`{route}` is not in routes.txt");
                errors.push(trips.error(row, "route_id", problem));
            }
            if route_of.insert(row.value.id.as_str(), route).is_some() {
                let problem = format!("`{}` appears twice", row.value.id);
                errors.push(trips.error(row, "trip_id", problem));
            }
        }
        let times = required::<RawStopTime>(texts, &self.dir, "stop_times.txt", errors);
        let mut sequences: BTreeMap<&str, BTreeMap<u32, StopId>> = BTreeMap::new();
        for row in &times.rows {
            let time = &row.value;
            if !route_of.contains_key(time.trip_id.as_str()) {
                let problem = format!("`{}` is not in trips.txt", time.trip_id);
                errors.push(times.error(row, "trip_id", problem));
                continue;
            }
            let stop = StopId::from(time.stop_id.as_str());
            if !self.stops.contains_key(&stop) {
                let problem = format!("`{stop}` is not in stops.txt");
                errors.push(times.error(row, "stop_id", problem));
            }
            let trip = sequences.entry(&time.trip_id).or_default();
            if trip.insert(time.stop_sequence, stop).is_some() {
                let problem = format!(
                    "{} appears twice in trip `{}`",
                    time.stop_sequence, time.trip_id
                );
                errors.push(times.error(row, "stop_sequence", problem));
            }
        }
        for row in &trips.rows {
            let pattern: Vec<StopId> = sequences
                .remove(row.value.id.as_str())
                .into_iter()
                .flat_map(BTreeMap::into_values)
                .collect();
            if pattern.len() < 2 {
                let problem = "the trip needs at least two stop_times";
                errors.push(trips.error(row, "trip_id", problem));
            }
            let route = route_of.get(row.value.id.as_str());
            if let Some(route) = route.and_then(|id| self.routes.get_mut(id))
                && !route.patterns.contains(&pattern)
            {
                route.patterns.push(pattern);
            }
        }
    }

    fn read_flat_fares(&mut self, texts: &Texts, errors: &mut Errors) {
        let attributes = optional::<FareAttribute>(texts, &self.dir, "fare_attributes.txt", errors);
        let mut fares = BTreeMap::new();
        for row in &attributes.rows {
            let fare = &row.value;
            if fare.currency != "CNY" {
                errors.push(attributes.error(row, "currency_type", "must be CNY"));
            }
            let price = Yuan::try_from(fare.price.clone()).unwrap_or_else(|problem| {
                errors.push(attributes.error(row, "price", problem));
                Yuan(Fen::ZERO)
            });
            if fares.insert(fare.id.as_str(), price.0).is_some() {
                let problem = format!("`{}` appears twice", fare.id);
                errors.push(attributes.error(row, "fare_id", problem));
            }
        }
        let rules = optional::<FareRule>(texts, &self.dir, "fare_rules.txt", errors);
        for row in &rules.rows {
            let rule = &row.value;
            let Some(price) = fares.get(rule.fare_id.as_str()) else {
                let problem = format!("`{}` is not in fare_attributes.txt", rule.fare_id);
                errors.push(rules.error(row, "fare_id", problem));
                continue;
            };
            for (field, zone) in [
                ("origin_id", &rule.origin_id),
                ("destination_id", &rule.destination_id),
                ("contains_id", &rule.contains_id),
            ] {
                if zone.as_deref().is_some_and(|zone| !zone.is_empty()) {
                    let problem = "zones are not priced here; leave it empty";
                    errors.push(rules.error(row, field, problem));
                }
            }
            let id = RouteId::from(rule.route_id.as_deref().unwrap_or_default());
            let Some(route) = self.routes.get_mut(&id) else {
                let problem = format!("`{id}` is not in routes.txt");
                errors.push(rules.error(row, "route_id", problem));
                continue;
            };
            if route.flat.is_some() {
                let problem = format!("`{id}` already has a flat fare");
                errors.push(rules.error(row, "route_id", problem));
            }
            route.flat = Some((rule.fare_id.clone(), *price));
        }
    }
}

fn agencies(texts: &Texts, dir: &str, errors: &mut Errors) -> BTreeMap<OperatorId, u64> {
    let table = required::<Agency>(texts, dir, "agency.txt", errors);
    let mut ids = BTreeMap::new();
    for row in &table.rows {
        let id = row.value.id.as_deref().unwrap_or_default();
        if id.is_empty() || ids.insert(OperatorId::from(id), row.line).is_some() {
            errors.push(table.error(row, "agency_id", "must be present and unique"));
        }
    }
    ids
}

fn stops(
    texts: &Texts,
    dir: &str,
    names: &Translations,
    errors: &mut Errors,
) -> BTreeMap<StopId, Stop> {
    let table = required::<StopRow>(texts, dir, "stops.txt", errors);
    let mut stops = BTreeMap::new();
    let mut codes = BTreeSet::new();
    for row in &table.rows {
        let code = row.value.code.as_deref().unwrap_or_default();
        let code = match code.parse::<u16>() {
            Ok(code) if code > 0 && codes.insert(code) => StationCode(code),
            _ => {
                let problem = format!(
                    "`{code}` must be a number from 1 to 65535 that no other stop has: cards carry it"
                );
                errors.push(table.error(row, "stop_code", problem));
                StationCode(0)
            }
        };
        let zh = row.value.name.clone().unwrap_or_default();
        if zh.is_empty() {
            let problem = "is empty; write it: screens and quotes show it";
            errors.push(table.error(row, "stop_name", problem));
        }
        let id = StopId::from(row.value.id.as_str());
        let stop = Stop {
            id: id.clone(),
            code,
            en: names.get("stops", id.as_str()).unwrap_or(&zh).to_owned(),
            zh,
        };
        if stops.insert(id, stop).is_some() {
            let problem = format!("`{}` appears twice", row.value.id);
            errors.push(table.error(row, "stop_id", problem));
        }
    }
    stops
}

/// English names by (table, record id).
struct Translations(BTreeMap<(String, String), String>);

impl Translations {
    fn get(&self, table: &str, id: &str) -> Option<&str> {
        self.0
            .get(&(table.to_owned(), id.to_owned()))
            .map(String::as_str)
    }
}

fn translations(texts: &Texts, dir: &str, errors: &mut Errors) -> Translations {
    let table = optional::<RawTranslation>(texts, dir, "translations.txt", errors);
    let names = table
        .rows
        .into_iter()
        .map(|row| row.value)
        .filter(|t| {
            t.language == "en" && matches!(t.field_name.as_str(), "stop_name" | "route_long_name")
        })
        .filter_map(|t| Some(((t.table_name, t.record_id?), t.translation)))
        .collect();
    Translations(names)
}
