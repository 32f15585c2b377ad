//! The settlement day 清算日: closing it and what it says.

use crate::Outcome;
use card_spec::{Fen, id::Pan, time::CardDate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One ledger account's balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountBalance {
    /// Account, e.g. `purse-float`, `operator:fz-bus`, `fund:310100:350100`.
    pub account: String,
    /// Debits.
    pub debit: Fen,
    /// Credits.
    pub credit: Fen,
    /// Credits minus debits.
    pub balance: Fen,
}

/// Net position of one party for the day: positive is paid to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetPosition {
    /// Account of the party.
    pub party: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Amount.
    pub net: Fen,
}

/// Totals of one mode.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModeTotal {
    /// Rows that clearing answered, refusals included.
    pub events: u64,
    /// Rows posted.
    pub posted: u64,
    /// Amount posted.
    pub amount: Fen,
}

/// A closed (or previewed) day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayReport {
    /// Day.
    pub day: CardDate,
    /// Whether it is closed; a closed day's report never changes.
    pub closed: bool,
    /// By mode: bus, metro, taxi, parking_meter, car_park, top_up, medical, pension.
    pub modes: BTreeMap<String, ModeTotal>,
    /// Rows by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Medical split by fund pay type (e.g. `310100`, `acct`, `cash`, `hospital`).
    pub medical_split: BTreeMap<String, Fen>,
    /// Every account, sorted by name.
    pub trial_balance: Vec<AccountBalance>,
    /// Sum over the trial balance: zero or something is very wrong.
    pub trial_sum: Fen,
    /// Net positions, sorted by party.
    pub positions: Vec<NetPosition>,
    /// Purse float: what all purses together should hold, by the ledger.
    pub purse_float: Fen,
    /// Of it: authorised top-ups whose TAC has not come, and torn debits still unknown. Signed as it
    /// would change the float if the pending event happened.
    pub pending: Vec<Pending>,
    /// SHA-256 of the day's rows in order, hex: the same day closed again gives the same digest.
    pub digest: String,
}

/// Money whose place is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// `top-up` or `torn-debit`.
    pub kind: String,
    /// Card.
    pub pan: Pan,
    /// Sequence (online for top-ups, offline for debits).
    pub seq: u16,
    /// Amount.
    pub amount: Fen,
}

/// What clearing knows of one card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardShadow {
    /// Card number.
    pub pan: Pan,
    /// Last offline sequence seen.
    pub last_seq: Option<u16>,
    /// Last offline sequence that a TAC covers (AES suite). Above it, `last_seq` and `gaps` rest on
    /// what devices said: SM4 and 3DES leave the sequence out of the TAC.
    pub last_seq_authenticated: Option<u16>,
    /// Sequences that more than one proved debit names: for staff to look into. The debits are all
    /// posted, for at most one of them proves its sequence.
    pub conflicts: Vec<u16>,
    /// Balance after the newest record or load, as the ledger believes.
    pub balance: Fen,
    /// Offline sequences missing below the last one.
    pub gaps: Vec<u16>,
    /// Whether hotlisted.
    pub hotlisted: bool,
}
