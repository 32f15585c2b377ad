//! What wrong MACs, cryptograms and PINs lock, what they leave alone, and who opens it again: the
//! rules of `card-os/src/counter.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Apdu, Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class, ssse_kid, ssse_process_key},
    medical::{self, Split},
    perso,
    purse::{self, sfi},
    sam, sm,
    ssse::{self, Profile, fid, tag},
    suite::Key,
};
use common::{SEED, Tap, ask, card, put, sam_for, sam_no, select_purse, send, time};
use virtual_card::{
    Interface, VirtualCard, host,
    sample::{self, Sample},
};

const FIELD_LOCK: [u8; 4] = [0x84, 0x1E, 0, 0];
const BLOCK_FOR_GOOD: [u8; 4] = [0x84, 0x1E, 0, 1];
const UNBLOCK: [u8; 4] = [0x84, 0x18, 0, 0];
const CARD_BLOCK: [u8; 4] = [0x84, 0x16, 0, 0];
const WRONG: [u8; 4] = [0; 4];

fn key(key_type: KeyType, index: u8) -> Key {
    sample::card_key(sample::header(key_type, index, SuiteId::Aes)).unwrap()
}

/// A secure-messaging command whose MAC somebody made up.
fn forged([cla, ins, p1, p2]: [u8; 4], data: &[u8]) -> Apdu {
    apdu::build(cla, ins, p1, p2, &[data, &WRONG].concat(), None)
}

/// A secure-messaging command by the holder of a key.
fn signed(card: &mut VirtualCard, key_type: KeyType, header: [u8; 4], data: &[u8]) -> Apdu {
    common::maintenance(card, SuiteId::Aes, &key(key_type, 1), header, data)
}

fn guess(card: &mut VirtualCard, command: &[u8]) -> Sw {
    ask(card, &apdu::get_challenge(8));
    send(card, command).sw
}

/// One wrong EXTERNAL AUTHENTICATE to the social-security side.
fn guess_authentication(card: &mut VirtualCard) -> Sw {
    let wrong = ssse::external_authenticate(ssse_kid::READ_V3, [0; 8], [0; 8]);
    guess(card, &wrong)
}

fn authenticate(card: &mut VirtualCard) -> Sw {
    let challenge: [u8; 8] = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    let suite = SuiteId::Aes;
    let process = ssse_process_key(&key(KeyType::Rk, ssse_kid::READ_V3), suite, &challenge);
    let cryptogram = process.cryptogram8(suite, &[9; 8]);
    let command = ssse::external_authenticate(ssse_kid::READ_V3, cryptogram, [9; 8]);
    send(card, &command).sw
}

fn load(card: &mut VirtualCard) -> Result<[u8; 4], host::HostError> {
    let request = Tap::new(Fen(100)).request();
    let dlk = key(KeyType::Dlk, class::ONLY);
    host::load_purse(card, &sample::PIN_BYTES, &dlk, request, time())
}

fn guess_load(card: &mut VirtualCard) -> Sw {
    let init = send(card, &Tap::new(Fen(100)).request().load().unwrap());
    if !init.sw.is_ok() {
        return init.sw;
    }
    send(card, &purse::credit_for_load(time(), WRONG)).sw
}

fn guess_purchase(card: &mut VirtualCard) -> Sw {
    match Tap::new(Fen(100)).init(card) {
        Ok(_) => send(card, &purse::debit(1, time(), WRONG)).sw,
        Err(sw) => sw,
    }
}

