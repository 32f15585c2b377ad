//! Life cycle of the card and of its applications: SET STATUS and GET STATUS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    SuiteId, Sw, aid, apdu,
    keys::class,
    perso::{
        self, CardState,
        CardState::{CardLocked, Initialized, OpReady, Secured, Terminated},
        Dgi, KVN_ISSUER, KVN_TRANSPORT,
    },
    tlv::Tlv,
};
use common::{SEED, card, issuer, put, send};
use virtual_card::{
    VirtualCard,
    host::{HostError, Scp03},
    sample,
};

fn status(result: Result<impl Sized, HostError>) -> Sw {
    match result {
        Ok(_) => Sw::OK,
        Err(HostError::Status { sw, .. }) => sw,
        Err(other) => panic!("{other}"),
    }
}

/// Under the transport keys or, once those were replaced, under the issuer's.
fn session(card: &mut VirtualCard) -> Scp03 {
    let (transport, own) = (sample::transport_keys(), sample::issuer_keys());
    Scp03::open(card, &transport, KVN_TRANSPORT, 0x33, [1; 8])
        .or_else(|_| Scp03::open(card, &own, KVN_ISSUER, 0x33, [1; 8]))
        .unwrap()
}

/// A blank card that was brought into a state, and the session that did it.
fn in_state(state: CardState) -> (VirtualCard, Scp03) {
    let mut card = VirtualCard::blank([5; 10], sample::transport_keys(), SEED).unwrap();
    let mut host = session(&mut card);
    let way: &[CardState] = match state {
        OpReady => &[],
        Initialized => &[Initialized],
        Secured => &[Initialized, Secured],
        CardLocked => &[Initialized, Secured, CardLocked],
        Terminated => &[Terminated],
    };
    if state != OpReady {
        host.put_keys(&mut card, KVN_ISSUER, &sample::issuer_keys())
            .unwrap();
    }
    for step in way {
        host.set_status(&mut card, *step).unwrap();
    }
    (card, host)
}

const ALL: [CardState; 5] = [OpReady, Initialized, Secured, CardLocked, Terminated];

/// GlobalPlatform 2.3, figure 5-1: every step that exists and every one that does not.
#[test]
fn every_step() {
    // Rows: from; columns: to, in the order of ALL. A state may be set again.
    const ALLOWED: [[bool; 5]; 4] = [
        [true, true, false, false, true],
        [false, true, true, false, true],
        [false, false, true, true, true],
        [false, false, true, true, true],
    ];
    for (from, row) in ALL.into_iter().zip(ALLOWED) {
        for (to, allowed) in ALL.into_iter().zip(row) {
            let (mut card, mut host) = in_state(from);
            let answer = status(host.set_status(&mut card, to));
            let expected = if allowed { Sw::OK } else { Sw::CONDITIONS };
            assert_eq!(answer, expected, "{from:?} to {to:?}");
            if to == Terminated {
                continue;
            }
            // What the card says of itself, also after a reset.
            card.power_cycle();
            let mut host = session(&mut card);
            let get = apdu::build(0x80, 0xF2, 0x80, 0x00, &[0x4F, 0x00], None);
            let entry = host.send(&mut card, "GET STATUS", &get).unwrap();
            let now = if allowed { to } else { from };
            assert_eq!(entry[9], now as u8, "{from:?} to {to:?}");
        }
    }
    let (mut card, mut host) = in_state(Initialized);
    for unknown in [0x00, 0x03, 0x10, 0x80, 0xFE] {
        let command = apdu::build(0x80, 0xF0, 0x80, unknown, &[], None);
        let refused = status(host.send(&mut card, "SET STATUS", &command));
        assert_eq!(refused, Sw::WRONG_P1P2, "{unknown:02X}");
    }
}

/// A card goes into use only under its issuer's keys.
#[test]
fn no_card_goes_into_use_under_transport_keys() {
    let (mut card, mut host) = in_state(OpReady);
    host.set_status(&mut card, Initialized).unwrap();
    let refused = status(host.set_status(&mut card, Secured));
    assert_eq!(refused, Sw::CONDITIONS);
    host.put_keys(&mut card, KVN_ISSUER, &sample::issuer_keys())
        .unwrap();
    host.set_status(&mut card, Secured).unwrap();
}

