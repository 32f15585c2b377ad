//! The state machines: every picture, and what no sequence of events may do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use common::*;
use fare::VehicleClass;
use proptest::prelude::*;
use terminal::{
    Code, TapResult, Verdict,
    machine::{
        Action, Amount, Barrier, Colour, Event, Machine, Mode, ModeOrder, Model, Operator,
        Presence, Sale, Served, Setup, StationSpan, Store, TariffState, Task, Text, gallery,
    },
};

const START: &str = "2026-11-23T08:15:00";

fn models() -> Vec<Model> {
    let stations = vec![(101, "FZM101".into(), Text::new("象峰", "Xiangfeng"))];
    vec![
        Model::Bus {
            companions: true,
            sections: 4,
        },
        Model::MetroEntry,
        Model::MetroExit,
        Model::CarParkEntry,
        Model::CarParkExit,
        Model::FareDesk { stations },
        Model::Inspector,
        Model::Taxi {
            tariffs: tariffs(),
            operator: "FZTAXI".into(),
        },
        Model::ParkingMeter {
            tariffs: tariffs(),
            operator: "FZSTREET".into(),
            class: "I".into(),
            vehicle: VehicleClass::Small,
        },
        Model::Pos,
        Model::Kiosk,
        Model::Hospital,
    ]
}

fn machine(model: Model, operators: Vec<Operator>) -> Machine {
    let setup = Setup {
        model,
        place: Text::new("样机", "Sample"),
        same_card_seconds: 15,
        operators,
        station: Vec::new(),
    };
    Machine::new(setup, time(START))
}

fn after(seconds: i64) -> CardTime {
    CardTime::from_seconds(time(START).seconds() + seconds).unwrap()
}

fn served(code: Code, amount: i64) -> Event {
    let mut result = TapResult::of(site("").device, time(START), code);
    let open = code.verdict() == Verdict::Open;
    result.amount = open.then_some(Fen(amount));
    result.card_kind = Some(CardKind::Student);
    Event::Served(Box::new(Served::from(result)))
}

fn keys(machine: &mut Machine, keys: &str) -> Vec<Action> {
    let pressed = keys.split(' ').map(|key| key.parse().unwrap());
    pressed
        .flat_map(|key| machine.on(Event::Key(key)))
        .collect()
}

#[test]
fn every_picture_has_its_name_and_its_texts_fit() {
    let shots = gallery(&tariffs());
    let names: BTreeSet<_> = shots.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), shots.len());
    for (name, screen) in &shots {
        let face = &screen.face;
        let (zh, en) = (&face.headline.zh, &face.headline.en);
        assert!((1..=12).contains(&zh.chars().count()), "{name}: {zh}");
        assert!((1..=32).contains(&en.chars().count()), "{name}: {en}");
        for key in &face.keys {
            assert!(key.name.zh.chars().count() <= 8, "{name}");
        }
        if let Some(Amount::Paid(_) | Amount::Loaded(_)) = face.amount {
            assert!(
                matches!(face.colour, Colour::Go | Colour::GoConcession),
                "{name}"
            );
        }
        // A PIN shows dots only.
        assert!(!name.ends_with("-pin") || face.field.as_ref().unwrap().shown.starts_with('●'));
    }
    for code in Code::ALL {
        assert!(code.zh().chars().count() <= 12, "{code:?}");
        assert!(code.en().len() <= 32, "{code:?}");
    }
    let shown = |name: &str| &shots.iter().find(|(n, _)| *n == name).unwrap().1.face;
    assert_eq!(shown("bus-same-card-again").countdown, Some(12));
    assert_eq!(shown("pos-sold").amount, Some(Amount::Paid(Fen(1_250))));
    assert_eq!(shown("pos-loaded").amount, Some(Amount::Loaded(Fen(5_000))));
    // Class I: 4 yuan a half hour, an hour and a half.
    assert_eq!(
        shown("parking-meter-due").amount,
        Some(Amount::Due(Fen(1_200)))
    );
    assert!(matches!(shown("taxi-stopped").amount, Some(Amount::Due(due)) if due > Fen(1_000)));
    assert_eq!(shown("bus-journal-full").code, Some(Code::JournalFull));
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    for model in models() {
        let is_taxi = matches!(model, Model::Taxi { .. });
        let mut machine = machine(model, Vec::new());
        let before = machine.screen();
        let unfit = [
            served(Code::Paid, 100),
            served(Code::JournalFull, 0),
            Event::Request(Box::new(Task::Sell(Sale::default()))),
            Event::Request(Box::new(Task::Operator)),
            Event::Key("delete".parse().unwrap()),
            Event::Key("soft9".parse().unwrap()),
            Event::Key("cancel".parse().unwrap()),
            Event::Driven { metres: 500 },
        ];
        for event in unfit {
            let text = format!("{event:?}");
            assert!(machine.on(event).is_empty(), "{text} (taxi: {is_taxi})");
        }
        assert_eq!(machine.screen(), before);
    }
}

