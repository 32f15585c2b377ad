//! Officer cards: a ceremony whose shares come from real cards, behind their custodians' PINs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::id::Pan;
use common::{NOW, officers};
use hsm::{
    Entropy, KdfCost, Quorum, Zeroizing,
    ceremony::{
        Ceremony, Form, Medium, MediumError, OfficerCard, Plan, Sheet, Step, Subject, deal,
        envelope::Envelope,
    },
};
use virtual_card::{VirtualCard, sample};

const NAMES: [&str; 3] = ["Wu", "Zheng", "Huang"];

fn blank(number: u8) -> VirtualCard {
    let serial: Pan = format!("035000000000000077{number:02}").parse().unwrap();
    VirtualCard::blank(serial.to_bytes(), sample::transport_keys(), [number; 32]).unwrap()
}

fn pin(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn form() -> Form {
    Form::Shares(Quorum::new(2, 3).unwrap())
}

fn dealt() -> Vec<Sheet> {
    let subjects = [
        Subject::Root(card_spec::SuiteId::Aes),
        Subject::Root(card_spec::SuiteId::Sm4),
        Subject::Root(card_spec::SuiteId::Tdes),
    ];
    deal(&Entropy::os(), form(), &subjects, &NAMES).unwrap()
}

fn write(card: &mut VirtualCard, text: &str, sheet: &Sheet) -> Result<(), MediumError> {
    let transport = sample::transport_keys();
    let entropy = Entropy::os();
    OfficerCard::new(card, pin(text), KdfCost::LIGHT)?
        .blank(&transport, &entropy)
        .keep(&sheet.parts)
}

fn read(card: &mut VirtualCard, text: &str) -> Result<Vec<hsm::ceremony::Part>, MediumError> {
    OfficerCard::new(card, pin(text), KdfCost::LIGHT)?.parts()
}

#[test]
fn a_ceremony_from_cards() {
    let sheets = dealt();
    let mut cards: Vec<VirtualCard> = (1..=3).map(blank).collect();
    for ((card, sheet), number) in cards.iter_mut().zip(&sheets).zip(1..) {
        write(card, &format!("pin-of-{number}"), sheet).unwrap();
        card.power_cycle();
    }
    let plan = Plan::roots(form(), &NAMES).unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    // The third and the first custodian come with their cards.
    for (i, name) in [(2, "Huang"), (0, "Wu")] {
        for part in read(&mut cards[i], &format!("pin-of-{}", i + 1)).unwrap() {
            ceremony.enter(name, &part).unwrap();
        }
    }
    assert!(matches!(ceremony.next(), Step::Confirm { .. }));
    // The same roots as from the other two: the card gives what was dealt.
    let Step::Confirm { formed, .. } = ceremony.next() else {
        panic!()
    };
    let plan = Plan::roots(form(), &NAMES).unwrap();
    let mut other = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for sheet in &sheets[..2] {
        for part in &sheet.parts {
            other.enter(&sheet.custodian, part).unwrap();
        }
    }
    let Step::Confirm { formed: same, .. } = other.next() else {
        panic!()
    };
    assert_eq!(formed, same);
}

/// Every medium gives back what it was given, for every kind of part.
#[test]
fn what_a_medium_keeps_it_gives_back() {
    let mut card = blank(9);
    let transport = sample::transport_keys();
    let entropy = Entropy::os();
    let mut officer_card = OfficerCard::new(&mut card, pin("six and more"), KdfCost::LIGHT)
        .unwrap()
        .blank(&transport, &entropy);
    let mut envelope = Envelope::default();
    let media: [&mut dyn Medium; 2] = [&mut envelope, &mut officer_card];
    let sheets = deal(&entropy, Form::Components(3), &Subject::ALL, &NAMES).unwrap();
    for (medium, sheet) in media.into_iter().zip(&sheets) {
        medium.keep(&sheet.parts).unwrap();
        let bytes = |parts: &[hsm::ceremony::Part]| -> Vec<Vec<u8>> {
            parts.iter().map(|p| p.to_bytes().to_vec()).collect()
        };
        assert_eq!(bytes(&medium.parts().unwrap()), bytes(&sheet.parts));
    }
    assert!(envelope.text().any(|line| line == "backup-key  #1"));
}

#[test]
fn a_card_gives_nothing_without_its_pin_and_is_written_once() {
    let sheets = dealt();
    let mut card = blank(1);
    assert!(matches!(
        read(&mut card, "pin-of-1"),
        Err(MediumError::Status { .. })
    ));
    assert!(matches!(
        write(&mut card, "12345", &sheets[0]),
        Err(MediumError::WeakPin)
    ));
    write(&mut card, "pin-of-1", &sheets[0]).unwrap();
    card.power_cycle();
    // Nobody can write it again with the transport keys.
    assert!(write(&mut card, "another-pin", &sheets[1]).is_err());
    // Without a proof the file is closed.
    let select = card_spec::apdu::select(card_spec::aid::SSSE);
    card_spec::channel::exchange(&mut card, &select).unwrap();
    let reply =
        card_spec::channel::exchange(&mut card, &card_spec::apdu::read_binary(7, 0, 256)).unwrap();
    assert_eq!((reply.sw, reply.data.len()), (card_spec::Sw(0x6982), 0));
    // The right PIN makes the counter new; wrong ones in a row use it up.
    for _ in 0..14 {
        assert!(matches!(
            read(&mut card, "guess-1"),
            Err(MediumError::Pin(_))
        ));
    }
    assert_eq!(read(&mut card, "pin-of-1").unwrap().len(), 3);
    for _ in 0..15 {
        assert!(matches!(
            read(&mut card, "guess-1"),
            Err(MediumError::Pin(_))
        ));
    }
    let refused = read(&mut card, "pin-of-1").err();
    assert!(matches!(refused, Some(MediumError::Pin(_))), "{refused:?}");
}
