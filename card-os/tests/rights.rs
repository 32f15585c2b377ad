//! A right ends with the selection that it was won in: PIN, authentication, challenge, transaction,
//! secure channel, a key that a SAM made ready, the current file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu, health,
    keys::{KeyType, ssse_kid, ssse_process_key},
    medical, perso, pki, purse, sam,
    ssse::{self, fid},
};
use common::{
    Tap,
    apps::{self, App},
    ask, issuer, put, sam_no, send, time,
};
use virtual_card::{VirtualCard, host::Scp03, sample};

/// A right: how it is won with the application selected, and a command that needs it.
struct Right {
    name: &'static str,
    app: App,
    win: fn(&mut VirtualCard),
    /// Tells whether the card still grants it, and uses it up.
    holds: fn(&mut VirtualCard) -> Sw,
    /// The answer without it.
    lost: Sw,
}

fn pin(card: &mut VirtualCard) {
    put(card, &apdu::verify(0, &sample::PIN_BYTES));
}

fn authenticate(card: &mut VirtualCard, key_type: KeyType, kid: u8) {
    let challenge = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    let key = sample::card_key(sample::header(key_type, kid, SuiteId::Aes)).unwrap();
    let process = ssse_process_key(&key, SuiteId::Aes, &challenge);
    let cryptogram = process.cryptogram8(SuiteId::Aes, &[9; 8]);
    put(card, &ssse::external_authenticate(kid, cryptogram, [9; 8]));
}

fn challenge(card: &mut VirtualCard) {
    ask(card, &apdu::get_challenge(8));
}

fn deliver_lock(card: &mut VirtualCard) {
    let public = App::Purse.image();
    let fci = ask(
        &mut VirtualCard::from_image(public, common::SEED).unwrap(),
        &apdu::select(aid::T_UNION),
    );
    let public = purse::files::Public::from_fci(&fci).unwrap();
    put(
        card,
        &sam::deliver_lock_key(public.pan.serial8(), public.issuer, Some(SuiteId::Aes)),
    );
}

fn open_tap(capp: bool, card: &mut VirtualCard) {
    let mut tap = Tap::new(Fen(1));
    tap.capp = capp;
    tap.init(card).unwrap();
}

/// Status word of a command. A MAC or cryptogram in it is wrong: that it is judged at all is the
/// right.
fn sw(card: &mut VirtualCard, command: &[u8]) -> Sw {
    send(card, command).sw
}

