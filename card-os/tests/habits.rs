//! What readers in the field do, and what nobody should be able to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Channel, SuiteId, Sw, aid, apdu, keys::class, ssse};
use common::{ask, card, put, select_purse, send};
use proptest::prelude::*;
use virtual_card::{Interface, VirtualCard};

fn raw(card: &mut VirtualCard, command: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 258];
    let n = card.transmit(command, &mut buffer).unwrap();
    buffer[..n].to_vec()
}

fn sw(card: &mut VirtualCard, command: &[u8]) -> Sw {
    let answer = raw(card, command);
    Sw(u16::from_be_bytes(*answer.last_chunk().unwrap()))
}

#[test]
fn get_response_and_its_cancelling() {
    let mut card = card(SuiteId::Aes);
    let select = apdu::select(aid::T_UNION);
    let fci = ask(&mut card, &select);
    // A short Le gets the beginning and 61xx; GET RESPONSE brings the rest, in any pieces.
    let mut short = select.clone();
    *short.last_mut().unwrap() = 10;
    let answer = raw(&mut card, &short);
    assert_eq!(answer[..10], fci[..10]);
    assert_eq!(answer[10..], [0x61, 41]);
    let more = raw(&mut card, &[0x00, 0xC0, 0x00, 0x00, 20]);
    assert_eq!((&more[..20], &more[20..]), (&fci[10..30], &[0x61, 21][..]));
    let last = raw(&mut card, &[0x00, 0xC0, 0x00, 0x00, 0x00]);
    assert_eq!((&last[..21], &last[21..]), (&fci[30..], &[0x90, 0x00][..]));
    assert_eq!(
        sw(&mut card, &[0x00, 0xC0, 0x00, 0x00, 0x00]),
        Sw::CONDITIONS
    );
    // A new command, even a malformed one, cancels what was not fetched.
    for command in [
        &[0x80, 0x5C, 0x00, 0x02, 0x04][..],
        &[0x80],
        &[0x00, 0xB0, 0x80],
    ] {
        raw(&mut card, &short);
        raw(&mut card, command);
        assert_eq!(
            sw(&mut card, &[0x00, 0xC0, 0x00, 0x00, 0x00]),
            Sw::CONDITIONS
        );
    }
}

#[test]
fn status_words_of_strangers() {
    let mut card = card(SuiteId::Aes);
    assert_eq!(
        sw(&mut card, &hex_literal::hex!("00A4040005 A000000004")),
        Sw::NOT_FOUND
    );
    assert_eq!(sw(&mut card, &hex_literal::hex!("A0A40000023F00")), Sw::CLA);
    assert_eq!(sw(&mut card, &[0xFF, 0xA4, 0, 0]), Sw::CLA);
    // Logical channels and chaining.
    assert_eq!(
        sw(&mut card, &hex_literal::hex!("01A4040008A000000632010105")),
        Sw::CHANNEL
    );
    assert_eq!(sw(&mut card, &[0x00, 0x70, 0x00, 0x00, 0x01]), Sw::CHANNEL);
    assert_eq!(sw(&mut card, &[0x10, 0xA4, 0x04, 0x00]), Sw::CHAINING);
    for wrong in [&[][..], &[0], &[0, 0xA4, 4], &[0, 0xA4, 4, 0, 9, 1, 2]] {
        assert_eq!(sw(&mut card, wrong), Sw::WRONG_LENGTH);
    }
    // An unknown AID leaves the selected application in place.
    select_purse(&mut card);
    sw(&mut card, &hex_literal::hex!("00A4040005 A000000004"));
    ask(&mut card, &apdu::read_binary(0x15, 0, 30));
    assert_eq!(sw(&mut card, &[0x00, 0xEE, 0, 0]), Sw::INS);
    assert_eq!(sw(&mut card, &[0xB0, 0x26, 0x00, 0x01, 0x04]), Sw::CLA);
    // Extended lengths: decoded, answered.
    let balance = raw(&mut card, &[0x80, 0x5C, 0x00, 0x02, 0x00, 0x00, 0x00]);
    assert_eq!(balance.len(), 6);
    let extended = hex_literal::hex!("00A40400 000008 A000000632010105 0000");
    assert_eq!(raw(&mut card, &extended).len(), 53);
    let mut long = vec![0x00, 0xA4, 0x04, 0x00, 0x00, 0x01, 0x00];
    long.extend([0; 256]);
    assert_eq!(sw(&mut card, &long), Sw::WRONG_LENGTH);
}

