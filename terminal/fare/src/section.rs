//! Sectional bus fares (分段计价): the fare grows with the sections ridden through.

use card_spec::Fen;

use crate::{FareError, StopId, gtfs::FeedRoute, schema::BusRoute};

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
        file: &str,
        raw: &BusRoute,
        known: &FeedRoute,
    ) -> Result<Option<Self>, FareError> {
        let error = |problem: &str| {
            let field = format!("route `{}`", raw.id);
            Err(FareError::field(file, field, problem))
        };
        if raw.section_stops.is_empty() && raw.section_fares.is_empty() {
            return Ok(None);
        }
        if raw.section_stops.len() != raw.section_fares.len() {
            return error("section_stops and section_fares must be equally many");
        }
        if raw.section_fares.windows(2).any(|w| w[0].0 > w[1].0) {
            return error("section_fares must not fall");
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
                None => return error("section_stops must begin with the route's first stop"),
            }
        }
        if begins.peek().is_some() {
            return error("section_stops must be stops of the first trip, in its order");
        }
        let fares = raw.section_fares.iter().map(|fare| fare.0).collect();
        Ok(Some(Self { stops, fares }))
    }

    /// The section of a stop.
    pub(crate) fn of(&self, stop: &StopId) -> Option<usize> {
        self.stops
            .iter()
            .find(|(id, _)| id == stop)
            .map(|(_, section)| *section)
    }

    /// Most sections a rider can go through who boards in section `from`.
    fn most(&self, from: Option<usize>) -> usize {
        let last = self.fares.len().saturating_sub(1);
        from.map_or(last, |from| from.max(last - from)) + 1
    }

    /// Sections ridden through and their fare. Where a rider leaves is not always known: until
    /// then the ride is the longest that can be.
    pub(crate) fn fare(&self, from: Option<usize>, to: Option<usize>) -> (usize, Fen) {
        let ridden = match (from, to) {
            (Some(from), Some(to)) => from.abs_diff(to) + 1,
            (from, to) => self.most(from.or(to)),
        };
        let fare = self.fares.get(ridden - 1).or(self.fares.last());
        (ridden, fare.copied().unwrap_or_default())
    }
}
