//! Ceremony, store, audit log and state over the life of an HSM.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{SuiteId, keys::kcv, perso::kcv_kind, suite::Key};
use common::{NOW, config, create, officers};
use hsm::{
    Entropy, KdfCost, SoftHsm, Zeroizing, audit,
    ceremony::{self, Ceremony, CeremonyError, Form, Plan, Record, Step, Subject},
};
use hsm_client::{DataItem, Hsm, HsmError, ServiceKey, SignPurpose, State};

fn check(suite: SuiteId, component: [u8; 16]) -> [u8; 3] {
    kcv(&Key::new(component), suite, kcv_kind(suite))
}

/// Components on paper: no envelope says their set or number.
#[test]
fn ceremony_step_by_step() {
    let at = NOW.parse().unwrap();
    let three = Form::Components(3);
    assert!(matches!(
        Plan::roots(Form::Components(2), &["Wu", "Zheng"]),
        Err(CeremonyError::Custodians(2))
    ));
    assert!(matches!(
        Plan::roots(three, &["Wu", "Zheng", " wu"]),
        Err(CeremonyError::SameCustodian(_))
    ));
    let plan = Plan::roots(three, &["Wu", "Zheng", "Huang"]).unwrap();
    let mut ceremony = Ceremony::new(plan.clone(), &officers(), at);
    let mut enter = |who: &str, suite, fill: u8, checked: u8| {
        let value = Zeroizing::new(vec![fill; 16]);
        ceremony.enter_component(who, value, check(suite, [checked; 16]))
    };
    use SuiteId::{Aes, Sm4, Tdes};
    assert!(matches!(
        enter("Zheng", Aes, 1, 1),
        Err(CeremonyError::Turn { .. })
    ));
    assert!(matches!(
        enter("Wu", Aes, 1, 2),
        Err(CeremonyError::CheckValue { .. })
    ));
    for suite in [Aes, Sm4, Tdes] {
        enter("Wu", suite, 1, 1).unwrap();
    }
    assert!(matches!(
        enter("Wu", Aes, 1, 1),
        Err(CeremonyError::Entered(_))
    ));
    assert_eq!(enter("Zheng", Aes, 1, 1), Err(CeremonyError::Weak));
    for suite in [Aes, Sm4, Tdes] {
        enter("Zheng", suite, 2, 2).unwrap();
    }
    // 1 ^ 2 ^ 3 = 0 would be no key.
    assert_eq!(enter("Huang", Aes, 3, 3), Err(CeremonyError::Weak));
    for suite in [Aes, Sm4, Tdes] {
        enter("Huang", suite, 4, 4).unwrap();
    }
    let Step::Confirm { formed, officers } = ceremony.next() else {
        panic!("{:?}", ceremony.next());
    };
    // Each root is the XOR of its components.
    let sums = [Aes, Sm4, Tdes].map(|s| (Subject::Root(s), check(s, [7; 16])));
    assert_eq!(formed, sums);
    assert_eq!(officers.len(), 2);
    ceremony.confirm(&officers[1]).unwrap();
    assert!(matches!(
        ceremony.confirm(&officers[1]),
        Err(CeremonyError::Officer(_))
    ));
    let transcript = ceremony.abort("Lin Mei");
    assert_eq!(transcript.aborted.as_deref(), Some("Lin Mei"));
    assert_eq!(
        transcript.keys[0].kcv,
        Some(hex::encode_upper(check(Aes, [7; 16])))
    );
    let begun = Ceremony::new(plan, &common::officers(), at);
    assert!(matches!(begun.finish(), Err(CeremonyError::Order(_))));
}

#[test]
fn one_seed_one_hsm() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = directories.each_ref().map(|d| create(d.path()));
    assert_eq!(a.keys().unwrap(), b.keys().unwrap());
    assert_eq!(a.keys().unwrap().len(), 89);
    assert_eq!(a.own_keys().unwrap(), b.own_keys().unwrap());
    assert_eq!(a.random(32).unwrap(), b.random(32).unwrap());
    assert_ne!(a.random(32).unwrap(), a.random(32).unwrap());
    assert!(a.random(257).is_err());
    assert_eq!(
        a.sign(SignPurpose::Hotlist, b"x").unwrap(),
        b.sign(SignPurpose::Hotlist, b"x").unwrap()
    );
    assert_ne!(
        a.public_key(SignPurpose::Hotlist).unwrap(),
        a.public_key(SignPurpose::Audit).unwrap()
    );
    let status = a.status().unwrap();
    assert!(status.demo);
    assert_eq!(
        status.state,
        State::Authorised,
        "the ceremony's officers are there"
    );
}

