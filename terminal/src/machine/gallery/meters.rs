//! Taxi and parking meters.

use std::sync::Arc;

use card_spec::{purse::files::CardKind, time::CardTime};
use fare::{Tariffs, VehicleClass};

use super::scene::Scene;
use crate::{
    code::Code,
    machine::{Event, Model, Screen},
};

pub(super) fn shots(tariffs: &Arc<Tariffs>, now: CardTime) -> Vec<(&'static str, Screen)> {
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
