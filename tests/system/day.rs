//! The demo as a user runs it.

use crate::commands::{onecard, temporary};
use serde_json::Value;

fn report(seed: u32, name: &str) -> (Value, bool) {
    let directory = temporary();
    let file = directory.path().join(name);
    let output = onecard(&[
        "demo",
        "--readers",
        "memory",
        "--seed",
        &seed.to_string(),
        "--json",
        file.to_str().expect("UTF-8 path"),
    ]);
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (
        serde_json::from_str(&text).expect("JSON"),
        output.status.success(),
    )
}

/// Invariants 1, 2, 3 and 8 over a whole day, and the same day twice: byte for byte the same apart
/// from `measured`. The day's own checks are recomputed here from its figures, so that a check that
/// always says yes would be noticed.
#[test]
fn a_seeded_day_holds_and_repeats() {
    let (mut first, ok) = report(7, "a.json");
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
    for prefix in ["0 ", "2 ", "13 ", "20 "] {
        assert!(
            outcomes.keys().any(|key| key.starts_with(prefix)),
            "{prefix}{outcomes:?}"
        );
    }

    let (mut second, _) = report(7, "b.json");
    for day in [&mut first, &mut second] {
        day.as_object_mut().expect("object").remove("measured");
    }
    assert_eq!(first, second);
}
