//! The power goes at every exchange with card and SAM, at every write and at every flush of a tap,
//! for terminal, SAM and card at once. What was not flushed is lost, cut at any byte, or on the disk
//! in some sectors and not in others. Whatever was cut: the journal opens, the card's loss is what
//! the journal says, and the card passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod reader;

use std::{cell::RefCell, io, rc::Rc};

use card_spec::{Channel, ChannelError, Fen, SuiteId};
use clearing_api::{BatchAnswer, BatchOutcome, ItemAnswer, Outcome, record::Event};
use common::*;
use terminal::{
    Code, Journal, PurseTerminal, SamUnit, TapResult, Verdict,
    journal::{JournalError, MemoryStorage, Storage},
};
use virtual_card::VirtualCard;

const FARE: i64 = 90;

/// What becomes of bytes written and not flushed.
#[derive(Debug, Clone, Copy)]
enum Rest {
    Lost,
    /// This many of 16 parts, then nothing.
    Cut(usize),
    /// As `Cut`, the file already grown.
    CutAndGrown(usize),
    /// Sectors of which `bit n % 8` is set.
    Sectors(u8),
    Whole,
}

fn rests() -> Vec<Rest> {
    let cut = (1..16).map(Rest::Cut);
    let grown = (0..16).map(Rest::CutAndGrown);
    let sectors = (0..8).map(Rest::Sectors);
    let ends = [Rest::Lost, Rest::Whole];
    ends.into_iter()
        .chain(cut)
        .chain(grown)
        .chain(sectors)
        .collect()
}

#[derive(Debug, Default)]
struct World {
    /// Steps until the power goes; `None`: it stays.
    left: Option<u32>,
    off: bool,
    steps: u32,
    flushed: Vec<u8>,
    written: Vec<u8>,
    flushes: u32,
    /// The n-th append from now fails, after this many bytes.
    fails: Option<(u32, usize)>,
}

#[derive(Clone, Default)]
struct Power(Rc<RefCell<World>>);

impl Power {
    /// One moment; true when the power is gone.
    fn step(&self) -> bool {
        let mut world = self.0.borrow_mut();
        world.steps += 1;
        match &mut world.left {
            Some(0) => world.off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        world.off
    }

    /// The disk after the cut.
    fn image(&self, rest: Rest) -> Vec<u8> {
        let world = self.0.borrow();
        let mut image = world.flushed.clone();
        let new = &world.written;
        let part = |n: usize| new.len() * n / 16;
        match rest {
            Rest::Lost => {}
            Rest::Whole => image.extend(new),
            Rest::Cut(n) => image.extend(&new[..part(n)]),
            Rest::CutAndGrown(n) => {
                image.extend(&new[..part(n)]);
                image.resize(world.flushed.len() + new.len(), 0);
            }
            Rest::Sectors(mask) => {
                for byte in new {
                    let there = mask >> ((image.len() / 512) % 8) & 1 == 1;
                    image.push(if there { *byte } else { 0 });
                }
            }
        }
        image
    }
}

struct Disk(Power);

impl Storage for Disk {
    fn load(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.0.borrow().flushed.clone())
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        if self.0.step() {
            return Err(gone());
        }
        let mut world = self.0.0.borrow_mut();
        if let Some((n, written)) = &mut world.fails {
            if *n == 0 {
                let bytes = &bytes[..bytes.len().min(*written)];
                world.flushed.extend_from_slice(bytes);
                world.fails = None;
                return Err(io::ErrorKind::StorageFull.into());
            }
            *n -= 1;
        }
        world.written = bytes.to_vec();
        drop(world);
        // The write is done, the flush is not.
        if self.0.step() {
            return Err(gone());
        }
        let mut world = self.0.0.borrow_mut();
        let new = std::mem::take(&mut world.written);
        world.flushed.extend(new);
        world.flushes += 1;
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut world = self.0.0.borrow_mut();
        if !world.off {
            world.flushed.truncate(length as usize);
        }
        Ok(())
    }
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.0.borrow_mut().flushed = bytes.to_vec();
        Ok(())
    }
}

/// A card or SAM that loses its power with everything else.
struct Wired {
    card: VirtualCard,
    power: Power,
}

impl Channel for Wired {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        if self.power.step() {
            return Err(ChannelError::CardRemoved);
        }
        let length = self.card.transmit(command, response)?;
        if self.power.step() {
            return Err(ChannelError::CardRemoved);
        }
        Ok(length)
    }
    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}

