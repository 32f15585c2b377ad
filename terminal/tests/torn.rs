//! Torn debits: at every exchange of a tap the card leaves, before or after it acted. However it
//! comes back, one ride is paid once, the gate opens once, and the journal says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Fen, SuiteId};
use clearing_api::record::Debit;
use common::*;
use terminal::{Code, Journal, PurseTerminal, TapResult, Verdict};
use virtual_card::{Cut, PowerCut};

const FARE: Fen = Fen(90);

/// Every command of a bus tap: class, instruction, which of its kind.
const TAP: [(u8, u8, u32); 5] = [
    (0x00, 0xA4, 1),
    (0x80, 0x50, 1),
    (0x80, 0xDC, 1),
    (0x80, 0xDC, 2),
    (0x80, 0x54, 1),
];

fn cuts() -> Vec<Cut> {
    let apdus = TAP.into_iter().flat_map(|(cla, ins, nth)| {
        [
            Cut::BeforeApdu { cla, ins, nth },
            Cut::AfterApdu { cla, ins, nth },
        ]
    });
    // DEBIT is the only commit of a tap.
    let power = [PowerCut::BeforeCommit(1), PowerCut::AfterCommit(1)];
    apdus.chain(power.map(Cut::Power)).collect()
}

/// What the records say was paid, later ones replacing what they complete.
fn paid(rig: &Rig) -> Fen {
    rig.purchases()
        .iter()
        .filter(|p| matches!(p.debit, Debit::Done { .. }))
        .map(|p| {
            assert!(tac_is_right(p));
            p.amount
        })
        .sum()
}

#[test]
fn the_same_card_again_pays_once_and_opens_once() {
    for suite in SuiteId::ALL {
        for first in cuts() {
            let mut rig = Rig::transit(suite);
            rig.card.script(Some(first));
            let torn = rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
            assert_eq!(torn.verdict, Verdict::Again, "{suite:?} {first:?} {torn:?}");
            let again = rig.tap("2026-11-23T08:15:05", &bus("FZB17"));
            assert_eq!(
                again.verdict,
                Verdict::Open,
                "{suite:?} {first:?} {again:?}"
            );
            assert_eq!(again.amount, Some(FARE), "{suite:?} {first:?}");
            assert_eq!(rig.balance(), Fen(10_000) - FARE, "{suite:?} {first:?}");
            assert_eq!(paid(&rig), FARE, "{suite:?} {first:?}");
            let unknown = rig
                .purchases()
                .iter()
                .filter(|p| p.debit == Debit::Unknown)
                .count();
            assert_eq!(unknown, 0, "{suite:?} {first:?}");
            assert!(!rig.terminal.is_waiting());
        }
    }
}

#[test]
fn a_resume_may_be_torn_as_well() {
    let resume = [
        (0x00, 0xA4),
        (0x80, 0x50),
        (0x80, 0x5A),
        (0x80, 0xDC),
        (0x80, 0x54),
    ];
    for first_after in [false, true] {
        for (cla, ins) in resume {
            for second_after in [false, true] {
                let cut = |after, cla, ins| match after {
                    false => Cut::BeforeApdu { cla, ins, nth: 1 },
                    true => Cut::AfterApdu { cla, ins, nth: 1 },
                };
                let mut rig = Rig::transit(SuiteId::Aes);
                rig.card.script(Some(cut(first_after, 0x80, 0x54)));
                let torn = rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
                assert_eq!(torn.code, Code::SameCardAgain);
                assert!(rig.terminal.is_waiting());
                rig.card.script(Some(cut(second_after, cla, ins)));
                let mut last = rig.tap("2026-11-23T08:15:05", &bus("FZB17"));
                rig.card.script(None);
                if last.verdict != Verdict::Open {
                    last = rig.tap("2026-11-23T08:15:09", &bus("FZB17"));
                }
                let what = format!("{first_after} {cla:02X}{ins:02X} {second_after} {last:?}");
                assert_eq!(last.verdict, Verdict::Open, "{what}");
                assert_eq!(rig.balance(), Fen(10_000) - FARE, "{what}");
                assert_eq!(paid(&rig), FARE, "{what}");
            }
        }
    }
}

fn tear_after_debit(rig: &mut Rig) -> TapResult {
    rig.card.script(Some(Cut::AfterApdu {
        cla: 0x80,
        ins: 0x54,
        nth: 1,
    }));
    rig.tap("2026-11-23T08:15:00", &bus("FZB17"))
}

