//! Logical channels: what each remembers, what they share, how they end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, SuiteId, Sw, activation, aid, apdu,
    keys::class,
    perso::{self, CardState},
    purse::sfi,
    scp03::level,
};
use common::{ask, card, issuer, put, sam_for, send};
use virtual_card::{VirtualCard, sample};

/// The same command on another channel.
fn on(channel: u8, command: &[u8]) -> Vec<u8> {
    let mut command = command.to_vec();
    command[0] |= channel;
    command
}

fn sw(card: &mut VirtualCard, command: &[u8]) -> Sw {
    send(card, command).sw
}

fn raw(card: &mut VirtualCard, command: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 258];
    let n = card.transmit(command, &mut buffer).unwrap();
    buffer[..n].to_vec()
}

const OPEN: [u8; 5] = [0x00, 0x70, 0x00, 0x00, 0x01];

#[test]
fn open_and_close() {
    let mut card = card(SuiteId::Aes);
    // Numbered by the card, until there is none left.
    for n in 1..=3 {
        assert_eq!(ask(&mut card, &OPEN), [n]);
    }
    assert_eq!(sw(&mut card, &OPEN), Sw::LOCKED);
    assert_eq!(sw(&mut card, &[0x00, 0x70, 0x00, 0x02]), Sw::CONDITIONS);
    // Closed by number, from the basic channel; and by itself.
    put(&mut card, &[0x00, 0x70, 0x80, 0x02]);
    assert_eq!(sw(&mut card, &[0x00, 0x70, 0x80, 0x02]), Sw::CONDITIONS);
    assert_eq!(sw(&mut card, &on(2, &apdu::get_challenge(8))), Sw::CHANNEL);
    put(&mut card, &[0x03, 0x70, 0x80, 0x00]);
    assert_eq!(sw(&mut card, &on(3, &apdu::get_challenge(8))), Sw::CHANNEL);
    put(&mut card, &on(1, &apdu::get_challenge(8)));
    // Numbered by the reader; the lowest free one is next.
    put(&mut card, &[0x00, 0x70, 0x00, 0x03]);
    assert_eq!(ask(&mut card, &on(1, &OPEN)), [2]);
    for (command, expected) in [
        (&[0x00, 0x70, 0x80, 0x00][..], Sw::CONDITIONS),
        (&[0x00, 0x70, 0x00, 0x04], Sw::WRONG_P1P2),
        (&[0x00, 0x70, 0x80, 0x04], Sw::WRONG_P1P2),
        (&[0x00, 0x70, 0x40, 0x01], Sw::WRONG_P1P2),
        (&[0x00, 0x70, 0x00, 0x01, 0x01, 0x00], Sw::WRONG_LENGTH),
    ] {
        assert_eq!(sw(&mut card, command), expected, "{command:02X?}");
    }
    // Reset closes all but the basic one.
    card.power_cycle();
    for n in 1..=3 {
        assert_eq!(sw(&mut card, &on(n, &apdu::get_challenge(8))), Sw::CHANNEL);
    }
}

#[test]
fn two_applications_side_by_side() {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &apdu::select(aid::T_UNION));
    put(&mut card, &OPEN);
    // A fresh channel is on the issuer domain.
    let recognition = apdu::read(0x80, 0xCA, 0x00, 0x66, Some(256));
    put(&mut card, &on(1, &recognition));
    assert_eq!(sw(&mut card, &recognition), Sw::INS);
    put(&mut card, &on(1, &apdu::select(aid::SSSE)));
    let record = apdu::read_record(5, 7, 11);
    put(&mut card, &on(1, &record));
    put(&mut card, &apdu::read_binary(sfi::PUBLIC, 0, 30));
    // Each application is on one channel; its DFs go with it.
    for name in [aid::T_UNION, &aid::T_UNION[..5]] {
        assert_eq!(sw(&mut card, &on(1, &apdu::select(name))), Sw::CONDITIONS);
    }
    for name in [aid::SSSE, aid::SSSE_MEDICAL, aid::SSSE_PUBLIC] {
        assert_eq!(sw(&mut card, &apdu::select(name)), Sw::CONDITIONS);
    }
    // The refusals left both where they were.
    put(&mut card, &on(1, &record));
    put(&mut card, &apdu::read_binary(sfi::PUBLIC, 0, 30));
    // The issuer domain may be everywhere, and a closed channel gives its application back.
    put(&mut card, &[0x00, 0x70, 0x80, 0x01]);
    put(&mut card, &apdu::select(aid::SSSE));
    put(&mut card, &OPEN);
    put(&mut card, &on(1, &apdu::select(aid::T_UNION)));
    put(&mut card, &on(1, &apdu::read_binary(sfi::PUBLIC, 0, 30)));
}

