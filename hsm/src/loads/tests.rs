#![allow(clippy::expect_used)]

use super::*;

const PAN: &str = "03500000000000001234";
const DAY1: &str = "2026-11-23T08:00:00";
const DAY2: &str = "2026-11-24T00:00:01";

fn pan() -> Pan {
    PAN.parse().expect("pan")
}

fn asked(seq: u16, given: Given, time: &str) -> Asked<'static> {
    Asked {
        pan: pan(),
        account: Account::Purse,
        seq,
        given,
        time: time.parse().expect("time"),
        now: time.parse().expect("time"),
        order_id: "h",
    }
}

fn load(yuan: i64) -> Given {
    Given::Load(Fen::yuan(yuan))
}

fn limit(yuan: i64) -> Given {
    Given::Limit(Fen::yuan(yuan))
}

fn limits() -> LoadLimits {
    let account = |per_load, per_day| AccountLimits {
        per_load: Fen::yuan(per_load),
        per_day: Fen::yuan(per_day),
    };
    LoadLimits {
        purse: account(100, 150),
        medical: account(40, 40),
        overdraft: Fen::yuan(20),
    }
}

fn memory() -> (tempfile::TempDir, std::path::PathBuf, Loads) {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("loads.jsonl");
    let loads = Loads::create(&path).expect("created");
    (directory, path, loads)
}

#[test]
fn limits_sequences_and_restart() {
    let (_directory, path, mut loads) = memory();
    for (amount, ok) in [(0, false), (-1, false), (101, false), (100, true)] {
        let ask = asked(4, load(amount), DAY1);
        assert_eq!(loads.allow(limits(), &ask).is_ok(), ok);
    }
    let first = asked(4, load(100), DAY1);
    loads.authorised(&first, [1; 4]).expect("kept");
    let check = |loads: &Loads| {
        // The same again, another amount, an older sequence, the day's rest, the next day.
        for (seq, amount, time, ok) in [
            (4, 100, DAY1, true),
            (4, 99, DAY1, false),
            (3, 100, DAY1, false),
            (5, 51, DAY1, false),
            (5, 50, DAY1, true),
            (5, 100, DAY2, true),
        ] {
            let ask = asked(seq, load(amount), time);
            assert_eq!(loads.allow(limits(), &ask).is_ok(), ok, "{seq} {amount}");
        }
    };
    check(&loads);
    // A repeat with another random number is counted once.
    loads.authorised(&first, [2; 4]).expect("kept");
    check(&loads);
    drop(loads);
    check(&Loads::open(&path).expect("opens"));
}

/// The purse has one sequence for loads and limits; a limit neither counts as money nor begins a
/// new day for it.
#[test]
fn a_sequence_has_a_load_or_a_limit() {
    let (_directory, path, mut loads) = memory();
    for (yuan, ok) in [(-1, false), (21, false), (20, true), (0, true)] {
        let ask = asked(4, limit(yuan), DAY1);
        assert_eq!(loads.allow(limits(), &ask).is_ok(), ok, "{yuan}");
    }
    for (seq, given) in [(4, load(100)), (5, limit(20))] {
        loads
            .authorised(&asked(seq, given, DAY1), [1; 4])
            .expect("kept");
    }
    let check = |loads: &Loads| {
        for (seq, given, ok) in [
            (5, limit(20), true),
            (5, limit(10), false),
            (5, load(20), false),
            (4, limit(20), false),
            (6, limit(10), true),
            (6, load(50), true),
            (6, load(51), false),
        ] {
            let ask = asked(seq, given, DAY1);
            assert_eq!(loads.allow(limits(), &ask).is_ok(), ok, "{seq} {given}");
        }
    };
    check(&loads);
    drop(loads);
    check(&Loads::open(&path).expect("opens"));
}

#[test]
fn accounts_have_sequences_and_days_of_their_own() {
    let (_directory, path, mut loads) = memory();
    let medical = |seq, given| Asked {
        account: Account::Medical,
        ..asked(seq, given, DAY1)
    };
    loads
        .authorised(&asked(9, load(100), DAY1), [1; 4])
        .expect("kept");
    assert!(loads.allow(limits(), &medical(1, load(41))).is_err());
    assert!(loads.allow(limits(), &medical(1, limit(1))).is_err());
    assert!(loads.allow(limits(), &medical(1, load(40))).is_ok());
    loads
        .authorised(&medical(1, load(40)), [2; 4])
        .expect("kept");
    drop(loads);
    let loads = Loads::open(&path).expect("opens");
    assert!(loads.allow(limits(), &medical(2, load(1))).is_err());
    assert!(loads.allow(limits(), &medical(1, load(39))).is_err());
    assert!(loads.allow(limits(), &asked(10, load(50), DAY1)).is_ok());
}

