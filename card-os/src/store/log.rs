//! The log: where the valid version of each block lies, how one is added, how room is made.
//!
//! * An entry is written once, into the next slot of the open page. A page is erased only when it
//!   is opened, and only if no valid entry is left in it.
//! * A transaction is a run of entries with one number; it counts from the moment its last entry
//!   is whole. Until then the versions that it replaces keep their pages from being erased.
//! * Then a word confirms it, so that damage to the newest last entry is not taken for a power cut
//!   in it. (Between the two the entry stands alone, as after a cut just there, until the next
//!   commit.) A confirmed transaction counts, whole or not; what it lacks, the digest tells.
//! * At power-up the newest whole transaction is found; of each block the newest version up to it
//!   is the valid one. Entries of a transaction that was cut off are overruled: their blocks are
//!   written again, unchanged, under a later number, before anything else is written.
//! * Collecting a page copies its valid entries as they are, number included, into the page that was
//!   opened last. A copy and its original are the same version; the copy counts, so what a cut leaves
//!   of collecting is gone on with, and what was collected stays free.

use super::entry::{
    BLOCK, Confirmation, Digest, ENTRY, HEAD, Head, PageHead, Place, SLOTS, check, seal,
};
use crate::{
    error::Error,
    layout::{BLOCKS, ISSUER_BLOCKS, STAGED_BLOCKS},
    nvm::{Nvm, PAGE, PAGES},
};
use core::cell::Cell;
use zeroize::Zeroize;

/// Pages that stay free for collecting.
const RESERVE: usize = 2;
/// Entries that a transaction may write which does not fit into memory: a photo and a full card.
const LONG: usize = 17 * SLOTS;

/// What the memory is found to be at power-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Soundness {
    Sound,
    /// A version of some block is lost, but none of the issuer domain's.
    ApplicationsDamaged,
    /// Blank, of another layout, or damaged where the issuer's keys are.
    Dead,
}

/// Where the next entry to look at may be.
#[derive(Default)]
pub(super) struct Cursor {
    page: usize,
    slot: usize,
    /// Sequence of the page.
    sequence: u32,
}

pub(super) struct Log<N> {
    pub(super) nvm: N,
    /// The valid version of each block, staged blocks behind the others.
    map: [Place; BLOCKS + STAGED_BLOCKS],
    /// Entries of each page that must survive.
    live: [u8; PAGES],
    pub(super) open: usize,
    pub(super) next: usize,
    /// Sequence of the open page.
    sequence: u32,
    /// Pages that refused to be erased since power-up, a bit each.
    worn: u64,
    /// Number of the newest whole transaction that power-up found.
    newest: u32,
    /// Number of the next transaction.
    txn: u32,
    /// Entries of the open transaction so far.
    ordinal: u16,
    digest: Digest,
    /// What the stored digest differs by from the blocks that are there: zero on a sound card.
    /// Carried on with every commit, so that writing does not make a damaged card look sound.
    taint: u32,
    /// An open transaction has entries in the memory already.
    pub(super) spilled: bool,
    /// Something could not be read since it was last set back.
    pub(super) fault: Cell<bool>,
}

impl<N: Nvm> Log<N> {
    pub(super) const fn new(nvm: N) -> Self {
        Self {
            nvm,
            map: [Place::NONE; BLOCKS + STAGED_BLOCKS],
            live: [0; PAGES],
            open: PAGES,
            next: SLOTS,
            sequence: 0,
            worn: 0,
            newest: 0,
            txn: 1,
            ordinal: 0,
            digest: Digest { all: 0, issuer: 0 },
            taint: 0,
            spilled: false,
            fault: Cell::new(false),
        }
    }

