//! The device's journal: nothing is sold before it is durable here, nothing durable is forgotten.
//!
//! Append-only, checksummed, hash-chained, one flush to the disk for every entry. A debit is
//! journalled twice: the *intent* before DEBIT leaves the terminal, the *commit* when its outcome
//! is known. A power cut between the two leaves an intent; the next opening commits it as
//! [`Debit::Unknown`], and the card, when it returns, is asked what happened.
//!
//! No clock and no chance in here: the same calls write the same bytes.

mod frame;
mod storage;

pub use frame::LoadNote;
pub use storage::{FileStorage, MemoryStorage, Storage};

use std::collections::{BTreeMap, VecDeque};

use card_spec::{id::DeviceNo, id::Pan, time::CardTime};
use clearing_api::{
    Batch, BatchAnswer, BatchOutcome, Outcome, Record,
    record::{Debit, Event},
};
use frame::{Chain, Entry, Parsed};

/// Space that only commits, answers and load notes may use: a full journal stops sales, never the
/// end of a sale already begun nor the upload that frees it.
const RESERVE: u64 = 512 * 1024;

/// Smallest and default limits of a journal, bytes.
pub mod limit {
    /// Below this no journal can work.
    pub const MIN: u64 = 2 * 1024 * 1024;
    /// Enough for about 60,000 taps not yet uploaded.
    pub const DEFAULT: u64 = 64 * 1024 * 1024;
}

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("journal: {0}; check the disk")]
    Io(#[from] std::io::Error),
    /// Bytes in the middle are not what was written.
    #[error(
        "the journal is damaged at byte {offset}: {what}; keep the file and call staff, its \
         records must be recovered by hand"
    )]
    Corrupt {
        /// Offset in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Another device wrote it.
    #[error("this is the journal of device {found}, not of {expected}: check the profile")]
    OtherDevice {
        /// Device in the file.
        found: DeviceNo,
        /// Device of the profile.
        expected: DeviceNo,
    },
    /// No space for another sale.
    #[error("the journal is full: upload its {waiting} waiting records")]
    Full {
        /// Records not yet answered by the clearing house.
        waiting: usize,
    },
    /// A sale is still open.
    #[error("journal sequence {journal_seq} is still open: resume or give up that card first")]
    Pending {
        /// The open intent.
        journal_seq: u64,
    },
    /// There is no open sale to commit.
    #[error("no sale is open in the journal")]
    NothingPending,
    /// A write failed half-way and could not be undone.
    #[error("the journal failed earlier: restart the device")]
    Failed,
    /// One entry is larger than any entry should be.
    #[error("a journal entry of {bytes} bytes is too long")]
    EntryTooLong {
        /// Its size.
        bytes: usize,
    },
    /// An entry could not be written as JSON.
    #[error("a journal entry could not be encoded: {0}")]
    Encode(serde_json::Error),
    /// An answer does not belong to what was sent.
    #[error("the clearing house answered {first}..={last}, which is not what waits here")]
    WrongAnswer {
        /// First sequence of the answer.
        first: u64,
        /// Last sequence of the answer.
        last: u64,
    },
}

impl JournalError {
    fn encode(error: serde_json::Error) -> Self {
        Self::Encode(error)
    }
}

/// The journal of one device.
#[derive(Debug)]
pub struct Journal<S> {
    storage: S,
    device: DeviceNo,
    max_bytes: u64,
    length: u64,
    chain: Chain,
    failed: bool,
    /// While opening: the chain of a last frame whose own copy of it is unfinished.
    unsealed: Option<Chain>,
    next: u64,
    pending: Option<Record>,
    waiting: VecDeque<Record>,
    unresolved: BTreeMap<u64, Record>,
    loads: BTreeMap<u64, LoadNote>,
}