/// A line as files of before medical loads have it.
#[test]
fn older_lines_are_the_purses() {
    let line = r#"{"event":"authorised","pan":"03500000000000001234","seq":4,"amount":100,
        "day":"2026-11-23","hold_id":"h","mac2":[1,2,3,4]}"#;
    let mut cards = BTreeMap::new();
    let event: Event = serde_json::from_str(line).expect("parses");
    replay(&mut cards, &event);
    let (_directory, _, mut loads) = memory();
    loads.cards = cards;
    assert!(loads.allow(limits(), &asked(4, load(2), DAY1)).is_err());
    let same = asked(4, Given::Load(Fen(100)), DAY1);
    assert!(loads.allow(limits(), &same).is_ok());
}

#[test]
fn three_failures_lock_across_a_restart() {
    let (_directory, path, mut loads) = memory();
    let ask = asked(1, load(1), DAY1);
    for _ in 0..FAILURES_MAX {
        assert!(loads.allow(limits(), &ask).is_ok());
        loads.mac1_failed(ask.pan).expect("counted");
    }
    drop(loads);
    let mut loads = Loads::open(&path).expect("opens");
    assert!(loads.allow(limits(), &ask).is_err());
    loads.clear(ask.pan, Guess::Mac1).expect("cleared");
    assert!(loads.allow(limits(), &ask).is_ok());
}

fn mark(n: u8) -> BlockMark {
    BlockMark::from(&hsm_client::PinBlock {
        version: 1,
        block: [n; 16],
    })
}

/// Right answers do not buy further checks; a restart, a replayed block and a clock put back do not
/// either; the next day and two officers do.
#[test]
fn a_day_has_so_many_pin_checks() {
    let (_directory, path, mut loads) = memory();
    let day = |text: &str| text.parse().expect("date");
    let (yesterday, today, tomorrow) = (day("2026-11-22"), day("2026-11-23"), day("2026-11-24"));
    for n in 0..hsm_client::PIN_CHECKS_MAX {
        assert!(loads.pin_allowed(pan(), today, mark(n)).is_ok(), "{n}");
        // Two wrong, one right: never three in a row.
        let same = n % 3 == 2;
        loads
            .pin_checked(pan(), today, same, [mark(n), mark(200)])
            .expect("counted");
    }
    drop(loads);
    let mut loads = Loads::open(&path).expect("opens");
    assert!(loads.pin_allowed(pan(), today, mark(100)).is_err());
    assert!(loads.pin_allowed(pan(), yesterday, mark(100)).is_err());
    assert!(loads.pin_allowed(pan(), tomorrow, mark(100)).is_ok());
    for seen in [mark(0), mark(9), mark(200)] {
        assert!(loads.pin_allowed(pan(), tomorrow, seen).is_err());
    }
    loads.clear(pan(), Guess::Pin).expect("cleared");
    assert!(loads.pin_allowed(pan(), today, mark(100)).is_ok());
    assert!(loads.pin_allowed(pan(), today, mark(0)).is_err());
}

/// A clock that goes back, or swings between two days, buys no second limit.
#[test]
fn a_day_never_comes_back() {
    let (_directory, path, mut loads) = memory();
    let days = [DAY1, DAY2, DAY1, DAY2, DAY1];
    let mut total = 0;
    for (seq, day) in (1..).zip(days) {
        let asked = asked(seq, load(75), day);
        if loads.allow(limits(), &asked).is_ok() {
            loads.authorised(&asked, [1; 4]).expect("kept");
            total += 75;
        }
    }
    assert_eq!(
        total,
        75 + 150,
        "the first day's first load, and the second day's limit"
    );
    drop(loads);
    let loads = Loads::open(&path).expect("opens");
    assert!(loads.allow(limits(), &asked(9, load(1), DAY1)).is_err());
}

#[test]
fn an_order_of_another_day_holds_no_limit() {
    let (_directory, _path, mut loads) = memory();
    let of = |seq, time: &str, now: &str| Asked {
        now: now.parse().expect("time"),
        ..asked(seq, load(10), time)
    };
    for (time, now, ok) in [
        (DAY1, "2026-11-24T08:00:00", true),
        (DAY1, "2026-11-24T08:00:01", false),
        ("2026-11-24T08:00:00", DAY1, true),
        ("2026-11-24T08:00:01", DAY1, false),
        // The HSM's clock is years ahead.
        (DAY1, "2031-11-23T08:00:00", false),
    ] {
        let ask = of(4, time, now);
        assert_eq!(loads.allow(limits(), &ask).is_ok(), ok, "{time} {now}");
    }
    // What was answered once is answered again, however late the card comes back.
    let first = of(4, DAY1, DAY1);
    loads.authorised(&first, [1; 4]).expect("kept");
    let again = of(4, DAY1, "2026-12-24T08:00:00");
    assert!(loads.allow(limits(), &again).is_ok());
}
