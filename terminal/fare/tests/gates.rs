//! Entry and exit gates and the desk, in every state of the card and mode of the stations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{
    Fen,
    purse::files::{Metro, MetroSide, MetroState},
    time::CardTime,
};
use common::*;
use fare::*;

const NORTH: &str = "XMM123";
const NEAR: &str = "XMM101";
const NEXT: &str = "XMM103";

fn entry(stop: &str, at: CardTime) -> MetroEntry {
    MetroEntry {
        operator: "XMMTR".into(),
        stop: stop.into(),
        at,
        rider: NORMAL,
        prior: None,
        state: None,
    }
}

fn exit(stop: &str, at: CardTime) -> MetroExit {
    MetroExit {
        operator: "XMMTR".into(),
        stop: stop.into(),
        at,
        rider: NORMAL,
        prior: None,
        state: None,
    }
}

fn inside(stop: &str, at: CardTime) -> Passage {
    Passage::Inside {
        stop: stop.into(),
        at,
        maximum: Fen(700),
    }
}

const OUTSIDE: Passage = Passage::Outside { left: None };

fn enter(stop: &str, at: CardTime, passage: &Passage, history: &ModeHistory) -> EntryDecision {
    tariffs()
        .decide_entry(&entry(stop, at), passage, history)
        .unwrap()
}

fn leave(stop: &str, at: CardTime, passage: &Passage, history: &ModeHistory) -> ExitDecision {
    tariffs()
        .decide_exit(&exit(stop, at), passage, history)
        .unwrap()
}

fn span(mode: StationMode, stops: &[&str], from: &str, to: Option<&str>) -> ModeHistory {
    ModeHistory(vec![ModeSpan {
        operator: "XMMTR".into(),
        stops: stops.iter().map(|s| StopId::from(*s)).collect(),
        mode,
        from: at(from),
        to: to.map(at),
    }])
}

fn price(decision: &ExitDecision) -> (Fen, Option<StationMode>) {
    match decision {
        ExitDecision::Leave { quote, by } => (checked((**quote).clone()).amount, *by),
        other => panic!("{other:?}"),
    }
}

fn unfinished(decision: EntryDecision) -> Option<Unfinished> {
    match decision {
        EntryDecision::Enter { unfinished, .. } => unfinished,
        other => panic!("{other:?}"),
    }
}

fn charged(decision: EntryDecision) -> Fen {
    match unfinished(decision) {
        Some(Unfinished::Charged { amount, .. }) => amount,
        other => panic!("{other:?}"),
    }
}

fn forgiven(decision: EntryDecision) -> StationMode {
    match unfinished(decision) {
        Some(Unfinished::Forgiven { by, .. }) => by,
        other => panic!("{other:?}"),
    }
}

fn refused(why: GateRefusal) -> (EntryDecision, ExitDecision) {
    (EntryDecision::Refuse { why }, ExitDecision::Refuse { why })
}

#[test]
fn record_1a_becomes_a_passage() {
    let operator = OperatorId::from("XMMTR");
    let side = |operator: &[u8; 8], code: u16, at: CardTime| MetroSide {
        institution: *operator,
        station: StationCode(code).to_metro_field(),
        time: at.to_bytes(),
        ..MetroSide::default()
    };
    let passage = |record: &Metro| tariffs().passage(&operator, record);
    assert_eq!(passage(&Metro::EMPTY), Ok(OUTSIDE));
    let ours = b"XMMTR\0\0\0";
    let mut record = Metro {
        state: MetroState::In,
        entry: side(ours, 123, minutes(600)),
        maximum_fare: Fen(700),
        ..Metro::EMPTY
    };
    assert_eq!(passage(&record), Ok(inside(NORTH, minutes(600))));
    record.state = MetroState::UpdatedIn;
    assert_eq!(passage(&record), Ok(inside(NORTH, minutes(600))));
    record.exit = side(ours, 101, minutes(640));
    record.state = MetroState::Out;
    let left = Some((NEAR.into(), minutes(640)));
    assert_eq!(passage(&record), Ok(Passage::Outside { left }));
    record.state = MetroState::UpdatedOut;
    assert_eq!(passage(&record), Ok(OUTSIDE));
    record.state = MetroState::In;
    record.entry = side(b"FZMTR\0\0\0", 101, minutes(600));
    assert_eq!(passage(&record), Ok(Passage::Elsewhere));
    // A station that the network does not have, and a time that is none: the desk's case.
    record.entry = side(ours, 9999, minutes(600));
    assert_eq!(passage(&record), Err(QuoteError::Record(operator.clone())));
    // A bus stop of the same city: no card can have entered there.
    let bus_stop = tariffs().stop(&operator, &"XMB1001".into()).unwrap().code;
    record.entry = side(ours, bus_stop.0, minutes(600));
    assert_eq!(passage(&record), Err(QuoteError::Record(operator.clone())));
    record.entry = side(ours, 123, minutes(600));
    record.entry.time = [0xFF; 7];
    assert_eq!(passage(&record), Err(QuoteError::Record(operator.clone())));
}

