//! Images on disk, tearing, counters, and the sample card's published facts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use card_spec::{
    Channel, ChannelError, SuiteId, aid, apdu,
    channel::exchange,
    id::{CitizenId, Pan},
    keys::{KeyType, class},
    purse::{files::Public, sfi},
    ssse::{Profile, tag},
};
use virtual_card::{
    Counters, Cut, ImageError, PowerCut, VirtualCard, host,
    sample::{self, Sample},
};

fn sample(suite: SuiteId) -> VirtualCard {
    Sample::new(suite, Profile::V2)
        .card([1; 32])
        .expect("a sample card")
}

fn select(card: &mut VirtualCard) {
    let reply = exchange(card, &apdu::select(aid::T_UNION)).expect("in memory");
    assert!(reply.sw.is_ok(), "{}", reply.sw);
}

/// The values printed in docs/sample-card.md, so that document and card cannot drift apart.
#[test]
fn the_published_facts_are_the_cards() {
    let document = include_str!("../../../docs/sample-card.md");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    for fact in [
        sample::PAN.to_owned(),
        sample::REGION.to_owned(),
        sample::PIN.to_owned(),
        String::from_utf8(sample::SOCIAL_SECURITY_NO.to_vec()).unwrap(),
        hex(&sample::TRANSPORT_KEY),
        hex(&sample::master(KeyType::Dpk, class::TRANSIT)),
        hex(&sample::master(KeyType::IsdEnc, 0x30)),
        hex(&sample::master(KeyType::SamIssue, class::ONLY)),
        hex(&sample::master(KeyType::SamCeiling, class::ONLY)),
        hex(sample(SuiteId::Aes).atr()),
    ] {
        assert!(
            document.contains(&fact),
            "docs/sample-card.md does not say {fact}"
        );
    }
    for suite in SuiteId::ALL {
        for (key_type, index) in [
            (KeyType::Dpk, 1),
            (KeyType::Dlk, 1),
            (KeyType::Dtk, 1),
            (KeyType::Rk, 0x0A),
        ] {
            let key = sample::card_key(sample::header(key_type, index, suite)).unwrap();
            let fact = hex(key.expose());
            assert!(document.contains(&fact), "{suite:?} {key_type:?}: {fact}");
        }
    }
}

#[test]
fn the_sample_is_a_sample_and_its_holder_nobody() {
    let mut card = sample(SuiteId::Aes);
    let fci = exchange(&mut card, &apdu::select(aid::T_UNION))
        .unwrap()
        .data;
    let public = Public::from_fci(&fci).unwrap();
    assert!(public.pan.is_sample());
    assert_eq!(public.pan, sample::PAN.parse::<Pan>().unwrap());
    // The check character is right, the area code is nobody's.
    let text = std::str::from_utf8(sample::SOCIAL_SECURITY_NO).unwrap();
    assert_eq!(text.parse::<CitizenId>().unwrap().area(), "000000");
    assert_eq!(tag::SSN.1, text.len());
}

#[test]
fn an_image_file_follows_every_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card.img");
    let mut card = sample(SuiteId::Aes);
    card.keep_in(&path).unwrap();
    select(&mut card);
    let wrong = exchange(&mut card, &apdu::verify(0, &[0; 3])).unwrap();
    assert_eq!(wrong.sw.tries(), Some(2));
    // Another process opens the file: the try is gone there too.
    let mut again = VirtualCard::open(&path, [2; 32]).unwrap();
    assert_eq!(again.image(), card.image());
    select(&mut again);
    let asked = exchange(&mut again, &[0x00, 0x20, 0x00, 0x00]).unwrap();
    assert_eq!(asked.sw.tries(), Some(2));
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no file left beside the image"
    );
    // Wrong files say so.
    assert!(matches!(
        VirtualCard::open(&dir.path().join("none"), [0; 32]),
        Err(ImageError::Io { .. })
    ));
    std::fs::write(&path, b"short").unwrap();
    assert!(matches!(
        VirtualCard::open(&path, [0; 32]),
        Err(ImageError::Size { actual: 5 })
    ));
}

/// An image file that is gone: the command fails, the card in the process stays as it was.
#[test]
fn a_removed_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card.img");
    let mut card = sample(SuiteId::Aes);
    card.keep_in(&path).unwrap();
    select(&mut card);
    let before = card.image().to_vec();
    std::fs::remove_dir_all(dir.path()).unwrap();
    let refused = exchange(&mut card, &apdu::verify(0, &sample::PIN_BYTES)).unwrap();
    assert_eq!(refused.sw, card_spec::Sw::MEMORY);
    assert_eq!(card.image(), before);
}

#[test]
fn scripted_cuts_happen_where_they_are_told() {
    let mut card = sample(SuiteId::Aes);
    let balance = card_spec::purse::get_balance();
    let (cla, ins) = (0x80, 0x5C);
    for (cut, answered) in [
        (Cut::AfterApdu { cla, ins, nth: 3 }, 2),
        (Cut::BeforeApdu { cla, ins, nth: 3 }, 2),
    ] {
        select(&mut card);
        card.script(Some(cut));
        for _ in 0..answered {
            assert!(exchange(&mut card, &balance).unwrap().sw.is_ok());
        }
        assert_eq!(
            exchange(&mut card, &balance).unwrap_err(),
            ChannelError::CardRemoved
        );
        // Power came back: nothing is selected, the script is over.
        assert!(!exchange(&mut card, &balance).unwrap().sw.is_ok());
    }
    // Before the commit the try is not taken, after it it is.
    for (cut, tries) in [
        (PowerCut::BeforeCommit(1), 3),
        (PowerCut::AfterCommit(1), 2),
    ] {
        select(&mut card);
        card.script(Some(Cut::Power(cut)));
        let torn = exchange(&mut card, &apdu::verify(0, &[0; 3]));
        assert_eq!(torn.unwrap_err(), ChannelError::CardRemoved);
        select(&mut card);
        let asked = exchange(&mut card, &[0x00, 0x20, 0x00, 0x00]).unwrap();
        assert_eq!(asked.sw.tries(), Some(tries), "{cut:?}");
    }
}

#[test]
fn traffic_is_counted() {
    let mut card = sample(SuiteId::Aes);
    let before = card.counters();
    let mut buffer = [0; 258];
    let n = card
        .transmit(&apdu::select(aid::T_UNION), &mut buffer)
        .unwrap();
    let expected = Counters {
        apdus: before.apdus + 1,
        sent: before.sent + 14,
        received: before.received + n as u64,
    };
    assert_eq!(card.counters(), expected);
}

#[test]
fn samples_can_differ_from_the_documented_one() {
    let mut card = Sample {
        purse: card_spec::Fen::ZERO,
        kind: card_spec::purse::files::CardKind::Student,
        ..Sample::new(SuiteId::Tdes, Profile::V1)
    }
    .card([1; 32])
    .unwrap();
    select(&mut card);
    assert_eq!(host::balance(&mut card).unwrap(), card_spec::Fen::ZERO);
    let region = exchange(&mut card, &apdu::read_binary(sfi::REGION, 0, 11)).unwrap();
    assert_eq!(region.data[10], 2);
}
