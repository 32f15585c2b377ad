//! Modes of stations that come with the tariffs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
use card_spec::{Fen, time::CardTime};
use common::*;
use fare::*;

const FILE: &str = "transit/xiamen/modes.toml";

fn modes(spans: &str) -> String {
    format!(
        r#"
kind = "modes"
id = "xiamen-modes"
city = "350200"
[provenance]
source = "the control centre"
date = "2026-03-16"
status = "synthetic"
{spans}
"#
    )
}

const FAILED: &str = r#"
[[span]]
operator = "XMMTR"
stops = ["XMM101"]
mode = "train-failure"
from = "2026-03-16T08:00:00"
to = "2026-03-16T09:00:00"
[[span]]
operator = "XMMTR"
stops = ["XMM103"]
mode = "order-bypass"
from = "2026-03-16T08:00:00"
"#;

fn load(spans: &str) -> Result<Tariffs, FareError> {
    let mut texts = texts();
    texts.insert(FILE.to_owned(), modes(spans));
    Tariffs::from_texts(&texts)
}

fn time(clock: &str) -> CardTime {
    format!("2026-03-16T{clock}").parse().unwrap()
}

fn paid(tariffs: &Tariffs, from: &str, to: &str, clock: &str) -> Fen {
    let exit = MetroExit {
        operator: "XMMTR".into(),
        stop: to.into(),
        at: time(clock),
        rider: NORMAL,
        prior: None,
        state: None,
    };
    let passage = Passage::Inside {
        stop: from.into(),
        at: time("07:50:00"),
        maximum: Fen(700),
    };
    // What the gate was told of itself counts besides.
    let told = ModeHistory(vec![ModeSpan {
        operator: "XMMTR".into(),
        stops: vec!["XMM105".into()],
        mode: StationMode::FareBypass,
        from: time("08:00:00"),
        to: None,
    }]);
    match tariffs.decide_exit(&exit, &passage, &told).unwrap() {
        ExitDecision::Leave { quote, .. } => quote.amount,
        other => panic!("{other:?}"),
    }
}

#[test]
fn gates_obey_published_modes_and_their_own() {
    let set = load(FAILED).unwrap();
    assert_eq!(paid(&set, "XMM103", "XMM101", "08:00:00"), Fen::ZERO);
    assert!(paid(&set, "XMM101", "XMM103", "08:00:00") > Fen::ZERO);
    assert!(paid(tariffs(), "XMM103", "XMM101", "08:00:00") > Fen::ZERO);
    assert_eq!(paid(&set, "XMM103", "XMM105", "08:00:00"), Fen::ZERO);
    // Out of the gates of a station where the order is not asked for, without an entry.
    let out = |stop: &str| {
        let exit = MetroExit {
            operator: "XMMTR".into(),
            stop: stop.into(),
            at: time("08:00:00"),
            rider: NORMAL,
            prior: None,
            state: None,
        };
        let outside = Passage::Outside { left: None };
        let told = ModeHistory::default();
        set.decide_exit(&exit, &outside, &told).unwrap()
    };
    assert!(matches!(out("XMM103"), ExitDecision::Leave { .. }));
    assert!(matches!(out("XMM101"), ExitDecision::Refuse { .. }));
    // Who could not ride on is let in again for nothing.
    let entry = MetroEntry {
        operator: "XMMTR".into(),
        stop: "XMM105".into(),
        at: time("12:00:00"),
        rider: NORMAL,
        prior: None,
        state: None,
    };
    let passage = Passage::Inside {
        stop: "XMM101".into(),
        at: time("07:50:00"),
        maximum: Fen(700),
    };
    let told = ModeHistory::default();
    let again = set.decide_entry(&entry, &passage, &told).unwrap();
    let EntryDecision::Enter { unfinished, .. } = again else {
        panic!("{again:?}");
    };
    assert!(
        matches!(unfinished, Some(Unfinished::Forgiven { .. })),
        "{unfinished:?}"
    );
}

#[test]
fn a_wrong_file_is_refused() {
    for (from, to, says) in [
        ("XMM101", "XMM999", "`XMM999` is no station"),
        ("XMMTR", "XMBUS", "no network with gates"),
        ("XMMTR", "FZMTR", "not of this city"),
        ("T09:00:00", "T08:00:00", "later than `from`"),
        ("train-failure", "train-failed", "train-failed"),
    ] {
        let error = load(&FAILED.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(FILE), "{error}");
    }
}
