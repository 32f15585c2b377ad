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
use serde::de::DeserializeOwned;

use crate::{FareError, OperatorId, RouteId, StationCode, Stop, StopId, load::Texts, schema::Yuan};

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
    pub(crate) agencies: BTreeSet<OperatorId>,
    pub(crate) stops: BTreeMap<StopId, Stop>,
    pub(crate) routes: BTreeMap<RouteId, FeedRoute>,
}

struct Row<T> {
    line: u64,
    value: T,
}

struct Table<T> {
    file: String,
    rows: Vec<Row<T>>,
}

impl<T> Table<T> {
    fn error(&self, row: &Row<T>, problem: impl Into<String>) -> FareError {
        FareError::Syntax {
            file: self.file.clone(),
            line: usize::try_from(row.line).unwrap_or(usize::MAX),
            problem: problem.into(),
        }
    }
}

fn optional<T: DeserializeOwned>(
    texts: &Texts,
    dir: &str,
    name: &str,
) -> Result<Table<T>, FareError> {
    let file = format!("{dir}{name}");
    let text = texts.get(&file).map_or("", String::as_str);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|e| syntax(&file, None, &e))?
        .clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| syntax(&file, Some(&headers), &e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let value = record
            .deserialize(Some(&headers))
            .map_err(|e| syntax(&file, Some(&headers), &e))?;
        rows.push(Row { line, value });
    }
    Ok(Table { file, rows })
}

/// The complaint of the csv crate, with the column's name in place of its number.
fn syntax(file: &str, headers: Option<&csv::StringRecord>, error: &csv::Error) -> FareError {
    let line = error.position().map_or(1, csv::Position::line);
    let problem = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let index = err.field().and_then(|i| usize::try_from(i).ok());
            match index.and_then(|i| headers?.get(i)) {
                Some(column) => format!("{column}: {}", err.kind()),
                None => err.kind().to_string(),
            }
        }
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} fields where the header has {expected_len}"),
        _ => error.to_string(),
    };
    FareError::Syntax {
        file: file.to_owned(),
        line: usize::try_from(line).unwrap_or(usize::MAX),
        problem,
    }
}

fn required<T: DeserializeOwned>(
    texts: &Texts,
    dir: &str,
    name: &str,
) -> Result<Table<T>, FareError> {
    let file = format!("{dir}{name}");
    if texts.contains_key(&file) {
        optional(texts, dir, name)
    } else {
        Err(FareError::Missing { file })
    }
}

impl Feed {
    pub(crate) fn read(texts: &Texts, dir: &str) -> Result<Self, FareError> {
        let names = translations(texts, dir)?;
        let mut feed = Self {
            dir: dir.to_owned(),
            agencies: agencies(texts, dir)?,
            stops: stops(texts, dir, &names)?,
            routes: BTreeMap::new(),
        };
        feed.read_routes(texts, &names)?;
        feed.read_patterns(texts)?;
        feed.read_flat_fares(texts)?;
        Ok(feed)
    }

    fn read_routes(&mut self, texts: &Texts, names: &Translations) -> Result<(), FareError> {
        let table = required::<RouteRow>(texts, &self.dir, "routes.txt")?;
        for row in &table.rows {
            let route = &row.value;
            let agency = OperatorId::from(route.agency_id.as_deref().unwrap_or_default());
            if !self.agencies.contains(&agency) {
                return Err(table.error(row, format!("agency_id `{agency}` is not in agency.txt")));
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
                return Err(table.error(row, format!("route_id `{}` appears twice", route.id)));
            }
        }
        Ok(())
    }

    fn read_patterns(&mut self, texts: &Texts) -> Result<(), FareError> {
        let trips = required::<RawTrip>(texts, &self.dir, "trips.txt")?;
        let mut route_of = BTreeMap::new();
        for row in &trips.rows {
            let route = RouteId::from(row.value.route_id.as_str());
            if !self.routes.contains_key(&route) {
                return Err(trips.error(row, format!("route_id `{route}` is not in routes.txt")));
            }
            if route_of.insert(row.value.id.as_str(), route).is_some() {
                return Err(trips.error(row, format!("trip_id `{}` appears twice", row.value.id)));
            }
        }
        let times = required::<RawStopTime>(texts, &self.dir, "stop_times.txt")?;
        let mut sequences: BTreeMap<&str, BTreeMap<u32, StopId>> = BTreeMap::new();
        for row in &times.rows {
            let time = &row.value;
            if !route_of.contains_key(time.trip_id.as_str()) {
                return Err(times.error(
                    row,
                    format!("trip_id `{}` is not in trips.txt", time.trip_id),
                ));
            }
            let stop = StopId::from(time.stop_id.as_str());
            if !self.stops.contains_key(&stop) {
                return Err(times.error(row, format!("stop_id `{stop}` is not in stops.txt")));
            }
            let trip = sequences.entry(&time.trip_id).or_default();
            if trip.insert(time.stop_sequence, stop).is_some() {
                return Err(times.error(
                    row,
                    format!(
                        "stop_sequence {} appears twice in trip `{}`",
                        time.stop_sequence, time.trip_id
                    ),
                ));
            }
        }
        for row in &trips.rows {
            let pattern: Vec<StopId> = sequences
                .remove(row.value.id.as_str())
                .into_iter()
                .flat_map(BTreeMap::into_values)
                .collect();
            if pattern.len() < 2 {
                return Err(trips.error(row, "the trip needs at least two stop_times"));
            }
            let route = route_of.get(row.value.id.as_str());
            if let Some(route) = route.and_then(|id| self.routes.get_mut(id))
                && !route.patterns.contains(&pattern)
            {
                route.patterns.push(pattern);
            }
        }
        Ok(())
    }

