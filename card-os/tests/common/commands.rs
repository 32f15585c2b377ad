//! Every command that touches files, keys or counters, and whose it is.

use super::{
    Tap,
    apps::App::{self, Empty, Health, Isd, Medical, Pki, Purse, Sam, Social},
    sam_no, time,
};
use card_spec::{
    Apdu, Fen, aid, apdu,
    medical::{self, Balance, Split},
    perso, pki,
    purse::{self, TxType, sfi},
    sam,
    ssse::{self, fid},
};

/// Every command that touches files, keys or counters of a user card, and whose it is. VERIFY and
/// the PIN commands belong to both sides; their isolation is tested apart.
pub fn commands() -> Vec<(&'static str, &'static [App], Apdu)> {
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
        ("SELECT EF05", &[Social, Health], apdu::select_ef(fid::EF05)),
        ("SELECT EF08", &[Social, Health], apdu::select_ef(fid::EF08)),
        ("READ EF05", &[Social, Health], apdu::read_record(5, 7, 11)),
        ("READ EF06", &[Social, Health], apdu::read_record(6, 1, 20)),
        (
            "READ EF06 by tag",
            &[Social, Health],
            apdu::build(0, 0xB2, 8, 6 << 3, &[], Some(20)),
        ),
        ("READ EF07", &[Social], apdu::read_binary(7, 0, 40)),
        ("READ EF08", &[Social, Health], apdu::read_binary(8, 0, 40)),
        (
            "UPDATE EF05",
            &[Social, Health],
            ssse::update_by_tag(5, ssse::tag::EXPIRES.0, &[0x20, 0x40, 0x12, 0x31]).unwrap(),
        ),
        (
            "UPDATE EF08",
            &[Social, Health],
            apdu::build(0, 0xD6, 0x88, 0, &[1], None),
        ),
        (
            "EXTERNAL AUTHENTICATE",
            &[Social, Empty, Medical, Health],
            ssse::external_authenticate(0x0A, [0; 8], [0; 8]),
        ),
        (
            "INTERNAL AUTHENTICATE",
            &[Social, Empty, Medical, Health],
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
        (
            "READ log",
            &[Purse, Pki],
            apdu::read_record(sfi::LOG, 1, 23),
        ),
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
            "medical PROVE",
            &[Medical],
            medical::prove(medical::VISIT, 1),
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
        ("GENERATE KEY PAIR", &[Pki], pki::generate_key_pair()),
        ("HASH", &[Pki], pki::hash_last(b"a message")),
        ("SIGN", &[Pki], pki::sign()),
        // The issuer domain has GET DATA too, of other objects; the purse a file of this number.
        (
            "signatures made",
            &[Pki, Isd],
            apdu::read(0x00, 0xCA, 0x00, 0x93, Some(4)),
        ),
        (
            "READ certificate",
            &[Pki, Purse],
            apdu::read_binary(0x18, 0, 40),
        ),
        (
            "UPDATE certificate",
            &[Pki, Purse],
            mac(0x04, 0xD6, 0x98, 0, &[0x30, 0x82, 1, 0]),
        ),
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
        ("SAM WRITE KEY", &[Sam], mac(0x84, 0xD4, 0, 0, &[0; 32])),
        (
            "READ directory",
            &[App::Directory],
            apdu::read_record(1, 1, 27),
        ),
    ]
}
