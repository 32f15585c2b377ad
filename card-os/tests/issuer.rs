//! The issuer domain: SCP03 at every level, key sets, personalisation, life cycle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    keys::{KcvKind, KeyType, class, kcv},
    perso::{self, CardState, Dgi, InitializeUpdateAnswer, KVN_ISSUER, KVN_TRANSPORT},
    purse::sfi,
    scp03::level,
    suite::Key,
    tlv::Tlv,
};
use common::{SEED, ask, card, issuer, put, send};
use virtual_card::{
    VirtualCard,
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
    // The pseudo-random challenge is that of Amendment D and never comes twice.
    let keys = sample::transport_keys();
    let expected = card_spec::scp03::card_challenge(&keys.enc, first.sequence, aid::ISD);
    assert_eq!(first.challenge, expected);
    card.power_cycle();
    let second = ask(&mut card, &perso::initialize_update(0, [1; 8]));
    let second = InitializeUpdateAnswer::from_bytes(&second).unwrap();
    assert_ne!(second.challenge, first.challenge);
    let other = send(&mut card, &perso::initialize_update(KVN_ISSUER, [1; 8]));
    assert_eq!(other.sw, Sw::KEY_NOT_FOUND);
    // Card recognition data for anybody.
    let data = ask(&mut card, &apdu::read(0x80, 0xCA, 0x00, 0x66, Some(256)));
    assert!(Tlv::find(&data, 0x66).is_some());
}

#[test]
fn wrong_cryptograms_in_a_row_end_the_issuers_side_and_a_right_one_starts_again() {
    // Before the row is full, the right keys are heard.
    let mut card = blank();
    put(&mut card, &apdu::select(aid::ISD));
    for _ in 0..2 {
        for _ in 0..254 {
            ask(&mut card, &perso::initialize_update(0, [1; 8]));
            let wrong = apdu::build(0x84, 0x82, 0x33, 0, &[0; 16], None);
            assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
        }
        open(&mut card, level::C_MAC);
    }

    let mut card = blank();
    put(&mut card, &apdu::select(aid::ISD));
    for _ in 0..255 {
        ask(&mut card, &perso::initialize_update(0, [1; 8]));
        let wrong = apdu::build(0x84, 0x82, 0x33, 0, &[0; 16], None);
        assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
        // And the handshake is over.
        assert_eq!(send(&mut card, &wrong).sw, Sw::CONDITIONS);
    }
    let reply = send(&mut card, &perso::initialize_update(0, [1; 8]));
    assert_eq!(reply.sw, Sw::AUTH_BLOCKED);
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
    let same = || Key::new([0x77; 16]);
    let keys = card_spec::scp03::StaticKeys {
        enc: same(),
        mac: same(),
        dek: same(),
    };
    Scp03::open(&mut card, &keys, 0x31, 0x33, [1; 8]).unwrap();
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
fn life_cycle() {
    use CardState::{CardLocked, Initialized, OpReady, Secured, Terminated};
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    for (to, expected) in [
        (OpReady, Sw::CONDITIONS),
        (Initialized, Sw::CONDITIONS),
        (CardLocked, Sw::OK),
        (Secured, Sw::OK),
        (CardLocked, Sw::OK),
    ] {
        assert_eq!(status(host.set_status(&mut card, to)), expected, "{to:?}");
        if expected != Sw::OK {
            // An error is answered bare; the session stays, the next command is numbered on.
            host = issuer(&mut card);
        }
    }
    assert_eq!(send(&mut card, &apdu::select(aid::T_UNION)).sw, Sw::LOCKED);
    let mut host = issuer(&mut card);
    host.set_status(&mut card, Terminated).unwrap();
    for command in [
        apdu::select(aid::ISD),
        apdu::select(aid::SSSE),
        apdu::get_challenge(8),
    ] {
        assert_eq!(send(&mut card, &command).sw, Sw::NOT_ALLOWED_STATE);
    }
}

#[test]
fn get_status_lists_what_is_there() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    let status = |p1| apdu::build(0x80, 0xF2, p1, 0x02, &[0x4F, 0x00], None);
    let isd = host.send(&mut card, "GET STATUS", &status(0x80)).unwrap();
    let entry = Tlv::find(&isd, 0xE3).unwrap();
    assert_eq!(Tlv::find(entry, 0x4F).unwrap(), aid::ISD);
    assert_eq!(
        Tlv::find(entry, 0x9F70).unwrap(),
        [CardState::Secured as u8]
    );
    let apps = host.send(&mut card, "GET STATUS", &status(0x40)).unwrap();
    let names: Vec<_> = Tlv::new(&apps)
        .map(|(_, e)| Tlv::find(e, 0x4F).unwrap().to_vec())
        .collect();
    assert_eq!(names, [aid::T_UNION, aid::SSSE, aid::SSSE_MEDICAL]);
}

#[test]
fn a_long_photo_goes_over_many_blocks() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    let photo: Vec<u8> = (0..3072u32).map(|i| (i * 7) as u8).collect();
    let groups = [(Dgi::file(8), photo.clone())];
    assert!(store_data(&groups).unwrap().len() > 12);
    host.personalise(&mut card, aid::SSSE, &groups).unwrap();
    assert!(
        host.personalise(&mut card, aid::SSSE, &[(Dgi::file(8), vec![0; 3073])])
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
