//! Slots of a running device, scripted: what each failure of a reader, a card or a SAM comes to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    sync::{atomic::AtomicBool, mpsc},
};

use card_reader::{ReaderError, Seen};
use card_spec::{Channel, ChannelError, Fen, SuiteId, keys::class, time::CardTime};
use clearing_api::{
    Client, Record,
    record::{Debit, Event},
};
use common::*;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use terminal::{
    Code, DeviceProfile, Journal,
    journal::{JournalError, MemoryStorage, Storage},
    machine::Action,
    meter::Meter,
    run::{Device, Place, Slot, Slots, Surroundings, serve},
};
use virtual_card::{Cut, VirtualCard, sample, sample::SampleSam};

/// A card that stays the test's while a device holds it.
#[derive(Clone)]
struct Held(Rc<RefCell<VirtualCard>>, Vec<u8>);

impl Held {
    fn new(card: VirtualCard) -> Self {
        let atr = card.atr().to_vec();
        Self(Rc::new(RefCell::new(card)), atr)
    }

    fn card(seed: u8) -> Self {
        Self::new(card(SuiteId::Aes, seed))
    }

    fn sam(number: &str) -> Self {
        let number = number.parse().unwrap();
        let sam = SampleSam::Purse(class::TRANSIT);
        Self::new(sample::sample_sam(sam, number, [7; 32]).unwrap())
    }

    /// Loses power before the next command of this instruction.
    fn dies_before(self, ins: u8) -> Self {
        let (cla, nth) = (0x80, 1);
        let cut = Cut::BeforeApdu { cla, ins, nth };
        self.0.borrow_mut().script(Some(cut));
        self
    }

    fn balance(&self) -> Fen {
        balance(&mut self.0.borrow_mut())
    }
}

impl Channel for Held {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.0.borrow_mut().transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        &self.1
    }
}

/// What each connection to a slot comes to, one after the other; afterwards it is empty.
struct Script {
    answers: VecDeque<Result<Held, ReaderError>>,
    /// Shut by each connection; nothing answers until the test opens it again.
    door: Option<Rc<Cell<bool>>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Held, ReaderError>>) -> Self {
        Self {
            answers: answers.into_iter().collect(),
            door: None,
        }
    }

    fn of(cards: &[&Held]) -> Self {
        Self::new(cards.iter().map(|card| Ok((*card).clone())))
    }
}

fn gone<T>() -> Result<T, ReaderError> {
    Err(ReaderError::Channel(ChannelError::CardRemoved))
}

impl Slot for Script {
    type Card = Held;
    fn connect(&mut self) -> Result<Held, ReaderError> {
        match &self.door {
            Some(door) if !door.replace(false) => gone(),
            _ => self.answers.pop_front().unwrap_or_else(gone),
        }
    }
}

/// A journal's disk that the test reads afterwards.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<MemoryStorage>>);

impl Storage for Disk {
    fn load(&mut self) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().load()
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().append(bytes)
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.borrow_mut().truncate(length)
    }
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().replace(bytes)
    }
}

impl Disk {
    fn records(&self) -> Vec<Record> {
        let journal = Journal::open(self.clone(), site("").device, 0).unwrap();
        journal.waiting().cloned().collect()
    }
}

const READER: Place = Place::Reader(0);
const SAM_1: &str = "350100000017";
const SAM_2: &str = "350100000018";

/// Runs a bus on its slots until the changes end; answers its lines.
fn run(
    readers: Vec<Script>,
    sams: Vec<Script>,
    script: &[(Place, Seen)],
    disk: &Disk,
) -> Vec<Value> {
    watched(readers, sams, script, disk, &mut |_| {})
}

