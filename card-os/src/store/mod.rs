//! Transactions over the memory, and the view of it that one application gets.
//!
//! To the applications the memory is a row of bytes, in blocks of 64. Blocks that the open
//! transaction changed wait in RAM; the commit appends them to the log ([`log`]), where the last
//! one makes all of them count. Only personalisation changes more than RAM holds: then entries go
//! to the log early and mean nothing until the last.

mod entry;
mod log;
#[cfg(test)]
mod tests;
mod v2;

pub(crate) use entry::crc32;
pub(crate) use log::Soundness;
pub(crate) use v2::{is_layout_2, upgrade as upgrade_v2};

use crate::{
    error::Error,
    isd,
    keystore::{self, Slot},
    layout::{self, App, BLOCK_SIZE, REGIONS, Region, STAGING_SIZE},
    nvm::{Nvm, PAGES},
};
use card_spec::{Fen, SuiteId, keys::KeyType, suite::Key};
use entry::BLOCK;
use heapless::Vec;
use log::{Cursor, Log};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const _: () = assert!(BLOCK_SIZE == BLOCK);

/// Changed blocks that RAM holds: a CAPP debit with two journeys and a metro record changes ten.
const HELD: usize = 12;

struct Changed {
    block: usize,
    data: [u8; BLOCK],
}

impl Drop for Changed {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

/// The memory with at most one open transaction. The dispatcher commits when the command
/// succeeded and rolls back when it did not.
pub(crate) struct Store<N> {
    log: Log<N>,
    changed: Vec<Changed, HELD>,
    soundness: Soundness,
    /// The open transaction empties the applications.
    wiping: bool,
}

impl<N: Nvm> Store<N> {
    /// Nothing is known of the memory before [`Self::mount`].
    pub(crate) const fn new(nvm: N) -> Self {
        Self {
            log: Log::new(nvm),
            changed: Vec::new(),
            soundness: Soundness::Dead,
            wiping: false,
        }
    }

    pub(crate) const fn nvm(&self) -> &N {
        &self.log.nvm
    }

    pub(crate) fn nvm_mut(&mut self) -> &mut N {
        &mut self.log.nvm
    }

    pub(crate) fn into_nvm(self) -> N {
        self.log.nvm
    }

    pub(crate) const fn soundness(&self) -> Soundness {
        self.soundness
    }

    /// Power-up: finds the last whole transaction and overrules one that was cut off.
    pub(crate) fn mount(&mut self) {
        self.changed.clear();
        self.wiping = false;
        self.log.fault.set(false);
        self.soundness = self.find().unwrap_or(Soundness::Dead);
    }

    fn find(&mut self) -> Result<Soundness, Error> {
        let found = self.log.mount()?;
        let mut head = [0; 8];
        if found == Soundness::Dead {
            return Ok(found);
        }
        self.read(0, &mut head);
        self.fault()?;
        if !isd::is_this_layout(head) {
            return Ok(Soundness::Dead);
        }
        if self.log.was_cut_off() {
            let mut at = Cursor::default();
            while let Some(block) = self.log.next_cut_off(&mut at) {
                self.hold(block)?;
            }
            self.fault()?;
            // Not `commit`, which would mount again when this fails.
            let done = self.append_changed();
            self.changed.clear();
            done?;
        }
        Ok(found)
    }

    /// A blank memory with its first bytes, in one transaction.
    pub(crate) fn format(&mut self, first: &[u8]) -> Result<(), Error> {
        for page in 0..PAGES {
            self.log.erase(page, 1)?;
        }
        self.log.mount()?;
        self.write(REGIONS[0], 0, first);
        self.commit()
    }

    /// Whether everything since the last rollback or commit could be read and written. What cannot
    /// be read is read as zeros and what cannot be written is not; nothing of that is committed or
    /// answered, so an application needs to ask only where it would act on it otherwise.
    pub(crate) fn fault(&self) -> Result<(), Error> {
        self.log.readable()
    }

    /// Something in the memory is not what it must be.
    pub(crate) fn fail(&self) {
        self.log.fault.set(true);
    }

