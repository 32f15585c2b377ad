//! Card discounts and concessions: the best single one applies.

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use serde::Deserialize;

use crate::{
    FareError, Rider,
    calendar::Calendar,
    clock::{self, DailyWindow, TimeOfDay},
    schema::Yuan,
};

/// Days on which an exception holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Days {
    All,
    Workdays,
}

/// Times at which a discount does not hold.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
}

/// A `[[discount]]` table of a bus or metro tariff.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discount {
    pub(crate) id: String,
    pub(crate) zh: String,
    pub(crate) en: String,
    /// What remains to pay, percent of the base fare, rounded half up to the fen.
    pay_percent: u8,
    /// Card kinds entitled. With `min_age` too, a known age decides and the kind only speaks for
    /// a rider whose age the device does not know.
    #[serde(default)]
    kinds: Vec<CardKind>,
    min_age: Option<u8>,
    /// Base fares it holds for; empty for all.
    #[serde(default)]
    base_fares: Vec<Yuan>,
    #[serde(default)]
    except: Vec<Exception>,
}

impl Discount {
    pub(crate) fn check(&self, file: &str) -> Result<(), FareError> {
        let field = |name: &str| format!("discount `{}`, {name}", self.id);
        if self.pay_percent > 100 {
            return Err(FareError::field(
                file,
                field("pay_percent"),
                "what remains to pay is 0 to 100 percent; a discount cannot raise the price",
            ));
        }
        Ok(())
    }

    fn entitles(&self, rider: Rider) -> bool {
        match (self.min_age, rider.age) {
            (Some(min), Some(age)) => age >= min,
            (Some(_), None) => self.kinds.contains(&rider.kind),
            (None, _) => self.kinds.is_empty() || self.kinds.contains(&rider.kind),
        }
    }
}

/// The outcome of the search.
pub(crate) struct Best<'a> {
    /// The discount and what remains to pay.
    pub(crate) found: Option<(&'a Discount, Fen)>,
    /// Whether the answer depends on what day is a workday.
    pub(crate) uses_calendar: bool,
}

/// The discount that leaves the least to pay; the first in the file among equals.
pub(crate) fn best<'a>(
    discounts: &'a [Discount],
    calendar: &Calendar,
    rider: Rider,
    at: CardTime,
    base: Fen,
) -> Best<'a> {
    let mut best = Best {
        found: None,
        uses_calendar: false,
    };
    let seconds = clock::seconds(at);
    for rule in discounts {
        if !rule.entitles(rider)
            || !(rule.base_fares.is_empty() || rule.base_fares.contains(&Yuan(base)))
        {
            continue;
        }
        let barred = rule.except.iter().any(|e| {
            let inside = DailyWindow {
                from: e.from,
                to: e.to,
            }
            .holds(seconds);
            best.uses_calendar |= inside && e.days == Days::Workdays;
            inside && (e.days == Days::All || calendar.is_workday(at.date()))
        });
        // In range by `check` and `Yuan`: the ratio of a bounded amount always exists.
        let payable = base
            .ratio_half_up(rule.pay_percent.into(), 100)
            .unwrap_or(base);
        let lowest = best.found.map_or(base, |(_, fen)| fen);
        if !barred && payable < lowest {
            best.found = Some((rule, payable));
        }
    }
    best
}
