//! What goes into the store and comes out of it.

use crate::ledger::{Posting, Turnover};
use card_spec::{
    Fen,
    id::{CitizenId, Generation, Pan, RegionCode, SamNo},
    medical::Split,
    time::{CardDate, CardTime},
};
use clearing_api::{
    BatchAnswer, Outcome,
    day::Pending,
    mode::ModeOrder,
    parameters::SignedBundle,
    record::{Batch, Record},
    registry::{Card, Device, Insured, Operator, Sam},
    topup::{TopUpRequest, TopUpState},
};
use std::collections::BTreeMap;

/// Something registered.
#[derive(Debug, Clone)]
pub enum Registered {
    /// A party.
    Operator(Operator),
    /// A device.
    Device(Device),
    /// A SAM.
    Sam(Sam),
    /// A card.
    Card(Card),
    /// An insured person.
    Insured(Box<Insured>),
}

/// A listed generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// Version in which it was listed.
    pub version: u64,
    /// Day.
    pub on: CardDate,
}

/// A proposal as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalRow {
    /// A `clearing_api::parameters::Proposal` as JSON.
    pub body: String,
    /// Who proposed.
    pub proposed_by: String,
    /// Who agreed; then it was carried out.
    pub approved_by: Option<String>,
}

/// What a proposal does when a second person agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Publishes parameters.
    Publish {
        /// Their version.
        version: u64,
        /// Signed.
        bundle: SignedBundle,
    },
    /// Orders a mode.
    Mode(ModeOrder),
    /// Takes a card off the hotlist.
    Unlist {
        /// Card number.
        pan: Pan,
        /// Generation.
        generation: Generation,
    },
}

/// Everything that judging one batch depends on besides the batch.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When the batch was admitted: the one time that no device chooses.
    pub admitted: CardTime,
    /// Operator of the device.
    pub device_operator: String,
    /// Parties named.
    pub operators: BTreeMap<String, Operator>,
    /// SAMs named.
    pub sams: BTreeMap<SamNo, Sam>,
    /// Cards named.
    pub cards: BTreeMap<Pan, Card>,
    /// Identity numbers of their holders (age comes from here, not from the card).
    pub holders: BTreeMap<Pan, CitizenId>,
    /// Listed cards.
    pub listed: BTreeMap<(Pan, Generation), Listing>,
    /// Settlements named by visits.
    pub settlements: BTreeMap<String, SettledVisit>,
}

impl Facts {
    /// Nothing known but when the batch was admitted.
    pub const fn at(admitted: CardTime) -> Self {
        Self {
            admitted,
            device_operator: String::new(),
            operators: BTreeMap::new(),
            sams: BTreeMap::new(),
            cards: BTreeMap::new(),
            holders: BTreeMap::new(),
            listed: BTreeMap::new(),
            settlements: BTreeMap::new(),
        }
    }
}

/// What a medical debit must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledVisit {
    /// Person.
    pub psn_no: String,
    /// Institution.
    pub institution: String,
    /// The three amounts on the card.
    pub split: Split,
    /// Whether it was reversed, or is a reversal: nothing to pay.
    pub reversed: bool,
}

/// A batch to admit.
#[derive(Debug, Clone)]
pub struct Admission<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// Its exact bytes.
    pub body: &'a [u8],
    /// SHA-256 of the body, hex.
    pub hash: String,
    /// The signature.
    pub signature: &'a [u8],
    /// Now.
    pub at: CardTime,
}

/// What admission did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// New and durable.
    New(u64),
    /// The same bytes were admitted before; the answer when it was applied.
    Before(u64, Option<BatchAnswer>),
    /// The range overlaps other bytes.
    Overlap,
}

/// A batch admitted and not applied.
#[derive(Debug, Clone)]
pub struct OpenBatch {
    /// Receipt number.
    pub id: u64,
    /// The batch, when its bytes can still be read; else why not.
    pub batch: core::result::Result<Batch, String>,
}

