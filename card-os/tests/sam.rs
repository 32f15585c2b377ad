//! The SAM: sequence and ceiling, its own class and regions, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    id::{Generation, IssuerId, Pan},
    keys::{KeyType, class},
    perso::Dgi,
    purse::{PurchaseInit, TxType, mac::Context},
    sam::{self, InitForPurchase},
    sm,
    suite::Key,
};
use common::{ask, put, sam_for, sam_no, send, time};
use virtual_card::{VirtualCard, host, sample};

fn init(region: &str) -> InitForPurchase {
    let pan: Pan = sample::PAN.parse().unwrap();
    let issuer = IssuerId::new(pan, region.parse().unwrap(), Generation(1));
    let answer = PurchaseInit {
        balance: Fen(1000),
        seq: 5,
        overdraft: Fen::ZERO,
        key_version: 1,
        suite: SuiteId::Aes,
        rnd: [1, 2, 3, 4],
    };
    InitForPurchase::new(
        &answer,
        Fen(200),
        TxType::Purchase,
        time(),
        pan.serial8(),
        issuer,
        Context::default(),
    )
}

fn mac1(sam: &mut VirtualCard) -> sam::Mac1 {
    sam::Mac1::from_bytes(&ask(sam, &init(sample::REGION).to_apdu().unwrap())).unwrap()
}

#[test]
fn files_as_terminals_read_them() {
    let mut sam = sam_for(class::TRANSIT);
    sam.power_cycle();
    // Straight after reset, as many terminals do, and by FID.
    assert_eq!(
        sam::terminal_no(&ask(&mut sam, &sam::read_terminal_no())),
        Ok(sam_no())
    );
    put(&mut sam, &[0x00, 0xA4, 0x00, 0x00, 0x02, 0x80, 0x11]);
    assert_eq!(ask(&mut sam, &[0x00, 0xB0, 0x95, 0x00, 0x0A]).len(), 10);
    assert_eq!(
        ask(&mut sam, &[0x00, 0xB0, 0x97, 0x00, 0x01]),
        [class::TRANSIT]
    );
    // A SAM has no purse and no citizen.
    for name in [aid::T_UNION, aid::SSSE, aid::SSSE_MEDICAL] {
        assert_eq!(send(&mut sam, &apdu::select(name)).sw, Sw::NOT_FOUND);
    }
    // And a user card has no SAM.
    let mut card = common::card(SuiteId::Aes);
    assert_eq!(
        send(&mut card, &apdu::select(aid::T_UNION_SAM)).sw,
        Sw::NOT_FOUND
    );
    assert_eq!(
        send(&mut card, &[0x00, 0xA4, 0x00, 0x00, 0x02, 0x80, 0x11]).sw,
        Sw::NOT_FOUND
    );
}

#[test]
fn the_sequence_never_repeats_not_even_when_power_fails() {
    let mut sam = sam_for(class::TRANSIT);
    let first = mac1(&mut sam).terminal_seq;
    assert_eq!(mac1(&mut sam).terminal_seq, first + 1);
    // The answer is lost on the way: its sequence is spent.
    sam.script(Some(virtual_card::Cut::AfterApdu {
        cla: 0x80,
        ins: 0x70,
        nth: 1,
    }));
    let lost = card_spec::channel::exchange(&mut sam, &init(sample::REGION).to_apdu().unwrap());
    assert_eq!(lost.unwrap_err(), card_spec::ChannelError::CardRemoved);
    assert_eq!(mac1(&mut sam).terminal_seq, first + 3);
}

#[test]
fn regions_classes_and_versions_without_a_key_are_refused() {
    let mut sam = sam_for(class::TRANSIT);
    let good = init(sample::REGION);
    for refused in [
        init("350200"),
        InitForPurchase {
            key_version: 2,
            ..good
        },
    ] {
        assert_eq!(
            send(&mut sam, &refused.to_apdu().unwrap()).sw,
            Sw::KEY_INDEX
        );
    }
    let load = InitForPurchase {
        tx: TxType::Load,
        ..good
    };
    assert_eq!(send(&mut sam, &load.to_apdu().unwrap()).sw, Sw::WRONG_DATA);
    // None of them took a sequence.
    assert_eq!(mac1(&mut sam).terminal_seq, 1);
}

#[test]
fn a_wrong_mac2_ends_the_transaction() {
    let mut sam = sam_for(class::TRANSIT);
    assert_eq!(send(&mut sam, &sam::credit([0; 4])).sw, Sw::CONDITIONS);
    mac1(&mut sam);
    assert_eq!(send(&mut sam, &sam::credit([0; 4])).sw, Sw::MAC_WRONG);
    assert_eq!(send(&mut sam, &sam::credit([0; 4])).sw, Sw::CONDITIONS);
}

#[test]
fn the_ceiling_stops_the_sam_and_only_the_hsm_raises_it() {
    let kind = sample::SampleSam::Purse(class::TRANSIT);
    let number = common::sam_no();
    let mut sam = sample::sample_sam_up_to(kind, &SuiteId::ALL, number, 2, common::SEED).unwrap();
    // The issuer neither: once a SAM is secured, what it is stays.
    for (dgi, data) in [
        (Dgi::SAM_CEILING, vec![0, 0, 0, 9]),
        (Dgi::file(sam::SFI_TERMINAL_NO), vec![0x35; 6]),
        (Dgi::file(sam::SFI_KEY_INDEX), vec![class::RETAIL]),
    ] {
        let mut host = common::issuer(&mut sam);
        let refused = host.personalise(&mut sam, aid::T_UNION_SAM, &[(dgi, data)]);
        assert!(matches!(
            refused,
            Err(host::HostError::Status {
                sw: Sw::CONDITIONS,
                ..
            })
        ));
    }
    put(&mut sam, &apdu::select(aid::T_UNION_SAM));
    assert_eq!(mac1(&mut sam).terminal_seq, 1);
    assert_eq!(mac1(&mut sam).terminal_seq, 2);
    let command = init(sample::REGION).to_apdu().unwrap();
    assert_eq!(send(&mut sam, &command).sw, Sw::COUNTER_MAX);

    let key = Key::new(sample::master(KeyType::SamCeiling, class::ONLY));
    let raise = |sam: &mut VirtualCard, ceiling: u32| {
        let challenge = ask(sam, &apdu::get_challenge(8));
        let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
        let header = sam::RAISE_CEILING_HEADER;
        let mac = sm::mac(
            SuiteId::Aes,
            &key,
            challenge,
            header,
            &ceiling.to_be_bytes(),
        );
        sam::raise_ceiling(ceiling, mac)
    };
    // Without a challenge, with a wrong MAC, and downwards: refused.
    assert_eq!(
        send(&mut sam, &sam::raise_ceiling(9, [0; 4])).sw,
        Sw::NO_CHALLENGE
    );
    ask(&mut sam, &apdu::get_challenge(8));
    assert_eq!(
        send(&mut sam, &sam::raise_ceiling(9, [0; 4])).sw,
        Sw::SM_WRONG
    );
    let down = raise(&mut sam, 1);
    assert_eq!(send(&mut sam, &down).sw, Sw::WRONG_DATA);
    let up = raise(&mut sam, 3);
    put(&mut sam, &up);
    assert_eq!(send(&mut sam, &up).sw, Sw::NO_CHALLENGE, "a replay");
    assert_eq!(mac1(&mut sam).terminal_seq, 3);
    assert_eq!(send(&mut sam, &command).sw, Sw::COUNTER_MAX);
}
