//! The device's journal: nothing is sold before it is durable here, nothing durable is forgotten.
//!
//! Append-only, checksummed, hash-chained. A debit is journalled twice: the *intent* before DEBIT
//! leaves the terminal, the *commit* when its outcome is known. A power cut between the two leaves
//! an intent; the next opening commits it as [`Debit::Unknown`], and the card, when it returns, is
//! asked what happened.
//!
//! Group commit: what opens nothing and may be lost without harm (a debit that the card refused,
//! an answer of the clearing house) waits in memory and goes to the disk in one frame and one flush
//! with the next entry that must be durable. A sale costs two flushes, a refused debit one, an
//! upload of a batch one.
//!
//! No clock and no chance in here: the same calls write the same bytes.

mod error;
mod frame;
mod replay;
mod storage;

pub use error::JournalError;
pub use frame::LoadNote;
pub use storage::{FileStorage, MemoryStorage, Storage};

use std::collections::{BTreeMap, VecDeque};

use card_spec::{id::DeviceNo, id::Pan, time::CardTime};
use clearing_api::{
    Batch, BatchAnswer, BatchOutcome, Outcome, Record,
    record::{Debit, Event},
};
use frame::{Chain, Entry};

/// Space that only commits, answers and load notes may use: a full journal stops sales, never the
/// end of a sale already begun nor the upload that frees it.
const RESERVE: u64 = 512 * 1024;
/// More than the intent of any sale.
const SALE_MAX: u64 = 8 * 1024;

/// Smallest limit of a journal, bytes: below this none can work.
pub const MIN_BYTES: u64 = 2 * 1024 * 1024;

/// The journal of one device.
#[derive(Debug)]
pub struct Journal<S> {
    storage: S,
    device: DeviceNo,
    max_bytes: u64,
    length: u64,
    chain: Chain,
    /// Entries that go to the disk with the next durable one, and how many of the newest waiting
    /// records they make. Nothing leaves the device that is not on its disk.
    deferred: Vec<Entry>,
    deferred_records: usize,
    failed: bool,
    /// While opening: the chain of a last frame whose own copy of it is unfinished.
    unsealed: Option<Chain>,
    next: u64,
    pending: Option<Record>,
    newest: Option<CardTime>,
    waiting: VecDeque<Record>,
    unresolved: BTreeMap<u64, Record>,
    loads: BTreeMap<u64, LoadNote>,
    /// Last sequence of the batch that was sent and not answered.
    sent: Option<u64>,
}

