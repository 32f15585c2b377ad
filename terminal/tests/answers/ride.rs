//! Everything that is paid from the purse.

use std::{collections::BTreeSet, sync::OnceLock};

use card_spec::{
    Fen, SuiteId, aid, apdu,
    channel::exchange,
    keys::class,
    purse::{InitRequest, PurchaseInit, TxType},
};
use clearing_api::record::{Debit, Event};
use fare::{Area, VehicleClass};
use terminal::{
    Code, PurseTerminal, SamUnit, TapResult, Verdict,
    device::{
        CarParkEntry, CarParkExit, FareDesk, MetroEntryGate, MetroExitGate, Seller, TaxiMeter, Till,
    },
    journal::MemoryStorage,
};
use virtual_card::{Cut, VirtualCard};

use crate::{
    common::{bus, card, purse_sam, setup, site, tac_is_right, tariffs, time},
    meddle::{Exchange, Hit, Side, Wire, every_answer},
};

pub(crate) type Sells = &'static dyn Seller;

/// A tap before the one that is meddled with.
struct Before {
    at: &'static str,
    seller: Sells,
    cut: Option<Cut>,
}

struct Ride {
    name: &'static str,
    suite: SuiteId,
    class: u8,
    before: Vec<Before>,
    seller: Sells,
    /// The meddled tap and the honest one after it.
    at: [&'static str; 2],
}

impl Ride {
    fn new(name: &'static str, seller: Sells) -> Self {
        Self {
            name,
            suite: SuiteId::Aes,
            class: class::TRANSIT,
            before: Vec::new(),
            seller,
            at: ["2026-11-23T08:15:00", "2026-11-23T08:15:05"],
        }
    }

    fn after(mut self, at: &'static str, seller: Sells, cut: Option<Cut>) -> Self {
        self.before.push(Before { at, seller, cut });
        self
    }

    fn suite(self, suite: SuiteId) -> Self {
        Self { suite, ..self }
    }

    fn class(self, class: u8) -> Self {
        Self { class, ..self }
    }
}

/// Sellers live as long as the test.
pub(crate) fn keep(seller: impl Seller + 'static) -> Sells {
    Box::leak(Box::new(seller))
}

/// What a card's memory says: balance and number of debits.
fn state(card: &Wire) -> (Fen, u16) {
    card.with(|card| {
        exchange(card, &apdu::select(aid::T_UNION)).unwrap();
        let request = InitRequest {
            kid: class::TRANSIT,
            amount: Fen::ZERO,
            terminal: "350100000001".parse().unwrap(),
        };
        let reply = exchange(card, &request.purchase().unwrap()).unwrap();
        card.power_cycle();
        let init = PurchaseInit::from_bytes(&reply.data).unwrap();
        (init.balance, init.seq)
    })
}

fn image(slot: &OnceLock<Vec<u8>>, make: impl FnOnce() -> VirtualCard) -> VirtualCard {
    let image = slot.get_or_init(|| make().image().to_vec()).clone();
    VirtualCard::from_image(image, [7; 32]).unwrap()
}

pub(crate) struct World {
    pub(crate) terminal: PurseTerminal<MemoryStorage>,
    sam: Option<SamUnit<Wire>>,
    pub(crate) sam_wire: Wire,
    pub(crate) card: Wire,
    start: (Fen, u16),
}

/// What the journal knows: debits and fen that happened, that may have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Books {
    done: (Fen, u16),
    open: (Fen, u16),
}

impl World {
    pub(crate) fn new(suite: SuiteId, class: u8) -> Self {
        static CARDS: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
        static SAMS: [OnceLock<Vec<u8>>; 8] = [const { OnceLock::new() }; 8];
        let nth = SuiteId::ALL.iter().position(|s| *s == suite).unwrap();
        let card = Wire::new(image(&CARDS[nth], || self::card(suite, 1)));
        let sam = || purse_sam(class).into_channel();
        let sam_wire = Wire::new(image(&SAMS[usize::from(class)], sam));
        let start = state(&card);
        Self {
            terminal: PurseTerminal::new(setup(class), crate::common::journal()),
            sam: Some(SamUnit::open_purse(sam_wire.clone()).unwrap()),
            sam_wire,
            card,
            start,
        }
    }

    pub(crate) fn tap(&mut self, at: &str, seller: Sells) -> TapResult {
        self.card.with(VirtualCard::power_cycle);
        let mut sam = self.sam.take().unwrap();
        let result = self
            .terminal
            .tap(&mut self.card, &mut sam, time(at), seller);
        // The loop opens a SAM anew that a tap showed at fault.
        self.sam = Some(match result.code {
            Code::SamFault => {
                self.sam_wire.disarm();
                sam.reopen().unwrap()
            }
            _ => sam,
        });
        result
    }

