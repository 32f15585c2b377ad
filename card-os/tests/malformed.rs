//! Malformed commands of every class, with the exact status word of each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, Fen, Sw, aid, apdu,
    perso::{self, CardState},
    purse::sfi,
};
use common::{
    Tap,
    apps::{self, App},
    card, issuer, put,
};
use virtual_card::VirtualCard;

/// The status word, and whether it came without data.
fn sw(card: &mut VirtualCard, command: &[u8]) -> Sw {
    let mut buffer = [0; 258];
    let n = card.transmit(command, &mut buffer).unwrap();
    let sw = Sw(u16::from_be_bytes([buffer[n - 2], buffer[n - 1]]));
    let answers = matches!(sw.0 >> 8, 0x61 | 0x62 | 0x90);
    assert!(answers || n == 2, "{command:02X?}: {sw} with data");
    sw
}

/// ISO 7816-4, 5.4.1, as this card reads it: the status word of a class byte before any
/// application sees the command. `None`: an application decides, under the class without channel.
fn of_class(cla: u8) -> Option<Sw> {
    match cla {
        0xB0 | 0xBF => None,
        0x40..=0x7F => Some(Sw::CHANNEL),
        0x20..=0x3F | 0xA0..=0xFF => Some(Sw::CLA),
        // What is left is 00 to 1F and 80 to 9F: bits 4 and 3 secure messaging, bit 5 chaining.
        _ if cla & 0x08 != 0 => Some(Sw::SM_UNSUPPORTED),
        _ if cla & 0x14 == 0x14 => Some(Sw::CHAINING),
        _ if cla & 0x03 != 0 => Some(Sw::CHANNEL),
        // The first part of a chain.
        _ if cla & 0x10 != 0 => Some(Sw::OK),
        _ => None,
    }
}

/// Every class with every instruction in every application: known here, or one exact refusal.
#[test]
fn every_class_and_instruction() {
    let (mut refused, mut known) = (0, 0);
    for app in apps::ALL {
        let image = app.image();
        let mut card = app.on(&image);
        for [cla, ins] in (0..=0xFF).flat_map(|cla| (0..=0xFF).map(move |ins| [cla, ins])) {
            let system = cla == 0x00 && apps::SYSTEM.contains(&ins);
            let expected = match (of_class(cla), app.instructions(cla)) {
                (Some(sw), _) => Some(sw),
                (None, _) if system => None,
                // Whatever is under secure messaging needs a secure channel first.
                (None, _) if app == App::Isd && matches!(cla, 0x04 | 0x84) => Some(match ins {
                    0x82 if cla == 0x84 => Sw::CONDITIONS,
                    _ => Sw::SECURITY,
                }),
                (None, Some(list)) if list.contains(&ins) => None,
                (None, Some(_)) => Some(Sw::INS),
                // Class 00 and 80 are everybody's, and 84 is every application's but the issuer's.
                (None, None) if matches!(cla, 0x00 | 0x80 | 0x84) => Some(Sw::INS),
                (None, None) => Some(Sw::CLA),
            };
            let got = sw(&mut card, &[cla, ins, 0, 0]);
            match expected {
                Some(expected) => assert_eq!(got, expected, "{app:?} {cla:02X} {ins:02X}"),
                None => {
                    let stranger = [Sw::CLA, Sw::INS, Sw::CHANNEL].contains(&got);
                    assert!(!stranger, "{app:?} {cla:02X} {ins:02X}: {got}");
                    known += 1;
                }
            }
            refused += u32::from(expected.is_some());
            // What was understood may have changed what is selected or opened a chain.
            if expected.is_none() || got == Sw::OK {
                card = app.on(&image);
            }
        }
    }
    println!("{refused} refused, {known} understood");
    assert_eq!(refused + known, apps::ALL.len() as u32 * 256 * 256);
}

