//! Passes: a number of rides (计次月票) or any number within a time (期票).

use std::collections::BTreeSet;

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, LegMark, Quote, QuoteError, Rider, clock, problems::Problems, quote::Bill,
    schema::Yuan,
};

use super::{Contracts, FareState, HeldPass, Scope, ScopedLeg, state::EPOCH_DAYS};

/// How long a pass is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Validity {
    /// From the first to the last service day of a month.
    CalendarMonth,
    /// That many service days, the first included.
    Days(u16),
}

/// A `[[pass]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pass {
    pub(super) id: String,
    /// Its number on cards, from 1.
    code: u8,
    pub(crate) zh: String,
    pub(crate) en: String,
    price: Yuan,
    #[serde(default)]
    pub(super) scope: Scope,
    /// Card kinds that may buy and use it; empty for all.
    #[serde(default)]
    kinds: Vec<CardKind>,
    /// Rides it holds; absent for any number.
    rides: Option<u8>,
    validity: Validity,
}

impl Pass {
    pub(super) fn check(&self, problems: &mut Problems<'_>, codes: &mut BTreeSet<u8>) {
        let mut error = |key: &str, problem: &str| {
            problems.add(format!("pass `{}`, {key}", self.id), problem);
        };
        if self.code == 0 || !codes.insert(self.code) {
            error(
                "code",
                "must be from 1 to 255 and no other pass's: the card names it so",
            );
        }
        if matches!(self.rides, Some(0 | u8::MAX)) {
            error(
                "rides",
                "must be from 1 to 254; leave it out for any number",
            );
        }
        if matches!(self.validity, Validity::Days(0 | 1000..)) {
            error("validity", "days must be from 1 to 999");
        }
    }

    pub(crate) fn rule(&self) -> String {
        format!("pass/{}", self.id)
    }

    fn is_for(&self, kind: CardKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// First and last day of a validity that contains `day`, or begins on it.
    fn span(&self, day: i64) -> (i64, i64) {
        match self.validity {
            Validity::Days(n) => (day, day + i64::from(n) - 1),
            Validity::CalendarMonth => {
                let (year, month, in_month) = clock::date(day);
                let first = day - i64::from(in_month) + 1;
                // No month has more than 31 days: this lies in the next one.
                let (y, m, d) = clock::date(first + 31);
                debug_assert!((y, m) != (year, month));
                (first, first + 31 - i64::from(d))
            }
        }
    }

    /// The first day of a validity that ends on `last`.
    fn first_of(&self, last: i64) -> i64 {
        match self.validity {
            Validity::Days(n) => last - i64::from(n) + 1,
            Validity::CalendarMonth => self.span(last).0,
        }
    }
}

/// A pass to be bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassOrder {
    /// Where.
    pub city: CityCode,
    /// The pass's id.
    pub pass: String,
    /// Who buys.
    pub rider: Rider,
    /// When.
    pub at: CardTime,
    /// A time on the first day of validity; of a calendar month any of its days.
    pub from: CardTime,
    /// The city's state on the card.
    pub state: FareState,
}

/// A pass that can be sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassSale {
    /// Its price.
    pub quote: Quote,
    /// What to write on the card.
    pub state: FareState,
}

impl Contracts {
    /// The pass on the card that pays a leg: its place, what it is, and what it becomes.
    pub(crate) fn pass_for(
        &self,
        state: &FareState,
        leg: ScopedLeg<'_>,
        kind: CardKind,
        starts: CardTime,
    ) -> Option<(usize, &Pass, HeldPass)> {
        let today = self.service_day(clock::seconds(starts));
        let usable = state.passes.iter().enumerate().filter_map(|(place, held)| {
            let held = (*held)?;
            let pass = self.passes.iter().find(|pass| pass.code == held.code)?;
            let last = i64::from(held.last_day) + EPOCH_DAYS;
            let valid = pass.first_of(last) <= today && today <= last;
            let left = held.rides_left != Some(0);
            (valid && left && pass.is_for(kind) && pass.scope.covers(leg))
                .then_some((place, pass, held))
        });
        // A period pass before rides, and the rides that end first.
        usable
            .min_by_key(|(_, _, held)| (held.rides_left.is_some(), held.last_day))
            .map(|(place, pass, held)| {
                let rides_left = held.rides_left.map(|n| n.saturating_sub(1));
                (place, pass, HeldPass { rides_left, ..held })
            })
    }

    pub(crate) fn sell(&self, order: &PassOrder) -> Result<PassSale, QuoteError> {
        let pass = self
            .passes
            .iter()
            .find(|pass| pass.id == order.pass)
            .ok_or_else(|| QuoteError::Pass(order.pass.clone()))?;
        if !pass.is_for(order.rider.kind) {
            return Err(QuoteError::PassKind(order.pass.clone()));
        }
        let today = self.service_day(clock::seconds(order.at));
        let (first, last) = pass.span(self.service_day(clock::seconds(order.from)));
        if last < today {
            return Err(QuoteError::TimeOrder);
        }
        let ends = |held: &HeldPass| i64::from(held.last_day) + EPOCH_DAYS;
        let live = |held: &HeldPass| ends(held) >= today && held.rides_left != Some(0);
        let overlaps = |held: &HeldPass| {
            held.code == pass.code && ends(held) >= first && pass.first_of(ends(held)) <= last
        };
        if order
            .state
            .passes()
            .any(|held| live(held) && overlaps(held))
        {
            return Err(QuoteError::PassHeld(order.pass.clone()));
        }
        let last_day =
            u16::try_from(last - EPOCH_DAYS).map_err(|_| QuoteError::TooLong(u16::MAX))?;
        let mut state = order.state;
        let place = state
            .passes
            .iter_mut()
            .find(|place| !place.as_ref().is_some_and(live))
            .ok_or(QuoteError::PassPlaces)?;
        *place = Some(HeldPass {
            code: pass.code,
            last_day,
            rides_left: pass.rides,
        });
        let mut bill = Bill::new();
        let (zh, en) = (pass.zh.clone(), pass.en.clone());
        bill.add(&self.tariff.id, &pass.rule(), zh, en, pass.price.0);
        let price: Fen = bill.total();
        let quote = bill.quote(price, self.tariff.clone(), Vec::new(), LegMark::default());
        Ok(PassSale { quote, state })
    }
}
