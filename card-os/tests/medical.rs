//! The medical purse in DF04 with a social-security SAM.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::Channel;
use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    medical::{self, Balance, LOAD, Load, PurchaseInit, Split, VISIT, Visit},
    purse::{Debited, LoadInit},
    sam,
    ssse::{self, Profile},
    time::CardTime,
};
use common::{SEED, ask, put, sam_no, send};
use virtual_card::{
    Cut, VirtualCard,
    sample::{self, Sample},
};

fn card(suite: SuiteId) -> VirtualCard {
    let mut card = Sample::new(suite, Profile::V3).card(SEED).unwrap();
    put(&mut card, &apdu::select(aid::SSSE_MEDICAL));
    card
}

fn social_sam() -> VirtualCard {
    let mut sam = sample::sample_sam(sample::SampleSam::Social, sam_no(), SEED).unwrap();
    put(&mut sam, &apdu::select(aid::SSSE_SAM));
    sam
}

const SPLIT: Split = Split {
    personal: Fen(452),
    self_paid: Fen(23),
    pooled: Fen(1_000),
};

fn init(card: &mut VirtualCard, split: Split) -> Result<PurchaseInit, Sw> {
    let command = medical::init_purchase(class::ONLY, split, sam_no()).unwrap();
    let reply = send(card, &command);
    if reply.sw.is_ok() {
        Ok(PurchaseInit::from_bytes(&reply.data).unwrap())
    } else {
        Err(reply.sw)
    }
}

fn mac1(
    card: &VirtualCard,
    sam: &mut VirtualCard,
    init: &PurchaseInit,
    time: CardTime,
) -> sam::Mac1 {
    let f1 = ssse::f1_from_atr(card.atr()).unwrap();
    let region = sample::REGION.parse().unwrap();
    let command = medical::psam_init(init, SPLIT, time, f1, region).unwrap();
    sam::Mac1::from_bytes(&ask(sam, &command)).unwrap()
}

fn pay(
    card: &mut VirtualCard,
    sam: &mut VirtualCard,
    time: CardTime,
) -> (PurchaseInit, u32, Debited) {
    let init = init(card, SPLIT).unwrap();
    let mac1 = mac1(card, sam, &init, time);
    let answer = ask(card, &medical::debit(mac1.terminal_seq, time, mac1.mac1));
    let debited = Debited::from_debit(&answer).unwrap();
    put(sam, &sam::credit(debited.mac2));
    (init, mac1.terminal_seq, debited)
}

fn balances(card: &mut VirtualCard) -> (u32, Vec<u8>, Vec<u8>) {
    let personal = ask(card, &medical::get_balance(Balance::Personal));
    let self_paid = ask(card, &medical::get_balance(Balance::SelfPaid));
    let pooled = ask(card, &medical::get_balance(Balance::Pooled));
    (
        u32::from_be_bytes(personal.try_into().unwrap()),
        self_paid,
        pooled,
    )
}

#[test]
fn a_visit_in_every_suite() {
    for suite in SuiteId::ALL {
        let (mut card, mut sam) = (card(suite), social_sam());
        assert_eq!(init(&mut card, SPLIT), Err(Sw::SECURITY), "PIN first");
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        let time = common::time();
        let (init, terminal_seq, debited) = pay(&mut card, &mut sam, time);
        let mtk = sample::card_key(sample::header(KeyType::Mtk, class::ONLY, suite)).unwrap();
        let visit = Visit {
            split: SPLIT,
            terminal: sam_no(),
            terminal_seq,
            time,
            seq: init.seq,
            rnd: init.rnd,
        };
        assert_eq!(debited.tac, visit.tac(suite, &mtk, Fen(50_000 - 452)));
        let (personal, self_paid, pooled) = balances(&mut card);
        assert_eq!(personal, 50_000 - 452);
        assert_eq!(self_paid, [0, 0, 0, 23, 0x20, 0x26]);
        assert_eq!(pooled, [0, 0, 0x03, 0xE8, 0x20, 0x26]);
    }
}

