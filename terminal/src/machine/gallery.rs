//! Every state worth a picture, made by driving real machines with events.

use std::sync::Arc;

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use fare::{Tariffs, VehicleClass};

use super::{
    Action, Event, Key, Machine, Mode, ModeOrder, Model, Operator, Presence, Row, Screen, Served,
    Setup, Store, TariffState, Text,
};
use crate::{code::Code, result::TapResult};

/// A device that is played through a scene.
struct Scene {
    machine: Machine,
    now: CardTime,
}

impl Scene {
    fn new(model: Model, place: (&str, &str), now: CardTime) -> Self {
        let setup = Setup {
            model,
            place: Text::new(place.0, place.1),
            same_card_seconds: 15,
            operators: Vec::new(),
        };
        Self::of(setup, now)
    }

    fn of(setup: Setup, now: CardTime) -> Self {
        let machine = Machine::new(setup, now);
        Self { machine, now }
    }

    fn on(mut self, event: Event) -> Self {
        let _actions: Vec<Action> = self.machine.on(event);
        self
    }

    fn keys(self, keys: &str) -> Self {
        let named = keys.split(' ').filter_map(|key| key.parse().ok());
        named.fold(self, |scene, key: Key| scene.on(Event::Key(key)))
    }

    fn wait(mut self, seconds: i64) -> Self {
        let later = self.now.seconds() + seconds;
        self.now = CardTime::from_seconds(later).unwrap_or(self.now);
        let now = self.now;
        self.on(Event::Tick(now))
    }

    fn card(self) -> Self {
        self.on(Event::Reader(Presence::Card))
    }

    fn served(self, code: Code, change: impl FnOnce(&mut Served)) -> Self {
        let device = "3501000000009001".parse();
        let Ok(device) = device else { return self };
        let mut served = Served::from(TapResult::of(device, self.now, code));
        change(&mut served);
        self.on(Event::Served(Box::new(served)))
    }

    fn paid(self, code: Code, fen: i64, balance: i64, kind: CardKind) -> Self {
        self.card().served(code, |served| {
            served.result.amount = Some(Fen(fen));
            served.result.balance = Some(Fen(balance));
            served.result.card_kind = Some(kind);
        })
    }

    fn mode(self, mode: Mode) -> Self {
        let from = self.now;
        self.on(Event::Mode(ModeOrder { mode, from }))
    }

    fn shot(&self) -> Screen {
        self.machine.screen()
    }
}

/// Named screens of every kind; `tariffs` are those of the data folder.
pub fn gallery(tariffs: &Arc<Tariffs>) -> Vec<(&'static str, Screen)> {
    let Some(now) = CardTime::from_seconds(1_795_766_400 + 30_000) else {
        return Vec::new();
    };
    let mut shots = shared(now);
    shots.extend(gates(now));
    shots.extend(meters(tariffs, now));
    shots.extend(counters(now));
    shots
}

fn bus(now: CardTime) -> Scene {
    let model = Model::Bus {
        companions: true,
        sections: 0,
    };
    Scene::new(model, ("17路 车载机", "Bus 17"), now)
}

