//! Payment system directories: how a reader that knows no name of ours finds the purse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{SuiteId, Sw, aid, apdu, id::Pan, perso, tlv::Tlv};
use common::{SEED, ask, card, issuer, put, sam_for, send};
use virtual_card::{Interface, VirtualCard, sample};

/// The entry of the purse: 4F name, 50 label, 87 priority, as deployed T-Union cards have them
/// (`61 17 4F08 A000000632010105 5008 4D4F545F545F4550 8701 02`).
fn check(template: &[u8]) {
    let objects: Vec<_> = Tlv::new(template).collect();
    let expected: [(u16, &[u8]); 1] = [(0x61, objects[0].1)];
    assert_eq!(objects, expected, "one entry");
    let expected: [(u16, &[u8]); 3] = [(0x4F, aid::T_UNION), (0x50, b"MOT_T_EP"), (0x87, &[2])];
    assert_eq!(Tlv::new(objects[0].1).collect::<Vec<_>>(), expected);
}

/// The issuer's part of a directory's FCI.
fn issuers_part<'a>(fci: &'a [u8], name: &[u8]) -> &'a [u8] {
    let [(0x6F, fci)] = Tlv::new(fci).collect::<Vec<_>>()[..] else {
        panic!("{fci:02X?}")
    };
    let [(0x84, named), (0xA5, part)] = Tlv::new(fci).collect::<Vec<_>>()[..] else {
        panic!("{fci:02X?}")
    };
    assert_eq!(named, name);
    part
}

#[test]
fn both_directories_lead_to_the_purse_over_both_interfaces() {
    let mut card = card(SuiteId::Aes);
    for interface in [Interface::Contact, Interface::Contactless] {
        card.set_interface(interface);
        let fci = ask(&mut card, &apdu::select(aid::PSE));
        assert_eq!(issuers_part(&fci, aid::PSE), [0x88, 0x01, 0x01]);
        // As EMV readers go through it: records of SFI 1 until 6A83.
        let record = ask(&mut card, &[0x00, 0xB2, 0x01, 0x0C, 0x00]);
        check(Tlv::find(&record, 0x70).unwrap());
        let end = send(&mut card, &[0x00, 0xB2, 0x02, 0x0C, 0x00]);
        assert_eq!(end.sw, Sw::RECORD_NOT_FOUND);
        let other = send(&mut card, &[0x00, 0xB2, 0x01, 0x14, 0x00]);
        assert_eq!(other.sw, Sw::NOT_FOUND);

        let fci = ask(&mut card, &apdu::select(aid::PPSE));
        let part = issuers_part(&fci, aid::PPSE);
        assert_eq!(Tlv::new(part).count(), 1);
        check(Tlv::find(part, 0xBF0C).unwrap());
        // Its entries are in the FCI; it has no files.
        let record = send(&mut card, &[0x00, 0xB2, 0x01, 0x0C, 0x00]);
        assert_eq!(record.sw, Sw::NOT_FOUND);
        let name = Tlv::find(Tlv::find(part, 0xBF0C).unwrap(), 0x61).unwrap();
        put(&mut card, &apdu::select(Tlv::find(name, 0x4F).unwrap()));
    }
}

#[test]
fn a_card_without_a_purse_has_no_directory() {
    let pan: Pan = sample::PAN.parse().unwrap();
    let mut blank = VirtualCard::blank(pan.to_bytes(), sample::transport_keys(), SEED).unwrap();
    let mut sam = sam_for(1);
    for name in [aid::PSE, aid::PPSE] {
        for card in [&mut blank, &mut sam] {
            assert_eq!(send(card, &apdu::select(name)).sw, Sw::NOT_FOUND);
        }
    }
}

/// The directory stands and falls with the purse, and nobody personalises or locks it by itself.
#[test]
fn the_issuer_locks_it_with_the_purse() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    for name in [aid::PSE, aid::PPSE] {
        let command = perso::install_for_personalization(name);
        let refused = host.send(&mut card, "INSTALL", &command).unwrap_err();
        assert!(refused.to_string().contains("6A82"), "{refused}");
    }
    let lock = apdu::build(0x80, 0xF0, 0x40, 0x80, aid::T_UNION, None);
    host.send(&mut card, "SET STATUS", &lock).unwrap();
    for name in [aid::PSE, aid::PPSE, aid::T_UNION] {
        assert_eq!(send(&mut card, &apdu::select(name)).sw, Sw::LOCKED);
    }
}
