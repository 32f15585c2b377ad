use std::{cell::RefCell, io, rc::Rc};

use card_spec::{
    Fen, SuiteId,
    id::{Generation, Pan},
    purse::{TxType, files::CardKind, mac::Context},
};
use clearing_api::{
    ItemAnswer,
    record::{CardFacts, Purchase, Service},
};
use proptest::prelude::*;

use super::*;

fn device() -> DeviceNo {
    "0000350100000001".parse().expect("digits")
}

fn at() -> CardTime {
    "2026-11-23T08:15:00".parse().expect("time")
}

fn card(n: u64) -> CardFacts {
    CardFacts {
        pan: format!("0350{n:016}").parse().expect("digits"),
        generation: Generation(1),
        region: "350100".parse().expect("digits"),
        suite: SuiteId::Aes,
        key_version: 1,
    }
}

fn purchase(n: u64, journal_seq: u64) -> Record {
    let purchase = Purchase {
        card: card(n),
        sam: "350100000001".parse().expect("digits"),
        terminal_seq: 7,
        key_index: 1,
        tx: TxType::Capp,
        seq: 3,
        amount: Fen(100),
        balance_before: Fen(5_000),
        balance_after: Fen(4_900),
        time: at(),
        context: Context::default(),
        debit: Debit::Unknown,
        service: Service::Bus {
            operator: "FZBUS".into(),
            route: "FZB17".into(),
            sections: None,
            prior: None,
            state: None,
            age: None,
            kind: CardKind::Normal,
            companion: false,
        },
    };
    Record {
        journal_seq,
        at: at(),
        completes: None,
        hotlist_version: 0,
        event: Event::Purchase(purchase),
    }
}

/// A storage whose bytes the test sees, and which fails on demand.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<DiskState>>);

#[derive(Default)]
struct DiskState {
    bytes: Vec<u8>,
    /// Fails the next append after this many bytes.
    fail_after: Option<usize>,
    truncate_fails: bool,
}

impl Disk {
    fn with(bytes: &[u8]) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().bytes = bytes.to_vec();
        disk
    }
    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }
}

