//! The issuer domain: SCP03 at every level, key sets, personalisation, life cycle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    keys::{KcvKind, KeyType, class, kcv},
    perso::{self, CardState, Dgi, InitializeUpdateAnswer, KVN_ISSUER, KVN_TRANSPORT},
    purse::sfi,
    scp03::{Handshake, StaticKeys, level},
    suite::Key,
    tlv::Tlv,
};
use common::{Bare, SEED, Scripted, ask, card, issuer, put, send};
use hex_literal::hex;
use virtual_card::{
    Interface, VirtualCard,
    host::{HostError, Scp03, store_data},
    sample,
};

const SERIAL: [u8; 10] = [0x09, 0x99, 0, 0, 0, 0, 0, 0, 0, 0x42];

fn blank() -> VirtualCard {
    VirtualCard::blank(SERIAL, sample::transport_keys(), SEED).unwrap()
}

fn open(card: &mut VirtualCard, level: u8) -> Scp03 {
    Scp03::open(
        card,
        &sample::transport_keys(),
        KVN_TRANSPORT,
        level,
        [9; 8],
    )
    .unwrap()
}

fn status(result: Result<impl Sized, HostError>) -> Sw {
    match result {
        Ok(_) => Sw::OK,
        Err(HostError::Status { sw, .. }) => sw,
        Err(other) => panic!("{other}"),
    }
}

fn file15(card: &mut VirtualCard) -> Vec<u8> {
    put(card, &apdu::select(aid::T_UNION));
    ask(card, &apdu::read_binary(sfi::PUBLIC, 0, 30))
}

#[test]
fn every_security_level() {
    for security in level::ALL {
        let mut card = blank();
        let mut host = open(&mut card, security);
        let get = apdu::build(0x80, 0xCA, 0x00, 0xE0, &[], None);
        for _ in 0..2 {
            let info = host.send(&mut card, "GET DATA", &get).unwrap();
            let list = Tlv::find(&info, 0xE0).unwrap();
            assert_eq!(
                Tlv::find(list, 0xC0).unwrap(),
                [1, 1, 0x88, 0x10],
                "{security:02X}"
            );
        }
        // A command with data, then one without, then one with data again: counters agree.
        host.put_keys(&mut card, KVN_ISSUER, &sample::issuer_keys())
            .unwrap();
        host.set_status(&mut card, CardState::Initialized).unwrap();
        host.personalise(&mut card, aid::SSSE, &[(Dgi::PROFILE, vec![2])])
            .unwrap();
    }
}

#[test]
fn handshake_facts() {
    let mut card = blank();
    put(&mut card, &apdu::select(aid::ISD));
    let first = ask(&mut card, &perso::initialize_update(KVN_TRANSPORT, [1; 8]));
    let first = InitializeUpdateAnswer::from_bytes(&first).unwrap();
    assert_eq!(
        (first.diversification, first.kvn, first.i),
        (SERIAL, KVN_TRANSPORT, 0x70)
    );
    // The pseudo-random challenge is that of Amendment D.
    let keys = sample::transport_keys();
    let expected = card_spec::scp03::card_challenge(&keys.enc, first.sequence, aid::ISD);
    assert_eq!(first.challenge, expected);
    let other = send(&mut card, &perso::initialize_update(KVN_ISSUER, [1; 8]));
    assert_eq!(other.sw, Sw::KEY_NOT_FOUND);
    // Card recognition data for anybody.
    let data = ask(&mut card, &apdu::read(0x80, 0xCA, 0x00, 0x66, Some(256)));
    assert!(Tlv::find(&data, 0x66).is_some());
}

/// INITIALIZE UPDATE is anybody's, over the air too: it must not wear the memory out, nor use the
/// counter up.
#[test]
fn asking_for_a_session_writes_nothing() {
    let mut card = blank();
    card.set_interface(Interface::Contactless);
    put(&mut card, &apdu::select(aid::ISD));
    let before = card.image().to_vec();
    for i in 0..100 {
        ask(&mut card, &perso::initialize_update(0, [i; 8]));
    }
    assert!(card.image() == before);
}

