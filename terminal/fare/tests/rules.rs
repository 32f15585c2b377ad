//! Sections, off-peak discounts, parking permits, and what a quote says of what else was possible.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{Fen, purse::files::CardKind};
use common::*;
use fare::*;

fn between(from: &str, to: &str) -> Ridden {
    let (from, to) = (from.into(), to.into());
    Ridden::Between { from, to }
}

fn quanzhou(route: &str, ridden: Ridden, rider: Rider) -> Quote {
    let ride = BusRide {
        operator: "QZBUS".into(),
        route: route.into(),
        ridden,
        at: minutes(600),
        rider,
        prior: None,
        state: None,
    };
    checked(tariffs().quote_bus(&ride).unwrap())
}

#[test]
fn quanzhou_sections_cost_one_to_four_yuan() {
    let fare = |ridden| quanzhou("QZB19", ridden, NORMAL).amount;
    // Sections begin at stops 1, 4, 6 and 8 of nine.
    for (from, to, yuan) in [
        ("QZB1001", "QZB1003", 1),
        ("QZB1003", "QZB1004", 2),
        ("QZB1001", "QZB1005", 2),
        ("QZB1001", "QZB1007", 3),
        ("QZB1001", "QZB1009", 4),
        ("QZB1009", "QZB1001", 4),
        ("QZB1008", "QZB1006", 2),
    ] {
        assert_eq!(fare(between(from, to)), Fen::yuan(yuan), "{from} {to}");
    }
    // Until the exit is known the ride is the longest that can be: from the middle not the whole.
    assert_eq!(fare(Ridden::Unknown), Fen::yuan(4));
    assert_eq!(fare(Ridden::From("QZB1001".into())), Fen::yuan(4));
    assert_eq!(fare(Ridden::From("QZB1004".into())), Fen::yuan(3));
    assert_eq!(fare(Ridden::From("QZB1008".into())), Fen::yuan(4));
    assert_eq!(fare(Ridden::Sections(1)), Fen::yuan(1));
    assert_eq!(fare(Ridden::Sections(4)), Fen::yuan(4));
    let unknown = BusRide {
        operator: "QZBUS".into(),
        route: "QZB19".into(),
        ridden: Ridden::From("FZM101".into()),
        at: minutes(600),
        rider: NORMAL,
        prior: None,
        state: None,
    };
    let error = tariffs().quote_bus(&unknown);
    assert_eq!(
        error,
        Err(QuoteError::Section("QZB19".into(), "FZM101".into()))
    );
    for n in [0, 5] {
        let keyed = BusRide {
            ridden: Ridden::Sections(n),
            ..unknown.clone()
        };
        let error = tariffs().quote_bus(&keyed);
        assert_eq!(error, Err(QuoteError::Sections("QZB19".into(), 4)));
    }
}

#[test]
fn quanzhou_concessions() {
    let fare = |rider| quanzhou("QZB19", between("QZB1001", "QZB1007"), rider).amount;
    assert_eq!(fare(STUDENT), Fen(225), "75 %");
    assert_eq!(fare(aged(60)), Fen(150), "half");
    assert_eq!(fare(aged(59)), Fen(300));
    assert_eq!(fare(ELDERLY), Fen(150));
    assert_eq!(fare(Rider::of_kind(CardKind::Disabled)), Fen::ZERO);
    // A student of 60 takes the better of the two.
    let both = Rider {
        kind: CardKind::Student,
        age: Some(60),
    };
    let quote = quanzhou("QZB2", Ridden::Unknown, both);
    assert_eq!((quote.amount, quote.saved()), (Fen(50), Fen(50)));
    let others: Vec<_> = quote
        .others
        .iter()
        .map(|o| (o.rule.as_str(), o.amount))
        .collect();
    assert_eq!(
        others,
        [
            ("quanzhou-bus/student-75", Fen(75)),
            ("quanzhou-bus/QZ-FLAT-1", Fen(100))
        ]
    );
}

#[test]
fn sections_that_contradict_the_feed_are_refused() {
    let file = "transit/quanzhou/bus.toml";
    for (from, to, says) in [
        ("[\"QZB1001\", ", "[\"QZB1002\", ", "the route's first stop"),
        (
            "\"QZB1004\", \"QZB1006\"",
            "\"QZB1006\", \"QZB1004\"",
            "in its order",
        ),
        ("\"1.00\", \"2.00\"", "\"2.00\", \"1.00\"", "must not fall"),
        ("\"1.00\", \"2.00\"", "\"2.00\"", "as many as"),
    ] {
        let mut texts = texts();
        let text = texts.get_mut(file).unwrap();
        assert!(text.contains(from));
        *text = text.replace(from, to);
        let error = Tariffs::from_texts(&texts).unwrap_err().to_string();
        assert!(error.starts_with(file) && error.contains(says), "{error}");
    }
}

