//! The published fare tables and rules, as `data/fujian` holds them. Sources stand in the data
//! files; the checks named "published" there are the first tests here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{Fen, purse::files::CardKind};
use common::*;
use fare::*;

const DAY: (u32, u32) = (10 * 60, 10 * 60 + 40);

fn off_peak() -> (card_spec::time::CardTime, card_spec::time::CardTime) {
    (minutes(DAY.0), minutes(DAY.1))
}

#[test]
fn end_to_end_fares_are_the_published_ones() {
    // Fuzhou line 2, 30.6 km: 7 yuan. Xiamen line 1, 30.3 km: 7 yuan.
    for (from, to, km) in [
        ("FZM201", "FZM222", "30.600"),
        ("XMM101", "XMM124", "30.300"),
    ] {
        for (a, b) in [(from, to), (to, from)] {
            let quote = metro(a, b, off_peak(), NORMAL, None);
            assert_eq!(quote.amount, Fen::yuan(7));
            assert!(quote.steps[0].zh.contains(km), "{:?}", quote.steps);
            assert!(quote.steps[0].en.contains("derived"), "{:?}", quote.steps);
            assert_eq!(quote.tariff.provenance.status, Status::Unverified);
        }
    }
}

#[test]
fn bands_change_one_metre_after_their_edge() {
    let fuzhou = [
        (5, 2),
        (10, 3),
        (15, 4),
        (22, 5),
        (29, 6),
        (38, 7),
        (47, 8),
        (56, 9),
    ];
    let xiamen = [
        (4, 2),
        (8, 3),
        (12, 4),
        (18, 5),
        (28, 6),
        (43, 7),
        (63, 8),
        (83, 9),
    ];
    for (operator, edges) in [("FZMTR", fuzhou), ("XMMTR", xiamen)] {
        for (km, yuan) in edges {
            let fare = |m| tariffs().metro_distance_fare(&operator.into(), m).unwrap();
            assert_eq!(fare(km * 1000), Fen::yuan(yuan), "{operator} {km} km");
            assert_eq!(
                fare(km * 1000 + 1),
                Fen::yuan(yuan + 1),
                "{operator} {km} km + 1 m"
            );
        }
    }
}

#[test]
fn published_metres_are_kept_and_shortest_ways_cross_lines() {
    // Fuzhou line 1, the first gaps: 1336 + 1098 + 1513 + 1209 + 840 = 5996 m, all published.
    let quote = metro("FZM101", "FZM106", off_peak(), NORMAL, None);
    assert_eq!(quote.amount, Fen::yuan(3));
    assert!(
        quote.steps[0].en.contains("5.996 km:"),
        "{}",
        quote.steps[0].en
    );
    // 5156 m is over the first edge, 3947 m below it.
    assert_eq!(
        metro("FZM101", "FZM105", off_peak(), NORMAL, None).amount,
        Fen::yuan(3)
    );
    assert_eq!(
        metro("FZM101", "FZM104", off_peak(), NORMAL, None).amount,
        Fen::yuan(2)
    );
    // Dongjiekou to Shuibu changes lines at Nanmendou, one station of both.
    let change = metro("FZM108", "FZM216", off_peak(), NORMAL, None);
    assert_eq!(change.amount, Fen::yuan(2));
}

#[test]
fn seventy_ride_free_except_in_workday_peaks() {
    let fare = |time: &str, rider| metro("FZM101", "FZM106", (at(time), at(time)), rider, None);
    let free = |time: &str| {
        let quote = fare(time, aged(70));
        match quote.amount {
            Fen(0) => true,
            Fen(300) => false,
            other => panic!("{other}"),
        }
    };
    assert!(free("2026-11-23T06:59:59"));
    assert!(!free("2026-11-23T07:00:00"));
    assert!(!free("2026-11-23T08:59:59"));
    assert!(free("2026-11-23T09:00:00"));
    assert!(!free("2026-11-23T17:00:00"));
    assert!(free("2026-11-23T19:00:00"));
    // A Saturday; a Saturday worked in exchange; a holiday on a Thursday.
    assert!(free("2026-11-28T08:00:00"));
    assert!(!free("2026-10-10T08:00:00"));
    assert!(free("2026-10-01T08:00:00"));
    // 69 pays; without a known age the card kind speaks.
    assert_eq!(fare("2026-11-23T10:00:00", aged(69)).amount, Fen(300));
    assert_eq!(fare("2026-11-23T10:00:00", ELDERLY).amount, Fen::ZERO);
    let young_on_elderly_card = Rider {
        kind: CardKind::Elderly,
        age: Some(69),
    };
    assert_eq!(
        fare("2026-11-23T10:00:00", young_on_elderly_card).amount,
        Fen(300)
    );
    // The quote names the calendar it depended on.
    let peak = fare("2026-11-23T08:00:00", aged(70));
    assert_eq!(peak.also[0].id.as_str(), "cn-holidays");
}