fn shared(now: CardTime) -> Vec<(&'static str, Screen)> {
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

fn gates(now: CardTime) -> Vec<(&'static str, Screen)> {
    let entry = || Scene::new(Model::MetroEntry, ("象峰站 进站", "Xiangfeng, entry"), now);
    let exit = || Scene::new(Model::MetroExit, ("东街口站 出站", "Dongjiekou, exit"), now);
    let park_in = || {
        Scene::new(
            Model::CarParkEntry,
            ("火车站停车场", "Station car park"),
            now,
        )
    };
    let park_out = || {
        Scene::new(
            Model::CarParkExit,
            ("火车站停车场", "Station car park"),
            now,
        )
    };
    let elderly = CardKind::Elderly;
    vec![
        ("metro-entry-ready", entry().shot()),
        (
            "metro-entry-entered",
            entry().paid(Code::Entered, 0, 4_800, elderly).shot(),
        ),
        (
            "metro-entry-already-inside",
            entry().card().served(Code::AlreadyInside, |_| {}).shot(),
        ),
        (
            "metro-entry-emergency",
            entry().mode(Mode::EmergencyRelease).shot(),
        ),
        ("metro-exit-ready", exit().shot()),
        (
            "metro-exit-paid",
            exit()
                .paid(Code::Exited, 400, 4_400, CardKind::Normal)
                .shot(),
        ),
        (
            "metro-exit-no-entry",
            exit().card().served(Code::NoEntry, |_| {}).shot(),
        ),
        (
            "metro-exit-train-failure",
            exit().mode(Mode::TrainFailure).shot(),
        ),
        ("car-park-entry-ready", park_in().shot()),
        (
            "car-park-entry-entered",
            park_in().card().served(Code::ParkEntered, |_| {}).shot(),
        ),
        ("car-park-exit-ready", park_out().shot()),
        (
            "car-park-exit-paid",
            park_out()
                .paid(Code::ServicePaid, 650, 4_150, CardKind::Normal)
                .shot(),
        ),
    ]
}

fn meters(tariffs: &Arc<Tariffs>, now: CardTime) -> Vec<(&'static str, Screen)> {
    let taxi = || {
        let model = Model::Taxi {
            tariffs: tariffs.clone(),
            operator: "FZTAXI".into(),
        };
        Scene::new(model, ("闽A·T0001 计价器", "Taxi A-T0001"), now)
    };
    let hired = || {
        let hired = taxi().keys("soft0");
        (0..40).fold(hired, |scene, _| {
            scene.on(Event::Driven { metres: 110 }).wait(8)
        })
    };
    let meter = || {
        let model = Model::ParkingMeter {
            tariffs: tariffs.clone(),
            operator: "FZSTREET".into(),
            class: "I".into(),
            vehicle: VehicleClass::Small,
        };
        Scene::new(model, ("五四路 泊车计时表", "Parking, Wusi Road"), now)
    };
    let parked = || meter().keys("4 2 enter").wait(5_400);
    let normal = CardKind::Normal;
    vec![
        ("taxi-free", taxi().shot()),
        ("taxi-hired", hired().shot()),
        ("taxi-stopped", hired().keys("soft0").shot()),
        (
            "taxi-paid",
            hired()
                .keys("soft0")
                .paid(Code::ServicePaid, 1_400, 3_400, normal)
                .shot(),
        ),
        ("parking-meter-ready", meter().keys("4 2").shot()),
        ("parking-meter-begun", meter().keys("4 2 enter").shot()),
        ("parking-meter-due", parked().keys("4 2 enter").shot()),
        (
            "parking-meter-paid",
            parked()
                .keys("4 2 enter")
                .paid(Code::ServicePaid, 1_200, 3_600, normal)
                .shot(),
        ),
    ]
}

fn counters(now: CardTime) -> Vec<(&'static str, Screen)> {
    let normal = CardKind::Normal;
    let pos = || Scene::new(Model::Pos, ("便民超市 1号", "Corner shop, till 1"), now);
    let kiosk = || {
        Scene::new(
            Model::Kiosk,
            ("社保大厅 自助终端", "Service hall kiosk"),
            now,
        )
    };
    let window = || {
        Scene::new(
            Model::Hospital,
            ("省立医院 3号窗", "Hospital, window 3"),
            now,
        )
    };
    let inspector = || Scene::new(Model::Inspector, ("17路 稽查", "Inspector, bus 17"), now);
    let desk = || {
        let stations = vec![(101, "FZM101".into(), Text::new("象峰", "Xiangfeng"))];
        Scene::new(
            Model::FareDesk { stations },
            ("东街口站 补票亭", "Dongjiekou, desk"),
            now,
        )
    };
    let trips = |served: &mut Served| {
        served.result.balance = Some(Fen(4_800));
        served.rows = vec![
            Row::new("公交", "Bus", "2026-11-25T08:15:00 0.90"),
            Row::new("地铁", "Metro", "2026-11-24T18:02:10 4.00"),
        ];
    };
    let due = |served: &mut Served| {
        served.rows = vec![Row::new("应补车费", "Fare due", Fen(200))];
    };
    let present = || pos().keys("soft1 5 0 0 0 enter 1 2 3 4 5 6 enter");
    let pin = "soft1 1 2 3 4";
    vec![
        ("pos-menu", pos().shot()),
        ("pos-amount", pos().keys("soft1 5 0 0 0").shot()),
        ("pos-pin", pos().keys("soft2 5 0 0 enter 1 2 3").shot()),
        ("pos-present", present().shot()),
        ("pos-sale", pos().keys("soft0 1 2 5 0 enter").shot()),
        (
            "pos-sold",
            pos()
                .keys("soft0 1 2 5 0 enter")
                .paid(Code::ServicePaid, 1_250, 3_550, normal)
                .shot(),
        ),
        (
            "pos-loaded",
            present().paid(Code::ToppedUp, 5_000, 9_800, normal).shot(),
        ),
        ("kiosk-menu", kiosk().shot()),
        ("kiosk-pin", kiosk().keys(pin).shot()),
        (
            "kiosk-trips",
            kiosk()
                .card()
                .keys("soft0")
                .served(Code::ReadOut, trips)
                .shot(),
        ),
        (
            "kiosk-proved",
            kiosk()
                .card()
                .keys("soft1 1 2 3 4 5 6 enter")
                .served(Code::PresenceProved, |_| {})
                .shot(),
        ),
        ("hospital-ready", window().shot()),
        ("inspector-ready", inspector().shot()),
        (
            "inspector-paid",
            inspector().card().served(Code::RidePaid, trips).shot(),
        ),
        (
            "inspector-unpaid",
            inspector().card().served(Code::RideUnpaid, |_| {}).shot(),
        ),
        ("fare-desk-ready", desk().keys("1 0 1").shot()),
        (
            "fare-desk-looked",
            desk().card().served(Code::ReadOut, due).shot(),
        ),
        (
            "fare-desk-corrected",
            desk()
                .card()
                .served(Code::ReadOut, due)
                .keys("soft1")
                .served(Code::JourneyCorrected, |served| {
                    served.result.amount = Some(Fen(200));
                    served.result.balance = Some(Fen(4_600));
                })
                .shot(),
        ),
    ]
}
