//! The purse's maintenance: PIN, blocking, secure messaging. What wrong MACs lock: `locks.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    perso,
    purse::{files, sfi},
    sam, sm,
};
use common::{Tap, ask, card, put, select_purse, send};
use virtual_card::{
    host,
    sample::{self, SampleSam},
};

#[test]
fn pin_tries_change_unblock_and_reload() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        select_purse(&mut card);
        let load = Tap::new(Fen(1)).request().load().unwrap();
        assert_eq!(send(&mut card, &load).sw, Sw::SECURITY);
        assert_eq!(
            send(&mut card, &apdu::verify(0, &[0x11, 0x11, 0x11])).sw,
            Sw::tries_left(2)
        );
        // VERIFY without data only asks.
        assert_eq!(
            send(&mut card, &[0x00, 0x20, 0x00, 0x00]).sw,
            Sw::tries_left(2)
        );
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        assert_eq!(
            send(&mut card, &[0x00, 0x20, 0x00, 0x00]).sw,
            Sw::tries_left(3)
        );
        put(&mut card, &hex_literal::hex!("805E0100 07 123456FF654321"));
        for left in [2, 1] {
            let wrong = apdu::verify(0, &sample::PIN_BYTES);
            assert_eq!(send(&mut card, &wrong).sw, Sw::tries_left(left));
            card.power_cycle();
            select_purse(&mut card);
        }
        assert_eq!(
            send(&mut card, &apdu::verify(0, &[0; 3])).sw,
            Sw::AUTH_BLOCKED
        );
        assert_eq!(
            send(&mut card, &apdu::verify(0, &[0x65, 0x43, 0x21])).sw,
            Sw::AUTH_BLOCKED
        );

        // Unblock with a new PIN under DPUK.
        let key = |t| sample::card_key(sample::header(t, class::ONLY, suite)).unwrap();
        let unblock =
            common::pin_unblock(&mut card, suite, &key(KeyType::Dpuk), &[0x99, 0x99, 0x99]);
        put(&mut card, &unblock);
        put(&mut card, &apdu::verify(0, &[0x99, 0x99, 0x99]));
        // The same command again: its challenge is used.
        assert_eq!(send(&mut card, &unblock).sw, Sw::NO_CHALLENGE);

        // Reload under DPRK (80 5E 00).
        let pin = [0x12, 0x34, 0x56];
        let challenge = ask(&mut card, &apdu::get_challenge(8));
        let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
        let dprk = key(KeyType::Dprk);
        let mac = if suite == SuiteId::Aes {
            sm::mac(suite, &dprk, challenge, [0x80, 0x5E, 0, 0, 7], &pin)
        } else {
            dprk.tac_key(suite).mac4(&[&pin])
        };
        put(
            &mut card,
            &apdu::build(0x80, 0x5E, 0, 0, &[&pin[..], &mac].concat(), None),
        );
        put(&mut card, &apdu::verify(0, &pin));
    }
}

#[test]
fn field_lock_by_sam_and_unblock_by_the_issuer() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        let mut sam = common::sam_of(SampleSam::Purse(class::TRANSIT), suite);
        select_purse(&mut card);
        let tap = Tap::new(Fen(100));
        let rnd: [u8; 4] = ask(&mut card, &apdu::get_challenge(4)).try_into().unwrap();
        let public = files::Public::from_fci(&tap.fci(&card)).unwrap();
        put(
            &mut sam,
            &sam::deliver_lock_key(public.pan.serial8(), public.issuer, None),
        );
        let mac = ask(&mut sam, &sam::lock_mac(rnd));
        // The SAM MACs nothing else with that key.
        put(
            &mut sam,
            &sam::deliver_lock_key(public.pan.serial8(), public.issuer, None),
        );
        let mut other = sam::lock_mac(rnd);
        other[16] = 0x01;
        assert_eq!(send(&mut sam, &other).sw, Sw::WRONG_DATA);

        put(&mut card, &apdu::build(0x84, 0x1E, 0, 0, &mac, None));
        assert_eq!(tap.init(&mut card), Err(Sw::LOCKED));
        card.power_cycle();
        let reply = send(&mut card, &apdu::select(aid::T_UNION));
        assert_eq!((reply.sw, reply.data.len()), (Sw::SELECTED_BLOCKED, 54));
        assert_eq!(host::balance(&mut card).unwrap(), Fen(10_000));

        let damk = sample::card_key(sample::header(KeyType::Damk, class::ONLY, suite)).unwrap();
        let unblock = common::maintenance(&mut card, suite, &damk, [0x84, 0x18, 0, 0], &[]);
        put(&mut card, &unblock);
        tap.init(&mut card).unwrap();
    }
}

/// DACK is for the field lock alone: permanent block, unblock and CARD BLOCK refuse it.
#[test]
fn dack_can_do_nothing_but_the_field_lock() {
    SuiteId::ALL.into_iter().for_each(dack_in_one_suite);
}

fn dack_in_one_suite(suite: SuiteId) {
    let dack = sample::card_key(sample::header(KeyType::Dack, class::ONLY, suite)).unwrap();
    let damk = sample::card_key(sample::header(KeyType::Damk, class::ONLY, suite)).unwrap();
    for header in [[0x84, 0x1E, 0, 1], [0x84, 0x18, 0, 0], [0x84, 0x16, 0, 0]] {
        let mut card = card(suite);
        select_purse(&mut card);
        let command = common::maintenance(&mut card, suite, &dack, header, &[]);
        assert_eq!(send(&mut card, &command).sw, Sw::SM_WRONG, "{header:02X?}");
        let command = common::maintenance(&mut card, suite, &damk, header, &[]);
        put(&mut card, &command);
    }
    // After CARD BLOCK only the issuer domain answers.
    let mut card = card(suite);
    select_purse(&mut card);
    let command = common::maintenance(&mut card, suite, &damk, [0x84, 0x16, 0, 0], &[]);
    put(&mut card, &command);
    assert_eq!(send(&mut card, &apdu::select(aid::T_UNION)).sw, Sw::LOCKED);
    assert_eq!(send(&mut card, &apdu::select(aid::SSSE)).sw, Sw::LOCKED);
    put(&mut card, &apdu::select(aid::ISD));
    // The issuer opens it again.
    let keys = sample::issuer_keys();
    let mut issuer = host::Scp03::open(&mut card, &keys, 0x30, 0x33, [1; 8]).unwrap();
    issuer
        .set_status(&mut card, perso::CardState::Secured)
        .unwrap();
    put(&mut card, &apdu::select(aid::T_UNION));
}

#[test]
fn secure_messaging_changes_a_file_once() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        select_purse(&mut card);
        let damk = sample::card_key(sample::header(KeyType::Damk, class::ONLY, suite)).unwrap();
        // Byte 10 of file 17: student.
        let kind = [files::CardKind::Student as u8];
        let command = common::maintenance(&mut card, suite, &damk, [0x04, 0xD6, 0x97, 10], &kind);
        put(&mut card, &command);
        let region = ask(&mut card, &apdu::read_binary(sfi::REGION, 0, 11));
        assert_eq!(region[10], 2);
        assert_eq!(send(&mut card, &command).sw, Sw::NO_CHALLENGE);
    }
}