fn watched(
    readers: Vec<Script>,
    sams: Vec<Script>,
    script: &[(Place, Seen)],
    disk: &Disk,
    watch: &mut dyn FnMut(&Action),
) -> Vec<Value> {
    let profile = profile();
    let journal = Journal::open(disk.clone(), profile.device, 0).unwrap();
    let mut device = Device::new(&profile, journal, SigningKey::from_bytes(&[1; 32])).unwrap();
    let (sender, changes) = mpsc::channel();
    script
        .iter()
        .for_each(|change| sender.send(*change).unwrap());
    drop(sender);
    let slots = Slots {
        readers,
        sams,
        changes,
    };
    let seconds = Cell::new(time("2026-11-23T08:15:00").seconds());
    let now = || -> io::Result<CardTime> { Ok(CardTime::from_seconds(seconds.get()).unwrap()) };
    let steady = || {
        seconds.set(seconds.get() + 1);
        seconds.get()
    };
    let mut output = Vec::new();
    let mut around = Surroundings {
        now: &now,
        meter: Meter::default(),
        steady: &steady,
        random: &mut || Ok([9; 16]),
        requests: mpsc::channel().1,
        output: &mut output,
        watch,
        stop: &AtomicBool::new(false),
    };
    let client = Client::new(&profile.clearing);
    serve(&profile, &mut device, slots, client, &mut around).unwrap();
    let text = String::from_utf8(output).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn profile() -> DeviceProfile {
    let tariffs = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/fujian");
    DeviceProfile::parse(&format!(
        r#"
        kind = "bus"
        device = "0000350100000017"
        operator = "FZBUS"
        region = "350100"
        tariffs = '{tariffs}'
        clearing = "http://127.0.0.1:1"
        journal = "j"
        key_file = "k"
        reader = ["contactless", "contact"]
        sam_reader = "s"
        sample_cards = true
        route = "FZB17"
        [limits]
        passback_seconds = 0
        same_card_seconds = 60
        "#
    ))
    .unwrap()
}

fn codes_of(lines: &[Value], event: &str) -> Vec<u64> {
    let told = lines.iter().filter(|line| line["event"] == event);
    let mut codes: Vec<u64> = told.filter_map(|line| line["code"].as_u64()).collect();
    // A screen is printed again when its status line or its countdown changes.
    if event == "screen" {
        codes.dedup();
    }
    codes
}

fn numbers(codes: &[Code]) -> Vec<u64> {
    codes.iter().map(|code| u64::from(code.number())).collect()
}

fn fault<'l>(lines: &'l [Value], says: &str) -> &'l str {
    lines
        .iter()
        .filter_map(|line| line["message"].as_str())
        .find(|message| message.contains(says))
        .unwrap_or_else(|| panic!("no fault says {says}: {lines:#?}"))
}

/// One card on one reader, with these SAMs; each presentation is a connection.
fn taps(card: &Held, sams: Vec<Script>, script: &[(Place, Seen)], disk: &Disk) -> Vec<Value> {
    let card = Script::of(&[card, card, card, card]);
    run(vec![card], sams, script, disk)
}

#[test]
fn two_cards_in_two_readers_are_told_and_none_pays_twice() {
    use Seen::{Card, Empty};
    let (first, second) = (Held::card(1), Held::card(2));
    let other = Place::Reader(1);
    let sam = Held::sam(SAM_1);
    let script = [
        (READER, Card),
        (other, Card),
        (other, Empty),
        (READER, Empty),
        (other, Card),
    ];
    let readers = vec![
        Script::of(&[&first, &first]),
        Script::of(&[&second, &second]),
    ];
    let disk = Disk::default();
    let lines = run(readers, vec![Script::of(&[&sam])], &script, &disk);
    let paid = Code::PaidConcession;
    assert_eq!(codes_of(&lines, "tap"), numbers(&[paid, paid]));
    assert_eq!(
        codes_of(&lines, "screen"),
        numbers(&[paid, Code::SeveralCards, paid])
    );
    assert_eq!(
        (first.balance(), second.balance()),
        (Fen(9_910), Fen(9_910))
    );
}

#[test]
fn every_failure_of_card_and_reader_has_its_code() {
    use Seen::{Card, Empty, Lost, Mute};
    let sam = Held::sam(SAM_1);
    // An application of another kind: SELECT finds no purse.
    let foreign = Held::sam(SAM_2);
    let channel = |error| Err(ReaderError::Channel(error));
    let reader = Script::new([
        Ok(foreign),
        Err(ReaderError::Mute),
        channel(ChannelError::CardRemoved),
        channel(ChannelError::Busy),
        Ok(Held::card(1)),
    ]);
    let mut script = vec![(READER, Mute), (READER, Empty)];
    for _ in 0..4 {
        script.extend([(READER, Card), (READER, Empty)]);
    }
    script.extend([(READER, Lost), (READER, Empty), (READER, Card)]);
    let disk = Disk::default();
    let lines = run(vec![reader], vec![Script::of(&[&sam])], &script, &disk);
    let (unknown, busy) = (Code::UnknownCard, Code::ReaderLost);
    let paid = Code::PaidConcession;
    assert_eq!(
        codes_of(&lines, "tap"),
        numbers(&[unknown, unknown, Code::PresentAgain, busy, paid])
    );
    let seen = [unknown, Code::PresentAgain, busy, paid];
    assert_eq!(codes_of(&lines, "screen"), numbers(&seen), "mute too");
    fault(&lines, "card reader 1 is gone");
    assert_eq!(disk.records().len(), 1);
}

