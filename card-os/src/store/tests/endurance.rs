//! A long life: the card is taken out between commits, torn out of commits and out of collecting,
//! its pages are erased by halves or not at all any more, and there is always room for the next
//! commit.

use super::*;
use crate::layout::STAGING_SIZE;

const EVERYTHING: Region = Region { base: 0, len: LEN };
/// Blocks that are rewritten all the time; the others once in a while.
const HOT: usize = 10;
const COLD: usize = 50;

fn commit<N: Nvm>(store: &mut Store<N>, at: usize, data: &[u8]) -> Result<(), Error> {
    store.write(EVERYTHING, at, data);
    store.commit()
}

/// A use of the card: now and then a cold block, else a hot one.
fn place(i: usize, random: &mut Random) -> usize {
    if i.is_multiple_of(10) {
        64 * (COLD + i / 10 % (BLOCKS - COLD - 1))
    } else {
        64 + 64 * random.below(HOT as u64)
    }
}

#[test]
fn power_cycles_between_commits_use_no_room_up() {
    for every in [1, 3, 7, 25, 100] {
        let mut flash = fresh(1);
        let mut store = Store::new(&mut flash);
        store.mount();
        let mut random = Random(99);
        for i in 0..6_000 {
            let at = place(i, &mut random);
            assert_eq!(
                commit(&mut store, at, &i.to_be_bytes()),
                Ok(()),
                "{every}: {i}"
            );
            if i % every == 0 {
                store.mount();
                assert_eq!(store.soundness(), Soundness::Sound);
            }
        }
    }
}

#[test]
fn cuts_anywhere_use_no_room_up() {
    for seed in 1..5 {
        let mut flash = fresh(seed);
        let mut random = Random(seed);
        for round in 0..4_000 {
            flash.dead = false;
            flash.left = None;
            if random.below(3) == 0 {
                flash.left = Some((1 + random.next() % 12, MODES[random.below(5)]));
            }
            let mut store = Store::new(&mut flash);
            store.mount();
            for k in 0..3 {
                let at = place(3 * round + k, &mut random);
                if commit(&mut store, at, &random.next().to_be_bytes()).is_err() {
                    break;
                }
            }
            let done = {
                flash.dead = false;
                flash.left = None;
                let mut store = Store::new(&mut flash);
                store.mount();
                assert_eq!(
                    store.soundness(),
                    Soundness::Sound,
                    "seed {seed}, round {round}"
                );
                commit(&mut store, 64, &random.next().to_be_bytes())
            };
            assert_eq!(done, Ok(()), "seed {seed}, round {round}");
        }
    }
}

/// Erasing is cut off such that the front of the page stays: head, entries, then an erased slot and
/// undefined bits.
struct FrontKept {
    flash: Flash,
    /// The erasing that is cut off, from 1; 0 for none.
    tear: u32,
    /// Programming over what is not erased clears bits and says nothing.
    silent: bool,
}

impl Nvm for &mut FrontKept {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        out.copy_from_slice(&self.flash.bytes[at..at + out.len()]);
        Ok(())
    }
    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        let place = &mut self.flash.bytes[at..at + data.len()];
        if self.flash.dead {
            return Err(NvmError::PowerLost);
        }
        if !self.silent && place.iter().any(|byte| *byte != 0xFF) {
            return Err(NvmError::Fault);
        }
        for (to, from) in place.iter_mut().zip(data) {
            *to &= from;
        }
        Ok(())
    }
    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        if self.flash.dead {
            return Err(NvmError::PowerLost);
        }
        let page = &mut self.flash.bytes[page * PAGE..(page + 1) * PAGE];
        self.tear = self.tear.wrapping_sub(1);
        if self.tear == 0 {
            self.flash.dead = true;
            page[16 + 10 * 80..16 + 11 * 80].fill(0xFF);
            page[16 + 11 * 80..]
                .iter_mut()
                .for_each(|byte| *byte |= 0x5A);
            return Err(NvmError::PowerLost);
        }
        page.fill(0xFF);
        Ok(())
    }
}