#[test]
fn a_torn_card_is_counted_down_and_given_up() {
    let mut gate = machine(Model::MetroExit, Vec::new());
    gate.on(Event::Reader(Presence::Card));
    gate.on(served(Code::SameCardAgain, 0));
    gate.on(Event::Reader(Presence::Empty));
    gate.on(Event::Tick(after(5)));
    assert_eq!(gate.screen().face.countdown, Some(10));
    // Any card that comes is tried; the driver knows whether it is the same.
    let actions = gate.on(Event::Reader(Presence::Card));
    assert!(matches!(actions[0], Action::Serve(_)), "{actions:?}");
    gate.on(served(Code::SameCardAgain, 0));
    gate.on(Event::Reader(Presence::Empty));
    let actions = gate.on(Event::Tick(after(30)));
    assert!(matches!(actions[0], Action::GiveUp), "{actions:?}");
    assert!(!gate.is_engaged());
}

#[test]
fn a_shift_is_opened_by_who_is_named_and_its_totals_are_told() {
    let operator = Operator {
        number: "1001".to_owned(),
        card: Some("03500000000000001234".parse().unwrap()),
    };
    let model = Model::Bus {
        companions: false,
        sections: 0,
    };
    let mut bus = machine(model, vec![operator]);
    keys(&mut bus, "9 9 9 9 enter");
    assert_eq!(bus.screen().face.code, Some(Code::NoOperator));
    bus.on(Event::Tick(after(5)));
    // The operator's card opens it.
    let actions = bus.on(Event::Reader(Presence::Card));
    assert!(matches!(&actions[0], Action::Serve(task) if matches!(**task, Task::Operator)));
    let mut result = TapResult::of(site("").device, time(START), Code::Identified);
    result.pan = Some("03500000000000001234".parse().unwrap());
    bus.on(Event::Served(Box::new(Served::from(result))));
    bus.on(Event::Reader(Presence::Empty));
    for (code, fen) in [(Code::PaidConcession, 50), (Code::Insufficient, 0)] {
        bus.on(Event::Reader(Presence::Card));
        bus.on(served(code, fen));
        bus.on(Event::Reader(Presence::Empty));
    }
    let actions = keys(&mut bus, "soft0 soft0");
    let closed = actions.iter().find_map(|action| match action {
        Action::Shift(shift) => Some(shift),
        _ => None,
    });
    let totals = &closed.unwrap().totals;
    assert_eq!((totals.taps, totals.refused), (2, 1));
    assert_eq!(totals.paid[&CardKind::Student].amount, Fen(50));
    assert!(bus.shift().is_none());
}

#[test]
fn the_taxi_counts_seconds_below_the_limit_and_charges_what_it_shows() {
    let model = models()
        .into_iter()
        .find(|m| matches!(m, Model::Taxi { .. }));
    let mut taxi = machine(model.unwrap(), Vec::new());
    keys(&mut taxi, "soft0");
    // 36 km/h for a minute, then standing for one: 12 km/h is the limit.
    for second in 1..=120 {
        if second <= 60 {
            taxi.on(Event::Driven { metres: 10 });
        }
        taxi.on(Event::Tick(after(second)));
    }
    keys(&mut taxi, "soft0");
    let actions = taxi.on(Event::Reader(Presence::Card));
    let Action::Serve(task) = &actions[0] else {
        panic!("{actions:?}");
    };
    assert!(
        matches!(&**task, Task::Trip(t) if (t.metres, t.waiting_seconds) == (600, 60)),
        "{task:?}"
    );
}

