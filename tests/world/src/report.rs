//! What a day came to: one value, printed as tables and written as JSON.
//!
//! Everything outside `measured` is the same, byte for byte, for the same seed and reader kind.

use clearing_api::day::{AccountBalance, NetPosition};
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always true: keys come from a published seed.
    pub demo: bool,
    /// The seed.
    pub seed: u64,
    /// `memory` or `pcsc`.
    pub readers: String,
    /// Settlement day.
    pub day: String,
    /// Who formed which root from which components; check values only.
    pub ceremony: hsm::ceremony::Transcript,
    /// Every application master: type, index, version, suite, KCV, kind.
    pub keys: Vec<hsm_client::KeyInfo>,
    /// Keys that no card holds: check values, and fingerprints of public keys.
    pub own_keys: hsm_client::OwnKeys,
    /// Rows of the sample file that became persons.
    pub persons_accepted: u64,
    /// Rows that were refused.
    pub persons_refused: u64,
    /// Why, by row and field.
    pub intake_errors: Vec<IntakeError>,
    /// Cards personalised and read back.
    pub cards_issued: u64,
    /// Of them through pcscd.
    pub cards_issued_pcsc: u64,
    /// SAMs personalised.
    pub sams_issued: u64,
    /// Of them through pcscd.
    pub sams_issued_pcsc: u64,
    /// Rows that clearing answered, refusals included.
    pub events_total: u64,
    /// The same by mode.
    pub events_by_mode: BTreeMap<String, u64>,
    /// Amount posted by mode.
    pub amounts_by_mode_fen: BTreeMap<String, i64>,
    /// The same rows by reader: `memory`, `pcsc`.
    pub events_by_reader: BTreeMap<String, u64>,
    /// Rows by numbered outcome, key `number name`.
    pub outcomes: BTreeMap<String, u64>,
    /// Batches by numbered outcome, key `number name`.
    pub batches: BTreeMap<String, u64>,
    /// What terminals refused before any record, by code.
    pub refused_at_terminal: BTreeMap<String, u64>,
    /// Sum of the trial balance: zero.
    pub trial_balance_fen: i64,
    /// Its rows.
    pub trial_balance: Vec<AccountBalance>,
    /// Purse float by the ledger.
    pub purse_float_fen: i64,
    /// Sum of what the cards themselves say.
    pub card_balances_fen: i64,
    /// Pending top-ups and torn debits, signed as they would change the float.
    pub pending_fen: i64,
    /// Float - cards - pending: zero.
    pub float_difference_fen: i64,
    /// Medical split by fund pay type.
    pub medical_split_fen: BTreeMap<String, i64>,
    /// Net position of every party.
    pub net_positions_fen: BTreeMap<String, i64>,
    /// The same with names.
    pub net_positions: Vec<NetPosition>,
    /// Settlement digest of the closed day.
    pub digest: String,
    /// Every check of the day.
    pub checks: Vec<Check>,
    /// Times and speeds: differ from run to run.
    pub measured: BTreeMap<String, u64>,
}

/// One refused field of one row.
#[derive(Debug, Clone, Serialize)]
pub struct IntakeError {
    /// Row in the file, the header being row 1.
    pub row: u64,
    /// Column.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Short name.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// Figures behind it.
    pub detail: String,
}

impl Report {
    /// Whether every check held.
    pub fn all_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}
