//! Devices that only read, in their loop: an inspector's hand-held that is shown one lying card after the
//! other. (A kiosk's balance and a desk's look read the same files by the same code.)

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    sync::{atomic::AtomicBool, mpsc},
};

use card_reader::{ReaderError, Seen};
use card_spec::{SuiteId, time::CardTime};
use clearing_api::Client;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use terminal::{
    Code, DeviceProfile, Journal, Verdict,
    device::Seller,
    journal::MemoryStorage,
    meter::Meter,
    run::{Device, Place, Slot, Slots, Surroundings, serve},
};
use virtual_card::VirtualCard;

use crate::{
    common::{Rig, bus, card, time},
    meddle::{Chance, Hit, Side, Wire, instead_of},
};

/// A card and what is said in its place.
struct Shown(Vec<u8>, Option<Hit>);

struct Queue {
    cards: VecDeque<Shown>,
    last: Rc<RefCell<Option<Wire>>>,
}

impl Slot for Queue {
    type Card = Wire;
    fn connect(&mut self) -> Result<Wire, ReaderError> {
        let Shown(image, hit) = self.cards.pop_front().ok_or(ReaderError::NoReader)?;
        let wire = Wire::new(VirtualCard::from_image(image, [7; 32]).unwrap());
        wire.arm(Side::Card, hit.as_ref());
        *self.last.borrow_mut() = Some(wire.clone());
        Ok(wire)
    }
}

fn inspect(cards: Vec<Shown>) -> (Vec<Code>, Wire) {
    let profile = DeviceProfile::parse(
        r#"
        kind = "inspector"
        operator = "FZBUS"
        route = "FZB17"
        device = "0000350100000018"
        region = "350100"
        tariffs = '../data/fujian'
        clearing = "http://127.0.0.1:1"
        journal = "j"
        key_file = "k"
        reader = "r"
        sample_cards = true
        "#,
    )
    .unwrap();
    let stop = AtomicBool::new(false);
    let journal = Journal::open(MemoryStorage::default(), profile.device, 0).unwrap();
    let mut device = Device::new(&profile, journal, SigningKey::from_bytes(&[1; 32])).unwrap();
    let (present, changes) = mpsc::channel();
    for _ in &cards {
        present.send((Place::Reader(0), Seen::Card)).unwrap();
        present.send((Place::Reader(0), Seen::Empty)).unwrap();
    }
    drop(present);
    let last = Rc::new(RefCell::new(None));
    let reader = Queue {
        cards: cards.into(),
        last: Rc::clone(&last),
    };
    let slots = Slots::<_, Queue> {
        readers: vec![reader],
        sams: Vec::new(),
        changes,
    };
    let (_sender, requests) = mpsc::channel();
    // Ten minutes after the ride, whatever number of cards there is.
    let seconds = Cell::new(time("2026-11-23T08:25:00").seconds() * 1_000);
    let now =
        || -> io::Result<CardTime> { Ok(CardTime::from_seconds(seconds.get() / 1_000).unwrap()) };
    let steady = || {
        seconds.set(seconds.get() + 50);
        seconds.get() / 1_000
    };
    let mut output = Vec::new();
    let mut around = Surroundings {
        now: &now,
        meter: Meter::default(),
        steady: &steady,
        random: &mut || Ok([9; 16]),
        requests,
        output: &mut output,
        watch: &mut |_| {},
        stop: &stop,
    };
    let client = Client::new(&profile.clearing);
    serve(&profile, &mut device, slots, client, &mut around).unwrap();
    let code = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = (line["event"] == "tap").then(|| line["code"].as_u64().unwrap())?;
        let known = |code: &&Code| u64::from(code.number()) == number;
        Code::ALL.iter().find(known).copied()
    };
    let text = String::from_utf8(output).unwrap();
    (
        text.lines().filter_map(code).collect(),
        last.take().unwrap(),
    )
}

#[test]
fn an_inspector_reads_on_whatever_cards_say() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let seller: &dyn Seller = &bus("FZB17");
    assert_eq!(
        rig.tap("2026-11-23T08:15:00", seller).verdict,
        Verdict::Open
    );
    let paid = rig.card.image().to_vec();
    let unpaid = card(SuiteId::Aes, 1).image().to_vec();
    let (codes, wire) = inspect(vec![Shown(unpaid.clone(), None), Shown(paid.clone(), None)]);
    assert_eq!(codes, [Code::RideUnpaid, Code::RidePaid]);
    let mut chance = Chance(4);
    let log = wire.disarm();
    let hits = log.iter().enumerate().flat_map(|(nth, (_, honest))| {
        let side = Side::Card;
        let hit = move |answer| Hit { side, nth, answer };
        let answers = instead_of(honest, &mut chance);
        answers.into_iter().map(hit)
    });
    let lying: Vec<Shown> = hits.map(|hit| Shown(paid.clone(), Some(hit))).collect();
    let count = lying.len();
    assert!(count > 500, "{count} answers");
    let honest = [Shown(unpaid, None), Shown(paid.clone(), None)];
    let (codes, _) = inspect(lying.into_iter().chain(honest).collect());
    assert_eq!(codes.len(), count + 2, "every card got its answer");
    let stopped = codes
        .iter()
        .filter(|c| c.verdict() == Verdict::OutOfService);
    assert_eq!(stopped.count(), 0);
    assert_eq!(codes[count..], [Code::RideUnpaid, Code::RidePaid]);
}