impl Storage for Disk {
    fn load(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        match state.fail_after.take() {
            Some(n) => {
                state.bytes.extend_from_slice(&bytes[..n.min(bytes.len())]);
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            None => {
                state.bytes.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.truncate_fails {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        state.bytes.truncate(length as usize);
        Ok(())
    }
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().bytes = bytes.to_vec();
        Ok(())
    }
}

fn open(disk: &Disk) -> Result<Journal<Disk>, JournalError> {
    Journal::open(disk.clone(), device(), 0)
}

fn accepted(first: u64, last: u64) -> BatchAnswer {
    BatchAnswer {
        outcome: BatchOutcome::Admitted,
        batch_id: Some(1),
        items: (first..=last)
            .map(|journal_seq| ItemAnswer {
                journal_seq,
                outcome: Outcome::Accepted,
                number: 0,
                detail: String::new(),
            })
            .collect(),
    }
}

/// One step of a random device life.
#[derive(Debug, Clone, Copy)]
enum Step {
    Sale { card: u64, debit: u8 },
    Lock { card: u64 },
    Answer { count: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..4, 0u8..3).prop_map(|(card, debit)| Step::Sale { card, debit }),
        (0u64..4).prop_map(|card| Step::Lock { card }),
        (1usize..4).prop_map(|count| Step::Answer { count }),
    ]
}

/// What had been promised to the world when the file had a length.
struct Promise {
    length: usize,
    records: Vec<Record>,
    pending: Option<Record>,
}

fn live(disk: &Disk, steps: &[Step]) -> Vec<Promise> {
    let mut journal = open(disk).expect("new");
    let mut promises = Vec::new();
    let mut promise = |journal: &Journal<Disk>| {
        promises.push(Promise {
            length: disk.bytes().len(),
            records: journal.waiting().cloned().collect(),
            pending: journal.pending().cloned(),
        });
    };
    promise(&journal);
    for step in steps {
        match *step {
            Step::Sale { card, debit } => {
                let record = purchase(card, journal.next_seq());
                journal.intent(record, &[vec![1, 2, 3]]).expect("space");
                promise(&journal);
                let debit = match debit {
                    0 => Debit::Done { tac: [1, 2, 3, 4] },
                    1 => Debit::NotDone,
                    _ => Debit::Unknown,
                };
                journal.commit(debit).expect("space");
            }
            Step::Lock { card: n } => {
                let event = Event::CardLocked { card: card(n) };
                journal.record(at(), None, 1, event).expect("space");
            }
            Step::Answer { count } => {
                if let Some(batch) = journal.batch(count) {
                    let answer = accepted(batch.first, batch.last);
                    journal
                        .answered(batch.first, batch.last, &answer)
                        .expect("oldest");
                }
            }
        }
        promise(&journal);
    }
    promises
}

/// What a journal opened after `promise` must hold: the records, and an intent as unknown.
fn expected(promise: &Promise) -> Vec<Record> {
    promise
        .records
        .iter()
        .chain(&promise.pending)
        .cloned()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// The power is cut at every byte that was ever written: whatever had been acknowledged is
    /// there, nothing else is, and the journal goes on with the next number.
    #[test]
    fn a_cut_anywhere_loses_nothing_acknowledged(steps in prop::collection::vec(step(), 0..5)) {
        let disk = Disk::default();
        let promises = live(&disk, &steps);
        let bytes = disk.bytes();
        // The beginning is written whole or not at all (`Storage::replace`).
        for cut in promises[0].length..=bytes.len() {
            // A file system may have grown the file before it had the data.
            let tails: &[usize] = if cut % 5 == 0 { &[0, 40, 600] } else { &[0] };
            for zeros in tails {
                let mut image = bytes[..cut].to_vec();
                image.resize(cut + *zeros, 0);
                let after = Disk::with(&image);
                let mut journal = open(&after).expect("a power cut is no damage");
                // The first of its length: what came later and added nothing was deferred.
                let flushed = promises.iter().map(|p| p.length).filter(|l| *l <= cut).max();
                let promise = promises.iter().find(|p| Some(p.length) == flushed).expect("the first");
                let held: Vec<Record> = journal.waiting().cloned().collect();
                // A frame whose seal alone is unfinished is kept, although nobody was told yet.
                let next = promises.iter().find(|p| p.length > cut);
                let sealing = next.filter(|p| *zeros > 0 && p.length - cut <= 16);
                let kept = sealing.is_some_and(|p| held == expected(p));
                prop_assert!(kept || held == expected(promise));
                let seq = journal.next_seq();
                journal.record(at(), None, 1, Event::CardLocked { card: card(9) }).expect("goes on");
                drop(journal);
                prop_assert_eq!(open(&after).expect("whole").next_seq(), seq + 1);
            }
        }
    }

    /// One damaged byte never makes an acknowledged record vanish silently.
    #[test]
    fn damage_is_reported(
        steps in prop::collection::vec(step(), 1..6),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let disk = Disk::default();
        let promises = live(&disk, &steps);
        let mut bytes = disk.bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let opened = open(&Disk::with(&bytes));
        let reported = matches!(opened, Err(JournalError::Corrupt { .. }));
        // The last seal may be finished instead: then nothing is missing.
        let flushed = promises.iter().find(|p| p.length == bytes.len()).expect("the last");
        let repaired = opened.is_ok_and(|j| {
            at + 1 == bytes.len() && j.waiting().cloned().eq(expected(flushed))
        });
        prop_assert!(reported || repaired);
    }

    /// The same life writes the same bytes.
    #[test]
    fn bytes_are_deterministic(steps in prop::collection::vec(step(), 0..12)) {
        let (one, two) = (Disk::default(), Disk::default());
        live(&one, &steps);
        live(&two, &steps);
        prop_assert_eq!(one.bytes(), two.bytes());
    }

    #[test]
    fn no_file_content_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = open(&Disk::with(&bytes));
        let with_magic = [&frame::MAGIC[..], &bytes].concat();
        let _ = open(&Disk::with(&with_magic));
    }
}

#[test]
fn a_failed_write_leaves_no_half_frame_behind() {
    let disk = Disk::default();
    let mut journal = open(&disk).expect("new");
    for written in [0, 3, 50, 10_000] {
        disk.0.borrow_mut().fail_after = Some(written);
        let record = purchase(1, journal.next_seq());
        assert!(matches!(
            journal.intent(record, &[]),
            Err(JournalError::Io(_))
        ));
        assert!(journal.pending().is_none());
    }
    journal
        .intent(purchase(1, 1), &[])
        .expect("the disk is back");
    journal
        .commit(Debit::Done { tac: [0; 4] })
        .expect("the disk is back");
    assert_eq!(open(&disk).expect("whole").waiting().len(), 1);

    disk.0.borrow_mut().fail_after = Some(5);
    disk.0.borrow_mut().truncate_fails = true;
    assert!(journal.intent(purchase(1, 2), &[]).is_err());
    assert!(matches!(
        journal.intent(purchase(1, 2), &[]),
        Err(JournalError::Failed)
    ));
}

#[test]
fn one_sale_at_a_time() {
    let mut journal = open(&Disk::default()).expect("new");
    assert!(matches!(
        journal.commit(Debit::NotDone),
        Err(JournalError::NothingPending)
    ));
    journal.intent(purchase(1, 1), &[]).expect("free");
    assert!(matches!(
        journal.intent(purchase(2, 1), &[]),
        Err(JournalError::Pending { journal_seq: 1 })
    ));
    let locked = journal.record(at(), None, 0, Event::CardLocked { card: card(1) });
    assert!(matches!(locked, Err(JournalError::Pending { .. })));
}

#[test]
fn torn_debits_are_remembered_until_completed() {
    let disk = Disk::default();
    let mut journal = open(&disk).expect("new");
    journal.intent(purchase(1, 1), &[]).expect("free");
    drop(journal);
    // The device lost power between intent and commit.
    let mut journal = open(&disk).expect("recovered");
    let pan: Pan = card(1).pan;
    let torn = journal.unresolved(pan).next().expect("remembered").clone();
    assert_eq!(debit_of(&torn), Some(Debit::Unknown));
    assert_eq!(journal.waiting().len(), 1);
    let event = with_debit(torn, Debit::Done { tac: [9; 4] }).event;
    let done = journal.record(at(), Some(1), 0, event).expect("free");
    assert_eq!((done.journal_seq, done.completes), (2, Some(1)));
    assert!(journal.unresolved(pan).next().is_none());
    let whole = open(&disk).expect("whole");
    assert!(whole.unresolved(pan).next().is_none());
}

#[test]
fn a_full_journal_stops_sales_and_an_upload_frees_it() {
    let disk = Disk::default();
    let mut journal = open(&disk).expect("new");
    journal.intent(purchase(7, 1), &[]).expect("free");
    journal.commit(Debit::Unknown).expect("free");
    let image = vec![vec![0xAB; 2_000]];
    let waiting = loop {
        let record = purchase(1, journal.next_seq());
        match journal.intent(record, &image) {
            Ok(()) => journal
                .commit(Debit::Done { tac: [1; 4] })
                .map(|_| ())
                .expect("reserve"),
            Err(JournalError::Full { waiting }) => break waiting,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(disk.bytes().len() as u64 <= MIN_BYTES);
    let last = journal.next_seq() - 1;
    assert_eq!(waiting as u64, last);
    while let Some(batch) = journal.batch(1_000) {
        let answer = accepted(batch.first, batch.last);
        journal
            .answered(batch.first, batch.last, &answer)
            .expect("oldest");
    }
    assert!(disk.bytes().len() < 10_000, "the file began anew");
    let mut journal = open(&disk).expect("whole");
    assert_eq!(journal.next_seq(), last + 1);
    assert!(
        journal.unresolved(card(7).pan).next().is_some(),
        "open questions survive"
    );
    journal
        .intent(purchase(1, last + 1), &image)
        .expect("space again");
}

#[test]
fn answers_fit_what_waits() {
    let mut journal = open(&Disk::default()).expect("new");
    for n in 1..=3 {
        journal
            .record(at(), None, 0, Event::CardLocked { card: card(n) })
            .expect("space");
    }
    let wrong = |r: Result<(), JournalError>| matches!(r, Err(JournalError::WrongAnswer { .. }));
    assert!(wrong(journal.answered(2, 3, &accepted(2, 3))));
    assert!(wrong(journal.answered(1, 4, &accepted(1, 4))));
    let refused = BatchAnswer {
        outcome: BatchOutcome::RangeConflict,
        ..accepted(1, 2)
    };
    assert!(wrong(journal.answered(1, 2, &refused)));
    journal.answered(1, 2, &accepted(1, 2)).expect("oldest");
    assert_eq!(journal.batch(10).map(|b| (b.first, b.last)), Some((3, 3)));
}

#[test]
fn another_devices_journal_is_refused() {
    let disk = Disk::default();
    open(&disk).expect("new");
    let other: DeviceNo = "0000350100000002".parse().expect("digits");
    assert!(matches!(
        Journal::open(disk, other, 0),
        Err(JournalError::OtherDevice { .. })
    ));
}

#[test]
fn a_file_survives_and_has_one_owner() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("journal");
    let mut journal =
        Journal::open(FileStorage::open(&path).expect("new"), device(), 0).expect("new");
    assert!(
        FileStorage::open(&path).is_err(),
        "a second process is refused"
    );
    journal.intent(purchase(1, 1), &[]).expect("space");
    journal.commit(Debit::Done { tac: [1; 4] }).expect("space");
    drop(journal);
    let mut file = std::fs::read(&path).expect("bytes");
    file.extend_from_slice(&[0, 0, 1]);
    std::fs::write(&path, &file).expect("a torn tail");
    let journal = Journal::open(FileStorage::open(&path).expect("old"), device(), 0).expect("old");
    assert_eq!((journal.next_seq(), journal.waiting().len()), (2, 1));
    assert_eq!(
        std::fs::metadata(&path).expect("file").len(),
        file.len() as u64 - 3
    );
}
