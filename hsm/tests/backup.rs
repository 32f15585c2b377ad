//! The restore drill: a lost machine comes back from its backup and M custodians, and from nothing
//! less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Fen, keys::KeyType, suite::SuiteId};
use common::{NOW, card_keys, config, create, load, load_request, officers};
use hsm::{
    Entropy, Quorum, SoftHsm, audit,
    backup::{Backup, Header},
    ceremony::{Ceremony, CeremonyError, Formed, Sheet, Transcript},
};
use hsm_client::{Hsm, HsmError, SignPurpose};
use proptest::prelude::*;
use std::path::Path;

const CUSTODIANS: [&str; 5] = ["Wu", "Zheng", "Huang", "Su", "Cai"];

fn back_up(hsm: &SoftHsm) -> Backup {
    let quorum = Quorum::new(3, 5).unwrap();
    common::forged::authorised(hsm);
    hsm.backup(quorum, &CUSTODIANS).unwrap()
}

fn form(header: &Header, sheets: &[&Sheet]) -> Result<(Formed, Transcript), CeremonyError> {
    let mut ceremony = Ceremony::new(header.plan()?, &officers(), NOW.parse().unwrap());
    for sheet in sheets {
        ceremony.enter(&sheet.custodian, &sheet.parts[0])?;
    }
    for officer in officers().names() {
        ceremony.confirm(officer)?;
    }
    ceremony.finish()
}

fn restore(directory: &Path, backup: &Backup, which: [usize; 3]) -> hsm_client::Result<SoftHsm> {
    let sheets = which.map(|i| &backup.sheets[i]);
    let (formed, transcript) = form(&backup.header, &sheets).unwrap();
    SoftHsm::restore(
        config(directory),
        &backup.file,
        formed,
        &transcript,
        None,
        |_| Ok(()),
    )
}

