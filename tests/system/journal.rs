//! `kill -9` of a process that writes its journal: what it had said to be durable is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use card_spec::{Fen, SuiteId, id::Generation, purse::TxType, purse::files::CardKind};
use clearing_api::record::{CardFacts, Debit, Event, Purchase, Record, Service};
use terminal::{Journal, journal::FileStorage};

/// Names the journal file of the child, which is this test binary once more.
const FILE: &str = "ONECARD_TEST_JOURNAL";

fn open(path: &Path) -> Journal<FileStorage> {
    let storage = FileStorage::open(path).expect("the file is free");
    let device = "0000350100000017".parse().unwrap();
    Journal::open(storage, device, 0).expect("a kill is no damage")
}

fn sale(journal_seq: u64) -> Record {
    let at = "2026-11-23T08:15:00".parse().unwrap();
    let card = CardFacts {
        pan: "03500000000000001234".parse().unwrap(),
        generation: Generation(1),
        region: "350100".parse().unwrap(),
        suite: SuiteId::Aes,
        key_version: 1,
    };
    Record {
        journal_seq,
        at,
        completes: None,
        hotlist_version: 0,
        event: Event::Purchase(Purchase {
            card,
            sam: "350100000017".parse().unwrap(),
            terminal_seq: 1,
            key_index: 1,
            tx: TxType::Capp,
            seq: 1,
            amount: Fen(90),
            balance_before: Fen(10_000),
            balance_after: Fen(9_910),
            time: at,
            context: Default::default(),
            debit: Debit::Unknown,
            service: Service::Bus {
                operator: "FZBUS".into(),
                route: "FZB17".into(),
                sections: None,
                companion: false,
                prior: None,
                state: None,
                age: None,
                kind: CardKind::Normal,
            },
        }),
    }
}

/// The child: sells until it is killed and says after each commit which record is durable.
#[test]
#[ignore = "the child of the next test"]
fn sells_until_killed() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let mut journal = open(&path);
    loop {
        let seq = journal.next_seq();
        journal.intent(sale(seq), &[vec![0xAB; 128]]).unwrap();
        journal.commit(Debit::Done { tac: [7; 4] }).unwrap();
        let mut out = std::io::stderr().lock();
        writeln!(out, "durable {seq}").unwrap();
    }
}

#[test]
fn what_was_durable_before_kill_9_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut told = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("journal::sells_until_killed")
            .env(FILE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Another number of sales every round; the kill falls where it falls in the next one.
        for line in lines.by_ref().take(3 + 7 * round) {
            let line = line.unwrap();
            told = line
                .strip_prefix("durable ")
                .map_or(told, |n| n.parse().unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            told = line
                .strip_prefix("durable ")
                .map_or(told, |n| n.parse().unwrap());
        }
        let journal = open(&path);
        let states = journal.waiting().map(|r| match &r.event {
            Event::Purchase(p) => (r.journal_seq, p.debit),
            other => panic!("never sold: {other:?}"),
        });
        let states: Vec<_> = states.collect();
        // All told, at most one sale more, and at most that one of unknown outcome.
        assert!(states.iter().map(|s| s.0).eq(1..=states.len() as u64));
        let more = states.len() as u64 - told;
        assert!(told > 0 && more <= 1, "told {told}, held {}", states.len());
        let durable = &states[..told as usize];
        let earlier_kill = |d: &Debit| *d == Debit::Unknown;
        let unknown = durable.iter().filter(|(_, d)| earlier_kill(d)).count();
        assert!(unknown <= round, "one a kill at most");
        told = states.len() as u64;
    }
    assert!(told > 12);
}
