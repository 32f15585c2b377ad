//! A key's whole life on a PKCS#11 token: rotation with overlap, a token pulled out and put back, and
//! what is on the token after each step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{fs, path::Path};

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType, class},
    suite::Key,
};
use common::{
    NOW, ReferenceCard, card, create, create_from, forged, header, issuer_session, key_of, load,
    officers,
    token::{forget, labels, on_token, softhsm},
};
use hsm::{
    KdfCost, Quorum, Rotation, SoftHsm, Zeroizing, audit,
    ceremony::{self, Ceremony},
};
use hsm_client::{CURRENT, Hsm, KeyId, KeyOrder, KeyState, ProofCheck, SignPurpose};

fn dtk(version: u8) -> KeyHeader {
    KeyHeader {
        version,
        ..header(KeyType::Dtk, class::ONLY, SuiteId::Aes)
    }
}

/// Started again, with two officers' approvals.
fn open(directory: &Path) -> SoftHsm {
    let hsm = SoftHsm::open(on_token(directory)).unwrap();
    forged::authorised(&hsm);
    hsm
}

/// The next version, from the roots of a second ceremony.
fn rotate(hsm: &SoftHsm) -> Vec<KeyId> {
    let custodians = ["Wu", "Zheng", "Huang"];
    let entropy = hsm::Entropy::seeded([9; 32]);
    let (roots, transcript) =
        ceremony::run(&entropy, &officers(), &custodians, NOW.parse().unwrap()).unwrap();
    let rotation = Rotation::Masters {
        key_type: KeyType::Dtk,
        index: None,
        suite: Some(SuiteId::Aes),
    };
    hsm.rotate_keys(&roots, &transcript, rotation).unwrap()
}

fn put(hsm: &SoftHsm, version: u8, to: KeyState) {
    hsm.set_key_state(KeyId::Master(dtk(version)), to).unwrap();
}

/// A new card's DTK, with the version that it got. `maker` has the transport masters.
fn new_card(hsm: &SoftHsm, maker: &SoftHsm, serial: u64) -> (KeyHeader, Key) {
    let mut blank = ReferenceCard::blank(maker, format!("{serial:020}").parse().unwrap());
    let session = issuer_session(hsm, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: vec![dtk(CURRENT)],
    };
    let items = hsm.wrap_keys(session, &order).unwrap();
    key_of(&blank, &items[0])
}

/// Whether a TAC of a card with this key is right, or the error's number.
fn judged(hsm: &SoftHsm, key: &Key, version: u8) -> Result<bool, u16> {
    let l = load(1, Fen(1000));
    let check = ProofCheck::Load {
        card: card(),
        suite: SuiteId::Aes,
        version,
        amount: l.amount,
        terminal: l.terminal,
        time: NOW.parse().unwrap(),
        seq: 1,
        balance_before: l.balance_before,
        tac: l.tac(SuiteId::Aes, key, NOW.parse().unwrap()),
    };
    hsm.verify(&[check])
        .unwrap()
        .remove(0)
        .map_err(|e| e.code())
}

/// DTKs of AES on the token, by their labels.
fn on_the_token() -> Vec<String> {
    let mut labels = labels();
    labels.retain(|label| label.contains(" DTK ") && label.ends_with("aes"));
    labels
}

