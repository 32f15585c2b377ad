//! Service days: calendar.txt and calendar_dates.txt.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    findings::{Findings, Place},
    network::{once, spec},
    rows,
    source::Files,
};

/// The days on which one service runs.
#[derive(Debug, Default, Clone)]
struct Service {
    /// Monday first.
    weekdays: [bool; 7],
    /// First and last day, counted from 1970-01-01.
    span: Option<(i64, i64)>,
    added: BTreeSet<i64>,
    removed: BTreeSet<i64>,
}

/// All services by id.
#[derive(Debug, Default)]
pub(super) struct Services(BTreeMap<Box<str>, Service>);

impl Services {
    pub(super) fn read(files: &Files, findings: &mut Findings) -> Self {
        let mut services = Self::default();
        let mut seen = BTreeMap::new();
        let weekly = rows::read(files, spec("calendar.txt"), findings, |row, findings| {
            let id: Box<str> = row.text("service_id").into();
            once(&mut seen, id.clone(), row, "service_id", findings);
            let days = [
                "monday",
                "tuesday",
                "wednesday",
                "thursday",
                "friday",
                "saturday",
                "sunday",
            ];
            let service = services.0.entry(id).or_default();
            service.weekdays = days.map(|day| row.text(day) == "1");
            service.span = row.day("start_date").zip(row.day("end_date"));
            if service.span.is_some_and(|(start, end)| end < start) {
                let problem = "lies before start_date";
                findings.error(row.at("end_date"), problem, "write the last day here");
            }
        });
        let mut seen = BTreeMap::new();
        let dated = rows::read(
            files,
            spec("calendar_dates.txt"),
            findings,
            |row, findings| {
                let id: Box<str> = row.text("service_id").into();
                let Some(day) = row.day("date") else { return };
                once(&mut seen, (id.clone(), day), row, "date", findings);
                let service = services.0.entry(id).or_default();
                match row.text("exception_type") {
                    "1" => service.added.insert(day),
                    _ => service.removed.insert(day),
                };
            },
        );
        if !weekly && !dated {
            findings.warn(
                Place::file("calendar.txt"),
                "is missing, and so is calendar_dates.txt",
                "add one of the two: they say on which days service runs",
            );
        }
        services
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Whether a service runs on a day.
    pub(super) fn runs(&self, id: &str, day: i64) -> bool {
        self.0.get(id).is_some_and(|service| {
            let weekday = (day + 3).rem_euclid(7) as usize;
            let regular = service.span.is_some_and(|(start, end)| {
                (start..=end).contains(&day) && service.weekdays.get(weekday) == Some(&true)
            });
            service.added.contains(&day) || (regular && !service.removed.contains(&day))
        })
    }

    /// A day for every combination in which the named services run, `None` of them included when
    /// there is such a day.
    pub(super) fn typical_days(&self, ids: &BTreeSet<&str>) -> Vec<i64> {
        /// Ten years: a longer span repeats itself.
        const MOST_DAYS: i64 = 3_660;
        let named: Vec<&Service> = ids.iter().filter_map(|id| self.0.get(*id)).collect();
        let days = |service: &&Service| {
            let span = service
                .span
                .into_iter()
                .flat_map(|(start, end)| [start, end]);
            span.chain(service.added.iter().copied())
                .collect::<Vec<_>>()
        };
        let ends: Vec<i64> = named.iter().flat_map(days).collect();
        let (Some(first), Some(last)) = (ends.iter().min(), ends.iter().max()) else {
            return Vec::new();
        };
        let last = (*last).min(first.saturating_add(MOST_DAYS));
        let mut seen = BTreeSet::new();
        (*first..=last)
            .filter(|day| {
                let running: Vec<bool> = ids.iter().map(|id| self.runs(id, *day)).collect();
                seen.insert(running)
            })
            .collect()
    }
}