    fn books(&self) -> Books {
        let journal = self.terminal.journal();
        let completed: BTreeSet<u64> = journal.waiting().filter_map(|r| r.completes).collect();
        let mut books = Books::default();
        for record in journal.waiting().chain(journal.pending()) {
            let Event::Purchase(purchase) = &record.event else {
                continue;
            };
            let sum = match purchase.debit {
                _ if completed.contains(&record.journal_seq) => continue,
                Debit::Done { .. } => &mut books.done,
                Debit::Unknown => &mut books.open,
                Debit::NotDone => continue,
            };
            *sum = (sum.0 + purchase.amount, sum.1 + 1);
        }
        books
    }

    fn paid_rides(&self) -> usize {
        let paid = |r: &&clearing_api::Record| match &r.event {
            Event::Purchase(p) => p.amount > Fen::ZERO && matches!(p.debit, Debit::Done { .. }),
            _ => false,
        };
        self.terminal.journal().waiting().filter(paid).count()
    }

    /// The journal's books and the card's memory agree. Answers what the card paid and how often.
    pub(crate) fn balanced(&self, what: &str) -> (Fen, u16) {
        let (balance, seq) = state(&self.card);
        let (lost, count) = (self.start.0 - balance, seq - self.start.1);
        let Books { done, open } = self.books();
        assert!(
            done.0 <= lost && lost <= done.0 + open.0,
            "{what}: the card lost {lost}, the journal knows of {done:?} {open:?}"
        );
        assert!(
            done.1 <= count && count <= done.1 + open.1,
            "{what}: {count} debits, the journal knows of {done:?} {open:?}"
        );
        (lost, count)
    }
}

/// Whether the SAM itself said in this tap that a MAC2 is right.
pub(crate) fn proved(log: &[Exchange]) -> bool {
    let credit = |(command, answer): &&Exchange| command[1] == 0x72 && answer == &[0x90, 0x00];
    log.iter().any(|exchange| credit(&exchange))
}

fn play(ride: &Ride, price: Fen, hit: Option<&Hit>, what: &str) -> [Vec<Exchange>; 2] {
    let mut world = World::new(ride.suite, ride.class);
    let mut paid_before = Fen::ZERO;
    for before in &ride.before {
        world.card.with(|card| card.script(before.cut));
        let result = world.tap(before.at, before.seller);
        world.card.with(|card| card.script(None));
        match before.cut {
            Some(_) => assert_eq!(result.code, Code::SameCardAgain),
            None => assert_eq!(result.verdict, Verdict::Open, "{result:?}"),
        }
        paid_before += result.amount.unwrap_or_default();
    }
    let (_, debits) = world.balanced(what);
    let rides = world.paid_rides();
    let torn = ride.before.iter().any(|before| before.cut.is_some());

    world.card.arm(Side::Card, hit);
    world.sam_wire.arm(Side::Sam, hit);
    let result = world.tap(ride.at[0], ride.seller);
    let logs = [world.card.disarm(), world.sam_wire.disarm()];
    let (lost, count) = world.balanced(what);

    if result.verdict == Verdict::Open {
        assert!(count > debits || torn, "{what}: opened for nothing");
        assert!(count > 0 && proved(&logs[1]), "{what}: opened unproved");
        let journal = world.terminal.journal();
        let done = |r: &&clearing_api::Record| {
            let debit = match &r.event {
                Event::Purchase(p) => matches!(p.debit, Debit::Done { .. }),
                _ => false,
            };
            result.journal.contains(&r.journal_seq) && debit
        };
        assert!(journal.waiting().any(|r| done(&r)), "{what}: no record");
        if hit.is_none() {
            assert_eq!(lost, paid_before + price, "{what}");
            for record in journal.waiting() {
                let Event::Purchase(p) = &record.event else {
                    panic!("{what}: {record:?}");
                };
                let has_tac = matches!(p.debit, Debit::Done { .. }) && p.tx == TxType::Capp;
                assert!(!has_tac || tac_is_right(p), "{what}");
            }
        }
        return logs;
    }
    assert!(hit.is_some(), "{what}: {result:?}");
    assert_eq!(result.amount, None, "{what}: nothing was paid");
    if hit.is_some_and(|hit| hit.side == Side::Card) {
        assert_ne!(
            result.verdict,
            Verdict::OutOfService,
            "{what}: a card stopped the device: {result:?}"
        );
    }
    let again = world.tap(ride.at[1], ride.seller);
    assert_eq!(
        again.verdict,
        Verdict::Open,
        "{what}: the honest card: {result:?} {again:?}"
    );
    let (lost, _) = world.balanced(what);
    // Who lies about earlier rides in the FCI may pay another price for this one, once.
    let lied_of_rides = hit.is_some_and(|hit| (hit.side, hit.nth) == (Side::Card, 0));
    let once = world.paid_rides() == rides + 1;
    assert!(
        lost == paid_before + price || (lied_of_rides && once),
        "{what}: paid once: {lost} {result:?} {again:?}"
    );
    // What stays unknown goes to the clearing house as that: a debit of which the card told another
    // counter, and one whose proof the card gave up for the next (it keeps the last alone).
    let lied = hit
        .is_some_and(|hit| hit.side == Side::Card && logs[0][hit.nth].0.starts_with(&[0x80, 0x50]));
    let overtaken = torn && (debits, count) == (1, 2);
    let open = world.books().open.1;
    assert!(
        open == 0 || lied || overtaken,
        "{what}: {open} stay unknown: {result:?} {again:?}"
    );
    logs
}