/// Commands of which the data field has one length, in the application that knows them.
const FIXED: [(App, [u8; 4], usize); 28] = [
    (App::Isd, [0x80, 0x50, 0x00, 0x00], 8),
    (App::Purse, [0x80, 0x50, 0x01, 0x02], 11),
    (App::Purse, [0x80, 0x50, 0x03, 0x02], 11),
    (App::Purse, [0x80, 0x50, 0x00, 0x02], 11),
    (App::Purse, [0x80, 0x50, 0x04, 0x01], 7),
    (App::Purse, [0x80, 0x52, 0x00, 0x00], 11),
    (App::Purse, [0x80, 0x54, 0x01, 0x00], 15),
    (App::Purse, [0x80, 0x58, 0x00, 0x00], 14),
    (App::Purse, [0x80, 0x5A, 0x00, 0x06], 2),
    (App::Social, [0x00, 0x82, 0x00, 0x0A], 16),
    (App::Social, [0x00, 0x88, 0x00, 0x01], 8),
    (App::Health, [0x00, 0x82, 0x00, 0x2A], 16),
    (App::Health, [0x00, 0x88, 0x00, 0x21], 8),
    (App::Medical, [0xB0, 0x28, 0x00, 0x01], 11),
    (App::Medical, [0xB0, 0x28, 0x01, 0x01], 19),
    (App::Medical, [0xB0, 0x2A, 0x00, 0x00], 11),
    (App::Medical, [0xB0, 0x2C, 0x01, 0x00], 15),
    (App::Medical, [0xB0, 0x2E, 0x00, 0x32], 2),
    (App::Sam, [0x80, 0x70, 0x01, 0x00], 44),
    (App::Sam, [0x80, 0x72, 0x00, 0x00], 4),
    (App::Sam, [0x80, 0xFA, 0x05, 0x00], 16),
    (App::Sam, [0x80, 0xFA, 0x00, 0x00], 8),
    (App::Sam, [0x84, 0xF0, 0x00, 0x00], 8),
    (App::Sam, [0x84, 0xD4, 0x00, 0x00], 36),
    // With the MAC alone; a shorter or longer one is a missing one, see below.
    (App::Purse, [0x84, 0x16, 0x00, 0x00], 4),
    (App::Purse, [0x84, 0x18, 0x00, 0x00], 4),
    (App::Purse, [0x84, 0x1E, 0x00, 0x00], 4),
    (App::Purse, [0x84, 0x1E, 0x00, 0x01], 4),
];

/// Every length of the data field but the right one.
#[test]
fn every_wrong_length_of_the_data() {
    for (app, header, right) in FIXED {
        let image = app.image();
        let mut card = app.on(&image);
        let wrong = match header {
            [0x84, 0x16 | 0x18 | 0x1E, ..] => Sw::SM_MISSING,
            _ => Sw::WRONG_LENGTH,
        };
        for length in (0..=255).filter(|length| *length != right) {
            let [cla, ins, p1, p2] = header;
            let command = apdu::build(cla, ins, p1, p2, &[0; 255][..length], None);
            let got = sw(&mut card, &command);
            assert_eq!(got, wrong, "{header:02X?} with {length} bytes");
        }
        assert!(card.image() == image, "{header:02X?} changed the card");
        let [cla, ins, p1, p2] = header;
        let command = apdu::build(cla, ins, p1, p2, &[0; 255][..right], None);
        let got = sw(&mut card, &command);
        assert!(
            ![Sw::WRONG_LENGTH, Sw::SM_MISSING].contains(&got),
            "{header:02X?}: {got}"
        );
    }
}

/// Lc, data and Le that do not fit together (ISO 7816-3, 12.1.3), whatever the command.
#[test]
fn every_broken_body() {
    for (app, header, right) in FIXED {
        let mut card = app.on(&app.image());
        let data = vec![0; right];
        let lc = right as u8;
        let body = |parts: &[&[u8]]| [&header[..], &parts.concat()].concat();
        // Parts of a header: an answer needs no more than a status word.
        for n in 0..4 {
            assert_eq!(sw(&mut card, &header[..n]), Sw::WRONG_LENGTH, "{n} bytes");
        }
        let wrong = [
            // Data missing, one byte short, one byte too many behind the Le.
            body(&[&[lc], &data[1..]]),
            body(&[&[lc + 1], &data]),
            body(&[&[lc], &data, &[0, 0]]),
            body(&[&[lc - 1], &data, &[0]]),
            // Extended Lc: short of data, too long, of the value zero, with a short Le.
            body(&[&[0, 0, lc], &data[1..]]),
            body(&[&[0, 0, lc], &data, &[0]]),
            body(&[&[0, 0, lc], &data, &[0, 0, 0]]),
            body(&[&[0, 0, 0], &data]),
            body(&[&[0, 1, lc], &data]),
            body(&[&[0, 0xFF, 0xFF], &data]),
            // A whole extended command whose data is longer than a short one's.
            body(&[&[0, 1, 0], &[0; 256]]),
            body(&[&[0, 1, 0], &[0; 256], &[0, 0]]),
        ];
        for command in wrong {
            assert_eq!(sw(&mut card, &command), Sw::WRONG_LENGTH, "{command:02X?}");
        }
        // The same command in both forms, with and without Le, is the same to the card.
        let image = app.image();
        let forms = [
            body(&[&[lc], &data]),
            body(&[&[lc], &data, &[0]]),
            body(&[&[lc], &data, &[0xFF]]),
            body(&[&[0, 0, lc], &data]),
            body(&[&[0, 0, lc], &data, &[0, 0]]),
            body(&[&[0, 0, lc], &data, &[1, 0]]),
        ];
        let answers = forms.map(|command| sw(&mut app.on(&image), &command));
        assert!(
            answers.windows(2).all(|w| w[0] == w[1]),
            "{header:02X?}: {answers:?}"
        );
        assert_ne!(answers[0], Sw::WRONG_LENGTH, "{header:02X?}");
    }
}