/// A phone against a pocket: contactless, without keys or PIN, with time for `rounds` of
/// everything it may think of.
fn phone_in_the_pocket(card: &mut VirtualCard, rounds: usize) {
    card.set_interface(Interface::Contactless);
    for _ in 0..rounds {
        card.power_cycle();
        select_purse(card);
        for header in [FIELD_LOCK, BLOCK_FOR_GOOD, UNBLOCK, CARD_BLOCK] {
            guess(card, &forged(header, &[]));
        }
        guess(card, &forged([0x04, 0xD6, 0x97, 10], &[2]));
        guess(card, &forged([0x04, 0xDC, 1, 0xD4], &[2; 128]));
        guess(card, &forged([0x84, 0x24, 0, 1], &[7; 16]));
        guess(card, &forged([0x80, 0x5E, 0, 0], &[7; 3]));
        send(card, &apdu::verify(0, &[0x77; 3]));
        send(card, &hex_literal::hex!("805E0100 07 777777FF654321"));
        guess_load(card);
        guess_purchase(card);
        for name in [aid::SSSE, aid::SSSE_MEDICAL] {
            put(card, &apdu::select(name));
            guess_authentication(card);
            send(card, &apdu::verify(0, &[0x77; 3]));
            send(card, &hex_literal::hex!("805E0100 07 777777FF654321"));
            guess(card, &forged([0x84, 0x24, 0, 1], &[7; 16]));
            let split = Split {
                personal: Fen(1),
                self_paid: Fen(0),
                pooled: Fen(0),
            };
            send(
                card,
                &medical::init_purchase(class::ONLY, split, sam_no()).unwrap(),
            );
            send(card, &medical::debit(1, time(), WRONG));
        }
        put(card, &apdu::select(aid::ISD));
        send(card, &perso::initialize_update(0, [1; 8]));
        send(card, &apdu::build(0x84, 0x82, 0x33, 0, &[0; 16], None));
    }
    card.power_cycle();
}

/// Found in review: SELECT, then three wrong field locks over the air blocked the purse, and
/// APPLICATION UNBLOCK with the right key answered 6983.
#[test]
fn a_phone_in_the_pocket_cannot_disable_the_purse() {
    let mut card = card(SuiteId::Aes);
    phone_in_the_pocket(&mut card, 100);
    // Still over the air: the gate opens, the field lock works.
    let mut sam = sam_for(class::TRANSIT);
    assert_eq!(send(&mut card, &apdu::select(aid::T_UNION)).sw, Sw::OK);
    Tap::new(Fen(100)).pay(&mut card, &mut sam);
    let lock = signed(&mut card, KeyType::Dack, FIELD_LOCK, &[]);
    put(&mut card, &lock);
    assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::LOCKED));
    // Through the contacts everything else is heard at once.
    card.set_interface(Interface::Contact);
    card.power_cycle();
    send(&mut card, &apdu::select(aid::T_UNION));
    let unblock = signed(&mut card, KeyType::Damk, UNBLOCK, &[]);
    put(&mut card, &unblock);
    load(&mut card).expect("PIN and loading are as they were");
    let rewrite = signed(&mut card, KeyType::Damk, [0x04, 0xD6, 0x97, 10], &[2]);
    put(&mut card, &rewrite);
    let pin = common::pin_unblock(
        &mut card,
        SuiteId::Aes,
        &key(KeyType::Dpuk, 1),
        &sample::PIN_BYTES,
    );
    put(&mut card, &pin);
    common::issuer(&mut card);
}

/// Found in review: fifteen wrong EXTERNAL AUTHENTICATEs over the air lost the data of a V3 card
/// for good.
#[test]
fn a_phone_in_the_pocket_cannot_disable_the_social_security_side() {
    let mut card = Sample::new(SuiteId::Aes, Profile::V3).card(SEED).unwrap();
    phone_in_the_pocket(&mut card, 100);
    put(&mut card, &apdu::select(aid::SSSE));
    assert_eq!(authenticate(&mut card), Sw::AUTH_BLOCKED, "over the air");
    card.set_interface(Interface::Contact);
    card.power_cycle();
    put(&mut card, &apdu::select(aid::SSSE));
    assert_eq!(authenticate(&mut card), Sw::OK, "through the contacts");
    put(&mut card, &apdu::select_ef(fid::EF05));
    ask(&mut card, &ssse::read_by_tag(tag::CARD_NO));
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let puk = key(KeyType::Puk, ssse_kid::PIN_UNBLOCK);
    let unblock = common::pin_unblock(&mut card, SuiteId::Aes, &puk, &sample::PIN_BYTES);
    put(&mut card, &unblock);
    // The right one started the row again for the air too.
    card.set_interface(Interface::Contactless);
    card.power_cycle();
    put(&mut card, &apdu::select(aid::SSSE));
    assert_eq!(authenticate(&mut card), Sw::OK);
}