/// Same seed, same commands, same bytes; and a copy of an image is the same card.
#[test]
fn cards_are_reproducible() {
    let (a, b) = (card(SuiteId::Sm4), card(SuiteId::Sm4));
    assert_eq!(a.image(), b.image());
    let mut other = virtual_card::sample::Sample::new(SuiteId::Sm4, ssse::Profile::V2)
        .card([8; 32])
        .unwrap();
    let mut same = card(SuiteId::Sm4);
    let challenge = |c: &mut VirtualCard| ask(c, &apdu::get_challenge(8));
    assert_ne!(challenge(&mut same), challenge(&mut other));
}

/// Raw bytes around headers that exist, so that the fuzz gets past the dispatcher.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        Just(vec![0x00, 0xA4, 0x04, 0x00]),
        Just(vec![0x00, 0xA4, 0x00, 0x00]),
        Just(vec![0x00, 0xB0]),
        Just(vec![0x00, 0xB2]),
        Just(vec![0x00, 0xD6]),
        Just(vec![0x00, 0xDC]),
        Just(vec![0x00, 0x20, 0x00, 0x00]),
        Just(vec![0x00, 0x82, 0x00]),
        Just(vec![0x00, 0x84, 0x00, 0x00]),
        Just(vec![0x00, 0x88, 0x00]),
        Just(vec![0x00, 0xC0]),
        Just(vec![0x80, 0x50]),
        Just(vec![0x80, 0x52, 0x00, 0x00]),
        Just(vec![0x80, 0x54, 0x01, 0x00]),
        Just(vec![0x80, 0x5A, 0x00]),
        Just(vec![0x80, 0x5C]),
        Just(vec![0x80, 0x5E]),
        Just(vec![0x80, 0x70]),
        Just(vec![0x80, 0x72]),
        Just(vec![0x80, 0xDC]),
        Just(vec![0x80, 0xFA]),
        Just(vec![0x84]),
        Just(vec![0x04]),
        Just(vec![0xB0, 0x28]),
        Just(vec![0xB0, 0x2A]),
        Just(vec![0xB0, 0x2C]),
        Just(vec![0xBF, 0xDE]),
        Just(vec![]),
    ];
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        // A right Lc in front, and perhaps Le behind.
        (
            prop::collection::vec(any::<u8>(), 1..=255),
            any::<Option<u8>>()
        )
            .prop_map(|(data, le)| {
                let mut body = vec![data.len() as u8];
                body.extend(data);
                body.extend(le);
                body
            }),
    ];
    (header, prop::collection::vec(any::<u8>(), 4), body).prop_map(|(mut command, fill, body)| {
        let missing = 4usize.saturating_sub(command.len());
        command.extend(&fill[..missing]);
        command.extend(body);
        command
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever comes in: an answer of at least a status word, no panic, and the money stays.
    #[test]
    fn no_command_panics_and_none_makes_money(
        start in 0usize..5,
        contactless: bool,
        commands in prop::collection::vec(command(), 1..12),
    ) {
        let mut card = if start == 4 {
            common::sam_for(class::TRANSIT)
        } else {
            let mut card = card(SuiteId::Aes);
            let names = [aid::T_UNION, aid::SSSE, aid::SSSE_MEDICAL, aid::ISD];
            put(&mut card, &apdu::select(names[start]));
            put(&mut card, &apdu::select(names[start]));
            card
        };
        if contactless {
            card.set_interface(Interface::Contactless);
        }
        for command in &commands {
            let mut buffer = [0; 258];
            let n = card.transmit(command, &mut buffer).expect("in memory");
            prop_assert!((2..=258).contains(&n));
        }
        if start != 4 {
            card.power_cycle();
            card.set_interface(Interface::Contact);
            let reply = send(&mut card, &apdu::select(aid::T_UNION));
            prop_assert_eq!(reply.sw, Sw::OK);
            let balance = virtual_card::host::balance(&mut card).expect("balance");
            prop_assert_eq!(balance, virtual_card::sample::PURSE_BALANCE);
        }
    }

    /// A response buffer of any size is never overrun.
    #[test]
    fn small_buffers_are_respected(size in 0usize..60) {
        let mut card = card(SuiteId::Aes);
        let mut buffer = vec![0xEE; size];
        let result = card.transmit(&apdu::select(aid::T_UNION), &mut buffer);
        match result {
            Ok(n) => prop_assert!(n <= size && n >= 2),
            Err(_) => prop_assert!(size < 2),
        }
    }
}
