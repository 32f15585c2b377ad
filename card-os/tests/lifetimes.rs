//! What a key's life of wrong MACs ends with: the budgets of `card-os/src/counter.rs` that are too
//! long to be spent in a test, spent but for one, and those of the medical purse.
//!
//! The cards of layout 1 are plain images, so a counter can be set in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    medical::{self, Load, Split, Visit},
    purse::{self, LoadInit, PurchaseInit},
    sam, sm,
    suite::Key,
};
use common::{SEED, Tap, ask, card, put, sam_no, select_purse, send, time};
use virtual_card::{Interface, VirtualCard, sample};

const SAM_V1: &[u8] = include_bytes!("snapshots/sam-v1.img");

/// Areas of layout 1: where they begin, and their bytes without the CRC-32 behind them.
const SAM: (usize, usize) = (5_388, 34);

/// Rows: `in a row 2 | life 2`, at these places of their area.
const CREDIT_ROW: usize = 26;

/// The card with so many wrong MACs in the life of a row's key.
fn aged(image: &[u8], (base, len): (usize, usize), row: usize, life: u16) -> VirtualCard {
    let mut image = image.to_vec();
    assert_eq!(image[base + row..][..4], [0; 4], "a row nobody guessed at");
    image[base + row + 2..][..2].copy_from_slice(&life.to_be_bytes());
    let crc = !image[base..base + len].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xEDB8_8320 * (crc & 1))
        })
    });
    image[base + len..][..4].copy_from_slice(&crc.to_be_bytes());
    VirtualCard::from_image(image, SEED).unwrap()
}

fn key(key_type: KeyType) -> Key {
    sample::card_key(sample::header(key_type, class::ONLY, SuiteId::Aes)).unwrap()
}

/// A SAM that has judged 60,000 wrong MAC2s lets no card pay any more; its locks go on, and a key
/// from the issuer, in either step, makes it new.
#[test]
fn a_sam_that_judges_no_more_lets_nobody_pay() {
    for in_the_field in [false, true] {
        let mut sam = aged(SAM_V1, SAM, CREDIT_ROW, 59_998);
        put(&mut sam, &apdu::select(aid::T_UNION_SAM));
        let mut card = card(SuiteId::Aes);
        select_purse(&mut card);
        let tap = Tap::new(Fen(1));
        let mut wrong_mac2 = |sam: &mut VirtualCard| {
            let init = tap.init(&mut card).unwrap();
            tap.mac1(&mut card, sam, &init, purse::mac::Context::default());
            send(sam, &sam::credit([0; 4])).sw
        };
        assert_eq!(wrong_mac2(&mut sam), Sw::MAC_WRONG);
        let mut paying = self::card(SuiteId::Aes);
        select_purse(&mut paying);
        // A right one does not give the life back.
        tap.pay(&mut paying, &mut sam);
        assert_eq!(wrong_mac2(&mut sam), Sw::MAC_WRONG);
        let init = init_sam(&mut paying);
        let before = sequence(&mut sam);
        assert_eq!(send(&mut sam, &init).sw, Sw::PERMANENTLY_LOCKED);
        assert_eq!(sequence(&mut sam), before);
        let public = purse::files::Public::from_fci(&tap.fci(&paying)).unwrap();
        let lock = sam::deliver_lock_key(public.pan.serial8(), public.issuer, Some(SuiteId::Aes));
        put(&mut sam, &lock);
        ask(&mut sam, &sam::lock_mac([1; 4]));

        let header = sample::header(KeyType::Dpk, class::TRANSIT, SuiteId::Aes);
        let mut host = common::issuer(&mut sam);
        let region = sample::REGION.parse::<card_spec::id::RegionCode>().unwrap();
        let key = sample::region_key(header).unwrap();
        let group = if in_the_field {
            // A SAM of that time has no issuing key yet.
            let own = sample::header(KeyType::SamIssue, class::ONLY, SuiteId::Aes);
            let key = Key::new(sample::master(KeyType::SamIssue, class::ONLY));
            host.sam_key_group([0; 3], own, &key)
        } else {
            host.sam_key_group(region.to_bytes(), header, &key)
        };
        host.personalise(&mut sam, aid::T_UNION_SAM, &[group])
            .unwrap();
        put(&mut sam, &apdu::select(aid::T_UNION_SAM));
        if in_the_field {
            assert_eq!(send(&mut sam, &init).sw, Sw::PERMANENTLY_LOCKED);
            let command = common::write_key(&mut sam, &common::region_key(sample::REGION, header));
            put(&mut sam, &command);
        }
        tap.pay(&mut paying, &mut sam);
    }
}