#[test]
fn a_pin_and_a_challenge_belong_to_their_channel() {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &apdu::select(aid::T_UNION));
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let request = card_spec::purse::InitRequest {
        kid: 1,
        amount: card_spec::Fen::yuan(1),
        terminal: common::sam_no(),
    };
    let load = request.load().unwrap();
    put(&mut card, &load);
    put(&mut card, &OPEN);
    // The PIN given on channel 0 is worth nothing on channel 1, where the same purse goes next.
    put(&mut card, &apdu::select(aid::ISD));
    put(&mut card, &on(1, &apdu::select(aid::T_UNION)));
    assert_eq!(sw(&mut card, &on(1, &load)), Sw::SECURITY);
    put(&mut card, &on(1, &apdu::verify(0, &sample::PIN_BYTES)));
    put(&mut card, &on(1, &load));
    // A challenge asked for on one channel does not serve a command on another.
    put(&mut card, &apdu::get_challenge(8));
    let block = |mac: [u8; 4]| apdu::build(0x84, 0x1E, 0x00, 0x00, &mac, None);
    assert_eq!(sw(&mut card, &on(1, &block([0; 4]))), Sw::NO_CHALLENGE);
    put(&mut card, &on(1, &apdu::get_challenge(8)));
    assert_ne!(sw(&mut card, &on(1, &block([0; 4]))), Sw::NO_CHALLENGE);
}

#[test]
fn the_classes_without_a_channel_are_the_basic_channels() {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &OPEN);
    put(&mut card, &on(1, &apdu::select(aid::SSSE_MEDICAL)));
    // B0 goes to channel 0, where the issuer domain does not know it.
    assert_eq!(sw(&mut card, &[0xB0, 0x26, 0x00, 0x01, 0x04]), Sw::CLA);
    assert_eq!(sw(&mut card, &[0xB1, 0x26, 0x00, 0x01, 0x04]), Sw::CLA);
}

#[test]
fn one_secure_channel_a_card() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    put(&mut card, &OPEN);
    put(&mut card, &on(1, &apdu::select(aid::T_UNION)));
    let status = apdu::build(0x80, 0xF2, 0x80, 0x02, &[0x4F, 0x00], None);
    // What happens on another channel leaves the session alone, also its commands there.
    let stranger = host.wrap(&status).unwrap();
    put(&mut card, &on(1, &apdu::select(aid::ISD)));
    assert_eq!(sw(&mut card, &on(1, &stranger)), Sw::SECURITY);
    assert_eq!(sw(&mut card, &on(1, &status)), Sw::SECURITY);
    put(&mut card, &stranger);
    host.send(&mut card, "GET STATUS", &status).unwrap();
    // The MAC covers the class of the basic channel, so the session can be on any: here on 1.
    let keys = sample::issuer_keys();
    let answer = ask(&mut card, &on(1, &perso::initialize_update(0, [4; 8])));
    let answer = perso::InitializeUpdateAnswer::from_bytes(&answer).unwrap();
    let mut handshake = card_spec::scp03::Handshake::derive(&keys, &[4; 8], &answer.challenge);
    let header = [0x84, 0x82, level::C_MAC, 0x00, 0x10];
    let cryptogram = handshake.host_cryptogram;
    let mac = handshake.session.c_mac(header, &cryptogram);
    let authenticate = [&header[..], &cryptogram, &mac].concat();
    // Only the channel that asked may answer.
    assert_eq!(sw(&mut card, &authenticate), Sw::CONDITIONS);
    put(&mut card, &on(1, &authenticate));
    let mac = handshake
        .session
        .c_mac([0x84, 0xF2, 0x80, 0x02, 10], &[0x4F, 0x00]);
    let protected = [&[0x85, 0xF2, 0x80, 0x02, 10, 0x4F, 0x00][..], &mac].concat();
    put(&mut card, &protected);
    // And the first session is over.
    let refused = host.send(&mut card, "GET STATUS", &status);
    assert!(refused.is_err());
    // Closing its channel ends a session.
    put(&mut card, &[0x01, 0x70, 0x80, 0x00]);
    put(&mut card, &OPEN);
    let mac = handshake
        .session
        .c_mac([0x84, 0xF2, 0x80, 0x02, 10], &[0x4F, 0x00]);
    let protected = [&[0x85, 0xF2, 0x80, 0x02, 10, 0x4F, 0x00][..], &mac].concat();
    assert_eq!(sw(&mut card, &protected), Sw::SECURITY);
}