/// What opened a session once opens none again, and its challenge does not come back, not after
/// power was lost either. One that failed moves nothing.
#[test]
fn a_recorded_session_is_not_opened_again() {
    let mut card = blank();
    let keys = sample::transport_keys();
    let start = |card: &mut VirtualCard| {
        put(card, &apdu::select(aid::ISD));
        let answer = ask(card, &perso::initialize_update(KVN_TRANSPORT, [1; 8]));
        InitializeUpdateAnswer::from_bytes(&answer).unwrap()
    };
    let first = start(&mut card);
    let wrong = apdu::build(0x84, 0x82, 0x01, 0, &[0; 16], None);
    assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
    let again = start(&mut card);
    assert_eq!(
        (again.sequence, again.challenge),
        (first.sequence, first.challenge)
    );

    let mut handshake = Handshake::derive(&keys, &[1; 8], &again.challenge);
    let proof = handshake.host_cryptogram;
    let mac = handshake.session.c_mac([0x84, 0x82, 0x01, 0, 16], &proof);
    let recorded = apdu::build(0x84, 0x82, 0x01, 0, &[proof, mac].concat(), None);
    put(&mut card, &recorded);
    card.power_cycle();
    let next = start(&mut card);
    assert_ne!(next.challenge, first.challenge);
    assert!(next.sequence > first.sequence);
    assert_eq!(send(&mut card, &recorded).sw, Sw::SECURITY);
}

/// Sixteen bytes are not guessed, and an issuer that was locked out could never come back: through
/// the contacts nothing ends it, over the air a few attempts in a row do.
#[test]
fn wrong_cryptograms_lock_the_issuer_out_over_the_air_only() {
    let mut card = blank();
    put(&mut card, &apdu::select(aid::ISD));
    let wrong = apdu::build(0x84, 0x82, 0x33, 0, &[0; 16], None);
    for _ in 0..300 {
        ask(&mut card, &perso::initialize_update(0, [1; 8]));
        assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
        // And the handshake is over.
        assert_eq!(send(&mut card, &wrong).sw, Sw::CONDITIONS);
    }
    card.set_interface(Interface::Contactless);
    put(&mut card, &apdu::select(aid::ISD));
    let reply = send(&mut card, &perso::initialize_update(0, [1; 8]));
    assert_eq!(reply.sw, Sw::AUTH_BLOCKED);
    card.set_interface(Interface::Contact);
    open(&mut card, level::C_MAC);
    card.set_interface(Interface::Contactless);
    open(&mut card, level::C_MAC);
}

#[test]
fn a_wrong_mac_ends_the_session() {
    let mut card = blank();
    let mut host = open(&mut card, level::C_MAC);
    let good = host
        .wrap(&perso::set_card_status(CardState::Initialized))
        .unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(exchange(&mut card, &bad).unwrap().sw, Sw::SECURITY);
    assert_eq!(
        exchange(&mut card, &good).unwrap().sw,
        Sw::SECURITY,
        "the session is gone"
    );
    // An unprotected command inside a session ends it as well.
    let mut host = open(&mut card, level::C_MAC);
    let plain = perso::set_card_status(CardState::Initialized);
    assert_eq!(exchange(&mut card, &plain).unwrap().sw, Sw::SECURITY);
    assert_eq!(
        status(host.set_status(&mut card, CardState::Initialized)),
        Sw::SECURITY
    );
    // So does selecting another application, even one that is not there.
    let mut host = open(&mut card, level::C_MAC);
    put(&mut card, &apdu::select(aid::ISD));
    assert_eq!(
        status(host.set_status(&mut card, CardState::Initialized)),
        Sw::SECURITY
    );
}