/// A command whose P1 and P2 are swept.
struct Sweep {
    app: App,
    cla: u8,
    ins: u8,
    data: &'static [u8],
    /// What wrong P1 and P2 get; `None` for right ones.
    wrong: fn(u8, u8) -> Option<Sw>,
}

const fn sweep(
    app: App,
    [cla, ins]: [u8; 2],
    data: &'static [u8],
    wrong: fn(u8, u8) -> Option<Sw>,
) -> Sweep {
    Sweep {
        app,
        cla,
        ins,
        data,
        wrong,
    }
}

/// 6A86 unless right.
fn unless(right: bool) -> Option<Sw> {
    (!right).then_some(Sw::WRONG_P1P2)
}

/// Whether the sample card, a V2 card, shows the file to a stranger at the contacts; it lets no
/// stranger write any.
fn is_free(app: App, sfi: u8) -> bool {
    match app {
        App::Purse => true,
        App::Social => matches!(sfi, 0x05 | 0x06),
        App::Health => sfi == 0x05,
        App::Pki => true,
        _ => false,
    }
}

/// The purse's files byte by byte: the sample card was loaded once and never used.
fn of_purse(ins: u8, sfi: u8, p1: u8, p2: u8) -> Option<Sw> {
    let length = match sfi {
        sfi::PUBLIC => 30,
        sfi::HOLDER => 55,
        _ => 60,
    };
    let records = match sfi {
        sfi::LOG => 1,
        sfi::METRO => 2,
        _ => 0,
    };
    let present = match (ins, p2 & 7) {
        (0xB0, _) => return (p2 >= length).then_some(Sw::OFFSET),
        (0xB2, 4) => (1..=records).contains(&p1),
        // None of these records has a tag; 00 is any.
        (0xB2, _) => p1 == 0 && records > 0,
        // SEARCH RECORD from any number that the file could have.
        (_, _) => p1 <= if sfi == sfi::METRO { 2 } else { 10 },
    };
    (!present).then_some(Sw::RECORD_NOT_FOUND)
}

/// What a command on a file gets from an application that has files.
fn on_files(app: App, cla: u8, ins: u8, p1: u8, p2: u8) -> Option<Sw> {
    let form = match ins {
        0xB0 | 0xD6 => p1 < 0xA0,
        0xB2 | 0xDC => p2 & 7 <= 4,
        0xE2 => p1 == 0 && p2 & 7 == 0,
        _ => matches!(p2 & 7, 4 | 5),
    };
    if !form {
        return Some(Sw::WRONG_P1P2);
    }
    let on_records = !matches!(ins, 0xB0 | 0xD6);
    let sfi = match p1 {
        _ if on_records => p2 >> 3,
        0x80.. => p1 & 0x1F,
        // An offset in the current file.
        _ => 0,
    };
    match app.has_records(sfi) {
        _ if sfi == 0 => Some(Sw::NO_CURRENT_FILE),
        None => Some(Sw::NOT_FOUND),
        Some(other) if other != on_records => Some(Sw::INCOMPATIBLE),
        // Of the PKI application secure messaging writes the certificate, and that is all it does.
        Some(_) if cla == 0x04 && app == App::Pki && (ins, sfi) != (0xD6, 0x18) => {
            Some(Sw::SECURITY)
        }
        // A MAC without a challenge.
        Some(_) if cla == 0x04 => Some(Sw::NO_CHALLENGE),
        Some(_) if matches!(ins, 0xD6 | 0xDC | 0xE2) || !is_free(app, sfi) => Some(Sw::SECURITY),
        Some(_) if app == App::Purse => of_purse(ins, sfi, p1, p2),
        Some(_) => None,
    }
}

