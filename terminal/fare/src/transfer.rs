//! Transfer discounts (换乘优惠): direction, window, card kind.

use card_spec::{purse::files::CardKind, time::CardTime};
use serde::Deserialize;

use crate::{
    CityCode, FareError, LegClass, PriorLeg, TariffRef,
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
    pub(crate) fn new(file: &str, raw: schema::TransferFile) -> Result<Self, FareError> {
        // The age of a window is written on the card in two bytes.
        if raw.max_gap_seconds < raw.min_gap_seconds {
            return Err(FareError::field(
                file,
                "max_gap_seconds",
                "must not be below min_gap_seconds",
            ));
        }
        for rule in &raw.rule {
            let error = |problem| {
                let field = format!("rule `{}`", rule.id);
                Err(FareError::field(file, field, problem))
            };
            if rule.from.is_empty() || rule.to.is_empty() {
                return error("`from` and `to` need a class each");
            }
            if rule
                .from
                .iter()
                .chain(&rule.to)
                .any(|c| *c == LegClass::Outside)
            {
                return error("`outside` takes no part in transfers; use another class");
            }
        }
        Ok(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            min_gap_seconds: raw.min_gap_seconds.into(),
            max_gap_seconds: raw.max_gap_seconds.into(),
            rules: raw.rule,
        })
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