/// The row over the air is short, the one through the contacts is not, and each ends.
#[test]
fn authentication_stops_early_over_the_air() {
    let mut card = Sample::new(SuiteId::Aes, Profile::V3).card(SEED).unwrap();
    put(&mut card, &apdu::select(aid::SSSE));
    card.set_interface(Interface::Contactless);
    for _ in 0..5 {
        assert_eq!(guess_authentication(&mut card), Sw::SECURITY);
    }
    assert_eq!(guess_authentication(&mut card), Sw::AUTH_BLOCKED);
    card.set_interface(Interface::Contact);
    for _ in 5..15 {
        assert_eq!(guess_authentication(&mut card), Sw::SECURITY);
    }
    assert_eq!(authenticate(&mut card), Sw::AUTH_BLOCKED);
    // The issuer's way back.
    let header = sample::header(KeyType::Rk, ssse_kid::READ_V3, SuiteId::Aes);
    common::store_key(&mut card, aid::SSSE, header);
    put(&mut card, &apdu::select(aid::SSSE));
    assert_eq!(authenticate(&mut card), Sw::OK);
    // A right one starts the row again, as often as one likes.
    for _ in 0..100 {
        for _ in 0..14 {
            assert_eq!(guess_authentication(&mut card), Sw::SECURITY);
        }
        assert_eq!(authenticate(&mut card), Sw::OK);
    }
}

#[test]
fn the_issuer_is_heard_through_the_contacts_after_a_phone_guessed_over_the_air() {
    let mut card = card(SuiteId::Aes);
    card.set_interface(Interface::Contactless);
    put(&mut card, &apdu::select(aid::ISD));
    for _ in 0..5 {
        ask(&mut card, &perso::initialize_update(0, [1; 8]));
        let wrong = apdu::build(0x84, 0x82, 0x33, 0, &[0; 16], None);
        assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
    }
    let reply = send(&mut card, &perso::initialize_update(0, [1; 8]));
    assert_eq!(reply.sw, Sw::AUTH_BLOCKED);
    card.set_interface(Interface::Contact);
    common::issuer(&mut card);
    card.set_interface(Interface::Contactless);
    common::issuer(&mut card);
}

/// Of the maintenance commands only the field lock is for the air, even with the right key.
#[test]
fn maintenance_wants_the_contacts() {
    let mut card = card(SuiteId::Aes);
    card.set_interface(Interface::Contactless);
    select_purse(&mut card);
    for (header, data) in [
        (BLOCK_FOR_GOOD, &[][..]),
        (UNBLOCK, &[]),
        (CARD_BLOCK, &[]),
        ([0x04, 0xD6, 0x97, 10], &[2]),
        ([0x04, 0xDC, 1, 0xD4], &[2; 128]),
        ([0x80, 0x5E, 0, 0], &sample::PIN_BYTES),
    ] {
        let command = signed(&mut card, KeyType::Damk, header, data);
        assert_eq!(
            send(&mut card, &command).sw,
            Sw::CONDITIONS,
            "{header:02X?}"
        );
    }
    let dpuk = key(KeyType::Dpuk, 1);
    let unblock = common::pin_unblock(&mut card, SuiteId::Aes, &dpuk, &sample::PIN_BYTES);
    assert_eq!(send(&mut card, &unblock).sw, Sw::CONDITIONS);
    // The social-security side too, even for an authenticated terminal.
    put(&mut card, &apdu::select(aid::SSSE));
    assert_eq!(authenticate(&mut card), Sw::OK);
    let puk = key(KeyType::Puk, ssse_kid::PIN_UNBLOCK);
    let unblock = common::pin_unblock(&mut card, SuiteId::Aes, &puk, &sample::PIN_BYTES);
    assert_eq!(send(&mut card, &unblock).sw, Sw::CONDITIONS);
}

