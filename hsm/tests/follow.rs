//! Two servers of one province kept in step: one follows the other's keys and their states.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType, class},
};
use common::{
    NOW, officers,
    twins::{opened, tac_of_a_card, twins},
};
use hsm::{
    Entropy, Imported, Kek, Rotation, SoftHsm, ceremony,
    exchange::{Bundle, Wrapping},
};
use hsm_client::{
    Hsm, KeyId, KeyState,
    KeyState::{Active, Compromised, Destroyed, Retired, VerifyOnly},
    ServiceKey, SignPurpose,
};

const fn dtk(version: u8) -> KeyHeader {
    KeyHeader {
        key_type: KeyType::Dtk,
        index: class::ONLY,
        version,
        suite: SuiteId::Aes,
    }
}

const fn service(key: ServiceKey, version: u8) -> KeyId {
    KeyId::Service { key, version }
}

const HOTLIST: SignPurpose = SignPurpose::Hotlist;

const fn hotlist(version: u8) -> KeyId {
    KeyId::Signing {
        purpose: HOTLIST,
        version,
    }
}

fn rotate(hsm: &SoftHsm, rotation: Rotation) -> Vec<KeyId> {
    let custodians = ["Wu", "Zheng", "Huang"];
    let entropy = Entropy::seeded([9; 32]);
    let (roots, transcript) =
        ceremony::run(&entropy, &officers(), &custodians, NOW.parse().unwrap()).unwrap();
    hsm.rotate_keys(&roots, &transcript, rotation).unwrap()
}

fn rotate_dtk(hsm: &SoftHsm) {
    let rotation = Rotation::Masters {
        key_type: KeyType::Dtk,
        index: None,
        suite: Some(SuiteId::Aes),
    };
    rotate(hsm, rotation);
}

fn put(hsm: &SoftHsm, key: KeyId, states: &[KeyState]) {
    for state in states {
        hsm.set_key_state(key, *state).unwrap();
    }
}

/// As it goes over in a file.
fn export(hsm: &SoftHsm) -> Bundle {
    let all = hsm.travelling(&Kek::Own);
    let bundle = hsm.export(&Kek::Own, Wrapping::KeyBlock, &all);
    Bundle::from_json(&serde_json::to_string(&bundle.unwrap()).unwrap()).unwrap()
}

fn follow(place: &Path, bundle: &Bundle) -> (SoftHsm, Imported) {
    let all: Vec<KeyId> = bundle.keys.iter().map(|item| item.key).collect();
    let hsm = opened(place);
    let imported = hsm.import(&Kek::Own, bundle, &all).unwrap();
    (hsm, imported)
}

fn state(hsm: &SoftHsm, key: KeyId) -> KeyState {
    let own = hsm.own_keys().unwrap();
    let found = match key {
        KeyId::Master(h) => {
            let all = hsm.keys().unwrap().into_iter();
            let mut same = all.filter(|k| (k.key_type, k.suite) == (h.key_type, h.suite));
            same.find(|k| (k.index, k.version) == (h.index, h.version))
                .map(|k| k.state)
        }
        KeyId::Service { key, version } => {
            let mut all = own.service.iter();
            all.find(|k| (k.key, k.version) == (key, version))
                .map(|k| k.state)
        }
        KeyId::Signing { purpose, version } => {
            let mut all = own.signing.iter();
            all.find(|k| (k.purpose, k.version) == (purpose, version))
                .map(|k| k.state)
        }
    };
    found.unwrap()
}