#[test]
fn put_key_replaces_the_transport_set() {
    let issuer_keys = sample::issuer_keys();
    let mut card = blank();
    let mut host = open(&mut card, 0x33);
    host.put_keys(&mut card, KVN_ISSUER, &issuer_keys).unwrap();
    assert!(matches!(
        Scp03::open(&mut card, &sample::transport_keys(), 0, 0x33, [1; 8]),
        Err(HostError::Cryptogram)
    ));
    let transport = Scp03::open(
        &mut card,
        &sample::transport_keys(),
        KVN_TRANSPORT,
        1,
        [1; 8],
    );
    assert_eq!(status(transport), Sw::KEY_NOT_FOUND);
    let mut host = Scp03::open(&mut card, &issuer_keys, KVN_ISSUER, 0x33, [1; 8]).unwrap();
    // The short encoding of the field, and a wrong check value that must change nothing.
    let field = |host: &Scp03, key: &Key, check: [u8; 3]| {
        [
            &[0x88, 0x10][..],
            &host.encrypt(*key.expose()),
            &[3],
            &check,
        ]
        .concat()
    };
    let key = Key::new([0x77; 16]);
    let check = kcv(&key, SuiteId::Aes, KcvKind::GlobalPlatform);
    let good = field(&host, &key, check);
    let bad = field(&host, &key, [0; 3]);
    let put_key = |fields: [&[u8]; 3]| {
        let data = [&[0x31][..], fields[0], fields[1], fields[2]].concat();
        apdu::build(0x80, 0xD8, 0x00, 0x81, &data, None)
    };
    let refused = host.send(&mut card, "PUT KEY", &put_key([&good, &good, &bad]));
    assert_eq!(status(refused), Sw::WRONG_DATA);
    let mut host = Scp03::open(&mut card, &issuer_keys, KVN_ISSUER, 0x33, [1; 8]).unwrap();
    let answer = host
        .send(&mut card, "PUT KEY", &put_key([&good, &good, &good]))
        .unwrap();
    assert_eq!(answer, [&[0x31][..], &check, &check, &check].concat());
    Scp03::open(&mut card, &keys(0x77), 0x31, 0x33, [1; 8]).unwrap();
}

#[test]
fn stored_data_is_invisible_until_the_last_block() {
    let mut card = card(SuiteId::Aes);
    let before = file15(&mut card);
    let mut after = before.clone();
    after[28] = 0x55;
    let mut host = issuer(&mut card);
    let install = perso::install_for_personalization(aid::T_UNION);
    host.send(&mut card, "INSTALL", &install).unwrap();
    let groups = [
        (Dgi::file(sfi::PUBLIC), after.clone()),
        (Dgi::record(sfi::METRO), {
            let mut record = vec![1];
            record.extend([0x33; 128]);
            record
        }),
    ];
    let mut all = heapless::Vec::<u8, 512>::new();
    for (dgi, data) in &groups {
        perso::push_dgi(&mut all, *dgi, data).unwrap();
    }
    let (first, rest) = all.split_at(60);
    host.send(&mut card, "STORE DATA", &perso::store_data(false, 0, first))
        .unwrap();
    // Power is lost before the last block: nothing of it is there.
    card.power_cycle();
    assert_eq!(file15(&mut card), before);
    let mut host = issuer(&mut card);
    host.send(&mut card, "INSTALL", &install).unwrap();
    host.send(&mut card, "STORE DATA", &perso::store_data(false, 0, first))
        .unwrap();
    host.send(&mut card, "STORE DATA", &perso::store_data(true, 1, rest))
        .unwrap();
    assert_eq!(file15(&mut card), after);
    assert_eq!(
        ask(&mut card, &apdu::read_record(sfi::METRO, 1, 128)),
        [0x33; 128]
    );
}

#[test]
fn a_card_keeps_its_number() {
    let mut card = card(SuiteId::Aes);
    let mut other = file15(&mut card);
    other[18] ^= 0x10;
    let group = (Dgi::file(sfi::PUBLIC), other);
    let refused = issuer(&mut card).personalise(&mut card, aid::T_UNION, &[group]);
    assert_eq!(status(refused), Sw::CONDITIONS);
}