const RIGHTS: [Right; 17] = [
    Right {
        name: "PIN of the purse",
        app: App::Purse,
        win: pin,
        holds: |card| sw(card, &Tap::new(Fen(1)).request().load().unwrap()),
        lost: Sw::SECURITY,
    },
    Right {
        name: "PIN of the citizen's side",
        app: App::Medical,
        win: pin,
        holds: |card| sw(card, &medical::init_load(1, Fen(1), sam_no()).unwrap()),
        lost: Sw::SECURITY,
    },
    Right {
        name: "authentication to read",
        app: App::Social,
        win: |card| authenticate(card, KeyType::Rk, ssse_kid::READ_V3),
        holds: |card| sw(card, &apdu::read_binary(8, 0, 8)),
        lost: Sw::SECURITY,
    },
    Right {
        name: "authentication to write",
        app: App::Social,
        win: |card| authenticate(card, KeyType::Uk, ssse_kid::WRITE_BASIC),
        holds: |card| sw(card, &apdu::build(0x00, 0xD6, 0x88, 0, &[0x47], None)),
        lost: Sw::SECURITY,
    },
    Right {
        name: "authentication to reset the PIN",
        app: App::Social,
        win: |card| authenticate(card, KeyType::Puk, ssse_kid::PIN_UNBLOCK),
        holds: |card| sw(card, &apdu::build(0x00, 0x2C, 0x03, 0x00, &[], None)),
        lost: Sw::SECURITY,
    },
    Right {
        name: "authentication to read health data",
        app: App::Health,
        win: |card| authenticate(card, KeyType::Rk, health::kid::READ),
        holds: |card| sw(card, &apdu::read_record(0x06, 1, 0)),
        lost: Sw::SECURITY,
    },
    Right {
        name: "challenge of the purse",
        app: App::Purse,
        win: challenge,
        holds: |card| sw(card, &apdu::build(0x84, 0x1E, 0, 0, &[0; 4], None)),
        lost: Sw::NO_CHALLENGE,
    },
    Right {
        name: "challenge of the citizen's side",
        app: App::Social,
        win: challenge,
        holds: |card| {
            sw(
                card,
                &ssse::external_authenticate(ssse_kid::READ_V3, [0; 8], [0; 8]),
            )
        },
        lost: Sw::NO_CHALLENGE,
    },
    Right {
        name: "purchase",
        app: App::Purse,
        win: |card| open_tap(false, card),
        holds: |card| sw(card, &purse::debit(1, time(), [0; 4])),
        lost: Sw::CONDITIONS,
    },
    Right {
        name: "compound purchase",
        app: App::Purse,
        win: |card| open_tap(true, card),
        holds: |card| {
            sw(
                card,
                &purse::update_capp_cache(purse::sfi::JOURNEY, 0, &[1; 48]),
            )
        },
        lost: Sw::CONDITIONS,
    },
    Right {
        name: "load",
        app: App::Purse,
        win: |card| {
            pin(card);
            put(card, &Tap::new(Fen(1)).request().load().unwrap());
        },
        holds: |card| sw(card, &purse::credit_for_load(time(), [0; 4])),
        lost: Sw::CONDITIONS,
    },
    Right {
        name: "medical load",
        app: App::Medical,
        win: |card| {
            pin(card);
            put(card, &medical::init_load(1, Fen(1), sam_no()).unwrap());
        },
        holds: |card| sw(card, &medical::credit_for_load(time(), [0; 4])),
        lost: Sw::CONDITIONS,
    },
    Right {
        name: "current file",
        app: App::Social,
        win: |card| put(card, &apdu::select_ef(fid::EF05)),
        holds: |card| sw(card, &ssse::read_by_tag(ssse::tag::CARD_NO)),
        lost: Sw::NO_CURRENT_FILE,
    },
    Right {
        name: "signing PIN",
        app: App::Pki,
        win: |card| put(card, &apdu::verify(0, &sample::SIGN_PIN_BYTES)),
        holds: |card| {
            put(card, &pki::hash_last(b"a message"));
            sw(card, &pki::sign())
        },
        lost: Sw::SECURITY,
    },
    Right {
        name: "message to sign",
        app: App::Pki,
        win: |card| put(card, &pki::hash_last(b"a message")),
        holds: |card| {
            put(card, &apdu::verify(0, &sample::SIGN_PIN_BYTES));
            sw(card, &pki::sign())
        },
        lost: Sw::CONDITIONS,
    },
    Right {
        name: "key that a SAM made ready",
        app: App::Sam,
        win: deliver_lock,
        holds: |card| sw(card, &sam::lock_mac([7; 4])),
        lost: Sw::CONDITIONS,
    },
    Right {
        name: "challenge of a SAM",
        app: App::Sam,
        win: challenge,
        holds: |card| sw(card, &sam::raise_ceiling(9, [0; 4])),
        lost: Sw::NO_CHALLENGE,
    },
];

/// How a selection ends.
#[derive(Debug, Clone, Copy)]
enum Way {
    Select(App),
    MasterFile,
    Reset,
}

impl Way {
    fn go(self, card: &mut VirtualCard) {
        match self {
            Self::Select(app) => put(card, &apdu::select(app.name())),
            Self::MasterFile => put(card, &apdu::build(0, 0xA4, 0, 0, &[0x3F, 0x00], Some(256))),
            Self::Reset => card.power_cycle(),
        }
    }
}