impl<S: Storage> Journal<S> {
    /// Opens the journal of `device`, or begins it. An unfinished last write is dropped (it was
    /// never acknowledged); an intent without its commit becomes a record of unknown outcome.
    pub fn open(mut storage: S, device: DeviceNo, max_bytes: u64) -> Result<Self, JournalError> {
        let bytes = storage.load()?;
        let mut journal = Self {
            storage,
            device,
            max_bytes: max_bytes.max(limit::MIN),
            length: frame::MAGIC.len() as u64,
            chain: frame::genesis(),
            failed: false,
            unsealed: None,
            next: 1,
            pending: None,
            waiting: VecDeque::new(),
            unresolved: BTreeMap::new(),
            loads: BTreeMap::new(),
        };
        let begun = journal.read(&bytes)?;
        if !begun {
            journal.begin()?;
        } else {
            journal.repair_tail(bytes.len() as u64)?;
        }
        if journal.pending.is_some() {
            journal.commit(Debit::Unknown)?;
        }
        Ok(journal)
    }

    /// Replays the file; says whether it holds a beginning.
    fn read(&mut self, bytes: &[u8]) -> Result<bool, JournalError> {
        if bytes.is_empty() {
            return Ok(false);
        }
        let mut rest = bytes
            .strip_prefix(frame::MAGIC)
            .ok_or(corrupt(0, "this is no journal"))?;
        let mut begun = false;
        while !rest.is_empty() {
            match frame::parse(&self.chain, rest) {
                Parsed::Frame {
                    entry,
                    chain,
                    length,
                    unsealed,
                } => {
                    self.replay(*entry, begun)?;
                    self.unsealed = unsealed.then_some(chain);
                    begun = true;
                    self.chain = chain;
                    self.length += length as u64;
                    rest = rest.get(length..).unwrap_or_default();
                }
                Parsed::Torn if begun => break,
                // The beginning is written whole or not at all.
                Parsed::Torn => return Err(corrupt(self.length, "the beginning is incomplete")),
                Parsed::Corrupt(what) => return Err(corrupt(self.length, what)),
            }
        }
        Ok(begun)
    }

    /// Drops an unfinished last write and finishes a last seal.
    fn repair_tail(&mut self, file_length: u64) -> Result<(), JournalError> {
        let seal = self.unsealed.take();
        let whole = self.length - seal.map_or(0, |seal| seal.len() as u64);
        if whole < file_length {
            self.storage.truncate(whole)?;
        }
        if let Some(seal) = seal {
            self.storage.append(&seal)?;
        }
        Ok(())
    }

    fn replay(&mut self, entry: Entry, begun: bool) -> Result<(), JournalError> {
        let wrong = |what| Err(corrupt(self.length, what));
        match entry {
            Entry::Open { device, .. } if device != self.device => Err(JournalError::OtherDevice {
                found: device,
                expected: self.device,
            }),
            Entry::Open {
                next,
                unresolved,
                loads,
                ..
            } if !begun => {
                self.next = next;
                self.unresolved = unresolved.into_iter().map(|r| (r.journal_seq, r)).collect();
                self.loads = loads.into_iter().map(|l| (l.id, l)).collect();
                Ok(())
            }
            Entry::Open { .. } => wrong("a second beginning"),
            _ if !begun => wrong("no beginning"),
            Entry::Intent { record, .. } => {
                if self.pending.is_some() || record.journal_seq != self.next {
                    return wrong("an intent out of order");
                }
                self.pending = Some(record);
                Ok(())
            }
            Entry::Commit { journal_seq, debit } => match self.pending.take() {
                Some(record) if record.journal_seq == journal_seq => {
                    self.remember(with_debit(record, debit));
                    Ok(())
                }
                _ => wrong("a commit out of order"),
            },
            Entry::Record { record } => {
                if self.pending.is_some() || record.journal_seq != self.next {
                    return wrong("a record out of order");
                }
                self.remember(record);
                Ok(())
            }
            Entry::Load { load } => {
                self.loads.insert(load.id, load);
                Ok(())
            }
            Entry::LoadConfirmed { id } => {
                self.loads.remove(&id);
                Ok(())
            }
            Entry::Answered { last, .. } => {
                self.forget_through(last);
                Ok(())
            }
        }
    }