#[test]
fn sixty_five_ride_free_in_xiamen() {
    assert_eq!(
        metro("XMM101", "XMM124", off_peak(), aged(65), None).amount,
        Fen::ZERO
    );
    assert_eq!(
        metro("XMM101", "XMM124", off_peak(), aged(64), None).amount,
        Fen(700)
    );
    assert_eq!(bus("XMB1", minutes(600), aged(65), None).amount, Fen::ZERO);
}

#[test]
fn t_union_takes_a_tenth_off_one_yuan_routes_only() {
    assert_eq!(bus("FZB17", minutes(600), NORMAL, None).amount, Fen(90));
    assert_eq!(bus("FZB106", minutes(600), NORMAL, None).amount, Fen(200));
    assert_eq!(bus("FZB39", minutes(600), NORMAL, None).amount, Fen(400));
}

#[test]
fn fuzhou_transfer_by_direction_and_window() {
    let t0 = 10 * 3600;
    let from_bus = Some(PriorLeg::new(
        LegClass::CityBus,
        city("350100"),
        seconds(t0),
    ));
    let from_metro = Some(PriorLeg::new(LegClass::Metro, city("350100"), seconds(t0)));
    let to_bus = |gap, prior| bus("FZB17", seconds(t0 + gap), NORMAL, prior).amount;
    let to_metro = |gap, prior| {
        let entry = seconds(t0 + gap);
        metro(
            "FZM101",
            "FZM106",
            (entry, seconds(t0 + gap + 7200)),
            NORMAL,
            prior,
        )
        .amount
    };
    // After the card discount: 1.00 -> 0.90 -> 0.40.
    assert_eq!(to_bus(180, from_bus), Fen(40));
    assert_eq!(to_bus(180, from_metro), Fen(40));
    assert_eq!(to_metro(180, from_bus), Fen(200));
    assert_eq!(
        to_metro(180, from_metro),
        Fen(300),
        "metro to metro earns nothing"
    );
    // At least 3 minutes, at most 90, both included.
    assert_eq!(to_bus(179, from_bus), Fen(90));
    assert_eq!(to_bus(5400, from_bus), Fen(40));
    assert_eq!(to_bus(5401, from_bus), Fen(90));
    assert_eq!(to_metro(179, from_bus), Fen(300));
    assert_eq!(to_metro(5400, from_bus), Fen(200));
    assert_eq!(to_metro(5401, from_bus), Fen(300));
    // A window of another city, or from the future (a clock set back), earns nothing.
    let xiamen = Some(PriorLeg::new(
        LegClass::CityBus,
        city("350200"),
        seconds(t0),
    ));
    assert_eq!(to_bus(600, xiamen), Fen(90));
    let later = Some(PriorLeg::new(
        LegClass::CityBus,
        city("350100"),
        seconds(t0 + 600),
    ));
    assert_eq!(to_bus(0, later), Fen(90));
    // Two yuan: no card discount, transfer discount in full.
    assert_eq!(
        bus("FZB106", seconds(t0 + 600), NORMAL, from_bus).amount,
        Fen(150)
    );
}

