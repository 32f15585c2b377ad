//! Counts that only the driver can make: which reader, which batch, what a terminal refused.

use clearing_api::{BatchAnswer, BatchOutcome};
use std::collections::{BTreeMap, BTreeSet};
use terminal::{TapResult, code::Verdict};

/// The counts.
#[derive(Default)]
pub(crate) struct Tally {
    /// Rows answered, by reader.
    pub by_reader: BTreeMap<String, u64>,
    /// Batches, by outcome.
    pub batches: BTreeMap<String, u64>,
    /// Refusals at terminals, by code.
    pub refused: BTreeMap<String, u64>,
    /// Codes shown, by number.
    pub codes: BTreeMap<u16, u64>,
    /// Steps served through pcscd, by mode.
    pub pcsc_modes: BTreeSet<&'static str>,
}

impl Tally {
    /// What a terminal showed.
    pub(crate) fn shown(&mut self, result: &TapResult) {
        *self.codes.entry(result.code.number()).or_default() += 1;
        if result.verdict != Verdict::Open {
            let key = format!("{} {} {}", result.code.number(), result.en, result.zh);
            *self.refused.entry(key).or_default() += 1;
        }
    }

    /// A row answered outside a batch (a top-up, a settlement).
    pub(crate) fn row(&mut self, through_pcsc: bool) {
        let reader = if through_pcsc { "pcsc" } else { "memory" };
        *self.by_reader.entry(reader.to_owned()).or_default() += 1;
    }

    /// An answered batch. Rows of a repeated one were counted the first time.
    pub(crate) fn batch(&mut self, answer: &BatchAnswer, via_pcsc: &BTreeSet<u64>) {
        let key = format!("{} {}", answer.outcome.number(), answer.outcome.text());
        *self.batches.entry(key).or_default() += 1;
        if answer.outcome == BatchOutcome::Admitted {
            for item in &answer.items {
                self.row(via_pcsc.contains(&item.journal_seq));
            }
        }
    }
}
