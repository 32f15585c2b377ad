//! Caps (封顶): what a rider pays at most in a service day, a week from Monday, a month.
//!
//! A cap limits the sum of what was really paid, after discounts and transfers, on the legs in its
//! scope. Caps may overlap: a leg may be paid as far as all of them leave room.

use std::collections::BTreeSet;

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use serde::Deserialize;

use crate::{
    clock::{self, DAY},
    problems::Problems,
    schema::Yuan,
};

use super::{Contracts, Counter, FareState, Scope, ScopedLeg};

/// A `[[cap]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cap {
    pub(super) id: String,
    zh: String,
    en: String,
    /// Which of the card's counters, from 1.
    counter: u8,
    #[serde(default)]
    pub(super) scope: Scope,
    /// Card kinds it is for; empty for every kind without a cap of its own on this counter.
    #[serde(default)]
    kinds: Vec<CardKind>,
    day: Option<Yuan>,
    week: Option<Yuan>,
    month: Option<Yuan>,
}

/// How much may still be paid on a leg, and which cap says so.
#[derive(Debug, Clone)]
pub(crate) struct Room<'a> {
    pub(crate) left: Fen,
    pub(crate) rule: String,
    pub(crate) zh: &'a str,
    pub(crate) en: &'a str,
}

/// A service day, its week and its month, each counted from any fixed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Periods {
    day: i64,
    week: i64,
    month: i64,
}

impl Cap {
    pub(super) fn check(&self, problems: &mut Problems<'_>, earlier: &[Self]) {
        let mut error = |problem: &str| problems.add(format!("cap `{}`", self.id), problem);
        if self.index().is_none() {
            error("counter must be 1 or 2: the card has two");
        }
        let limits = [self.day, self.week, self.month];
        if limits.iter().all(Option::is_none) {
            error("needs a limit: day, week or month");
        }
        if limits.iter().flatten().any(|l| l.0 > Counter::MAX) {
            error("limits go up to 655.35: the card counts in two bytes");
        }
        let others = || earlier.iter().filter(|other| other.counter == self.counter);
        if others().any(|other| other.scope != self.scope) {
            error("caps on one counter must have one scope: they count the same legs");
        }
        let meets = |other: &Self| {
            (self.kinds.is_empty() && other.kinds.is_empty())
                || self.kinds.iter().any(|kind| other.kinds.contains(kind))
        };
        if others().any(meets) {
            error("another cap on this counter is for the same card kind");
        }
    }

    fn index(&self) -> Option<usize> {
        let index = usize::from(self.counter).checked_sub(1)?;
        (index < FareState::COUNTERS).then_some(index)
    }
}

impl Contracts {
    /// The caps that hold on a leg, with the counter of each: those of the card's kind, and those
    /// of an ordinary card, as which every card may be used.
    fn caps_for(&self, leg: ScopedLeg<'_>, kind: CardKind) -> impl Iterator<Item = (usize, &Cap)> {
        (0..FareState::COUNTERS).flat_map(move |index| {
            let here = self
                .caps
                .iter()
                .filter(move |cap| cap.index() == Some(index) && cap.scope.covers(leg));
            let of = move |kind| {
                let own = here.clone().find(|cap| cap.kinds.contains(&kind));
                own.or_else(|| here.clone().find(|cap| cap.kinds.is_empty()))
            };
            let both = [of(kind), of(CardKind::Normal)];
            both.into_iter().flatten().map(move |cap| (index, cap))
        })
    }

    fn periods(&self, seconds: i64) -> Periods {
        let day = self.service_day(seconds);
        let (year, month, _) = clock::date(day);
        Periods {
            day,
            week: (day + 3).div_euclid(7),
            month: year * 12 + i64::from(month),
        }
    }

    /// The service day (days since 1970-01-01) that a local time belongs to.
    pub(super) fn service_day(&self, seconds: i64) -> i64 {
        (seconds - self.day_begins).div_euclid(DAY)
    }

    /// The counters as they stand at `to`: those whose period ended begin anew. A device whose
    /// clock is behind the card's last leg counts into that leg's periods, so that no order of
    /// taps begins a period twice.
    fn rolled(&self, counters: &mut [Counter; FareState::COUNTERS], from: i64, to: i64) {
        let (before, now) = (self.periods(from), self.periods(to.max(from)));
        for counter in counters {
            if before.day != now.day {
                counter.day = Fen::ZERO;
            }
            if before.week != now.week {
                counter.week = Fen::ZERO;
            }
            if before.month != now.month {
                counter.month = Fen::ZERO;
            }
        }
    }

    /// The tightest cap on a leg that starts at `starts`, where there is any.
    pub(crate) fn room(
        &self,
        state: &FareState,
        leg: ScopedLeg<'_>,
        kind: CardKind,
        starts: CardTime,
    ) -> Option<Room<'_>> {
        let mut counters = state.counters;
        self.rolled(&mut counters, state.seconds(), clock::seconds(starts));
        let left = |cap: &Cap, counter: &Counter| {
            [
                (cap.day, counter.day, "day"),
                (cap.week, counter.week, "week"),
                (cap.month, counter.month, "month"),
            ]
            .into_iter()
            .filter_map(|(limit, paid, period)| Some(((limit?.0 - paid).max(Fen::ZERO), period)))
            .min()
        };
        self.caps_for(leg, kind)
            .filter_map(|(index, cap)| {
                let (left, period) = left(cap, counters.get(index)?)?;
                Some(Room {
                    left,
                    rule: format!("cap/{}/{period}", cap.id),
                    zh: &cap.zh,
                    en: &cap.en,
                })
            })
            .min_by_key(|room| room.left)
    }

    /// Counts a leg that was paid, and sets the state to the leg's end.
    pub(crate) fn count(
        &self,
        state: &mut FareState,
        leg: ScopedLeg<'_>,
        kind: CardKind,
        (starts, ends): (CardTime, CardTime),
        paid: Fen,
    ) {
        let last = state.seconds();
        let (starts, ends) = (clock::seconds(starts).max(last), clock::seconds(ends));
        self.rolled(&mut state.counters, last, starts);
        let counted: BTreeSet<usize> = self.caps_for(leg, kind).map(|(index, _)| index).collect();
        for (index, counter) in state.counters.iter_mut().enumerate() {
            if counted.contains(&index) {
                counter.add(paid);
            }
        }
        // A metro journey counts where it began; what it left behind is as old as its exit.
        self.rolled(&mut state.counters, starts, ends);
        state.set_seconds(ends.max(starts));
    }
}