/// What a debit is known by. Its TAC covers (in every suite) SAM, terminal sequence, time and
/// amount: together with the card they name one debit, and the same again is the same debit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Offline sequence of the application.
    pub card_seq: u16,
    /// Whether the TAC covers the sequence (AES suite). Otherwise the sequence is only what a device
    /// says: it holds no key, and never makes another proved debit a clone.
    pub seq_authenticated: bool,
    /// Time in the debit.
    pub time: CardTime,
    /// The TAC; `None` for a torn debit.
    pub tac: Option<[u8; 4]>,
    /// The settlement that a medical debit pays.
    pub setl_id: Option<String>,
    /// SAM.
    pub sam: SamNo,
    /// Terminal sequence.
    pub terminal_seq: u32,
    /// Whether the SAM key is claimed too (not for SAMs that are not registered).
    pub with_sam: bool,
}

/// One record, judged as far as possible without looking at other records.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The record.
    pub record: Record,
    /// Outcome unless another record holds the same keys.
    pub outcome: Outcome,
    /// What is wrong, when something is.
    pub detail: String,
    /// Mode for reports.
    pub mode: &'static str,
    /// Operator paid.
    pub operator: String,
    /// The card.
    pub pan: Pan,
    /// `purse`, `medical` or `social`.
    pub app: &'static str,
    /// Amount.
    pub amount: Fen,
    /// The TAC verified: the money left the card.
    pub proved: bool,
    /// Keys of the debit, whether proved or not.
    pub claim: Option<Claim>,
}

/// What a person's pension is computed from: nothing of it is ever changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PensionTrail {
    /// The person.
    pub certno: CitizenId,
    /// Monthly amount.
    pub monthly: Fen,
    /// Day of registration; it counts as the first proof.
    pub since: CardDate,
    /// Days of accepted proofs of life, ascending.
    pub proofs: Vec<CardDate>,
}

/// A top-up row.
#[derive(Debug, Clone)]
pub struct TopUpRow {
    /// Id.
    pub id: u64,
    /// Day it was asked.
    pub day: CardDate,
    /// Operator.
    pub operator: String,
    /// The request.
    pub request: TopUpRequest,
    /// Time that goes into CREDIT FOR LOAD.
    pub time: CardTime,
    /// State; `None` while only held.
    pub state: HoldState,
    /// MAC2 once authorised.
    pub mac2: Option<[u8; 4]>,
    /// TAC once confirmed.
    pub tac: Option<[u8; 4]>,
}

/// State of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldState {
    /// Written, the HSM was not asked or its answer was lost: no money moved.
    Held,
    /// Live or done.
    Granted(TopUpState),
    /// Refused, and why.
    Refused(String),
}

/// What became of a request to hold.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The row, new or that of the same request before.
    pub row: TopUpRow,
    /// Another authorisation for the same (card, sequence).
    pub rival: Option<TopUpRow>,
}

/// A visit with what settling it depends on.
#[derive(Debug, Clone)]
pub struct VisitState {
    /// Visit id.
    pub id: u64,
    /// Institution.
    pub institution: String,
    /// Scheme.
    pub insutype: String,
    /// Region of care.
    pub mdtrtarea: RegionCode,
    /// The person.
    pub insured: Insured,
    /// Account balance.
    pub account: Fen,
    /// Accumulators of the scheme and year.
    pub year: benefit::Accumulators,
    /// Lines not settled yet of the charging batch asked for.
    pub lines: Vec<benefit::PricedLine>,
}

