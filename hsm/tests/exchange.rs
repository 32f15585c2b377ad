//! Keys between two HSMs: what arrives is what was sent, and nothing else is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    keys::{KeyHeader, KeyType, kcv},
    perso::kcv_kind,
    suite::{Key, SuiteId},
};
use common::{
    config,
    twins::{formed, kek, opened, tac_of_a_card, twins},
};
use hsm::{
    BlockKek, Imported, Kek, SoftHsm, Zeroizing,
    ceremony::Subject,
    exchange::{Bundle, Component, Wrapping},
};
use hsm_client::{Hsm, HsmError, KeyId, KeyState, ServiceKey};

const DTK2: KeyHeader = KeyHeader {
    key_type: KeyType::Dtk,
    index: 1,
    version: 2,
    suite: SuiteId::Aes,
};

/// A new key as it comes from elsewhere, on paper.
fn components(header: KeyHeader, fills: [u8; 3]) -> (Vec<Component>, [u8; 3]) {
    let check = |fill| kcv(&Key::new([fill; 16]), header.suite, kcv_kind(header.suite));
    let component = |(custodian, fill): (&str, u8)| Component {
        custodian: custodian.to_owned(),
        value: Zeroizing::new([fill; 16]),
        check: check(fill),
    };
    let [a, b, c] = fills;
    let all = [("Wu", a), ("Zheng", b), ("Huang", c)].map(component);
    (all.into(), check(a ^ b ^ c))
}

/// A new version waits until two officers activate it.
fn activate(hsm: &SoftHsm) {
    hsm.set_key_state(KeyId::Master(DTK2), KeyState::Active)
        .unwrap();
}

fn refused(result: hsm_client::Result<Imported>) -> HsmError {
    match result {
        Err(error) => error,
        Ok(imported) => panic!("imported {imported:?}"),
    }
}

#[test]
fn two_servers_are_kept_in_step() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = twins(places[0].path(), &places[1].path().join("hsm"));
    let b_place = places[1].path().join("hsm");
    drop(a);
    // A new version of the TAC key comes to A on paper.
    let (paper, check) = components(DTK2, [0x11, 0x22, 0x44]);
    let a = opened(places[0].path());
    a.import_components(DTK2, &paper, check).unwrap();
    activate(&a);
    let tac = tac_of_a_card(&a, DTK2);
    assert_eq!(a.verify(std::slice::from_ref(&tac)).unwrap(), [Ok(true)]);
    assert!(matches!(
        b.verify(std::slice::from_ref(&tac)).unwrap()[..],
        [Err(HsmError::UnknownKey { .. })]
    ));
    drop(b);
    let mut b_keys = Vec::new();
    for wrapping in [
        Wrapping::KeyBlock,
        Wrapping::KeyWrap,
        Wrapping::PaddedKeyWrap,
    ] {
        let kek = kek(3);
        let all = a.travelling(&Kek::Formed(&kek));
        let bundle = a.export(&Kek::Formed(&kek), wrapping, &all).unwrap();
        let bundle = Bundle::from_json(&serde_json::to_string(&bundle).unwrap()).unwrap();
        let b = opened(&b_place);
        let imported = b.import(&Kek::Formed(&kek), &bundle, &all).unwrap();
        // The first bundle brings the new version; all the others are here already.
        let new = if b_keys.is_empty() { 1 } else { 0 };
        assert_eq!(imported.added.len(), new);
        assert_eq!(imported.known.len(), all.len() - new);
        if new == 1 {
            assert!(b.verify(std::slice::from_ref(&tac)).unwrap()[0].is_err());
            activate(&b);
        }
        b_keys = b.keys().unwrap();
        assert_eq!(b_keys, a.keys().unwrap());
        assert_eq!(b.verify(std::slice::from_ref(&tac)).unwrap(), [Ok(true)]);
    }
    // It is in the store, not only in memory, and in both logs.
    let b = SoftHsm::open(config(&b_place)).unwrap();
    assert_eq!(b.verify(&[tac]).unwrap(), [Ok(true)]);
    drop((a, b));
    for (place, act) in [
        (places[0].path(), "keys-exported"),
        (&b_place, "keys-imported"),
    ] {
        let log = std::fs::read_to_string(place.join("audit.jsonl")).unwrap();
        assert!(log.contains(act) && log.contains("DTK index 01 version 2 aes"));
    }
}