#[test]
fn a_missing_exit_costs_the_highest_fare_at_the_next_entry() {
    let none = ModeHistory::default();
    let start = inside(NORTH, minutes(600));
    assert_eq!(unfinished(enter(NEAR, minutes(600), &OUTSIDE, &none)), None);
    assert_eq!(charged(enter(NEAR, minutes(700), &start, &none)), Fen(700));
    // Two taps of one person at the same gates are no journey; at another station they are.
    let (twice, _) = refused(GateRefusal::DoubleTap);
    assert_eq!(enter(NORTH, seconds(36_000 + 119), &start, &none), twice);
    assert_eq!(
        charged(enter(NORTH, seconds(36_000 + 120), &start, &none)),
        Fen(700)
    );
    assert_eq!(
        charged(enter(NEAR, seconds(36_000 + 60), &start, &none)),
        Fen(700)
    );
    let (elsewhere, stays) = refused(GateRefusal::Elsewhere);
    assert_eq!(
        enter(NEAR, minutes(700), &Passage::Elsewhere, &none),
        elsewhere
    );
    assert_eq!(leave(NEAR, minutes(700), &Passage::Elsewhere, &none), stays);
    // The record is from the future: a clock is wrong, nobody is charged.
    let wrong = tariffs().decide_entry(&entry(NEAR, minutes(599)), &start, &none);
    assert_eq!(wrong, Err(QuoteError::TimeOrder));
}

#[test]
fn a_desk_corrects_what_a_missing_exit_cost() {
    let ride = metro_ride(NORTH, "XMM121", (minutes(600), minutes(615)), NORMAL, None);
    let charged = (Fen(700), minutes(700));
    let correct = |at| tariffs().correct_missing_exit(charged, &ride, at);
    let done = correct(minutes(800)).unwrap();
    assert_eq!((done.quote.amount, done.refund), (Fen(200), Fen(500)));
    let last = 700 + 7 * 1440;
    assert!(correct(minutes(last)).is_ok());
    assert_eq!(correct(minutes(last + 1)), Err(QuoteError::TooLate(7)));
    // Left after the charge, or corrected before it: not this journey.
    assert_eq!(correct(minutes(699)), Err(QuoteError::TimeOrder));
    let later = MetroRide {
        exited_at: minutes(701),
        ..ride.clone()
    };
    let late = tariffs().correct_missing_exit(charged, &later, minutes(800));
    assert_eq!(late, Err(QuoteError::TimeOrder));
    // A correction never charges more.
    let less = tariffs().correct_missing_exit((Fen(100), minutes(700)), &ride, minutes(800));
    assert_eq!(less.unwrap().refund, Fen::ZERO);
}

#[test]
fn exits_without_entry_and_double_exits_stay_shut() {
    let none = ModeHistory::default();
    let (_, no_entry) = refused(GateRefusal::NoEntry);
    let (_, twice) = refused(GateRefusal::DoubleTap);
    assert_eq!(leave(NEAR, minutes(600), &OUTSIDE, &none), no_entry);
    let left = Passage::Outside {
        left: Some((NEAR.into(), minutes(600))),
    };
    assert_eq!(leave(NEAR, seconds(36_000 + 119), &left, &none), twice);
    assert_eq!(leave(NEAR, seconds(36_000 + 120), &left, &none), no_entry);
    assert_eq!(leave(NEXT, minutes(601), &left, &none), no_entry);
}

