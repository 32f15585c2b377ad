//! What can be asked, and what of it the feed does not know.

use card_spec::time::CardTime;

use super::{
    Fares, Feed,
    journeys::MOST_JOURNEYS,
    network::{RouteIx, StopIx},
    ride::{Ride, Run},
};

/// A question: what does it cost to travel from here to there?
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    /// Where the journey begins: `stop_id` of a stop or station.
    pub from: &'a str,
    /// Where it ends.
    pub to: &'a str,
    /// Where to change, in order. Empty: anywhere, up to two changes.
    pub via: &'a [String],
    /// Travel on this route only.
    pub route: Option<&'a str>,
    /// When the journey begins, local time of the first stop. `None`: at the cheapest time.
    pub at: Option<CardTime>,
    /// Rider category. `None`: the feed's default one.
    pub rider: Option<&'a str>,
    /// Completed years, where tariffs stand beside the feed. `None`: unknown.
    pub age: Option<u8>,
    /// Fare medium. `None`: the cheapest.
    pub media: Option<&'a str>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The feed has no such thing.
    #[error("the feed has no {what} `{id}`{}", Near(.near))]
    Unknown {
        /// `stop`, `route`, `rider category` or `fare medium`.
        what: &'static str,
        /// What was asked for.
        id: String,
        /// What it might have been.
        near: Vec<String>,
    },
    /// Nobody boards or alights there.
    #[error("`{0}` is no stop or station; name the stop where the ride begins or ends")]
    NoPlatform(String),
    /// More stops to change at than are looked at: the ways to travel multiply with each.
    #[error("{0} stops to change at are more than {most}; name fewer, or ask for parts of the journey", most = MOST_VIA)]
    TooManyVia(usize),
    /// Start and end are one place.
    #[error("`{0}` is both start and end; name two places")]
    NoTravel(String),
    /// No rule of the feed prices it.
    #[error(
        "the feed prices no such journey ({} ways to travel looked at{}); try another rider, medium, \
         time or route, or `onecard fare table` for what it prices", .0, if *.1 { ", there are more" } else { "" }
    )]
    NoFare(usize, bool),
    /// No trips join the two.
    #[error(
        "no trips lead from `{0}` to `{1}` with two changes at most; where one changes between two \
         stops stands in transfers.txt, and `--via` names stops to change at"
    )]
    NoWay(String, String),
}

/// Most stops to change at in one question.
const MOST_VIA: usize = 8;

/// What a quote says whose search was cut off.
pub(super) fn cut_off() -> String {
    format!(
        "there are more than {MOST_JOURNEYS} ways to travel and only so many were priced: another may be cheaper; name --route or where to change with --via"
    )
}

/// Ways to travel; `cut` when there are more than were looked at.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub(super) journeys: Vec<Vec<Ride>>,
    pub(super) cut: bool,
}

struct Near<'a>(&'a [String]);

impl core::fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, "; near it: {}", names.join(", ")),
        }
    }
}

