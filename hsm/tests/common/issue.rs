//! Blank cards of card-os taken over and personalised through the HSM.
// Each test binary uses a part.
#![allow(dead_code, unreachable_pub)]

use card_spec::{
    Fen, SuiteId, aid, apdu,
    channel::exchange,
    health,
    id::IssuerId,
    keys::{KeyHeader, KeyType, class, ssse_kid},
    perso::{
        CardState, Dgi, initialize_update, install_for_personalization, pin, push_dgi,
        set_card_status, store_data,
    },
    purse::{
        files::{Limits, Public},
        sfi,
    },
    ssse,
};
use hsm::SoftHsm;
use hsm_client::{Hsm, KeyOrder, SessionId};
use virtual_card::VirtualCard;

use crate::common::{card, header};

pub const SERIAL: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34];
/// C-MAC and C-DECRYPTION: the answers come plain.
pub const LEVEL: u8 = 0x03;

pub fn blank(hsm: &SoftHsm) -> VirtualCard {
    let maker = hsm
        .manufacturer(&crate::common::forged::authorised(hsm))
        .unwrap();
    VirtualCard::blank(SERIAL, maker.transport_keys(SERIAL).unwrap(), [3; 32]).unwrap()
}

/// File 15 of [`card`] and what it may spend.
pub fn purse_of_card() -> (Public, Limits) {
    let who = card();
    let date = |text: &str| text.parse().unwrap();
    let public = Public {
        issuer: IssuerId::new(who.pan, who.region, who.generation),
        app_type: 1,
        version: 1,
        pan: who.pan,
        valid_from: date("2026-01-01"),
        valid_to: date("2035-12-31"),
        card_type: 0,
        generation: who.generation,
    };
    let limits = Limits {
        max_balance: Fen::yuan(1000),
        per_tap: Fen::yuan(200),
        per_day: Fen::yuan(500),
        overdraft: Fen::ZERO,
    };
    (public, limits)
}

pub fn ask(card: &mut VirtualCard, command: &[u8]) -> Vec<u8> {
    let reply = exchange(card, command).unwrap();
    assert!(
        reply.sw.is_ok(),
        "{} for {}",
        reply.sw,
        hex::encode(command)
    );
    reply.data.to_vec()
}

pub fn open(hsm: &dyn Hsm, card: &mut VirtualCard, kvn: u8) -> SessionId {
    ask(card, &apdu::select(aid::ISD));
    let host: [u8; 8] = hsm.random(8).unwrap().try_into().unwrap();
    let answer = ask(card, &initialize_update(kvn, host));
    let opened = hsm.scp03_open(host, &answer, LEVEL).unwrap();
    ask(card, &opened.external_authenticate);
    opened.session
}

/// Transport set out, issuer set in, and a session under it.
pub fn take_over(hsm: &dyn Hsm, card: &mut VirtualCard) -> SessionId {
    let transport = open(hsm, card, 0x01);
    let put = hsm.put_issuer_keys(transport).unwrap();
    protected(hsm, card, transport, &[put]);
    hsm.scp03_close(transport).unwrap();
    open(hsm, card, 0x30)
}

pub fn protected(hsm: &dyn Hsm, card: &mut VirtualCard, session: SessionId, commands: &[Vec<u8>]) {
    for command in hsm.scp03_wrap(session, commands).unwrap() {
        ask(card, &command);
    }
}

pub fn personalise(
    hsm: &dyn Hsm,
    card: &mut VirtualCard,
    session: SessionId,
    application: &[u8],
    groups: &[(Dgi, Vec<u8>)],
) {
    let mut stream = heapless::Vec::<u8, 4096>::new();
    for (dgi, data) in groups {
        push_dgi(&mut stream, *dgi, data).unwrap();
    }
    let mut commands = vec![install_for_personalization(application).to_vec()];
    let blocks: Vec<&[u8]> = stream.chunks(224).collect();
    for (i, block) in blocks.iter().enumerate() {
        let last = i + 1 == blocks.len();
        commands.push(store_data(last, i as u8, block).to_vec());
    }
    protected(hsm, card, session, &commands);
}

