//! Metro gates and car park barriers.

use card_spec::{purse::files::CardKind, time::CardTime};

use super::scene::Scene;
use crate::{
    code::Code,
    machine::{Mode, Model, Screen},
};

pub(super) fn shots(now: CardTime) -> Vec<(&'static str, Screen)> {
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
