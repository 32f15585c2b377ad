//! What the clearing house keeps, as use cases over batches: never rows.
//!
//! Every method is one transaction. A server with another database implements the same trait with
//! the same tables and rules.

pub mod sqlite;
mod types;

pub use sqlite::SqliteStore;
pub use types::*;

use crate::error::Result;
use card_spec::{
    id::{DeviceNo, Pan, RegionCode},
    time::{CardDate, CardTime},
};
use clearing_api::{
    BatchAnswer,
    mode::ModeOrder,
    parameters::{ParametersRequest, SignedBundle},
    record::Batch,
    registry::{Card, Device, Hotlist, HotlistEntry, ListCard},
    topup::TopUpRequest,
};
use std::future::Future;

/// The store.
pub trait Store: Send + Sync + 'static {
    /// Registers or changes one thing; the same again changes nothing.
    fn put(&self, item: &Registered, today: CardDate) -> impl Future<Output = Result<()>> + Send;
    /// Appends to the hash-chained log of privileged acts.
    fn note_act(
        &self,
        who: &str,
        what: &str,
        now: CardTime,
    ) -> impl Future<Output = Result<()>> + Send;
    /// A device.
    fn device(&self, device: DeviceNo) -> impl Future<Output = Result<Option<Device>>> + Send;
    /// A card, and its place on the hotlist.
    fn card(
        &self,
        pan: Pan,
    ) -> impl Future<Output = Result<Option<(Card, Option<Listing>)>>> + Send;
    /// A card's purse.
    fn purse_trail(&self, pan: Pan) -> impl Future<Output = Result<PurseTrail>> + Send;
    /// The person of a card, an identity number or a person number.
    fn insured(&self, by: PersonKey<'_>) -> impl Future<Output = Result<Option<PersonRow>>> + Send;
    /// Lists a card; listing it again answers the first entry.
    fn list(
        &self,
        entry: &ListCard,
        today: CardDate,
    ) -> impl Future<Output = Result<HotlistEntry>> + Send;
    /// The newest version of the hotlist.
    fn hotlist_version(&self) -> impl Future<Output = Result<u64>> + Send;
    /// Entries after a version; the signature is empty.
    fn hotlist(&self, since: u64) -> impl Future<Output = Result<Hotlist>> + Send;

    /// Keeps a proposal until a second person agrees; answers its number.
    fn propose(
        &self,
        body: &str,
        who: &str,
        now: CardTime,
    ) -> impl Future<Output = Result<u64>> + Send;
    /// A proposal.
    fn proposal(&self, number: u64) -> impl Future<Output = Result<Option<ProposalRow>>> + Send;
    /// Notes who agreed and does it, together; false when it was done before.
    fn carry_out(
        &self,
        number: u64,
        who: &str,
        effect: &Effect,
        now: CardTime,
    ) -> impl Future<Output = Result<bool>> + Send;
    /// All mode orders, in the order in which they were given: their count is the version of the list.
    fn mode_orders(&self) -> impl Future<Output = Result<Vec<ModeOrder>>> + Send;
    /// All published parameters, oldest first.
    fn published(&self) -> impl Future<Output = Result<Vec<SignedBundle>>> + Send;
    /// The newest published parameters above a version.
    fn newest_parameters(
        &self,
        above: u64,
    ) -> impl Future<Output = Result<Option<SignedBundle>>> + Send;
    /// Keeps what a device told of its parameters, in place of what it told before.
    fn note_report(
        &self,
        report: &ParametersRequest,
        now: CardTime,
    ) -> impl Future<Output = Result<()>> + Send;
    /// What each device told last.
    fn reports(&self) -> impl Future<Output = Result<Vec<ParametersRequest>>> + Send;

    /// Admits a batch.
    fn admit(&self, admission: &Admission<'_>) -> impl Future<Output = Result<Admitted>> + Send;
    /// Batches after a number that were admitted and not applied, oldest first, at most `limit`.
    fn open_batches(
        &self,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<OpenBatch>>> + Send;
    /// Answers a batch that cannot be read any more: its bytes stay for the auditor.
    fn set_aside(&self, id: u64) -> impl Future<Output = Result<()>> + Send;
    /// What judging an admitted batch depends on.
    fn facts(&self, id: u64, batch: &Batch) -> impl Future<Output = Result<Facts>> + Send;
    /// Applies a judged batch once: rows, entries, pensions, answer. Applying again answers the same.
    fn apply(
        &self,
        id: u64,
        judged: &[Judged],
        today: CardDate,
    ) -> impl Future<Output = Result<BatchAnswer>> + Send;

    /// Writes a hold, or finds that of the same request.
    fn hold(
        &self,
        request: &TopUpRequest,
        hash: &str,
        operator: &str,
        now: CardTime,
    ) -> impl Future<Output = Result<Hold>> + Send;
    /// Turns a hold into an authorisation, reversing the rival that it proves undone and confirming
    /// what was authorised below its online sequence.
    fn grant(
        &self,
        id: u64,
        mac2: [u8; 4],
        rival: Option<u64>,
        today: CardDate,
    ) -> impl Future<Output = Result<()>> + Send;
    /// Refuses a hold.
    fn refuse(
        &self,
        id: u64,
        reason: &str,
        today: CardDate,
    ) -> impl Future<Output = Result<()>> + Send;
    /// A top-up.
    fn top_up(&self, id: u64) -> impl Future<Output = Result<Option<TopUpRow>>> + Send;
    /// Confirms a top-up whose TAC was verified, be it authorised, taken or reversed: a rival of the
    /// same online sequence that no TAC proves is reversed.
    fn confirm(
        &self,
        id: u64,
        tac: [u8; 4],
        today: CardDate,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The answer already given to a msgid, with the hash of its request.
    fn message(&self, msgid: &str)
    -> impl Future<Output = Result<Option<(String, String)>>> + Send;
    /// Keeps an answer that changed nothing else.
    fn remember(&self, key: &MessageKey, response: &str)
    -> impl Future<Output = Result<()>> + Send;
    /// Signs an operator in.
    fn sign_in(
        &self,
        institution: &str,
        opter: &str,
        at: CardTime,
    ) -> impl Future<Output = Result<u64>> + Send;
    /// Opens a visit, or finds that of the same institution and number.
    fn open_visit(
        &self,
        institution: &str,
        psn_no: &str,
        insutype: &str,
        mdtrtarea: RegionCode,
        ipt_otp_no: &str,
    ) -> impl Future<Output = Result<u64>> + Send;
    /// A visit; lines of `chrg_bchno`, accumulators of `year`.
    fn visit(
        &self,
        id: u64,
        chrg_bchno: &str,
        year: u16,
    ) -> impl Future<Output = Result<Option<VisitState>>> + Send;
    /// Keeps priced lines `(line as sent, priced)` of a visit.
    fn add_lines(
        &self,
        visit: u64,
        lines: &[(clearing_api::national::FeeLine, benefit::PricedLine)],
    ) -> impl Future<Output = Result<()>> + Send;
    /// Keeps a settlement or reversal: rows, entries, accumulators, account, message. `answer` makes
    /// the answer and the response text from the new id. `None`: the state changed meanwhile.
    fn settle(
        &self,
        new: &NewSettlement,
        key: &MessageKey,
        today: CardDate,
        answer: &(dyn Fn(u64) -> (clearing_api::national::Settled, String) + Sync),
    ) -> impl Future<Output = Result<Option<String>>> + Send;
    /// A settlement.
    fn settlement(&self, id: u64) -> impl Future<Output = Result<Option<SettlementRow>>> + Send;

    /// A pension: when it began and the proofs of life since.
    fn pension(&self, psn_no: &str) -> impl Future<Output = Result<Option<PensionTrail>>> + Send;

    /// The day on which what happens now is accepted: today, or the day after the last cut-off.
    fn business_day(&self, today: CardDate) -> impl Future<Output = Result<CardDate>> + Send;
    /// Cuts a day off: what is accepted from now on goes to a later day.
    fn cut_off(&self, day: CardDate) -> impl Future<Output = Result<()>> + Send;
    /// What the day's report is made of.
    fn day(&self, day: CardDate) -> impl Future<Output = Result<DayData>> + Send;
    /// Keeps the final report of a day that was cut off; an existing one stays.
    fn close(&self, day: CardDate, report: &str) -> impl Future<Output = Result<String>> + Send;
}