impl Feed {
    /// The stops that the journey goes through, in order.
    pub(super) fn places(&self, ask: &Ask<'_>) -> Result<Vec<StopIx>, AskError> {
        if ask.via.len() > MOST_VIA {
            return Err(AskError::TooManyVia(ask.via.len()));
        }
        let ids = std::iter::once(ask.from)
            .chain(ask.via.iter().map(String::as_str))
            .chain([ask.to]);
        let places = ids.map(|id| self.stop(id)).collect::<Result<Vec<_>, _>>()?;
        match places.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(AskError::NoTravel(
                self.network.stops[pair[0] as usize].id.to_string(),
            )),
            None => Ok(places),
        }
    }

    fn stop(&self, id: &str) -> Result<StopIx, AskError> {
        let stops = self.network.stops.iter();
        let known = self.network.stop_ix.get(id).copied();
        let ix = known.ok_or_else(|| unknown("stop", id, stops.map(|s| (&*s.id, &*s.name))))?;
        match self.network.platforms(ix).is_empty() {
            true => Err(AskError::NoPlatform(id.to_owned())),
            false => Ok(ix),
        }
    }

    pub(super) fn route(&self, id: &str) -> Result<RouteIx, AskError> {
        let routes = self.network.routes.iter();
        let known = self.network.route_ix.get(id).copied();
        known.ok_or_else(|| unknown("route", id, routes.map(|r| (&*r.id, &*r.name))))
    }

    /// The rider category asked for, else the feed's default one.
    pub(super) fn rider<'a>(&'a self, id: Option<&'a str>) -> Result<Option<&'a str>, AskError> {
        let riders = self.riders();
        match (id, &self.fares) {
            (Some(id), _) if riders.contains(&id) => Ok(Some(id)),
            (Some(id), _) => Err(unknown(
                "rider category",
                id,
                riders.iter().map(|r| (*r, "")),
            )),
            (None, Fares::V1(_)) => Ok(None),
            (None, Fares::V2(fares)) => {
                let usual = fares.riders.iter().find(|(_, usual)| **usual);
                Ok(usual.map(|(id, _)| &**id))
            }
        }
    }

    /// The media to price with.
    pub(super) fn medium<'a>(
        &'a self,
        id: Option<&'a str>,
    ) -> Result<Vec<Option<&'a str>>, AskError> {
        let Some(id) = id else {
            return Ok(self.media());
        };
        let known: Vec<&str> = match &self.fares {
            Fares::V1(_) => Vec::new(),
            Fares::V2(fares) => fares.media.iter().map(|id| &**id).collect(),
        };
        match known.contains(&id) {
            true => Ok(vec![Some(id)]),
            false => Err(unknown("fare medium", id, known.iter().map(|m| (*m, "")))),
        }
    }

    /// The journeys that answer a question.
    pub(super) fn ways(&self, places: &[StopIx], route: Option<RouteIx>) -> Ways {
        let changes = if places.len() == 2 && route.is_none() {
            2
        } else {
            0
        };
        let mut ways = Ways {
            journeys: vec![Vec::new()],
            cut: false,
        };
        for pair in places.windows(2) {
            let legs = self.leg_ways(pair[0], pair[1], route, changes);
            let many = ways.journeys.len() * legs.journeys.len();
            let joined = ways.journeys.iter().flat_map(|way: &Vec<Ride>| {
                let legs = legs.journeys.iter();
                legs.map(move |leg| way.iter().chain(leg).cloned().collect())
            });
            ways = Ways {
                journeys: joined.take(MOST_JOURNEYS).collect(),
                cut: ways.cut || legs.cut || many > MOST_JOURNEYS,
            };
        }
        ways
    }

    fn leg_ways(&self, from: StopIx, to: StopIx, route: Option<RouteIx>, changes: usize) -> Ways {
        let (from, to) = (self.network.platforms(from), self.network.platforms(to));
        let class = |stop| self.class(stop);
        let mut ways = self
            .journeys
            .between(&self.network, (&from, &to), changes, class);
        let silent = ways.journeys.is_empty();
        if let Some(route) = route {
            ways.journeys
                .retain(|way| way.iter().all(|ride| ride.run == Run::Route(route)));
        }
        if !silent {
            return ways;
        }
        let pairs = from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b)));
        let journeys = match route {
            Some(ix) if self.network.routes[ix as usize].timetabled => Vec::new(),
            Some(ix) => pairs
                .map(|(from, to)| {
                    vec![Ride {
                        run: Run::Route(ix),
                        from,
                        to,
                        zones: None,
                        seconds: 0,
                    }]
                })
                .collect(),
            None => pairs
                .flat_map(|(from, to)| self.untimetabled(from, to))
                .map(|ride| vec![ride])
                .collect(),
        };
        Ways {
            journeys,
            cut: false,
        }
    }
}

pub(super) fn unknown<'a>(
    what: &'static str,
    id: &str,
    known: impl Iterator<Item = (&'a str, &'a str)>,
) -> AskError {
    /// Most names that are offered, and most letters that may differ.
    const OFFERED: usize = 5;
    const MOST_SLIPS: usize = 2;
    let wanted = id.to_lowercase();
    let mut near: Vec<(usize, String)> = known
        .filter_map(|(id, name)| {
            let slips = [id, name].map(|text| {
                let text = text.to_lowercase();
                match !wanted.is_empty() && text.contains(&wanted) {
                    true => 0,
                    false => strsim::damerau_levenshtein(&text, &wanted),
                }
            });
            let slips = slips.into_iter().min().unwrap_or(usize::MAX);
            let shown = match name {
                "" => id.to_owned(),
                _ => format!("{id} ({name})"),
            };
            (slips <= MOST_SLIPS).then_some((slips, shown))
        })
        .collect();
    near.sort();
    AskError::Unknown {
        what,
        id: id.to_owned(),
        near: near
            .into_iter()
            .take(OFFERED)
            .map(|(_, name)| name)
            .collect(),
    }
}
