//! Transfer discounts (换乘优惠): direction, window, card kind.

use card_spec::{purse::files::CardKind, time::CardTime};
use serde::Deserialize;

use crate::{
    CityCode, LegClass, PriorLeg, TariffRef,
    problems::Problems,
    schema::{self, Yuan},
};

/// A `[[rule]]` table of a transfer file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferRule {
    pub(crate) id: String,
    pub(crate) zh: String,
    pub(crate) en: String,
    from: Vec<LegClass>,
    to: Vec<LegClass>,
    pub(crate) off: Yuan,
    /// Card kinds it is for; empty for every kind without a rule of its own.
    #[serde(default)]
    kinds: Vec<CardKind>,
}

/// A city's transfer rules.
#[derive(Debug)]
pub(crate) struct Transfers {
    pub(crate) tariff: TariffRef,
    pub(crate) min_gap_seconds: i64,
    max_gap_seconds: i64,
    rules: Vec<TransferRule>,
}

impl Transfers {
    pub(crate) fn new(problems: &mut Problems<'_>, raw: schema::TransferFile) -> Self {
        // The age of a window is written on the card in two bytes.
        if raw.max_gap_seconds < raw.min_gap_seconds {
            problems.add("max_gap_seconds", "must not be below min_gap_seconds");
        }
        for rule in &raw.rule {
            for (key, classes) in [("from", &rule.from), ("to", &rule.to)] {
                let field = format!("rule `{}`, {key}", rule.id);
                if classes.is_empty() {
                    problems.add(field, "needs a class");
                } else if classes.contains(&LegClass::Outside) {
                    let problem = "`outside` takes no part in transfers; use another class";
                    problems.add(field, problem);
                }
            }
        }
        Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            min_gap_seconds: raw.min_gap_seconds.into(),
            max_gap_seconds: raw.max_gap_seconds.into(),
            rules: raw.rule,
        }
    }

    /// The rule for a leg of class `to` that starts at `at`, both edges of the window included.
    pub(crate) fn rule(
        &self,
        prior: &PriorLeg,
        city: CityCode,
        to: LegClass,
        at: CardTime,
        kind: CardKind,
    ) -> Option<&TransferRule> {
        let gap = prior.gap_seconds(at);
        if prior.city != city || gap < self.min_gap_seconds || gap > self.max_gap_seconds {
            return None;
        }
        let mut matching = self
            .rules
            .iter()
            .filter(|rule| rule.from.contains(&prior.class) && rule.to.contains(&to));
        matching
            .clone()
            .find(|rule| rule.kinds.contains(&kind))
            .or_else(|| matching.find(|rule| rule.kinds.is_empty()))
    }
}
