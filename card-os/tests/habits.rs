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
    assert_eq!(answer[10..], [0x61, 44]);
    let more = raw(&mut card, &[0x00, 0xC0, 0x00, 0x00, 20]);
    assert_eq!((&more[..20], &more[20..]), (&fci[10..30], &[0x61, 24][..]));
    let last = raw(&mut card, &[0x00, 0xC0, 0x00, 0x00, 0x00]);
    assert_eq!((&last[..24], &last[24..]), (&fci[30..], &[0x90, 0x00][..]));
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
    // Channels that are not open or do not exist, forms of secure messaging that are not offered.
    for (cla, expected) in [
        (0x01, Sw::CHANNEL),
        (0x83, Sw::CHANNEL),
        (0x40, Sw::CHANNEL),
        (0x7F, Sw::CHANNEL),
        (0x08, Sw::SM_UNSUPPORTED),
        (0x0C, Sw::SM_UNSUPPORTED),
        (0x8C, Sw::SM_UNSUPPORTED),
        (0x14, Sw::CHAINING),
        (0x94, Sw::CHAINING),
        (0x20, Sw::CLA),
        (0xB1, Sw::CLA),
        (0xC0, Sw::CLA),
    ] {
        let command = [cla, 0xA4, 0x04, 0x00];
        assert_eq!(sw(&mut card, &command), expected, "{cla:02X}");
    }
    for wrong in [&[][..], &[0], &[0, 0xA4, 4], &[0, 0xA4, 4, 0, 9, 1, 2]] {
        assert_eq!(sw(&mut card, wrong), Sw::WRONG_LENGTH);
    }
    // An unknown AID leaves the selected application in place.
    select_purse(&mut card);
    sw(&mut card, &hex_literal::hex!("00A4040005 A000000004"));
    ask(&mut card, &apdu::read_binary(0x15, 0, 30));
    assert_eq!(sw(&mut card, &[0x00, 0xEE, 0, 0]), Sw::INS);
    assert_eq!(sw(&mut card, &[0xB0, 0x26, 0x00, 0x01, 0x04]), Sw::CLA);
    // Case 1 with the Le that T=0 stacks add, and an Le longer than the answer.
    assert_eq!(raw(&mut card, &[0x80, 0x5C, 0x00, 0x02, 0xFF]).len(), 6);
    assert_eq!(sw(&mut card, &[0x00, 0xEE, 0, 0, 0]), Sw::INS);
    // Extended lengths: decoded, answered.
    let balance = raw(&mut card, &[0x80, 0x5C, 0x00, 0x02, 0x00, 0x00, 0x00]);
    assert_eq!(balance.len(), 6);
    let extended = hex_literal::hex!("00A40400 000008 A000000632010105 0000");
    assert_eq!(raw(&mut card, &extended).len(), 56);
    let mut long = vec![0x00, 0xA4, 0x04, 0x00, 0x00, 0x01, 0x00];
    long.extend([0; 256]);
    assert_eq!(sw(&mut card, &long), Sw::WRONG_LENGTH);
}