    /// Finds the newest whole transaction and the valid version of each block.
    pub(super) fn mount(&mut self) -> Result<Soundness, Error> {
        self.map.fill(Place::NONE);
        self.worn = 0;
        self.spilled = false;
        self.ordinal = 0;
        self.txn = 1;
        self.fault.set(false);
        self.open_last();
        let Some((newest, stored)) = self.newest() else {
            return Ok(Soundness::Dead);
        };
        self.newest = newest.txn;
        self.txn = newest.txn.saturating_add(1);
        self.choose();
        for block in 0..BLOCKS {
            self.settle(block);
        }
        self.recount();
        self.digest = self.fresh_digest();
        self.taint = stored.map_or(1, |stored| self.digest.all ^ stored);
        self.readable()?;
        let sound = match (self.taint, self.digest.issuer == newest.issuer) {
            (_, false) => Soundness::Dead,
            (0, true) => Soundness::Sound,
            (_, true) => Soundness::ApplicationsDamaged,
        };
        Ok(sound)
    }

    /// Whether everything could be read that was asked for.
    pub(super) fn readable(&self) -> Result<(), Error> {
        if self.fault.get() {
            return Err(Error::MEMORY);
        }
        Ok(())
    }

    /// What cannot be read looks erased.
    fn bytes<const L: usize>(&self, at: usize) -> [u8; L] {
        let mut out = [0; L];
        if self.nvm.read(at, &mut out).is_err() {
            self.fault.set(true);
            out.fill(0xFF);
        }
        out
    }

    /// Slots of a page before the first erased one. The page's head does not matter: what a torn
    /// erase leaves are versions that others replaced long ago.
    fn used(&self, page: usize) -> usize {
        (0..SLOTS)
            .find(|slot| self.head(Place::new(page, *slot)).is_none())
            .unwrap_or(SLOTS)
    }

    fn page_head(&self, page: usize) -> Option<PageHead> {
        PageHead::from_bytes(&self.bytes(page * PAGE))
    }

    fn head(&self, place: Place) -> Option<Head> {
        Head::from_bytes(self.bytes(place.at()))
    }

    fn entry(&self, place: Place) -> [u8; ENTRY] {
        self.bytes(place.at())
    }

    fn sequence(&self, page: usize) -> u32 {
        self.page_head(page).unwrap_or_default().sequence
    }

    /// The next entry that is there.
    fn next_entry(&self, at: &mut Cursor) -> Option<(Place, Head)> {
        while at.page < PAGES {
            if at.slot == 0 {
                at.sequence = self.sequence(at.page);
            }
            let place = Place::new(at.page, at.slot);
            at.slot += 1;
            if at.slot <= SLOTS
                && let Some(head) = self.head(place)
            {
                return Some((place, head));
            }
            (at.page, at.slot) = (at.page + 1, 0);
        }
        None
    }

    /// The newest transaction, and the digest that its last entry stored: `None` if that entry was
    /// there and is damaged. Checksums take time, so heads are compared first and only the winner is
    /// checked; what fails is passed over.
    fn newest(&self) -> Option<(Confirmation, Option<u32>)> {
        let mut below = u32::MAX;
        let mut confirmed: Option<Confirmation> = None;
        loop {
            let mut best = None;
            let mut at = Cursor::default();
            while let Some((place, head)) = self.next_entry(&mut at) {
                if head.last && head.txn < below && best < Some(head.txn) {
                    best = Some(head.txn);
                }
                if let Some(word) = Confirmation::from_bytes(self.bytes(place.at() + ENTRY))
                    && confirmed.is_none_or(|most| word.txn > most.txn)
                {
                    confirmed = Some(word);
                }
            }
            let Some(txn) = best else {
                return confirmed.map(|lost| (lost, None));
            };
            // A transaction that was cut off in its last entry leaves its number to the next one, so
            // there may be several; a whole one is the one that counts.
            let mut at = Cursor::default();
            while let Some((place, head)) = self.next_entry(&mut at) {
                if head.last
                    && head.txn == txn
                    && let Some(all) = check(&self.entry(place))
                {
                    let issuer = head.tag;
                    return Some(match confirmed {
                        Some(lost) if lost.txn > txn => (lost, None),
                        _ => (Confirmation { txn, issuer }, Some(all)),
                    });
                }
            }
            below = txn;
        }
    }

