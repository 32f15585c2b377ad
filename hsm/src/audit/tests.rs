mod pages;

use super::*;
use hsm_client::SignPurpose;
use proptest::prelude::*;
use std::path::PathBuf;
use zeroize::Zeroizing;

fn signer(n: u8) -> Signer {
    Signer::from_secret(SignPurpose::Audit, Zeroizing::new([n; 32])).expect("key")
}

fn public(signer: &Signer) -> [[u8; 32]; 1] {
    [signer.public_key().expect("key").try_into().expect("32")]
}

fn time(minute: u64) -> CardTime {
    format!("2026-11-23T{:02}:{:02}:00", minute / 60 % 24, minute % 60)
        .parse()
        .expect("time")
}

fn note(audit: &mut Audit, by: &Signer, i: u64) {
    let entry = Entry {
        time: time(i),
        actor: ["Lin", "Chen"][usize::from(i % 2 == 1)],
        role: "officer",
        act: ["sign", "certify"][usize::from(i.is_multiple_of(3))],
        outcome: (i % 5) as u16,
        detail: json!({ "keys": [format!("K{}", i % 7)], "i": i }),
    };
    audit.note(by, entry).expect("noted");
}

/// A log of `n` notes, closed as the HSM closes it.
fn written(directory: &Path, n: u64) -> PathBuf {
    let (path, by) = (directory.join("audit.jsonl"), signer(1));
    let mut audit = Audit::create(&path, &by).expect("new");
    for i in 0..n {
        note(&mut audit, &by, i);
    }
    audit.checkpoint(&by, time(n)).expect("closed");
    audit.sync().expect("synced");
    path
}

fn head_file(path: &Path) -> PathBuf {
    path.with_file_name("audit.jsonl.head")
}

/// Writes a chain anew over some bodies, as somebody without the audit key can, head and all.
fn forged(path: &Path, bodies: &[Line]) {
    for old in [path.to_owned(), head_file(path)] {
        fs::remove_file(old).expect("removed");
    }
    let mut chain = Chain::create(path, LABEL).expect("new");
    for body in bodies {
        chain.append(body).expect("appended");
    }
    chain.sync().expect("synced");
}

fn bodies(path: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    query(path, &Query::default(), |line| lines.push(line.clone())).expect("sound");
    lines
}

#[test]
fn checkpoints_stand_where_they_must() {
    let directory = tempfile::tempdir().expect("directory");
    let path = written(directory.path(), 600);
    let report = verify(&path).expect("sound");
    // 256 and 512 by number, the last by closing.
    assert_eq!(
        (report.lines, report.checkpoints, report.unsigned),
        (603, 3, 0)
    );
    let lines = bodies(&path);
    assert_eq!(lines[255].act, "checkpoint");
    assert_eq!(lines[511].act, "checkpoint");
    assert!(
        verify_with(&path, Some(vec![[0xFF; 32]]), None).is_err(),
        "no key"
    );
    let other: [u8; 32] = signer(2).public_key().expect("key").try_into().expect("32");
    let error = verify_with(&path, Some(vec![other]), None).expect_err("another key");
    assert!(error.why.contains("line 256"), "{error}");
    assert!(Audit::open(&path, &public(&signer(1)), |_| {}).is_ok());
    assert!(Audit::open(&path, &public(&signer(2)), |_| {}).is_err());
}