/// A settlement (or reversal) to keep.
#[derive(Debug, Clone)]
pub struct NewSettlement {
    /// Visit.
    pub visit: u64,
    /// Institution.
    pub institution: String,
    /// Person.
    pub psn_no: String,
    /// City that insures.
    pub city: RegionCode,
    /// Scheme.
    pub insutype: String,
    /// Year of the accumulators.
    pub year: u16,
    /// Charging batch.
    pub chrg_bchno: String,
    /// The amounts.
    pub settlement: benefit::Settlement,
    /// State it was computed from: kept only if it still holds.
    pub account_before: Fen,
    /// Accumulators before.
    pub year_before: benefit::Accumulators,
    /// Settlement that it reverses.
    pub reverses: Option<u64>,
    /// Ledger entries.
    pub postings: Vec<Posting>,
}

/// A kept settlement.
#[derive(Debug, Clone)]
pub struct SettlementRow {
    /// Id.
    pub id: u64,
    /// Visit.
    pub visit: u64,
    /// Institution.
    pub institution: String,
    /// Person.
    pub psn_no: String,
    /// City that insures.
    pub city: RegionCode,
    /// Scheme.
    pub insutype: String,
    /// Year.
    pub year: u16,
    /// Charging batch.
    pub chrg_bchno: String,
    /// Amounts.
    pub settlement: benefit::Settlement,
    /// The answer that was given.
    pub answer: clearing_api::national::Settled,
    /// Whether it was reversed, or is a reversal.
    pub closed: bool,
    /// Account balance now.
    pub account: Fen,
    /// Accumulators of its year now.
    pub accumulators: benefit::Accumulators,
}

/// A national message as it came.
#[derive(Debug, Clone)]
pub struct MessageKey {
    /// msgid.
    pub msgid: String,
    /// Institution.
    pub institution: String,
    /// SHA-256 of the envelope's call and input, hex.
    pub hash: String,
}

/// One row of a day, for totals, statements and the digest. Sorted by `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayRow {
    /// `record|device|seq`, `top-up|pan|seq|hash` or `settlement|id`.
    pub key: String,
    /// Mode.
    pub mode: String,
    /// Party: operator or institution.
    pub party: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Amount.
    pub amount: Fen,
    /// Own time of the event.
    pub at: String,
    /// SHA-256 of the immutable row, hex.
    pub hash: String,
}

/// A settlement or reversal of a day.
#[derive(Debug, Clone)]
pub struct DaySettlement {
    /// Id.
    pub id: u64,
    /// Institution.
    pub institution: String,
    /// City that insures.
    pub city: RegionCode,
    /// When.
    pub at: String,
    /// Amounts.
    pub settlement: benefit::Settlement,
}

/// What a day's report is made of.
#[derive(Debug, Clone, Default)]
pub struct DayData {
    /// The final report, once there is one, JSON.
    pub report: Option<String>,
    /// Rows accepted on the day.
    pub rows: Vec<DayRow>,
    /// Medical settlements and reversals of the day, by id.
    pub settlements: Vec<DaySettlement>,
    /// Turnover of every account up to and including the day.
    pub total: BTreeMap<String, Turnover>,
    /// Turnover of the day alone.
    pub day: BTreeMap<String, Turnover>,
    /// Pending at the end of the day.
    pub pending: Vec<Pending>,
    /// Parties.
    pub operators: BTreeMap<String, Operator>,
}

/// What clearing knows of a card's purse.
#[derive(Debug, Clone, Default)]
pub struct PurseTrail {
    /// Offline sequences of proved debits, ascending, and whether the proof covers the sequence. Two
    /// debits may name one sequence when a proof leaves it open.
    pub seqs: Vec<(u16, bool)>,
    /// Confirmed loads minus proved debits.
    pub balance: Fen,
}

/// How to look a person up.
#[derive(Debug, Clone, Copy)]
pub enum PersonKey<'a> {
    /// Person number.
    PsnNo(&'a str),
    /// Identity number.
    CertNo(&'a CitizenId),
    /// A card.
    Card(Pan),
}

/// A person and the present account balance.
#[derive(Debug, Clone)]
pub struct PersonRow {
    /// The person.
    pub insured: Insured,
    /// Personal account.
    pub account: Fen,
}
