//! UPDATE OVERDRAFT LIMIT and the overdraft in use, in every suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    perso::Dgi,
    purse::{
        self, Debited, InitRequest, TxType, files, overdraft, overdraft::OverdraftInit,
        overdraft::OverdraftUpdate, sfi,
    },
    ssse::Profile,
};
use common::{Tap, ask, card, issuer, put, sam_for, sam_no, select_purse, send, time};
use virtual_card::{
    VirtualCard, host,
    sample::{self, Sample},
};

fn key(key_type: KeyType, suite: SuiteId) -> card_spec::suite::Key {
    sample::card_key(sample::header(key_type, class::ONLY, suite)).unwrap()
}

fn init(card: &mut VirtualCard) -> (OverdraftInit, OverdraftUpdate) {
    let answer = ask(card, &overdraft::init(class::ONLY, sam_no()));
    let init = OverdraftInit::from_bytes(&answer).unwrap();
    let update = OverdraftUpdate {
        old_limit: init.limit,
        terminal: sam_no(),
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    let duk = key(KeyType::Duk, init.suite);
    assert_eq!(init.mac1, update.mac1(init.suite, &duk), "MAC1");
    (init, update)
}

/// The issuer changes the limit; returns MAC2 and the TAC.
fn set(card: &mut VirtualCard, limit: Fen) -> Result<Debited, Sw> {
    put(card, &apdu::verify(0, &sample::PIN_BYTES));
    let (init, update) = init(card);
    let mac2 = update.mac2(init.suite, &key(KeyType::Duk, init.suite), limit, time());
    let reply = send(card, &overdraft::update(limit, time(), mac2).unwrap());
    if !reply.sw.is_ok() {
        return Err(reply.sw);
    }
    let tac: [u8; 4] = reply.data.as_slice().try_into().unwrap();
    let dtk = key(KeyType::Dtk, init.suite);
    assert_eq!(tac, update.tac(init.suite, &dtk, limit, time()), "TAC");
    Ok(Debited { tac, mac2 })
}

fn three_balances(card: &mut VirtualCard) -> [u32; 3] {
    [3, 2, 1].map(|p1| {
        let answer = ask(card, &apdu::read(0x80, 0x5C, p1, 2, Some(4)));
        u32::from_be_bytes(answer.try_into().unwrap())
    })
}

#[test]
fn an_overdraft_is_granted_used_and_paid_back() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        let mut sam = sam_for(class::TRANSIT);
        select_purse(&mut card);
        assert_eq!(three_balances(&mut card), [10_000, 0, 0]);
        let granted = set(&mut card, Fen(500)).unwrap();
        assert_eq!(three_balances(&mut card), [10_000, 0, 500]);
        let proof = ask(&mut card, &purse::prove(TxType::Overdraft, 2));
        assert_eq!(Debited::from_prove(&proof).unwrap(), granted);
        let newest = ask(&mut card, &apdu::read_record(sfi::LOG, 1, 23));
        let newest = files::LogRecord::from_bytes(&newest).unwrap();
        assert_eq!(
            (newest.tx, newest.seq, newest.overdraft, newest.amount),
            (TxType::Overdraft, 1, Fen(500), Fen::ZERO)
        );

        // One fen more than money and limit together is refused, all of it is not.
        assert_eq!(Tap::new(Fen(10_501)).init(&mut card), Err(Sw::INSUFFICIENT));
        let all = Tap::new(Fen(10_400));
        let init = all.init(&mut card).unwrap();
        assert_eq!((init.balance, init.overdraft), (Fen(10_500), Fen(500)));
        let done = all.pay(&mut card, &mut sam);
        let dtk = key(KeyType::Dtk, suite);
        // The TAC's balance is what INIT would answer now: 100 of the limit are left.
        assert_eq!(done.debited.tac, done.purchase.tac(suite, &dtk, Fen(100)));
        assert_eq!(three_balances(&mut card), [0, 400, 500]);
        assert_eq!(Tap::new(Fen(101)).init(&mut card), Err(Sw::INSUFFICIENT));

        // A limit below what is owed is refused and costs no try; the card stays as it was.
        for _ in 0..4 {
            assert_eq!(set(&mut card, Fen(399)), Err(Sw::WRONG_DATA));
        }
        assert_eq!(three_balances(&mut card), [0, 400, 500]);
        // Nor may the issuer personalise one.
        let limits = files::Limits {
            overdraft: Fen(399),
            ..Sample::new(suite, Profile::V2).limits
        };
        let groups = [(Dgi::LIMITS, limits.to_bytes().unwrap().to_vec())];
        let refused = issuer(&mut card).personalise(&mut card, aid::T_UNION, &groups);
        assert!(matches!(
            refused,
            Err(host::HostError::Status {
                sw: Sw::WRONG_DATA,
                ..
            })
        ));
        select_purse(&mut card);
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        set(&mut card, Fen(400)).unwrap();
        assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::INSUFFICIENT));

        // A load pays the overdraft back first.
        let request = InitRequest {
            amount: Fen(1_000),
            ..Tap::new(Fen(1)).request()
        };
        let dlk = key(KeyType::Dlk, suite);
        host::load_purse(&mut card, &sample::PIN_BYTES, &dlk, request, time()).unwrap();
        assert_eq!(three_balances(&mut card), [600, 0, 400]);
        // Each kind of transaction keeps its own proof.
        for (tx, seq) in [
            (TxType::Overdraft, 3),
            (TxType::Load, 4),
            (TxType::Purchase, 1),
        ] {
            assert_eq!(ask(&mut card, &purse::prove(tx, seq)).len(), 8, "{tx:?}");
        }
    }
}

