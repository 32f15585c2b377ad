//! What is kept: persons, orders, cards, blank stock, audit. One trait of use cases; each is one
//! transaction and leaves an audit line. Persons rest sealed by the HSM. [`SqliteStore`] is the
//! embedded implementation.

mod audit;
mod cards;
mod orders;
mod persons;
mod schema;
mod seal;
mod sqlite;

pub use audit::{AuditHead, AuditLine};
pub use sqlite::SqliteStore;

use crate::{
    life::{self, CardEvent, CardState},
    order::{
        AnyOrder, Approved, CardOptions, Draft, Order, OrderId, Purpose, SelfApproval, StaffId,
    },
    person::{Person, PersonNo},
    personalise::ChipSerial,
};
use card_spec::{
    id::{Generation, Pan, RegionCode},
    time::{CardDate, CardTime},
};
use serde::Serialize;
use std::{future::Future, pin::Pin};

/// Why a use case was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such person, order or card.
    #[error("no {what} {id}: check the number")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its number.
        id: String,
    },
    /// Author and approver are one person.
    #[error(transparent)]
    SelfApproval(#[from] SelfApproval),
    /// The card's state does not allow it.
    #[error(transparent)]
    State(#[from] life::Refused),
    /// A rule over several things.
    #[error("{0}")]
    Conflict(String),
    /// The number of cards is used up.
    #[error("every card number of this issuer is used: apply for another IIN")]
    Numbers,
    /// The audit chain is broken.
    #[error(
        "audit line {line} does not follow from the line before it: the database was changed from outside; keep it and call the auditor"
    )]
    Tampered {
        /// First line that does not verify.
        line: u64,
    },
    /// A row that this program did not write.
    #[error("the database holds {what} that cannot be read: was it written by another version?")]
    Corrupt {
        /// What.
        what: &'static str,
    },
    /// The HSM neither seals nor opens personal data.
    #[error("personal data: {0}")]
    Hsm(#[from] hsm_client::HsmError),
    /// SQLite said no.
    #[error("the issuance database: {0}. Is the disk full, or the file in use?")]
    Database(#[from] sqlx::Error),
    /// The file is of a later version.
    #[error(
        "the database has schema {found} and this program knows {known}: use the newer program"
    )]
    Newer {
        /// In the file.
        found: i64,
        /// Newest known.
        known: i64,
    },
}

/// Result of a use case.
pub type Result<T> = core::result::Result<T, StoreError>;
/// A use case under way.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Persons that were not known.
    pub added: u32,
    /// Persons that were known exactly so.
    pub unchanged: u32,
    /// Persons that were not taken, and why.
    pub conflicts: Vec<Conflict>,
}

/// A person that contradicts what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Person number in the import.
    pub psn_no: PersonNo,
    /// What is different and what to do.
    pub why: String,
}

/// A card as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CardRow {
    /// Card number.
    pub pan: Pan,
    /// Whose.
    pub psn_no: PersonNo,
    /// Order it was made for.
    pub order: OrderId,
    /// Generation.
    pub generation: Generation,
    /// Region inside the number.
    pub region: RegionCode,
    /// Suite and profile.
    pub options: CardOptions,
    /// State.
    pub state: CardState,
    /// Chip it is on, once begun.
    pub chip: Option<ChipSerial>,
    /// First day of validity.
    pub valid_from: CardDate,
}

/// One card to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Number allocated to it.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// Whose.
    pub person: Person,
    /// Suite and profile.
    pub options: CardOptions,
    /// First day of validity.
    pub valid_from: CardDate,
}

/// Blank stock 空白卡库存.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// Blanks ever received.
    pub received: u32,
    /// Blanks that a card was begun on.
    pub used: u32,
    /// Of those, spoiled.
    pub spoiled: u32,
    /// Blanks left.
    pub remaining: u32,
}

/// The use cases.
pub trait Store: Send + Sync {
    /// Takes over persons. Known ones that are unchanged are counted; changed ones are conflicts.
    fn import<'a>(
        &'a self,
        persons: &'a [Person],
        by: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, ImportReport>;
    /// One person.
    fn person<'a>(&'a self, psn_no: &'a PersonNo) -> Doing<'a, Option<Person>>;
    /// Persons after a number, by number, at most `limit`.
    fn persons(&self, after: Option<PersonNo>, limit: u32) -> Doing<'_, Vec<Person>>;

    /// Draws up an order.
    fn draft<'a>(
        &'a self,
        purpose: Purpose,
        options: CardOptions,
        author: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, Order<Draft>>;
    /// Approves an order: allocates the numbers and queues the cards. A card replaced becomes
    /// [`CardState::Replaced`] in the same transaction.
    fn approve<'a>(
        &'a self,
        order: OrderId,
        approver: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, (Order<Approved>, Vec<CardRow>)>;
    /// Orders after a number, at most `limit`.
    fn orders(&self, after: Option<OrderId>, limit: u32) -> Doing<'_, Vec<AnyOrder>>;

    /// Cards of an order that wait for a blank, by number, at most `limit`.
    fn queue(&self, order: OrderId, limit: u32) -> Doing<'_, Vec<Work>>;
    /// Writes down that a card is being written on a chip. The first time takes a blank from stock;
    /// again (a torn card) it must be the same chip.
    fn start<'a>(
        &'a self,
        pan: Pan,
        chip: ChipSerial,
        by: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, CardRow>;
    /// Counts a begun card as spoiled and queues another number for the same person.
    fn spoil<'a>(&'a self, pan: Pan, by: &'a StaffId, at: CardTime) -> Doing<'a, Work>;
    /// Any other event of a card's life.
    fn event<'a>(
        &'a self,
        pan: Pan,
        event: CardEvent,
        by: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, CardRow>;
    /// One card.
    fn card(&self, pan: Pan) -> Doing<'_, Option<CardRow>>;
    /// Cards after a number, in order of issue, at most `limit`.
    fn cards(&self, after: Option<Pan>, limit: u32) -> Doing<'_, Vec<CardRow>>;

    /// Takes blanks into stock.
    fn receive_blanks<'a>(&'a self, count: u32, by: &'a StaffId, at: CardTime) -> Doing<'a, Stock>;
    /// Blank stock now.
    fn stock(&self) -> Doing<'_, Stock>;

    /// Audit lines after a line, at most `limit`.
    fn audit(&self, after: u64, limit: u32) -> Doing<'_, Vec<AuditLine>>;
    /// Walks the whole chain.
    fn verify_audit(&self) -> Doing<'_, AuditHead>;
}
