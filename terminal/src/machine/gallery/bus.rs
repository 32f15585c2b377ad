//! The bus validator; and what all kinds share, shown on it.

use card_spec::{purse::files::CardKind, time::CardTime};

use super::scene::Scene;
use crate::{
    code::Code,
    machine::{Event, Mode, Model, Operator, Presence, Screen, Setup, Store, TariffState, Text},
};

fn bus(now: CardTime) -> Scene {
    let model = Model::Bus {
        companions: true,
        sections: 0,
    };
    Scene::new(model, ("17路 车载机", "Bus 17"), now)
}

pub(super) fn shots(now: CardTime) -> Vec<(&'static str, Screen)> {
    let bus = || bus(now);
    let full = Store {
        waiting: 9_000,
        full: true,
        online: Some(false),
    };
    let offline = Store {
        waiting: 12,
        full: false,
        online: Some(false),
    };
    let sectional = Model::Bus {
        companions: false,
        sections: 4,
    };
    let sectional = Scene::new(sectional, ("1路 车载机", "Bus 1"), now);
    let guarded = Setup {
        model: Model::Bus {
            companions: false,
            sections: 0,
        },
        place: Text::new("17路 车载机", "Bus 17"),
        same_card_seconds: 15,
        operators: vec![Operator {
            number: "1001".to_owned(),
            card: None,
        }],
        station: Vec::new(),
    };
    let guarded = Scene::of(guarded, now);
    let (normal, student) = (CardKind::Normal, CardKind::Student);
    let working = bus()
        .keys("soft1 1 0 0 1 enter")
        .paid(Code::Paid, 200, 4_800, normal)
        .on(Event::Reader(Presence::Empty))
        .wait(5);
    let torn = bus().card().served(Code::SameCardAgain, |_| {});
    let torn = torn.on(Event::Reader(Presence::Empty)).wait(3);
    let refused = |code| bus().card().served(code, |_| {}).shot();
    vec![
        ("bus-ready", bus().shot()),
        ("bus-companion", bus().keys("soft0").shot()),
        ("bus-sections", sectional.keys("3").shot()),
        ("bus-busy", bus().card().shot()),
        (
            "bus-paid",
            bus().paid(Code::Paid, 200, 4_800, normal).shot(),
        ),
        (
            "bus-paid-student",
            bus().paid(Code::PaidConcession, 100, 4_900, student).shot(),
        ),
        (
            "bus-paid-transfer",
            bus().paid(Code::PaidTransfer, 50, 4_950, normal).shot(),
        ),
        ("bus-insufficient", refused(Code::Insufficient)),
        ("bus-too-soon", refused(Code::TooSoon)),
        ("bus-hotlisted", refused(Code::Hotlisted)),
        ("bus-present-again", refused(Code::PresentAgain)),
        ("bus-same-card-again", torn.shot()),
        (
            "bus-two-cards",
            bus().on(Event::Reader(Presence::Several)).shot(),
        ),
        (
            "bus-unknown-card",
            bus().on(Event::Reader(Presence::Unknown)).shot(),
        ),
        ("bus-shift-needed", guarded.shot()),
        ("bus-shift-totals", working.keys("soft1").shot()),
        ("bus-degraded", bus().on(Event::Store(offline)).shot()),
        ("bus-closed", bus().mode(Mode::Closed).shot()),
        ("bus-test", bus().mode(Mode::Test).card().shot()),
        ("bus-journal-full", bus().on(Event::Store(full)).shot()),
        (
            "bus-sam-fault",
            bus().on(Event::Sam { ready: false }).shot(),
        ),
        (
            "bus-tariff-fault",
            bus().on(Event::Tariff(TariffState::Missing)).shot(),
        ),
        (
            "bus-reader-lost",
            bus().on(Event::Reader(Presence::Lost)).shot(),
        ),
    ]
}