#[test]
fn a_terminated_card_says_only_that() {
    let (mut card, mut host) = in_state(Terminated);
    for _ in 0..2 {
        for command in [
            &apdu::select(aid::ISD)[..],
            &apdu::select(aid::SSSE),
            &apdu::get_challenge(8),
            &apdu::read(0x80, 0xCA, 0x00, 0x66, Some(256)),
            &perso::initialize_update(0, [1; 8]),
            &[0x00, 0x70, 0x00, 0x00, 0x01],
            &[0x10, 0xA4, 0x04, 0x00, 0x01, 0xA0],
            &[0x00],
        ] {
            assert_eq!(
                send(&mut card, command).sw,
                Sw::NOT_ALLOWED_STATE,
                "{command:02X?}"
            );
        }
        let back = status(host.set_status(&mut card, Secured));
        assert_eq!(back, Sw::NOT_ALLOWED_STATE);
        card.power_cycle();
    }
}

/// A locked card tells its state and can be opened or terminated; nothing on it changes.
#[test]
fn a_locked_card_is_not_personalised() {
    let (mut card, mut host) = in_state(CardLocked);
    let install = perso::install_for_personalization(aid::SSSE);
    let store = perso::store_data(true, 0, &[0x03, 0x02, 0x01, 0x02]);
    let delete = apdu::build(0x80, 0xE4, 0, 0, &[0xD2, 0x01, 0x30], None);
    for command in [&install, &store, &delete] {
        let refused = status(host.send(&mut card, "locked", command));
        assert_eq!(refused, Sw::CONDITIONS, "{command:02X?}");
    }
    let keys = sample::issuer_keys();
    let refused = status(host.put_keys(&mut card, 0x30, &keys));
    assert_eq!(refused, Sw::CONDITIONS);
    // The issuer's keys still open it, and open it up.
    let mut host = session(&mut card);
    host.set_status(&mut card, Secured).unwrap();
    host.personalise(&mut card, aid::SSSE, &[(Dgi::PROFILE, vec![2])])
        .unwrap();
    put(&mut card, &apdu::select(aid::SSSE));
}

fn lock(name: &[u8], locked: bool) -> apdu::Apdu {
    let p2 = if locked { 0x83 } else { 0x07 };
    apdu::build(0x80, 0xF0, 0x40, p2, name, None)
}

fn states(host: &mut Scp03, card: &mut VirtualCard) -> Vec<(Vec<u8>, u8)> {
    let get = apdu::build(0x80, 0xF2, 0x40, 0x02, &[0x4F, 0x00], None);
    let answer = host.send(card, "GET STATUS", &get).unwrap();
    Tlv::new(&answer)
        .map(|(tag, entry)| {
            assert_eq!(tag, 0xE3);
            let state = Tlv::find(entry, 0x9F70).unwrap();
            (Tlv::find(entry, 0x4F).unwrap().to_vec(), state[0])
        })
        .collect()
}

#[test]
fn an_application_is_locked_by_itself() {
    let names = [aid::T_UNION, aid::SSSE, aid::SSSE_MEDICAL];
    for locked in names {
        let mut card = card(SuiteId::Aes);
        let mut host = issuer(&mut card);
        host.send(&mut card, "SET STATUS", &lock(locked, true))
            .unwrap();
        for (name, state) in states(&mut host, &mut card) {
            let expected = if name == locked { 0x83 } else { 0x07 };
            assert_eq!(state, expected, "{name:02X?}");
        }
        card.power_cycle();
        for name in names {
            // The medical application is a DF of the SSSE and locked with it.
            let with = name == locked || (locked == aid::SSSE && name == aid::SSSE_MEDICAL);
            let expected = if with { Sw::LOCKED } else { Sw::OK };
            let answer = send(&mut card, &apdu::select(name)).sw;
            assert_eq!(answer, expected, "{locked:02X?} locked, {name:02X?}");
        }
        let mut host = issuer(&mut card);
        host.send(&mut card, "SET STATUS", &lock(locked, false))
            .unwrap();
        for name in names {
            put(&mut card, &apdu::select(name));
        }
    }
}

