//! The log against a model: random transactions, cut at random, recovered, cut again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
extern crate std;

mod endurance;

use super::{
    entry::{CONFIRMATION, SLOT, SLOTS},
    *,
};
use crate::{
    layout::{BLOCKS, KEYS},
    nvm::{NVM_SIZE, NvmError, PAGE, WORD},
};
use std::{vec, vec::Vec as List};

/// What a cut leaves of the operation it hits.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Nothing,
    Part,
    Scattered,
    /// Erasing: the head and the first entries stay, the others are gone. Programming: all but the last
    /// word.
    FrontKept,
    Done,
}

const MODES: [Mode; 5] = [
    Mode::Nothing,
    Mode::Part,
    Mode::Scattered,
    Mode::FrontKept,
    Mode::Done,
];

#[derive(Clone)]
struct Flash {
    bytes: List<u8>,
    erases: List<u32>,
    left: Option<(u64, Mode)>,
    dead: bool,
    random: Random,
}

#[derive(Debug, Clone, Copy)]
struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> usize {
        (self.next() % n) as usize
    }
}

impl Flash {
    fn new(seed: u64) -> Self {
        Self {
            bytes: vec![0xFF; NVM_SIZE],
            erases: vec![0; PAGES],
            left: None,
            dead: false,
            random: Random(seed),
        }
    }