fn refusal<T>(result: hsm_client::Result<T>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn restore_drill() {
    let lost = tempfile::tempdir().unwrap();
    let hsm = create(lost.path());
    let [dlk] = card_keys(&hsm, SuiteId::Aes, [KeyType::Dlk]);
    let first = load(7, Fen(1000));
    let mac2 = hsm
        .authorize_load(&load_request(&first, SuiteId::Aes, &dlk))
        .unwrap();
    let backup = back_up(&hsm);
    let (keys, own) = (hsm.keys().unwrap(), hsm.own_keys().unwrap());
    let signature = hsm.sign(SignPurpose::Hotlist, b"list").unwrap();
    drop(hsm);
    drop(lost);

    for which in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("hsm");
        let hsm = restore(&directory, &backup, which).unwrap();
        assert_eq!(hsm.keys().unwrap(), keys);
        assert_eq!(hsm.own_keys().unwrap(), own);
        assert_eq!(hsm.sign(SignPurpose::Hotlist, b"list").unwrap(), signature);
        // Nothing is loaded before two officers reconciled with clearing.
        let again = load_request(&first, SuiteId::Aes, &dlk);
        assert_eq!(hsm.authorize_load(&again).unwrap_err().code(), 6);
        hsm.reopen_loads().unwrap();
        assert_eq!(hsm.reopen_loads().unwrap_err().code(), 6);
        // The load memory came too: the same request has the same answer, another amount none.
        assert_eq!(hsm.authorize_load(&again).unwrap(), mac2);
        let other = load_request(&load(7, Fen(2000)), SuiteId::Aes, &dlk);
        assert!(matches!(
            hsm.authorize_load(&other),
            Err(HsmError::Refused { .. })
        ));
        drop(hsm);
        let log = directory.join("audit.jsonl");
        audit::verify(&log).unwrap();
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.contains(r#""act":"backup""#) && text.contains(r#""act":"restored""#));
    }
}

#[test]
fn fewer_shares_others_shares_or_a_wrong_passphrase_restore_nothing() {
    let lost = tempfile::tempdir().unwrap();
    let hsm = create(lost.path());
    let backup = back_up(&hsm);
    let sheets: Vec<&Sheet> = backup.sheets.iter().collect();
    assert!(matches!(
        form(&backup.header, &sheets[..2]),
        Err(CeremonyError::Order(_))
    ));
    // A share of another backup is named at once.
    let elsewhere = tempfile::tempdir().unwrap();
    drop(create(elsewhere.path()));
    let mut random = config(elsewhere.path());
    random.entropy = Entropy::os();
    let other = back_up(&SoftHsm::open(random).unwrap());
    let refused = form(&backup.header, &[sheets[0], &other.sheets[1]]).err();
    assert!(
        matches!(refused, Some(CeremonyError::Foreign { .. })),
        "{refused:?}"
    );
    let refused = form(&backup.header, &[&other.sheets[1]]).err();
    assert!(
        matches!(&refused, Some(CeremonyError::Forged { number: 2, custodian }) if custodian == "Zheng"),
        "{refused:?}"
    );
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("hsm");
    let mut wrong = config(&directory);
    *wrong.passphrase = "guess".to_owned();
    let (formed, transcript) = form(&backup.header, &sheets[..3]).unwrap();
    let refused = refusal(SoftHsm::restore(
        wrong,
        &backup.file,
        formed,
        &transcript,
        None,
        |_| Ok(()),
    ));
    assert!(refused.contains("wrong passphrase"), "{refused}");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    // Nothing is in the way of the next attempt; over an HSM nothing is restored.
    restore(&directory, &backup, [0, 1, 2]).unwrap();
    let over = refusal(restore(&directory, &backup, [0, 1, 2]));
    assert!(over.contains("not empty"), "{over}");
    // The key of another backup is told from a damaged file.
    let (formed, transcript) = form(
        &other.header,
        &[&other.sheets[0], &other.sheets[1], &other.sheets[2]],
    )
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    let refused = refusal(SoftHsm::restore(
        config(place.path()),
        &backup.file,
        formed,
        &transcript,
        None,
        |_| Ok(()),
    ));
    assert!(refused.contains("of another one"), "{refused}");
}

#[test]
fn a_damaged_backup_is_said_to_be() {
    let lost = tempfile::tempdir().unwrap();
    let backup = back_up(&create(lost.path()));
    for at in (0..backup.file.len()).step_by(97) {
        let mut changed = backup.file.clone();
        changed[at] ^= 1;
        let refused = refusal(Header::of(&changed));
        assert!(refused.contains("backup"), "{refused}");
        assert!(Header::of(&backup.file[..at]).is_err());
    }
    // The passphrase alone opens nothing: the key store's bytes are not in the file.
    let store = std::fs::read(lost.path().join("keystore.bin")).unwrap();
    assert!(!backup.file.windows(32).any(|w| w == &store[64..96]));
}

/// A backup taken while keys change has the keys before the change or after it, with the log that
/// says so.
#[test]
fn a_backup_never_catches_half_a_change() {
    let place = tempfile::tempdir().unwrap();
    let hsm = create(place.path());
    let custodians = ["Wu", "Zheng", "Huang"];
    let (roots, transcript) = hsm::ceremony::run(
        &Entropy::seeded([9; 32]),
        &officers(),
        &custodians,
        NOW.parse().unwrap(),
    )
    .unwrap();
    let rotation = hsm::Rotation::Signing(SignPurpose::Hotlist);
    const ROTATIONS: usize = 12;
    let backups = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROTATIONS {
                hsm.rotate_keys(&roots, &transcript, rotation).unwrap();
            }
        });
        let mut backups = Vec::new();
        for _ in 0..6 {
            backups.push(back_up(&hsm));
        }
        backups
    });
    for backup in backups {
        let place = tempfile::tempdir().unwrap();
        let restored = restore(&place.path().join("hsm"), &backup, [0, 1, 2]).unwrap();
        let own = restored.own_keys().unwrap();
        let hotlist = own
            .signing
            .iter()
            .filter(|k| k.purpose == SignPurpose::Hotlist);
        let versions = hotlist.count();
        let log = std::fs::read_to_string(place.path().join("hsm/audit.jsonl")).unwrap();
        let rotations = log.matches("\"act\":\"key-rotation\"").count();
        assert_eq!(versions, 1 + rotations);
    }
}

proptest! {
    #[test]
    fn foreign_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        use sha2::{Digest, Sha256};
        prop_assert!(Header::of(&bytes).is_err());
        let mut framed = b"OCHSMBU\x01".to_vec();
        framed.extend_from_slice(&bytes);
        let digest = Sha256::digest(&framed);
        framed.extend_from_slice(&digest);
        let _ = Header::of(&framed);
    }
}