const MAC: &[u8] = &[0; 4];
const TWENTY: &[u8] = &[0; 20];

/// Every command of which P1 and P2 mean something.
#[rustfmt::skip]
const SWEEPS: [Sweep; 41] = [
    sweep(App::Purse, [0x80, 0x5C], &[], |p1, p2| unless(p1 <= 3 && p2 == 2)),
    sweep(App::Purse, [0x00, 0x20], &[], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Purse, [0x80, 0x50], &[0; 11], |p1, p2| match (p1, p2) {
        // Both need the PIN; the update of the overdraft limit has seven bytes of data.
        (0, 2) => Some(Sw::SECURITY),
        (4, 1) => Some(Sw::WRONG_LENGTH),
        (p1, p2) => unless(matches!(p1, 1 | 3) && p2 == 2),
    }),
    sweep(App::Purse, [0x80, 0x52], &[0; 11], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Purse, [0x80, 0x54], &[0; 15], |p1, p2| unless((p1, p2) == (1, 0))),
    sweep(App::Purse, [0x80, 0x58], &[0; 14], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Purse, [0x80, 0x5A], &[0; 2], |p1, _| unless(p1 == 0)),
    sweep(App::Purse, [0x80, 0x5E], TWENTY, |p1, p2| unless(p1 <= 1 && p2 == 0)),
    sweep(App::Purse, [0x80, 0xDC], &[0; 48], |_, _| Some(Sw::CONDITIONS)),
    sweep(App::Purse, [0x84, 0x16], MAC, |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Purse, [0x84, 0x18], MAC, |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Purse, [0x84, 0x1E], MAC, |p1, p2| unless(p1 == 0 && p2 <= 1)),
    sweep(App::Purse, [0x84, 0x24], TWENTY, |p1, p2| unless(p1 == 0 && p2 <= 1)),
    sweep(App::Social, [0x00, 0x20], &[], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Social, [0x00, 0x82], &[0; 16], |p1, _| unless(p1 == 0).or(Some(Sw::NO_CHALLENGE))),
    sweep(App::Social, [0x00, 0x88], &[0; 8], |p1, kid| match (p1, kid) {
        (0, 1) => None,
        (0, _) => Some(Sw::KEY_NOT_FOUND),
        _ => Some(Sw::WRONG_P1P2),
    }),
    sweep(App::Social, [0x80, 0x5E], TWENTY, |p1, p2| unless((p1, p2) == (1, 0))),
    sweep(App::Social, [0x84, 0x24], TWENTY, |p1, p2| unless(p1 == 0 && p2 <= 1)),
    sweep(App::Social, [0x00, 0x2C], &[1, 2], |p1, p2| match (p1, p2) {
        // Nobody proved the PUK; P1 03 has no data.
        (2, 0) => Some(Sw::SECURITY),
        (3, 0) => Some(Sw::WRONG_LENGTH),
        _ => Some(Sw::WRONG_P1P2),
    }),
    sweep(App::Empty, [0x00, 0xB0], &[], |p1, _| match p1 {
        0xA0.. => Some(Sw::WRONG_P1P2),
        _ => Some(Sw::NOT_FOUND),
    }),
    sweep(App::Health, [0x00, 0x20], &[1, 2], |p1, p2| match (p1, p2) {
        (0, 0) => Some(Sw::INS),
        _ => Some(Sw::WRONG_P1P2),
    }),
    sweep(App::Health, [0x00, 0x82], &[0; 16], |p1, _| unless(p1 == 0).or(Some(Sw::NO_CHALLENGE))),
    sweep(App::Medical, [0xB0, 0x26], &[], |p1, p2| unless(p1 == 0 && (1..=3).contains(&p2))),
    sweep(App::Medical, [0xB0, 0x28], &[0; 19], |p1, p2| match (p1, p2) {
        (0, 1) => Some(Sw::WRONG_LENGTH),
        (1, 1) => Some(Sw::SECURITY),
        _ => Some(Sw::WRONG_P1P2),
    }),
    sweep(App::Medical, [0xB0, 0x2A], &[0; 11], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Medical, [0xB0, 0x2C], &[0; 15], |p1, p2| unless((p1, p2) == (1, 0))),
    sweep(App::Medical, [0xB0, 0x2E], &[0; 2], |p1, _| unless(p1 == 0)),
    sweep(App::Pki, [0x00, 0x20], &[], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Pki, [0x80, 0x5E], TWENTY, |p1, p2| unless((p1, p2) == (1, 0))),
    sweep(App::Pki, [0x00, 0x2A], &[1], |p1, p2| match (p1, p2) {
        // No object with a part in it; a signature has no data.
        (0x90, 0xA0) => Some(Sw::WRONG_DATA),
        (0x9E, 0x9A) => Some(Sw::WRONG_LENGTH),
        (p1, p2) => unless((p1, p2) == (0x90, 0x80)),
    }),
    sweep(App::Pki, [0x00, 0x47], &[1], |p1, p2| match (p1, p2) {
        (0x80 | 0x81, 0) => Some(Sw::WRONG_DATA),
        _ => Some(Sw::WRONG_P1P2),
    }),
    sweep(App::Pki, [0x00, 0xCA], &[], |p1, p2| match (p1, p2) {
        (0x00, 0x93) => None,
        _ => Some(Sw::KEY_NOT_FOUND),
    }),
    sweep(App::Sam, [0x00, 0xB0], &[], |p1, p2| match p1 {
        0x95 => (p2 >= 10).then_some(Sw::OFFSET),
        0x96 => (p2 >= 6).then_some(Sw::OFFSET),
        0x97 => (p2 >= 1).then_some(Sw::OFFSET),
        0x80..=0x9F => Some(Sw::NOT_FOUND),
        _ => Some(Sw::NO_CURRENT_FILE),
    }),
    sweep(App::Sam, [0x80, 0x70], &[0; 44], |p1, p2| match (p1, p2) {
        (0, 0x00 | 0x10) => Some(Sw::WRONG_LENGTH),
        (p1, p2) => unless((p1, p2) == (1, 0)),
    }),
    sweep(App::Sam, [0x80, 0x72], MAC, |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Sam, [0x80, 0xFA], &[0; 16], |p1, p2| match (p1, p2) {
        (0, 0) => Some(Sw::WRONG_LENGTH),
        (p1, p2) => unless((p1, p2) == (5, 0)),
    }),
    sweep(App::Sam, [0xBF, 0xDE], &[0; 24], |p1, _| unless(p1 == 0x48)),
    sweep(App::Sam, [0x84, 0xF0], &[0; 8], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Sam, [0x84, 0xD4], &[0; 36], |p1, p2| unless((p1, p2) == (0, 0))),
    sweep(App::Directory, [0x00, 0xB2], &[], |p1, p2| match (p1, p2) {
        (1, 0x0C) => None,
        (_, 0x0C) => Some(Sw::RECORD_NOT_FOUND),
        _ => Some(Sw::NOT_FOUND),
    }),
    sweep(App::Isd, [0x80, 0x50], &[0; 8], |kvn, p2| match (kvn, p2) {
        (0 | perso::KVN_ISSUER, 0) => None,
        (_, 0) => Some(Sw::KEY_NOT_FOUND),
        _ => Some(Sw::WRONG_P1P2),
    }),
];