#[test]
fn a_result_does_not_hide_for_ever_that_the_reader_is_gone() {
    let card = Held::card(1);
    let sams = vec![Script::of(&[&Held::sam(SAM_1)])];
    let mut script = vec![(READER, Seen::Card), (READER, Seen::Lost)];
    // Time passes.
    script.extend([(READER, Seen::Lost); 6]);
    let lines = taps(&card, sams, &script, &Disk::default());
    assert_eq!(
        codes_of(&lines, "screen"),
        numbers(&[Code::PaidConcession, Code::ReaderLost])
    );
}

#[test]
fn a_sam_that_dies_before_the_debit_is_replaced_while_the_card_lies_there() {
    let card = Held::card(1);
    let dying = Held::sam(SAM_1).dies_before(0x70);
    let sams = || vec![Script::of(&[&dying]), Script::of(&[&Held::sam(SAM_2)])];
    let disk = Disk::default();
    let script = [
        (READER, Seen::Card),
        (READER, Seen::Empty),
        (READER, Seen::Card),
    ];
    let lines = taps(&card, sams(), &script, &disk);
    let paid = Code::PaidConcession;
    assert_eq!(codes_of(&lines, "tap"), numbers(&[paid, paid]));
    assert_eq!(card.balance(), Fen(10_000 - 180));
    let sams: Vec<String> = disk
        .records()
        .into_iter()
        .map(|record| match record.event {
            Event::Purchase(purchase) => purchase.sam.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sams, [SAM_2, SAM_2], "one record a ride, by the other SAM");
    fault(&lines, "SAM 350100000017 failed");
    assert!(codes_of(&lines, "screen").iter().all(|code| *code != 303));
}

/// The card has paid and the SAM that would check its MAC2 is dead. What the card proves is checked
/// by the other SAM, over a transaction of zero: one fare, and the gate opens.
#[test]
fn a_sam_that_dies_after_the_debit_costs_the_holder_nothing() {
    let card = Held::card(1);
    let dying = Held::sam(SAM_1).dies_before(0x72);
    let other = Held::sam(SAM_2);
    let disk = Disk::default();
    let sams = vec![Script::of(&[&dying]), Script::of(&[&other])];
    let lines = taps(&card, sams, &[(READER, Seen::Card)], &disk);
    assert_eq!(codes_of(&lines, "tap"), numbers(&[Code::TornCompleted]));
    assert_eq!(card.balance(), Fen(10_000 - 90), "one fare");
    ended_by_the_journal(&disk.records(), SAM_1, SAM_2);
}

/// The debit as unknown, the zero-amount transaction, and what completes the first.
fn ended_by_the_journal(records: &[Record], first: &str, second: &str) {
    let told: Vec<_> = records
        .iter()
        .map(|record| match &record.event {
            Event::Purchase(p) => (
                p.sam.to_string(),
                p.amount,
                p.debit != Debit::Unknown,
                record.completes,
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    let (first, second) = (first.to_owned(), second.to_owned());
    assert_eq!(
        told,
        [
            (first.clone(), Fen(90), false, None),
            (second, Fen(0), true, None),
            (first, Fen(90), true, Some(1)),
        ]
    );
}

#[test]
fn without_another_sam_the_same_card_is_asked_for_and_served_once_one_is_back() {
    use Seen::{Card, Empty};
    let card = Held::card(1);
    let dying = Held::sam(SAM_1).dies_before(0x72);
    let door = Rc::new(Cell::new(true));
    let slot = Script {
        door: Some(door.clone()),
        ..Script::of(&[&dying, &Held::sam(SAM_2)])
    };
    let script = [
        (READER, Card),
        (READER, Empty),
        (Place::Sam(0), Empty),
        (Place::Sam(0), Card),
        (READER, Card),
    ];
    let disk = Disk::default();
    let reader = Script::of(&[&card, &card]);
    let asked = Code::SameCardAgain;
    let lines = watched(vec![reader], vec![slot], &script, &disk, &mut |action| {
        if matches!(action, Action::Show(screen) if screen.face.code == Some(asked)) {
            door.set(true);
        }
    });
    let expected = numbers(&[asked, Code::TornCompleted]);
    assert_eq!(codes_of(&lines, "tap"), expected);
    assert_eq!(codes_of(&lines, "screen"), expected);
    assert_eq!(card.balance(), Fen(10_000 - 90));
    ended_by_the_journal(&disk.records(), SAM_1, SAM_2);
}

/// Sells with the second SAM while the first is not there, is torn out, and comes back after the
/// first SAM did; `pulled`: after the second one left.
fn torn_over_the_second_sam(pulled: bool) -> (Vec<Value>, Vec<Record>) {
    use Seen::{Card, Empty};
    let card = Held::card(1);
    let (cla, ins, nth) = (0x80, 0x54, 1);
    let cut = Cut::AfterApdu { cla, ins, nth };
    card.0.borrow_mut().script(Some(cut));
    let first = Script::new([gone(), Ok(Held::sam(SAM_1))]);
    let second = Script::of(&[&Held::sam(SAM_2)]);
    let mut script = vec![(READER, Card), (READER, Empty), (Place::Sam(0), Card)];
    if pulled {
        script.push((Place::Sam(1), Empty));
    }
    script.push((READER, Card));
    let disk = Disk::default();
    let lines = taps(&card, vec![first, second], &script, &disk);
    assert_eq!(
        codes_of(&lines, "tap"),
        numbers(&[Code::SameCardAgain, Code::TornCompleted])
    );
    assert_eq!(card.balance(), Fen(10_000 - 90));
    (lines, disk.records())
}

#[test]
fn a_torn_debit_ends_in_the_sam_that_holds_it() {
    let (_, records) = torn_over_the_second_sam(false);
    let [Record { event, .. }] = records.as_slice() else {
        panic!("one record: {records:?}");
    };
    let Event::Purchase(purchase) = event else {
        panic!("{event:?}");
    };
    assert_eq!(purchase.sam.to_string(), SAM_2);
    assert!(tac_is_right(purchase));
}

#[test]
fn a_torn_debit_whose_sam_was_pulled_out_is_proved_in_another() {
    let (lines, records) = torn_over_the_second_sam(true);
    ended_by_the_journal(&records, SAM_2, SAM_1);
    fault(&lines, "SAM slot 2: it was pulled out");
}

#[test]
fn without_a_sam_no_card_is_touched_and_with_one_the_device_is_back() {
    use Seen::{Card, Empty};
    let card = Held::card(1);
    let sam = Held::sam(SAM_1);
    let slot = Place::Sam(0);
    let script = [
        (slot, Empty),
        (READER, Card),
        (READER, Empty),
        (slot, Card),
        (READER, Card),
    ];
    let sams = vec![Script::of(&[&sam, &sam])];
    let lines = taps(&card, sams, &script, &Disk::default());
    let paid = Code::PaidConcession;
    assert_eq!(codes_of(&lines, "tap"), numbers(&[paid]));
    assert_eq!(
        codes_of(&lines, "screen"),
        numbers(&[Code::SamFault, paid]),
        "{lines:#?}"
    );
}

#[test]
fn a_full_journal_is_told_before_the_next_card() {
    let disk = Disk::default();
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.tap("2026-11-23T08:00:00", &bus("FZB17"));
    let event = rig.records().remove(0).event;
    let mut journal = Journal::open(disk.clone(), profile().device, 0).unwrap();
    let full = loop {
        let at = time("2026-11-23T08:05:00");
        if let Err(error) = journal.record(at, None, 0, event.clone()) {
            break error;
        }
    };
    assert!(matches!(full, JournalError::Full { .. }));
    let card = Held::card(1);
    let sams = vec![Script::of(&[&Held::sam(SAM_1)])];
    let lines = taps(&card, sams, &[(READER, Seen::Card)], &disk);
    assert_eq!(codes_of(&lines, "screen"), numbers(&[Code::JournalFull]));
    assert!(codes_of(&lines, "tap").is_empty(), "the card was not asked");
    assert_eq!(
        card.0.borrow().counters().apdus,
        Held::card(1).0.borrow().counters().apdus
    );
}