#[test]
fn order_bypass_asks_for_no_entry_and_no_exit() {
    let bypass = span(
        StationMode::OrderBypass,
        &[NEAR],
        "2026-11-23T10:00:00",
        Some("2026-11-23T11:00:00"),
    );
    let by = Some(StationMode::OrderBypass);
    assert_eq!(
        price(&leave(NEAR, minutes(600), &OUTSIDE, &bypass)),
        (Fen(200), by)
    );
    let forgave = forgiven(enter(
        NEAR,
        minutes(659),
        &inside(NORTH, minutes(500)),
        &bypass,
    ));
    assert_eq!(forgave, StationMode::OrderBypass);
    // Not at other stations, not before or after.
    let (_, shut) = refused(GateRefusal::NoEntry);
    assert_eq!(leave(NEXT, minutes(600), &OUTSIDE, &bypass), shut);
    assert_eq!(leave(NEAR, minutes(599), &OUTSIDE, &bypass), shut);
    assert_eq!(leave(NEAR, minutes(660), &OUTSIDE, &bypass), shut);
}

#[test]
fn emergency_release_writes_nothing_and_is_honoured_for_seven_days() {
    let release = span(
        StationMode::EmergencyRelease,
        &[NORTH],
        "2026-11-23T10:00:00",
        Some("2026-11-23T11:00:00"),
    );
    assert_eq!(
        leave(NORTH, minutes(630), &inside(NEAR, minutes(590)), &release),
        ExitDecision::OpenWritesNothing
    );
    assert_eq!(
        enter(NORTH, minutes(630), &OUTSIDE, &release),
        EntryDecision::OpenWritesNothing
    );
    let again = |entered, at| enter(NEXT, at, &inside(NEAR, entered), &release);
    let seven = at("2026-11-30T11:00:00");
    for entered in [minutes(590), minutes(659)] {
        assert_eq!(
            forgiven(again(entered, seven)),
            StationMode::EmergencyRelease
        );
    }
    assert_eq!(
        charged(again(minutes(590), at("2026-11-30T11:00:01"))),
        Fen(700)
    );
    // Begun after it, or more than a day before it: another journey.
    assert_eq!(charged(again(minutes(660), seven)), Fen(700));
    assert_eq!(
        forgiven(again(at("2026-11-22T10:00:00"), seven)),
        StationMode::EmergencyRelease
    );
    assert_eq!(charged(again(at("2026-11-22T09:59:59"), seven)), Fen(700));
    // Who came in through open gates leaves elsewhere, within a day, at the lowest fare.
    let by = Some(StationMode::EmergencyRelease);
    assert_eq!(
        price(&leave(NEAR, minutes(690), &OUTSIDE, &release)),
        (Fen(200), by)
    );
    let (_, shut) = refused(GateRefusal::NoEntry);
    assert_eq!(
        leave(NEAR, at("2026-11-24T11:00:01"), &OUTSIDE, &release),
        shut
    );
    // Another operator's mode is nobody's here.
    let mut foreign = release.clone();
    foreign.0[0].operator = "FZMTR".into();
    assert_eq!(leave(NEAR, minutes(690), &OUTSIDE, &foreign), shut);
}