/// All 65,536 P1 and P2 of a command; the application is selected anew for each P2, because naming
/// a file makes it the current one.
fn sweep_all(app: App, [cla, ins]: [u8; 2], data: &[u8], wrong: impl Fn(u8, u8) -> Option<Sw>) {
    let mut card = app.on(&app.image());
    for p2 in 0..=0xFF {
        put(&mut card, &apdu::select(app.name()));
        for p1 in 0..=0xFF {
            let command = apdu::build(cla, ins, p1, p2, data, None);
            let got = sw(&mut card, &command);
            match wrong(p1, p2) {
                Some(expected) => assert_eq!(got, expected, "{app:?} {command:02X?}"),
                None => {
                    let refused = [Sw::WRONG_P1P2, Sw::NOT_FOUND, Sw::INS].contains(&got);
                    assert!(!refused, "{app:?} {command:02X?}: {got}");
                }
            }
        }
    }
}

#[test]
fn every_wrong_p1_p2() {
    for Sweep {
        app,
        cla,
        ins,
        data,
        wrong,
    } in SWEEPS
    {
        sweep_all(app, [cla, ins], data, wrong);
    }
    println!("{} pairs of P1 and P2", SWEEPS.len() * 65_536);
}

#[test]
fn every_wrong_p1_p2_of_a_file_command() {
    for app in [App::Purse, App::Social, App::Health, App::Pki] {
        for cla in [0x00, 0x04] {
            for ins in apps::FILES {
                let data: &[u8] = match (cla, ins) {
                    (0x04, _) => MAC,
                    (_, 0xB0 | 0xB2) => &[],
                    _ => &[1, 1, 1],
                };
                let wrong = |p1, p2| on_files(app, cla, ins, p1, p2);
                sweep_all(app, [cla, ins], data, wrong);
            }
        }
    }
}

