//! Sectional bus fares (分段计价): the fare grows with the sections ridden through.

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use crate::{QuoteError, RouteId, StopId, gtfs::FeedRoute, problems::Problems, schema::BusRoute};

/// What is known of a ride on a sectional route. What is not is priced as the longest ride that
/// can be. Flat routes do not ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ridden {
    /// Nothing.
    #[default]
    Unknown,
    /// How many sections the driver keyed in, from 1.
    Sections(u8),
    /// Where the rider boarded.
    From(StopId),
    /// Where the rider boarded and left.
    Between {
        /// Boarded.
        from: StopId,
        /// Left.
        to: StopId,
    },
}

/// The sections of a route.
#[derive(Debug)]
pub(crate) struct Sections {
    /// Stops of the feed's first trip with the section each lies in, from 0.
    stops: Vec<(StopId, usize)>,
    /// Fares for one section, two, ...; never falling, one for each section.
    fares: Vec<Fen>,
}

impl Sections {
    /// `None` where the route names no sections.
    pub(crate) fn new(
        problems: &mut Problems<'_>,
        raw: &BusRoute,
        known: &FeedRoute,
    ) -> Option<Self> {
        let mut error = |field: &str, problem: &str| {
            problems.add(format!("route `{}`, {field}", raw.id), problem);
        };
        if raw.section_stops.is_empty() && raw.section_fares.is_empty() {
            return None;
        }
        if raw.section_stops.len() != raw.section_fares.len() {
            error("section_fares", "must be as many as section_stops");
        }
        if raw.section_fares.windows(2).any(|w| w[0].0 > w[1].0) {
            error("section_fares", "must not fall");
        }
        let mut begins = raw.section_stops.iter().peekable();
        let mut stops: Vec<(StopId, usize)> = Vec::new();
        let mut section = 0_usize;
        for stop in known.patterns.first().into_iter().flatten() {
            if begins.next_if_eq(&stop).is_some() {
                section += 1;
            }
            match section.checked_sub(1) {
                Some(index) => stops.push((stop.clone(), index)),
                None => {
                    error("section_stops", "must begin with the route's first stop");
                    begins = [].iter().peekable();
                    break;
                }
            }
        }
        if begins.peek().is_some() {
            error(
                "section_stops",
                "must be stops of the first trip, in its order",
            );
        }
        let fares = raw.section_fares.iter().map(|fare| fare.0).collect();
        Some(Self { stops, fares })
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.fares.len()
    }

    /// The section of a stop.
    fn of(&self, route: &RouteId, stop: &StopId) -> Result<usize, QuoteError> {
        let found = self.stops.iter().find(|(id, _)| id == stop);
        found
            .map(|(_, section)| *section)
            .ok_or_else(|| QuoteError::Section(route.clone(), stop.clone()))
    }

    /// Sections ridden through and their fare.
    pub(crate) fn fare(
        &self,
        route: &RouteId,
        ridden: &Ridden,
    ) -> Result<(usize, Fen), QuoteError> {
        let last = self.fares.len().saturating_sub(1);
        let ridden = match ridden {
            Ridden::Unknown => last + 1,
            Ridden::Sections(n) => usize::from(*n),
            Ridden::From(from) => {
                let from = self.of(route, from)?;
                from.max(last - from) + 1
            }
            Ridden::Between { from, to } => self.of(route, from)?.abs_diff(self.of(route, to)?) + 1,
        };
        let fare = ridden.checked_sub(1).and_then(|n| self.fares.get(n));
        let fare = fare.ok_or_else(|| QuoteError::Sections(route.clone(), last + 1))?;
        Ok((ridden, *fare))
    }
}
