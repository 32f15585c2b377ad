//! timeframes.txt: when a fare rule is in effect.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    calendar::Services,
    findings::{Findings, Place},
    network::{dangling, once, spec},
    rows,
    source::Files,
};

const DAY: u32 = 86_400;
/// One every five minutes: all pairs of them are looked at.
const MOST_EDGES: usize = 288;

#[derive(Debug)]
struct Frame {
    line: u64,
    group: Box<str>,
    service: Box<str>,
    /// Start inclusive, end exclusive, seconds of the day.
    start: u32,
    end: u32,
}

/// All timeframes of a feed.
#[derive(Debug, Default)]
pub(super) struct Timeframes(Vec<Frame>);

/// Timeframe groups in effect at the start and at the end of a ride.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frames {
    pub(super) at_start: BTreeSet<Box<str>>,
    pub(super) at_end: BTreeSet<Box<str>>,
}

/// When a journey happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    /// It begins on this day (since 1970-01-01) at this second of it, in local time.
    At(i64, u32),
    /// At some time when these groups are in effect throughout.
    Some(Frames),
}

impl Timeframes {
    pub(super) fn read(files: &Files, services: &Services, findings: &mut Findings) -> Self {
        let mut seen = BTreeMap::new();
        let mut frames: Vec<Frame> = Vec::new();
        rows::read(files, spec("timeframes.txt"), findings, |row, findings| {
            const KEY: [&str; 4] = ["timeframe_group_id", "start_time", "end_time", "service_id"];
            let key = KEY.map(|field| row.text(field).to_owned());
            let new = once(&mut seen, key, row, "timeframe_group_id", findings);
            let service = row.text("service_id");
            if !services.knows(service) {
                dangling(
                    row,
                    "service_id",
                    "calendar.txt or calendar_dates.txt",
                    findings,
                );
            }
            for (field, other) in [("start_time", "end_time"), ("end_time", "start_time")] {
                if row.text(field).is_empty() && !row.text(other).is_empty() {
                    let remedy = "write both times or none";
                    findings.error(row.at(field), "the value is missing", remedy);
                }
            }
            let frame = Frame {
                line: row.line,
                group: row.text("timeframe_group_id").into(),
                service: service.into(),
                start: row.time("start_time").unwrap_or(0),
                end: row.time("end_time").unwrap_or(DAY),
            };
            if frame.end <= frame.start {
                let remedy = "end it after its start; split what runs past midnight in two";
                findings.error(row.at("end_time"), "is not after start_time", remedy);
            }
            let overlapped = frames.iter().find(|other| {
                (&other.group, &other.service) == (&frame.group, &frame.service)
                    && other.start < frame.end
                    && frame.start < other.end
            });
            if let Some(other) = overlapped.filter(|_| new) {
                let problem = format!("overlaps the timeframe of line {}", other.line);
                let remedy = "timeframes of one group and service must not overlap";
                findings.error(row.at("start_time"), problem, remedy);
            }
            frames.push(frame);
        });
        let frames = Self(frames);
        let edges = frames.edges().len();
        if edges > MOST_EDGES {
            let problem = format!("has {edges} different times of day");
            let remedy = format!("{MOST_EDGES} at most are supported");
            findings.error(Place::file("timeframes.txt"), problem, remedy);
        }
        frames
    }

    /// The times of day at which something may change.
    fn edges(&self) -> BTreeSet<u32> {
        let both = self
            .0
            .iter()
            .flat_map(|frame| [frame.start, frame.end % DAY]);
        both.chain([0]).collect()
    }

    pub(super) fn knows(&self, group: &str) -> bool {
        self.0.iter().any(|frame| &*frame.group == group)
    }

    /// The groups in effect on a day (since 1970-01-01) at a second of it.
    fn at(&self, services: &Services, day: i64, second: u32) -> BTreeSet<Box<str>> {
        let now = self.0.iter().filter(|frame| {
            (frame.start..frame.end).contains(&second) && services.runs(&frame.service, day)
        });
        now.map(|frame| frame.group.clone()).collect()
    }

    /// The groups in effect when a ride starts and ends, given in seconds since the journey began.
    pub(super) fn of_ride(
        &self,
        services: &Services,
        when: &When,
        (starts, ends): (u32, u32),
    ) -> Frames {
        match when {
            When::Some(frames) => frames.clone(),
            When::At(day, second) => {
                let at = |offset: u32| {
                    let clock = i64::from(*second) + i64::from(offset);
                    let (days, second) =
                        (clock.div_euclid(DAY.into()), clock.rem_euclid(DAY.into()));
                    self.at(services, day + days, second as u32)
                };
                Frames {
                    at_start: at(starts),
                    at_end: at(ends),
                }
            }
        }
    }

    /// Every state of the timeframes that a ride can meet, for a question without a time: the end
    /// lies on the day of the start or the next.
    pub(super) fn states(&self, services: &Services) -> Vec<When> {
        let ids: BTreeSet<&str> = self.0.iter().map(|frame| &*frame.service).collect();
        let edges = self.edges();
        let mut states = BTreeSet::new();
        for day in services.typical_days(&ids) {
            let of_day: Vec<_> = edges.iter().map(|s| self.at(services, day, *s)).collect();
            let next: Vec<_> = edges
                .iter()
                .map(|s| self.at(services, day + 1, *s))
                .collect();
            for (ix, start) in of_day.iter().enumerate() {
                for end in of_day[ix..].iter().chain(&next) {
                    states.insert(Frames {
                        at_start: start.clone(),
                        at_end: end.clone(),
                    });
                }
            }
        }
        if states.is_empty() {
            states.insert(Frames::default());
        }
        states.into_iter().map(When::Some).collect()
    }
}