    fn begin(&mut self) -> Result<(), JournalError> {
        let entry = Entry::Open {
            device: self.device,
            previous: if self.next == 1 {
                String::new()
            } else {
                hex::encode(self.chain)
            },
            next: self.next,
            unresolved: self.unresolved.values().cloned().collect(),
            loads: self.loads.values().copied().collect(),
        };
        let (bytes, chain) = frame::encode(&frame::genesis(), &entry)?;
        let whole = [&frame::MAGIC[..], &bytes].concat();
        self.storage.replace(&whole)?;
        (self.length, self.chain) = (whole.len() as u64, chain);
        Ok(())
    }

    fn remember(&mut self, record: Record) {
        self.next = record.journal_seq + 1;
        if let Some(torn) = record.completes {
            self.unresolved.remove(&torn);
        }
        if record.completes.is_none() && debit_of(&record) == Some(Debit::Unknown) {
            // Bounded: the oldest torn debit is the least likely to come back. Its record is
            // uploaded all the same.
            if self.unresolved.len() >= UNRESOLVED_MAX {
                self.unresolved.pop_first();
            }
            self.unresolved.insert(record.journal_seq, record.clone());
        }
        self.waiting.push_back(record);
    }

    fn forget_through(&mut self, last: u64) {
        while self.waiting.front().is_some_and(|r| r.journal_seq <= last) {
            self.waiting.pop_front();
        }
    }

    /// Appends one entry durably, or leaves the file as it was.
    fn append(&mut self, entry: &Entry, reserve: u64) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        let (bytes, chain) = frame::encode(&self.chain, entry)?;
        if self.length + bytes.len() as u64 + reserve > self.max_bytes {
            return Err(JournalError::Full {
                waiting: self.waiting.len(),
            });
        }
        if let Err(error) = self.storage.append(&bytes) {
            // Part of the frame may be there: take it away, or nothing may ever follow it.
            self.failed = self.storage.truncate(self.length).is_err();
            return Err(error.into());
        }
        self.length += bytes.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// The device.
    pub const fn device(&self) -> DeviceNo {
        self.device
    }

    /// The sequence that the next record will have.
    pub const fn next_seq(&self) -> u64 {
        self.next
    }

    /// The open intent, if a sale is between its intent and its commit.
    pub const fn pending(&self) -> Option<&Record> {
        self.pending.as_ref()
    }

    /// Journals that a debit is about to be sent. `record` carries [`Self::next_seq`] and
    /// [`Debit::Unknown`]; `cache` is the image of the CAPP updates.
    pub fn intent(&mut self, record: Record, cache: &[Vec<u8>]) -> Result<(), JournalError> {
        self.must_be_free()?;
        let cache = cache.iter().map(hex::encode).collect();
        let entry = Entry::Intent {
            record: record.clone(),
            cache,
        };
        self.append(&entry, RESERVE)?;
        self.pending = Some(record);
        Ok(())
    }

    /// Journals what became of the open intent and returns its record.
    pub fn commit(&mut self, debit: Debit) -> Result<Record, JournalError> {
        let pending = self.pending.clone().ok_or(JournalError::NothingPending)?;
        let entry = Entry::Commit {
            journal_seq: pending.journal_seq,
            debit,
        };
        self.append(&entry, 0)?;
        self.pending = None;
        let record = with_debit(pending, debit);
        self.remember(record.clone());
        Ok(record)
    }

    /// Journals a record that needs no intent and returns it with its sequence.
    pub fn record(
        &mut self,
        at: CardTime,
        completes: Option<u64>,
        hotlist_version: u64,
        event: Event,
    ) -> Result<Record, JournalError> {
        self.must_be_free()?;
        let record = Record {
            journal_seq: self.next,
            at,
            completes,
            hotlist_version,
            event,
        };
        // What completes an earlier record is the end of a sale, not a new one.
        let reserve = if completes.is_some() {
            RESERVE / 2
        } else {
            RESERVE
        };
        self.append(
            &Entry::Record {
                record: record.clone(),
            },
            reserve,
        )?;
        self.remember(record.clone());
        Ok(record)
    }

    const fn must_be_free(&self) -> Result<(), JournalError> {
        match &self.pending {
            Some(record) => Err(JournalError::Pending {
                journal_seq: record.journal_seq,
            }),
            None => Ok(()),
        }
    }