#[test]
fn a_discount_may_hold_off_peak_only() {
    let mut texts = texts();
    let text = texts.get_mut("transit/fuzhou/metro.toml").unwrap();
    *text += r#"
[[discount]]
id = "early"
zh = "早鸟半价"
en = "early bird, half fare"
pay_percent = 50
during = [{ days = "workdays", from = "05:00", to = "07:00" }, { days = "rest-days", from = "00:00", to = "24:00" }]
"#;
    let set = Tariffs::from_texts(&texts).unwrap();
    let fare = |time: &str| {
        let ride = metro_ride("FZM101", "FZM106", (at(time), at(time)), NORMAL, None);
        checked(set.quote_metro(&ride).unwrap())
    };
    assert_eq!(fare("2026-11-23T06:59:59").amount, Fen(150));
    assert_eq!(fare("2026-11-23T07:00:00").amount, Fen(300));
    assert_eq!(fare("2026-11-22T12:00:00").amount, Fen(150));
    // A Saturday worked in exchange is a workday; the quote names the calendar.
    assert_eq!(fare("2026-10-10T12:00:00").amount, Fen(300));
    assert_eq!(
        fare("2026-10-10T12:00:00").also[0].id.as_str(),
        "cn-holidays"
    );
}

#[test]
fn larger_vehicles_pay_a_multiple_in_car_parks() {
    let price = |vehicle| {
        let stay = CarParkStay {
            operator: "FZPARK".into(),
            park: "FZP-STATION".into(),
            vehicle,
            entered_at: minutes(600),
            exited_at: minutes(600 + 1441),
            permit: None,
        };
        checked(tariffs().quote_car_park(&stay).unwrap()).amount
    };
    assert_eq!(price(VehicleClass::Small), Fen(6150));
    assert_eq!(price(VehicleClass::Medium), Fen(2 * 6150));
    assert_eq!(price(VehicleClass::Large), Fen(3 * 6150));
    let mut texts = texts();
    let text = texts.get_mut("transit/fuzhou/car-park.toml").unwrap();
    *text = text.replace("medium = 2, large = 3", "medium = 2");
    let set = Tariffs::from_texts(&texts).unwrap();
    let stay = CarParkStay {
        operator: "FZPARK".into(),
        park: "FZP-SJ".into(),
        vehicle: VehicleClass::Large,
        entered_at: minutes(600),
        exited_at: minutes(700),
        permit: None,
    };
    assert_eq!(
        set.quote_car_park(&stay),
        Err(QuoteError::Vehicle(VehicleClass::Large))
    );
}

#[test]
fn a_monthly_permit_covers_its_days_only() {
    let order = |permit: &str| PermitOrder {
        operator: "FZPARK".into(),
        permit: permit.to_owned(),
        month: "2026-02-17".parse().unwrap(),
    };
    let (quote, permit) = tariffs().quote_permit(&order("small-month")).unwrap();
    assert_eq!(quote.amount, Fen::yuan(300));
    assert_eq!(
        (permit.from.to_string(), permit.to.to_string()),
        ("2026-02-01".into(), "2026-02-28".into())
    );
    assert_eq!(
        tariffs().quote_permit(&order("none")),
        Err(QuoteError::Permit("none".into()))
    );
    let stay = |park: &str, vehicle, from, to| {
        let stay = CarParkStay {
            operator: "FZPARK".into(),
            park: park.into(),
            vehicle,
            entered_at: at(from),
            exited_at: at(to),
            permit: Some(permit.clone()),
        };
        checked(tariffs().quote_car_park(&stay).unwrap())
    };
    let small = |from, to| stay("FZP-SJ", VehicleClass::Small, from, to);
    let inside = small("2026-02-10T08:00:00", "2026-02-12T08:00:00");
    assert_eq!((inside.amount, inside.saved()), (Fen::ZERO, inside.base));
    assert!(rules(&inside).contains(&"fuzhou-car-park/permit/small-month"));
    // Before the first day, after the last: priced as if the car came or went at midnight.
    assert_eq!(
        small("2026-01-31T23:00:00", "2026-02-03T00:00:00").amount,
        Fen(500)
    );
    assert_eq!(
        small("2026-01-31T23:45:00", "2026-02-03T00:00:00").amount,
        Fen::ZERO,
        "free minutes"
    );
    assert_eq!(
        small("2026-02-28T20:00:00", "2026-03-01T03:01:00").amount,
        Fen(600)
    );
    let after = small("2026-03-01T00:00:00", "2026-03-01T03:01:00");
    assert_eq!((after.amount, after.saved()), (Fen(600), Fen::ZERO));
    // Another car park, another vehicle.
    let day = ("2026-02-10T08:00:00", "2026-02-10T09:00:00");
    assert_eq!(
        stay("FZP-DJK", VehicleClass::Small, day.0, day.1).amount,
        Fen(500)
    );
    assert_eq!(
        stay("FZP-SJ", VehicleClass::Medium, day.0, day.1).amount,
        Fen(1000)
    );
}

#[test]
fn xiamen_transfers_reach_brt_and_back() {
    let from = |class| Some(PriorLeg::new(class, city("350200"), minutes(600)));
    let metro = |prior, rider| {
        let times = (minutes(620), minutes(640));
        metro("XMM101", "XMM103", times, rider, prior).amount
    };
    assert_eq!(metro(from(LegClass::Brt), NORMAL), Fen(120));
    assert_eq!(metro(from(LegClass::Metro), NORMAL), Fen(200));
    assert_eq!(
        bus("XMB1", minutes(620), NORMAL, from(LegClass::Brt)).amount,
        Fen(20)
    );
    assert_eq!(
        bus("XMB954", minutes(620), STUDENT, from(LegClass::Brt)).amount,
        Fen(50)
    );
}
