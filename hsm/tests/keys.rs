//! Which key does what: every operation that names a key against every key type, every state, and
//! rotation with overlap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType, class},
    purse::TxType,
    purse::mac::{Context, Purchase},
    suite::Key,
};
use common::{
    NOW, ReferenceCard, card, config, create, header, issuer_session, key_of, load, load_request,
    officers,
};
use hsm::{Roots, Rotation, SoftHsm, ceremony};
use hsm_client::{
    AuthenticateRequest, CURRENT, CardCommand, CardOrder, Hsm, HsmError, KeyId, KeyOrder, KeyState,
    MutualRequest, ProofCheck, Result, SamKeyRequest, ServiceKey, SessionId, SignPurpose,
};

const BLANK: &str = "00000000000000000042";

fn session(hsm: &SoftHsm) -> (ReferenceCard, SessionId) {
    let mut blank = ReferenceCard::blank(hsm, BLANK.parse().unwrap());
    let session = issuer_session(hsm, &mut blank);
    (blank, session)
}

fn card_order(hsm: &SoftHsm, session: SessionId, header: KeyHeader) -> Result<Vec<Vec<u8>>> {
    let (card, headers) = (card(), vec![header]);
    hsm.wrap_keys(session, &KeyOrder::Card { card, headers })
}

fn sam_order(hsm: &SoftHsm, session: SessionId, header: KeyHeader) -> Result<Vec<Vec<u8>>> {
    let order = KeyOrder::Sam {
        sam: "350200000001".parse().unwrap(),
        iin: card().pan.iin(),
        regions: vec![card().region],
        headers: vec![header],
    };
    hsm.wrap_keys(session, &order)
}

fn sam_key(hsm: &SoftHsm, header: KeyHeader) -> Result<Vec<u8>> {
    hsm.sam_write_key(&SamKeyRequest {
        sam: "350200000001".parse().unwrap(),
        issuing_version: 1,
        challenge: [1; 8],
        iin: card().pan.iin(),
        region: card().region,
        header,
    })
}

fn authenticate(hsm: &SoftHsm, header: KeyHeader) -> Result<Vec<u8>> {
    let (card, challenge) = (card(), [1; 8]);
    hsm.authenticate_to_card(&AuthenticateRequest {
        card,
        header,
        challenge,
    })
}

/// With a card's proof that is none: a reading key comes as far as that.
fn authenticate_mutually(hsm: &SoftHsm, header: KeyHeader) -> Option<HsmError> {
    let reader = AuthenticateRequest {
        card: card(),
        header,
        challenge: [1; 8],
    };
    let refused = hsm.authenticate_mutually(&MutualRequest {
        version: 1,
        sent: [1; 8],
        cryptogram: [1; 8],
        reader,
    });
    refused.err().filter(|error| error.code() != 3)
}

/// The operations that name a key by its header, against every key type: HSM 2 or done. All others
/// name a suite and a version; the type is the operation's own and cannot be said.
#[test]
fn no_key_serves_what_is_not_its_own() {
    use KeyType::{Dack, Dpk, Irk, IsdDek, IsdEnc, IsdMac, Mpk, Rk, SamCeiling, SamIssue};
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let (_, session) = session(&hsm);
    for h in hsm::catalog() {
        let t = h.key_type;
        let own = matches!(t, SamIssue | SamCeiling);
        let of_domain = matches!(t, IsdEnc | IsdMac | IsdDek);
        let in_sams = matches!(t, Dpk | Dack | Irk | Rk | Mpk);
        let expected = [
            (card_order(&hsm, session, h).err(), !own && !of_domain),
            (sam_order(&hsm, session, h).err(), in_sams || own),
            (sam_key(&hsm, h).err(), in_sams),
            (authenticate(&hsm, h).err(), t == Rk),
            (authenticate_mutually(&hsm, h), t == Rk),
        ];
        for (n, (refused, allowed)) in expected.into_iter().enumerate() {
            match refused {
                None => assert!(allowed, "operation {n} with {h:?}"),
                Some(HsmError::WrongUsage { .. }) => assert!(!allowed, "operation {n} with {h:?}"),
                Some(other) => panic!("operation {n} with {h:?}: {other}"),
            }
        }
    }
}