#[test]
fn other_lines_neither_earn_nor_disturb() {
    let t0 = 10 * 3600;
    let first = bus("FZB17", seconds(t0), NORMAL, None);
    let prior = |quote: &Quote, time| on_card(&quote.leg, "350100", time);
    let suburban = bus(
        "FZB39",
        seconds(t0 + 600),
        NORMAL,
        prior(&first, seconds(t0)),
    );
    assert_eq!(suburban.amount, Fen(400));
    // The window is still that of the first bus: 90 minutes from it, not from the suburban one.
    let after = prior(&suburban, seconds(t0 + 600));
    let metro_at = |gap| {
        let times = (seconds(t0 + gap), seconds(t0 + gap + 900));
        metro("FZM101", "FZM106", times, NORMAL, after).amount
    };
    assert_eq!(metro_at(5400), Fen(200));
    assert_eq!(metro_at(5401), Fen(300));
    // A suburban bus alone opens no window.
    let alone = bus("FZB39", seconds(t0), NORMAL, None);
    assert_eq!(prior(&alone, seconds(t0)), None);
}

/// Writes a leg into a journey record, reads the 48 bytes back and gives what the next terminal
/// takes from them.
fn on_card(leg: &LegMark, region: &str, time: card_spec::time::CardTime) -> Option<PriorLeg> {
    use card_spec::purse::files::{Journey, JourneyType, Mode};
    let record = Journey {
        kind: JourneyType::Single,
        device: "0000350100000001".parse().unwrap(),
        mode: Mode::Bus,
        place: Place {
            line: LineCode(17),
            station: StationCode(1001),
        }
        .to_bytes(),
        amount: Fen(90),
        balance: Fen(5000),
        time,
        city: city(region).to_bytes(),
        acquirer: [0; 8],
        rfu: leg.to_rfu(),
    };
    let back = Journey::from_bytes(&record.to_bytes()).unwrap();
    assert_eq!(
        Place::from_bytes(back.place).unwrap().station,
        StationCode(1001)
    );
    PriorLeg::from_journey(&back)
}

#[test]
fn a_bus_window_survives_the_metro_entry_record() {
    let t0 = 10 * 3600;
    let first = bus("FZB17", seconds(t0), NORMAL, None);
    let prior = on_card(&first.leg, "350100", seconds(t0));
    let terms = tariffs()
        .metro_entry(&MetroEntry {
            operator: "FZMTR".into(),
            stop: "FZM101".into(),
            at: seconds(t0 + 900),
            rider: NORMAL,
            prior,
            state: None,
        })
        .unwrap();
    // Highest single fare of the network, no transfer counted on; the cheapest with it.
    let highest = tariffs().metro_highest_fare(&"FZMTR".into()).unwrap();
    assert_eq!(terms.maximum, highest);
    assert_eq!(terms.least, Fen(100));
    // The exit gate sees only the entry's record.
    let carried = on_card(&terms.leg, "350100", seconds(t0 + 900));
    let times = (seconds(t0 + 900), seconds(t0 + 9000));
    let exit = metro("FZM101", "FZM106", times, NORMAL, carried);
    assert_eq!(exit.amount, Fen(200));
    // The exit opens a new window at its own time.
    let next = on_card(&exit.leg, "350100", seconds(t0 + 9000));
    assert_eq!(
        bus("FZB17", seconds(t0 + 9000 + 180), NORMAL, next).amount,
        Fen(40)
    );
}

#[test]
fn xiamen_transfer_by_kind_and_restart() {
    let t0 = 10 * 3600;
    let from = |class| Some(PriorLeg::new(class, city("350200"), seconds(t0)));
    let price =
        |route, gap, rider| bus(route, seconds(t0 + gap), rider, from(LegClass::CityBus)).amount;
    assert_eq!(price("XMB21", 3600, NORMAL), Fen(20));
    assert_eq!(price("XMB21", 3601, NORMAL), Fen(100));
    // Student: half fare, then 0.50 off.
    assert_eq!(price("XMB21", 600, STUDENT), Fen::ZERO);
    assert_eq!(price("XMB954", 600, STUDENT), Fen(50));
    let ride = |rider, prior| {
        let times = (seconds(t0 + 600), seconds(t0 + 1200));
        metro("XMM101", "XMM103", times, rider, prior)
    };
    assert_eq!(ride(NORMAL, from(LegClass::CityBus)).amount, Fen(120));
    assert_eq!(ride(NORMAL, from(LegClass::Metro)).amount, Fen(200));
    // No student fare on the metro: the ordinary 0.80 is better than the student's 0.50, and the
    // rider pays the lower.
    assert_eq!(ride(STUDENT, from(LegClass::CityBus)).amount, Fen(120));
    // A later tap restarts the window.
    let second = bus("XMB21", seconds(t0 + 3000), NORMAL, from(LegClass::CityBus));
    let prior = on_card(&second.leg, "350200", seconds(t0 + 3000));
    assert_eq!(
        bus("XMB1", seconds(t0 + 6600), NORMAL, prior).amount,
        Fen(20)
    );
}