#[test]
fn it_needs_the_pin_its_key_and_its_order() {
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    let command = overdraft::init(class::ONLY, sam_no());
    assert_eq!(send(&mut card, &command).sw, Sw::SECURITY);
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let unknown = overdraft::init(9, sam_no());
    assert_eq!(send(&mut card, &unknown).sw, Sw::KEY_INDEX);
    // The e-purse form has no overdraft command of its own.
    let mut purse_form = command;
    purse_form[3] = 0x02;
    assert_eq!(send(&mut card, &purse_form).sw, Sw::WRONG_P1P2);
    let update = overdraft::update(Fen(1), time(), [0; 4]).unwrap();
    assert_eq!(send(&mut card, &update).sw, Sw::CONDITIONS);
    // Another INIT, and SELECT, end it.
    for end in [
        Tap::new(Fen(1)).request().purchase().unwrap(),
        apdu::select(aid::T_UNION),
    ] {
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        init(&mut card);
        put(&mut card, &end);
        assert_eq!(send(&mut card, &update).sw, Sw::CONDITIONS);
    }
    // A purchase in between belongs to no transaction of this kind.
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    init(&mut card);
    assert_eq!(
        send(&mut card, &purse::credit_for_load(time(), [0; 4])).sw,
        Sw::CONDITIONS
    );
}

#[test]
fn wrong_macs_lock_it_alone_and_damk_opens_it() {
    let mut card = card(SuiteId::Aes);
    let mut sam = sam_for(class::TRANSIT);
    select_purse(&mut card);
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    for _ in 0..3 {
        let (answer, update) = init(&mut card);
        let mac2 = update.mac2(
            answer.suite,
            &key(KeyType::Duk, answer.suite),
            Fen(5),
            time(),
        );
        // A MAC for another limit.
        let forged = overdraft::update(Fen(6), time(), mac2).unwrap();
        assert_eq!(send(&mut card, &forged).sw, Sw::MAC_WRONG);
        assert_eq!(send(&mut card, &forged).sw, Sw::CONDITIONS);
    }
    let command = overdraft::init(class::ONLY, sam_no());
    assert_eq!(send(&mut card, &command).sw, Sw::AUTH_BLOCKED);
    assert_eq!(three_balances(&mut card), [10_000, 0, 0]);
    Tap::new(Fen(1)).pay(&mut card, &mut sam);
    let damk = key(KeyType::Damk, SuiteId::Aes);
    let unblock = common::maintenance(&mut card, SuiteId::Aes, &damk, [0x84, 0x18, 0, 0], &[]);
    put(&mut card, &unblock);
    set(&mut card, Fen(5)).unwrap();
}