/// The last try of a PIN is kept for the contacts, on both sides of the card.
#[test]
fn a_pin_is_never_blocked_over_the_air() {
    let mut card = card(SuiteId::Aes);
    for name in [aid::T_UNION, aid::SSSE] {
        card.set_interface(Interface::Contactless);
        put(&mut card, &apdu::select(name));
        if name == aid::SSSE {
            assert_eq!(authenticate(&mut card), Sw::OK);
        }
        let wrong = apdu::verify(0, &[0x77; 3]);
        for left in [2, 1] {
            assert_eq!(send(&mut card, &wrong).sw, Sw::tries_left(left));
        }
        let right = apdu::verify(0, &sample::PIN_BYTES);
        assert_eq!(send(&mut card, &wrong).sw, Sw::CONDITIONS);
        assert_eq!(send(&mut card, &right).sw, Sw::CONDITIONS);
        card.set_interface(Interface::Contact);
        put(&mut card, &right);
        card.set_interface(Interface::Contactless);
        put(&mut card, &right);
        // Through the contacts the tries do end.
        card.set_interface(Interface::Contact);
        for left in [2, 1] {
            assert_eq!(send(&mut card, &wrong).sw, Sw::tries_left(left));
        }
        assert_eq!(send(&mut card, &wrong).sw, Sw::AUTH_BLOCKED);
        assert_eq!(send(&mut card, &right).sw, Sw::AUTH_BLOCKED);
    }
}

#[test]
fn wrong_load_macs_lock_loading_but_not_paying_and_damk_opens_it() {
    let mut card = card(SuiteId::Aes);
    let mut sam = sam_for(class::TRANSIT);
    select_purse(&mut card);
    for _ in 0..3 {
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        assert_eq!(guess_load(&mut card), Sw::MAC_WRONG);
        card.power_cycle();
        select_purse(&mut card);
    }
    assert!(load(&mut card).is_err());
    assert_eq!(guess_load(&mut card), Sw::AUTH_BLOCKED);
    Tap::new(Fen(100)).pay(&mut card, &mut sam);
    let unblock = signed(&mut card, KeyType::Damk, UNBLOCK, &[]);
    put(&mut card, &unblock);
    load(&mut card).unwrap();
}

/// The budget of a key's life outlives every unlocking but a newly stored key.
#[test]
fn a_load_key_has_a_lifetime_budget() {
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    for n in 0..200 {
        if n % 2 == 0 {
            load(&mut card).unwrap();
        }
        assert_eq!(guess_load(&mut card), Sw::MAC_WRONG, "guess {n}");
    }
    assert_eq!(guess_load(&mut card), Sw::PERMANENTLY_LOCKED);
    let unblock = signed(&mut card, KeyType::Damk, UNBLOCK, &[]);
    put(&mut card, &unblock);
    assert_eq!(guess_load(&mut card), Sw::PERMANENTLY_LOCKED);
    let header = sample::header(KeyType::Dlk, class::ONLY, SuiteId::Aes);
    common::store_key(&mut card, aid::T_UNION, header);
    select_purse(&mut card);
    load(&mut card).unwrap();
}

/// Purchase and field lock take a MAC from anybody over the air: however many wrong ones came, the card
/// pays and obeys its field lock, and its memory was not written.
#[test]
fn no_number_of_wrong_purchase_or_lock_macs_stops_the_card() {
    let mut card = card(SuiteId::Aes);
    let mut sam = sam_for(class::TRANSIT);
    card.set_interface(Interface::Contactless);
    select_purse(&mut card);
    let written = card.nvm_mut().operations();
    for _ in 0..1_100 {
        assert_eq!(guess_purchase(&mut card), Sw::MAC_WRONG);
        // The transaction is spent: the right MAC would come too late.
        let late = purse::debit(1, time(), WRONG);
        assert_eq!(send(&mut card, &late).sw, Sw::CONDITIONS);
        assert_eq!(guess(&mut card, &forged(FIELD_LOCK, &[])), Sw::SM_WRONG);
    }
    assert_eq!(card.nvm_mut().operations(), written);
    Tap::new(Fen(1)).pay(&mut card, &mut sam);
    let lock = signed(&mut card, KeyType::Dack, FIELD_LOCK, &[]);
    put(&mut card, &lock);
    assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::LOCKED));
}