#[test]
fn locks_hold_where_the_application_is_in_use() {
    // On another channel.
    let mut card = card(SuiteId::Aes);
    put(&mut card, &[0x00, 0x70, 0x00, 0x01]);
    let mut select = apdu::select(aid::T_UNION);
    select[0] = 0x01;
    put(&mut card, &select);
    let mut host = issuer(&mut card);
    host.send(&mut card, "SET STATUS", &lock(aid::T_UNION, true))
        .unwrap();
    let balance = [0x81, 0x5C, 0x00, 0x02, 0x04];
    assert_ne!(send(&mut card, &balance).sw, Sw::OK);
    assert_eq!(send(&mut card, &select).sw, Sw::LOCKED);
    // By moving there from inside the social-security side, and by the file identifier of a SAM.
    let mut host = issuer(&mut card);
    host.send(&mut card, "SET STATUS", &lock(aid::SSSE_MEDICAL, true))
        .unwrap();
    put(&mut card, &apdu::select(aid::SSSE));
    let medical = apdu::select(aid::SSSE_MEDICAL);
    assert_eq!(send(&mut card, &medical).sw, Sw::LOCKED);
    let mut sam = common::sam_for(class::TRANSIT);
    let mut host = issuer(&mut sam);
    host.send(&mut sam, "SET STATUS", &lock(aid::T_UNION_SAM, true))
        .unwrap();
    sam.power_cycle();
    let terminal = apdu::read_binary(0x16, 0, 6);
    assert_ne!(send(&mut sam, &terminal).sw, Sw::OK);
    let by_fid = apdu::build(0x00, 0xA4, 0, 0, &[0x80, 0x11], Some(256));
    assert_eq!(send(&mut sam, &by_fid).sw, Sw::LOCKED);
    for name in [aid::T_UNION_SAM, aid::SSSE_SAM] {
        assert_eq!(send(&mut sam, &apdu::select(name)).sw, Sw::LOCKED);
    }
    // Not lockable: the issuer domain, what is not there, what has no name of its own.
    let mut host = issuer(&mut card);
    for name in [
        aid::ISD,
        aid::T_UNION_SAM,
        aid::SSSE_PUBLIC,
        &aid::T_UNION[..5],
    ] {
        let refused = status(host.send(&mut card, "SET STATUS", &lock(name, true)));
        assert_eq!(refused, Sw::KEY_NOT_FOUND, "{name:02X?}");
    }
}

/// GlobalPlatform 2.3, 11.4.
#[test]
fn get_status_in_both_forms() {
    let mut card = card(SuiteId::Aes);
    let mut host = issuer(&mut card);
    let mut get = |p1, p2, data: &[u8]| {
        let command = apdu::build(0x80, 0xF2, p1, p2, data, None);
        match host.send(&mut card, "GET STATUS", &command) {
            Ok(data) => Ok(data),
            Err(HostError::Status { sw, .. }) => Err(sw),
            Err(other) => panic!("{other}"),
        }
    };
    let all = &[0x4F, 0x00][..];
    // The issuer domain: security domain, card lock, card terminate.
    let isd = get(0x80, 0x02, all).unwrap();
    let entry = Tlv::find(&isd, 0xE3).unwrap();
    assert_eq!(Tlv::find(entry, 0x4F).unwrap(), aid::ISD);
    assert_eq!(Tlv::find(entry, 0x9F70).unwrap(), [Secured as u8]);
    assert_eq!(Tlv::find(entry, 0xC5).unwrap(), [0x98, 0x00, 0x00]);
    let old = [&[8][..], aid::ISD, &[Secured as u8, 0x98]].concat();
    assert_eq!(get(0x80, 0x00, all).unwrap(), old);
    // Applications, all and by the beginning of their names.
    let old: Vec<u8> = [
        (aid::T_UNION, 0x10),
        (aid::SSSE, 0x00),
        (aid::SSSE_MEDICAL, 0x00),
        (aid::HEALTH, 0x00),
        (aid::PKI, 0x00),
    ]
    .iter()
    .flat_map(|(name, privileges)| [&[name.len() as u8][..], name, &[0x07, *privileges]].concat())
    .collect();
    assert_eq!(get(0x40, 0x00, all).unwrap(), old);
    let rid = [&[0x4F, 5][..], &aid::SSSE_MEDICAL[..5]].concat();
    let one = [&[6][..], aid::SSSE_MEDICAL, &[0x07, 0x00]].concat();
    assert_eq!(get(0x40, 0x00, &rid).unwrap(), one);
    for (p1, p2, data, expected) in [
        (0x80, 0x00, &rid[..], Sw::KEY_NOT_FOUND),
        (0x20, 0x02, all, Sw::KEY_NOT_FOUND), // load files: none
        (0x10, 0x02, all, Sw::KEY_NOT_FOUND),
        (0x40, 0x01, all, Sw::KEY_NOT_FOUND), // no next occurrence: it all fitted
        (0x40, 0x03, all, Sw::KEY_NOT_FOUND),
        (0x00, 0x02, all, Sw::WRONG_P1P2),
        (0x40, 0x04, all, Sw::WRONG_P1P2),
        (0x40, 0x02, &[], Sw::WRONG_DATA),
        (0x40, 0x02, &[0x4F, 0x02, 0xA0], Sw::WRONG_DATA),
    ] {
        assert_eq!(get(p1, p2, data), Err(expected), "{p1:02X} {p2:02X}");
    }
    // A blank card has no applications.
    let (mut blank, mut host) = in_state(OpReady);
    let command = apdu::build(0x80, 0xF2, 0x40, 0x02, all, None);
    let none = status(host.send(&mut blank, "GET STATUS", &command));
    assert_eq!(none, Sw::KEY_NOT_FOUND);
}
