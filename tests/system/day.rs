//! The demo as a user runs it.

use crate::commands::{onecard, pcscd, temporary};
use serde_json::Value;

/// Runs a day; answers the report as text up to `measured`, its last member, as JSON, and success.
fn day(readers: &str, seed: u32) -> (String, Value, bool) {
    let directory = temporary();
    let file = directory.path().join("day.json");
    let output = onecard(&[
        "demo",
        "--readers",
        readers,
        "--seed",
        &seed.to_string(),
        "--json",
        file.to_str().expect("UTF-8 path"),
    ]);
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert!(value["measured"].is_object());
    let (repeats, _) = text.split_once("\"measured\"").expect("the last member");
    (repeats.to_owned(), value, output.status.success())
}

/// Invariants 1, 2, 3 and 8 over a whole day, and the same day twice: byte for byte the same apart
/// from `measured`. The day's own checks are recomputed here from its figures, so that a check that
/// always says yes would be noticed.
#[test]
fn a_seeded_day_holds_and_repeats() {
    let (text, first, ok) = day("memory", 7);
    assert!(ok, "{:#}", first["checks"]);
    let number = |path: &str| first[path].as_i64().expect(path);
    assert!(number("persons_accepted") >= 500);
    assert!(number("persons_refused") > 0);
    assert!(number("events_total") >= 2_000);
    let modes = first["events_by_mode"].as_object().expect("modes");
    let names = [
        "bus",
        "car_park",
        "medical",
        "metro",
        "parking_meter",
        "pension",
        "taxi",
        "top_up",
    ];
    assert_eq!(modes.keys().map(String::as_str).collect::<Vec<_>>(), names);
    assert!(modes.values().all(|n| n.as_u64() > Some(0)), "{modes:?}");
    let rows: u64 = modes.values().filter_map(Value::as_u64).sum();
    assert_eq!(rows as i64, number("events_total"));
    let balances: i64 = first["trial_balance"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["balance"].as_i64().expect("fen"))
        .sum();
    assert_eq!((balances, number("trial_balance_fen")), (0, 0));
    assert_eq!(
        number("purse_float_fen") - number("card_balances_fen") - number("pending_fen"),
        number("float_difference_fen")
    );
    assert_eq!(number("float_difference_fen"), 0);
    let outcomes = first["outcomes"].as_object().expect("outcomes");
    for prefix in ["00 ", "02 ", "13 ", "20 "] {
        assert!(
            outcomes.keys().any(|key| key.starts_with(prefix)),
            "{prefix}{outcomes:?}"
        );
    }

    let (again, _, _) = day("memory", 7);
    assert_eq!(text, again);
    let (other, _, ok) = day("memory", 8);
    assert!(ok && text != other, "another seed is another day");
}

/// The default of the demo: 20 cards, every SAM and every mode through the operating system's
/// PC/SC stack.
#[test]
fn a_day_through_a_real_pcscd_holds() {
    let _turn = pcscd();
    let (_, report, ok) = day("pcsc", 3);
    assert!(ok, "{:#}", report["checks"]);
    assert!(report["cards_issued_pcsc"].as_u64() >= Some(20));
    assert_eq!(report["sams_issued_pcsc"], report["sams_issued"]);
    assert!(report["events_by_reader"]["pcsc"].as_u64() >= Some(8));
    assert!(report["measured"]["pcsc_insertions"].as_u64() < Some(80));
}
