//! Invariant 5: no application can read or change another's files, keys or counters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Apdu, Fen, SuiteId, Sw, aid, apdu,
    medical::{self, Balance, Split},
    perso,
    purse::{self, TxType, sfi},
    sam,
    ssse::{self, fid},
};
use common::{Tap, ask, card, put, sam_no, select_purse, send, time};
use virtual_card::{VirtualCard, sample};

/// What is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum App {
    Isd,
    Purse,
    /// The social-security root with its files.
    Social,
    /// DF01, one of the empty ones.
    Empty,
    /// DF04.
    Medical,
    Sam,
}
use App::{Empty, Isd, Medical, Purse, Sam, Social};

impl App {
    const fn name(self) -> &'static [u8] {
        match self {
            Isd => aid::ISD,
            Purse => aid::T_UNION,
            Social => aid::SSSE,
            Empty => aid::SSSE_PUBLIC,
            Medical => aid::SSSE_MEDICAL,
            Sam => aid::T_UNION_SAM,
        }
    }
}

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

/// Every command that touches files, keys or counters of a user card, and whose it is. VERIFY and
/// the PIN commands belong to both sides; their isolation is tested apart.
fn commands() -> Vec<(&'static str, &'static [App], Apdu)> {
    let request = Tap::new(Fen(1)).request();
    let split = Split {
        personal: Fen(1),
        self_paid: Fen(0),
        pooled: Fen(0),
    };
    let mac = |cla, ins, p1, p2, data: &[u8]| {
        apdu::build(cla, ins, p1, p2, &[data, &[0; 4]].concat(), None)
    };
    vec![
        ("SELECT EF05", &[Social], apdu::select_ef(fid::EF05)),
        ("SELECT EF08", &[Social], apdu::select_ef(fid::EF08)),
        ("READ EF05", &[Social], apdu::read_record(5, 7, 11)),
        ("READ EF06", &[Social], apdu::read_record(6, 1, 20)),
        (
            "READ EF06 by tag",
            &[Social],
            apdu::build(0, 0xB2, 8, 6 << 3, &[], Some(20)),
        ),
        ("READ EF07", &[Social], apdu::read_binary(7, 0, 40)),
        ("READ EF08", &[Social], apdu::read_binary(8, 0, 40)),
        (
            "UPDATE EF05",
            &[Social],
            ssse::update_by_tag(5, ssse::tag::EXPIRES.0, &[0x20, 0x40, 0x12, 0x31]).unwrap(),
        ),
        (
            "UPDATE EF08",
            &[Social],
            apdu::build(0, 0xD6, 0x88, 0, &[1], None),
        ),
        (
            "EXTERNAL AUTHENTICATE",
            &[Social, Empty, Medical],
            ssse::external_authenticate(0x0A, [0; 8], [0; 8]),
        ),
        (
            "INTERNAL AUTHENTICATE",
            &[Social, Empty, Medical],
            ssse::internal_authenticate(1, [0; 8]),
        ),
        (
            "READ file 15",
            &[Purse],
            apdu::read_binary(sfi::PUBLIC, 0, 30),
        ),
        (
            "READ file 16",
            &[Purse],
            apdu::read_binary(sfi::HOLDER, 0, 30),
        ),
        (
            "READ file 17",
            &[Purse],
            apdu::read_binary(sfi::REGION, 0, 30),
        ),
        ("READ log", &[Purse], apdu::read_record(sfi::LOG, 1, 23)),
        (
            "READ metro",
            &[Purse],
            apdu::read_record(sfi::METRO, 1, 128),
        ),
        (
            "READ journey",
            &[Purse],
            apdu::read_record(sfi::JOURNEY, 1, 48),
        ),
        ("GET BALANCE", &[Purse], purse::get_balance()),
        ("INIT LOAD", &[Purse], request.load().unwrap()),
        ("INIT PURCHASE", &[Purse], request.purchase().unwrap()),
        ("INIT CAPP", &[Purse], request.capp_purchase().unwrap()),
        ("CREDIT", &[Purse], purse::credit_for_load(time(), [0; 4])),
        ("DEBIT", &[Purse], purse::debit(1, time(), [0; 4])),
        ("PROVE", &[Purse], purse::prove(TxType::Load, 1)),
        ("field lock", &[Purse], mac(0x84, 0x1E, 0, 0, &[])),
        ("UNBLOCK", &[Purse], mac(0x84, 0x18, 0, 0, &[])),
        ("CARD BLOCK", &[Purse], mac(0x84, 0x16, 0, 0, &[])),
        ("UPDATE file 17", &[Purse], mac(0x04, 0xD6, 0x97, 10, &[2])),
        (
            "UPDATE metro",
            &[Purse],
            mac(0x04, 0xDC, 1, 0xD4, &[2; 128]),
        ),
        (
            "medical balance",
            &[Medical],
            medical::get_balance(Balance::Personal),
        ),
        (
            "medical INIT LOAD",
            &[Medical],
            medical::init_load(1, Fen(1), sam_no()).unwrap(),
        ),
        (
            "medical INIT PURCHASE",
            &[Medical],
            medical::init_purchase(1, split, sam_no()).unwrap(),
        ),
        (
            "medical CREDIT",
            &[Medical],
            medical::credit_for_load(time(), [0; 4]),
        ),
        (
            "medical DEBIT",
            &[Medical],
            medical::debit(1, time(), [0; 4]),
        ),
        (
            "INITIALIZE UPDATE",
            &[Isd],
            perso::initialize_update(0, [1; 8]),
        ),
        (
            "GET DATA",
            &[Isd],
            apdu::read(0x80, 0xCA, 0x00, 0x66, Some(256)),
        ),
        (
            "PUT KEY",
            &[Isd],
            apdu::build(0x80, 0xD8, 0, 0x81, &[0x30], None),
        ),
        (
            "SET STATUS",
            &[Isd],
            perso::set_card_status(perso::CardState::Terminated),
        ),
        (
            "INSTALL",
            &[Isd],
            perso::install_for_personalization(aid::T_UNION),
        ),
        ("STORE DATA", &[Isd], perso::store_data(true, 0, &[0; 8])),
        ("SAM CREDIT", &[Sam], sam::credit([0; 4])),
        (
            "SAM visit",
            &[Sam],
            apdu::build(0x80, 0x70, 1, 0, &[0; 44], None),
        ),
        ("SAM lock MAC", &[Sam], sam::lock_mac([0; 4])),
        ("SAM ENCRYPT", &[Sam], sam::encrypt([0; 8])),
        (
            "SAM DELIVER KEY",
            &[Sam],
            sam::ssse_deliver(1, [0; 8], *b"350100sx", [0; 8], None),
        ),
        ("SAM ceiling", &[Sam], sam::raise_ceiling(9, [0; 4])),
    ]
}