/// A bus, its SAM and a card on one supply.
struct Bus {
    power: Power,
    terminal: PurseTerminal<Disk>,
    sam: SamUnit<Wired>,
    card: Wired,
}

impl Bus {
    fn new(suite: SuiteId) -> Self {
        let power = Power::default();
        let wired = |card| Wired {
            card,
            power: power.clone(),
        };
        let sam = SamUnit::open_purse(wired(purse_sam(1).into_channel())).unwrap();
        let journal = Journal::open(Disk(power.clone()), site("").device, 0).unwrap();
        let (terminal, card) = (PurseTerminal::new(setup(1), journal), wired(card(suite, 1)));
        power.0.borrow_mut().steps = 0;
        Self {
            power,
            terminal,
            sam,
            card,
        }
    }

    fn tap(&mut self, at: &str) -> TapResult {
        let (card, sam) = (&mut self.card, &mut self.sam);
        self.terminal.tap(card, sam, time(at), &bus("FZB17"))
    }
}

fn journal_of(image: Vec<u8>) -> Journal<MemoryStorage> {
    Journal::open(MemoryStorage::with(image), site("").device, 0).expect("a cut is no damage")
}

/// After the cut: everything is switched on again over `image`, and the card comes back.
fn judge(dead: Bus, image: Vec<u8>, what: &str) {
    let disk = Power::default();
    disk.0.borrow_mut().flushed = image;
    let journal =
        Journal::open(Disk(disk.clone()), site("").device, 0).expect("a cut is no damage");
    let before = reader::taken(&reader::sales(&disk.image(Rest::Lost)));
    assert!(journal.pending().is_none(), "{what}");
    let said: Vec<u64> = journal.waiting().map(|r| r.journal_seq).collect();
    assert!(said.iter().copied().eq(1..=said.len() as u64), "{what}");
    let mut terminal = PurseTerminal::new(setup(1), journal);
    let (mut card, mut sam) = (dead.card.card, dead.sam.into_channel().card);
    card.power_cycle();
    sam.power_cycle();
    let mut sam = SamUnit::open_purse(sam).expect("SAM");
    let lost = Fen(10_000) - balance(&mut card);
    // What the journal holds for certain was taken; what was taken it holds, at least as unknown.
    assert!(
        Fen(before.0) <= lost && lost <= Fen(before.0 + before.1),
        "{what}: {lost} {before:?}"
    );
    let at = time("2026-11-23T08:17:00");
    let back = terminal.tap(&mut card, &mut sam, at, &bus("FZB17"));
    assert_eq!(back.verdict, Verdict::Open, "{what}: {back:?}");
    let lost = (Fen(10_000) - balance(&mut card)).0;
    let after = reader::taken(&reader::sales(&disk.image(Rest::Lost)));
    assert_eq!((lost, 0), after, "{what}: every debit is in the journal");
    let proved = terminal.journal().waiting().filter_map(|r| match &r.event {
        Event::Purchase(p) if tac_is_right(p) => Some(p.amount),
        _ => None,
    });
    assert_eq!(Fen(lost), proved.sum(), "{what}: with its TAC");
    // One ride, paid once, unless the first one's record was whole: then that one had been taken.
    assert_eq!(lost, FARE + before.0, "{what}");
}

#[test]
fn the_power_goes_at_every_step_of_a_tap() {
    for suite in [SuiteId::Aes, SuiteId::Sm4] {
        let mut whole = Bus::new(suite);
        assert_eq!(whole.tap("2026-11-23T08:15:00").verdict, Verdict::Open);
        let steps = whole.power.0.borrow().steps;
        assert_eq!(whole.power.0.borrow().flushes, 2, "intent and commit");
        for step in 0..steps {
            for rest in rests() {
                let mut bus = Bus::new(suite);
                bus.power.0.borrow_mut().left = Some(step);
                let result = bus.tap("2026-11-23T08:15:00");
                assert_ne!(result.verdict, Verdict::Open, "step {step}");
                let unflushed = !bus.power.0.borrow().written.is_empty();
                let image = bus.power.image(rest);
                judge(
                    bus,
                    image,
                    &format!("{suite:?} step {step} of {steps}, {rest:?}"),
                );
                if !unflushed {
                    break;
                }
            }
        }
    }
}