/// Whether the citizen's PIN and authentications are shared: those of the SSSE and its DFs are.
fn is_family(app: App) -> bool {
    matches!(app, App::Social | App::Empty | App::Medical)
}

#[test]
fn no_right_survives_another_selection_or_a_reset() {
    let mut tried = 0;
    for Right {
        name,
        app,
        win,
        holds,
        lost,
    } in RIGHTS
    {
        let image = app.image();
        let mut card = app.on(&image);
        assert_eq!(holds(&mut card), lost, "{name}: before it is won");
        win(&mut card);
        assert_ne!(holds(&mut card), lost, "{name}: once it is won");
        let others = match app {
            App::Sam => &[App::Isd][..],
            _ => &apps::ON_A_CARD,
        };
        let others = others
            .iter()
            .filter(|other| !(is_family(app) && is_family(**other)));
        let selections = others
            .filter(|other| **other != app)
            .map(|other| Way::Select(*other));
        for way in selections.chain([Way::MasterFile, Way::Reset]) {
            let mut card = app.on(&image);
            win(&mut card);
            way.go(&mut card);
            put(&mut card, &apdu::select(app.name()));
            assert_eq!(holds(&mut card), lost, "{name}: after {way:?}");
            tried += 1;
        }
    }
    println!("{tried} ways to keep a right, none of which works");
}

/// What a purse session held is gone when the purse itself is selected again; the citizen's side
/// keeps PIN and proofs among its DFs, but no challenge, no transaction and no current file.
#[test]
fn selecting_the_same_application_again() {
    let kept = [
        "PIN of the citizen's side",
        "authentication to read",
        "authentication to write",
        "authentication to reset the PIN",
    ];
    for Right {
        name,
        app,
        win,
        holds,
        lost,
    } in RIGHTS
    {
        let ways: &[App] = if is_family(app) {
            &[App::Social, App::Empty, App::Medical]
        } else {
            &[app]
        };
        for way in ways {
            let mut card = app.on(&app.image());
            win(&mut card);
            put(&mut card, &apdu::select(way.name()));
            put(&mut card, &apdu::select(app.name()));
            let still = holds(&mut card) != lost;
            assert_eq!(still, kept.contains(&name), "{name}: through {way:?}");
        }
    }
}

/// The issuer's secure channel ends with its selection: a command that was wrapped before it is
/// refused afterwards, even where it would be the next in order.
#[test]
fn a_secure_channel_ends_with_its_selection() {
    let status = apdu::build(0x80, 0xF2, 0x80, 0x02, &[0x4F, 0x00], None);
    let ways = apps::ON_A_CARD.map(Way::Select);
    for way in ways.into_iter().chain([Way::MasterFile, Way::Reset]) {
        let mut card = common::card(SuiteId::Aes);
        let mut host = issuer(&mut card);
        host.send(&mut card, "GET STATUS", &status).unwrap();
        let next = host.wrap(&status).unwrap();
        way.go(&mut card);
        if !matches!(way, Way::Select(App::Isd)) {
            put(&mut card, &apdu::select(aid::ISD));
        }
        assert_eq!(sw(&mut card, &next), Sw::SECURITY, "{way:?}");
        // A half-open one too: EXTERNAL AUTHENTICATE without its INITIALIZE UPDATE.
        put(
            &mut card,
            &perso::initialize_update(perso::KVN_ISSUER, [3; 8]),
        );
        way.go(&mut card);
        if !matches!(way, Way::Select(App::Isd)) {
            put(&mut card, &apdu::select(aid::ISD));
        }
        let late = apdu::build(0x84, 0x82, 0x33, 0x00, &[0; 16], None);
        assert_eq!(sw(&mut card, &late), Sw::CONDITIONS, "{way:?}");
        let keys = sample::issuer_keys();
        Scp03::open(&mut card, &keys, perso::KVN_ISSUER, 0x33, [3; 8]).unwrap();
    }
}