#[test]
fn a_bad_group_changes_nothing_at_all() {
    let mut card = card(SuiteId::Aes);
    let before = file15(&mut card);
    let mut changed = before.clone();
    changed[28] = 0x55;
    let host = issuer(&mut card);
    let header = sample::header(KeyType::Dpk, class::TRANSIT, SuiteId::Aes);
    let (dgi, mut wrong_kcv) = host.key_group(header, &Key::new([1; 16]));
    *wrong_kcv.last_mut().unwrap() ^= 1;
    let medical_key = host.key_group(
        sample::header(KeyType::Mpk, 1, SuiteId::Aes),
        &Key::new([1; 16]),
    );
    let other_suite = host.key_group(
        sample::header(KeyType::Dpk, class::TRANSIT, SuiteId::Sm4),
        &Key::new([1; 16]),
    );
    for bad in [
        (dgi, wrong_kcv),
        medical_key,
        other_suite,
        (Dgi(0x7777), vec![1]),
        (Dgi::LIMITS, vec![0; 15]),
        (Dgi::file(sfi::HOLDER), vec![0; 54]),
        (Dgi::PROFILE, vec![2]),
        (Dgi::MEDICAL_BALANCE, vec![0, 0, 0, 1]),
    ] {
        let what = bad.0;
        let mut host = issuer(&mut card);
        let groups = [(Dgi::file(sfi::PUBLIC), changed.clone()), bad];
        let refused = host.personalise(&mut card, aid::T_UNION, &groups);
        assert_ne!(status(refused), Sw::OK, "{what:04X?}");
        assert_eq!(file15(&mut card), before, "{what:04X?}");
    }
    // Blocks out of order, and more than the staging area takes.
    let mut host = issuer(&mut card);
    let install = perso::install_for_personalization(aid::T_UNION);
    host.send(&mut card, "INSTALL", &install).unwrap();
    let skipped = host.send(&mut card, "STORE DATA", &perso::store_data(true, 1, &[1]));
    assert_eq!(status(skipped), Sw::WRONG_P1P2);
    let mut host = issuer(&mut card);
    host.send(&mut card, "INSTALL", &install).unwrap();
    let full = (0..=255).find_map(|block| {
        let store = perso::store_data(false, block, &[0; 239]);
        let sw = status(host.send(&mut card, "STORE DATA", &store));
        (sw != Sw::OK).then_some((block, sw))
    });
    assert_eq!(
        full,
        Some((102, Sw::NO_SPACE)),
        "24 KiB are 102 whole blocks"
    );
}

#[test]
fn opening_balance_only_before_the_card_is_secured() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    let groups = [(
        Dgi::MEDICAL_BALANCE,
        Fen::yuan(9).to_card().unwrap().to_vec(),
    )];
    let refused = host.personalise(&mut card, aid::SSSE_MEDICAL, &groups);
    assert_eq!(status(refused), Sw::CONDITIONS);
}

#[test]
fn a_long_photo_goes_over_many_blocks() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    let photo: Vec<u8> = (0..20_480u32).map(|i| (i * 7) as u8).collect();
    let groups = [(Dgi::file(8), photo.clone())];
    assert!(store_data(&groups).unwrap().len() > 12);
    host.personalise(&mut card, aid::SSSE, &groups).unwrap();
    assert!(
        host.personalise(&mut card, aid::SSSE, &[(Dgi::file(8), vec![0; 20_481])])
            .is_err()
    );
    // Read back by a terminal that proved key 0A.
    put(&mut card, &apdu::select(aid::SSSE));
    let challenge: [u8; 8] = ask(&mut card, &apdu::get_challenge(8)).try_into().unwrap();
    let key = sample::card_key(sample::header(KeyType::Rk, 0x0A, SuiteId::Aes)).unwrap();
    let process = card_spec::keys::ssse_process_key(&key, SuiteId::Aes, &challenge);
    let cryptogram = process.cryptogram8(SuiteId::Aes, &[5; 8]);
    put(
        &mut card,
        &card_spec::ssse::external_authenticate(0x0A, cryptogram, [5; 8]),
    );
    put(&mut card, &apdu::select_ef(0xEF08));
    let mut read = Vec::new();
    while read.len() < photo.len() {
        let [high, low] = (read.len() as u16).to_be_bytes();
        read.extend(ask(&mut card, &[0x00, 0xB0, high, low, 0x00]));
    }
    assert_eq!(read, photo);
}

fn keys(value: u8) -> StaticKeys {
    let key = || Key::new([value; 16]);
    StaticKeys {
        enc: key(),
        mac: key(),
        dek: key(),
    }
}

/// PUT KEY with P1: the set to replace, or 00 to add.
fn put_key(host: &Scp03, p1: u8, kvn: u8, keys: &StaticKeys) -> apdu::Apdu {
    let mut data = vec![kvn];
    for key in [&keys.enc, &keys.mac, &keys.dek] {
        data.extend([0x88, 0x10]);
        data.extend(host.encrypt(*key.expose()));
        data.push(3);
        data.extend(kcv(key, SuiteId::Aes, KcvKind::GlobalPlatform));
    }
    apdu::build(0x80, 0xD8, p1, 0x81, &data, None)
}

fn delete_key(kvn: u8) -> apdu::Apdu {
    apdu::build(0x80, 0xE4, 0, 0, &[0xD2, 0x01, kvn], None)
}

