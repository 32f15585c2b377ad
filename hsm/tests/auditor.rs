//! An auditor elsewhere asks a running server for its log, and verifies what comes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{NOW, card, officers, served::Served};
use hsm::{
    Entropy, Rotation,
    audit::{Line, Query, ReadError, public_keys, query, query_server},
    ceremony,
};
use hsm_client::{
    Administration, AuditFrom, AuditPlace, Hsm, RemoteHsm, Revocation, Role, SignPurpose,
};

fn keys(served: &Served) -> Vec<[u8; 32]> {
    let file = served.directory.path().join("audit.pub");
    public_keys(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn ask(auditor: &RemoteHsm, keys: &[[u8; 32]], query: &Query) -> Result<Vec<Line>, ReadError> {
    let mut lines = Vec::new();
    query_server(auditor, keys, query, |line| lines.push(line.clone()))?;
    Ok(lines)
}

fn wrong<T: core::fmt::Debug>(answer: Result<T, ReadError>) -> String {
    match answer {
        Err(ReadError::Wrong(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn questions_from_elsewhere_have_the_answers_of_the_machine() {
    let served = Served::start();
    let auditor = served.client(Role::Auditor);
    let clearing = served.client(Role::Clearing);
    for n in 0..300 {
        clearing.sign(SignPurpose::Hotlist, &[n as u8]).unwrap();
    }
    served.hsm.clear_load_lock(card().pan).unwrap();
    let subject = Revocation::Subject("clearing".to_owned());
    served.hsm.revoke(&subject).unwrap();
    let keys = keys(&served);
    let by = |text: &str| Some(text.to_owned());
    let none = Query::default;
    let log = served.directory.path().join("audit.jsonl");
    for (wanted, some) in [
        (none(), 300),
        (
            Query {
                officer: by("CLEAR"),
                ..none()
            },
            300,
        ),
        (
            Query {
                key: by("hotlist"),
                ..none()
            },
            300,
        ),
        (
            Query {
                operation: by("revoke-certificate"),
                ..none()
            },
            1,
        ),
        (
            Query {
                operation: by("revoke"),
                ..none()
            },
            0,
        ),
    ] {
        let lines = ask(&auditor, &keys, &wanted).unwrap();
        let mut there = Vec::new();
        query(&log, &wanted, |line| there.push(line.clone())).unwrap();
        assert_eq!(lines, there);
        assert!(lines.len() >= some && (some > 0 || lines.is_empty()));
    }
    // What it is told is the head that the server has, and all of it is signed.
    let head = query_server(&auditor, &keys, &none(), |_| {}).unwrap();
    let status = auditor.status().unwrap();
    assert_eq!(head, (status.audit_lines, status.audit_head));
    let other = wrong(ask(&auditor, &[[0xFF; 32]], &none()));
    assert!(other.contains("did not sign"), "{other}");
    // A place that is none.
    let nowhere = AuditFrom::Place(AuditPlace {
        offset: u64::MAX,
        before: [0; 32],
    });
    assert_eq!(auditor.audit_lines(nowhere).unwrap_err().code(), 7);
    // The other roles; an officer asks at the machine.
    for role in Role::ALL.into_iter().filter(|r| *r != Role::Auditor) {
        let client = served.client(role);
        let refused = client.audit_lines(AuditFrom::Time("2026-01-01T00:00:00".parse().unwrap()));
        assert_eq!(refused.unwrap_err().code(), 20, "{role:?}");
    }
}

/// Each version of the audit key signed its part: the copy of before a rotation is not enough.
#[test]
fn a_rotated_audit_key_is_told() {
    let served = Served::start();
    let auditor = served.client(Role::Auditor);
    let before = keys(&served);
    let (roots, transcript) = ceremony::run(
        &Entropy::seeded([9; 32]),
        &officers(),
        &["Wu", "Zheng", "Huang"],
        NOW.parse().unwrap(),
    )
    .unwrap();
    let rotation = Rotation::Signing(SignPurpose::Audit);
    served
        .hsm
        .rotate_keys(&roots, &transcript, rotation)
        .unwrap();
    assert!(ask(&auditor, &keys(&served), &Query::default()).is_ok());
    assert_eq!(before.len(), 1);
}

#[test]
fn what_was_changed_on_the_disk_is_noticed_elsewhere() {
    let served = Served::start();
    let auditor = served.client(Role::Auditor);
    let keys = keys(&served);
    ask(&auditor, &keys, &Query::default()).unwrap();
    let log = served.directory.path().join("audit.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("\"outcome\":0", "\"outcome\":1")).unwrap();
    let why = wrong(ask(&auditor, &keys, &Query::default()));
    assert!(why.contains("line 1 was changed"), "{why}");
    // Cut back to nothing.
    std::fs::write(&log, "").unwrap();
    let gone = ask(&auditor, &keys, &Query::default()).unwrap_err();
    assert!(matches!(gone, ReadError::Hsm(e) if e.code() == 9));
}