#[test]
fn overstay_and_same_station() {
    let stay = |from, to, min: u32, rider| {
        metro(from, to, (minutes(600), minutes(600 + min)), rider, None)
    };
    // Xiamen: 180 minutes, then the network's highest single fare (7 yuan).
    assert_eq!(stay("XMM101", "XMM103", 180, NORMAL).amount, Fen(200));
    let over = stay("XMM101", "XMM103", 181, NORMAL);
    assert_eq!(over.amount, Fen(700));
    assert_eq!(
        rules(&over),
        ["xiamen-metro/distance", "xiamen-metro/overstay"]
    );
    assert_eq!(stay("XMM101", "XMM103", 181, aged(65)).amount, Fen::ZERO);
    // Fuzhou: no limit known, none charged.
    assert_eq!(stay("FZM101", "FZM103", 600, NORMAL).amount, Fen(200));
    assert_eq!(stay("FZM101", "FZM101", 5, NORMAL).amount, Fen(200));
    assert_eq!(
        rules(&stay("FZM101", "FZM101", 5, NORMAL)),
        ["fuzhou-metro/same-station"]
    );
}

#[test]
fn taxi_by_distance_night_and_waiting() {
    let day = minutes(600);
    assert_eq!(taxi(0, 0, day).amount, Fen::yuan(10));
    assert_eq!(taxi(3000, 0, day).amount, Fen::yuan(10));
    assert_eq!(taxi(3001, 0, day).amount, Fen::yuan(11));
    // 8 km: 10 + 5 x 2. 10 km: + 2 x 2 x 1.5.
    assert_eq!(taxi(8000, 0, day).amount, Fen::yuan(20));
    assert_eq!(taxi(10_000, 0, day).amount, Fen::yuan(26));
    // The reading chosen from two conflicting sources: 5 minutes count as 1 km.
    assert_eq!(taxi(3000, 299, day).amount, Fen::yuan(10));
    let slow = taxi(3000, 600, day);
    assert_eq!(slow.amount, Fen::yuan(14));
    assert!(rules(&slow).contains(&"fuzhou-taxi/low-speed/as-distance"));
    // 23:00 to 05:00, +20 %.
    assert_eq!(taxi(8000, 0, at("2026-11-23T22:59:59")).amount, Fen(2000));
    assert_eq!(taxi(8000, 0, at("2026-11-23T23:00:00")).amount, Fen(2400));
    assert_eq!(taxi(8000, 0, at("2026-11-24T04:59:59")).amount, Fen(2400));
    assert_eq!(taxi(8000, 0, at("2026-11-24T05:00:00")).amount, Fen(2000));
}

#[test]
fn the_other_reading_of_waiting_is_one_word_away() {
    let mut texts = texts();
    let file = texts.get_mut("transit/fuzhou/taxi.toml").unwrap();
    *file = file.replace("chosen = \"as-distance\"", "chosen = \"per-minute\"");
    let set = Tariffs::from_texts(&texts).unwrap();
    let trip = TaxiTrip {
        operator: "FZTAXI".into(),
        metres: 3000,
        low_speed_seconds: 600,
        started_at: minutes(600),
        ended_at: minutes(620),
    };
    assert_eq!(set.quote_taxi(&trip).unwrap().amount, Fen(1800));
}