#[test]
fn a_locked_card_is_locked_on_every_channel() {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &OPEN);
    put(&mut card, &on(1, &apdu::select(aid::T_UNION)));
    let mut host = issuer(&mut card);
    host.set_status(&mut card, CardState::CardLocked).unwrap();
    let balance = card_spec::purse::get_balance();
    assert_ne!(sw(&mut card, &on(1, &balance)), Sw::OK);
    assert_eq!(
        sw(&mut card, &on(1, &apdu::select(aid::T_UNION))),
        Sw::LOCKED
    );
}

#[test]
fn a_response_is_fetched_where_it_was_asked_for() {
    let mut card = card(SuiteId::Aes);
    put(&mut card, &OPEN);
    let mut short = on(1, &apdu::select(aid::T_UNION));
    *short.last_mut().unwrap() = 10;
    let get = apdu::get_response(256);
    assert_eq!(raw(&mut card, &short)[10..], [0x61, 44]);
    assert_eq!(raw(&mut card, &get), [0x69, 0x85]);
    assert_eq!(raw(&mut card, &on(1, &get)), [0x69, 0x85], "and it is gone");
    raw(&mut card, &short);
    assert_eq!(raw(&mut card, &on(1, &get)).len(), 46);
}

#[test]
fn a_sam_starts_on_its_application_once() {
    let mut sam = sam_for(class::TRANSIT);
    sam.power_cycle();
    put(&mut sam, &apdu::read_binary(0x16, 0, 6));
    put(&mut sam, &OPEN);
    let by_fid = apdu::build(0x01, 0xA4, 0x00, 0x00, &[0x80, 0x11], Some(256));
    assert_eq!(sw(&mut sam, &by_fid), Sw::CONDITIONS);
    // The master file of another channel is not the SAM application.
    put(
        &mut sam,
        &on(1, &[0x00, 0xA4, 0x00, 0x00, 0x02, 0x3F, 0x00]),
    );
    assert_ne!(sw(&mut sam, &on(1, &apdu::read_binary(0x16, 0, 6))), Sw::OK);
    put(&mut sam, &apdu::read_binary(0x16, 0, 6));
}

/// RAM of a card without the store's: four channels, one session, one chain or response.
#[test]
fn the_card_is_small() {
    let size = size_of::<card_os::Card<virtual_card::ImageNvm, ()>>()
        - size_of::<virtual_card::ImageNvm>();
    println!("card struct: {size} bytes");
    assert!(size < 6 * 1024 + 256, "{size}");
}

/// ISO 14443-4, 5.2: a well-formed ATS that offers every bit rate; ISO 14443-3: a random UID.
#[test]
fn contactless_activation() {
    use activation::{ATQA, ATS, BitRate, SAK, bit_rates};
    assert_eq!(
        bit_rates(&ATS).unwrap(),
        [
            BitRate::Kbit106,
            BitRate::Kbit212,
            BitRate::Kbit424,
            BitRate::Kbit848
        ]
    );
    // Claims that are checked against the bytes: a wrong TL, and a rate in one direction only.
    assert_eq!(bit_rates(&ATS[..9]), None);
    assert_eq!(bit_rates(&[0x03, 0x18, 0x88]), None);
    assert_eq!(bit_rates(&[0x03, 0x18, 0x31]).unwrap().len(), 2);
    assert_eq!(bit_rates(&[0x02, 0x78]), None);
    // Single-size UID in ATQA (bits 8, 7 = 00); SAK: complete, ISO 14443-4.
    assert_eq!((ATQA[0] & 0xC0, SAK & 0x24), (0, 0x20));
    let nvm = virtual_card::ImageNvm::empty();
    let blank = card_os::Blank {
        chip_serial: [1; 10],
        transport_keys: sample::transport_keys(),
    };
    let mut card = card_os::Card::new(nvm, common::Scripted::from([1, 2, 3, 4, 5, 6]));
    card.format(&blank).unwrap();
    let first = card.activation();
    assert_eq!(first.uid(), [0x08, 1, 2, 3]);
    assert_eq!(first.uid_bcc(), [0x08, 1, 2, 3, 0x08]);
    assert_eq!(card.activation().uid(), [0x08, 4, 5, 6]);
}
