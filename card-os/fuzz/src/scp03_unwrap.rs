//! An SCP03 session whose wrapped commands are changed on the way. A changed command is never
//! executed: the card refuses it, not one byte of its memory changes, and the session is over.
//!
//! `start, level`, then items: `command | changes`.

use crate::{
    input::Input,
    start::{Start, transmit},
};
use card_spec::{
    Fen, SuiteId, Sw, aid,
    channel::MAX_RESPONSE,
    perso::{self, CardState, Dgi},
    purse::files::Limits,
    scp03::{StaticKeys, level},
    ssse::Profile,
};
use virtual_card::{
    VirtualCard,
    host::{Scp03, store_data},
    sample,
};

/// Cards that an issuer opens.
const OPENED: [Start; 3] = [
    Start::Card(SuiteId::Aes, Profile::V2),
    Start::Psam,
    Start::Blank,
];

/// The key set of a start, and its version.
fn keys(start: Start) -> (StaticKeys, u8) {
    match start {
        Start::Blank => (sample::transport_keys(), perso::KVN_TRANSPORT),
        _ => (sample::issuer_keys(), perso::KVN_ISSUER),
    }
}

/// A plain command of the issuer.
fn command(input: &mut Input<'_>) -> Vec<u8> {
    let plain = match input.byte() % 8 {
        0 => card_spec::apdu::read(0x80, 0xCA, 0x00, input.pick(&[0xE0, 0x66, 0xCF]), None),
        1 => card_spec::apdu::build(0x80, 0xF2, input.pick(&[0x80, 0x40]), 2, &[0x4F, 0], None),
        2 => perso::install_for_personalization(input.pick(&[
            aid::T_UNION,
            aid::SSSE,
            aid::SSSE_MEDICAL,
            aid::T_UNION_SAM,
        ])),
        3 => return limits(input),
        4 => {
            let (last, block) = (input.byte() & 1 == 1, input.byte());
            let length = usize::from(input.byte() % 240);
            perso::store_data(last, block, input.take(length))
        }
        5 => perso::set_card_status(input.pick(&[
            CardState::Initialized,
            CardState::Secured,
            CardState::CardLocked,
            CardState::Terminated,
        ])),
        6 => {
            let length = usize::from(input.byte() % 200);
            card_spec::apdu::build(0x80, 0xD8, 0, 0x81, input.take(length), None)
        }
        _ => {
            let header: [u8; 3] = input.array();
            let length = usize::from(input.byte() % 240);
            let data = input.take(length);
            card_spec::apdu::build(0x80, header[0], header[1], header[2], data, None)
        }
    };
    // The host's wrapper takes commands without Le.
    match plain.as_slice() {
        [head @ .., _] if plain[1] == 0xE6 => head.to_vec(),
        plain => plain.to_vec(),
    }
}

/// STORE DATA that changes the purse's limits, in one block.
fn limits(input: &mut Input<'_>) -> Vec<u8> {
    let limits = Limits {
        max_balance: Fen::yuan(1000),
        per_tap: Fen(i64::from(input.u16())),
        per_day: Fen::yuan(500),
        overdraft: Fen::ZERO,
    };
    let data = limits.to_bytes().expect("small amounts").to_vec();
    let blocks = store_data(&[(Dgi::LIMITS, data)]).expect("one block");
    blocks[0].to_vec()
}

/// What may happen to a wrapped command on its way.
fn change(input: &mut Input<'_>, wrapped: &[u8], previous: &[u8]) -> Vec<u8> {
    let mut out = wrapped.to_vec();
    match input.byte() % 6 {
        0 => {}
        1 => {
            for _ in 0..=input.byte() % 3 {
                let at = usize::from(input.byte()) % out.len();
                out[at] ^= input.byte();
            }
        }
        2 => out.truncate(usize::from(input.byte()) % out.len()),
        3 => {
            let length = usize::from(input.byte() % 8);
            out.extend(input.take(length));
        }
        4 => out = previous.to_vec(),
        _ => {
            // Another body under the same MAC.
            let at = 5 + usize::from(input.byte()) % (out.len() - 5);
            let length = usize::from(input.byte() % 32);
            for (to, from) in out[at..].iter_mut().zip(input.take(length)) {
                *to = *from;
            }
        }
    }
    out
}

/// Header and data as ISO 7816-3 reads a command, whatever its Le and its form; `None` if it has no
/// such form.
fn meaning(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, body) = bytes.split_at_checked(4)?;
    Some(match body {
        [] | [_] | [0, _] | [0, _, _] => (header, &[]),
        [0, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (data, le) = rest.split_at_checked(length)?;
            matches!(le.len(), 0 | 2).then_some((header, data))?
        }
        [length, rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(*length))?;
            (le.len() < 2).then_some((header, data))?
        }
    })
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let start = input.pick(&OPENED);
    let mut card = start.card();
    let (keys, kvn) = keys(start);
    let level = input.pick(&level::ALL);
    let Ok(mut host) = Scp03::open(&mut card, &keys, kvn, level, [5; 8]) else {
        panic!("the issuer's own session does not open");
    };
    let mut previous = vec![0; 4];
    for _ in 0..24 {
        if input.is_empty() {
            break;
        }
        let plain = command(&mut input);
        let Ok(wrapped) = host.wrap(&plain) else {
            break;
        };
        let sent = change(&mut input, &wrapped, &previous);
        if meaning(&sent) == meaning(&wrapped) {
            transmit(&mut card, &sent, MAX_RESPONSE);
            // A SELECT or a terminated card ends the story as an authentic command may.
            previous = wrapped;
            continue;
        }
        refused(&mut card, &sent, &wrapped);
        return;
    }
}

/// The changed command and everything after it.
fn refused(card: &mut VirtualCard, sent: &[u8], wrapped: &[u8]) {
    let before = card.image().to_vec();
    let (_, sw) = transmit(card, sent, MAX_RESPONSE);
    let protected = sent.first().is_some_and(|cla| cla & 0x0C != 0);
    if !protected {
        // It lost its class on the way and is a plain command, which needs no session.
        assert!(
            card.image() == before,
            "a plain command changed the card: {sent:02X?}"
        );
        return;
    }
    assert!(sw != Sw::OK, "executed: {sent:02X?} for {wrapped:02X?}");
    assert!(card.image() == before, "{sw}, but the memory changed");
    if meaning(sent).is_some() && matches!(sent[0], 0x04 | 0x84) && sent[1] != 0x82 {
        // It reached the secure channel: the session is over, also for the authentic command.
        let (_, sw) = transmit(card, wrapped, MAX_RESPONSE);
        assert!(sw != Sw::OK, "the session went on after a wrong MAC");
        assert!(card.image() == before);
    }
}
