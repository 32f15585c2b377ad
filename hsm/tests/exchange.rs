//! Keys between two HSMs: what arrives is what was sent, and nothing else is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use card_spec::{
    Fen,
    keys::{KeyHeader, KeyType, kcv},
    perso::kcv_kind,
    purse::{
        TxType,
        mac::{Context, Purchase},
    },
    suite::{Key, SuiteId},
};
use common::{NOW, ReferenceCard, card, config, create, issuer_session, key_of, officers};
use hsm::{
    Entropy, Imported, Kek, Quorum, SoftHsm, Zeroizing,
    ceremony::{Ceremony, Form, FormedKey, Plan, Subject, deal},
    exchange::{Bundle, Component, KeyName, Wrapping},
};
use hsm_client::{Hsm, HsmError, KeyId, KeyOrder, KeyState, ProofCheck, ServiceKey, SignPurpose};

const DTK2: KeyHeader = KeyHeader {
    key_type: KeyType::Dtk,
    index: 1,
    version: 2,
    suite: SuiteId::Aes,
};

/// A KEK formed from shares, as two sites do it.
fn kek(seed: u8) -> FormedKey {
    let names = ["Wu", "Zheng", "Huang"];
    let form = Form::Shares(Quorum::new(2, 3).unwrap());
    let entropy = Entropy::seeded([seed; 32]);
    let sheets = deal(&entropy, form, &[Subject::Transport], &names).unwrap();
    let plan = Plan::single(Subject::Transport, form, &names).unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for sheet in &sheets[1..] {
        ceremony.enter(&sheet.custodian, &sheet.parts[0]).unwrap();
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    let (formed, _) = ceremony.finish().unwrap();
    formed.single(Subject::Transport).unwrap()
}

/// Two HSMs of one province: B is A's restored backup.
fn twins(a: &Path, b: &Path) -> [SoftHsm; 2] {
    let hsm = create(a);
    let backup = hsm
        .backup(Quorum::new(2, 2).unwrap(), &["Wu", "Zheng"])
        .unwrap();
    let plan = backup.header.plan().unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for sheet in &backup.sheets {
        ceremony.enter(&sheet.custodian, &sheet.parts[0]).unwrap();
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    let (formed, transcript) = ceremony.finish().unwrap();
    let twin = SoftHsm::restore(config(b), &backup.file, formed, &transcript).unwrap();
    [hsm, twin]
}

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

/// A TAC made by a card that carries a DTK of this version.
fn tac_of_a_card(hsm: &SoftHsm, header: KeyHeader) -> ProofCheck {
    let mut blank = ReferenceCard::blank(hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(hsm, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: vec![header],
    };
    let items = hsm.wrap_keys(session, &order).unwrap();
    let (_, key) = key_of(&blank, &items[0]);
    let purchase = Purchase {
        amount: Fen(200),
        tx: TxType::Capp,
        terminal: "350200000001".parse().unwrap(),
        terminal_seq: 77,
        time: NOW.parse().unwrap(),
        seq: 5,
        rnd: [1, 2, 3, 4],
        context: Context {
            h0: [3; 8],
            h1: [4; 8],
        },
    };
    ProofCheck::Purchase {
        card: card(),
        suite: header.suite,
        version: header.version,
        amount: purchase.amount,
        tx: purchase.tx,
        terminal: purchase.terminal,
        terminal_seq: purchase.terminal_seq,
        time: purchase.time,
        seq: purchase.seq,
        balance_after: Fen(800),
        context: purchase.context,
        tac: purchase.tac(header.suite, &key, Fen(800)),
    }
}

/// Opened, with two officers' signed approvals.
fn opened(place: &Path) -> SoftHsm {
    let hsm = SoftHsm::open(config(place)).unwrap();
    common::forged::authorised(&hsm);
    hsm
}

/// A new version waits until two officers activate it.
fn activate(hsm: &SoftHsm) {
    hsm.set_key_state(KeyId::Master(DTK2), KeyState::Active)
        .unwrap();
}

fn every_key(hsm: &SoftHsm) -> Vec<KeyName> {
    let masters = hsm.keys().unwrap().into_iter().map(|k| {
        KeyName::Master(KeyHeader {
            key_type: k.key_type,
            index: k.index,
            version: k.version,
            suite: k.suite,
        })
    });
    let service = [
        ServiceKey::Transport,
        ServiceKey::Pin,
        ServiceKey::PersonalData,
    ];
    masters
        .chain(service.map(KeyName::Service))
        .chain(SignPurpose::ALL.map(KeyName::Signing))
        .collect()
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
        let all = every_key(&a);
        let kek = kek(3);
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
    let (one, two) = (KeyName::Master(dtk1), KeyName::Master(DTK2));
    let mut bundle = a
        .export(&Kek::Formed(&kek), Wrapping::KeyBlock, &[two, one])
        .unwrap();
    let import = |kek, bundle: &Bundle, expected: &[KeyName]| {
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
    bundle.keys[1]
        .wrapped
        .replace_range(60..61, if &sound[60..61] == "0" { "1" } else { "0" });
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
        &[KeyName::Service(ServiceKey::Storage)],
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