    fn due(&mut self) -> Result<Option<Mode>, NvmError> {
        if self.dead {
            return Err(NvmError::PowerLost);
        }
        match &mut self.left {
            Some((1, mode)) => {
                let mode = *mode;
                self.dead = true;
                self.left = None;
                Ok(Some(mode))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

impl Nvm for &mut Flash {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        if self.dead {
            return Err(NvmError::PowerLost);
        }
        out.copy_from_slice(&self.bytes[at..at + out.len()]);
        Ok(())
    }

    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        let cut = self.due()?;
        assert_eq!((at % WORD, data.len() % WORD), (0, 0));
        for (i, word) in data.chunks(WORD).enumerate() {
            let place = at + i * WORD..at + (i + 1) * WORD;
            let fresh = self.bytes[place.clone()] == [0xFF; WORD];
            assert!(fresh, "a word is programmed twice");
            let half = data.len() / WORD / 2;
            let noise = self.random.next().to_be_bytes();
            for ((to, from), noise) in self.bytes[place].iter_mut().zip(word).zip(noise) {
                *to = match cut {
                    None | Some(Mode::Done) => *from,
                    Some(Mode::Nothing) => 0xFF,
                    Some(Mode::Part) if i < half => *from,
                    Some(Mode::Part) if i == half => from | noise,
                    Some(Mode::Scattered) if i == 0 => from | noise,
                    Some(Mode::FrontKept) if i + 1 < data.len() / WORD => *from,
                    Some(_) => 0xFF,
                };
            }
        }
        cut.map_or(Ok(()), |_| Err(NvmError::PowerLost))
    }

    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        let cut = self.due()?;
        self.erases[page] += 1;
        for i in 0..PAGE / WORD {
            let noise = self.random.next();
            let at = page * PAGE + i * WORD;
            for (k, byte) in self.bytes[at..at + WORD].iter_mut().enumerate() {
                *byte = match cut {
                    None | Some(Mode::Done) => 0xFF,
                    Some(Mode::Nothing) => *byte,
                    Some(Mode::Part) if i < PAGE / WORD / 2 => 0xFF,
                    Some(Mode::Part) => *byte,
                    Some(Mode::FrontKept) if i < PAGE / WORD / 2 => *byte,
                    Some(Mode::FrontKept) => 0xFF,
                    Some(Mode::Scattered) => match noise % 3 {
                        0 => 0xFF,
                        1 => *byte | (noise >> (8 * k)) as u8,
                        _ => *byte,
                    },
                };
            }
        }
        cut.map_or(Ok(()), |_| Err(NvmError::PowerLost))
    }
}

const LEN: usize = BLOCKS * BLOCK;

fn all<N: Nvm>(store: &Store<N>) -> List<u8> {
    let mut out = vec![0; LEN];
    store.read(0, &mut out);
    out
}

fn fresh(seed: u64) -> Flash {
    let mut flash = Flash::new(seed);
    let first = crate::isd::of_this_layout(&[]);
    Store::new(&mut flash).format(&first).unwrap();
    flash
}

/// One random transaction on model and store; what the store answered to its commit.
fn transact<N: Nvm>(
    store: &mut Store<N>,
    model: &mut [u8],
    random: &mut Random,
) -> Result<bool, Error> {
    // Mostly a few blocks, sometimes more than RAM holds.
    let writes = match random.below(20) {
        0 => 60,
        n => n % 7 + 1,
    };
    for _ in 0..writes {
        let length = random.below(150) + 1;
        // The first eight bytes name the layout.
        let at = 8 + random.below((LEN - length - 8) as u64);
        let data: List<u8> = (0..length).map(|_| random.next() as u8).collect();
        let everything = Region { base: 0, len: LEN };
        store.write(everything, at, &data);
        model[at..at + length].copy_from_slice(&data);
    }
    let keep = random.below(8) > 0;
    if keep {
        store.commit()?;
    } else {
        store.rollback();
    }
    Ok(keep)
}

#[test]
fn what_was_committed_is_there_and_nothing_else() {
    let mut flash = fresh(1);
    let mut random = Random(2);
    let mut store = Store::new(&mut flash);
    store.mount();
    let mut model = all(&store);
    for i in 0..3_000 {
        let mut next = model.clone();
        if transact(&mut store, &mut next, &mut random).unwrap() {
            model = next;
        }
        if i % 100 == 0 {
            assert!(all(&store) == model, "transaction {i}");
            store.mount();
            assert_eq!(store.soundness(), Soundness::Sound);
        }
        assert!(i % 100 != 0 || all(&store) == model, "after power-up {i}");
    }
}

/// Every transaction of this run is cut off somewhere, most recoveries are cut off too.
#[test]
fn a_cut_leaves_all_or_nothing() {
    let mut flash = fresh(3);
    let mut random = Random(4);
    let mut model = all(&{
        let mut store = Store::new(&mut flash);
        store.mount();
        store
    });
    let (mut before, mut after, mut recoveries) = (0, 0, 0);
    for round in 0..6_000 {
        flash.left = Some((1 + random.next() % 40, MODES[random.below(5)]));
        let mut store = Store::new(&mut flash);
        store.mount();
        let mut next = model.clone();
        let kept = transact(&mut store, &mut next, &mut random);
        while flash.dead {
            flash.dead = false;
            if random.below(3) > 0 {
                flash.left = Some((1 + random.next() % 14, MODES[random.below(5)]));
                recoveries += 1;
            }
            Store::new(&mut flash).mount();
        }
        flash.left = None;
        let mut store = Store::new(&mut flash);
        store.mount();
        assert_eq!(store.soundness(), Soundness::Sound, "round {round}");
        let now = all(&store);
        if kept != Ok(false) && now == next {
            after += 1;
            model = next;
        } else {
            assert!(now == model, "round {round}: half a transaction");
            assert!(kept != Ok(true), "round {round}: a commit was lost");
            before += 1;
        }
    }
    assert!(
        before > 1_000 && after > 500 && recoveries > 1_000,
        "{before} {after} {recoveries}"
    );
}

/// The test above can fail: with the last entry's mark on the first one it does.
#[test]
fn a_transaction_that_is_marked_whole_too_early_is_found_out() {
    let mut flash = fresh(5);
    let mut store = Store::new(&mut flash);
    store.mount();
    let everything = Region { base: 0, len: LEN };
    store.write(everything, 10, &[1; 64]);
    let changed = &store.changed[0];
    store.log.put(changed.block, &changed.data, true).unwrap();
    store.changed.clear();
    store.mount();
    let mut both = [0; 64];
    store.read(10, &mut both);
    assert!(both != [1; 64] && both != [0; 64], "half of it is there");
}

/// Staged bytes are there until power-up or INSTALL and never disturb what is committed.
#[test]
fn staging_is_scratch() {
    let mut flash = fresh(6);
    let mut store = Store::new(&mut flash);
    store.mount();
    let before = all(&store);
    for at in (0..20_000).step_by(200) {
        store.stage(at, &[at as u8; 200]).unwrap();
    }
    let mut part = [0; 2];
    store.staged(10_199, &mut part).unwrap();
    assert_eq!(part, [10_000u32 as u8, 10_200u32 as u8]);
    assert_eq!(store.stage(STAGING_SIZE - 1, &[0; 2]), Err(Error::SPACE));
    assert!(all(&store) == before);
    store.mount();
    assert!(all(&store) == before);
    store.staged(10_199, &mut part).unwrap();
    assert_eq!(part, [0; 2]);
}

/// A photo of 20 KiB goes from staging to its file in one transaction, again and again.
#[test]
fn a_long_transaction_always_finds_room() {
    let mut flash = fresh(7);
    let mut store = Store::new(&mut flash);
    store.mount();
    let everything = Region { base: 0, len: LEN };
    let photo = LEN.min(20 * 1024);
    for round in 0..12u8 {
        for at in (0..photo).step_by(239) {
            store.stage(at, &[round; 239]).unwrap();
        }
        for at in (128..photo).step_by(64) {
            store.write(everything, at, &[round + 1; 64]);
        }
        store.commit().unwrap();
        store.forget_staged();
    }
    let mut byte = [0];
    store.read(photo - 1, &mut byte);
    assert_eq!(byte, [12]);
}

/// Damage is noticed: whatever valid entry is hit, the card knows, and writing does not hide it.
#[test]
fn damage_is_noticed() {
    let mut flash = fresh(8);
    let mut store = Store::new(&mut flash);
    store.mount();
    for at in 0..40 {
        store.write(KEYS, at * 30, &[at as u8 + 1; 30]);
        store.commit().unwrap();
        store.write(REGIONS[0], 40, &[at as u8; 30]);
        store.commit().unwrap();
    }
    let (mut dead, mut damaged, mut unharmed) = (0, 0, 0);
    let good = all(&store);
    for at in (0..NVM_SIZE).step_by(13) {
        let mut bad = flash.clone();
        bad.bytes[at] ^= 0x10;
        let mut store = Store::new(&mut bad);
        store.mount();
        match store.soundness() {
            Soundness::Dead => dead += 1,
            Soundness::ApplicationsDamaged => {
                damaged += 1;
                store.write(REGIONS[0], 40, &[0xEE; 4]);
                store.commit().unwrap();
                store.mount();
                assert_eq!(store.soundness(), Soundness::ApplicationsDamaged);
                store.wipe_applications().unwrap();
                store.commit().unwrap();
                store.mount();
                assert_eq!(store.soundness(), Soundness::Sound);
                assert!(all(&store)[REGIONS[1].base..].iter().all(|byte| *byte == 0));
            }
            Soundness::Sound => {
                // A stale entry, or a word that says a second time what is there.
                unharmed += 1;
                assert!(all(&store) == good, "byte {at}");
            }
        }
    }
    assert!(
        dead > 5 && damaged > 20 && unharmed > 100,
        "{dead} {damaged} {unharmed}"
    );
}

/// Damage to the newest commit is not taken for a power cut in it, whichever of its bits it hits; a
/// power cut in it is not taken for damage ([`a_cut_leaves_all_or_nothing`]).
#[test]
fn damage_to_the_newest_commit_is_noticed() {
    for (region, found) in [
        (KEYS, Soundness::ApplicationsDamaged),
        (REGIONS[0], Soundness::Dead),
    ] {
        let mut flash = fresh(10);
        let mut store = Store::new(&mut flash);
        store.mount();
        store.write(region, 40, &[0xA5; 24]);
        store.commit().unwrap();
        let (good, end) = (all(&store), store.log.next);
        let end = entry::Place::new(store.log.open, end).at();
        for bit in (end - SLOT) * 8..end * 8 {
            let mut bad = flash.clone();
            bad.bytes[bit / 8] ^= 1 << (bit % 8);
            let mut store = Store::new(&mut bad);
            store.mount();
            if bit < (end - CONFIRMATION) * 8 {
                assert_eq!(store.soundness(), found, "bit {bit}");
            } else {
                assert_eq!(store.soundness(), Soundness::Sound, "bit {bit}");
                assert!(all(&store) == good, "bit {bit}");
            }
        }
    }
}

/// A transaction of one entry that is torn leaves its number to the next one: of the two last entries
/// with this number, the whole one counts.
#[test]
fn a_number_used_again_is_not_lost() {
    let mut flash = fresh(11);
    flash.left = Some((1, Mode::Part));
    let mut store = Store::new(&mut flash);
    store.mount();
    store.write(KEYS, 0, &[1]);
    assert!(store.commit().is_err());
    flash.dead = false;
    let mut store = Store::new(&mut flash);
    store.mount();
    store.write(KEYS, 64, &[2]);
    store.commit().unwrap();
    store.mount();
    assert_eq!(store.soundness(), Soundness::Sound);
    let mut kept = [0; 65];
    store.read(KEYS.base, &mut kept);
    assert_eq!((kept[0], kept[64]), (0, 2));
}

/// Wear is spread: a block that changes all the time does not wear its page alone.
#[test]
fn wear_is_spread() {
    let mut flash = fresh(9);
    let mut store = Store::new(&mut flash);
    store.mount();
    for at in (0..LEN - 64).step_by(64) {
        store.write(Region { base: 0, len: LEN }, at.max(8), &[1; 64]);
    }
    store.commit().unwrap();
    const COMMITS: u32 = 20_000;
    for i in 0..COMMITS {
        store.write(KEYS, 0, &i.to_be_bytes());
        store.commit().unwrap();
    }
    let least_possible = COMMITS / (SLOTS * PAGES) as u32;
    let busiest = flash.erases.iter().max().unwrap();
    assert!(
        *busiest < 3 * least_possible,
        "{busiest} of {least_possible}"
    );
}