/// UPDATE CAPP DATA CACHE inside a compound purchase: what may be cached, and nothing else.
#[test]
fn every_wrong_cache_update() {
    let purse = App::Purse.on(&App::Purse.image()).image().to_vec();
    for length in [0, 1, 23, 24, 25, 47, 48, 49, 127, 128, 129, 255] {
        let mut card = App::Purse.on(&purse);
        let mut tap = Tap::new(Fen(1));
        tap.capp = true;
        tap.init(&mut card).unwrap();
        for [p1, p2] in (0..=0xFF).flat_map(|a| (0..=0xFF).map(move |b| [a, b])) {
            let expected = match (p2 & 7, p2 >> 3, p1) {
                (1..=3 | 5..=7, ..) => Sw::WRONG_P1P2,
                (_, sfi::JOURNEY | sfi::TRAVEL, 1..) => Sw::WRONG_P1P2,
                (_, sfi::JOURNEY, 0) if length != 48 => Sw::WRONG_LENGTH,
                (_, sfi::METRO, _) if length != 128 => Sw::WRONG_LENGTH,
                (_, sfi::TRAVEL, 0) if length != 24 => Sw::WRONG_LENGTH,
                (_, sfi::METRO, 0 | 3..) => Sw::RECORD_NOT_FOUND,
                // The same record a second time, through the other form of P2.
                (4, sfi::METRO | sfi::TRAVEL, _) => Sw::NO_SPACE,
                (_, sfi::JOURNEY | sfi::METRO | sfi::TRAVEL, _) => Sw::OK,
                _ => Sw::NOT_FOUND,
            };
            let command = apdu::build(0x80, 0xDC, p1, p2, &[7; 255][..length], None);
            assert_eq!(
                sw(&mut card, &command),
                expected,
                "{p1:02X} {p2:02X}, {length} bytes"
            );
        }
        assert!(
            card.image() == purse,
            "the cache reached the memory before the DEBIT"
        );
    }
}

