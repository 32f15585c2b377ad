//! Invariant 5: no application can read or change another's files, keys or counters.
//!
//! A matrix: with application A selected, over each interface, as a stranger and with everything
//! proved that A can be proved, every file, every key and every command of every other application
//! is tried. What A answers must be the exact word for "not mine", without data, and not one byte
//! of the memory may change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class, ssse_process_key},
    medical, purse, sm, ssse,
};
use common::{
    Tap,
    apps::{self, App, authenticate, key, prove_keys},
    ask, card,
    commands::commands,
    put, sam_no, select_purse, send,
};
use virtual_card::{Interface, VirtualCard, sample};

/// What a command answers where it is nobody's: unknown, or a file or an application not there.
/// A wrong MAC, a missing PIN or a try less would mean that it was somebody's.
const NOT_MINE: [Sw; 6] = [
    Sw::INS,
    Sw::CLA,
    Sw::NOT_FOUND,
    Sw::NO_CURRENT_FILE,
    Sw::WRONG_P1P2,
    Sw::WRONG_LENGTH,
];

/// How A is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    interface: Interface,
    /// PIN and every authentication that A knows.
    proved: bool,
}

const ENTRIES: [Entry; 4] = {
    const fn entry(interface: Interface, proved: bool) -> Entry {
        Entry { interface, proved }
    }
    [
        entry(Interface::Contact, false),
        entry(Interface::Contact, true),
        entry(Interface::Contactless, false),
        entry(Interface::Contactless, true),
    ]
};

impl Entry {
    fn into(self, app: App, image: &[u8]) -> VirtualCard {
        let mut card = app.on(image);
        card.set_interface(self.interface);
        if self.proved {
            prove(app, &mut card);
            if app == App::Pki && self.interface == Interface::Contact {
                put(&mut card, &apdu::verify(0, &sample::SIGN_PIN_BYTES));
            }
        }
        card
    }
}

/// Everything that A accepts as a proof.
fn prove(app: App, card: &mut VirtualCard) {
    prove_keys(app, card);
    if matches!(app, App::Purse | App::Social | App::Empty | App::Medical) {
        put(card, &apdu::verify(0, &sample::PIN_BYTES));
    }
    if app == App::Purse {
        let mut tap = Tap::new(Fen(1));
        tap.capp = true;
        tap.init(card).unwrap();
    }
}

/// What A answers to a command that it knows, about a file that it does not have.
fn no_such_file(app: App, entry: Entry, cla: u8, ins: u8) -> Sw {
    if app == App::Pki && entry.interface == Interface::Contactless {
        // It speaks through the contacts alone.
        return Sw::CONDITIONS;
    }
    let citizen = matches!(app, App::Social | App::Health);
    match app.instructions(cla) {
        // The issuer domain's secure channel is not open.
        None if app == App::Isd && cla == 0x04 => Sw::SECURITY,
        None => Sw::CLA,
        Some(known) if !known.contains(&ins) => Sw::INS,
        // Over the air the citizen's side says nothing to a stranger, but DFs without files say
        // that they have none.
        Some(_) if citizen && !entry.proved => match entry.interface {
            Interface::Contact => Sw::NOT_FOUND,
            Interface::Contactless => Sw::SECURITY,
        },
        // Of the purse, whatever comes under a maintenance key is for the contacts.
        Some(_) if app == App::Purse && cla == 0x04 => match entry.interface {
            Interface::Contact => Sw::NOT_FOUND,
            Interface::Contactless => Sw::CONDITIONS,
        },
        Some(_) => Sw::NOT_FOUND,
    }
}