fn dtk(version: u8) -> KeyHeader {
    KeyHeader {
        version,
        ..header(KeyType::Dtk, class::ONLY, SuiteId::Aes)
    }
}

fn tac(key: &Key, version: u8) -> ProofCheck {
    let purchase = Purchase {
        amount: Fen(200),
        tx: TxType::Capp,
        terminal: "350200000001".parse().unwrap(),
        terminal_seq: 77,
        time: NOW.parse().unwrap(),
        seq: 5,
        rnd: [1, 2, 3, 4],
        context: Context::default(),
    };
    ProofCheck::Purchase {
        card: card(),
        suite: SuiteId::Aes,
        version,
        amount: purchase.amount,
        tx: purchase.tx,
        terminal: purchase.terminal,
        terminal_seq: purchase.terminal_seq,
        time: purchase.time,
        seq: purchase.seq,
        balance_after: Fen(800),
        context: purchase.context,
        tac: purchase.tac(SuiteId::Aes, key, Fen(800)),
    }
}

/// The roots of a second ceremony.
fn second() -> (Roots, ceremony::Transcript) {
    let custodians = ["Wu", "Zheng", "Huang"];
    let entropy = hsm::Entropy::seeded([9; 32]);
    ceremony::run(&entropy, &officers(), &custodians, NOW.parse().unwrap()).unwrap()
}

fn rotate(hsm: &SoftHsm, rotation: Rotation) -> Vec<KeyId> {
    let (roots, transcript) = second();
    hsm.rotate_keys(&roots, &transcript, rotation).unwrap()
}

fn put(hsm: &SoftHsm, key: KeyId, to: KeyState) {
    hsm.set_key_state(key, to).unwrap();
}

/// A TAC key is rotated: cards get the new version from the day it is active, what the old one
/// made is judged until it is retired, and every restart finds it so.
#[test]
fn a_rotation_overlaps() {
    let directory = tempfile::tempdir().unwrap();
    let mut hsm = create(directory.path());
    let issued = |hsm: &SoftHsm, header| {
        let (blank, session) = session(hsm);
        card_order(hsm, session, header).map(|items| key_of(&blank, &items[0]))
    };
    let (old, old_key) = issued(&hsm, dtk(CURRENT)).unwrap();
    assert_eq!(old, dtk(1));
    let (old_tac, verified) = (tac(&old_key, 1), |hsm: &SoftHsm, tac: &ProofCheck| {
        hsm.verify(std::slice::from_ref(tac)).unwrap().remove(0)
    });
    assert_eq!(verified(&hsm, &old_tac), Ok(true));
    let aes_dtk = Rotation::Masters {
        key_type: KeyType::Dtk,
        index: Some(class::ONLY),
        suite: Some(SuiteId::Aes),
    };
    let made = rotate(&hsm, aes_dtk);
    assert_eq!(made, [KeyId::Master(dtk(2))]);
    // The state that begins; the version that new cards get; whether the old TAC is judged.
    type Step = (Option<(u8, KeyState)>, u8, bool);
    let steps: [Step; 5] = [
        (None, 1, true),
        (Some((2, KeyState::Active)), 2, true),
        (Some((1, KeyState::VerifyOnly)), 2, true),
        (Some((1, KeyState::Retired)), 2, false),
        (Some((1, KeyState::Destroyed)), 2, false),
    ];
    for (change, current, judged) in steps {
        if let Some((version, to)) = change {
            put(&hsm, KeyId::Master(dtk(version)), to);
        }
        drop(hsm);
        hsm = SoftHsm::open(config(directory.path())).unwrap();
        let (given, key) = issued(&hsm, dtk(CURRENT)).unwrap();
        assert_eq!(given.version, current, "{change:?}");
        assert_eq!(verified(&hsm, &tac(&key, current)), Ok(true));
        assert_eq!(verified(&hsm, &old_tac).is_ok(), judged, "{change:?}");
        // Any version but the current one is refused by name.
        let other = issued(&hsm, dtk(3 - current)).err().unwrap();
        assert_eq!(other.code(), 4, "{other}");
    }
    let info = hsm.keys().unwrap();
    let of = |version| {
        let mut all = info.iter();
        all.find(|k| (k.key_type, k.suite, k.version) == (KeyType::Dtk, SuiteId::Aes, version))
            .unwrap()
    };
    let states = |version| {
        of(version)
            .history
            .iter()
            .map(|e| e.state)
            .collect::<Vec<_>>()
    };
    use KeyState::{Active, Destroyed, PreActive, Retired, VerifyOnly};
    assert_eq!(states(1), [Active, VerifyOnly, Retired, Destroyed]);
    assert_eq!(states(2), [PreActive, Active]);
    assert_ne!(of(1).kcv, of(2).kcv);
    let log = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    assert!(log.contains("key-rotation") && log.contains("\"to\":\"destroyed\""));
}