/// A thief who burns the maintenance MAC must not end with a card that the field lock cannot stop,
/// and a vandal who burns it stops neither the purse nor the way back.
#[test]
fn burning_the_maintenance_mac_stops_maintenance_alone() {
    let mut card = card(SuiteId::Aes);
    let mut sam = sam_for(class::TRANSIT);
    select_purse(&mut card);
    for wrong in [
        forged(CARD_BLOCK, &[]),
        forged(BLOCK_FOR_GOOD, &[]),
        forged([0x04, 0xD6, 0x97, 10], &[2]),
    ] {
        assert_eq!(guess(&mut card, &wrong), Sw::SM_WRONG);
    }
    let rewrite = |card: &mut VirtualCard| {
        let command = signed(card, KeyType::Damk, [0x04, 0xD6, 0x97, 10], &[2]);
        send(card, &command).sw
    };
    assert_eq!(rewrite(&mut card), Sw::AUTH_BLOCKED);
    Tap::new(Fen(100)).pay(&mut card, &mut sam);
    let lock = signed(&mut card, KeyType::Dack, FIELD_LOCK, &[]);
    put(&mut card, &lock);
    assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::LOCKED));
    let unblock = signed(&mut card, KeyType::Damk, UNBLOCK, &[]);
    put(&mut card, &unblock);
    assert_eq!(rewrite(&mut card), Sw::OK);
    Tap::new(Fen(100)).pay(&mut card, &mut sam);
}

/// UNBLOCK has a row of its own; when that is full, a stored DAMK is the way back.
#[test]
fn burning_unblock_leaves_maintenance_and_a_stored_damk_opens_it() {
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    for _ in 0..3 {
        assert_eq!(guess(&mut card, &forged(UNBLOCK, &[])), Sw::SM_WRONG);
    }
    let rewrite = signed(&mut card, KeyType::Damk, [0x04, 0xD6, 0x97, 10], &[2]);
    put(&mut card, &rewrite);
    let lock = signed(&mut card, KeyType::Dack, FIELD_LOCK, &[]);
    put(&mut card, &lock);
    let unblock = signed(&mut card, KeyType::Damk, UNBLOCK, &[]);
    assert_eq!(send(&mut card, &unblock).sw, Sw::AUTH_BLOCKED);
    let header = sample::header(KeyType::Damk, class::ONLY, SuiteId::Aes);
    common::store_key(&mut card, aid::T_UNION, header);
    send(&mut card, &apdu::select(aid::T_UNION));
    let unblock = signed(&mut card, KeyType::Damk, UNBLOCK, &[]);
    put(&mut card, &unblock);
    Tap::new(Fen(100)).init(&mut card).unwrap();
}

/// PIN UNBLOCK of either side: three wrong MACs, then the issuer stores its key again.
#[test]
fn a_burnt_pin_unblock_comes_back_with_its_key() {
    for (name, key_type, index) in [
        (aid::T_UNION, KeyType::Dpuk, class::ONLY),
        (aid::SSSE, KeyType::Puk, ssse_kid::PIN_UNBLOCK),
    ] {
        let mut card = card(SuiteId::Aes);
        put(&mut card, &apdu::select(name));
        for _ in 0..3 {
            let wrong = forged([0x84, 0x24, 0, 1], &[7; 16]);
            assert_eq!(guess(&mut card, &wrong), Sw::SM_WRONG);
        }
        let unblock = |card: &mut VirtualCard| {
            let pin = &sample::PIN_BYTES;
            let command = common::pin_unblock(card, SuiteId::Aes, &key(key_type, index), pin);
            send(card, &command).sw
        };
        assert_eq!(unblock(&mut card), Sw::AUTH_BLOCKED);
        let header = sample::header(key_type, index, SuiteId::Aes);
        common::store_key(&mut card, name, header);
        put(&mut card, &apdu::select(name));
        assert_eq!(unblock(&mut card), Sw::OK);
    }
}