#[test]
fn what_is_not_expected_or_not_sound_is_not_taken() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let b_place = places[1].path().join("hsm");
    let [a, b] = twins(places[0].path(), &b_place);
    let before = b.keys().unwrap();
    drop((a, b));
    let (paper, check) = components(DTK2, [0x11, 0x22, 0x44]);
    let a = opened(places[0].path());
    a.import_components(DTK2, &paper, check).unwrap();
    let (kek, other) = (kek(3), kek(4));
    let dtk1 = KeyHeader { version: 1, ..DTK2 };
    let (one, two) = (KeyId::Master(dtk1), KeyId::Master(DTK2));
    let mut bundle = a
        .export(&Kek::Formed(&kek), Wrapping::KeyBlock, &[two, one])
        .unwrap();
    let import = |kek, bundle: &Bundle, expected: &[KeyId]| {
        refused(opened(&b_place).import(&Kek::Formed(kek), bundle, expected))
    };
    // Only what the officers agreed to.
    assert!(matches!(
        import(&kek, &bundle, &[one]),
        HsmError::WrongUsage { .. }
    ));
    // Under this KEK only.
    assert!(matches!(
        import(&other, &bundle, &[one, two]),
        HsmError::NotAuthentic { .. }
    ));
    let own = opened(&b_place).import(&Kek::Own, &bundle, &[one, two]);
    assert!(matches!(refused(own), HsmError::NotAuthentic { .. }));
    // Nothing is changed on the way, in no form: key wrap itself says nothing of a key's name.
    for wrapping in [
        Wrapping::KeyBlock,
        Wrapping::KeyWrap,
        Wrapping::PaddedKeyWrap,
    ] {
        let mut swapped = a.export(&Kek::Formed(&kek), wrapping, &[two, one]).unwrap();
        let names = [swapped.keys[1].key, swapped.keys[0].key];
        for (item, name) in swapped.keys.iter_mut().zip(names) {
            item.key = name;
        }
        assert!(matches!(
            import(&kek, &swapped, &[one, two]),
            HsmError::NotAuthentic { .. }
        ));
    }
    // All or nothing: the second item is broken, the first one is not taken.
    let sound = bundle.keys[1].wrapped.clone();
    let mut broken = sound.clone().unwrap();
    let digit = if &broken[60..61] == "0" { "1" } else { "0" };
    broken.replace_range(60..61, digit);
    bundle.keys[1].wrapped = Some(broken);
    assert!(matches!(
        import(&kek, &bundle, &[one, two]),
        HsmError::NotAuthentic { .. }
    ));
    assert_eq!(
        SoftHsm::open(config(&b_place)).unwrap().keys().unwrap(),
        before
    );
    // Another value under the name of a key that is here.
    let (paper, check) = components(DTK2, [0x10, 0x20, 0x40]);
    let b = opened(&b_place);
    b.import_components(DTK2, &paper, check).unwrap();
    drop(b);
    bundle.keys[1].wrapped = sound;
    assert!(matches!(
        import(&kek, &bundle, &[one, two]),
        HsmError::Refused { .. }
    ));
    // The key of the store itself never leaves.
    let storage = a.export(
        &Kek::Own,
        Wrapping::KeyBlock,
        &[KeyId::Service {
            key: ServiceKey::Storage,
            version: 1,
        }],
    );
    assert!(matches!(storage, Err(HsmError::WrongUsage { .. })));
}