/// INIT SAM FOR PURCHASE of one fen from this card.
fn init_sam(card: &mut VirtualCard) -> Vec<u8> {
    let tap = Tap::new(Fen(1));
    let init: PurchaseInit = tap.init(card).unwrap();
    let public = purse::files::Public::from_fci(&tap.fci(card)).unwrap();
    let command = sam::InitForPurchase::new(
        &init,
        tap.amount,
        tap.tx(),
        tap.time,
        public.pan.serial8(),
        public.issuer,
        purse::mac::Context::default(),
    );
    command.to_apdu().unwrap().to_vec()
}

/// The next terminal sequence of a copy, whose credit row is made new for that.
fn sequence(sam: &mut VirtualCard) -> u32 {
    let mut copy = VirtualCard::from_image(sam.image().to_vec(), SEED).unwrap();
    let header = sample::header(KeyType::Dpk, class::TRANSIT, SuiteId::Aes);
    let region = sample::REGION.parse::<card_spec::id::RegionCode>().unwrap();
    let mut host = common::issuer(&mut copy);
    let key = sample::region_key(header).unwrap();
    let group = host.sam_key_group(region.to_bytes(), header, &key);
    host.personalise(&mut copy, aid::T_UNION_SAM, &[group])
        .unwrap();
    put(&mut copy, &apdu::select(aid::T_UNION_SAM));
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    let answer = ask(&mut copy, &init_sam(&mut card));
    sam::Mac1::from_bytes(&answer).unwrap().terminal_seq
}

/// The ceiling of a SAM: 200 wrong MACs in its key's life, right ones in between. Payments go on.
#[test]
fn a_ceiling_key_has_a_life() {
    let mut sam = common::sam_for(class::TRANSIT);
    let own = Key::new(sample::master(KeyType::SamCeiling, class::ONLY));
    let raise = |sam: &mut VirtualCard, ceiling: u32, right: bool| {
        let challenge = sm::Challenge8::from_bytes(&ask(sam, &apdu::get_challenge(8))).unwrap();
        let header = sam::RAISE_CEILING_HEADER;
        let value = ceiling.to_be_bytes();
        let mut mac = sm::mac(SuiteId::Aes, &own, challenge, header, &value);
        mac[0] ^= u8::from(!right);
        send(sam, &sam::raise_ceiling(ceiling, mac)).sw
    };
    for n in 1..=100 {
        for _ in 0..2 {
            assert_eq!(raise(&mut sam, u32::MAX, false), Sw::SM_WRONG, "{n}");
            sam.power_cycle();
        }
        if n < 100 {
            assert_eq!(raise(&mut sam, sample::SAM_CEILING + n, true), Sw::OK);
        }
    }
    let beyond = raise(&mut sam, sample::SAM_CEILING + 100, true);
    assert_eq!(beyond, Sw::PERMANENTLY_LOCKED);
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    Tap::new(Fen(1)).pay(&mut card, &mut sam);
}

const SPLIT: Split = Split {
    personal: Fen(1),
    self_paid: Fen(0),
    pooled: Fen(0),
};

fn open_medical(card: &mut VirtualCard) {
    put(card, &apdu::select(aid::SSSE_MEDICAL));
    put(card, &apdu::verify(0, &sample::PIN_BYTES));
}

