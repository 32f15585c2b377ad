//! The running device on simulated slots: one JSON line an event, requests kept over "again".
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
use clearing_api::Client;
use common::*;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use terminal::{
    Code, DeviceProfile, Journal, TapResult,
    journal::MemoryStorage,
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
}

impl Channel for Held {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.0.borrow_mut().transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        &self.1
    }
}

/// Connects to its cards one after the other.
struct Queue(VecDeque<Held>);

impl Slot for Queue {
    type Card = Held;
    fn connect(&mut self) -> Result<Held, ReaderError> {
        self.0.pop_front().ok_or(ReaderError::NoReader)
    }
}

fn profile(kind: &str, more: &str) -> DeviceProfile {
    let tariffs = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/fujian");
    DeviceProfile::parse(&format!(
        r#"
        kind = "{kind}"
        device = "0000350100000017"
        region = "350100"
        tariffs = '{tariffs}'
        clearing = "http://127.0.0.1:1"
        journal = "j"
        key_file = "k"
        reader = "r"
        sample_cards = true
        {more}
        "#
    ))
    .unwrap()
}

fn run(
    profile: &DeviceProfile,
    cards: Vec<Held>,
    class: u8,
    requests: &[&str],
) -> (Vec<Value>, Option<TapResult>) {
    run_with(profile, cards, SampleSam::Purse(class), requests)
}

fn run_with(
    profile: &DeviceProfile,
    cards: Vec<Held>,
    sam: SampleSam,
    requests: &[&str],
) -> (Vec<Value>, Option<TapResult>) {
    let stop = AtomicBool::new(false);
    let journal = Journal::open(MemoryStorage::default(), profile.device, 0).unwrap();
    let mut device = Device::new(profile, journal, SigningKey::from_bytes(&[1; 32])).unwrap();
    let (present, changes) = mpsc::channel();
    for _ in &cards {
        present.send((Place::Reader(0), Seen::Card)).unwrap();
        present.send((Place::Reader(0), Seen::Empty)).unwrap();
    }
    drop(present);
    let number = "350100000017".parse().unwrap();
    let sam = sample::sample_sam(sam, number, [7; 32]).unwrap();
    let slots = Slots {
        readers: vec![Queue(cards.into())],
        sams: vec![Queue([Held::new(sam)].into())],
        changes,
    };
    let (sender, receiver) = mpsc::channel();
    for request in requests {
        sender.send((*request).to_owned()).unwrap();
    }
    drop(sender);
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
        requests: receiver,
        output: &mut output,
        watch: &mut |_| {},
        stop: &stop,
    };
    let client = Client::new(&profile.clearing);
    let last = serve(profile, &mut device, slots, client, &mut around).unwrap();
    let text = String::from_utf8(output).unwrap();
    (
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        last,
    )
}

fn of<'l>(lines: &'l [Value], event: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn a_bus_prints_one_line_a_card_and_keeps_what_it_cannot_upload() {
    let card = Held::new(card(SuiteId::Aes, 1));
    let place = "operator = \"FZBUS\"\nroute = \"FZB17\"\n[limits]\npassback_seconds = 30";
    let profile = profile("bus", place);
    let cards = vec![card.clone(), card.clone()];
    let (lines, last) = run(&profile, cards, class::TRANSIT, &[]);
    assert_eq!(lines[0]["event"], "ready");
    let taps = of(&lines, "tap");
    assert_eq!(taps[0]["code"], Code::PaidConcession.number());
    assert_eq!(taps[0]["amount"], 90);
    assert_eq!(taps[0]["pan"], "099900**********0016", "masked");
    assert_eq!(taps[1]["code"], Code::TooSoon.number());
    // SELECT, INIT, UPDATE CAPP CACHE of record and transfer window, DEBIT.
    let cost = &taps[0]["cost"];
    assert_eq!(cost["exchanges"], 5, "{cost}");
    let air = cost["air_us"][0].as_u64().unwrap();
    assert!((27_000..28_000).contains(&air), "{cost}");
    assert!(cost["sam_characters"].as_u64() > Some(0), "{cost}");
    let mut shown: Vec<(&str, &Value)> = of(&lines, "screen")
        .into_iter()
        .map(|line| (line["headline"]["en"].as_str().unwrap(), &line["amount"]))
        .collect();
    // The status line below them changes too.
    shown.dedup();
    let (nothing, paid) = (&Value::Null, &serde_json::json!({"paid": 90}));
    let expected = [
        ("Tap your card", nothing),
        ("Please wait", nothing),
        ("Paid at concession price", paid),
        ("Tap your card", nothing),
        ("Please wait", nothing),
        ("Already tapped", nothing),
    ];
    assert_eq!(shown[..6], expected);
    let fault = lines.last().unwrap();
    assert_eq!(fault["event"], "fault");
    assert!(
        fault["message"]
            .as_str()
            .unwrap()
            .contains("does not answer"),
        "{fault}"
    );
    assert_eq!(last.unwrap().exit_code(), 6);
}