    /// Chooses the valid version of each block by the heads. Entries of a later number are the rest
    /// of a transaction that was cut off: the next one takes a number behind theirs.
    fn choose(&mut self) {
        let mut at = Cursor::default();
        while let Some((place, head)) = self.next_entry(&mut at) {
            let Some(block) = head.of_block() else {
                continue;
            };
            if head.txn > self.newest {
                if check(&self.entry(place)).is_some() {
                    self.txn = self.txn.max(head.txn.saturating_add(1));
                }
            } else if self.is_later(place, head, at.sequence, self.map[block]) {
                self.map[block] = place;
            }
        }
    }

    /// Whether an entry is to be preferred to the present one.
    fn is_later(&self, place: Place, head: Head, sequence: u32, present: Place) -> bool {
        if present.is_none() {
            return true;
        }
        let Some(old) = self.head(present) else {
            return true;
        };
        if head.version() != old.version() {
            return head.version() > old.version();
        }
        (sequence, place.at()) > (self.sequence(present.page()), present.at())
    }

    /// Checks the chosen version of a block. If it is not whole, the best whole one takes its place.
    fn settle(&mut self, block: usize) {
        let chosen = self.map[block];
        if chosen.is_none() || check(&self.entry(chosen)).is_some() {
            return;
        }
        let mut best = Place::NONE;
        let mut at = Cursor::default();
        while let Some((place, head)) = self.next_entry(&mut at) {
            if head.of_block() == Some(block)
                && head.txn <= self.newest
                && check(&self.entry(place)).is_some()
                && self.is_later(place, head, at.sequence, best)
            {
                best = place;
            }
        }
        self.map[block] = best;
    }

    /// Whether power-up found a transaction that was cut off.
    pub(super) const fn was_cut_off(&self) -> bool {
        self.txn != self.newest.saturating_add(1)
    }

    /// The block of the next entry of a transaction that was cut off.
    pub(super) fn next_cut_off(&self, at: &mut Cursor) -> Option<usize> {
        while let Some((place, head)) = self.next_entry(at) {
            if let Some(block) = head.of_block()
                && head.txn > self.newest
                && head.txn < self.txn
                && check(&self.entry(place)).is_some()
                && !self.is_overruled(block)
            {
                return Some(block);
            }
        }
        None
    }

    /// Whether the open transaction wrote the block already: cut-off recoveries leave several
    /// entries of one block, and overruling each of them would outgrow the room.
    fn is_overruled(&self, block: usize) -> bool {
        let place = self.map[block];
        !place.is_none() && self.head(place).is_some_and(|head| head.txn == self.txn)
    }

    /// Counts what must survive, from the map.
    pub(super) fn recount(&mut self) {
        self.live = [0; PAGES];
        for place in self.map.iter().filter(|place| !place.is_none()) {
            if let Some(live) = self.live.get_mut(place.page()) {
                *live += 1;
            }
        }
    }

    /// Goes on writing in the page that was opened last. No page is erased before a later one was
    /// opened, so behind its entries it is erased, whatever a cut did to others.
    fn open_last(&mut self) {
        (self.open, self.next, self.sequence) = (PAGES, SLOTS, 0);
        for page in 0..PAGES {
            let sequence = self.sequence(page);
            if sequence > self.sequence {
                (self.open, self.sequence) = (page, sequence);
            }
        }
        if self.open < PAGES {
            self.next = self.used(self.open);
            // A word that took some bits and looks erased would spoil the slot.
            if self.next < SLOTS && self.entry(Place::new(self.open, self.next)) != [0xFF; ENTRY] {
                self.next = SLOTS;
            }
        }
    }