/// Every state against the operations that need a key: the table of docs/hsm.md.
#[test]
fn every_state_allows_what_the_table_says() {
    use KeyState::{Active, Compromised, Destroyed, PreActive, Retired, VerifyOnly};
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let (blank, session) = session(&hsm);
    let types = [
        KeyType::Dtk,
        KeyType::Dlk,
        KeyType::Damk,
        KeyType::Dpk,
        KeyType::Rk,
    ];
    let named = |key_type, version| {
        let catalog = hsm::catalog().into_iter();
        let mut of_type = catalog.filter(|h| h.key_type == key_type && h.suite == SuiteId::Aes);
        KeyHeader {
            version,
            ..of_type.next().unwrap()
        }
    };
    let mut keys = std::collections::BTreeMap::new();
    for t in types {
        let items = card_order(&hsm, session, named(t, CURRENT)).unwrap();
        keys.insert(t, key_of(&blank, &items[0]).1);
        let index = Some(named(t, 1).index);
        let suite = Some(SuiteId::Aes);
        rotate(
            &hsm,
            Rotation::Masters {
                key_type: t,
                index,
                suite,
            },
        );
    }
    // Operation by operation: done under version 1, for the state that version 1 is in.
    let probe = || {
        let seq = hsm.status().unwrap().audit_lines as u16;
        let load = load_request(&load(seq, Fen(100)), SuiteId::Aes, &keys[&KeyType::Dlk]);
        let maintain = CardCommand {
            card: card(),
            suite: SuiteId::Aes,
            version: 1,
            challenge: [1; 8],
            order: CardOrder::UnblockPurse,
        };
        [
            card_order(&hsm, session, named(KeyType::Dtk, 1)).is_ok(),
            sam_order(&hsm, session, named(KeyType::Dpk, 1)).is_ok(),
            sam_key(&hsm, named(KeyType::Dpk, 1)).is_ok(),
            hsm.authorize_load(&load).is_ok(),
            hsm.card_command(&maintain).is_ok(),
            authenticate(&hsm, named(KeyType::Rk, 1)).is_ok(),
            hsm.verify(&[tac(&keys[&KeyType::Dtk], 1)]).unwrap()[0].is_ok(),
        ]
    };
    let all = |to| {
        for t in types {
            put(&hsm, KeyId::Master(named(t, 1)), to);
        }
    };
    assert_eq!(probe(), [true; 7], "{Active:?}");
    for (state, expected) in [
        (VerifyOnly, [false, false, false, false, false, false, true]),
        (Retired, [false; 7]),
        (Compromised, [false; 7]),
        (Destroyed, [false; 7]),
    ] {
        all(state);
        assert_eq!(probe(), expected, "{state:?}");
    }
    // Before its day a version goes into SAMs only.
    for (header, done) in [
        (
            named(KeyType::Dpk, 2),
            sam_order(&hsm, session, named(KeyType::Dpk, 2)).is_ok(),
        ),
        (
            named(KeyType::Dtk, 2),
            card_order(&hsm, session, named(KeyType::Dtk, 2)).is_ok(),
        ),
        (
            named(KeyType::Rk, 2),
            authenticate(&hsm, named(KeyType::Rk, 2)).is_ok(),
        ),
    ] {
        assert_eq!(
            done,
            header.key_type == KeyType::Dpk,
            "{PreActive:?} {header:?}"
        );
    }
    // From destroyed nothing follows, and the refusal of any other step says what would be legal.
    let dead = hsm.set_key_state(KeyId::Master(named(KeyType::Dtk, 1)), Active);
    assert!(dead.unwrap_err().to_string().contains("nothing follows"));
    let early = hsm.set_key_state(KeyId::Master(named(KeyType::Dtk, 2)), Retired);
    assert!(
        early
            .unwrap_err()
            .to_string()
            .contains("active or compromised or destroyed")
    );
}