fn kvns(card: &mut VirtualCard) -> Vec<u8> {
    put(card, &apdu::select(aid::ISD));
    let info = ask(card, &apdu::read(0x80, 0xCA, 0x00, 0xE0, Some(256)));
    let list = Tlv::find(&info, 0xE0).unwrap();
    assert_eq!(list.len() + 2, info.len());
    let all: Vec<_> = Tlv::new(list).map(|(_, key)| (key[0], key[1])).collect();
    all.chunks(3)
        .map(|set| {
            let kvn = set[0].1;
            assert_eq!(set, [(1, kvn), (2, kvn), (3, kvn)]);
            kvn
        })
        .collect()
}

#[test]
fn three_key_sets() {
    let mut card = blank();
    let mut host = open(&mut card, 0x33);
    // The first set of the issuer takes the transport set's place; others are added.
    for kvn in [0x30, 0x31, 0x32] {
        let command = put_key(&host, 0, kvn, &keys(kvn));
        host.send(&mut card, "PUT KEY", &command).unwrap();
    }
    assert_eq!(kvns(&mut card), [0x30, 0x31, 0x32]);
    let mut host = Scp03::open(&mut card, &keys(0x31), 0x31, 0x33, [1; 8]).unwrap();
    for (p1, kvn, expected) in [
        (0x00, 0x33, Sw::NO_SPACE),   // a fourth
        (0x33, 0x34, Sw::WRONG_P1P2), // in the place of none
        (0x30, 0x32, Sw::WRONG_DATA), // two sets of one number
        (0x30, 0x20, Sw::WRONG_DATA), // a number of SCP02
        (0x30, 0x80, Sw::WRONG_DATA),
    ] {
        let command = put_key(&host, p1, kvn, &keys(9));
        let refused = status(host.send(&mut card, "PUT KEY", &command));
        assert_eq!(refused, expected, "{p1:02X} {kvn:02X}");
    }
    // None of the refusals changed a key, nor ended the session.
    let command = put_key(&host, 0x30, 0x35, &keys(0x35));
    host.send(&mut card, "PUT KEY", &command).unwrap();
    for (command, expected) in [
        (delete_key(0x31), Sw::CONDITIONS), // opened this session
        (delete_key(0x30), Sw::KEY_NOT_FOUND),
        (delete_key(0), Sw::WRONG_DATA),
        (
            apdu::build(0x80, 0xE4, 0, 0, &[0xD0, 0x01, 0x01], None),
            Sw::WRONG_DATA,
        ),
        (
            apdu::build(0x80, 0xE4, 0, 0, &[0x4F, 0x01, 0xA0], None),
            Sw::CONDITIONS,
        ),
        (
            apdu::build(0x80, 0xE4, 0, 0x80, &[0xD2, 0x01, 0x32], None),
            Sw::WRONG_P1P2,
        ),
    ] {
        let refused = status(host.send(&mut card, "DELETE", &command));
        assert_eq!(refused, expected, "{command:02X?}");
    }
    let answer = host.send(&mut card, "DELETE", &delete_key(0x35)).unwrap();
    assert_eq!(answer, [0]);
    assert_eq!(kvns(&mut card), [0x31, 0x32]);
    let gone = Scp03::open(&mut card, &keys(0x35), 0x35, 0x33, [1; 8]);
    assert_eq!(status(gone), Sw::KEY_NOT_FOUND);
    // KVN 00 is the first there is; each set opens with its own keys and no other's.
    Scp03::open(&mut card, &keys(0x31), 0, 0x33, [1; 8]).unwrap();
    assert!(matches!(
        Scp03::open(&mut card, &keys(0x31), 0x32, 0x33, [1; 8]),
        Err(HostError::Cryptogram)
    ));
    Scp03::open(&mut card, &keys(0x32), 0x32, 0x33, [1; 8]).unwrap();
}

