//! The example data of the repository, and short ways to ask it.

#![allow(dead_code, unused_imports)] // each test binary uses its part

mod kata;
pub(crate) use kata::*;

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use card_spec::{Fen, id::RegionCode, purse::files::CardKind, time::CardTime};
use fare::*;

pub(crate) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/fujian"))
}

pub(crate) fn tariffs() -> &'static Tariffs {
    static SET: OnceLock<Tariffs> = OnceLock::new();
    SET.get_or_init(|| Tariffs::load(folder()).unwrap_or_else(|e| panic!("{e}")))
}

/// Every file of the data folder that the crate reads.
pub(crate) fn texts() -> BTreeMap<String, String> {
    fn walk(base: &Path, at: &Path, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(base, &path, out);
            } else {
                let key = path
                    .strip_prefix(base)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                out.insert(key, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder(), &folder().join("transit"), &mut out);
    let operators = std::fs::read_to_string(folder().join("operators.toml")).unwrap();
    out.insert("operators.toml".to_owned(), operators);
    out
}

pub(crate) fn at(text: &str) -> CardTime {
    text.parse().unwrap()
}

/// A time a number of minutes after midnight of Monday 2026-11-23, a plain workday.
pub(crate) fn minutes(after: u32) -> CardTime {
    seconds(after * 60)
}

pub(crate) fn seconds(after: u32) -> CardTime {
    let (day, s) = (after / 86_400, after % 86_400);
    let text = format!(
        "2026-{}-{:02}T{:02}:{:02}:{:02}",
        if day < 8 { 11 } else { 12 },
        if day < 8 { 23 + day } else { day - 7 },
        s / 3600,
        s / 60 % 60,
        s % 60
    );
    at(&text)
}

pub(crate) fn city(text: &str) -> CityCode {
    text.parse::<RegionCode>().unwrap().into()
}

pub(crate) const NORMAL: Rider = Rider::of_kind(CardKind::Normal);
pub(crate) const STUDENT: Rider = Rider::of_kind(CardKind::Student);
pub(crate) const ELDERLY: Rider = Rider::of_kind(CardKind::Elderly);

pub(crate) fn aged(age: u8) -> Rider {
    Rider {
        kind: CardKind::Normal,
        age: Some(age),
    }
}

pub(crate) fn bus(route: &str, at: CardTime, rider: Rider, prior: Option<PriorLeg>) -> Quote {
    let operator = if route.starts_with("FZ") {
        "FZBUS"
    } else {
        "XMBUS"
    };
    let ride = BusRide {
        operator: operator.into(),
        route: route.into(),
        ridden: Ridden::Unknown,
        at,
        rider,
        prior,
        state: None,
    };
    checked(tariffs().quote_bus(&ride).unwrap())
}

pub(crate) fn metro_ride(
    from: &str,
    to: &str,
    times: (CardTime, CardTime),
    rider: Rider,
    prior: Option<PriorLeg>,
) -> MetroRide {
    let operator = if from.starts_with("FZ") {
        "FZMTR"
    } else {
        "XMMTR"
    };
    MetroRide {
        operator: operator.into(),
        from_stop: from.into(),
        to_stop: to.into(),
        entered_at: times.0,
        exited_at: times.1,
        rider,
        prior,
        state: None,
    }
}

pub(crate) fn metro(
    from: &str,
    to: &str,
    times: (CardTime, CardTime),
    rider: Rider,
    prior: Option<PriorLeg>,
) -> Quote {
    let ride = metro_ride(from, to, times, rider, prior);
    checked(tariffs().quote_metro(&ride).unwrap())
}

pub(crate) fn meter(class: &str, vehicle: VehicleClass, from: CardTime, to: CardTime) -> Quote {
    let stay = MeterStay {
        operator: "FZSTREET".into(),
        class: class.into(),
        vehicle,
        from,
        to,
        permit: None,
    };
    checked(tariffs().quote_meter(&stay).unwrap())
}

pub(crate) fn park(park: &str, entered_at: CardTime, exited_at: CardTime) -> Quote {
    let stay = CarParkStay {
        operator: "FZPARK".into(),
        park: park.into(),
        vehicle: VehicleClass::Small,
        entered_at,
        exited_at,
        permit: None,
    };
    checked(tariffs().quote_car_park(&stay).unwrap())
}

pub(crate) fn taxi(metres: u32, low_speed_seconds: u32, started_at: CardTime) -> Quote {
    let trip = TaxiTrip {
        operator: "FZTAXI".into(),
        metres,
        low_speed_seconds,
        started_at,
        ended_at: started_at,
    };
    checked(tariffs().quote_taxi(&trip).unwrap())
}

/// What holds of every quote: it adds up, is not negative and names its source in every language.
pub(crate) fn checked(quote: Quote) -> Quote {
    assert_eq!(
        quote.steps.iter().map(|s| s.delta).sum::<Fen>(),
        quote.amount
    );
    assert!(quote.amount >= Fen::ZERO, "{quote:?}");
    assert!(!quote.steps.is_empty());
    for step in &quote.steps {
        assert!(!step.zh.is_empty() && !step.en.is_empty() && step.rule.contains('/'));
    }
    assert!(!quote.tariff.provenance.source.is_empty());
    quote
}

pub(crate) fn rules(quote: &Quote) -> Vec<&str> {
    quote.steps.iter().map(|s| s.rule.as_str()).collect()
}