#[test]
fn yearly_totals_start_again_with_the_year() {
    let (mut card, mut sam) = (card(SuiteId::Aes), social_sam());
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    pay(&mut card, &mut sam, "2026-12-31T23:59:00".parse().unwrap());
    pay(&mut card, &mut sam, "2026-12-31T23:59:30".parse().unwrap());
    assert_eq!(balances(&mut card).1, [0, 0, 0, 46, 0x20, 0x26]);
    pay(&mut card, &mut sam, "2027-01-01T00:00:10".parse().unwrap());
    assert_eq!(balances(&mut card).1, [0, 0, 0, 23, 0x20, 0x27]);
    // A window whose clock is behind, or far ahead, adds to its year and leaves the right one as it was.
    pay(&mut card, &mut sam, "2026-12-31T23:59:59".parse().unwrap());
    assert_eq!(balances(&mut card).1, [0, 0, 0, 69, 0x20, 0x26]);
    pay(&mut card, &mut sam, "2027-01-01T08:00:00".parse().unwrap());
    assert_eq!(balances(&mut card).1, [0, 0, 0, 46, 0x20, 0x27]);
    pay(&mut card, &mut sam, "2033-01-01T08:00:00".parse().unwrap());
    assert_eq!(balances(&mut card).1, [0, 0, 0, 23, 0x20, 0x33]);
    pay(&mut card, &mut sam, "2027-01-02T08:00:00".parse().unwrap());
    assert_eq!(balances(&mut card).1, [0, 0, 0, 69, 0x20, 0x27]);
    assert_eq!(balances(&mut card).0, 50_000 - 7 * 452);
}

#[test]
fn refusals() {
    let (mut card, mut sam) = (card(SuiteId::Aes), social_sam());
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let too_much = Split {
        personal: Fen(50_001),
        ..SPLIT
    };
    assert_eq!(init(&mut card, too_much), Err(Sw::INSUFFICIENT));
    let time = common::time();
    let debit = medical::debit(1, time, [0; 4]);
    assert_eq!(send(&mut card, &debit).sw, Sw::CONDITIONS);
    for _ in 0..3 {
        init(&mut card, SPLIT).unwrap();
        assert_eq!(send(&mut card, &debit).sw, Sw::MAC_WRONG);
    }
    assert_eq!(init(&mut card, SPLIT), Err(Sw::AUTH_BLOCKED));
    assert_eq!(balances(&mut card).0, 50_000);
    // A SAM refuses a region it has no keys of.
    let mut other = self::card(SuiteId::Aes);
    put(&mut other, &apdu::verify(0, &sample::PIN_BYTES));
    let init = init(&mut other, SPLIT).unwrap();
    let f1 = ssse::f1_from_atr(other.atr()).unwrap();
    let foreign = medical::psam_init(&init, SPLIT, time, f1, "350200".parse().unwrap()).unwrap();
    assert_eq!(send(&mut sam, &foreign).sw, Sw::KEY_INDEX);
}

#[test]
fn load_of_the_personal_account() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        let command = medical::init_load(class::ONLY, Fen(300), sam_no()).unwrap();
        let init = LoadInit::from_bytes(&ask(&mut card, &command)).unwrap();
        let load = Load {
            amount: Fen(300),
            terminal: sam_no(),
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
        };
        let key = |t| sample::card_key(sample::header(t, class::ONLY, suite)).unwrap();
        assert_eq!(init.mac1, load.mac1(suite, &key(KeyType::Mlk)));
        let mac2 = load.mac2(suite, &key(KeyType::Mlk), common::time());
        let tac = ask(&mut card, &medical::credit_for_load(common::time(), mac2));
        assert_eq!(tac, load.tac(suite, &key(KeyType::Mtk), common::time()));
        assert_eq!(balances(&mut card).0, 50_300);
    }
}