pub fn keys(hsm: &dyn Hsm, session: SessionId, headers: Vec<KeyHeader>) -> Vec<(Dgi, Vec<u8>)> {
    let order = KeyOrder::Card {
        card: card(),
        headers,
    };
    let items = hsm.wrap_keys(session, &order).unwrap();
    items.into_iter().map(|i| (Dgi::KEY, i)).collect()
}

pub fn pin_group(wrapped: &[u8]) -> (Dgi, Vec<u8>) {
    let mut data = vec![pin::HOLDER, pin::TRIES];
    data.extend_from_slice(wrapped);
    (Dgi::PIN, data)
}

/// A card with every application and every key of its suite, and its first PIN.
pub fn issued(hsm: &SoftHsm, suite: SuiteId) -> (VirtualCard, Vec<u8>) {
    let mut holder = blank(hsm);
    let session = take_over(hsm, &mut holder);
    let (public, limits) = purse_of_card();
    let letter = hsm.first_pin(session).unwrap();
    let of = |range: std::ops::Range<u8>, indexes: &[u8]| -> Vec<KeyHeader> {
        hsm::catalog()
            .into_iter()
            .filter(|h| {
                range.contains(&(h.key_type as u8))
                    && h.suite == suite
                    && (indexes.is_empty() || indexes.contains(&h.index))
            })
            .collect()
    };
    let purse = vec![
        (Dgi::file(sfi::PUBLIC), public.to_bytes().to_vec()),
        (Dgi::LIMITS, limits.to_bytes().unwrap().to_vec()),
        pin_group(&letter.wrapped),
    ];
    let social = vec![
        (Dgi::PROFILE, vec![ssse::Profile::V3 as u8]),
        (Dgi::record(5), [&[1, 1, 16][..], &[0x35; 16]].concat()),
        (Dgi::record(6), [&[1, 8, 18][..], &[b'1'; 18]].concat()),
        pin_group(&letter.wrapped),
    ];
    let blood = vec![1, health::emergency::BLOOD_GROUP, 2, b'O', b'+'];
    let social_kids = [
        1,
        ssse_kid::WRITE_BASIC,
        ssse_kid::PIN_UNBLOCK,
        ssse_kid::EF0C,
        ssse_kid::EF0D,
        ssse_kid::READ_V3,
    ];
    let health_kids = [
        health::kid::INTERNAL,
        health::kid::WRITE,
        health::kid::READ,
        health::kid::EMERGENCY,
    ];
    type Application<'a> = (&'a [u8], Vec<(Dgi, Vec<u8>)>, Vec<KeyHeader>);
    let applications: [Application<'_>; 5] = [
        (aid::T_UNION, purse, of(0x01..0x10, &[])),
        (aid::SSSE, social, of(0x10..0x20, &social_kids)),
        (
            aid::HEALTH,
            vec![(Dgi::record(0x0E), blood)],
            of(0x10..0x20, &health_kids),
        ),
        (aid::SSSE_MEDICAL, vec![], of(0x20..0x30, &[])),
        (
            aid::PKI,
            vec![pin_group(&letter.wrapped)],
            vec![header(KeyType::Uk, class::ONLY, suite)],
        ),
    ];
    for (name, mut groups, headers) in applications {
        groups.extend(keys(hsm, session, headers));
        personalise(hsm, &mut holder, session, name, &groups);
    }
    let states = [CardState::Initialized, CardState::Secured];
    protected(
        hsm,
        &mut holder,
        session,
        &states.map(|s| set_card_status(s).to_vec()),
    );
    hsm.scp03_close(session).unwrap();
    holder.power_cycle();
    (holder, hex::decode(letter.letter).unwrap())
}