/// The issuer's commands inside a session, at the level where every one is just MACed: P1 and P2
/// are judged, the session goes on, and nothing is changed.
#[test]
fn every_wrong_p1_p2_of_the_issuer() {
    type Wrong = fn(u8, u8) -> Option<Sw>;
    let commands: [(u8, &[u8], Wrong); 6] = [
        (0xCA, &[], |p1, p2| match (p1, p2) {
            (0x00, 0xE0 | 0x66 | 0xCF) | (0x9F, 0x7F) => None,
            _ => Some(Sw::KEY_NOT_FOUND),
        }),
        (0xD8, &[0x31], |p1, p2| match (p1, p2) {
            // The right ones, and then no keys in the data.
            (0 | perso::KVN_ISSUER, 0x81) => Some(Sw::WRONG_DATA),
            _ => Some(Sw::WRONG_P1P2),
        }),
        (0xE2, &[0], |p1, p2| match (p1, p2) {
            (0x08 | 0x10 | 0x88 | 0x90, 0) => None,
            _ => Some(Sw::WRONG_P1P2),
        }),
        (0xE4, &[0xD2, 0x01, 0x44], |p1, p2| match (p1, p2) {
            (0, 0) => Some(Sw::KEY_NOT_FOUND),
            _ => Some(Sw::WRONG_P1P2),
        }),
        (0xE6, &[0, 0, 0, 0, 0, 0], |p1, p2| match (p1, p2) {
            (0x20, 0) => Some(Sw::NOT_FOUND),
            _ => Some(Sw::WRONG_P1P2),
        }),
        (0xF2, &[0x4F, 0x00], |p1, p2| match (p1, p2) {
            (0x80 | 0x40, 0 | 2) => None,
            (0x20 | 0x10, 0 | 2) | (_, 1 | 3) => Some(Sw::KEY_NOT_FOUND),
            _ => Some(Sw::WRONG_P1P2),
        }),
    ];
    let mut card = card(card_spec::SuiteId::Aes);
    let mut host = issuer(&mut card);
    let image = card.image().to_vec();
    for (ins, data, wrong) in commands {
        // One half is enough of a session's time: every P1 with few P2, few P1 with every P2.
        let few = [0x00, 0x01, 0x02, 0x03, 0x7F, 0x80, 0x81, 0xFF];
        let rows = (0..=0xFF).flat_map(|p1| few.map(|p2| [p1, p2]));
        let columns =
            (0..=0xFF).flat_map(|p2| [0, 0x08, 0x20, 0x40, 0x80, 0x9F].map(|p1| [p1, p2]));
        for [p1, p2] in rows.chain(columns) {
            let Some(expected) = wrong(p1, p2) else {
                continue;
            };
            let command = host
                .wrap(&apdu::build(0x80, ins, p1, p2, data, None))
                .unwrap();
            let got = sw(&mut card, &command);
            assert_eq!(got, expected, "{ins:02X} {p1:02X} {p2:02X}");
        }
    }
    // SET STATUS: states that do not exist, steps that are not allowed, kinds that are neither.
    for (p1, p2, expected) in (0..=0xFF).flat_map(|p1: u8| {
        [0x00, 0x01, 0x07, 0x0E, 0x83, 0xAA].map(|p2| {
            let expected = match (p1, CardState::from_byte(p2)) {
                // The data, which should name an application, is empty.
                (0x40, _) => Sw::KEY_NOT_FOUND,
                (0x80, None) => Sw::WRONG_P1P2,
                (0x80, Some(_)) => Sw::CONDITIONS,
                _ => Sw::WRONG_P1P2,
            };
            (p1, p2, expected)
        })
    }) {
        let command = host
            .wrap(&apdu::build(0x80, 0xF0, p1, p2, &[], None))
            .unwrap();
        assert_eq!(sw(&mut card, &command), expected, "F0 {p1:02X} {p2:02X}");
    }
    assert!(card.image() == image, "a refused command changed the card");
    // The session is still open.
    host.send(
        &mut card,
        "GET DATA",
        &apdu::read(0x80, 0xCA, 0, 0xE0, None),
    )
    .unwrap();
}

/// A chain of any command broken by any other: 6883, neither is done, and the next one is.
#[test]
fn a_chain_is_broken_the_same_way_everywhere() {
    for (app, [cla, ins, p1, p2], length) in FIXED {
        // Secure messaging is not chained, nor are the classes without room for the bit.
        if cla & 0x04 != 0 || cla >= 0xA0 {
            continue;
        }
        let image = app.image();
        let mut card = app.on(&image);
        let part = apdu::build(cla | 0x10, ins, p1, p2, &[0; 44][..length / 2], None);
        let other = [cla, ins ^ 1, p1, p2];
        let elsewhere = [cla, ins, p1 ^ 1, p2];
        for intruder in [
            &other[..],
            &elsewhere,
            &apdu::select(aid::ISD),
            &apdu::get_challenge(8),
        ] {
            assert_eq!(sw(&mut card, &part), Sw::OK, "{ins:02X}");
            assert_eq!(
                sw(&mut card, intruder),
                Sw::CHAIN_OPEN,
                "{ins:02X} {intruder:02X?}"
            );
            assert!(card.image() == image, "{ins:02X}: a broken chain was done");
            // Whoever comes next is heard, with the application still selected.
            let whole = apdu::build(cla, ins, p1, p2, &[0; 45][..length + 1], None);
            assert_eq!(sw(&mut card, &whole), Sw::WRONG_LENGTH, "{ins:02X}");
        }
        // Too long in sum, however it is cut.
        assert_eq!(sw(&mut card, &part), Sw::OK);
        let rest = apdu::build(cla, ins, p1, p2, &[0; 44][..length], None);
        assert_eq!(
            sw(&mut card, &rest),
            Sw::WRONG_LENGTH,
            "{ins:02X} in two parts"
        );
        put(&mut card, &apdu::select(app.name()));
    }
}
