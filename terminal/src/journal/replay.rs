//! Opening a journal: replaying its frames and mending what a power cut left.

use std::collections::{BTreeMap, VecDeque};

use card_spec::id::DeviceNo;
use clearing_api::record::Debit;

use super::{
    Journal, JournalError, MIN_BYTES, Storage,
    error::corrupt,
    frame::{self, Entry, Parsed},
    with_debit,
};

impl<S: Storage> Journal<S> {
    /// Opens the journal of `device`, or begins it. An unfinished last write is dropped (it was
    /// never acknowledged); an intent without its commit becomes a record of unknown outcome.
    pub fn open(mut storage: S, device: DeviceNo, max_bytes: u64) -> Result<Self, JournalError> {
        let bytes = storage.load()?;
        let mut journal = Self {
            storage,
            device,
            max_bytes: max_bytes.max(MIN_BYTES),
            length: frame::MAGIC.len() as u64,
            chain: frame::genesis(),
            deferred: Vec::new(),
            deferred_records: 0,
            failed: false,
            unsealed: None,
            next: 1,
            pending: None,
            newest: None,
            waiting: VecDeque::new(),
            unresolved: BTreeMap::new(),
            loads: BTreeMap::new(),
            sent: None,
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
            match frame::parse(&self.chain, rest, self.length) {
                Parsed::Frame {
                    entries,
                    chain,
                    length,
                    unsealed,
                } => {
                    for entry in entries {
                        self.replay(entry, begun)?;
                        begun = true;
                    }
                    self.unsealed = unsealed.then_some(chain);
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
            Entry::Sent { last } if self.sent.is_none() && last < self.next => {
                self.sent = Some(last);
                Ok(())
            }
            Entry::Sent { .. } => wrong("a batch out of order"),
            Entry::Answered { last, .. } => {
                self.forget_through(last);
                Ok(())
            }
        }
    }
}