#[test]
fn train_failure_and_fare_bypass_take_nothing() {
    let ride = inside(NORTH, minutes(590));
    for mode in [StationMode::TrainFailure, StationMode::FareBypass] {
        let history = span(mode, &[NEAR], "2026-11-23T10:00:00", None);
        assert_eq!(
            price(&leave(NEAR, minutes(640), &ride, &history)),
            (Fen::ZERO, Some(mode))
        );
        assert_eq!(
            price(&leave(NEXT, minutes(640), &ride, &history)),
            (Fen(600), None)
        );
    }
    // Back out where one came in, after the mode ended.
    let ended = span(
        StationMode::TrainFailure,
        &[NEAR],
        "2026-11-23T10:00:00",
        Some("2026-11-23T10:30:00"),
    );
    let out = leave(NORTH, minutes(640), &ride, &ended);
    assert_eq!(price(&out), (Fen::ZERO, Some(StationMode::TrainFailure)));
    // No ride of a pass is spent, and a running transfer window goes on.
    let ExitDecision::Leave { quote, .. } = out else {
        panic!("{out:?}")
    };
    assert_eq!(quote.leg.window, None);
    assert!(
        quote
            .steps
            .last()
            .unwrap()
            .rule
            .ends_with("/mode/train-failure")
    );
}

#[test]
fn a_journey_that_failed_spends_no_ride() {
    let fares = r#"{ zones = ["A", "A"], fare = "2.50" }, { zones = ["A", "B"], fare = "3.00" }, { zones = ["B", "B"], fare = "3.00" }"#;
    let pass = "[[pass]]\nid = \"ten\"\ncode = 1\nzh = \"十次\"\nen = \"ten\"\nprice = \"20.00\"\nrides = 10\nvalidity = { days = 30 }\n";
    let set = kata(fares, "", pass);
    let order = PassOrder {
        city: kata_city(),
        pass: "ten".to_owned(),
        rider: NORMAL,
        at: minutes(500),
        from: minutes(500),
        state: FareState::new(kata_city()),
    };
    let state = set.quote_pass(&order).unwrap().state;
    let leave = MetroExit {
        operator: "KM".into(),
        state: Some(state),
        ..exit("B1", minutes(640))
    };
    let rides_left =
        |history: &ModeHistory| match set.decide_exit(&leave, &inside("A1", minutes(600)), history)
        {
            Ok(ExitDecision::Leave { quote, .. }) => {
                let quote = checked(*quote);
                let state = quote.state.unwrap();
                let pass = *state.passes().next().unwrap();
                (pass.rides_left.unwrap(), quote.steps[1].rule.clone())
            }
            other => panic!("{other:?}"),
        };
    let mut failure = span(
        StationMode::TrainFailure,
        &["B1"],
        "2026-11-23T10:00:00",
        None,
    );
    failure.0[0].operator = "KM".into();
    assert_eq!(
        rides_left(&failure),
        (10, "km/mode/train-failure".to_owned())
    );
    assert_eq!(
        rides_left(&ModeHistory::default()),
        (9, "kc/pass/ten".to_owned())
    );
}

#[test]
fn time_bypass_waives_the_overstay_only() {
    let history = span(StationMode::TimeBypass, &[], "2026-11-23T00:00:00", None);
    let ride = inside(NORTH, minutes(600));
    let out = |stop, min: u32, history: &ModeHistory| {
        price(&leave(stop, minutes(600 + min), &ride, history))
    };
    let by = Some(StationMode::TimeBypass);
    assert_eq!(
        out("XMM121", 181, &ModeHistory::default()),
        (Fen(700), None)
    );
    assert_eq!(out("XMM121", 181, &history), (Fen(200), by));
    assert_eq!(out("XMM121", 180, &history), (Fen(200), None));
    assert_eq!(
        out(NEAR, 181, &history),
        (Fen(700), None),
        "that is its distance"
    );
}

