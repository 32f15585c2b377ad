//! What the loader accepts, and what it says about a file that is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use common::*;
use fare::*;

/// Loads the example data with one text replaced in one file, and gives the complaint.
fn broken(file: &str, from: &str, to: &str) -> String {
    let mut texts = texts();
    let text = texts.get_mut(file).unwrap_or_else(|| panic!("no {file}"));
    assert!(text.contains(from), "{file} has no `{from}`");
    *text = text.replacen(from, to, 1);
    Tariffs::from_texts(&texts).unwrap_err().to_string()
}

fn stands_at(error: &str, file: &str, line: usize) -> bool {
    let rest = error.strip_prefix(&format!("{file}, line {line}"));
    rest.is_some_and(|rest| rest.starts_with([',', ':']))
}

fn line_of(file: &str, needle: &str) -> usize {
    let texts = texts();
    let text = &texts[file];
    1 + text[..text.find(needle).unwrap()].matches('\n').count()
}

#[test]
fn folder_and_texts_agree() {
    let set = Tariffs::from_texts(&texts()).unwrap();
    let ids = |set: &Tariffs| set.operators().map(|o| o.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&set), ids(tariffs()));
    assert_eq!(set.stations(&"FZMTR".into()).len(), 25 + 22 - 1);
    assert_eq!(set.stations(&"XMMTR".into()).len(), 24);
}

#[test]
fn codes_map_both_ways() {
    let set = tariffs();
    for operator in set.operators() {
        for route in set.routes(&operator.id) {
            assert_eq!(set.route_by_code(&operator.id, route.code), Some(route));
            assert_eq!(set.route(&operator.id, &route.id), Some(route));
            for stop in &route.stops {
                let stop = set.stop(&operator.id, stop).unwrap();
                assert_eq!(set.stop_by_code(&operator.id, stop.code), Some(stop));
                let field = stop.code.to_metro_field();
                assert_eq!(StationCode::from_metro_field(field), Some(stop.code));
            }
        }
    }
    let line = set.route(&"FZMTR".into(), &"FZM2".into()).unwrap();
    assert_eq!(line.code.metro_byte(), Some(2));
    assert_eq!(
        (line.name.as_str(), line.en.as_str()),
        ("2号线", "Suyang - Yangli")
    );
    let stop = set.stop(&"FZMTR".into(), &"FZM109".into()).unwrap();
    assert_eq!(
        (stop.zh.as_str(), stop.en.as_str()),
        ("南门兜", "Nanmendou")
    );
    assert_eq!(set.zone_classes(&"FZSTREET".into()).len(), 3);
    assert_eq!(set.car_parks(&"FZPARK".into()).len(), 4);
}