/// Every SFI that is not A's, read, searched and written, in clear and under secure messaging, by
/// every record number that any application uses.
fn foreign_files(app: App, entry: Entry, image: &[u8]) -> u32 {
    let mut card = entry.into(app, image);
    let before = card.image().to_vec();
    let mut probes = 0;
    for cla in [0x00, 0x04] {
        for ins in apps::FILES {
            for sfi in (1..0x1F).filter(|sfi| app.has_records(*sfi).is_none()) {
                let places: Vec<[u8; 2]> = match ins {
                    0xB0 | 0xD6 => [0, 1, 29, 128, 255].map(|at| [0x80 | sfi, at]).to_vec(),
                    0xE2 => vec![[0, sfi << 3]],
                    _ => (0..=16).map(|number| [number, sfi << 3 | 4]).collect(),
                };
                for [p1, p2] in places {
                    let data: &[u8] = if matches!(ins, 0xB0 | 0xB2) && cla == 0 {
                        &[]
                    } else {
                        &[0; 8]
                    };
                    let reply = send(&mut card, &apdu::build(cla, ins, p1, p2, data, None));
                    let what = format!("{app:?} {entry:?}: {cla:02X} {ins:02X} {p1:02X} {p2:02X}");
                    assert_eq!(reply.sw, no_such_file(app, entry, cla, ins), "{what}");
                    assert!(reply.data.is_empty(), "{what}");
                    probes += 1;
                }
            }
        }
    }
    assert!(
        card.image() == before,
        "{app:?} {entry:?}: the memory changed"
    );
    probes
}

/// Every file identifier there can be, but A's own and what leads out of A.
fn foreign_identifiers(app: App, entry: Entry, image: &[u8]) -> u32 {
    let mut card = entry.into(app, image);
    let family = matches!(app, App::Social | App::Empty | App::Medical);
    let own = |fid: u16| {
        let [high, low] = fid.to_be_bytes();
        match high {
            // The files of the purse and of the PKI application have identifiers of their own.
            0x00 => matches!(app, App::Purse | App::Pki) && app.has_records(low).is_some(),
            0xEF => matches!(app, App::Social | App::Health) && app.has_records(low).is_some(),
            0xDF => family && (1..=5).contains(&low),
            _ => fid == 0x3F00 || (fid == aid::SAM_FID && app == App::Sam),
        }
    };
    let mut probes = 0;
    for p1 in [0x00, 0x02, 0x09] {
        for fid in (0..=0xFFFF).filter(|fid| !own(*fid)) {
            let command = apdu::build(0x00, 0xA4, p1, 0x00, &fid.to_be_bytes(), Some(256));
            let reply = send(&mut card, &command);
            assert_eq!(reply.sw, Sw::NOT_FOUND, "{app:?} {entry:?}: {fid:04X}");
            assert!(reply.data.is_empty(), "{app:?}: {fid:04X}");
            probes += 1;
        }
    }
    probes
}

/// A key of another application in A's commands: named by its index where a command names one, and
/// used for a MAC or a cryptogram that would be right if A held it.
fn foreign_key(app: App, entry: Entry, image: &[u8], key_type: KeyType, index: u8) -> u32 {
    let stolen = key(key_type, index);
    let named = apdu::build;
    let request = |kid| purse::InitRequest {
        kid,
        ..Tap::new(Fen(1)).request()
    };
    let load = medical::init_load(index, Fen(1), sam_no()).unwrap();
    // Whatever A does with its own key of that index, it is not this one.
    let init = match app {
        App::Purse => vec![
            request(index).load().unwrap(),
            request(index).purchase().unwrap(),
        ],
        App::Medical => vec![load],
        _ => vec![],
    };
    let mut probes = 0;
    for command in init {
        let mut card = entry.into(app, image);
        let reply = send(&mut card, &command);
        let of_type = match (app, command[1], command[2]) {
            (App::Purse, _, 0) => KeyType::Dlk,
            (App::Purse, ..) => KeyType::Dpk,
            _ => KeyType::Mlk,
        };
        let holds = app.indexes(of_type).contains(&index);
        assert!(
            holds || reply.sw != Sw::OK,
            "{app:?} {key_type:?} {index:02X}"
        );
        probes += 1;
    }
    for [cla, ins, p1, p2] in [
        [0x84, 0x16, 0, 0],
        [0x84, 0x18, 0, 0],
        [0x84, 0x1E, 0, 0],
        [0x84, 0x1E, 0, 1],
        [0x84, 0x24, 0, 1],
        [0x80, 0x5E, 0, 0],
        [0x84, 0xF0, 0, 0],
        [0x84, 0xD4, 0, 0],
        [0x04, 0xB0, 0x95, 0],
        [0x04, 0xD6, 0x97, 10],
        [0x04, 0xB2, 1, 0x2C],
        [0x04, 0xDC, 1, 0xD4],
        [0x04, 0xDC, 1, 0x64],
        [0x04, 0xD6, 0x98, 0],
        [0x04, 0xE2, 0, 0x90],
    ] {
        for data in [
            &[][..],
            &[0x12, 0x34, 0x56],
            &[0x77; 4],
            &[0; 16],
            &[0; 32],
            &[0; 128],
        ] {
            let mut card = entry.into(app, image);
            let challenge = ask(&mut card, &apdu::get_challenge(8));
            let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
            let lc = data.len() as u8 + 4;
            let mac = sm::mac(
                SuiteId::Aes,
                &stolen,
                challenge,
                [cla, ins, p1, p2, lc],
                data,
            );
            let command = named(cla, ins, p1, p2, &[data, &mac].concat(), None);
            let reply = send(&mut card, &command);
            let what = format!("{app:?} {entry:?}: {key_type:?} {index:02X} in {command:02X?}");
            assert_ne!(reply.sw, Sw::OK, "{what}");
            assert!(reply.data.is_empty(), "{what}");
            probes += 1;
        }
    }
    if matches!(app, App::Social | App::Empty | App::Medical | App::Health) {
        let mut card = entry.into(app, image);
        let sw = authenticate(&mut card, key_type, index);
        // Either A has no key of this id, or its own does not fit.
        assert!(
            [Sw::KEY_NOT_FOUND, Sw::SECURITY].contains(&sw),
            "{key_type:?} {index:02X}: {sw}"
        );
        let reply = send(&mut card, &ssse::internal_authenticate(index, [3; 8]));
        let answer = ssse_process_key(&stolen, SuiteId::Aes, &[3; 8]);
        assert_ne!(
            reply.data.as_slice(),
            answer.cryptogram8(SuiteId::Aes, &[3; 8]),
            "{key_type:?}"
        );
        probes += 2;
    }
    probes
}