    fn read_flat_fares(&mut self, texts: &Texts) -> Result<(), FareError> {
        let attributes = optional::<FareAttribute>(texts, &self.dir, "fare_attributes.txt")?;
        let mut fares = BTreeMap::new();
        for row in &attributes.rows {
            let fare = &row.value;
            if fare.currency != "CNY" {
                return Err(attributes.error(row, "currency_type must be CNY"));
            }
            let Yuan(price) =
                Yuan::try_from(fare.price.clone()).map_err(|e| attributes.error(row, e))?;
            if fares.insert(fare.id.as_str(), price).is_some() {
                return Err(attributes.error(row, format!("fare_id `{}` appears twice", fare.id)));
            }
        }
        let rules = optional::<FareRule>(texts, &self.dir, "fare_rules.txt")?;
        for row in &rules.rows {
            let rule = &row.value;
            let Some(price) = fares.get(rule.fare_id.as_str()) else {
                return Err(rules.error(
                    row,
                    format!("fare_id `{}` is not in fare_attributes.txt", rule.fare_id),
                ));
            };
            if [&rule.origin_id, &rule.destination_id, &rule.contains_id]
                .iter()
                .any(|zone| zone.as_deref().is_some_and(|z| !z.is_empty()))
            {
                return Err(rules.error(
                    row,
                    "zones are not priced here; leave origin_id, destination_id and contains_id empty",
                ));
            }
            let id = RouteId::from(rule.route_id.as_deref().unwrap_or_default());
            let Some(route) = self.routes.get_mut(&id) else {
                return Err(rules.error(row, format!("route_id `{id}` is not in routes.txt")));
            };
            if route.flat.is_some() {
                return Err(rules.error(row, format!("route `{id}` already has a flat fare")));
            }
            route.flat = Some((rule.fare_id.clone(), *price));
        }
        Ok(())
    }
}

fn agencies(texts: &Texts, dir: &str) -> Result<BTreeSet<OperatorId>, FareError> {
    let table = required::<Agency>(texts, dir, "agency.txt")?;
    let mut ids = BTreeSet::new();
    for row in &table.rows {
        let id = row.value.id.as_deref().unwrap_or_default();
        if id.is_empty() || !ids.insert(OperatorId::from(id)) {
            return Err(table.error(row, "agency_id must be present and unique"));
        }
    }
    Ok(ids)
}

fn stops(
    texts: &Texts,
    dir: &str,
    names: &Translations,
) -> Result<BTreeMap<StopId, Stop>, FareError> {
    let table = required::<StopRow>(texts, dir, "stops.txt")?;
    let mut stops = BTreeMap::new();
    let mut codes = BTreeSet::new();
    for row in &table.rows {
        let code = row.value.code.as_deref().unwrap_or_default();
        let code = match code.parse::<u16>() {
            Ok(code) if code > 0 && codes.insert(code) => StationCode(code),
            _ => {
                return Err(table.error(
                    row,
                    format!(
                        "stop_code `{code}` must be a number from 1 to 65535 that no other stop has: cards carry it"
                    ),
                ));
            }
        };
        let Some(zh) = row.value.name.clone().filter(|name| !name.is_empty()) else {
            return Err(table.error(row, "stop_name is empty; screens and quotes show it"));
        };
        let id = StopId::from(row.value.id.as_str());
        let stop = Stop {
            id: id.clone(),
            code,
            en: names.get("stops", id.as_str()).unwrap_or(&zh).to_owned(),
            zh,
        };
        if stops.insert(id, stop).is_some() {
            return Err(table.error(row, format!("stop_id `{}` appears twice", row.value.id)));
        }
    }
    Ok(stops)
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

fn translations(texts: &Texts, dir: &str) -> Result<Translations, FareError> {
    let table = optional::<RawTranslation>(texts, dir, "translations.txt")?;
    let names = table
        .rows
        .into_iter()
        .map(|row| row.value)
        .filter(|t| {
            t.language == "en" && matches!(t.field_name.as_str(), "stop_name" | "route_long_name")
        })
        .filter_map(|t| Some(((t.table_name, t.record_id?), t.translation)))
        .collect();
    Ok(Translations(names))
}