#[test]
fn a_key_lives_its_life_on_a_token() {
    softhsm::with_softhsm("a_key_lives_its_life_on_a_token", |at| {
        let (maker, directory) = (create(&at.join("maker")), at.join("hsm"));
        let hsm = create_from(on_token(&directory)).unwrap();
        let (first, old) = new_card(&hsm, &maker, 1);
        assert_eq!((first.version, judged(&hsm, &old, 1)), (1, Ok(true)));
        assert_eq!(rotate(&hsm), [KeyId::Master(dtk(2))]);
        assert_eq!(on_the_token().len(), 2);
        assert_eq!(new_card(&hsm, &maker, 2).0.version, 1, "not active yet");
        put(&hsm, 2, KeyState::Active);
        let (second, new) = new_card(&hsm, &maker, 3);
        assert_eq!(second.version, 2);
        put(&hsm, 1, KeyState::VerifyOnly);
        let both = |hsm: &SoftHsm| [judged(hsm, &old, 1), judged(hsm, &new, 2)];
        assert_eq!(both(&hsm), [Ok(true); 2]);
        assert_eq!(judged(&hsm, &old, 2), Ok(false), "another key");

        // A restart; then the token is pulled out, and a change fails and leaves nothing.
        drop(hsm);
        let hsm = open(&directory);
        let (tokens, away) = (at.join("tokens"), at.join("away"));
        fs::rename(&tokens, &away).unwrap();
        forget();
        assert_eq!(both(&hsm), [Err(30); 2]);
        fs::rename(&away, &tokens).unwrap();
        assert_eq!(both(&hsm), [Ok(true); 2]);

        put(&hsm, 1, KeyState::Retired);
        assert_eq!(both(&hsm), [Err(4), Ok(true)]);
        assert_eq!(on_the_token().len(), 2, "retired is not gone");

        // Destroyed while the token is away: so in the store at once, on the token when it is back.
        fs::rename(&tokens, &away).unwrap();
        forget();
        let destroyed = KeyId::Master(dtk(1));
        let refused = hsm.set_key_state(destroyed, KeyState::Destroyed);
        assert_eq!(refused.map_err(|e| e.code()), Err(30));
        fs::rename(&away, &tokens).unwrap();
        assert_eq!(on_the_token().len(), 2);
        drop(hsm);
        let hsm = SoftHsm::open(on_token(&directory)).unwrap();
        assert_eq!(on_the_token().len(), 1);
        assert_eq!(both(&hsm), [Err(4), Ok(true)]);
        drop(hsm);
        let hsm = SoftHsm::open(on_token(&directory)).unwrap();
        assert_eq!(both(&hsm), [Err(4), Ok(true)]);
        drop(hsm);
        let log = directory.join("audit.jsonl");
        audit::verify(&log).unwrap();
        let text = fs::read_to_string(log).unwrap();
        assert_eq!(text.matches(r#""act":"keys-wiped""#).count(), 1);
    });
}

/// A new storage key leaves the masters where they are.
#[test]
fn a_storage_key_rotates_beside_a_token() {
    softhsm::with_softhsm("a_storage_key_rotates_beside_a_token", |at| {
        let directory = at.join("hsm");
        let hsm = create_from(on_token(&directory)).unwrap();
        let (keys, before) = (hsm.keys().unwrap(), labels());
        let next = Zeroizing::new("open barley".to_owned());
        hsm.rotate_storage_key(&next, KdfCost::LIGHT).unwrap();
        drop(hsm);
        assert_eq!(labels(), before);
        assert!(SoftHsm::open(on_token(&directory)).is_err());
        let mut config = on_token(&directory);
        config.passphrase = next;
        assert_eq!(SoftHsm::open(config).unwrap().keys().unwrap(), keys);
    });
}

/// What was destroyed on the token does not come back with a backup, and all else does.
#[test]
fn an_old_backup_opens_where_a_key_was_destroyed_since() {
    softhsm::with_softhsm(
        "an_old_backup_opens_where_a_key_was_destroyed_since",
        |at| {
            let hsm = create_from(on_token(&at.join("hsm"))).unwrap();
            rotate(&hsm);
            let quorum = Quorum::new(2, 3).unwrap();
            let backup = hsm.backup(quorum, &["Wu", "Zheng", "Huang"]).unwrap();
            put(&hsm, 2, KeyState::Destroyed);
            let others = labels();
            drop(hsm);
            let plan = backup.header.plan().unwrap();
            let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
            for sheet in &backup.sheets[..2] {
                ceremony.enter(&sheet.custodian, &sheet.parts[0]).unwrap();
            }
            for officer in officers().names() {
                ceremony.confirm(officer).unwrap();
            }
            let (formed, transcript) = ceremony.finish().unwrap();
            let again = at.join("again");
            let hsm = SoftHsm::restore(
                on_token(&again),
                &backup.file,
                formed,
                &transcript,
                None,
                |_| Ok(()),
            )
            .unwrap();
            let state = |hsm: &SoftHsm, version| {
                let keys = hsm.keys().unwrap();
                keys.into_iter()
                    .find(|k| {
                        k.key_type == KeyType::Dtk
                            && k.suite == SuiteId::Aes
                            && k.version == version
                    })
                    .map(|k| k.state)
            };
            assert_eq!(state(&hsm, 2), Some(KeyState::Destroyed));
            assert_eq!(state(&hsm, 1), Some(KeyState::Active));
            assert_eq!(labels(), others);
            hsm.sign(SignPurpose::Hotlist, b"list").unwrap();
            drop(hsm);
            drop(SoftHsm::open(on_token(&again)).unwrap());
            let log = fs::read_to_string(again.join("audit.jsonl")).unwrap();
            assert!(log.contains("keys-gone-since-backup"));
        },
    );
}