/// ISO 7816-4, 11.1.1 and the readers that use it.
#[test]
fn select_in_every_form() {
    let mut card = card(SuiteId::Aes);
    // FCP, FCI and nothing, by name.
    let by_name = |p2: u8, name: &[u8]| apdu::build(0x00, 0xA4, 0x04, p2, name, Some(256));
    let fcp = ask(&mut card, &by_name(0x04, aid::T_UNION));
    assert_eq!(fcp[..7], [0x62, 13, 0x82, 0x01, 0x38, 0x84, 8]);
    assert_eq!(&fcp[7..], aid::T_UNION);
    assert_eq!(ask(&mut card, &by_name(0x0C, aid::T_UNION)), []);
    assert_eq!(ask(&mut card, &by_name(0x00, aid::T_UNION))[0], 0x6F);
    for p2 in [0x01, 0x03, 0x08, 0x10, 0x80] {
        assert_eq!(sw(&mut card, &by_name(p2, aid::T_UNION)), Sw::WRONG_P1P2);
    }
    // The beginning of a name, then one after the other: DF01 to DF05, and no SAM on this card.
    let rid = &aid::SSSE_PUBLIC[..5];
    let mut seen = vec![ask(&mut card, &by_name(0x00, rid))];
    loop {
        let reply = send(&mut card, &by_name(0x02, rid));
        if reply.sw != Sw::OK {
            assert_eq!(reply.sw, Sw::NOT_FOUND);
            break;
        }
        seen.push(reply.data.to_vec());
    }
    let names: Vec<_> = seen.iter().map(|fci| fci[4..10].to_vec()).collect();
    assert_eq!(
        names,
        [
            aid::SSSE_PUBLIC,
            aid::SSSE_EMPLOYMENT,
            aid::SSSE_INSURANCE,
            aid::SSSE_MEDICAL,
            aid::SSSE_PERSONNEL
        ]
    );
    assert_eq!(sw(&mut card, &by_name(0x00, &rid[..4])), Sw::NOT_FOUND);
    assert_eq!(
        sw(&mut card, &by_name(0x02, aid::SSSE_PERSONNEL)),
        Sw::NOT_FOUND
    );
    // Parents: from DF05 to the SSSE, where files are, and on to the master file.
    let select = |p1: u8, p2: u8, data: &[u8]| apdu::build(0x00, 0xA4, p1, p2, data, Some(256));
    assert_eq!(
        sw(&mut card, &select(0x02, 0x0C, &[0xEF, 0x05])),
        Sw::NOT_FOUND
    );
    let social = ask(&mut card, &select(0x03, 0x04, &[]));
    assert_eq!((social[0], &social[7..]), (0x62, aid::SSSE));
    for p1 in [0x00, 0x02, 0x09] {
        let fcp = ask(&mut card, &select(p1, 0x04, &[0xEF, 0x05]));
        assert!(fcp.windows(4).any(|w| w == [0x83, 0x02, 0xEF, 0x05]));
    }
    let mf = ask(&mut card, &select(0x03, 0x00, &[]));
    assert_eq!(mf, [0x6F, 7, 0x82, 0x01, 0x38, 0x83, 0x02, 0x3F, 0x00]);
    assert_eq!(
        sw(&mut card, &select(0x02, 0x00, &[0xEF, 0x05])),
        Sw::NOT_FOUND
    );
    for (p1, data, expected) in [
        (0x08, &[0x80, 0x11][..], Sw::NOT_FOUND),
        (0x08, &[0xEF], Sw::WRONG_LENGTH),
        (0x09, &[], Sw::WRONG_LENGTH),
        (0x03, &[0x3F, 0x00], Sw::WRONG_LENGTH),
        (0x00, &[0x3F], Sw::WRONG_LENGTH),
        (0x05, &[0x3F, 0x00], Sw::WRONG_P1P2),
    ] {
        assert_eq!(
            sw(&mut card, &select(p1, 0x00, data)),
            expected,
            "{p1:02X} {data:02X?}"
        );
    }
    // A path reaches the SAM application of a SAM from the master file and from anywhere.
    let mut sam = common::sam_for(class::TRANSIT);
    put(&mut sam, &apdu::select(aid::ISD));
    for p1 in [0x08, 0x09] {
        let fcp = ask(&mut sam, &select(p1, 0x04, &[0x80, 0x11]));
        assert!(fcp.ends_with(&[0x83, 0x02, 0x80, 0x11]));
    }
    // A path that leads nowhere leaves what is selected.
    assert_eq!(
        sw(&mut sam, &select(0x08, 0x00, &[0x80, 0x11, 0xEF, 0x05])),
        Sw::NOT_FOUND
    );
    ask(&mut sam, &apdu::read_binary(0x16, 0, 6));
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