/// The same card again: the debit that did not happen and the next intent are one flush.
#[test]
fn flushes_are_shared() {
    let mut bus = Bus::new(SuiteId::Aes);
    let flushes = |bus: &Bus| bus.power.0.borrow().flushes;
    let debit = |nth| {
        Some(virtual_card::Cut::BeforeApdu {
            cla: 0x80,
            ins: 0x54,
            nth,
        })
    };
    bus.card.card.script(debit(1));
    assert_eq!(bus.tap("2026-11-23T08:15:00").code, Code::SameCardAgain);
    assert_eq!(flushes(&bus), 1);
    assert_eq!(bus.tap("2026-11-23T08:15:05").verdict, Verdict::Open);
    assert_eq!(flushes(&bus), 3);
    let sales = reader::sales(&bus.power.image(Rest::Lost));
    assert_eq!(reader::taken(&sales), (FARE, 0));
    assert_eq!(sales[&1].state, "not-done");
}

/// A disk that is full, or fails, at each write of a tap, after any number of bytes; it comes back.
#[test]
fn a_write_that_fails_opens_nothing_and_loses_nothing() {
    for nth in 0..2 {
        for written in [0, 1, 9, 200, usize::MAX] {
            let mut bus = Bus::new(SuiteId::Aes);
            bus.power.0.borrow_mut().fails = Some((nth, written));
            let failed = bus.tap("2026-11-23T08:15:00");
            assert_eq!(failed.code, Code::JournalFault, "{failed:?}");
            let image = bus.power.image(Rest::Lost);
            judge(bus, image, &format!("write {nth} fails after {written}"));
        }
    }
}

fn accepted(first: u64, last: u64) -> BatchAnswer {
    let item = |journal_seq| ItemAnswer {
        journal_seq,
        outcome: Outcome::Accepted,
        number: 0,
        detail: String::new(),
    };
    BatchAnswer {
        outcome: BatchOutcome::Admitted,
        batch_id: Some(1),
        items: (first..=last).map(item).collect(),
    }
}

/// The clearing house knows a batch by its range: one whose answer was lost must come again as it
/// was, with taps and a power cut in between.
#[test]
fn a_batch_that_was_sent_stays_the_same_until_it_is_answered() {
    let mut bus = Bus::new(SuiteId::Aes);
    bus.tap("2026-11-23T08:15:00");
    bus.tap("2026-11-23T09:15:00");
    let sent = bus.terminal.journal_mut().send(100).unwrap().unwrap();
    bus.tap("2026-11-23T10:15:00");
    let again = bus.terminal.journal_mut().send(100).unwrap().unwrap();
    assert_eq!((again.first, again.last), (1, 2));
    assert_eq!(again, sent);
    let mut journal = journal_of(bus.power.image(Rest::Lost));
    assert_eq!(journal.send(1).unwrap(), Some(sent));
    journal.answered(1, 2, &accepted(1, 2)).unwrap();
    // The answer was never flushed: the same batch again, and the same answer fits.
    let mut journal = journal_of(bus.power.image(Rest::Lost));
    assert_eq!(journal.send(100).unwrap(), Some(again));
    journal.answered(1, 2, &accepted(1, 2)).unwrap();
    assert_eq!(
        journal.send(100).unwrap().map(|b| (b.first, b.last)),
        Some((3, 3))
    );
}

#[test]
fn a_full_journal_refuses_the_card_untouched_until_an_upload_frees_it() {
    let mut bus = Bus::new(SuiteId::Aes);
    bus.tap("2026-11-23T08:15:00");
    let journal = bus.terminal.journal_mut();
    let event = journal.waiting().next().unwrap().event.clone();
    let full = loop {
        let at = time("2026-11-23T08:20:00");
        if let Err(error) = journal.record(at, None, 0, event.clone()) {
            break error;
        }
    };
    assert!(matches!(full, JournalError::Full { .. }));
    let held = bus.power.image(Rest::Lost);
    let stopped = bus.tap("2026-11-23T09:15:00");
    assert_eq!(
        (stopped.code, stopped.verdict),
        (Code::JournalFull, Verdict::OutOfService)
    );
    assert_eq!(balance(&mut bus.card.card), Fen(10_000 - FARE));
    assert_eq!(bus.power.image(Rest::Lost), held, "nothing is overwritten");
    let journal = bus.terminal.journal_mut();
    while let Some(batch) = journal.send(1_000).unwrap() {
        let answer = accepted(batch.first, batch.last);
        journal.answered(batch.first, batch.last, &answer).unwrap();
    }
    assert_eq!(bus.tap("2026-11-23T09:16:00").verdict, Verdict::Open);
}