#[test]
fn reopened_with_operating_system_randomness() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let keys = hsm.keys().unwrap();
    let own = hsm.own_keys().unwrap();
    let person = DataItem {
        context: "P1".to_owned(),
        data: b"a person".to_vec(),
    };
    let blob = hsm
        .wrap_data(std::slice::from_ref(&person))
        .unwrap()
        .remove(0);
    let card_ca = hsm.public_key(SignPurpose::CardCa).unwrap();
    let signature = hsm.sign(SignPurpose::Settlement, b"day").unwrap();
    drop(hsm);
    let mut again = config(directory.path());
    again.entropy = Entropy::os();
    let hsm = SoftHsm::open(again).unwrap();
    assert_eq!(hsm.keys().unwrap(), keys);
    assert_eq!(hsm.own_keys().unwrap(), own);
    assert_eq!(hsm.public_key(SignPurpose::CardCa).unwrap(), card_ca);
    let wrapped = DataItem {
        data: blob,
        ..person.clone()
    };
    assert_eq!(hsm.unwrap_data(&[wrapped]).unwrap(), [person.data]);
    assert_eq!(
        hsm.sign(SignPurpose::Settlement, b"day").unwrap(),
        signature
    );
    assert!(hsm.status().unwrap().demo, "its keys came from a seed");
    let key: [u8; 32] = hsm
        .public_key(SignPurpose::Settlement)
        .unwrap()
        .try_into()
        .unwrap();
    ed25519_dalek::VerifyingKey::from_bytes(&key)
        .unwrap()
        .verify_strict(
            b"day",
            &ed25519_dalek::Signature::from_slice(&signature).unwrap(),
        )
        .unwrap();
}

/// The transcript is kept signed, and names the line of the audit log that holds it.
#[test]
fn the_transcript_is_signed_and_tied_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let key = hsm.public_key(SignPurpose::Audit).unwrap();
    let other = hsm.public_key(SignPurpose::Hotlist).unwrap();
    drop(hsm);
    let text = std::fs::read(directory.path().join("ceremony-1.json")).unwrap();
    let record: Record = serde_json::from_slice(&text).unwrap();
    record.verify(&key).unwrap();
    assert!(record.verify(&other).is_err());
    assert_eq!(record.transcript.confirmed, ["Lin Mei", "Chen Guo"]);
    let log = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let line = log.lines().next().unwrap();
    assert!(line.contains("\"act\":\"ceremony\"") && line.contains(&record.audit_head));
    for change in [
        |r: &mut Record| r.transcript.confirmed.truncate(1),
        |r: &mut Record| r.transcript.keys[0].parts[0].check.push('0'),
        |r: &mut Record| r.audit_line += 1,
        |r: &mut Record| r.audit_head.replace_range(..1, "x"),
        |r: &mut Record| r.signature.replace_range(..2, "00"),
    ] {
        let mut changed = record.clone();
        change(&mut changed);
        assert!(changed == record || changed.verify(&key).is_err());
    }
}