/// Cards personalised under the old issuer masters and under the new ones are both opened; a blank
/// gets the new ones.
#[test]
fn issuer_domain_keys_rotate_too() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let (mut old, _) = session(&hsm);
    for t in [KeyType::IsdEnc, KeyType::IsdMac, KeyType::IsdDek] {
        let rotation = Rotation::Masters {
            key_type: t,
            index: Some(0x30),
            suite: None,
        };
        for key in rotate(&hsm, rotation) {
            put(&hsm, key, KeyState::Active);
        }
    }
    let (new, _) = session(&hsm);
    assert_ne!(new.keys.enc.expose(), old.keys.enc.expose());
    common::open(&hsm, &mut old);
    for t in [KeyType::IsdEnc, KeyType::IsdMac, KeyType::IsdDek] {
        let key = KeyHeader {
            index: 0x30,
            ..header(t, 0x30, SuiteId::Aes)
        };
        put(&hsm, KeyId::Master(key), KeyState::VerifyOnly);
    }
    let answer = old.initialize_update([9; 8]);
    assert_eq!(hsm.scp03_open([9; 8], &answer, 0x33).unwrap_err().code(), 3);
}

/// Service and signing keys: new things go under the new version, old ones open with theirs.
#[test]
fn what_no_card_holds_rotates_too() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let item = |data: &[u8]| hsm_client::DataItem {
        context: "P1".to_owned(),
        data: data.to_vec(),
    };
    let old = hsm.wrap_data(&[item(b"a person")]).unwrap().remove(0);
    let before = hsm.public_key(SignPurpose::Hotlist).unwrap();
    for rotation in [
        Rotation::Service(ServiceKey::PersonalData),
        Rotation::Signing(SignPurpose::Hotlist),
    ] {
        for key in rotate(&hsm, rotation) {
            put(&hsm, key, KeyState::Active);
        }
    }
    let new = hsm.wrap_data(&[item(b"a person")]).unwrap().remove(0);
    assert_eq!((old[1], new[1]), (1, 2));
    for blob in [&old, &new] {
        assert_eq!(hsm.unwrap_data(&[item(blob)]).unwrap(), [b"a person"]);
    }
    assert_ne!(hsm.public_key(SignPurpose::Hotlist).unwrap(), before);
    let (roots, transcript) = second();
    let storage = Rotation::Service(ServiceKey::Storage);
    let refused = hsm.rotate_keys(&roots, &transcript, storage);
    assert_eq!(refused.unwrap_err().code(), 4);
}

/// The key that signs the log is compromised at once: the next one is drawn in the same act, and the
/// HSM goes on, also after a restart.
#[test]
fn a_compromised_audit_key_has_a_successor() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    for purpose in [SignPurpose::Audit, SignPurpose::ClientCa] {
        let before = hsm.public_key(purpose).unwrap();
        let key = KeyId::Signing {
            purpose,
            version: 1,
        };
        hsm.set_key_state(key, KeyState::Compromised).unwrap();
        assert_ne!(hsm.public_key(purpose).unwrap(), before);
        assert!(hsm.sign(SignPurpose::Hotlist, b"x").is_ok());
    }
    drop(hsm);
    let hsm = SoftHsm::open(config(directory.path())).unwrap();
    assert!(hsm.sign(SignPurpose::Hotlist, b"x").is_ok());
}