/// Published SCP03 session (keys 00..0F, 10..1F, 20..2F, KVN 30), byte for byte over the card: with
/// i = 60 its card challenge can be the example's.
#[test]
fn published_session_with_a_random_challenge() {
    let value = |first: u8| Key::new(core::array::from_fn(|i| first + i as u8));
    let keys = StaticKeys {
        enc: value(0x00),
        mac: value(0x10),
        dek: value(0x20),
    };
    let nvm = virtual_card::ImageNvm::empty();
    let blank = card_os::Blank {
        chip_serial: SERIAL,
        transport_keys: sample::transport_keys(),
    };
    let chance = Scripted::from(hex!("3b1aca81e821f219 0102030405060708"));
    let mut card = Bare(card_os::Card::new(nvm, chance));
    card.0.format(&blank).unwrap();
    let transport = sample::transport_keys();
    let mut host = Scp03::open(&mut card, &transport, KVN_TRANSPORT, 0x33, [1; 8]).unwrap();
    let wrong = host.personalise(&mut card, aid::ISD, &[(Dgi::SCP_OPTION, vec![0x00])]);
    assert_eq!(status(wrong), Sw::WRONG_DATA);
    host.personalise(&mut card, aid::ISD, &[(Dgi::SCP_OPTION, vec![0x60])])
        .unwrap();
    host.put_keys(&mut card, KVN_ISSUER, &keys).unwrap();

    put(&mut card, &apdu::select(aid::ISD));
    let answer = ask(&mut card, &hex!("8050300008 fdf38259a1e0de44 00"));
    assert_eq!(answer[..10], SERIAL);
    // KVN, SCP03, i; challenge; cryptogram; no sequence counter.
    assert_eq!(
        answer[10..],
        hex!("30 03 60 3b1aca81e821f219 081cdc01c26b372d")
    );
    let authenticate = hex!("84823300108c36f96bcc00724a4e13ad591d7da3f0");
    put(&mut card, &authenticate);
    // GET DATA 00E0 under the published session keys, C-MAC and R-MAC and both encryptions.
    let mut handshake = card_spec::scp03::Handshake::derive(
        &keys,
        &hex!("fdf38259a1e0de44"),
        &hex!("3b1aca81e821f219"),
    );
    handshake
        .session
        .c_mac([0x84, 0x82, 0x33, 0, 0x10], &handshake.host_cryptogram);
    handshake.session.next_command();
    let mac = handshake.session.c_mac([0x84, 0xCA, 0, 0xE0, 8], &[]);
    let answer = ask(
        &mut card,
        &[&[0x84, 0xCA, 0, 0xE0, 8][..], &mac, &[0]].concat(),
    );
    let (data, mac) = answer.split_last_chunk::<8>().unwrap();
    assert_eq!(handshake.session.r_mac(data, [0x90, 0x00]), *mac);
    // The recognition data names the same i, and the next challenge is another.
    let recognition = ask(&mut card, &apdu::read(0x80, 0xCA, 0x00, 0x66, Some(256)));
    assert!(recognition.ends_with(&hex!("FC6B040360")));
    let next = ask(&mut card, &hex!("8050300008 fdf38259a1e0de44 00"));
    assert_eq!(next[13..21], hex!("0102030405060708"));
    // A right cryptogram with a wrong C-MAC is refused, and so is the published one now.
    assert_eq!(send(&mut card, &authenticate).sw, Sw::SECURITY);
}

/// Amendment D, 6.2.5: R-MAC on every success, also an empty one; errors are answered bare.
#[test]
fn response_protection_of_empty_answers_and_errors() {
    for (security, length) in [(0x01, 0), (0x03, 0), (0x11, 8), (0x13, 8), (0x33, 8)] {
        let mut card = blank();
        let mut host = open(&mut card, security);
        let mut exchange = |host: &mut Scp03, command: &[u8]| {
            let mut buffer = [0; 258];
            let n = card
                .transmit(&host.wrap(command).unwrap(), &mut buffer)
                .unwrap();
            buffer[..n].to_vec()
        };
        let initialized = perso::set_card_status(CardState::Initialized);
        let done = exchange(&mut host, &initialized);
        assert_eq!(done.len(), length + 2, "{security:02X}");
        let refused = exchange(&mut host, &perso::set_card_status(CardState::OpReady));
        assert_eq!(refused, [0x69, 0x85], "{security:02X}");
        // The refusal was numbered and chained like any command: the session goes on.
        let again = exchange(&mut host, &initialized);
        assert_eq!(again.len(), length + 2, "{security:02X}");
    }
}

