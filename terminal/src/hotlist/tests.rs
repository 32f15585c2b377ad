use std::collections::BTreeMap;

use super::*;
use clearing_api::registry::HotlistEntry;
use ed25519_dalek::{Signer, SigningKey};

fn signed(key: &SigningKey, since: u64, version: u64, entries: Vec<HotlistEntry>) -> Signed {
    let mut list = Signed {
        since,
        version,
        entries,
        signature: String::new(),
    };
    list.signature = hex::encode(key.sign(&list.signing_bytes()).to_bytes());
    list
}

fn entry(pan: &str, version: u64) -> HotlistEntry {
    HotlistEntry {
        pan: pan.parse().expect("digits"),
        generation: Generation(1),
        version,
        reason: "lost".into(),
        removed: false,
    }
}

#[test]
fn a_replacement_is_not_listed_and_a_forgery_changes_nothing() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let pan: Pan = "03500000000000001234".parse().expect("digits");
    let mut list = Hotlist::default();
    list.apply(
        &signed(&key, 0, 3, vec![entry("03500000000000001234", 2)]),
        &key.verifying_key(),
    )
    .expect("genuine");
    assert_eq!(list.reason(pan, Generation(1)), Some("lost"));
    assert_eq!(list.reason(pan, Generation(2)), None);

    let mut forged = signed(&key, 3, 4, vec![entry("03500000000000009999", 4)]);
    forged.entries[0].generation = Generation(2);
    assert!(matches!(
        list.apply(&forged, &key.verifying_key()),
        Err(HotlistError::Signature)
    ));
    let other = SigningKey::from_bytes(&[8; 32]);
    let foreign = signed(&other, 3, 4, Vec::new());
    assert!(matches!(
        list.apply(&foreign, &key.verifying_key()),
        Err(HotlistError::Signature)
    ));
    let old = signed(&key, 0, 2, Vec::new());
    assert!(matches!(
        list.apply(&old, &key.verifying_key()),
        Err(HotlistError::Older { got: 2, held: 3 })
    ));
    assert_eq!((list.version(), list.len()), (3, 1));
}

/// An empty change from 3 to 3, genuine, must not take a device that holds nothing to version 3.
#[test]
fn a_change_from_another_version_is_refused_and_a_whole_list_replaces() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (first, second) = ("03500000000000001234", "03500000000000005678");
    let mut list = Hotlist::default();
    let mut change = signed(&key, 3, 3, Vec::new());
    assert!(matches!(
        list.apply(&change, &key.verifying_key()),
        Err(HotlistError::Gap { since: 3, held: 0 })
    ));
    // The signature covers where the change starts.
    change.since = 0;
    assert!(matches!(
        list.apply(&change, &key.verifying_key()),
        Err(HotlistError::Signature)
    ));
    let whole = signed(&key, 0, 3, vec![entry(first, 3)]);
    list.apply(&whole, &key.verifying_key()).expect("whole");
    let change = signed(&key, 3, 4, vec![entry(second, 4)]);
    list.apply(&change, &key.verifying_key()).expect("next");
    assert_eq!((list.version(), list.len()), (4, 2));
    let outside = signed(&key, 4, 5, vec![entry(first, 4)]);
    assert!(matches!(
        list.apply(&outside, &key.verifying_key()),
        Err(HotlistError::Inconsistent)
    ));
    let whole = signed(&key, 0, 5, vec![entry(second, 4)]);
    list.apply(&whole, &key.verifying_key()).expect("whole");
    assert_eq!((list.version(), list.len()), (5, 1));
}