/// The matrix of files and identifiers.
#[test]
fn no_file_of_another_application() {
    let (mut probes, mut identifiers) = (0, 0);
    for app in apps::ALL {
        let image = app.image();
        for entry in ENTRIES {
            probes += foreign_files(app, entry, &image);
            // A stranger is told no more than this.
            if entry.proved {
                identifiers += foreign_identifiers(app, entry, &image);
            }
        }
    }
    println!("isolation: {probes} commands on foreign files, {identifiers} foreign identifiers");
}

/// The matrix of keys.
#[test]
fn no_key_of_another_application() {
    let mut probes = 0;
    for app in apps::ALL {
        let image = app.image();
        for entry in [ENTRIES[1], ENTRIES[3]] {
            for owner in apps::ALL {
                for key_type in KeyType::ALL {
                    for index in owner.indexes(key_type) {
                        if !app.indexes(key_type).contains(index) {
                            probes += foreign_key(app, entry, &image, key_type, *index);
                        }
                    }
                }
            }
        }
    }
    println!("isolation: {probes} commands with foreign keys");
}

/// Every key id that a command can name: answered if it is A's own, and else by no key at all.
#[test]
fn no_key_id_of_another_application() {
    let image = App::Purse.image();
    for app in [App::Social, App::Medical, App::Health, App::Purse] {
        let mut card = ENTRIES[1].into(app, &image);
        for kid in 0..=0xFF {
            let tap = Tap {
                kid,
                ..Tap::new(Fen(1))
            };
            let (command, key_type, none) = match app {
                App::Purse => (
                    tap.request().purchase().unwrap(),
                    KeyType::Dpk,
                    Sw::KEY_INDEX,
                ),
                App::Medical => (
                    medical::init_load(kid, Fen(1), sam_no()).unwrap(),
                    KeyType::Mlk,
                    Sw::KEY_INDEX,
                ),
                _ => (
                    ssse::internal_authenticate(kid, [0; 8]),
                    KeyType::Irk,
                    Sw::KEY_NOT_FOUND,
                ),
            };
            let mine = app.indexes(key_type).contains(&kid);
            let expected = if mine { Sw::OK } else { none };
            assert_eq!(send(&mut card, &command).sw, expected, "{app:?} {kid:02X}");
            if !matches!(app, App::Social | App::Health) {
                continue;
            }
            ask(&mut card, &apdu::get_challenge(8));
            let mut copy = ENTRIES[1].into(app, &image);
            ask(&mut copy, &apdu::get_challenge(8));
            let command = ssse::external_authenticate(kid, [0; 8], [0; 8]);
            let kinds = [KeyType::Rk, KeyType::Uk, KeyType::Puk];
            let mine = kinds.iter().any(|kind| app.indexes(*kind).contains(&kid));
            let expected = if mine {
                Sw::SECURITY
            } else {
                Sw::KEY_NOT_FOUND
            };
            assert_eq!(send(&mut copy, &command).sw, expected, "{app:?} {kid:02X}");
        }
    }
}