#[test]
fn one_server_follows_the_other() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let place = places[1].path().join("hsm");
    let [a, b] = twins(places[0].path(), &place);
    drop(b);
    rotate_dtk(&a);
    for rotation in [
        Rotation::Service(ServiceKey::Pin),
        Rotation::Service(ServiceKey::Transport),
        Rotation::Signing(HOTLIST),
    ] {
        rotate(&a, rotation);
    }
    put(&a, KeyId::Master(dtk(2)), &[Active]);
    put(&a, hotlist(2), &[Active]);
    let tac = tac_of_a_card(&a, dtk(2));
    let first = export(&a);
    let (b, imported) = follow(&place, &first);
    assert_eq!(imported.added.len(), 4);
    assert_eq!(b.keys().unwrap(), a.keys().unwrap());
    assert_eq!(b.own_keys().unwrap(), a.own_keys().unwrap());
    // What is active there is active here: both judge alike and sign alike.
    for hsm in [&a, &b] {
        assert_eq!(hsm.verify(std::slice::from_ref(&tac)).unwrap(), [Ok(true)]);
    }
    assert_eq!(
        b.public_key(HOTLIST).unwrap(),
        a.public_key(HOTLIST).unwrap()
    );
    drop(b);
    // Twice is the same as once.
    let (b, imported) = follow(&place, &first);
    assert!(imported.added.is_empty() && imported.followed.is_empty());
    drop(b);

    put(&a, KeyId::Master(dtk(1)), &[VerifyOnly, Retired]);
    put(&a, hotlist(1), &[Compromised]);
    put(&a, service(ServiceKey::Pin, 2), &[Destroyed]);
    let second = export(&a);
    // What nobody should use travels as a state.
    for key in [hotlist(1), service(ServiceKey::Pin, 2)] {
        let item = second.keys.iter().find(|item| item.key == key).unwrap();
        assert!(item.wrapped.is_none());
    }
    let (b, imported) = follow(&place, &second);
    assert_eq!(imported.added, []);
    assert_eq!(imported.followed.len(), 3);
    assert_eq!(b.keys().unwrap(), a.keys().unwrap());
    assert_eq!(b.own_keys().unwrap(), a.own_keys().unwrap());
    // An older bundle turns nothing back, and neither does one whose sender knows less.
    put(&b, KeyId::Master(dtk(2)), &[Compromised]);
    drop(b);
    for bundle in [&first, &second] {
        let (b, imported) = follow(&place, bundle);
        assert!(
            imported.added.is_empty() && imported.followed.is_empty(),
            "{imported:?}"
        );
        assert_eq!(state(&b, KeyId::Master(dtk(1))), Retired);
        assert_eq!(state(&b, KeyId::Master(dtk(2))), Compromised);
        assert_eq!(state(&b, hotlist(1)), Compromised);
        assert_eq!(state(&b, service(ServiceKey::Pin, 2)), Destroyed);
        assert!(b.verify(std::slice::from_ref(&tac)).unwrap()[0].is_err());
    }
    // The other way round, A learns what B's officers found out.
    let b = opened(&place);
    let back = export(&b);
    drop((a, b));
    let (a, imported) = follow(places[0].path(), &back);
    assert_eq!(imported.followed, [(KeyId::Master(dtk(2)), Compromised)]);
    // The transport key itself is rotated: the bundle is under the version that is active there.
    put(&a, service(ServiceKey::Transport, 2), &[Active]);
    let third = export(&a);
    assert_ne!(third.kek_kcv, first.kek_kcv);
    let (b, _) = follow(&place, &third);
    assert_eq!(b.own_keys().unwrap(), a.own_keys().unwrap());
}

/// A version that was compromised before the other server heard of it never comes there.
#[test]
fn a_name_that_is_burnt_stays_burnt() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let place = places[1].path().join("hsm");
    let [a, b] = twins(places[0].path(), &place);
    drop(b);
    rotate_dtk(&a);
    rotate(&a, Rotation::Signing(HOTLIST));
    let early = export(&a);
    let burnt = [KeyId::Master(dtk(2)), hotlist(2)];
    for key in burnt {
        put(&a, key, &[Compromised]);
    }
    let late = export(&a);
    for bundle in [&late, &early] {
        let (b, _) = follow(&place, bundle);
        for key in burnt {
            assert_eq!(state(&b, key), Destroyed);
        }
    }
    // Between provinces it does not travel at all, and it is said why.
    let kek = common::twins::kek(3);
    let abroad = Kek::Formed(&kek);
    assert!(burnt.iter().all(|key| !a.travelling(&abroad).contains(key)));
    let refused = a.export(&abroad, Wrapping::KeyBlock, &burnt);
    assert!(refused.unwrap_err().to_string().contains("is compromised"));
}