/// A card that knows everything but the keys: it tells the right counter and balance after a torn
/// debit and answers GET TRANSACTION PROVE with invented bytes.
#[test]
fn an_emulator_that_invents_the_proof_opens_nothing() {
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(tear_after_debit(&mut rig).code, Code::SameCardAgain);
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x80, 0x5A]) {
            *answer = [vec![0xAB; 8], vec![0x90, 0x00]].concat();
        }
    };
    let mut emulator = Meddler {
        card: &mut rig.card,
        change,
    };
    let at = time("2026-11-23T08:15:05");
    let result = rig
        .terminal
        .resume(&mut emulator, &mut rig.sam, at, &bus("FZB17"));
    assert_eq!(result.code, Code::NotProved, "{result:?}");
    assert_eq!(rig.purchases().len(), 1);
    assert_eq!(rig.purchases()[0].debit, Debit::Unknown);
    // Later, at the closed transaction of the SAM, it needs a real MAC2 of a zero-amount CAPP.
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x80, 0x5A]) || command.starts_with(&[0x80, 0x54]) {
            *answer = [vec![0xAB; 8], vec![0x90, 0x00]].concat();
        }
    };
    let mut emulator = Meddler {
        card: &mut rig.card,
        change,
    };
    let at = time("2026-11-23T08:16:00");
    let result = rig
        .terminal
        .tap(&mut emulator, &mut rig.sam, at, &bus("FZB17"));
    assert_eq!(result.code, Code::NotProved, "{result:?}");
    assert!(rig.purchases().iter().all(|p| p.debit == Debit::Unknown));
}

/// An emulator that claims the debit never happened gets a new sale, not an open gate.
#[test]
fn an_emulator_that_turns_the_counter_back_opens_nothing() {
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(tear_after_debit(&mut rig).code, Code::SameCardAgain);
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x80, 0x50]) {
            answer[..6].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0]);
        }
    };
    let mut emulator = Meddler {
        card: &mut rig.card,
        change,
    };
    let at = time("2026-11-23T08:15:05");
    let result = rig
        .terminal
        .resume(&mut emulator, &mut rig.sam, at, &bus("FZB17"));
    assert_ne!(result.verdict, Verdict::Open, "{result:?}");
}

#[test]
fn a_wrong_mac2_opens_nothing() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x80, 0x54]) {
            answer[7] ^= 1;
        }
    };
    let mut emulator = Meddler {
        card: &mut rig.card,
        change,
    };
    let at = time("2026-11-23T08:15:00");
    let result = rig
        .terminal
        .tap(&mut emulator, &mut rig.sam, at, &bus("FZB17"));
    assert_eq!((result.code, result.amount), (Code::NotProved, None));
    assert_eq!(rig.purchases()[0].debit, Debit::Unknown);
}

#[test]
fn another_card_waits_until_the_torn_one_is_given_up() {
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(tear_after_debit(&mut rig).code, Code::SameCardAgain);
    // The next passenger: the same keys cannot be had under another number, so only the refusal
    // and the giving up are tried with this disguise.
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x00, 0xA4]) {
            answer[40] ^= 0x11;
        }
    };
    let mut other = Meddler {
        card: &mut rig.card,
        change,
    };
    let at = time("2026-11-23T08:15:10");
    let result = rig
        .terminal
        .tap(&mut other, &mut rig.sam, at, &bus("FZB17"));
    assert_eq!(result.code, Code::SameCardAgain, "{result:?}");
    assert!(rig.terminal.is_waiting());
    let mut other = Meddler {
        card: &mut rig.card,
        change,
    };
    let at = time("2026-11-23T08:16:00");
    let result = rig
        .terminal
        .tap(&mut other, &mut rig.sam, at, &bus("FZB17"));
    assert_ne!(result.code, Code::SameCardAgain, "{result:?}");
    assert!(!rig.terminal.is_waiting());
    assert_eq!(rig.purchases()[0].debit, Debit::Unknown);
}

#[test]
fn given_up_and_back_within_the_ride_opens_without_paying_again() {
    let mut rig = Rig::transit(SuiteId::Aes);
    assert_eq!(tear_after_debit(&mut rig).code, Code::SameCardAgain);
    let record = rig.terminal.give_up().unwrap().unwrap();
    assert_eq!(record.journal_seq, 1);
    let back = rig.tap("2026-11-23T08:20:00", &bus("FZB17"));
    assert_eq!(
        (back.code, back.amount),
        (Code::TornCompleted, Some(FARE)),
        "{back:?}"
    );
    assert_eq!(rig.balance(), Fen(10_000) - FARE);
    assert_eq!(paid(&rig), FARE);
    let records = rig.records();
    // Unknown, the zero-amount proof, and the completion that names the first.
    assert_eq!(records.len(), 3);
    assert_eq!(records[2].completes, Some(1));
    // The transfer window is the torn ride's: 08:15, not 08:20 nor none.
    let next = rig.tap("2026-11-23T08:40:00", &bus("FZB51"));
    assert_eq!(
        (next.code, next.amount),
        (Code::PaidTransfer, Some(Fen(40))),
        "{next:?}"
    );
}