/// A random event; served results come in any state.
fn event() -> impl Strategy<Value = Event> {
    let key = prop::sample::select(vec![
        "1", "5", "0", "enter", "delete", "cancel", "soft0", "soft1", "soft2", "soft3",
    ]);
    let presence = prop::sample::select(vec![
        Presence::Card,
        Presence::Card,
        Presence::Empty,
        Presence::Unknown,
        Presence::Several,
        Presence::Lost,
    ]);
    let code = prop::sample::select(Code::ALL.to_vec());
    let mode = prop::sample::select(Mode::ALL.to_vec());
    prop_oneof![
        4 => key.prop_map(|key| Event::Key(key.parse().unwrap())),
        4 => presence.prop_map(Event::Reader),
        4 => (code, 1i64..900).prop_map(|(code, amount)| served(code, amount)),
        2 => (0i64..5_000).prop_map(|s| Event::Tick(after(s))),
        1 => any::<bool>().prop_map(|ready| Event::Sam { ready }),
        1 => (0u32..900).prop_map(|metres| Event::Driven { metres }),
        1 => (mode, 0i64..5_000).prop_map(|(mode, s)| {
            Event::Mode(ModeOrder { mode, from: after(s) })
        }),
        1 => any::<bool>().prop_map(|full| Event::Store(Store { full, ..Store::default() })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_events_open_a_barrier_or_show_money_for_nothing(
        kind in 0usize..12,
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut machine = machine(models().swap_remove(kind), Vec::new());
        let mut asked: Option<Box<Task>> = None;
        let mut moved = None;
        for event in events {
            let told = match &event {
                Event::Served(served) => Some(served.result.clone()),
                _ => None,
            };
            let answered = told.as_ref().and_then(|_| asked.take());
            if answered.is_some() {
                moved = told.as_ref().and_then(|result| result.amount);
            }
            for action in machine.on(event) {
                match action {
                    Action::Barrier(Barrier::OpenOnce) => {
                        let sold = answered.as_ref().is_some_and(|task| task.opens());
                        prop_assert!(sold);
                        prop_assert_eq!(told.as_ref().map(|r| r.verdict), Some(Verdict::Open));
                    }
                    Action::Barrier(Barrier::StandOpen) => {
                        prop_assert_eq!(machine.mode(), Mode::EmergencyRelease);
                    }
                    Action::Serve(task) => {
                        prop_assert!(asked.is_none(), "one task at a time");
                        asked = Some(task);
                    }
                    Action::Show(screen) => {
                        if let Some(Amount::Paid(fen) | Amount::Loaded(fen)) = screen.face.amount {
                            prop_assert_eq!(Some(fen), moved);
                        }
                    }
                    _ => {}
                }
            }
        }
        // Whatever happened: the card goes, the faults go, and the device serves again.
        let end = after(10_000);
        machine.on(Event::Tick(end));
        machine.on(served(Code::TooSoon, 0));
        machine.on(Event::Reader(Presence::Empty));
        machine.on(Event::Sam { ready: true });
        machine.on(Event::Store(Store::default()));
        machine.on(Event::Tariff(TariffState::Current));
        machine.on(Event::Mode(ModeOrder { mode: Mode::Normal, from: end }));
        machine.on(Event::Tick(after(10_100)));
        keys(&mut machine, "cancel cancel");
        machine.on(Event::Tick(after(10_200)));
        prop_assert!(!machine.is_engaged());
        prop_assert_eq!(machine.mode(), Mode::Normal);
        let face = machine.screen().face;
        prop_assert!(matches!(face.colour, Colour::Ready | Colour::Busy), "{:?}", face);
    }
}

#[test]
fn a_kiosk_asks_how_it_is_paid_and_once_more_before_a_card_is_stopped() {
    let serve = |typed: &str| {
        let mut kiosk = machine(Model::Kiosk, Vec::new());
        kiosk.on(Event::Reader(Presence::Card));
        let actions = keys(&mut kiosk, typed);
        actions.into_iter().find_map(|action| match action {
            Action::Serve(task) => Some(*task),
            _ => None,
        })
    };
    for (pay, paid_by) in [("soft0", "bank"), ("soft1", "mobile")] {
        let task = serve(&format!("soft2 {pay} 5 0 0 0 enter 1 2 3 4 5 6 enter"));
        let Some(Task::TopUp(wish)) = task else {
            panic!("a top-up: {task:?}")
        };
        assert_eq!((wish.amount_fen, &*wish.paid_by), (Fen(5_000), paid_by));
    }
    let report = serve("soft3 soft0 1 2 3 4 5 6 enter");
    assert!(matches!(report, Some(Task::LossReport(_))), "{report:?}");
    // Not sure; a PIN without an answer; an amount of nothing; left half way.
    for typed in [
        "soft3 soft1 1 2 3 4 5 6 enter",
        "soft3 1 2 3 4 5 6 enter",
        "soft2 soft0 enter 1 2 3 4 5 6 enter",
        "soft2 soft0 5 0 0 0 enter 1 2 3 cancel 4 5 6 enter",
    ] {
        assert!(serve(typed).is_none(), "{typed}");
    }
}

/// The end of a station's mode ends no order, and of two at a time open barriers come first.
#[test]
fn a_mode_of_the_station_gives_way_to_an_order() {
    let span = |mode, from, to| StationSpan {
        mode,
        from: after(from),
        to: Some(after(to)),
    };
    let setup = Setup {
        model: Model::Pos,
        place: Text::new("样机", "Sample"),
        same_card_seconds: 15,
        operators: Vec::new(),
        station: vec![
            span(Mode::EmergencyRelease, 10, 20),
            span(Mode::TrainFailure, 5, 30),
        ],
    };
    let mut machine = Machine::new(setup, time(START));
    let mut at = |seconds| {
        machine.on(Event::Tick(after(seconds)));
        if seconds == 25 {
            let (mode, from) = (Mode::Closed, after(25));
            machine.on(Event::Mode(ModeOrder { mode, from }));
        }
        machine.mode()
    };
    let modes = [4, 5, 10, 20, 25, 30, 99].map(&mut at);
    use Mode::{Closed, EmergencyRelease, Normal, TrainFailure};
    let expected = [
        Normal,
        TrainFailure,
        EmergencyRelease,
        TrainFailure,
        Closed,
        Closed,
        Closed,
    ];
    assert_eq!(modes, expected);
}