#[test]
fn a_page_half_erased_is_not_written_on() {
    for silent in [false, true] {
        let mut tried = 0;
        for tear in (1..120).step_by(3) {
            let mut nvm = FrontKept {
                flash: fresh(1),
                tear,
                silent,
            };
            let mut random = Random(99);
            let mut store = Store::new(&mut nvm);
            store.mount();
            for i in 0..6_000 {
                let at = place(i, &mut random);
                if commit(&mut store, at, &i.to_be_bytes()).is_err() {
                    break;
                }
            }
            assert!(nvm.flash.dead, "{tear} pages are not erased in this life");
            nvm.flash.dead = false;
            nvm.tear = 0;
            tried += 1;
            let mut store = Store::new(&mut nvm);
            store.mount();
            for i in 0..40u32 {
                assert_eq!(commit(&mut store, 64, &i.to_be_bytes()), Ok(()), "{tear}");
                store.mount();
                assert_eq!(store.soundness(), Soundness::Sound, "{tear}");
                let mut now = [0; 4];
                store.read(64, &mut now);
                assert_eq!(
                    now,
                    i.to_be_bytes(),
                    "{tear}: answered, and gone at power-up"
                );
            }
        }
        assert_eq!(tried, 40);
    }
}

/// A page that cannot be erased any more.
struct OneWornPage(Flash, usize);

impl Nvm for &mut OneWornPage {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        out.copy_from_slice(&self.0.bytes[at..at + out.len()]);
        Ok(())
    }
    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        (&mut self.0).program(at, data)
    }
    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        if page == self.1 {
            return Err(NvmError::Fault);
        }
        (&mut self.0).erase(page)
    }
}

#[test]
fn a_worn_page_is_passed_over() {
    let mut nvm = OneWornPage(fresh(5), 40);
    let mut store = Store::new(&mut nvm);
    store.mount();
    for i in 0..5_000u32 {
        store.write(KEYS, 0, &i.to_be_bytes());
        assert_eq!(store.commit(), Ok(()), "{i}");
        if i % 500 == 0 {
            store.mount();
        }
    }
}

/// 24 KiB staged, then a transaction of every block, cut again and again: the longest there is.
#[test]
fn the_longest_transaction_of_a_full_card_fits_and_is_cut() {
    let mut random = Random(77);
    let mut flash = fresh(11);
    let mut store = Store::new(&mut flash);
    store.mount();
    for at in (64..LEN - 64).step_by(64) {
        commit(&mut store, at, &[7; 64]).unwrap();
    }
    let mut model = all(&store);
    let mut whole = 0;
    for round in 0..40u32 {
        flash.left = None;
        if round % 5 != 4 {
            flash.left = Some((1 + random.next() % 900, MODES[random.below(5)]));
        }
        let mut next = model.clone();
        let mut store = Store::new(&mut flash);
        store.mount();
        let mut run = || -> Result<(), Error> {
            for at in (0..STAGING_SIZE).step_by(192) {
                store.stage(at, &[round as u8; 192])?;
            }
            for at in (64..LEN - 64).step_by(64) {
                let value = [round as u8 ^ (at / 64) as u8; 64];
                store.write(EVERYTHING, at, &value);
                next[at..at + 64].copy_from_slice(&value);
            }
            store.commit()
        };
        let done = run();
        while flash.dead {
            flash.dead = false;
            flash.left = None;
            if random.below(8) > 0 {
                flash.left = Some((1 + random.next() % 500, MODES[random.below(5)]));
            }
            Store::new(&mut flash).mount();
        }
        flash.left = None;
        let mut store = Store::new(&mut flash);
        store.mount();
        assert_eq!(store.soundness(), Soundness::Sound, "round {round}");
        let now = all(&store);
        if now == next {
            model = next;
            whole += 1;
        } else {
            assert!(
                now == model && done.is_err(),
                "round {round}: half of it, {done:?}"
            );
        }
    }
    assert!(whole >= 8, "{whole}");
}
