//! Where somebody is served at a counter, and the inspector.

use card_spec::{Fen, purse::files::CardKind, time::CardTime};

use super::scene::Scene;
use crate::{
    code::Code,
    machine::{Model, Row, Screen, Served, Text},
};

pub(super) fn shots(now: CardTime) -> Vec<(&'static str, Screen)> {
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
        ("kiosk-report", kiosk().keys("soft3").shot()),
        (
            "kiosk-reported",
            kiosk()
                .card()
                .keys("soft3 soft0 1 2 3 4 5 6 enter")
                .served(Code::Reported, |served| {
                    served.rows = vec![Row::new("受理号", "Receipt", "3501000000009010-7")];
                })
                .shot(),
        ),
        ("kiosk-payment", kiosk().keys("soft2").shot()),
        ("kiosk-amount", kiosk().keys("soft2 soft1 5 0 0 0").shot()),
        (
            "kiosk-loaded",
            kiosk()
                .keys("soft2 soft1 5 0 0 0 enter 1 2 3 4 5 6 enter")
                .paid(Code::ToppedUp, 5_000, 9_800, normal)
                .shot(),
        ),
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