/// One load of a fen, with its right MAC2 or a wrong one.
fn medical_load(card: &mut VirtualCard, right: bool) -> Sw {
    let init = medical::init_load(class::ONLY, Fen(1), sam_no()).unwrap();
    let reply = send(card, &init);
    if !reply.sw.is_ok() {
        return reply.sw;
    }
    let init = LoadInit::from_bytes(&reply.data).unwrap();
    let load = Load {
        amount: Fen(1),
        terminal: sam_no(),
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    let mut mac2 = load.mac2(SuiteId::Aes, &key(KeyType::Mlk), time());
    mac2[3] ^= u8::from(!right);
    send(card, &medical::credit_for_load(time(), mac2)).sw
}

/// One purchase of a fen, with its right MAC1 or a wrong one.
fn medical_pay(card: &mut VirtualCard, right: bool) -> Sw {
    let reply = send(
        card,
        &medical::init_purchase(class::ONLY, SPLIT, sam_no()).unwrap(),
    );
    if !reply.sw.is_ok() {
        return reply.sw;
    }
    let init = medical::PurchaseInit::from_bytes(&reply.data).unwrap();
    let visit = Visit {
        split: SPLIT,
        terminal: sam_no(),
        terminal_seq: 1,
        time: time(),
        seq: init.seq,
        rnd: init.rnd,
    };
    let mut mac1 = visit.mac1(SuiteId::Aes, &key(KeyType::Mpk));
    mac1[3] ^= u8::from(!right);
    send(card, &medical::debit(1, time(), mac1)).sw
}

/// Each of the medical purse's two rows: three in a row lock, a right one starts it again, 200 in
/// the key's life end it; the other goes on, and the stored key gives it back.
#[test]
fn the_medical_rows_are_short_and_each_alone() {
    type Try = fn(&mut VirtualCard, bool) -> Sw;
    let both: [(KeyType, Try, Try); 2] = [
        (KeyType::Mlk, medical_load, medical_pay),
        (KeyType::Mpk, medical_pay, medical_load),
    ];
    for (key_type, tried, other) in both {
        let mut card = card(SuiteId::Aes);
        open_medical(&mut card);
        let mut wrong = 0;
        while wrong < 200 {
            assert_eq!(tried(&mut card, true), Sw::OK, "{key_type:?} after {wrong}");
            for _ in 0..2 {
                assert_eq!(tried(&mut card, false), Sw::MAC_WRONG);
                // Neither a reset nor the PIN gives a try back.
                card.power_cycle();
                open_medical(&mut card);
                wrong += 1;
            }
        }
        assert_eq!(tried(&mut card, true), Sw::PERMANENTLY_LOCKED);
        assert_eq!(other(&mut card, true), Sw::OK);
        let header = sample::header(key_type, class::ONLY, SuiteId::Aes);
        common::store_key(&mut card, aid::SSSE_MEDICAL, header);
        open_medical(&mut card);
        for _ in 0..3 {
            assert_eq!(tried(&mut card, false), Sw::MAC_WRONG);
        }
        assert_eq!(tried(&mut card, true), Sw::AUTH_BLOCKED);
        assert_eq!(other(&mut card, true), Sw::OK);
    }
}

/// Over the air nobody guesses at it without authentication and PIN.
#[test]
fn the_medical_rows_over_the_air() {
    let mut card = card(SuiteId::Aes);
    card.set_interface(Interface::Contactless);
    put(&mut card, &apdu::select(aid::SSSE_MEDICAL));
    assert_eq!(medical_load(&mut card, false), Sw::SECURITY);
    assert_eq!(medical_pay(&mut card, false), Sw::SECURITY);
    let sw = common::apps::authenticate(&mut card, KeyType::Rk, 0x0A);
    assert_eq!(sw, Sw::OK);
    assert_eq!(medical_load(&mut card, false), Sw::SECURITY);
    assert_eq!(medical_pay(&mut card, false), Sw::SECURITY);
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    for _ in 0..3 {
        assert_eq!(medical_load(&mut card, false), Sw::MAC_WRONG);
        assert_eq!(medical_pay(&mut card, false), Sw::MAC_WRONG);
    }
    assert_eq!(medical_load(&mut card, true), Sw::AUTH_BLOCKED);
    assert_eq!(medical_pay(&mut card, true), Sw::AUTH_BLOCKED);
}