#[test]
fn the_issuer_domains_own_data() {
    let mut card = blank();
    put(&mut card, &apdu::select(aid::ISD));
    let get = |p1, p2| apdu::read(0x80, 0xCA, p1, p2, Some(256));
    for tag in [0x42, 0x45] {
        assert_eq!(send(&mut card, &get(0x00, tag)).sw, Sw::KEY_NOT_FOUND);
    }
    let cplc = ask(&mut card, &get(0x9F, 0x7F));
    assert_eq!((cplc[..3].to_vec(), cplc.len()), (vec![0x9F, 0x7F, 42], 45));
    // Serial and batch number (offsets 12 and 16 of the 42 bytes) are the chip's.
    assert_eq!(
        (&cplc[15..19], &cplc[19..21]),
        (&SERIAL[6..], &SERIAL[4..6])
    );
    // BER-TLV over two blocks, cut inside a value; no INSTALL: it is the issuer domain's.
    let mut host = open(&mut card, 0x33);
    let iin = [0x42, 0x04, 0x35, 0x01, 0x00, 0x01];
    let cin = [&[0x45, 0x81, 16][..], &[0x77; 16]].concat();
    let all = [&iin[..], &cin].concat();
    let store = |p1, block, data: &[u8]| apdu::build(0x80, 0xE2, p1, block, data, None);
    host.send(&mut card, "STORE DATA", &store(0x10, 0, &all[..12]))
        .unwrap();
    assert_eq!(kvns(&mut card), [KVN_TRANSPORT]);
    assert_eq!(send(&mut card, &get(0x00, 0x42)).sw, Sw::KEY_NOT_FOUND);
    let mut host = open(&mut card, 0x33);
    host.send(&mut card, "STORE DATA", &store(0x10, 0, &all[..12]))
        .unwrap();
    host.send(&mut card, "STORE DATA", &store(0x90, 1, &all[12..]))
        .unwrap();
    assert_eq!(
        host.send(&mut card, "GET DATA", &get(0x00, 0x42)[..4])
            .unwrap(),
        iin
    );
    // Too long, empty, unknown, malformed, cut off; forms mixed or not offered.
    for (p1, data, expected) in [
        (
            0x90,
            &[0x42, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9][..],
            Sw::WRONG_DATA,
        ),
        (0x90, &[0x42, 0], Sw::WRONG_DATA),
        (0x90, &[0x43, 1, 1], Sw::KEY_NOT_FOUND),
        (0x90, &[0x42, 0x80, 1], Sw::WRONG_DATA),
        (0x90, &[0x42, 0x82, 0], Sw::WRONG_DATA),
        (0x90, &[0x42, 4, 1], Sw::WRONG_DATA),
        (0x90, &[0x5F], Sw::WRONG_DATA),
        (0x80, &[0x42, 1, 1], Sw::WRONG_P1P2),
        (0x98, &[0x42, 1, 1], Sw::WRONG_P1P2),
        (0xE8, &[0x42, 1, 1], Sw::WRONG_P1P2),
    ] {
        let refused = status(host.send(&mut card, "STORE DATA", &store(p1, 0, data)));
        assert_eq!(refused, expected, "{p1:02X} {data:02X?}");
    }
    host.send(&mut card, "STORE DATA", &store(0x10, 0, &iin))
        .unwrap();
    let mixed = status(host.send(&mut card, "STORE DATA", &store(0x88, 1, &[0, 0x42, 1, 1])));
    assert_eq!(mixed, Sw::WRONG_P1P2);
    let install = perso::install_for_personalization(aid::T_UNION);
    host.send(&mut card, "INSTALL", &install).unwrap();
    let application = status(host.send(&mut card, "STORE DATA", &store(0x90, 0, &iin)));
    assert_eq!(application, Sw::WRONG_P1P2);
    // After all the refusals the stored values are still these.
    put(&mut card, &apdu::select(aid::ISD));
    assert_eq!(ask(&mut card, &get(0x00, 0x42)), iin);
    assert_eq!(
        ask(&mut card, &get(0x00, 0x45)),
        [&[0x45, 16][..], &[0x77; 16]].concat()
    );
    // On a card in use they are what they are.
    let mut card = common::card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    for group in [
        (Dgi::IIN, vec![1]),
        (Dgi::CIN, vec![1]),
        (Dgi::SCP_OPTION, vec![0x60]),
    ] {
        let refused = status(host.personalise(&mut card, aid::ISD, std::slice::from_ref(&group)));
        assert_eq!(refused, Sw::CONDITIONS, "{:?}", group.0);
    }
}
