//! Damaged memory: the card says so, answers no data, and starts again for its issuer alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use card_spec::{Channel, SuiteId, Sw, aid, apdu, perso, perso::CardState, purse};
use common::{SEED, ask, card, issuer, select_purse, send};
use virtual_card::{VirtualCard, host::Scp03, sample};

fn answer(card: &mut VirtualCard, command: &[u8]) -> (Vec<u8>, Sw) {
    let mut buffer = [0; 258];
    let n = card.transmit(command, &mut buffer).unwrap();
    let (data, sw) = buffer[..n].split_last_chunk::<2>().unwrap();
    (data.to_vec(), Sw(u16::from_be_bytes(*sw)))
}

const READS: [&[u8]; 4] = [
    &[0x00, 0xB0, 0x95, 0x00, 0x1E],
    &[0x80, 0x5C, 0x00, 0x02, 0x04],
    &[0x00, 0xB2, 0x07, 0x2C, 0x0B],
    &[0x00, 0x84, 0x00, 0x00, 0x08],
];

fn all_answers(card: &mut VirtualCard) -> Vec<(Vec<u8>, Sw)> {
    [aid::T_UNION, aid::SSSE]
        .iter()
        .flat_map(|name| {
            let select = answer(card, &apdu::select(name));
            let mut answers = vec![select];
            // The challenge is random: only its status is compared.
            answers.extend(READS.iter().map(|read| answer(card, read)));
            answers.last_mut().unwrap().0.clear();
            answers
        })
        .collect()
}

/// Every 89th byte of the memory is damaged in turn: the card answers as before or not at all.
#[test]
fn a_damaged_card_never_answers_wrong_data() {
    let mut good = card(SuiteId::Aes);
    good.power_cycle();
    let expected = all_answers(&mut good);
    let (mut mute, mut unharmed) = (0, 0);
    let used = good.image().iter().rposition(|byte| *byte != 0xFF).unwrap();
    // And every byte of the newest commits, which are not to be taken for torn ones.
    for at in (0..used - 400).step_by(89).chain(used - 400..used) {
        let mut bad = good.image().to_vec();
        bad[at] ^= 0x10;
        let mut card = VirtualCard::from_image(bad, SEED).unwrap();
        assert_eq!(card.atr().len(), 15);
        let answers = all_answers(&mut card);
        if answers
            .iter()
            .all(|(data, sw)| data.is_empty() && *sw == Sw::MUTE)
        {
            mute += 1;
        } else {
            assert_eq!(answers, expected, "byte {at}");
            unharmed += 1;
        }
    }
    assert!(
        mute > 20 && unharmed > 20,
        "{mute} mute, {unharmed} unharmed"
    );
}

/// A card whose purse is damaged, and nothing of the issuer domain.
fn damaged() -> VirtualCard {
    let good = card(SuiteId::Aes);
    for at in (0..good.image().len()).step_by(61) {
        let mut bad = good.image().to_vec();
        bad[at] ^= 1;
        let mut card = VirtualCard::from_image(bad, SEED).unwrap();
        let purse = answer(&mut card, &apdu::select(aid::T_UNION)).1;
        if purse == Sw::MUTE && answer(&mut card, &apdu::select(aid::ISD)).1 == Sw::OK {
            return card;
        }
    }
    panic!("no byte damages an application alone");
}

#[test]
fn only_the_issuer_starts_a_damaged_card_again() {
    let mut card = damaged();
    // Nothing else works, with or without a session, before and after a power cycle.
    let set = |state| perso::set_card_status(state);
    assert_eq!(send(&mut card, &set(CardState::OpReady)).sw, Sw::MUTE);
    let wrong = Scp03::open(&mut card, &sample::transport_keys(), 0x30, 0x33, [1; 8]);
    assert!(wrong.is_err(), "transport keys are not the issuer's");
    let mut host = issuer(&mut card);
    let other = host.send(&mut card, "SET STATUS", &set(CardState::Terminated));
    assert!(other.is_err());
    card.power_cycle();
    assert_eq!(send(&mut card, &apdu::select(aid::T_UNION)).sw, Sw::MUTE);

    // The issuer empties it; the keys stay the issuer's.
    let mut host = issuer(&mut card);
    host.send(&mut card, "SET STATUS", &set(CardState::OpReady))
        .unwrap();
    card.power_cycle();
    assert_eq!(
        send(&mut card, &apdu::select(aid::T_UNION)).sw,
        Sw::NOT_FOUND
    );
    assert_eq!(send(&mut card, &apdu::select(aid::SSSE)).sw, Sw::NOT_FOUND);
    let mut host = issuer(&mut card);
    let mut donor = common::card(SuiteId::Aes);
    select_purse(&mut donor);
    let file15 = ask(&mut donor, &apdu::read_binary(0x15, 0, 30));
    let groups = [(perso::Dgi::file(0x15), file15)];
    host.personalise(&mut card, aid::T_UNION, &groups).unwrap();
    select_purse(&mut card);
    assert_eq!(ask(&mut card, &purse::get_balance()), [0; 4]);
}

/// A card in order does not go back to its beginning.
#[test]
fn a_sound_card_does_not_start_again() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    let back = perso::set_card_status(CardState::OpReady);
    assert!(host.send(&mut card, "SET STATUS", &back).is_err());
    select_purse(&mut card);
}