    /// Notes a load before CREDIT FOR LOAD (without TAC) and after it (with TAC).
    pub fn load(&mut self, load: LoadNote) -> Result<(), JournalError> {
        let reserve = if load.tac.is_some() { 0 } else { RESERVE };
        self.append(&Entry::Load { load }, reserve)?;
        self.loads.insert(load.id, load);
        Ok(())
    }

    /// Notes that a load needs nothing more: confirmed, or proved not to have happened.
    pub fn load_closed(&mut self, id: u64) -> Result<(), JournalError> {
        self.append(&Entry::LoadConfirmed { id }, 0)?;
        self.loads.remove(&id);
        Ok(())
    }

    /// Loads whose confirmation is outstanding, oldest first.
    pub fn open_loads(&self) -> impl Iterator<Item = &LoadNote> {
        self.loads.values()
    }

    /// The newest torn debit of a card that no record has completed.
    pub fn unresolved(&self, pan: Pan) -> Option<&Record> {
        self.unresolved
            .values()
            .rev()
            .find(|r| card_of(r) == Some(pan))
    }

    /// Records that the clearing house has not answered, oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.waiting.iter()
    }

    /// The next batch of at most `max` consecutive records; `None` when nothing waits.
    pub fn batch(&self, max: usize) -> Option<Batch> {
        let max = max.clamp(1, clearing_api::record::MAX_BATCH);
        let records: Vec<Record> = self.waiting.iter().take(max).cloned().collect();
        Some(Batch {
            device: self.device,
            first: records.first()?.journal_seq,
            last: records.last()?.journal_seq,
            records,
        })
    }

    /// Notes the answer to the batch `first..=last`, which must be the oldest that waits. When
    /// nothing waits any more and half the space is used, the file begins anew.
    pub fn answered(
        &mut self,
        first: u64,
        last: u64,
        answer: &BatchAnswer,
    ) -> Result<(), JournalError> {
        let admitted = matches!(
            answer.outcome,
            BatchOutcome::Admitted | BatchOutcome::Repeated
        );
        let oldest = self.waiting.front().map(|r| r.journal_seq);
        if !admitted || oldest != Some(first) || last < first || last >= self.next {
            return Err(JournalError::WrongAnswer { first, last });
        }
        let notable = answer
            .items
            .iter()
            .filter(|i| i.outcome != Outcome::Accepted);
        let notable = notable.map(|i| (i.journal_seq, i.number)).collect();
        let entry = Entry::Answered {
            first,
            last,
            batch_id: answer.batch_id,
            notable,
        };
        self.append(&entry, 0)?;
        self.forget_through(last);
        if self.waiting.is_empty() && self.pending.is_none() && self.length > self.max_bytes / 2 {
            self.begin()?;
        }
        Ok(())
    }
}

/// Most torn debits remembered for their cards' return.
const UNRESOLVED_MAX: usize = 64;

const fn corrupt(offset: u64, what: &'static str) -> JournalError {
    JournalError::Corrupt { offset, what }
}

/// The outcome that a record's debit has at the device, if it is a debit.
pub fn debit_of(record: &Record) -> Option<Debit> {
    match &record.event {
        Event::Purchase(purchase) => Some(purchase.debit),
        Event::Visit(visit) => Some(visit.debit),
        Event::ProofOfLife(_) | Event::CardLocked { .. } => None,
    }
}

fn card_of(record: &Record) -> Option<Pan> {
    match &record.event {
        Event::Purchase(purchase) => Some(purchase.card.pan),
        Event::Visit(visit) => Some(visit.card.pan),
        Event::ProofOfLife(proof) => Some(proof.card.pan),
        Event::CardLocked { card } => Some(card.pan),
    }
}

pub(crate) fn with_debit(mut record: Record, debit: Debit) -> Record {
    match &mut record.event {
        Event::Purchase(purchase) => purchase.debit = debit,
        Event::Visit(visit) => visit.debit = debit,
        Event::ProofOfLife(_) | Event::CardLocked { .. } => {}
    }
    record
}

#[cfg(test)]
mod tests;
