//! Personalisation through the HSM against a card computed from card-spec alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    SuiteId,
    keys::{self, KeyType},
    perso::pin_from_block,
    sam::RAISE_CEILING_HEADER,
    sm::{self, Challenge8},
};
use common::{ReferenceCard, card, create, header, issuer_session, key_of, open};
use hsm_client::{Hsm, HsmError, KeyOrder};

fn all_card_headers() -> Vec<keys::KeyHeader> {
    hsm::catalog()
        .into_iter()
        .filter(|h| (h.key_type as u8) < 0x30)
        .collect()
}

#[test]
fn a_blank_card_becomes_ours() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut blank = ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(&hsm, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: all_card_headers(),
    };
    let items = hsm.wrap_keys(session, &order).unwrap();
    assert_eq!(items.len(), 81);
    let mut values = std::collections::BTreeSet::new();
    for (item, expected) in items.iter().zip(all_card_headers()) {
        let (header, key) = key_of(&blank, item);
        assert_eq!(header, expected);
        assert!(values.insert(*key.expose()), "{header:?} repeats a key");
    }
    let pin = hsm.first_pin(session).unwrap();
    let block = blank.decrypt(&pin.wrapped);
    assert_eq!(hex::encode(pin_from_block(&block).unwrap()), pin.letter);
    assert_eq!(pin.letter.len(), 6);
    assert_ne!(hsm.first_pin(session).unwrap().letter, pin.letter);
    hsm.scp03_close(session).unwrap();
    assert_eq!(hsm.first_pin(session), Err(HsmError::UnknownSession));
}

/// Keys for the issuer's eyes are never wrapped under keys that the card maker knows.
#[test]
fn transport_sessions_get_the_issuer_set_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut blank = ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap());
    let session = open(&hsm, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: all_card_headers(),
    };
    assert!(matches!(
        hsm.wrap_keys(session, &order),
        Err(HsmError::WrongState { .. })
    ));
    assert!(matches!(
        hsm.first_pin(session),
        Err(HsmError::WrongState { .. })
    ));
    let issuer = issuer_session(&hsm, &mut blank);
    assert!(matches!(
        hsm.put_issuer_keys(issuer),
        Err(HsmError::WrongState { .. })
    ));
    // The maker's keys no longer open the card's handshake.
    let maker = hsm.manufacturer(&hsm.authorised().unwrap()).unwrap();
    let mut forged = ReferenceCard {
        keys: maker.transport_keys(blank.serial).unwrap(),
        ..ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap())
    };
    forged.kvn = 0x30;
    let answer = forged.initialize_update([9; 8]);
    assert!(matches!(
        hsm.scp03_open([9; 8], &answer, 0x33),
        Err(HsmError::NotAuthentic { .. })
    ));
}

#[test]
fn orders_are_held_to_their_holder() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut blank = ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(&hsm, &mut blank);
    let aes = |t, i| header(t, i, SuiteId::Aes);
    for forbidden in [
        aes(KeyType::IsdDek, 0x30),
        aes(KeyType::SamCeiling, 1),
        aes(KeyType::SamIssue, 1),
    ] {
        let order = KeyOrder::Card {
            card: card(),
            headers: vec![aes(KeyType::Dpk, 1), forbidden],
        };
        assert!(matches!(
            hsm.wrap_keys(session, &order),
            Err(HsmError::WrongUsage { .. })
        ));
    }
    let sam = |headers| KeyOrder::Sam {
        sam: "350200000001".parse().unwrap(),
        iin: [0x03, 0x50],
        regions: vec!["350200".parse().unwrap()],
        headers,
    };
    for forbidden in [KeyType::Dlk, KeyType::Dtk, KeyType::Damk, KeyType::Uk] {
        assert!(matches!(
            hsm.wrap_keys(session, &sam(vec![aes(forbidden, 1)])),
            Err(HsmError::WrongUsage { .. })
        ));
    }
    let two_classes = vec![aes(KeyType::Dpk, 1), aes(KeyType::Dpk, 2)];
    assert!(matches!(
        hsm.wrap_keys(session, &sam(two_classes)),
        Err(HsmError::Refused { .. })
    ));
    let with_spare = vec![aes(KeyType::Dpk, 1), aes(KeyType::Dpk, 0x11)];
    assert_eq!(hsm.wrap_keys(session, &sam(with_spare)).unwrap().len(), 2);
    // No such key, and a sample card.
    let missing = KeyOrder::Card {
        card: card(),
        headers: vec![aes(KeyType::Dpk, 9)],
    };
    assert!(matches!(
        hsm.wrap_keys(session, &missing),
        Err(HsmError::UnknownKey { .. })
    ));
    let sample = KeyOrder::Card {
        card: hsm_client::CardRef {
            pan: "09990000000000000001".parse().unwrap(),
            ..card()
        },
        headers: vec![aes(KeyType::Dpk, 1)],
    };
    assert!(matches!(
        hsm.wrap_keys(session, &sample),
        Err(HsmError::Refused { .. })
    ));
}