/// Who rewrites the log, chain and head file included, meets the signatures; who cuts it back to a
/// checkpoint meets the head that an auditor kept.
#[test]
fn a_fresh_chain_and_a_clean_cut_are_seen() {
    let directory = tempfile::tempdir().expect("directory");
    let path = written(directory.path(), 600);
    let report = verify(&path).expect("sound");
    let head: Head = format!("{}:{}", report.lines, report.head)
        .parse()
        .expect("head");
    let sound = bodies(&path);
    let try_forged = |all: &[Line]| {
        forged(&path, all);
        verify(&path).map(|_| ()).map_err(|e| e.why)
    };
    let mut changed = sound.clone();
    changed[10].actor = "Nobody".to_owned();
    let why = try_forged(&changed).expect_err("changed");
    assert!(why.contains("line 256"), "{why}");
    let mut dropped = sound.clone();
    dropped.remove(300);
    assert!(try_forged(&dropped).is_err());
    let mut without = sound.clone();
    without[255].act = "sign".to_owned();
    let why = try_forged(&without).expect_err("no checkpoint");
    assert!(why.contains("must be a checkpoint"), "{why}");
    // After the last checkpoint that is left there is nothing to meet but the head that was kept.
    assert_eq!(try_forged(&sound[..256]), Ok(()));
    let error = verify_with(&path, None, Some(&head)).expect_err("cut back");
    assert!(error.why.contains("347 line(s)"), "{error}");
    // The whole log, and a log that has grown, hold it.
    try_forged(&sound).expect("sound again");
    assert!(verify_with(&path, None, Some(&head)).is_ok());
    let mut audit = Audit::open(&path, &public(&signer(1)), |_| {}).expect("opens");
    note(&mut audit, &signer(1), 700);
    audit.sync().expect("synced");
    assert!(verify_with(&path, None, Some(&head)).is_ok());
    let mut tail = sound.clone();
    tail[602] = Line {
        n: 603,
        ..sound[601].clone()
    };
    assert_eq!(try_forged(&tail), Ok(()), "unsigned tail");
    let error = verify_with(&path, None, Some(&head)).expect_err("rewritten");
    assert!(error.why.contains("rewritten"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any byte changed, any line dropped, doubled, moved or cut off: seen, and no later than at the
    /// line it was done to.
    #[test]
    fn any_tampering_is_seen(at in 0usize..1_000_000, how in 0..5, bit in 0..8u8) {
        let directory = tempfile::tempdir().expect("directory");
        let path = written(directory.path(), 300);
        let text = fs::read(&path).expect("bytes");
        let mut lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
        let n = at % lines.len();
        let (bytes, first) = match how {
            0 => {
                let mut bytes = text.clone();
                let at = at % bytes.len();
                bytes[at] ^= 1u8 << bit;
                let line = text[..at].iter().filter(|b| **b == b'\n').count();
                (bytes, line)
            }
            1 => {
                lines.remove(n);
                (lines.concat(), n)
            }
            2 => {
                lines.insert(n, lines[n]);
                (lines.concat(), n + 1)
            }
            3 => {
                let m = (n + 1 + at / 7 % (lines.len() - 1)) % lines.len();
                lines.swap(n, m);
                (lines.concat(), n.min(m))
            }
            _ => (lines[..n].concat(), n),
        };
        fs::write(&path, bytes).expect("written");
        let error = verify(&path).expect_err("seen");
        let named: Option<usize> = error
            .why
            .split_whitespace()
            .skip_while(|word| *word != "line")
            .nth(1)
            .and_then(|word| word.parse().ok());
        // A missing tail is told by its length; everything else by its line.
        if let Some(named) = named {
            prop_assert_eq!(named, first + 1, "{}", error);
        } else {
            prop_assert!(error.why.contains("are missing"), "{}", error);
        }
    }
}

/// A crash cuts the file anywhere in what was not yet made durable: nothing that was is lost, and
/// the log goes on.
fn torn(durable_lines: u64, step: usize) {
    let directory = tempfile::tempdir().expect("directory");
    let (path, by) = (directory.path().join("audit.jsonl"), signer(1));
    let mut audit = Audit::create(&path, &by).expect("new");
    for i in 0..durable_lines {
        note(&mut audit, &by, i);
    }
    audit.sync().expect("synced");
    let durable = fs::metadata(&path).expect("file").len() as usize;
    let head = fs::read(head_file(&path)).expect("head");
    for i in 0..3 {
        note(&mut audit, &by, i);
    }
    drop(audit);
    let all = fs::read(&path).expect("bytes");
    for cut in (durable..=all.len()).step_by(step) {
        fs::write(&path, &all[..cut]).expect("written");
        fs::write(head_file(&path), &head).expect("written");
        let whole = all[..cut].iter().filter(|b| **b == b'\n').count() as u64;
        let mut audit = Audit::open(&path, &public(&by), |_| {}).expect("opens");
        assert_eq!(audit.lines(), whole, "{cut}");
        assert!(whole >= durable_lines);
        note(&mut audit, &by, 1000);
        audit.sync().expect("synced");
        assert!(verify(&path).expect("sound").lines > whole, "{cut}");
    }
    // One byte less, and something durable is gone: that is no torn line.
    fs::write(&path, &all[..durable - 1]).expect("written");
    fs::write(head_file(&path), &head).expect("written");
    assert!(Audit::open(&path, &public(&by), |_| {}).is_err());
}

#[test]
fn a_torn_tail_loses_nothing_durable() {
    torn(3, 1);
}

/// The tear meets a checkpoint: it is made when the log goes on.
#[test]
fn a_torn_checkpoint_is_made_again() {
    torn(CHECKPOINT_EVERY - 2, 23);
}

#[test]
fn queries_by_officer_key_operation_and_time() {
    let directory = tempfile::tempdir().expect("directory");
    let path = written(directory.path(), 100);
    let ask = |q: Query| {
        let mut numbers = Vec::new();
        let found = query(&path, &q, |line| {
            numbers.push(line.detail["i"].as_u64().unwrap_or(0))
        });
        assert_eq!(found.expect("sound"), numbers.len() as u64);
        numbers
    };
    let by = |text: &str| Some(text.to_owned());
    let officer = ask(Query {
        officer: by("chen"),
        ..Query::default()
    });
    assert_eq!(officer, (0..100).filter(|i| i % 2 == 1).collect::<Vec<_>>());
    let both = ask(Query {
        officer: by("Lin"),
        key: by("k3"),
        ..Query::default()
    });
    assert_eq!(
        both,
        (0..100)
            .filter(|i| i % 2 == 0 && i % 7 == 3)
            .collect::<Vec<_>>()
    );
    let operation = ask(Query {
        operation: by("certify"),
        ..Query::default()
    });
    assert_eq!(
        operation,
        (0..100).filter(|i| i % 3 == 0).collect::<Vec<_>>()
    );
    let times = Query {
        from: Some(time(10)),
        to: Some(time(12)),
        ..Query::default()
    };
    assert_eq!(ask(times), [10, 11, 12]);
    assert_eq!(
        ask(Query {
            operation: by("cert"),
            ..Query::default()
        }),
        [0u64; 0]
    );
    // A broken log answers no questions beyond the break.
    let text = fs::read_to_string(&path)
        .expect("text")
        .replace("\"i\":50", "\"i\":51");
    fs::write(&path, text).expect("written");
    assert!(query(&path, &Query::default(), |_| {}).is_err());
}