#[test]
fn a_missing_folder_is_named() {
    let error = Tariffs::load(&folder().join("nowhere"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("nowhere") && error.contains("operators.toml"),
        "{error}"
    );
    let mut texts = texts();
    texts.remove("transit/xiamen/gtfs/stop_times.txt");
    let error = Tariffs::from_texts(&texts).unwrap_err().to_string();
    assert!(
        error.contains("transit/xiamen/gtfs/stop_times.txt is missing"),
        "{error}"
    );
}

#[test]
fn provenance_is_required() {
    for file in [
        "operators.toml",
        "transit/calendar.toml",
        "transit/fuzhou/metro.toml",
        "transit/fuzhou/bus.toml",
        "transit/fuzhou/transfer.toml",
        "transit/fuzhou/taxi.toml",
        "transit/fuzhou/street-parking.toml",
        "transit/fuzhou/car-park.toml",
    ] {
        for key in ["source = ", "date = ", "status = "] {
            let text = &texts()[file];
            let start = text.find("[provenance]").unwrap();
            let from = start + text[start..].find(key).unwrap();
            let row = text[from..].lines().next().unwrap();
            let error = broken(file, row, "");
            assert!(error.starts_with(file), "{error}");
            assert!(error.contains(key.trim_end_matches(" = ")), "{error}");
        }
    }
}

#[test]
fn toml_errors_name_file_line_and_reason() {
    let file = "transit/fuzhou/metro.toml";
    for (from, to, says) in [
        (
            "fare = \"3.00\"",
            "fare = \"3.001\"",
            ", fare: `3.001` is not an amount",
        ),
        ("fare = \"3.00\"", "fare = \"-3.00\"", "is not an amount"),
        ("fare = \"3.00\"", "fare = 3.0", "string"),
        ("from = \"07:00\"", "from = \"7 o'clock\"", "HH:MM"),
        ("same_station", "same_staton", "same_staton"),
        ("date = \"2026-11-01\"", "date = \"2026-02-30\"", "range"),
        ("kinds = [\"elderly\"]", "kinds = [\"old\"]", "old"),
    ] {
        let error = broken(file, from, to);
        let line = line_of(file, from);
        assert!(stands_at(&error, file, line), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn contradictions_are_refused() {
    let metro = "transit/fuzhou/metro.toml";
    for (file, from, to, says) in [
        (metro, "up_to_m = 10000", "up_to_m = 5000", "band"),
        (metro, "every_m = 9000", "every_m = 0", "tail.every_m"),
        (metro, "fare = \"3.00\"", "fare = \"1.00\"", "band"),
        (
            metro,
            "operator = \"FZMTR\"",
            "operator = \"FZBUS\"",
            "not of this kind",
        ),
        (
            metro,
            "operator = \"FZMTR\"",
            "operator = \"NOBODY\"",
            "operators.toml",
        ),
        (
            metro,
            "city = \"350100\"",
            "city = \"350200\"",
            "works in 350100",
        ),
        (metro, "code = 2\n", "code = 1\n", "unique"),
        (metro, "code = 2\n", "code = 300\n", "from 1 to 255"),
        (metro, "code = 2\n", "code = 0\n", "from 1 to 255"),
        ("transit/fuzhou/bus.toml", "code = 17", "code = 0", "from 1"),
        (
            metro,
            "route = \"FZM2\"",
            "route = \"FZB5\"",
            "no such route of FZMTR",
        ),
        (
            metro,
            "to = \"FZM102\"",
            "to = \"FZM103\"",
            "no trip of the line runs between",
        ),
        (metro, "metres = 1336", "metres = 0", "between 1 and 100000"),
        (metro, "pay_percent = 0", "pay_percent = 101", "pay_percent"),
        (metro, "kind = \"metro\"", "kind = \"calendar\"", "once"),
        (
            "transit/fuzhou/bus.toml",
            "code = 17",
            "code = 5",
            "already that of `FZB5`",
        ),
        (
            "transit/fuzhou/bus.toml",
            "id = \"FZB17\"",
            "id = \"FZM1\"",
            "no such route of FZBUS",
        ),
        (
            metro,
            "id = \"fuzhou-metro\"",
            "id = \"fuzhou-bus\"",
            "another file's",
        ),
        (
            "transit/fuzhou/transfer.toml",
            "min_gap_seconds = 180",
            "min_gap_seconds = 6000",
            "min_gap",
        ),
        (
            "transit/fuzhou/transfer.toml",
            "to = [\"metro\"]",
            "to = [\"outside\"]",
            "takes no part",
        ),
        (
            "transit/fuzhou/transfer.toml",
            "city = \"350100\"",
            "city = \"350500\"",
            "not that of the folder",
        ),
        (
            "transit/fuzhou/contracts.toml",
            "city = \"350100\"",
            "city = \"350200\"",
            "not that of the folder",
        ),
        (
            "transit/fuzhou/taxi.toml",
            "chosen = \"as-distance\"",
            "chosen = \"x\"",
            "no reading `x`",
        ),
        (
            "transit/fuzhou/taxi.toml",
            "unit = { metres = 500",
            "unit = { metres = 0",
            "unit.metres",
        ),
        (
            "transit/fuzhou/street-parking.toml",
            "unit_minutes = 30",
            "unit_minutes = 0",
            "unit_minutes",
        ),
        (
            "transit/fuzhou/car-park.toml",
            "unit_minutes = 30",
            "unit_minutes = 0",
            "FZP-DJK",
        ),
        (
            "transit/calendar.toml",
            "to = \"2026-01-03\"",
            "to = \"2025-01-03\"",
            "holidays[0]",
        ),
        (
            "transit/calendar.toml",
            "\"2026-01-04\"",
            "\"2025-01-04\"",
            "worked[0]: outside `years`",
        ),
        (
            "transit/calendar.toml",
            "\"2026-01-04\"",
            "\"2026-01-03\"",
            "also a holiday",
        ),
        (
            "operators.toml",
            "id = \"FZTAXI\"",
            "id = \"FZBUS\"",
            "appears twice",
        ),
    ] {
        let error = broken(file, from, to);
        assert!(error.starts_with(&format!("{file}, line ")), "{error}");
        assert!(error.contains(says), "{error}");
    }
    // A trip of the feed runs over a segment that the tariff does not measure.
    let text = texts()[metro].clone();
    let row = text.lines().find(|l| l.contains("metres = 1098")).unwrap();
    assert!(broken(metro, row, "").contains("has no length for the segment FZM102 - FZM103"));
}

#[test]
fn gtfs_errors_name_file_and_line() {
    let dir = "transit/fuzhou/gtfs/";
    for (file, from, to, says) in [
        (
            "routes.txt",
            "FZM1,FZMTR",
            "FZM1,NOBODY",
            "`NOBODY` is not in agency.txt",
        ),
        ("routes.txt", "FZM2,FZMTR", "FZM1,FZMTR", "appears twice"),
        (
            "trips.txt",
            "FZB5,daily",
            "FZB6,daily",
            "`FZB6` is not in routes.txt",
        ),
        (
            "stop_times.txt",
            "FZM103,3",
            "FZM999,3",
            "`FZM999` is not in stops.txt",
        ),
        (
            "stop_times.txt",
            "FZM103,3",
            "FZM103,2",
            "stop_sequence: 2 appears twice",
        ),
        (
            "stop_times.txt",
            "FZM103,3",
            "FZM103,three",
            "stop_sequence: ",
        ),
        ("stops.txt", "FZM102,102,秀山", "FZM102,102,", "stop_name"),
        ("stops.txt", "FZM102,102", "FZM102,101", "stop_code: `101`"),
        (
            "stops.txt",
            "FZM102,102",
            "FZM102,70000",
            "stop_code: `70000`",
        ),
        ("fare_attributes.txt", "2.00,CNY", "2.00,USD", "CNY"),
        (
            "stop_times.txt",
            "FZM103,3,0",
            "FZM103,3",
            "has 5 fields where",
        ),
        (
            "fare_attributes.txt",
            "2.00,CNY",
            "two,CNY",
            "is not an amount",
        ),
        (
            "fare_rules.txt",
            "FZ-FLAT-1,FZB17",
            "FZ-FLAT-9,FZB17",
            "FZ-FLAT-9",
        ),
        (
            "fare_rules.txt",
            "FZ-FLAT-1,FZB17",
            "FZ-FLAT-1,FZB5",
            "already has a flat fare",
        ),
    ] {
        let file = format!("{dir}{file}");
        let line = line_of(&file, from);
        let error = broken(&file, from, to);
        assert!(stands_at(&error, &file, line), "{error}");
        assert!(error.contains(says), "{error}");
    }
    let error = broken(
        "transit/fuzhou/gtfs/fare_rules.txt",
        "FZ-FLAT-1,FZB17\n",
        "",
    );
    assert!(
        error.contains("route `FZB17`") && error.contains("has no fare"),
        "{error}"
    );
    let agency = broken("operators.toml", "id = \"XMBUS\"", "id = \"XMBUS2\"");
    assert!(agency.contains("agency_id: `XMBUS`"), "{agency}");
}

#[test]
fn questions_without_an_answer_say_why() {
    let set = tariffs();
    let ride = |from, to| metro_ride(from, to, (minutes(600), minutes(630)), NORMAL, None);
    assert_eq!(
        set.quote_metro(&ride("FZM101", "FZM999")),
        Err(QuoteError::Stop("FZMTR".into(), "FZM999".into()))
    );
    let backwards = MetroRide {
        exited_at: minutes(599),
        ..ride("FZM101", "FZM102")
    };
    assert_eq!(set.quote_metro(&backwards), Err(QuoteError::TimeOrder));
    let mut other = BusRide {
        operator: "FZMTR".into(),
        route: "FZB17".into(),
        ridden: Ridden::Unknown,
        at: minutes(600),
        rider: NORMAL,
        prior: None,
        state: None,
    };
    assert_eq!(
        set.quote_bus(&other),
        Err(QuoteError::Operator("FZMTR".into()))
    );
    other.operator = "XMBUS".into();
    assert_eq!(
        set.quote_bus(&other),
        Err(QuoteError::Route("XMBUS".into(), "FZB17".into()))
    );
    let mut stay = CarParkStay {
        operator: "FZPARK".into(),
        park: "FZP-SJ".into(),
        vehicle: VehicleClass::Small,
        permit: None,
        entered_at: at("2026-01-01T00:00:00"),
        exited_at: at("2027-01-02T00:00:00"),
    };
    assert!(set.quote_car_park(&stay).is_ok());
    stay.exited_at = at("2027-01-02T00:00:01");
    assert_eq!(set.quote_car_park(&stay), Err(QuoteError::TooLong(366)));
    stay.park = "FZP-NONE".into();
    assert_eq!(
        set.quote_car_park(&stay),
        Err(QuoteError::Park("FZP-NONE".into()))
    );
}

#[test]
fn records_of_other_systems_open_no_window() {
    assert_eq!(LegMark::from_rfu([0; 6]), None);
    assert_eq!(LegMark::from_rfu([1, 9, 0, 0, 0, 0]), None);
    assert_eq!(Place::from_bytes([0, 1, 0, 2, 0, 0, 1]), None);
    assert_eq!(
        StationCode::from_metro_field([0, 1, 2, 0, 0, 0, 0, 0]),
        None
    );
}

/// A name that no leg has would make a pass that never pays, a cap that never holds.
#[test]
fn scopes_and_zone_fares_name_what_is_there() {
    let fares = "{ zones = [\"A\", \"A\"], fare = \"2.00\" }, { zones = [\"A\", \"B\"], fare = \"3.00\" }, { zones = [\"B\", \"B\"], fare = \"2.00\" }";
    let cap = |scope: &str| {
        format!(
            "[[cap]]\nid = \"c\"\nzh = \"c\"\nen = \"c\"\ncounter = 1\nday = \"6.00\"\nscope = {{ {scope} }}\n"
        )
    };
    let pass = |scope: &str| {
        format!(
            "[[pass]]\nid = \"p\"\ncode = 1\nzh = \"p\"\nen = \"p\"\nprice = \"9.00\"\nvalidity = \"calendar-month\"\nscope = {{ {scope} }}\n"
        )
    };
    let load = |fares: &str, contracts: &str| {
        let texts = kata_texts(fares, "", contracts, "");
        Tariffs::from_texts(&texts).map_err(|e| e.to_string())
    };
    for (good, bad) in [
        (
            "operators = [\"KM\", \"KB\"]",
            "operators = [\"KM\", \"KBUS\"]",
        ),
        ("routes = [\"KB1\"]", "routes = [\"KB2\"]"),
        ("routes = [\"KB1\"]", "routes = [\"KM1\"]"),
        ("zones = [\"A\", \"B\"]", "zones = [\"A\", \"C\"]"),
    ] {
        for (record, name) in [(cap(good), "cap `c`"), (pass(good), "pass `p`")] {
            load(fares, &record).unwrap();
            let error = load(fares, &record.replace(good, bad)).unwrap_err();
            let place = format!(", {name}, scope, ");
            assert!(
                error.starts_with("transit/kata/contracts.toml, line ") && error.contains(&place),
                "{error}"
            );
        }
    }
    let more = format!("{fares}, {{ zones = [\"A\", \"C\"], fare = \"3.00\" }}");
    let error = load(&more, "").unwrap_err();
    assert!(error.contains("zone_fare[3], zones: `C`"), "{error}");
}
