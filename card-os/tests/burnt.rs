//! Counters are an application's own: burning all of one application's moves none of another's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, Sw, apdu,
    keys::KeyType,
    medical, perso,
    purse::{self, TxType},
    ssse,
};
use common::{
    Tap,
    apps::{self, App, prove_keys},
    commands::commands,
    sam_no, send,
};
use virtual_card::{VirtualCard, sample};

/// What B shows of its files, keys and counters to somebody with every right in it.
fn fingerprint(app: App, image: &[u8], with_pin: bool) -> Vec<(Sw, Vec<u8>)> {
    let mut card = app.on(image);
    let mut seen = Vec::new();
    let mut say = |card: &mut VirtualCard, command: &[u8]| {
        let reply = send(card, command);
        seen.push((reply.sw, reply.data.to_vec()));
    };
    match app {
        App::Isd => {
            for tag in [[0x00, 0xE0], [0x00, 0x66], [0x00, 0xCF], [0x9F, 0x7F]] {
                say(
                    &mut card,
                    &apdu::read(0x80, 0xCA, tag[0], tag[1], Some(256)),
                );
            }
            // Cryptogram and sequence counter, and with them the key set.
            say(&mut card, &perso::initialize_update(0, [1; 8]));
        }
        App::Purse => {
            say(&mut card, &[0x00, 0x20, 0x00, 0x00]);
            for p1 in 0..=3 {
                say(&mut card, &apdu::read(0x80, 0x5C, p1, 2, Some(4)));
            }
            for kid in app.indexes(KeyType::Dpk) {
                let tap = Tap {
                    kid: *kid,
                    ..Tap::new(Fen(1))
                };
                say(&mut card, &tap.request().purchase().unwrap());
            }
            say(&mut card, &purse::prove(TxType::Load, 1));
            say(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
            say(&mut card, &Tap::new(Fen(1)).request().load().unwrap());
        }
        App::Medical => {
            for which in [medical::Balance::Personal, medical::Balance::Pooled] {
                say(&mut card, &medical::get_balance(which));
            }
            if with_pin {
                say(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
                say(&mut card, &medical::init_load(1, Fen(1), sam_no()).unwrap());
                let split = medical::Split::default();
                say(
                    &mut card,
                    &medical::init_purchase(1, split, sam_no()).unwrap(),
                );
            }
        }
        App::Social | App::Health => {
            if app == App::Social && with_pin {
                say(&mut card, &[0x00, 0x20, 0x00, 0x00]);
            }
            prove_keys(app, &mut card);
        }
        App::Pki => {
            say(&mut card, &[0x00, 0x20, 0x00, 0x00]);
            say(&mut card, &apdu::read(0x00, 0xCA, 0x00, 0x93, Some(4)));
        }
        App::Empty | App::Directory | App::Sam => {}
    }
    for sfi in (1..0x1F).filter(|sfi| app.has_records(*sfi).is_some()) {
        say(&mut card, &apdu::read_binary(sfi, 0, 256));
        for number in 1..=12 {
            say(&mut card, &apdu::read_record(sfi, number, 256));
        }
    }
    seen
}

/// Everything in A is burnt: PIN blocked, rows full, transactions failed. Nothing in B moved.
#[test]
fn burning_every_counter_of_one_application_moves_nothing_in_another() {
    let family = |app| matches!(app, App::Social | App::Empty | App::Medical);
    let image = App::Purse.image();
    for app in apps::ON_A_CARD {
        let mut card = app.on(&image);
        for _ in 0..20 {
            for (_, owners, command) in commands() {
                if owners.contains(&app) {
                    let _ = send(&mut card, &apdu::get_challenge(8));
                    let _ = send(&mut card, &command);
                }
            }
            let _ = send(&mut card, &apdu::verify(0, &[0x99; 3]));
            if app == App::Isd {
                send(&mut card, &perso::initialize_update(0, [1; 8]));
                send(&mut card, &apdu::build(0x84, 0x82, 0x33, 0, &[0; 16], None));
            }
            for kid in 0..=0xFF {
                if kid % 16 < 15 {
                    let _ = send(&mut card, &apdu::get_challenge(8));
                    let _ = send(&mut card, &ssse::external_authenticate(kid, [0; 8], [0; 8]));
                }
            }
        }
        let burnt = card.image().to_vec();
        assert!(
            burnt != image || matches!(app, App::Empty | App::Directory),
            "{app:?}: nothing was burnt"
        );
        for other in apps::ON_A_CARD.iter().filter(|other| **other != app) {
            let with_pin = !(family(app) && family(*other));
            // The authentications of the SSSE's DFs are the SSSE's.
            if !with_pin && *other == App::Social {
                continue;
            }
            let (before, after) = (
                fingerprint(*other, &image, with_pin),
                fingerprint(*other, &burnt, with_pin),
            );
            assert!(before.iter().any(|(sw, _)| *sw == Sw::OK) || *other == App::Empty);
            assert!(
                before == after,
                "burning {app:?} moved something in {other:?}"
            );
        }
    }
}