fn run(ride: &Ride, price: i64) {
    let count = every_answer(ride.name, 0x5EED, |hit, what| {
        play(ride, Fen(price), hit, what)
    });
    assert!(count > 300, "{}: {count} answers", ride.name);
}

fn metro() -> (Sells, Sells, &'static FareDesk) {
    let line = "FZM1".into();
    let entry = MetroEntryGate::new(site("FZMTR"), tariffs(), &line, "FZM101".into()).unwrap();
    let exit = MetroExitGate::new(site("FZMTR"), tariffs(), &line, "FZM103".into()).unwrap();
    let desk = FareDesk::new(site("FZMTR"), tariffs(), &line, "FZM103".into()).unwrap();
    (keep(entry), keep(exit), Box::leak(Box::new(desk)))
}

fn debit(after: bool) -> Option<Cut> {
    let (cla, ins, nth) = (0x80, 0x54, 1);
    Some(match after {
        true => Cut::AfterApdu { cla, ins, nth },
        false => Cut::BeforeApdu { cla, ins, nth },
    })
}

#[test]
fn a_flat_bus_in_every_suite() {
    for suite in SuiteId::ALL {
        run(&Ride::new("bus", keep(bus("FZB17"))).suite(suite), 90);
    }
}

#[test]
fn a_bus_after_a_bus() {
    let ride = Ride::new("transfer", keep(bus("FZB51")));
    run(
        &ride.after("2026-11-23T08:00:00", keep(bus("FZB17")), None),
        40,
    );
}

#[test]
fn a_metro_gate_in_and_out() {
    let (entry, exit, _) = metro();
    run(&Ride::new("metro entry", entry), 0);
    let ride = Ride::new("metro exit", exit);
    run(&ride.after("2026-11-23T08:00:00", entry, None), 200);
}

#[test]
fn a_desk_writes_an_entry_and_closes_a_journey() {
    let (entry, _, desk) = metro();
    let writes = keep(desk.visit(Area::Paid, Some("FZM101".into())));
    run(&Ride::new("desk entry", writes), 0);
    let closes = keep(desk.visit(Area::Unpaid, Some("FZM103".into())));
    let ride = Ride::new("desk exit", closes);
    run(&ride.after("2026-11-23T08:00:00", entry, None), 200);
}

#[test]
fn a_car_park_in_and_out() {
    let park = || {
        let id = fare::ParkId::from("FZP-STATION");
        (site("FZPARK"), tariffs(), id, VehicleClass::Small)
    };
    let (s, t, p, v) = park();
    let entry = keep(CarParkEntry::new(s, t, p, v));
    let (s, t, p, v) = park();
    let exit = keep(CarParkExit::new(s, t, p, v));
    run(
        &Ride::new("car park entry", entry).class(class::PARKING_TAXI),
        0,
    );
    let ride = Ride::new("car park exit", exit).class(class::PARKING_TAXI);
    run(&ride.after("2026-11-23T07:30:00", entry, None), 500);
}

#[test]
fn a_taxi_and_a_till() {
    let taxi = keep(TaxiMeter {
        site: site("FZTAXI"),
        tariffs: tariffs(),
        vehicle: "A-T1234".into(),
        metres: 3_000,
        waiting_seconds: 0,
        started: time("2026-11-23T08:00:00"),
    });
    run(&Ride::new("taxi", taxi).class(class::PARKING_TAXI), 1_000);
    let till = keep(Till {
        site: site("POS"),
        amount: Fen(1_250),
        receipt: "R1".to_owned(),
    });
    run(&Ride::new("till", till).class(class::RETAIL), 1_250);
}

/// The card comes back to a torn debit, at once and after the device gave it up.
#[test]
fn the_way_back_to_a_torn_debit() {
    let seller = keep(bus("FZB17"));
    for after in [true, false] {
        let now = Ride::new("resumed", seller);
        run(&now.after("2026-11-23T08:14:55", seller, debit(after)), 90);
        let late = Ride::new("late", seller);
        run(&late.after("2026-11-23T08:14:00", seller, debit(after)), 90);
    }
}