    fn fresh_digest(&self) -> Digest {
        let mut digest = Digest::default();
        for block in 0..BLOCKS {
            self.toggle(&mut digest, block);
        }
        digest
    }

    /// Puts the valid version of a block into the digest, or takes it out.
    fn toggle(&self, digest: &mut Digest, block: usize) {
        let place = self.map[block];
        if !place.is_none()
            && let Some(head) = self.head(place)
        {
            digest.toggle(block as u16, head.version(), block < ISSUER_BLOCKS);
        }
    }

    /// Reads a part of a block's valid version; zeros if there is none.
    pub(super) fn read(&self, block: usize, from: usize, out: &mut [u8]) {
        match self.map.get(block) {
            Some(place) if place.is_none() => out.fill(0),
            Some(place) if self.nvm.read(place.at() + HEAD + from, out).is_ok() => {}
            _ => {
                self.fault.set(true);
                out.fill(0);
            }
        }
    }

    pub(super) fn block(&self, block: usize) -> [u8; BLOCK] {
        let mut data = [0; BLOCK];
        self.read(block, 0, &mut data);
        data
    }

    /// Whether the block was ever written.
    pub(super) fn is_mapped(&self, block: usize) -> bool {
        self.map.get(block).is_some_and(|place| !place.is_none())
    }

    /// Adds an entry of the open transaction. The last one makes it count.
    pub(super) fn put(
        &mut self,
        block: usize,
        data: &[u8; BLOCK],
        last: bool,
    ) -> Result<(), Error> {
        let mut digest = self.digest;
        self.toggle(&mut digest, block);
        self.readable()?;
        let mut head = Head {
            block: block as u16,
            last,
            staged: false,
            txn: self.txn,
            tag: self.ordinal,
        };
        digest.toggle(block as u16, head.version(), block < ISSUER_BLOCKS);
        if last {
            head.tag = digest.issuer;
        }
        if last {
            self.nvm.sync()?;
        }
        let place = self.append(seal(head, data, digest.all ^ self.taint))?;
        self.digest = digest;
        self.ordinal = self.ordinal.saturating_add(1);
        if let Some(entry) = self.map.get_mut(block) {
            *entry = place;
        }
        if last {
            self.nvm.sync()?;
            let (txn, issuer) = (self.txn, digest.issuer);
            let word = Confirmation { txn, issuer }.to_bytes();
            // Committed it is already: a word that refuses changes nothing.
            let _ = self.nvm.program(place.at() + ENTRY, &word);
            self.txn = self.txn.checked_add(1).ok_or(Error::MEMORY)?;
            self.spilled = false;
            self.ordinal = 0;
            self.recount();
        }
        Ok(())
    }

    /// Adds a staged block, which no transaction and no power-up knows.
    pub(super) fn put_staged(&mut self, index: usize, data: &[u8; BLOCK]) -> Result<(), Error> {
        self.make_room(1)?;
        let head = Head {
            block: index as u16,
            last: false,
            staged: true,
            txn: 0,
            tag: 0,
        };
        let place = self.append(seal(head, data, 0))?;
        let entry = self.map.get_mut(BLOCKS + index).ok_or(Error::SPACE)?;
        let old = core::mem::replace(entry, place);
        if !old.is_none()
            && let Some(live) = self.live.get_mut(old.page())
        {
            *live = live.saturating_sub(1);
        }
        Ok(())
    }

    pub(super) fn forget_staged(&mut self) {
        if self.map[BLOCKS..].iter().any(|place| !place.is_none()) && !self.spilled {
            self.map[BLOCKS..].fill(Place::NONE);
            self.recount();
        }
    }

    /// From now on the digest tells the truth: what was damaged has been written anew.
    pub(super) const fn clear_taint(&mut self) {
        self.taint = 0;
    }