#[test]
fn given_up_and_back_much_later_is_completed_and_pays_the_new_ride() {
    for after in [false, true] {
        let mut rig = Rig::transit(SuiteId::Aes);
        let (cla, ins, nth) = (0x80, 0x54, 1);
        rig.card.script(Some(match after {
            true => Cut::AfterApdu { cla, ins, nth },
            false => Cut::BeforeApdu { cla, ins, nth },
        }));
        assert_eq!(
            rig.tap("2026-11-23T08:15:00", &bus("FZB17")).code,
            Code::SameCardAgain
        );
        rig.terminal.give_up().unwrap().unwrap();
        let back = rig.tap("2026-11-23T18:00:00", &bus("FZB17"));
        assert_eq!(
            (back.verdict, back.amount),
            (Verdict::Open, Some(FARE)),
            "{back:?}"
        );
        let paid_rides = if after { 2 } else { 1 };
        assert_eq!(rig.balance(), Fen(10_000 - 90 * paid_rides));
        assert_eq!(paid(&rig), Fen(90 * paid_rides));
        let records = rig.records();
        assert_eq!(records.len(), 3);
        assert_eq!(records[1].completes, Some(1));
    }
}

/// The device loses power between DEBIT and commit: the journal alone remembers.
#[test]
fn the_device_loses_power_during_the_debit() {
    for after in [false, true] {
        let mut rig = Rig::transit(SuiteId::Aes);
        let (cla, ins, nth) = (0x80, 0x54, 1);
        rig.card.script(Some(match after {
            true => Cut::AfterApdu { cla, ins, nth },
            false => Cut::BeforeApdu { cla, ins, nth },
        }));
        let disk = tempfile::tempdir().unwrap();
        let path = disk.path().join("journal");
        let file = || terminal::journal::FileStorage::open(&path).unwrap();
        let device = site("").device;
        let mut device_before =
            PurseTerminal::new(setup(1), Journal::open(file(), device, 0).unwrap());
        let at = time("2026-11-23T08:15:00");
        let torn = device_before.tap(&mut rig.card, &mut rig.sam, at, &bus("FZB17"));
        assert_eq!(torn.code, Code::SameCardAgain);
        drop(device_before);
        let mut device_after =
            PurseTerminal::new(setup(1), Journal::open(file(), device, 0).unwrap());
        rig.sam = rig.sam.reopen().unwrap();
        let at = time("2026-11-23T08:17:00");
        let back = device_after.tap(&mut rig.card, &mut rig.sam, at, &bus("FZB17"));
        assert_eq!(
            (back.verdict, back.amount),
            (Verdict::Open, Some(FARE)),
            "{back:?}"
        );
        assert_eq!(balance(&mut rig.card), Fen(10_000) - FARE, "after: {after}");
    }
}

#[test]
fn the_same_taps_write_the_same_journal() {
    let run = || {
        let mut rig = Rig::transit(SuiteId::Sm4);
        tear_after_debit(&mut rig);
        rig.tap("2026-11-23T08:15:05", &bus("FZB17"));
        rig.tap("2026-11-23T08:40:00", &bus("FZB51"));
        rig.records()
    };
    assert_eq!(run(), run());
}

/// A disk that fails at its n-th append, shared with the test.
#[derive(Clone, Default)]
struct FailingDisk {
    bytes: std::rc::Rc<std::cell::RefCell<Vec<u8>>>,
    appends_left: std::rc::Rc<std::cell::Cell<Option<u32>>>,
}

impl terminal::journal::Storage for FailingDisk {
    fn load(&mut self) -> std::io::Result<Vec<u8>> {
        Ok(self.bytes.borrow().clone())
    }
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self.appends_left.get() {
            Some(0) => return Err(std::io::ErrorKind::StorageFull.into()),
            Some(n) => self.appends_left.set(Some(n - 1)),
            None => {}
        }
        self.bytes.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        self.bytes.borrow_mut().truncate(length as usize);
        Ok(())
    }
    fn replace(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        *self.bytes.borrow_mut() = bytes.to_vec();
        Ok(())
    }
}

/// Invariant 2: a gate opens only after its record is durable.
#[test]
fn a_disk_that_fails_keeps_the_gate_shut_and_the_money_counted() {
    for (good_appends, restarted) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut rig = Rig::transit(SuiteId::Aes);
        let disk = FailingDisk::default();
        let device = site("").device;
        let open = || {
            PurseTerminal::new(
                setup(1),
                Journal::open(disk.clone(), device, 0).expect("journal"),
            )
        };
        let mut validator = open();
        disk.appends_left.set(Some(good_appends));
        let at = time("2026-11-23T08:15:00");
        let result = validator.tap(&mut rig.card, &mut rig.sam, at, &bus("FZB17"));
        assert_eq!(result.code, Code::JournalFault, "{result:?}");
        assert_eq!(result.verdict, Verdict::OutOfService);
        // Without the intent no DEBIT was sent; with it the card was debited and the gate is shut.
        let debited = Fen(90 * i64::from(good_appends));
        assert_eq!(balance(&mut rig.card), Fen(10_000) - debited);
        disk.appends_left.set(None);
        if restarted {
            validator = open();
        }
        let at = time("2026-11-23T08:20:00");
        let back = validator.tap(&mut rig.card, &mut rig.sam, at, &bus("FZB17"));
        assert_eq!(
            (back.verdict, back.amount),
            (Verdict::Open, Some(FARE)),
            "{back:?}"
        );
        assert_eq!(
            balance(&mut rig.card),
            Fen(10_000) - FARE,
            "one ride, paid once"
        );
    }
}