    pub(crate) fn read(&self, at: usize, out: &mut [u8]) {
        let (mut at, mut rest) = (at, out);
        while !rest.is_empty() {
            let (block, from) = (at / BLOCK, at % BLOCK);
            let n = rest.len().min(BLOCK - from);
            let (now, later) = rest.split_at_mut(n);
            match self.changed.iter().find(|c| c.block == block) {
                Some(changed) => now.copy_from_slice(&changed.data[from..from + n]),
                None => self.log.read(block, from, now),
            }
            at += n;
            rest = later;
        }
    }

    pub(crate) fn write(&mut self, region: Region, at: usize, data: &[u8]) {
        if self.change(region, at, data).is_err() {
            self.fail();
        }
    }

    fn change(&mut self, region: Region, at: usize, data: &[u8]) -> Result<(), Error> {
        if at
            .checked_add(data.len())
            .is_none_or(|end| end > region.len)
        {
            return Err(Error::MEMORY);
        }
        let (mut at, mut rest) = (region.base + at, data);
        while !rest.is_empty() {
            let (block, from) = (at / BLOCK, at % BLOCK);
            let (now, later) = rest.split_at(rest.len().min(BLOCK - from));
            if !self.is_same(at, now) {
                let held = self.hold(block)?;
                held[from..from + now.len()].copy_from_slice(now);
            }
            at += now.len();
            rest = later;
        }
        Ok(())
    }

    /// Writing what is there already wears the memory for nothing.
    fn is_same(&self, at: usize, data: &[u8]) -> bool {
        let mut present = [0; BLOCK];
        let present = &mut present[..data.len()];
        self.read(at, present);
        let same = present.ct_eq(data).into();
        present.zeroize();
        same
    }

    /// The block as the open transaction sees it, to be changed.
    fn hold(&mut self, block: usize) -> Result<&mut [u8; BLOCK], Error> {
        let held = self.changed.iter().position(|c| c.block == block);
        let index = match held {
            Some(index) => index,
            None => {
                if self.changed.is_full() {
                    self.spill()?;
                }
                let data = self.log.block(block);
                let _ = self.changed.push(Changed { block, data });
                self.changed.len() - 1
            }
        };
        let changed = self.changed.get_mut(index).ok_or(Error::MEMORY)?;
        Ok(&mut changed.data)
    }

    /// Moves what RAM holds into the log, where it waits for the end of the transaction.
    fn spill(&mut self) -> Result<(), Error> {
        if !self.log.spilled {
            self.log.begin_long()?;
            self.log.spilled = true;
        }
        self.log.make_room(self.changed.len())?;
        for changed in &self.changed {
            self.log.put(changed.block, &changed.data, false)?;
        }
        self.changed.clear();
        Ok(())
    }

    /// Makes what was written since the last commit durable.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        if let Err(fault) = self.fault() {
            self.rollback();
            return Err(fault);
        }
        if self.changed.is_empty() {
            return Ok(());
        }
        let done = self.append_changed();
        self.changed.clear();
        self.wiping = false;
        if done.is_err() {
            self.mount();
        }
        done
    }

    fn append_changed(&mut self) -> Result<(), Error> {
        let Some(last) = self.changed.len().checked_sub(1) else {
            return Ok(());
        };
        self.log.make_room(self.changed.len())?;
        for (i, changed) in self.changed.iter().enumerate() {
            self.log.put(changed.block, &changed.data, i == last)?;
        }
        Ok(())
    }

    pub(crate) fn rollback(&mut self) {
        self.changed.clear();
        self.log.fault.set(false);
        if self.log.spilled || self.wiping {
            self.mount();
        }
    }

    /// Empties every area but the issuer domain's; what was damaged is whole again once this is
    /// committed.
    pub(crate) fn wipe_applications(&mut self) -> Result<(), Error> {
        for block in layout::ISSUER_BLOCKS..layout::BLOCKS {
            if self.log.is_mapped(block) {
                self.hold(block)?.fill(0);
            }
        }
        self.wiping = true;
        self.log.clear_taint();
        self.soundness = Soundness::Sound;
        Ok(())
    }

    /// Writes into the staging area, outside every transaction.
    pub(crate) fn stage(&mut self, at: usize, data: &[u8]) -> Result<(), Error> {
        if at
            .checked_add(data.len())
            .is_none_or(|end| end > STAGING_SIZE)
        {
            return Err(Error::SPACE);
        }
        let (mut at, mut rest) = (at, data);
        while !rest.is_empty() {
            let (index, from) = (at / BLOCK, at % BLOCK);
            let (now, later) = rest.split_at(rest.len().min(BLOCK - from));
            let mut block = self.log.block(layout::BLOCKS + index);
            block[from..from + now.len()].copy_from_slice(now);
            let put = self.log.put_staged(index, &block);
            block.zeroize();
            put?;
            at += now.len();
            rest = later;
        }
        Ok(())
    }

    pub(crate) fn staged(&self, at: usize, out: &mut [u8]) -> Result<(), Error> {
        if at
            .checked_add(out.len())
            .is_none_or(|end| end > STAGING_SIZE)
        {
            return Err(Error::DATA);
        }
        self.read(layout::BLOCKS * BLOCK + at, out);
        Ok(())
    }

    /// Gives the room of staged blocks back.
    pub(crate) fn forget_staged(&mut self) {
        self.log.forget_staged();
    }

    pub(crate) fn area(&mut self, app: App) -> Area<'_, N> {
        Area { store: self, app }
    }
}

