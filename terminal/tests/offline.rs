//! Seven days of records and a clearing house that does everything wrong that a network can do:
//! everything arrives once, in order, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use card_spec::{SuiteId, time::CardTime};
use clearing_api::{
    Batch, BatchAnswer, BatchOutcome, Client, ClientError, ItemAnswer, Outcome, Record,
};
use common::*;
use ed25519_dalek::SigningKey;
use terminal::{
    Journal, clock::elapsed, journal::FileStorage, online::Uploads, retry::Retry, upload::upload,
};

/// Admits as the clearing house does: by range, the same bytes again get the same answer.
#[derive(Default)]
struct House {
    admitted: Vec<(u64, u64, Vec<u8>, BatchAnswer)>,
    calls: u64,
    away: bool,
    conflicts: u32,
}

impl House {
    fn admit(&mut self, body: &[u8]) -> BatchAnswer {
        let batch: Batch = serde_json::from_slice(body).unwrap();
        let (first, last) = (batch.first, batch.last);
        if let Some((.., answer)) = self.admitted.iter().find(|(_, _, b, _)| b == body) {
            return BatchAnswer {
                outcome: BatchOutcome::Repeated,
                ..answer.clone()
            };
        }
        let overlaps = |(f, l, ..): &(u64, u64, Vec<u8>, BatchAnswer)| *f <= last && first <= *l;
        if self.admitted.iter().any(overlaps) {
            self.conflicts += 1;
            return BatchAnswer {
                outcome: BatchOutcome::RangeConflict,
                batch_id: None,
                items: Vec::new(),
            };
        }
        let item = |r: &Record| ItemAnswer {
            journal_seq: r.journal_seq,
            outcome: Outcome::Accepted,
            number: 0,
            detail: String::new(),
        };
        let answer = BatchAnswer {
            outcome: BatchOutcome::Admitted,
            batch_id: Some(self.admitted.len() as u64),
            items: batch.records.iter().map(item).collect(),
        };
        self.admitted
            .push((first, last, body.to_vec(), answer.clone()));
        answer
    }
}

impl Uploads for House {
    fn upload(&mut self, body: &[u8], _: &[u8; 64]) -> Result<BatchAnswer, ClientError> {
        let gone = |why: &str| ClientError::Unreachable {
            address: "house".into(),
            why: why.into(),
        };
        self.calls += 1;
        if self.away {
            return Err(gone("no route"));
        }
        match self.calls % 6 {
            0 => Err(gone("timed out before it arrived")),
            1 => {
                self.admit(body);
                Err(gone("timed out after it arrived"))
            }
            2 => {
                self.admit(body);
                Err(ClientError::Protocol {
                    address: "house".into(),
                    why: "the answer was cut".into(),
                })
            }
            // It arrived twice; and once the answer to an earlier batch comes instead.
            3 => {
                self.admit(body);
                Ok(self.admit(body))
            }
            4 if !self.admitted.is_empty() => {
                self.admit(body);
                Ok(self.admitted[0].3.clone())
            }
            _ => Ok(self.admit(body)),
        }
    }
}

#[test]
fn a_week_without_a_network_arrives_once_and_whole() {
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
    let event = rig.records()[0].event.clone();
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let file = FileStorage::open(&folder.path().join("journal")).unwrap();
        Journal::open(file, site("").device, 0).unwrap()
    };
    let key = SigningKey::from_bytes(&[0x22; 32]);
    let mut journal = open();
    let mut house = House {
        away: true,
        ..House::default()
    };
    let mut retry = Retry::new(17, 30);
    let start = time("2026-11-23T05:00:00").seconds();
    let (mut last_try, mut tries, mut sold) = (None, 0, 0u64);
    // A minute a step; a record every tenth, a restart every second day, away for seven days.
    for minute in 0..8 * 1_440i64 {
        let now = CardTime::from_seconds(start + 60 * minute).unwrap();
        house.away = minute < 7 * 1_440;
        if minute % 10 == 0 {
            journal.record(now, None, 0, event.clone()).unwrap();
            sold += 1;
        }
        if minute % 2_880 == 2_879 {
            drop(journal);
            journal = open();
        }
        let pause = i64::from(retry.pause_seconds());
        if last_try.is_some_and(|last| elapsed(last, now) < pause) {
            continue;
        }
        last_try = Some(now);
        loop {
            tries += 1;
            match upload(&mut journal, &key, 200, &mut house) {
                Ok(Some(_)) => retry.succeeded(),
                Ok(None) => break,
                Err(_) => {
                    retry.failed();
                    break;
                }
            }
        }
    }
    assert_eq!((sold, journal.waiting().len()), (1_152, 0));
    let ranges: Vec<(u64, u64)> = house.admitted.iter().map(|a| (a.0, a.1)).collect();
    let seqs = ranges.iter().flat_map(|(first, last)| *first..=*last);
    assert!(seqs.eq(1..=sold), "oldest first, each once: {ranges:?}");
    assert_eq!(house.conflicts, 0);
    // Out of reach it asked some times an hour, not each minute.
    assert!((1_000..3_000).contains(&tries), "{tries}");
    assert_eq!(journal.next_seq(), sold + 1);
}

/// Answers each connection with the next of `answers`, bytes as they are.
fn serve(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4_096];
            loop {
                let n = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..n]);
                let text = String::from_utf8_lossy(&request);
                let length = text
                    .lines()
                    .find_map(|l| {
                        l.to_lowercase()
                            .strip_prefix("content-length: ")
                            .map(str::to_owned)
                    })
                    .and_then(|l| l.trim().parse::<usize>().ok());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                if n == 0 || body.is_some_and(|body| Some(body) >= length) {
                    break;
                }
            }
            stream.write_all(&answer).unwrap();
        }
    });
    address
}

fn http(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Over a real connection: an answer cut in its head or body, none, nonsense, one sent twice.
#[test]
fn cut_and_doubled_answers_over_a_connection_lose_nothing() {
    let key = SigningKey::from_bytes(&[0x22; 32]);
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.tap("2026-11-23T08:15:00", &bus("FZB17"));
    let mut house = House::default();
    let journal = rig.terminal.journal_mut();
    let batch = journal.send(200).unwrap().unwrap();
    let answer = house.admit(&serde_json::to_vec(&batch).unwrap());
    let whole = http(&serde_json::to_string(&answer).unwrap());
    let bad = [
        Vec::new(),
        whole[..20].to_vec(),
        whole[..whole.len() - 7].to_vec(),
        http("<html>captive portal</html>"),
    ];
    for answer in bad {
        let mut client = Client::new(&serve(vec![answer]));
        assert!(upload(journal, &key, 200, &mut client).is_err());
        assert_eq!(journal.waiting().len(), 1);
    }
    let twice = [whole.clone(), whole].concat();
    let mut client = Client::new(&serve(vec![twice]));
    assert!(upload(journal, &key, 200, &mut client).unwrap().is_some());
    assert_eq!(journal.waiting().len(), 0);
    assert!(upload(journal, &key, 200, &mut client).unwrap().is_none());
}