#[test]
fn components_out_and_in_again() {
    let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let b_place = places[1].path().join("hsm");
    let [a, b] = twins(places[0].path(), &b_place);
    drop((a, b));
    let (paper, check) = components(DTK2, [0x11, 0x22, 0x44]);
    let a = opened(places[0].path());
    let from = |paper: &[Component], check| a.import_components(DTK2, paper, check);
    // One component is missing, or of another key: the check value of the whole tells.
    let (wrong, _) = components(DTK2, [0x11, 0x22, 0x45]);
    assert!(matches!(
        from(&wrong, check).err(),
        Some(HsmError::NotAuthentic { .. })
    ));
    assert!(matches!(
        from(&paper[..2], check).err(),
        Some(HsmError::Refused { .. })
    ));
    from(&paper, check).unwrap();
    let names = ["Wu", "Zheng", "Huang", "Su"];
    let out = a.export_components(DTK2, &names).unwrap();
    assert!(a.export_components(DTK2, &names[..2]).is_err());
    let mut sum = [0; 16];
    for component in &out {
        sum.iter_mut()
            .zip(component.value.iter())
            .for_each(|(s, c)| *s ^= c);
    }
    assert_eq!(sum, [0x77; 16]);
    activate(&a);
    let tac = tac_of_a_card(&a, DTK2);
    drop(a);
    let b = opened(&b_place);
    b.import_components(DTK2, &out, check).unwrap();
    activate(&b);
    assert_eq!(b.verify(&[tac]).unwrap(), [Ok(true)]);
    drop(b);
    // Check values are in the logs, components are not.
    for place in [places[0].path(), &b_place] {
        let log = std::fs::read_to_string(place.join("audit.jsonl")).unwrap();
        for component in &out {
            assert!(!log.to_lowercase().contains(&hex::encode(*component.value)));
        }
    }
}

/// Blocks that psec 1.3 wrapped: usage E0 (EMV master), derivation or any use, version 00.
#[test]
fn blocks_of_another_party() {
    let place = tempfile::tempdir().unwrap();
    drop(common::create(place.path()));
    let tdes = KeyId::Master(KeyHeader {
        suite: SuiteId::Tdes,
        ..DTK2
    });
    let aes = KeyId::Master(DTK2);
    let value = hex_literal::hex!("89E88CF7931444F334BD7547FC3F380C");
    let components = [value.map(|byte| byte ^ 0xFF), [0x55; 16], [0xAA; 16]];
    let legacy = formed(Subject::LegacyTransport, &components);
    let legacy = legacy.legacy().unwrap();
    let import = |kek: &BlockKek<'_>, block: &str, expected| {
        let hsm = opened(place.path());
        let check = hsm.import_block(kek, block, expected);
        check.map(|check| (hsm.keys().unwrap().len(), check))
    };
    let block = "B0096E0TX00E00003CD1909672BAE927CE3704ECAE6F6C483788C586233ABC853F8173CCF2006147A70A23D91469BA37";
    let old = BlockKek::Legacy(&legacy);
    // Another usage than the officers expect, an AES key, another KEK, a block that was changed.
    let damk = KeyId::Master(KeyHeader {
        key_type: KeyType::Damk,
        suite: SuiteId::Tdes,
        ..DTK2
    });
    let never_again = "B0096E0TN00N000095D8505E9B568BA77E8D668CD99E46BC735EC46BD15A135503B83AC9FA7A165CB285CE64251A8DCC";
    let of_aes = "B0112E0AX00E0000F2D6E81E74F6B1DF2263A333994E9DA06D421CAE5B45EE25997D7BEC10D64FCECB92E0F89196EE7AAD4CF2BB52A05E04";
    let changed = block.replace("E0TX", "E0TN");
    let other = kek(3);
    let other = BlockKek::Formed(&other);
    for (kek, block, expected, code) in [
        (&old, block, damk, 2),
        (&old, of_aes, aes, 2),
        (&old, never_again, tdes, 4),
        (&old, &changed, tdes, 3),
        (&other, block, tdes, 7),
    ] {
        let refused = import(kek, block, expected).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    // The check value is that of `openssl enc -des-ede` over zeros.
    let (keys, check) = import(&old, block, tdes).unwrap();
    assert_eq!((keys, check.as_str()), (90, "CB9DEA"));
    let hsm = SoftHsm::open(config(place.path())).unwrap();
    let all = hsm.keys().unwrap();
    let new = all.iter().find(|k| k.version == 2).unwrap();
    assert_eq!(new.state, KeyState::PreActive);
    drop(hsm);
    let log = std::fs::read_to_string(place.path().join("audit.jsonl")).unwrap();
    let lines = log.lines().filter(|l| l.contains("block-imported"));
    let (done, refused): (Vec<&str>, Vec<&str>) = lines.partition(|l| l.contains("\"outcome\":0"));
    assert_eq!((done.len(), refused.len()), (1, 5));
    let line = done[0];
    assert!(line.contains("\"legacy\":true") && line.contains("B0096E0TX00E0000"));
}