/// GET TRANSACTION PROVE of the newest load and the newest visit, each by its own sequence and type,
/// and again after the power was lost. A refused DEBIT is nothing to prove.
#[test]
fn proofs_of_the_newest_of_each_kind() {
    let (mut card, mut sam) = (card(SuiteId::Aes), social_sam());
    let proved = |card: &mut VirtualCard, tx, seq| {
        let reply = send(card, &medical::prove(tx, seq));
        match reply.sw {
            Sw::OK => Ok(Debited::from_prove(&reply.data).unwrap()),
            sw => Err(sw),
        }
    };
    let none = Err(Sw::NO_PROVE);
    for tx in [0, VISIT, LOAD] {
        assert_eq!(proved(&mut card, tx, 0), none);
    }
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let (first, _, _) = pay(&mut card, &mut sam, common::time());
    let (second, _, debited) = pay(&mut card, &mut sam, common::time());
    assert_eq!(proved(&mut card, VISIT, first.seq + 1), none, "the older");

    let command = medical::init_load(class::ONLY, Fen(300), sam_no()).unwrap();
    let load_init = LoadInit::from_bytes(&ask(&mut card, &command)).unwrap();
    let load = Load {
        amount: Fen(300),
        terminal: sam_no(),
        seq: load_init.seq,
        rnd: load_init.rnd,
        balance_before: load_init.balance,
    };
    let mlk = sample::card_key(sample::header(KeyType::Mlk, class::ONLY, SuiteId::Aes)).unwrap();
    let mac2 = load.mac2(SuiteId::Aes, &mlk, common::time());
    let tac = ask(&mut card, &medical::credit_for_load(common::time(), mac2));

    init(&mut card, SPLIT).unwrap();
    let wrong = medical::debit(1, common::time(), [0; 4]);
    assert_eq!(send(&mut card, &wrong).sw, Sw::MAC_WRONG);
    card.power_cycle();
    put(&mut card, &apdu::select(aid::SSSE_MEDICAL));
    let (visit_seq, load_seq) = (second.seq + 1, load.seq + 1);
    assert_eq!(proved(&mut card, VISIT, visit_seq), Ok(debited));
    assert_eq!(proved(&mut card, LOAD, load_seq).unwrap().mac2, mac2);
    assert_eq!(proved(&mut card, LOAD, load_seq).unwrap().tac[..], tac[..]);
    assert_eq!(proved(&mut card, VISIT, visit_seq + 1), none);
    assert_eq!(proved(&mut card, LOAD, visit_seq), none, "another's");
}

/// Asking for a proof leaves an open transaction alone.
#[test]
fn proving_does_not_end_a_transaction() {
    let (mut card, mut sam) = (card(SuiteId::Aes), social_sam());
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let init = init(&mut card, SPLIT).unwrap();
    let mac1 = mac1(&card, &mut sam, &init, common::time());
    let asked = send(&mut card, &medical::prove(VISIT, init.seq + 1));
    assert_eq!(asked.sw, Sw::NO_PROVE);
    let debit = medical::debit(mac1.terminal_seq, common::time(), mac1.mac1);
    let debited = Debited::from_debit(&ask(&mut card, &debit)).unwrap();
    let proof = ask(&mut card, &medical::prove(VISIT, init.seq + 1));
    assert_eq!(Debited::from_prove(&proof), Ok(debited));
}

/// The card was pulled out after it debited: the window sees a removed card, the money moved once,
/// and the card proves it.
#[test]
fn torn_after_the_debit() {
    let (mut card, mut sam) = (card(SuiteId::Aes), social_sam());
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let init = init(&mut card, SPLIT).unwrap();
    let mac1 = mac1(&card, &mut sam, &init, common::time());
    card.script(Some(Cut::AfterApdu {
        cla: 0xB0,
        ins: 0x2C,
        nth: 1,
    }));
    let mut buffer = [0; 258];
    let debit = medical::debit(mac1.terminal_seq, common::time(), mac1.mac1);
    let torn = card.transmit(&debit, &mut buffer);
    assert_eq!(torn, Err(card_spec::ChannelError::CardRemoved));
    put(&mut card, &apdu::select(aid::SSSE_MEDICAL));
    assert_eq!(balances(&mut card).0, 50_000 - 452);
    let proof = ask(&mut card, &medical::prove(VISIT, init.seq + 1));
    put(
        &mut sam,
        &sam::credit(Debited::from_prove(&proof).unwrap().mac2),
    );
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    assert_eq!(self::init(&mut card, SPLIT).unwrap().seq, init.seq + 1);
}