/// One application's view: its own area and its own keys. There is no way from here to another's.
pub(crate) struct Area<'a, N> {
    store: &'a mut Store<N>,
    app: App,
}

impl<N: Nvm> Area<'_, N> {
    /// What cannot be read is zeros, and the command fails in the end ([`Store::fault`]).
    pub(crate) fn read(&self, at: usize, out: &mut [u8]) {
        let region = self.app.region();
        if at.checked_add(out.len()).is_none_or(|end| end > region.len) {
            out.fill(0);
            self.store.fail();
            return;
        }
        self.store.read(region.base + at, out);
    }

    pub(crate) fn array<const L: usize>(&self, at: usize) -> [u8; L] {
        let mut out = [0; L];
        self.read(at, &mut out);
        out
    }

    pub(crate) fn byte(&self, at: usize) -> u8 {
        let [byte] = self.array(at);
        byte
    }

    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    pub(crate) fn write(&mut self, at: usize, data: &[u8]) {
        self.store.write(self.app.region(), at, data);
    }

    /// An amount in its four bytes; one that has no such form fails the command.
    pub(crate) fn write_amount(&mut self, at: usize, amount: Fen) {
        match amount.to_card() {
            Ok(bytes) => self.write(at, &bytes),
            Err(_) => self.store.fail(),
        }
    }

    /// What lies here is not what it must be: the command fails.
    pub(crate) fn fail(&self) {
        self.store.fail();
    }

    /// For security counters: durable now, before anything else happens.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.store.commit()
    }

    /// The first key that satisfies the condition, among this application's own.
    pub(crate) fn key(
        &self,
        wanted: &dyn Fn(&Slot) -> bool,
        missing: Error,
    ) -> Result<Slot, Error> {
        keystore::find(self.store, self.app, wanted, missing)
    }

    /// The key of a type, with an index or the only one there is.
    pub(crate) fn key_of(
        &self,
        key_type: KeyType,
        index: Option<u8>,
        missing: Error,
    ) -> Result<Slot, Error> {
        self.key(
            &|slot| {
                slot.header.key_type == key_type && index.is_none_or(|i| slot.header.index == i)
            },
            missing,
        )
    }

    /// The key of a type with an index that a command names.
    pub(crate) fn key_by_index(&self, key_type: KeyType, index: u8) -> Result<Slot, Error> {
        self.key_of(key_type, Some(index), Error::KEY_INDEX)
    }

    /// The key that TACs of a suite are made with.
    pub(crate) fn tac_key(&self, key_type: KeyType, suite: SuiteId) -> Result<Key, Error> {
        self.key(
            &|slot| slot.header.key_type == key_type && slot.header.suite == suite,
            Error::KEY_INDEX,
        )
        .map(|slot| slot.key)
    }

    /// Puts a key among this application's own.
    pub(crate) fn put_key(&mut self, new: &Slot) -> Result<(), Error> {
        keystore::put(self.store, self.app, new)
    }

    /// Copies staged bytes into the area, a piece at a time.
    pub(crate) fn copy_staged(&mut self, from: usize, len: usize, to: usize) -> Result<(), Error> {
        let mut chunk = [0u8; 64];
        let mut done = 0;
        while done < len {
            let n = chunk.len().min(len - done);
            let piece = &mut chunk[..n];
            self.store.staged(from + done, piece)?;
            self.store.write(self.app.region(), to + done, piece);
            done += n;
        }
        Ok(())
    }
}