fn store_error(result: hsm_client::Result<SoftHsm>) -> String {
    match result {
        Err(HsmError::Store { why }) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn what_goes_wrong_with_the_directory_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let missing = SoftHsm::open(config(&directory.path().join("none")));
    assert!(store_error(missing).contains("key ceremony"));
    let hsm = create(directory.path());
    assert!(store_error(SoftHsm::open(config(directory.path()))).contains("another process"));
    drop(hsm);
    let mut wrong = config(directory.path());
    *wrong.passphrase = "guess".to_owned();
    assert!(store_error(SoftHsm::open(wrong)).contains("wrong passphrase"));
    let over = config(directory.path());
    let (roots, transcript) = ceremony::run(
        &over.entropy,
        &officers(),
        &["Wu", "Zheng", "Huang"],
        NOW.parse().unwrap(),
    )
    .unwrap();
    let over = SoftHsm::create(over, KdfCost::LIGHT, roots, &transcript);
    assert!(store_error(over).contains("exists"));
    assert!(SoftHsm::open(config(directory.path())).is_ok());
}

#[test]
fn a_transcript_of_another_ceremony_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let hold = |seed| {
        ceremony::run(
            &Entropy::seeded([seed; 32]),
            &officers(),
            &["Wu", "Zheng", "Huang"],
            NOW.parse().unwrap(),
        )
        .unwrap()
    };
    let ((roots, _), (_, transcript)) = (hold(1), hold(2));
    let result = SoftHsm::create(config(directory.path()), KdfCost::LIGHT, roots, &transcript);
    assert!(matches!(result, Err(HsmError::Malformed { .. })));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn the_audit_log_tells_who_and_hides_what() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    hsm.manufacturer(&hsm.authorised().unwrap()).unwrap();
    hsm.sign(SignPurpose::Hotlist, b"list").unwrap();
    let status = hsm.status().unwrap();
    let path = directory.path().join("audit.jsonl");
    let report = audit::verify(&path).unwrap();
    assert_eq!(report.lines, status.audit_lines);
    assert_eq!(report.head, status.audit_head);
    drop(hsm);
    let text = std::fs::read_to_string(&path).unwrap();
    for expected in [
        "\"act\":\"ceremony\"",
        "Lin Mei + Chen Guo",
        "transport-masters-exported",
        "\"act\":\"sign\"",
        "\"actor\":\"tests\"",
        "\"act\":\"closed\"",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
    // The components of this seeded ceremony are nowhere in any file but, encrypted, the store.
    assert!(!text.contains("component\":"));
}

#[test]
fn a_broken_log_stops_everything_but_the_status() {
    for file in ["audit.jsonl", "loads.jsonl"] {
        let directory = tempfile::tempdir().unwrap();
        let hsm = create(directory.path());
        hsm.sign(SignPurpose::Hotlist, b"list").unwrap();
        drop(hsm);
        let path = directory.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        if text.is_empty() {
            std::fs::remove_file(directory.path().join(format!("{file}.head"))).unwrap();
        } else {
            std::fs::write(&path, text.replace("Lin Mei", "Lin Hei")).unwrap();
            assert!(audit::verify(&path).is_err());
        }
        let hsm = SoftHsm::open(config(directory.path())).unwrap();
        assert_eq!(hsm.status().unwrap().state, State::Tampered);
        assert!(matches!(hsm.keys(), Err(HsmError::WrongState { .. })));
        assert!(matches!(
            hsm.sign(SignPurpose::Hotlist, b""),
            Err(HsmError::WrongState { .. })
        ));
        assert!(hsm.random(8).is_err());
        assert!(hsm.verify(&[]).is_err());
        assert!(hsm.authorised().is_err());
    }
}

#[test]
fn every_key_that_no_card_holds_is_listed_and_differs() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let own = hsm.own_keys().unwrap();
    let names: Vec<_> = own.service.iter().map(|k| k.key).collect();
    assert_eq!(names, ServiceKey::ALL);
    let purposes: Vec<_> = own.signing.iter().map(|k| k.purpose).collect();
    assert_eq!(purposes, SignPurpose::ALL);
    let mut values: Vec<&str> = own.service.iter().map(|k| k.kcv.as_str()).collect();
    values.extend(own.signing.iter().map(|k| k.fingerprint.as_str()));
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 10);
    assert_eq!(hsm.public_key(SignPurpose::ClientCa).unwrap().len(), 32);
    assert_eq!(hsm.public_key(SignPurpose::CardCa).unwrap().len(), 65);
    assert_eq!(hsm.sign(SignPurpose::CardCa, b"x").unwrap().len(), 64);
}

#[test]
fn reading_personal_data_is_audited_by_person_and_never_by_content() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let item = |context: &str, data: &[u8]| DataItem {
        context: context.to_owned(),
        data: data.to_vec(),
    };
    let blobs = hsm
        .wrap_data(&[item("P1", "林".as_bytes()), item("P2", b"CHEN")])
        .unwrap();
    hsm.index_data("certno", &["350000190002290011".to_owned()])
        .unwrap();
    hsm.unwrap_data(&[item("P1", &blobs[0])]).unwrap();
    // Another person's blob refuses the call.
    assert!(matches!(
        hsm.unwrap_data(&[item("P1", &blobs[0]), item("P1", &blobs[1])]),
        Err(HsmError::NotAuthentic { .. })
    ));
    let long = "P".repeat(65);
    assert!(matches!(
        hsm.unwrap_data(&[item(&long, &blobs[0])]),
        Err(HsmError::Malformed { .. })
    ));
    drop(hsm);
    let log = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    assert!(log.contains(r#""detail":{"contexts":["P1"]}"#));
    for secret in ["林", "CHEN", "350000190002290011"] {
        assert!(!log.contains(secret));
    }
    audit::verify(&directory.path().join("audit.jsonl")).unwrap();
}