/// The SAM's region key makes the very key that the card got: that is what a tap rests on.
#[test]
fn sam_and_card_meet_in_every_suite() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut blank = ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(&hsm, &mut blank);
    let ours = card();
    for suite in SuiteId::ALL {
        let types = [(KeyType::Dpk, 1), (KeyType::Irk, 1), (KeyType::Mpk, 1)];
        let mut headers: Vec<_> = types.map(|(t, i)| header(t, i, suite)).to_vec();
        let card_items = hsm
            .wrap_keys(
                session,
                &KeyOrder::Card {
                    card: ours,
                    headers: headers.clone(),
                },
            )
            .unwrap();
        headers.push(header(KeyType::SamCeiling, 1, SuiteId::Aes));
        let sam_items = hsm
            .wrap_keys(
                session,
                &KeyOrder::Sam {
                    sam: "350200000001".parse().unwrap(),
                    iin: ours.pan.iin(),
                    regions: vec!["350100".parse().unwrap(), ours.region],
                    headers,
                },
            )
            .unwrap();
        assert_eq!(sam_items.len(), 1 + 2 * 3);
        assert_eq!(sam_items[0][..3], [0; 3], "the SAM's own key comes first");
        let (_, ceiling_key) = key_of(&blank, &sam_items[0][3..]);
        let mac = hsm
            .sam_ceiling_mac("350200000001".parse().unwrap(), 1, [5; 8], 1000)
            .unwrap();
        let on_sam = sm::mac(
            SuiteId::Aes,
            &ceiling_key,
            Challenge8([5; 8]),
            RAISE_CEILING_HEADER,
            &1000u32.to_be_bytes(),
        );
        assert_eq!(mac, on_sam);
        for (card_item, sam_item) in card_items.iter().zip(&sam_items[4..]) {
            assert_eq!(sam_item[..3], ours.region.to_bytes());
            let (h, on_card) = key_of(&blank, card_item);
            let (same, region) = key_of(&blank, &sam_item[3..]);
            assert_eq!(h, same);
            let derived = if h.key_type == KeyType::Dpk {
                keys::card_key(&region, h, ours.pan, ours.generation)
            } else {
                keys::ssse_card_key(&region, suite, &card_spec::ssse::f1(ours.pan))
            };
            assert_eq!(derived.expose(), on_card.expose());
        }
    }
}

#[test]
fn foreign_handshakes_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut blank = ReferenceCard::blank(&hsm, "00000000000000000042".parse().unwrap());
    let good = blank.initialize_update([9; 8]);
    for length in 0..good.len() {
        let result = hsm.scp03_open([9; 8], &good[..length], 0x33);
        // 29 bytes is the same answer without its sequence counter.
        assert_eq!(result.is_ok(), length == 29, "{length}");
    }
    for at in 0..29 {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        // Parameter i is informative.
        assert_eq!(hsm.scp03_open([9; 8], &bad, 0x33).is_ok(), at == 12, "{at}");
    }
    assert!(hsm.scp03_open([8; 8], &good, 0x33).is_err(), "replay");
}
