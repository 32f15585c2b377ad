//! The way of one card through the office: books, plan, station, books.
//!
//! Personalisation is blocking work on an OS thread of its own; the store is asynchronous. An
//! [`Office`] owns both sides' meeting point: a runtime that waits for the store.

use crate::{
    life::CardEvent,
    order::StaffId,
    person::PersonNo,
    personalise::{ChipSerial, Expect, Finished, PersonaliseError, Station, Step, Watcher},
    plan::{CardPlan, PlanError, Policy},
    store::{CardRow, SqliteStore, Store, StoreError, Work},
};
use card_spec::{Channel, id::Pan, time::CardTime};
use hsm_client::Hsm;
use std::{path::Path, sync::Arc};

/// The store and a runtime to wait for it from synchronous code.
pub struct Office {
    runtime: tokio::runtime::Runtime,
    store: Arc<dyn Store>,
}

/// Why an office cannot open.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// No runtime.
    #[error("no thread for the database could be started: {0}")]
    Runtime(std::io::Error),
    /// No database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Office {
    /// Opens (or creates) the office's database, whose personal data the HSM seals.
    pub fn open(path: &Path, hsm: Arc<dyn Hsm>) -> Result<Self, OfficeError> {
        Self::start(|runtime| runtime.block_on(SqliteStore::open(path, hsm)))
    }

    /// An office that forgets everything, for tests and trials.
    pub fn memory(hsm: Arc<dyn Hsm>) -> Result<Self, OfficeError> {
        Self::start(|runtime| runtime.block_on(SqliteStore::memory(hsm)))
    }

    fn start(
        open: impl FnOnce(&tokio::runtime::Runtime) -> Result<SqliteStore, StoreError>,
    ) -> Result<Self, OfficeError> {
        // One worker, so that the same store may also be waited for by a service's threads.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(OfficeError::Runtime)?;
        let store = open(&runtime)?;
        Ok(Self {
            runtime,
            store: Arc::new(store),
        })
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Waits for a use case. Not to be called inside asynchronous code.
    pub fn wait<F: Future>(&self, doing: F) -> F::Output {
        self.runtime.block_on(doing)
    }
}

/// A card that left the station: on its chip, compared, and in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// What was to be made.
    pub work: Work,
    /// What is on the card.
    pub plan: CardPlan,
    /// Chip, first PIN, files compared.
    pub finished: Finished,
}

impl Issued {
    /// The card as clearing knows it.
    pub fn registry_card(&self) -> clearing_api::registry::Card {
        self.plan.registry_card(&self.work.person.psn_no)
    }
}

/// Why a card was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No plan can be made for this person.
    #[error("{psn_no}: {source}")]
    Plan {
        /// Whose card.
        psn_no: PersonNo,
        /// Why.
        source: PlanError,
    },
    /// The station.
    #[error(transparent)]
    Station(#[from] PersonaliseError),
    /// The books.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IssueError {
    /// Whether presenting the same chip again with [`Expect::Torn`] can finish the work.
    pub const fn resumable(&self) -> bool {
        matches!(self, Self::Station(e) if e.resumable())
    }

    /// Whether the card in the reader is as it was: nothing was written.
    pub const fn untouched(&self) -> bool {
        match self {
            Self::Plan { .. } => true,
            Self::Station(e) => e.untouched(),
            Self::Store(_) => false,
        }
    }
}

/// A production line: who works, with which HSM, by which policy.
pub struct Line<'a> {
    /// Books.
    pub office: &'a Office,
    /// Keys.
    pub hsm: &'a dyn Hsm,
    /// Rules.
    pub policy: &'a Policy,
    /// Who works.
    pub staff: &'a StaffId,
}

struct Books<'a> {
    line: &'a Line<'a>,
    pan: Pan,
    now: CardTime,
    on_step: &'a mut dyn FnMut(Step),
}

impl Watcher for Books<'_> {
    fn chip(&mut self, chip: ChipSerial) -> Result<(), String> {
        let office = self.line.office;
        office
            .wait(
                office
                    .store()
                    .start(self.pan, chip, self.line.staff, self.now),
            )
            .map(drop)
            .map_err(|e| e.to_string())
    }
    fn step(&mut self, step: Step) {
        (self.on_step)(step);
    }
}

impl Line<'_> {
    /// Makes one card. On an error that is [`IssueError::resumable`], present the same chip with
    /// [`Expect::Torn`]; on one that is neither that nor untouched, [`Self::spoil`] it.
    pub fn issue(
        &self,
        work: &Work,
        channel: &mut dyn Channel,
        expect: Expect,
        challenge: &mut dyn FnMut() -> [u8; 8],
        now: CardTime,
        on_step: &mut dyn FnMut(Step),
    ) -> Result<Issued, IssueError> {
        let plan = CardPlan::new(
            &work.person,
            work.pan,
            work.generation,
            work.options,
            work.valid_from,
            self.policy,
        )
        .map_err(|source| IssueError::Plan {
            psn_no: work.person.psn_no.clone(),
            source,
        })?;
        let mut books = Books {
            line: self,
            pan: work.pan,
            now,
            on_step,
        };
        let finished =
            Station::new(self.hsm, challenge, &mut books).card(channel, &plan, expect)?;
        let store = self.office.store();
        self.office
            .wait(store.event(work.pan, CardEvent::Check, self.staff, now))?;
        Ok(Issued {
            work: work.clone(),
            plan,
            finished,
        })
    }

    /// The chip on which a card was begun; `None` when it was not.
    pub fn chip(&self, pan: Pan) -> Result<Option<ChipSerial>, StoreError> {
        let card: Option<CardRow> = self.office.wait(self.office.store().card(pan))?;
        Ok(card.and_then(|c| c.chip))
    }

    /// Counts a begun card as spoiled; answers the work to do instead, with another number.
    pub fn spoil(&self, work: &Work, now: CardTime) -> Result<Work, StoreError> {
        self.office
            .wait(self.office.store().spoil(work.pan, self.staff, now))
    }
}