#[test]
fn the_desk_knows_what_each_card_needs() {
    let none = ModeHistory::default();
    let visit = |area, named: Option<&str>, passage: &Passage, history: &ModeHistory| {
        let visit = DeskVisit {
            exit: exit(NEAR, minutes(900)),
            area,
            named: named.map(StopId::from),
        };
        tariffs().desk(&visit, passage, history)
    };
    let closed = |advice: Result<DeskAdvice, QuoteError>| match advice.unwrap() {
        DeskAdvice::CloseJourney { quote } => checked(*quote).amount,
        other => panic!("{other:?}"),
    };
    let ride = inside(NORTH, minutes(600));
    assert_eq!(
        visit(Area::Paid, None, &ride, &none),
        Ok(DeskAdvice::UseTheGate)
    );
    assert_eq!(
        visit(Area::Unpaid, None, &OUTSIDE, &none),
        Ok(DeskAdvice::UseTheGate)
    );
    // Inside without an entry: written for the station named, at the highest fare without one.
    let write = DeskAdvice::WriteEntry {
        stop: NORTH.into(),
        at: minutes(900),
    };
    assert_eq!(visit(Area::Paid, Some(NORTH), &OUTSIDE, &none), Ok(write));
    assert_eq!(closed(visit(Area::Paid, None, &OUTSIDE, &none)), Fen(700));
    let bypass = span(
        StationMode::OrderBypass,
        &[NEAR],
        "2026-11-23T00:00:00",
        None,
    );
    assert_eq!(
        visit(Area::Paid, None, &OUTSIDE, &bypass),
        Ok(DeskAdvice::UseTheGate)
    );
    // Outside without an exit, five hours after the entry: the fare to the station named, and no
    // overstay for the way to the desk.
    assert_eq!(
        closed(visit(Area::Unpaid, Some("XMM121"), &ride, &none)),
        Fen(200)
    );
    assert_eq!(closed(visit(Area::Unpaid, None, &ride, &none)), Fen(700));
    let release = span(
        StationMode::EmergencyRelease,
        &[NEAR],
        "2026-11-23T10:10:00",
        Some("2026-11-23T11:00:00"),
    );
    assert_eq!(
        visit(Area::Unpaid, None, &ride, &release),
        Ok(DeskAdvice::UseTheGate)
    );
    let unknown = visit(Area::Unpaid, Some("XMM999"), &ride, &none);
    assert_eq!(
        unknown,
        Err(QuoteError::Stop("XMMTR".into(), "XMM999".into()))
    );
}

#[test]
fn brt_holds_the_highest_fare_and_settles_at_exit() {
    let brt = |stop: &str, at| MetroEntry {
        operator: "XMBRT".into(),
        ..entry(stop, at)
    };
    let terms = tariffs().metro_entry(&brt("XMR01", minutes(600))).unwrap();
    let highest = tariffs().metro_highest_fare(&"XMBRT".into()).unwrap();
    assert_eq!(
        highest,
        tariffs()
            .metro_distance_fare(&"XMBRT".into(), 37_995)
            .unwrap()
    );
    let tenth_off = Fen((highest.0 * 9 + 5) / 10);
    assert_eq!((terms.maximum, terms.least), (tenth_off, tenth_off));
    let fare = |m| tariffs().metro_distance_fare(&"XMBRT".into(), m).unwrap();
    // 0.30 to 3 km, then 0.10 a started kilometre.
    for (metres, fen) in [
        (1, 30),
        (3000, 30),
        (3001, 40),
        (4000, 40),
        (4001, 50),
        (13_000, 130),
    ] {
        assert_eq!(fare(metres), Fen(fen), "{metres}");
    }
    // 2.315 + 3.211 km: 0.60 at 10 % off; after a bus 0.80 off, which leaves nothing to pay.
    let ride = |prior| {
        let ride = MetroRide {
            operator: "XMBRT".into(),
            ..metro_ride(
                "XMR01",
                "XMR03",
                (minutes(600), minutes(620)),
                NORMAL,
                prior,
            )
        };
        checked(tariffs().quote_metro(&ride).unwrap())
    };
    assert_eq!(ride(None).amount, Fen(54));
    assert_eq!(ride(None).steps[0].delta, Fen(60));
    let from = |class| Some(PriorLeg::new(class, city("350200"), minutes(590)));
    assert_eq!(ride(from(LegClass::CityBus)).amount, Fen::ZERO);
    assert_eq!(ride(from(LegClass::Metro)).amount, Fen::ZERO);
    assert_eq!(
        ride(from(LegClass::Brt)).amount,
        Fen(54),
        "BRT to BRT earns nothing"
    );
    assert_eq!(ride(None).leg.window.unwrap().class, LegClass::Brt);
}
