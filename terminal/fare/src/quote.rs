//! A price that explains itself.

use card_spec::{Fen, time::CardDate};
use serde::{Deserialize, Serialize};

use crate::{FareState, LegMark, TariffId};

/// How far a tariff's figures can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Compared with the authority's own publication.
    Published,
    /// Taken from a repost or from memory; not compared with the original.
    Unverified,
    /// Computed from other published figures.
    Derived,
    /// Invented for examples and tests.
    Synthetic,
}

/// Where a file's figures come from. Required in every file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Who said it.
    pub source: String,
    /// The day the figures were taken over.
    pub date: CardDate,
    /// How far they can be trusted.
    pub status: Status,
    /// Checks made, assumptions, conflicts between sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The tariff file that a price comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TariffRef {
    /// The file's `id`.
    pub id: TariffId,
    /// Where its figures come from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// One line of the explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `tariff id / rule id`: which rule made this step.
    pub rule: String,
    /// The explanation in Chinese.
    pub zh: String,
    /// The explanation in English.
    pub en: String,
    /// What the step added (positive) or took off (negative).
    pub delta: Fen,
}

/// A way to pay that was possible and not chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// `tariff id / rule id` of what would have set the price.
    pub rule: String,
    /// What it is, in Chinese.
    pub zh: String,
    /// What it is, in English.
    pub en: String,
    /// What it would have cost.
    pub amount: Fen,
}

/// A price with its reasons. The deltas of the steps add up to the amount, which is never negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// What to pay.
    pub amount: Fen,
    /// The price before discounts, transfers and caps.
    pub base: Fen,
    /// How `amount` came about, in order.
    pub steps: Vec<Step>,
    /// The tariff that set the base price.
    pub tariff: TariffRef,
    /// Further files that the price depends on (transfer rules, holidays).
    pub also: Vec<TariffRef>,
    /// What else was possible, cheapest first, each rule once.
    pub others: Vec<Other>,
    /// What the journey record says of this leg: write `leg.to_rfu()` into its RFU bytes.
    pub leg: LegMark,
    /// What the card's fare record of this city becomes; `None` when none was read.
    pub state: Option<FareState>,
}

impl Quote {
    /// What discounts, transfers, caps and passes took off the base price. Negative where a
    /// surcharge (overstay) is more than they took off.
    pub fn saved(&self) -> Fen {
        self.base - self.amount
    }
}

/// Collects steps; the amount is their sum by construction.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    steps: Vec<Step>,
}

impl Bill {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        tariff: &TariffId,
        rule: &str,
        zh: String,
        en: String,
        delta: Fen,
    ) {
        self.steps.push(Step {
            rule: format!("{tariff}/{rule}"),
            zh,
            en,
            delta,
        });
    }

    pub(crate) fn first(&self) -> Option<&Step> {
        self.steps.first()
    }

    pub(crate) fn total(&self) -> Fen {
        self.steps.iter().map(|s| s.delta).sum()
    }

    pub(crate) fn quote(
        self,
        base: Fen,
        tariff: TariffRef,
        also: Vec<TariffRef>,
        leg: LegMark,
    ) -> Quote {
        Quote {
            amount: self.total(),
            base,
            steps: self.steps,
            tariff,
            also,
            others: Vec::new(),
            leg,
            state: None,
        }
    }
}