#[test]
fn a_taxi_keeps_its_trip_until_the_same_card_is_back() {
    let card = Held::new(card(SuiteId::Aes, 1));
    let (cla, ins, nth) = (0x80, 0x54, 1);
    card.0
        .borrow_mut()
        .script(Some(Cut::AfterApdu { cla, ins, nth }));
    let profile = profile("taxi", "operator = \"FZTAXI\"\nplate = \"A-T1\"");
    let trip = r#"{"metres":3000,"waiting_seconds":0,"started":"2026-11-23T08:00:00"}"#;
    let cards = vec![card.clone(), card.clone(), card.clone()];
    let (lines, last) = run(
        &profile,
        cards,
        class::PARKING_TAXI,
        &[trip, "not json", ""],
    );
    let codes: Vec<u64> = of(&lines, "tap")
        .into_iter()
        .map(|line| line["code"].as_u64().unwrap())
        .collect();
    // The line that means nothing is refused at once.
    let expected = [Code::PresentAgain, Code::SameCardAgain, Code::TornCompleted];
    assert_eq!(codes, expected.map(|code| u64::from(code.number())));
    assert_eq!(last.unwrap().exit_code(), 0);
    assert_eq!(balance(&mut card.0.borrow_mut()), Fen(10_000 - 1_000));
}

#[test]
fn a_profile_without_its_place_is_refused_before_any_card() {
    let journal = || Journal::open(MemoryStorage::default(), site("").device, 0).unwrap();
    let key = || SigningKey::from_bytes(&[1; 32]);
    let missing = profile("bus", "operator = \"FZBUS\"");
    let error = Device::new(&missing, journal(), key()).err().unwrap();
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("a bus needs `route` in its profile", 2)
    );
    let unknown = profile("bus", "operator = \"FZBUS\"\nroute = \"X\"");
    let error = Device::new(&unknown, journal(), key()).err().unwrap();
    assert!(error.to_string().contains("no route X"), "{error}");
}