#[test]
fn street_parking_units_night_and_caps() {
    use VehicleClass::*;
    let day =
        |class, vehicle, min: u32| meter(class, vehicle, minutes(600), minutes(600 + min)).amount;
    assert_eq!(day("I", Small, 0), Fen::ZERO);
    assert_eq!(day("I", Small, 1), Fen(400));
    assert_eq!(day("I", Small, 30), Fen(400));
    assert_eq!(day("I", Small, 31), Fen(800));
    assert_eq!(day("II", Small, 60), Fen(600));
    assert_eq!(day("III", Small, 60), Fen(400));
    assert_eq!(day("III", Medium, 60), Fen(800));
    assert_eq!(day("III", Large, 60), Fen(1200));
    // 22:00 to 07:00 is free; 21:50 to 07:10 has 20 paid minutes.
    let night = |from, to| meter("I", Small, at(from), at(to)).amount;
    assert_eq!(
        night("2026-11-23T22:00:00", "2026-11-24T07:00:00"),
        Fen::ZERO
    );
    assert_eq!(
        night("2026-11-23T21:50:00", "2026-11-24T07:10:00"),
        Fen(400)
    );
    // 24-hour caps 65/45/30; the next 24 hours start again.
    for (class, cap) in [("I", 6500), ("II", 4500), ("III", 3000)] {
        assert_eq!(day(class, Small, 1440), Fen(cap));
        assert_eq!(day(class, Medium, 1440), Fen(2 * cap));
        assert_eq!(day(class, Small, 2880), Fen(2 * cap));
    }
    let capped = meter("I", Small, minutes(600), minutes(600 + 1440));
    assert_eq!(capped.base, Fen(30 * 400));
    assert_eq!(
        rules(&capped),
        [
            "fuzhou-street-parking/class-I",
            "fuzhou-street-parking/cap-24h"
        ]
    );
}

#[test]
fn car_park_free_minutes_day_night_and_cap() {
    let stay = |id, from: u32, min: u32| park(id, minutes(from), minutes(from + min)).amount;
    // 15 minutes free; then the first 5 yuan cover 1, 2 or 3 hours by class.
    for (id, hours) in [
        ("FZP-DJK", 1),
        ("FZP-SCJ", 2),
        ("FZP-SJ", 3),
        ("FZP-STATION", 1),
    ] {
        assert_eq!(stay(id, 600, 15), Fen::ZERO, "{id}");
        assert_eq!(stay(id, 600, 16), Fen(500), "{id}");
        assert_eq!(stay(id, 600, hours * 60), Fen(500), "{id}");
        assert!(stay(id, 600, hours * 60 + 1) > Fen(500), "{id}");
    }
    let second = park("FZP-DJK", seconds(36_000), seconds(36_000 + 901)).amount;
    assert_eq!(second, Fen(500), "one second over the free minutes");
    // Railway station: 1.50 a started half hour, cap 60.
    assert_eq!(stay("FZP-STATION", 600, 61), Fen(650));
    assert_eq!(stay("FZP-STATION", 600, 90), Fen(650));
    assert_eq!(stay("FZP-STATION", 600, 91), Fen(800));
    assert_eq!(stay("FZP-STATION", 600, 1440), Fen(6000));
    assert_eq!(stay("FZP-STATION", 600, 1441), Fen(6150));
    assert_eq!(stay("FZP-STATION", 600, 2880), Fen(12_000));
    // Day ends at 19:30. Class I from 18:20: first hour to 19:20, a unit 19:20-19:50 straddles and
    // is a day unit, the one from 19:50 is a night unit.
    assert_eq!(stay("FZP-DJK", 18 * 60 + 20, 90), Fen(500 + 200));
    assert_eq!(stay("FZP-DJK", 18 * 60 + 20, 91), Fen(500 + 200 + 100));
    // Night ends at 07:30: a unit begun at 07:20 is a night unit.
    assert_eq!(stay("FZP-DJK", 6 * 60 + 20, 90), Fen(500 + 100));
    assert_eq!(stay("FZP-DJK", 6 * 60 + 20, 91), Fen(500 + 100 + 200));
}