/// The matrix of commands: only its owner knows a command, and elsewhere not one byte changes.
#[test]
fn every_command_has_one_home() {
    let (mut owned, mut strange) = (0, 0);
    for app in apps::ALL {
        let image = app.image();
        for entry in ENTRIES {
            for (what, owners, command) in commands() {
                let mut card = entry.into(app, &image);
                // A fresh challenge: its absence must not be what refuses.
                ask(&mut card, &apdu::get_challenge(8));
                let before = card.image().to_vec();
                let reply = send(&mut card, &command);
                let context = format!("{what} with {app:?} {entry:?}: {}", reply.sw);
                // The SAM's files have numbers that the purse's have.
                let sam_file =
                    command.starts_with(&[0x00, 0xB0]) && (0x95..0x98).contains(&command[2]);
                if owners.contains(&app) || (app == App::Sam && sam_file) {
                    owned += 1;
                    assert!(!NOT_MINE.contains(&reply.sw), "{context}");
                    continue;
                }
                strange += 1;
                // Everything under the secure-messaging class is the secure channel's in the
                // issuer domain, and none is open; over the air a citizen's application is silent.
                let silent = match app {
                    App::Isd => reply.sw == Sw::SECURITY,
                    App::Purse | App::Sam => false,
                    App::Pki => {
                        entry.interface == Interface::Contactless && reply.sw == Sw::CONDITIONS
                    }
                    _ => entry == ENTRIES[2] && reply.sw == Sw::SECURITY,
                };
                assert!(silent || NOT_MINE.contains(&reply.sw), "{context}");
                assert!(reply.data.is_empty(), "{context}");
                assert!(card.image() == before, "{context}: the memory changed");
            }
        }
    }
    println!("isolation: {owned} commands at home, {strange} strangers refused");
}

/// Applications that are not on a card cannot be selected there.
#[test]
fn a_card_is_no_sam_and_a_sam_is_no_card() {
    let mut card = card(SuiteId::Aes);
    for name in [aid::T_UNION_SAM, aid::SSSE_SAM] {
        assert_eq!(send(&mut card, &apdu::select(name)).sw, Sw::NOT_FOUND);
    }
    let mut sam = common::sam_for(class::TRANSIT);
    for app in apps::ON_A_CARD.iter().filter(|app| **app != App::Isd) {
        assert_eq!(send(&mut sam, &apdu::select(app.name())).sw, Sw::NOT_FOUND);
    }
}

/// The sides have a PIN each: neither its value, its tries nor its proof crosses over.
#[test]
fn a_pin_of_one_side_is_nothing_to_the_other() {
    let mut card = card(SuiteId::Aes);
    let wrong = apdu::verify(0, &[0x77; 3]);
    let ask_tries = [0x00, 0x20, 0x00, 0x00];
    for (here, there) in [(aid::SSSE, aid::T_UNION), (aid::T_UNION, aid::SSSE)] {
        put(&mut card, &apdu::select(here));
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        for left in [2, 1] {
            assert_eq!(send(&mut card, &wrong).sw, Sw::tries_left(left));
        }
        put(&mut card, &apdu::select(there));
        assert_eq!(send(&mut card, &ask_tries).sw, Sw::tries_left(3));
        put(&mut card, &apdu::select(here));
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    }
    put(&mut card, &apdu::select(aid::SSSE));
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    select_purse(&mut card);
    let load = Tap::new(Fen(1)).request().load().unwrap();
    assert_eq!(send(&mut card, &load).sw, Sw::SECURITY);
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    put(&mut card, &apdu::select(aid::SSSE_MEDICAL));
    let load = medical::init_load(1, Fen(1), sam_no()).unwrap();
    assert_eq!(send(&mut card, &load).sw, Sw::SECURITY);
}