impl<S: Storage> Journal<S> {
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
        let (bytes, chain) = frame::encode(&frame::genesis(), &[entry])?;
        let whole = [&frame::MAGIC[..], &bytes].concat();
        if let Err(error) = self.storage.replace(&whole) {
            // The old file or the new one is there; what follows must not go to the other.
            self.failed = true;
            return Err(error.into());
        }
        // The beginning says what these would have.
        self.deferred.clear();
        (self.length, self.chain) = (whole.len() as u64, chain);
        Ok(())
    }

    fn remember(&mut self, record: Record) {
        self.next = record.journal_seq + 1;
        self.newest = self.newest.max(Some(record.at));
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
        self.sent = None;
        while self.waiting.front().is_some_and(|r| r.journal_seq <= last) {
            self.waiting.pop_front();
        }
    }

    /// Appends one entry durably, with what was deferred, or leaves the file as it was.
    fn append(&mut self, entry: Entry, reserve: u64) -> Result<(), JournalError> {
        let mut entries = self.deferred.clone();
        entries.push(entry);
        self.write(&entries, reserve)
    }

    /// One frame, one write, one flush.
    fn write(&mut self, entries: &[Entry], reserve: u64) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        let (bytes, chain) = frame::encode(&self.chain, entries)?;
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
        self.deferred.clear();
        self.deferred_records = 0;
        Ok(())
    }

    /// Keeps an entry for the next flush. Bounded in number and, with every answer's size, in bytes.
    fn defer(&mut self, entry: Entry) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        if self.deferred.len() >= DEFERRED_MAX {
            self.sync()?;
        }
        self.deferred.push(entry);
        Ok(())
    }

    /// Makes durable what was deferred. An idle device calls this; [`Self::batch`] has nothing of it.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        match self.deferred.is_empty() {
            true => Ok(()),
            false => self.write(&self.deferred.clone(), 0),
        }
    }

    /// The device.
    pub const fn device(&self) -> DeviceNo {
        self.device
    }

    /// The sequence that the next record will have.
    pub const fn next_seq(&self) -> u64 {
        self.next
    }

    /// Whether there may be no room for a further sale.
    pub const fn is_full(&self) -> bool {
        self.length + SALE_MAX + RESERVE > self.max_bytes
    }

    /// The latest time of a record in the file, answered or not.
    pub const fn newest(&self) -> Option<CardTime> {
        self.newest
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
        self.append(entry, RESERVE)?;
        self.pending = Some(record);
        Ok(())
    }

    /// Journals what became of the open intent and returns its record. A purchase that the card
    /// refused is deferred: lost, it is unknown until the card returns, and nobody has passed.
    pub fn commit(&mut self, debit: Debit) -> Result<Record, JournalError> {
        let pending = self.pending.clone().ok_or(JournalError::NothingPending)?;
        let entry = Entry::Commit {
            journal_seq: pending.journal_seq,
            debit,
        };
        let record = with_debit(pending, debit);
        match (&record.event, debit) {
            (Event::Purchase(_), Debit::NotDone) => {
                self.defer(entry)?;
                self.deferred_records += 1;
            }
            _ => self.append(entry, 0)?,
        }
        self.pending = None;
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
        let entry = Entry::Record {
            record: record.clone(),
        };
        self.append(entry, reserve)?;
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
        self.append(Entry::Load { load }, reserve)?;
        self.loads.insert(load.id, load);
        Ok(())
    }

    /// Notes that a load needs nothing more: confirmed, or proved not to have happened.
    pub fn load_closed(&mut self, id: u64) -> Result<(), JournalError> {
        self.append(Entry::LoadConfirmed { id }, 0)?;
        self.loads.remove(&id);
        Ok(())
    }

    /// Loads whose confirmation is outstanding, oldest first.
    pub fn open_loads(&self) -> impl Iterator<Item = &LoadNote> {
        self.loads.values()
    }

    /// The torn debits of a card that no record has completed, newest first.
    pub fn unresolved(&self, pan: Pan) -> impl Iterator<Item = &Record> {
        let of_card = move |r: &&Record| card_of(r) == Some(pan);
        self.unresolved.values().rev().filter(of_card)
    }

    /// Records that the clearing house has not answered, oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.waiting.iter()
    }

    /// Fixes the next batch, of at most `max` records, and makes it durable. The same batch comes
    /// until it is answered, after a restart too: the clearing house knows a batch by its range, and
    /// one that grew since its answer was lost would be another that overlaps.
    pub fn send(&mut self, max: usize) -> Result<Option<Batch>, JournalError> {
        if self.sent.is_none() {
            self.sync()?;
            if let Some(batch) = self.batch(max) {
                self.append(Entry::Sent { last: batch.last }, 0)?;
                self.sent = Some(batch.last);
            }
        }
        Ok(self.batch(max))
    }

    /// The next batch of at most `max` consecutive durable records, or the one that was sent and
    /// not answered; `None` when none waits.
    pub fn batch(&self, max: usize) -> Option<Batch> {
        let max = max.clamp(1, clearing_api::record::MAX_BATCH);
        let durable = self.waiting.len() - self.deferred_records;
        let count = match self.sent {
            Some(last) => self.waiting.partition_point(|r| r.journal_seq <= last),
            None => max.min(durable),
        };
        let records: Vec<Record> = self.waiting.iter().take(count).cloned().collect();
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
        // Lost, it makes the batch go up once more, to the same answer.
        self.defer(entry)?;
        self.forget_through(last);
        if self.waiting.is_empty() && self.pending.is_none() && self.length > self.max_bytes / 2 {
            self.begin()?;
        }
        Ok(())
    }
}

/// Most entries that wait for a flush.
const DEFERRED_MAX: usize = 4;

/// Most torn debits remembered for their cards' return.
const UNRESOLVED_MAX: usize = 64;

/// The outcome that a record's debit has at the device, if it is a debit.
pub fn debit_of(record: &Record) -> Option<Debit> {
    match &record.event {
        Event::Purchase(purchase) => Some(purchase.debit),
        Event::Visit(visit) => Some(visit.debit),
        Event::ProofOfLife(_) | Event::LossReport(_) | Event::CardLocked { .. } => None,
    }
}

fn card_of(record: &Record) -> Option<Pan> {
    match &record.event {
        Event::Purchase(purchase) => Some(purchase.card.pan),
        Event::Visit(visit) => Some(visit.card.pan),
        Event::ProofOfLife(proof) => Some(proof.card.pan),
        Event::LossReport(report) => Some(report.card.pan),
        Event::CardLocked { card } => Some(card.pan),
    }
}

pub(crate) fn with_debit(mut record: Record, debit: Debit) -> Record {
    match &mut record.event {
        Event::Purchase(purchase) => purchase.debit = debit,
        Event::Visit(visit) => visit.debit = debit,
        Event::ProofOfLife(_) | Event::LossReport(_) | Event::CardLocked { .. } => {}
    }
    record
}

#[cfg(test)]
mod tests;
