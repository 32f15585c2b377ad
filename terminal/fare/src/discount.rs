//! Card discounts and concessions: by card kind, age, base fare and time.

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use serde::Deserialize;

use crate::{
    Rider,
    calendar::Calendar,
    problems::Problems,
    schema::Yuan,
    window::{self, TimeWindow},
};

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
    pub(crate) kinds: Vec<CardKind>,
    pub(crate) min_age: Option<u8>,
    /// Base fares it holds for; empty for all.
    #[serde(default)]
    base_fares: Vec<Yuan>,
    /// Times at which alone it holds; empty for always.
    #[serde(default)]
    during: Vec<TimeWindow>,
    /// Times at which it does not hold.
    #[serde(default)]
    except: Vec<TimeWindow>,
}

impl Discount {
    pub(crate) fn check(&self, problems: &mut Problems<'_>) {
        if self.pay_percent > 100 {
            problems.add(
                format!("discount `{}`, pay_percent", self.id),
                "what remains to pay is 0 to 100 percent; a discount cannot raise the price",
            );
        }
    }

    pub(crate) const fn asks_age(&self) -> bool {
        self.min_age.is_some()
    }

    fn entitles(&self, rider: Rider, base: Fen) -> bool {
        let who = match (self.min_age, rider.age) {
            (Some(min), Some(age)) => age >= min,
            (Some(_), None) => self.kinds.contains(&rider.kind),
            (None, _) => self.kinds.is_empty() || self.kinds.contains(&rider.kind),
        };
        who && (self.base_fares.is_empty() || self.base_fares.contains(&Yuan(base)))
    }
}

/// The discounts that a rider may take on one leg.
pub(crate) struct Entitled<'a> {
    /// Each with what remains to pay, in the order of the file; only those that lower the price.
    pub(crate) found: Vec<(&'a Discount, Fen)>,
    /// Whether the answer depends on what day is a workday.
    pub(crate) uses_calendar: bool,
}

/// Every discount that holds for `rider` at `at`.
pub(crate) fn entitled<'a>(
    discounts: &'a [Discount],
    calendar: &Calendar,
    rider: Rider,
    at: CardTime,
    base: Fen,
) -> Entitled<'a> {
    let mut out = Entitled {
        found: Vec::new(),
        uses_calendar: false,
    };
    for rule in discounts.iter().filter(|rule| rule.entitles(rider, base)) {
        let only = window::any(&rule.during, calendar, at);
        let barred = window::any(&rule.except, calendar, at);
        out.uses_calendar |= only.uses_calendar || barred.uses_calendar;
        // In range by `check` and `Yuan`: the ratio of a bounded amount always exists.
        let payable = base
            .ratio_half_up(rule.pay_percent.into(), 100)
            .unwrap_or(base);
        if (rule.during.is_empty() || only.holds) && !barred.holds && payable < base {
            out.found.push((rule, payable));
        }
    }
    out
}
