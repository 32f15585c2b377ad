//! Command chaining (ISO 7816-4, 5.3.3): assembled, and broken in every way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{SuiteId, Sw, aid, apdu};
use common::{ask, card, put, select_purse, send};
use virtual_card::{VirtualCard, sample};

fn sw(card: &mut VirtualCard, command: &[u8]) -> Sw {
    send(card, command).sw
}

fn part(cla: u8, data: &[u8]) -> Vec<u8> {
    apdu::build(cla, 0xA4, 0x04, 0x00, data, None).to_vec()
}

#[test]
fn parts_make_one_command() {
    let mut card = card(SuiteId::Aes);
    let whole = ask(&mut card, &apdu::select(aid::T_UNION));
    put(&mut card, &apdu::select(aid::ISD));
    // In two, in eight, and with an empty part; only the last answers.
    let (first, last) = aid::T_UNION.split_at(3);
    assert_eq!(ask(&mut card, &part(0x10, first)), []);
    let mut end = part(0x00, last);
    end.push(0);
    assert_eq!(ask(&mut card, &end), whole);
    put(&mut card, &apdu::select(aid::ISD));
    for byte in aid::T_UNION {
        assert_eq!(ask(&mut card, &part(0x10, &[*byte])), []);
    }
    assert_eq!(ask(&mut card, &part(0x00, &[])), whole);
    // A PIN in parts, under the class of the applications' own commands as well.
    put(
        &mut card,
        &apdu::build(0x10, 0x20, 0, 0, &sample::PIN_BYTES[..1], None),
    );
    put(
        &mut card,
        &apdu::build(0x00, 0x20, 0, 0, &sample::PIN_BYTES[1..], None),
    );
    let request = common::Tap::new(card_spec::Fen(1)).request();
    let init = request.purchase().unwrap();
    put(&mut card, &apdu::build(0x90, 0x50, 1, 2, &init[5..9], None));
    let answer = ask(
        &mut card,
        &apdu::build(0x80, 0x50, 1, 2, &init[9..16], Some(15)),
    );
    assert_eq!(answer.len(), 15);
}

/// The command that breaks in is refused and not done; the chain is gone; the next is a new one.
#[test]
fn broken_in_the_middle() {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &[0x00, 0x70, 0x00, 0x01]);
    select_purse(&mut card);
    let start = part(0x10, &aid::SSSE[..4]);
    let end = part(0x00, &aid::SSSE[4..]);
    for intruder in [
        &[0x80, 0x5C, 0x00, 0x02, 0x04][..],   // another command
        &[0x00, 0xC0, 0x00, 0x00, 0x00],       // GET RESPONSE
        &[0x01, 0xA4, 0x04, 0x00, 0x01, 0x73], // another channel, same header
        &[0x80, 0xA4, 0x04, 0x00, 0x01, 0x73], // another class
        &[0x00, 0xA5, 0x04, 0x00, 0x01, 0x73], // another INS
        &[0x00, 0xA4, 0x00, 0x00, 0x01, 0x73], // another P1
        &[0x00, 0xA4, 0x04, 0x04, 0x01, 0x73], // another P2
        &[0x10, 0xA4, 0x04, 0x04, 0x01, 0x73], // another chain
        &[0x00, 0x70, 0x80, 0x01],             // MANAGE CHANNEL
    ] {
        put(&mut card, &start);
        assert_eq!(sw(&mut card, intruder), Sw::CHAIN_OPEN, "{intruder:02X?}");
        // The end alone is not the name; the purse is still selected; channel 1 still open.
        assert_eq!(sw(&mut card, &end), Sw::NOT_FOUND, "{intruder:02X?}");
        put(&mut card, &card_spec::purse::get_balance());
        put(&mut card, &[0x01, 0x84, 0x00, 0x00, 0x08]);
    }
    // Malformed, or of a class that cannot be chained: its own error, and the chain is gone.
    for (intruder, expected) in [
        (&[0x00, 0xA4, 0x04][..], Sw::WRONG_LENGTH),
        (&[0x14, 0xA4, 0x04, 0x00, 0x01, 0x73], Sw::CHAINING),
        (&[0xA0, 0xA4, 0x04, 0x00, 0x01, 0x73], Sw::CLA),
    ] {
        put(&mut card, &start);
        assert_eq!(sw(&mut card, intruder), expected, "{intruder:02X?}");
        assert_eq!(sw(&mut card, &end), Sw::NOT_FOUND, "{intruder:02X?}");
    }
    // Reset forgets it.
    put(&mut card, &start);
    card.power_cycle();
    assert_eq!(sw(&mut card, &end), Sw::NOT_FOUND);
}

#[test]
fn bounded() {
    let mut card = card(SuiteId::Aes);
    // 512 bytes are taken, not one more; then the chain is gone.
    for extra in [&[][..], &[0]] {
        put(&mut card, &part(0x10, &[0x11; 255]));
        put(&mut card, &part(0x10, &[0x11; 255]));
        put(&mut card, &part(0x10, &[0x11; 2]));
        let expected = if extra.is_empty() {
            Sw::NOT_FOUND
        } else {
            Sw::WRONG_LENGTH
        };
        assert_eq!(sw(&mut card, &part(0x00, extra)), expected);
    }
    select_purse(&mut card);
    // A chain cancels a response that nobody fetched.
    let mut short = apdu::select(aid::T_UNION);
    *short.last_mut().unwrap() = 10;
    let mut buffer = [0; 258];
    use card_spec::Channel;
    card.transmit(&short, &mut buffer).unwrap();
    put(&mut card, &part(0x10, aid::T_UNION));
    put(&mut card, &part(0x00, &[]));
    assert_eq!(sw(&mut card, &apdu::get_response(256)), Sw::CONDITIONS);
}

/// A chain does not start on a channel that is not open, and a command there ends a chain.
#[test]
fn on_a_closed_channel() {
    let mut card = card(SuiteId::Aes);
    assert_eq!(sw(&mut card, &part(0x11, aid::ISD)), Sw::CHANNEL);
    put(&mut card, &part(0x10, aid::ISD));
    assert_eq!(sw(&mut card, &part(0x01, &[])), Sw::CHANNEL);
    put(&mut card, &part(0x10, aid::ISD));
    put(&mut card, &part(0x00, &[]));
}