/// The medical purse has no UNBLOCK: storing MPK or MLK again is the way back, for that row alone.
#[test]
fn a_burnt_medical_row_comes_back_with_its_key() {
    let split = Split {
        personal: Fen(1),
        self_paid: Fen(0),
        pooled: Fen(0),
    };
    let visit = medical::init_purchase(class::ONLY, split, sam_no()).unwrap();
    let load = medical::init_load(class::ONLY, Fen(300), sam_no()).unwrap();
    let mut card = card(SuiteId::Aes);
    let open = |card: &mut VirtualCard| {
        put(card, &apdu::select(aid::SSSE_MEDICAL));
        put(card, &apdu::verify(0, &sample::PIN_BYTES));
    };
    open(&mut card);
    for _ in 0..3 {
        put(&mut card, &visit);
        let debit = medical::debit(1, time(), WRONG);
        assert_eq!(send(&mut card, &debit).sw, Sw::MAC_WRONG);
        put(&mut card, &load);
        let credit = medical::credit_for_load(time(), WRONG);
        assert_eq!(send(&mut card, &credit).sw, Sw::MAC_WRONG);
    }
    for (key_type, opened, locked) in [
        (KeyType::Mpk, Some(&visit), Some(&load)),
        (KeyType::Mlk, Some(&load), None),
    ] {
        let header = sample::header(key_type, class::ONLY, SuiteId::Aes);
        assert_eq!(send(&mut card, opened.unwrap()).sw, Sw::AUTH_BLOCKED);
        common::store_key(&mut card, aid::SSSE_MEDICAL, header);
        open(&mut card);
        put(&mut card, opened.unwrap());
        if let Some(locked) = locked {
            assert_eq!(send(&mut card, locked).sw, Sw::AUTH_BLOCKED);
        }
    }
}

/// The SAM's ceiling: three wrong MACs, then the issuer stores the ceiling key again.
#[test]
fn a_burnt_ceiling_row_comes_back_with_its_key() {
    let mut sam = sam_for(class::TRANSIT);
    let ceiling = Key::new(sample::master(KeyType::SamCeiling, class::ONLY));
    for _ in 0..3 {
        ask(&mut sam, &apdu::get_challenge(8));
        let wrong = sam::raise_ceiling(2_000_000, WRONG);
        assert_eq!(send(&mut sam, &wrong).sw, Sw::SM_WRONG);
    }
    let raise = |sam: &mut VirtualCard| {
        let challenge = sm::Challenge8::from_bytes(&ask(sam, &apdu::get_challenge(8))).unwrap();
        let value = 2_000_000u32;
        let header = sam::RAISE_CEILING_HEADER;
        let mac = sm::mac(
            SuiteId::Aes,
            &ceiling,
            challenge,
            header,
            &value.to_be_bytes(),
        );
        send(sam, &sam::raise_ceiling(value, mac)).sw
    };
    assert_eq!(raise(&mut sam), Sw::AUTH_BLOCKED);
    let mut host = common::issuer(&mut sam);
    let header = sample::header(KeyType::SamCeiling, class::ONLY, SuiteId::Aes);
    let group = host.sam_key_group([0; 3], header, &ceiling);
    host.personalise(&mut sam, aid::T_UNION_SAM, &[group])
        .unwrap();
    put(&mut sam, &apdu::select(aid::T_UNION_SAM));
    assert_eq!(raise(&mut sam), Sw::OK);
}

/// What the locks are for: the balance after all this guessing is the one before.
#[test]
fn guessing_never_moved_money() {
    let mut card = card(SuiteId::Aes);
    phone_in_the_pocket(&mut card, 20);
    card.set_interface(Interface::Contact);
    select_purse(&mut card);
    assert_eq!(host::balance(&mut card).unwrap(), sample::PURSE_BALANCE);
    let log = send(&mut card, &apdu::read_record(sfi::LOG, 1, 23));
    assert_eq!(
        purse::files::LogRecord::from_bytes(&log.data)
            .unwrap()
            .amount,
        sample::PURSE_BALANCE
    );
}