/// Tries every command with every application selected: only its owner knows it, and elsewhere not
/// one byte of the image changes.
fn cross(start: &VirtualCard, apps: &[App]) {
    let image = start.image().to_vec();
    let (mut owned, mut strange) = (0, 0);
    for app in apps {
        for (what, owners, command) in commands() {
            let mut card = VirtualCard::from_image(image.clone(), common::SEED).unwrap();
            put(&mut card, &apdu::select(app.name()));
            // A fresh challenge: its absence must not be what refuses.
            ask(&mut card, &apdu::get_challenge(8));
            let reply = send(&mut card, &command);
            let context = format!("{what} with {app:?} selected: {}", reply.sw);
            if owners.contains(app) {
                owned += 1;
                assert!(!NOT_MINE.contains(&reply.sw), "{context}");
                continue;
            }
            strange += 1;
            // Everything under the secure-messaging class is the secure channel's in the issuer
            // domain, and none is open.
            let closed = *app == Isd && matches!(reply.sw, Sw::SECURITY);
            assert!(closed || NOT_MINE.contains(&reply.sw), "{context}");
            assert!(reply.data.is_empty(), "{context}");
            assert!(card.image() == image, "{context}: the image changed");
        }
    }
    println!("{owned} commands at home, {strange} strangers refused");
}

#[test]
fn on_a_card_every_command_has_one_home() {
    let card = card(SuiteId::Aes);
    cross(&card, &[Isd, Purse, Social, Empty, Medical]);
    let mut card = card;
    assert_eq!(
        send(&mut card, &apdu::select(aid::T_UNION_SAM)).sw,
        Sw::NOT_FOUND
    );
    assert_eq!(
        send(&mut card, &apdu::select(aid::SSSE_SAM)).sw,
        Sw::NOT_FOUND
    );
}

/// A SAM has no purse and no social-security side, and its files are not the issuer domain's. Its
/// own files 15 to 17 are left out: there they are the SAM's.
#[test]
fn a_sam_is_no_card() {
    let mut sam = common::sam_for(card_spec::keys::class::TRANSIT);
    for name in [aid::T_UNION, aid::SSSE, aid::SSSE_MEDICAL, aid::SSSE_PUBLIC] {
        assert_eq!(send(&mut sam, &apdu::select(name)).sw, Sw::NOT_FOUND);
    }
    cross(&sam, &[Isd]);
    let image = sam.image().to_vec();
    put(&mut sam, &apdu::select(aid::T_UNION_SAM));
    for (what, owners, command) in commands() {
        let owned_file = command.starts_with(&[0x00, 0xB0]);
        if owners.contains(&Sam) || owned_file {
            continue;
        }
        ask(&mut sam, &apdu::get_challenge(8));
        let reply = send(&mut sam, &command);
        assert!(NOT_MINE.contains(&reply.sw), "{what}: {}", reply.sw);
        assert!(sam.image() == image, "{what}: the image changed");
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

/// An INIT left behind by a selection is gone when one comes back.
#[test]
fn a_transaction_does_not_survive_a_selection() {
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    Tap::new(Fen(1)).init(&mut card).unwrap();
    put(&mut card, &apdu::select(aid::SSSE));
    select_purse(&mut card);
    let debit = purse::debit(1, time(), [0; 4]);
    assert_eq!(send(&mut card, &debit).sw, Sw::CONDITIONS);
}
