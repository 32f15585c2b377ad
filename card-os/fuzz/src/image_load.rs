//! A damaged memory. The card opens on any bytes without a panic, and what it answers is a refusal
//! without data, or what it answered after one and the same earlier commit. The memory is a log, so
//! a log whose end is lost is the card as it was before that end: whole, only older. Never are two
//! states mixed, and never is anything answered that was not committed.
//!
//! `start`, then damages: `kind | where 3 | ...`.

use crate::{
    input::Input,
    start::{STARTS, copy},
};
use card_spec::{
    Apdu, Channel, aid, apdu,
    channel::MAX_RESPONSE,
    purse::{self, sfi},
    ssse::fid,
};
use std::{collections::BTreeSet, sync::LazyLock};
use virtual_card::{Interface, VirtualCard};

/// What every card is asked: something of every application.
fn questions() -> Vec<Apdu> {
    vec![
        apdu::read(0x80, 0xCA, 0x00, 0xE0, Some(256)),
        apdu::read(0x80, 0xCA, 0x00, 0xCF, Some(256)),
        apdu::select(aid::T_UNION),
        purse::get_balance(),
        apdu::read_binary(sfi::PUBLIC, 0, 30),
        apdu::read_binary(sfi::HOLDER, 0, 55),
        apdu::read_record(sfi::LOG, 1, 23),
        apdu::read_record(sfi::JOURNEY, 1, 48),
        apdu::select(aid::SSSE),
        apdu::select_ef(fid::EF05),
        apdu::read_record(5, 7, 11),
        apdu::read_record(6, 2, 32),
        apdu::select(aid::HEALTH),
        apdu::read_record(5, 1, 3),
        apdu::select(aid::SSSE_MEDICAL),
        card_spec::medical::get_balance(card_spec::medical::Balance::Personal),
        apdu::select(aid::T_UNION_SAM),
        apdu::read_binary(0x16, 0, 6),
    ]
}

fn answers(card: &mut VirtualCard) -> Vec<Vec<u8>> {
    card.set_interface(Interface::Contact);
    let ask = |question: Apdu| {
        let mut buffer = [0; MAX_RESPONSE];
        let n = card.transmit(&question, &mut buffer).expect("no tearing");
        buffer[..n].to_vec()
    };
    questions().into_iter().map(ask).collect()
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let start = input.pick(&STARTS);
    let mut image = start.image().to_vec();
    for _ in 0..32 {
        if input.is_empty() {
            break;
        }
        damage(&mut input, &mut image);
    }
    let got = answers(&mut copy(&image));
    let at = STARTS.iter().position(|s| *s == start).expect("listed");
    let is_of = |state: &&Answers| {
        state
            .iter()
            .zip(&got)
            .all(|(was, is)| is.len() == 2 || is == was)
    };
    assert!(
        HISTORIES[at].iter().any(|state| is_of(&state)),
        "of no state that the card was ever in: {got:02X?}"
    );
}

/// An answer to each question.
type Answers = Vec<Vec<u8>>;

/// What each start answered after each of its commits, as far as its memory still knows.
static HISTORIES: LazyLock<Vec<Vec<Answers>>> =
    LazyLock::new(|| STARTS.iter().map(|start| history(start.image())).collect());

/// The log cut off behind each of its transactions. A slot is 88 bytes, behind a page head of 16:
/// `block 2 | tag 2 | transaction 4 | ...`.
fn history(image: &[u8]) -> Vec<Answers> {
    const PAGE: usize = 2048;
    let entries = |page: usize| (page + 16..=page + PAGE - 88).step_by(88);
    let places: Vec<usize> = (0..image.len()).step_by(PAGE).flat_map(entries).collect();
    let number = |at: usize| image[at + 4..at + 8].try_into().map(u32::from_be_bytes);
    let numbers: BTreeSet<u32> = places
        .iter()
        .filter(|at| image[**at..**at + 8] != [0xFF; 8])
        .map(|at| number(*at).expect("four bytes"))
        .collect();
    let until = |last: u32| {
        let mut older = image.to_vec();
        for at in places
            .iter()
            .filter(|at| number(**at).is_ok_and(|n| n > last && n != u32::MAX))
        {
            older[*at..*at + 88].fill(0);
        }
        answers(&mut copy(&older))
    };
    let states: Vec<Answers> = numbers.into_iter().map(until).collect();
    assert_eq!(
        states.last(),
        Some(&answers(&mut copy(image))),
        "the newest is today's"
    );
    states
}

fn damage(input: &mut Input<'_>, image: &mut [u8]) {
    let kind = input.byte();
    let [a, b, c] = input.array();
    let at = u32::from_be_bytes([0, a, b, c]) as usize % image.len();
    let place = &mut image[at..];
    match kind % 4 {
        // Bits flip.
        0 => place[0] ^= input.byte(),
        // A page, or a part of one, is erased (FF) or never was written (00).
        1 => {
            let (length, value) = (usize::from(input.u16()), input.pick(&[0xFF, 0x00]));
            for byte in place.iter_mut().take(length) {
                *byte = value;
            }
        }
        // Other bytes stand there.
        2 => {
            let length = usize::from(input.byte());
            for (to, from) in place.iter_mut().zip(input.take(length)) {
                *to = *from;
            }
        }
        // A piece of the image stands twice.
        _ => {
            let from = usize::from(input.u16()) % image.len();
            let length = usize::from(input.u16()).min(image.len() - from.max(at));
            image.copy_within(from..from + length, at);
        }
    }
}