#[test]
fn modes_and_the_open_shift_outlive_a_restart_and_a_damaged_file_is_set_aside() {
    let folder = std::env::temp_dir().join(format!("onecard-kept-{}", std::process::id()));
    let place = "operator = \"FZBUS\"\nroute = \"FZB17\"";
    let profile = profile("bus", &format!("{place}\nstate = '{}'", folder.display()));
    let key = |name: &str| format!(r#"{{"key":"{name}"}}"#);
    let open: Vec<String> = "soft0 1 0 0 1 enter".split(' ').map(key).collect();
    let open: Vec<&str> = open.iter().map(String::as_str).collect();
    let held = Held::new(card(SuiteId::Aes, 1));
    run(&profile, vec![held], class::TRANSIT, &open);

    let close = key("soft0");
    let closing = [close.as_str(), close.as_str(), r#"{"mode":"closed"}"#];
    let (lines, _) = run(&profile, Vec::new(), class::TRANSIT, &closing);
    let shift = of(&lines, "shift")[0];
    assert_eq!(
        (&shift["operator"], &shift["totals"]["taps"]),
        (&"1001".into(), &1.into())
    );
    assert!(shift["closed"].is_string(), "{shift}");

    let (lines, _) = run(&profile, Vec::new(), class::TRANSIT, &[]);
    assert_eq!(of(&lines, "mode")[0]["mode"], "closed");

    std::fs::write(folder.join("machine.json"), b"{").unwrap();
    let (lines, _) = run(&profile, Vec::new(), class::TRANSIT, &[]);
    let told = of(&lines, "fault")[0]["message"].as_str().unwrap();
    assert!(told.contains("set aside"), "{told}");
    assert!(of(&lines, "mode").is_empty());
    assert_eq!(std::fs::read(folder.join("machine.damaged")).unwrap(), b"{");
    let (lines, _) = run(&profile, Vec::new(), class::TRANSIT, &[]);
    assert!(
        of(&lines, "fault")
            .iter()
            .all(|f| !f["message"].as_str().unwrap().contains("set aside"))
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_kiosk_reports_a_card_with_a_receipt_and_loads_nothing_while_nobody_answers() {
    let place = "operator = \"SSAGENCY\"\nterminal = \"350100000902\"";
    let profile = profile("kiosk", place);
    let held = Held::new(card(SuiteId::Aes, 1));
    let top_up = format!(
        r#"{{"amount_fen":5000,"paid_by":"bank","pin":"{}"}}"#,
        sample::PIN
    );
    let report = format!(r#"{{"loss_pin":"{}"}}"#, sample::PIN);
    let cards = vec![held.clone(), held.clone()];
    let (lines, _) = run_with(&profile, cards, SampleSam::Social, &[&top_up, &report]);
    let taps = of(&lines, "tap");
    let codes: Vec<_> = taps
        .iter()
        .map(|tap| tap["code"].as_u64().unwrap())
        .collect();
    let expected = [Code::Offline, Code::Reported];
    assert_eq!(
        codes,
        expected.map(|code| u64::from(code.number())),
        "{taps:?}"
    );
    assert_eq!(balance(&mut held.0.borrow_mut()), Fen(10_000));
    let shown = of(&lines, "screen");
    let receipt = shown
        .iter()
        .find(|s| s["code"] == Code::Reported.number())
        .unwrap();
    assert_eq!(receipt["rows"][0]["value"], "0000350100000017-1");
    let text = lines.iter().map(Value::to_string).collect::<String>();
    assert!(!text.contains(sample::PIN), "no PIN in a line");
}

/// A mode that the tariffs name for a station shows at its gate, from its beginning to its end.
#[test]
fn a_gate_shows_the_mode_of_its_station() {
    let folder = std::env::temp_dir().join(format!("onecard-modes-{}", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/fujian");
    let mut texts = fare::Tariffs::texts(std::path::Path::new(source)).unwrap();
    let modes = r#"
kind = "modes"
id = "fuzhou-modes"
city = "350100"
[provenance]
source = "the control centre"
date = "2026-11-23"
status = "synthetic"
[[span]]
operator = "FZMTR"
stops = ["FZM103"]
mode = "train-failure"
from = "2026-11-23T08:15:03"
to = "2026-11-23T08:15:06"
"#;
    texts.insert("transit/fuzhou/modes.toml".to_owned(), modes.to_owned());
    for (name, text) in texts {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let modes = |stop: &str| {
        let place = format!("operator = \"FZMTR\"\nroute = \"FZM1\"\nstop = \"{stop}\"");
        let mut profile = profile("metro-exit", &place);
        profile.tariffs = Some(folder.clone());
        let cards = (1..=4).map(|n| Held::new(card(SuiteId::Aes, n))).collect();
        let (lines, _) = run(&profile, cards, class::TRANSIT, &[]);
        let modes = of(&lines, "mode").into_iter();
        let modes: Vec<String> = modes.map(|m| m["mode"].to_string()).collect();
        modes
    };
    assert_eq!(modes("FZM103"), ["\"train-failure\"", "\"normal\""]);
    assert!(modes("FZM104").is_empty());
    std::fs::remove_dir_all(&folder).unwrap();
}