/// A device that was told that a card is found again must serve it, also from a base.
#[test]
fn a_card_taken_off_the_list_is_served_again() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (first, second) = ("03500000000000001234", "03500000000000005678");
    let number = |pan: &str| pan.parse::<Pan>().expect("digits");
    let listed = [first, second].map(|pan| (Key::new(number(pan), Generation(1)), "lost"));
    let mut list = Hotlist::default();
    list.rebase(Base::build(8, listed).expect("base"))
        .expect("newer");
    assert_eq!((list.version(), list.len()), (8, 2));
    let mut off = entry(first, 9);
    off.removed = true;
    let mut change = signed(&key, 8, 9, vec![off.clone()]);
    list.apply(&change, &key.verifying_key()).expect("genuine");
    assert_eq!(list.reason(number(first), Generation(1)), None);
    assert_eq!(list.reason(number(second), Generation(1)), Some("lost"));
    assert_eq!(list.len(), 1);
    // Listed once more; and the signature tells a removal from a listing.
    change = signed(&key, 9, 10, vec![entry(first, 10)]);
    change.entries[0].removed = true;
    assert!(list.apply(&change, &key.verifying_key()).is_err());
    change.entries[0].removed = false;
    list.apply(&change, &key.verifying_key()).expect("genuine");
    assert_eq!(
        (list.reason(number(first), Generation(1)), list.len()),
        (Some("lost"), 2)
    );
    assert!(matches!(
        list.rebase(Base::build(9, []).expect("base")),
        Err(HotlistError::Older { got: 9, held: 10 })
    ));
}

fn base_file(key: &SigningKey, base: &Base) -> Vec<u8> {
    let (mut file, signed) = base.encode();
    file.extend(key.sign(&signed).to_bytes());
    file
}

fn many(count: u64) -> Vec<(Key, &'static str)> {
    let card = |n: u64| {
        format!("0{}50{:016}", n % 3, n * 7 / 3)
            .parse::<Pan>()
            .expect("digits")
    };
    (0..count)
        .map(|n| {
            (
                Key::new(card(n), Generation((n % 5) as u8)),
                ["lost", "clone"][n as usize % 2],
            )
        })
        .collect()
}

/// Beside a plain sorted list: the same answers, over several issuers, sizes at and around the
/// search's stride, cards and their neighbours.
#[test]
fn a_base_answers_as_a_plain_list_and_survives_its_file() {
    let key = SigningKey::from_bytes(&[7; 32]);
    for count in [0, 1, 2, 3, 63, 64, 65, 200, 3_000] {
        let plain: BTreeMap<Key, &str> = many(count).into_iter().collect();
        let built = Base::build(5, many(count)).expect("base");
        let file = base_file(&key, &built);
        let base = Base::read(file.as_slice(), &key.verifying_key()).expect("whole");
        assert_eq!(base, built);
        assert!(
            base.iter()
                .eq(plain.iter().map(|(key, reason)| (*key, *reason)))
        );
        for n in 0..count + 40 {
            for iin in 0..4 {
                for generation in 0..6 {
                    let pan = format!("0{iin}50{n:016}").parse().expect("digits");
                    let key = Key::new(pan, Generation(generation));
                    assert_eq!(base.reason(key), plain.get(&key).copied());
                }
            }
            if count > 1_000 && n > 300 {
                break;
            }
        }
    }
}

/// No byte of a base can be changed, none left out or added.
#[test]
fn a_spoilt_base_is_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let file = base_file(&key, &Base::build(5, many(70)).expect("base"));
    let read = |bytes: &[u8]| Base::read(bytes, &key.verifying_key());
    for at in 0..file.len() {
        let mut spoilt = file.clone();
        spoilt[at] ^= 0x10;
        assert!(read(&spoilt).is_err(), "byte {at}");
        assert!(read(&file[..at]).is_err(), "cut at {at}");
    }
    assert!(read(&[file.as_slice(), &[0]].concat()).is_err());
}

/// More changes than any bitmap first had room for: each is found, and no other.
#[test]
fn every_change_is_found() {
    let mut changes = Changes::default();
    let all = many(3_000);
    changes.extend(all.iter().map(|(key, _)| (*key, None)));
    assert_eq!(changes.len(), 3_000);
    assert!(all.iter().all(|(key, _)| changes.get(*key) == Some(&None)));
    let other = |n: u64| {
        Key::new(
            format!("0950{n:016}").parse().expect("digits"),
            Generation(1),
        )
    };
    assert!((0..3_000).all(|n| changes.get(other(n)).is_none()));
}
