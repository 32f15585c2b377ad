//! What is priced: rides, and the charges that pay for them.

use std::collections::BTreeSet;

use super::{
    money::Currency,
    network::{RouteIx, StopIx},
};

/// What a ride runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Run {
    /// A route.
    Route(RouteIx),
    /// Some route of a network for which the feed has no timetable.
    Network(Box<str>),
    /// Whatever runs: only rules that ask for no route and no network price it.
    Any,
}

/// Travel between boarding and alighting (reference: "leg").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ride {
    pub(super) run: Run,
    pub(super) from: StopIx,
    pub(super) to: StopIx,
    /// Zones of all halts from boarding to alighting; `None` where the timetable is silent.
    pub(super) zones: Option<BTreeSet<Box<str>>>,
    /// Scheduled riding time, 0 where the timetable is silent.
    pub(super) seconds: u32,
}

/// A ride inside a journey. Changes take no time: how long one waits is not known here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed<'a> {
    pub(super) ride: &'a Ride,
    /// Seconds since the journey began.
    pub(super) starts: u32,
    pub(super) ends: u32,
}

/// Puts rides one behind the other.
pub(super) fn timed(rides: &[Ride]) -> Vec<Timed<'_>> {
    let mut clock = 0_u32;
    rides
        .iter()
        .map(|ride| {
            let starts = clock;
            clock = clock.saturating_add(ride.seconds);
            Timed {
                ride,
                starts,
                ends: clock,
            }
        })
        .collect()
}

/// What one rule charges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charge {
    /// File and line of the rule.
    pub(super) file: &'static str,
    pub(super) line: u64,
    pub(super) product: Box<str>,
    pub(super) minor: i64,
    pub(super) why: String,
}

/// One way to pay for a journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) currency: Currency,
    pub(super) charges: Vec<Charge>,
    /// What the rides would cost each for itself.
    pub(super) separate: i64,
}

impl Payment {
    /// Never below nothing: a transfer discount larger than the fare is not paid out.
    pub(super) fn total(&self) -> i64 {
        let sum: i64 = self.charges.iter().map(|c| c.minor).sum();
        sum.max(0)
    }
}