    /// Writes an entry, which may hold a key, into the next slot, and wipes it. Its page's count
    /// already protects it.
    fn append(&mut self, mut entry: [u8; ENTRY]) -> Result<Place, Error> {
        if self.next >= SLOTS {
            self.open_page()?;
        }
        self.readable()?;
        let place = Place::new(self.open, self.next);
        self.next += 1;
        let programmed = self.nvm.program(place.at(), &entry);
        // Once programmed, a last entry counts: reading that fails here is tried again, for the answer
        // must not be that nothing was changed.
        let kept = programmed.is_ok()
            && (self.entry(place) == entry || self.fault.take() && self.entry(place) == entry);
        entry.zeroize();
        programmed?;
        if !kept {
            return Err(Error::MEMORY);
        }
        if let Some(live) = self.live.get_mut(self.open) {
            *live += 1;
        }
        Ok(place)
    }

    /// Opens the free page that was erased least often. One that refuses is left alone until the
    /// next power-up.
    fn open_page(&mut self) -> Result<(), Error> {
        loop {
            let mut best: Option<(u32, usize)> = None;
            let mut most = 0;
            for page in 0..PAGES {
                let times = self.page_head(page).map(|head| head.times_erased);
                most = most.max(times.unwrap_or(0));
                if self.is_free(page) {
                    // A page whose head was torn has lost its count; it waits until the others are
                    // as old.
                    let times = times.unwrap_or(most);
                    if best.is_none_or(|(least, _)| times < least) {
                        best = Some((times, page));
                    }
                }
            }
            let (times, page) = best.ok_or(Error::SPACE)?;
            if self.erase(page, times.saturating_add(1)).is_ok() {
                (self.open, self.next) = (page, 0);
                return Ok(());
            }
            self.worn |= 1 << page;
        }
    }

    pub(super) fn erase(&mut self, page: usize, times_erased: u32) -> Result<(), Error> {
        let sequence = self.sequence.checked_add(1).ok_or(Error::MEMORY)?;
        let head = PageHead {
            times_erased,
            sequence,
        };
        self.nvm.erase(page)?;
        self.nvm.program(page * PAGE, &head.to_bytes())?;
        self.sequence = sequence;
        Ok(())
    }

    fn is_free(&self, page: usize) -> bool {
        self.live[page] == 0 && page != self.open && self.worn & (1 << page) == 0
    }

    /// With the reserve broken into, which a cut while collecting does, what is left of the open
    /// page is for collecting alone.
    fn room(&self) -> usize {
        let free = (0..PAGES).filter(|page| self.is_free(*page)).count();
        match free.checked_sub(RESERVE) {
            Some(free) => (SLOTS - self.next) + SLOTS * free,
            None => 0,
        }
    }

    /// Makes room for so many entries. Inside a transaction that has begun to write, versions
    /// that must survive are not all in the map, so nothing is collected then.
    pub(super) fn make_room(&mut self, entries: usize) -> Result<(), Error> {
        while self.room() < entries {
            if self.spilled {
                return Err(Error::SPACE);
            }
            self.collect()?;
        }
        Ok(())
    }

    /// The first entries of a long transaction are about to be written.
    pub(super) fn begin_long(&mut self) -> Result<(), Error> {
        self.make_room(LONG)
    }

    /// Frees the page with the fewest entries that must survive.
    fn collect(&mut self) -> Result<(), Error> {
        let pages = self.live.iter().enumerate();
        let victim = pages
            .filter(|(page, live)| **live > 0 && *page != self.open)
            .min_by_key(|(_, live)| **live);
        let Some((victim, live)) = victim else {
            return Err(Error::SPACE);
        };
        if usize::from(*live) >= SLOTS {
            return Err(Error::SPACE);
        }
        for index in 0..self.map.len() {
            let place = self.map[index];
            if place.is_none() || place.page() != victim {
                continue;
            }
            let entry = self.entry(place);
            if check(&entry).is_none() {
                return Err(Error::MEMORY);
            }
            self.map[index] = self.append(entry)?;
            self.live[victim] -= 1;
        }
        Ok(())
    }
}
