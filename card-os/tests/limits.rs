//! The card's own limits offline: a tap, a day, the highest balance and the overdraft, each at its
//! boundary and one fen beyond.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId, Sw, apdu,
    keys::{KeyType, class},
    purse::{
        self, Debited, InitRequest, LoadInit, TxType,
        files::Limits,
        mac::{ContextBuilder, Load, Purchase},
        overdraft::{self, OverdraftInit, OverdraftUpdate},
    },
    ssse::Profile,
    suite::Key,
};
use common::{SEED, Tap, ask, put, sam_for, sam_no, select_purse, send, time};
use virtual_card::{
    VirtualCard, host,
    sample::{self, Sample},
};

const LIMITS: Limits = Limits {
    max_balance: Fen::yuan(1000),
    per_tap: Fen::yuan(200),
    per_day: Fen::yuan(500),
    overdraft: Fen::ZERO,
};

/// A card with these limits and this balance, loaded.
fn card_with(suite: SuiteId, limits: Limits, balance: Fen) -> VirtualCard {
    let sample = Sample {
        limits,
        purse: balance,
        ..Sample::new(suite, Profile::V2)
    };
    let mut card = sample.card(SEED).unwrap();
    select_purse(&mut card);
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    card
}

fn key(key_type: KeyType, suite: SuiteId) -> Key {
    sample::card_key(sample::header(key_type, class::ONLY, suite)).unwrap()
}

fn request(amount: Fen) -> InitRequest {
    Tap::new(amount).request()
}

fn on(time: &str, amount: Fen) -> Tap {
    Tap {
        time: time.parse().unwrap(),
        ..Tap::new(amount)
    }
}

/// MAC2 and TAC as a load should have them.
fn load(card: &mut VirtualCard, suite: SuiteId, amount: Fen) -> Result<Debited, Sw> {
    let reply = send(card, &request(amount).load().unwrap());
    if !reply.sw.is_ok() {
        return Err(reply.sw);
    }
    let init = LoadInit::from_bytes(&reply.data).unwrap();
    let load = Load {
        amount,
        tx: TxType::Load,
        terminal: sam_no(),
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    let mac2 = load.mac2(suite, &key(KeyType::Dlk, suite), time());
    let tac = ask(card, &purse::credit_for_load(time(), mac2));
    let expected = load.tac(suite, &key(KeyType::Dtk, suite), time());
    assert_eq!(tac, expected);
    Ok(Debited {
        tac: expected,
        mac2,
    })
}

fn set_overdraft(card: &mut VirtualCard, suite: SuiteId, limit: Fen) -> Result<Debited, Sw> {
    let answer = ask(card, &overdraft::init(class::ONLY, sam_no()));
    let init = OverdraftInit::from_bytes(&answer).unwrap();
    let update = OverdraftUpdate {
        old_limit: init.limit,
        terminal: sam_no(),
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    let mac2 = update.mac2(suite, &key(KeyType::Duk, suite), limit, time());
    let reply = send(card, &overdraft::update(limit, time(), mac2).unwrap());
    if !reply.sw.is_ok() {
        return Err(reply.sw);
    }
    let tac = update.tac(suite, &key(KeyType::Dtk, suite), limit, time());
    assert_eq!(reply.data.as_slice(), tac);
    Ok(Debited { tac, mac2 })
}

#[test]
fn the_highest_balance_at_a_load() {
    let mut card = card_with(SuiteId::Aes, LIMITS, Fen::yuan(100));
    let beyond = Fen::yuan(900) + Fen(1);
    assert_eq!(load(&mut card, SuiteId::Aes, beyond), Err(Sw::CONDITIONS));
    load(&mut card, SuiteId::Aes, Fen::yuan(900)).unwrap();
    assert_eq!(host::balance(&mut card).unwrap(), LIMITS.max_balance);
    assert_eq!(load(&mut card, SuiteId::Aes, Fen(1)), Err(Sw::CONDITIONS));
    assert_eq!(
        load(&mut card, SuiteId::Aes, Fen::ZERO),
        Err(Sw::WRONG_DATA)
    );
    // Room comes back with a fen paid.
    Tap::new(Fen(1)).pay(&mut card, &mut sam_for(class::TRANSIT));
    assert_eq!(load(&mut card, SuiteId::Aes, Fen(2)), Err(Sw::CONDITIONS));
    load(&mut card, SuiteId::Aes, Fen(1)).unwrap();
}

/// The overdraft does not count towards the highest balance: not while it is free, nor in use.
#[test]
fn the_highest_balance_with_an_overdraft() {
    let limits = Limits {
        overdraft: Fen(500),
        ..LIMITS
    };
    let mut card = card_with(SuiteId::Aes, limits, Fen(100));
    Tap::new(Fen(600)).pay(&mut card, &mut sam_for(class::TRANSIT));
    let all = LIMITS.max_balance + Fen(500);
    let beyond = all + Fen(1);
    assert_eq!(load(&mut card, SuiteId::Aes, beyond), Err(Sw::CONDITIONS));
    load(&mut card, SuiteId::Aes, all).unwrap();
    assert_eq!(host::balance(&mut card).unwrap(), LIMITS.max_balance);
    assert_eq!(load(&mut card, SuiteId::Aes, Fen(1)), Err(Sw::CONDITIONS));
}

#[test]
fn the_money_on_the_card_and_the_overdraft() {
    let mut sam = sam_for(class::TRANSIT);
    for (limit, money) in [(Fen::ZERO, Fen(1_000)), (Fen(500), Fen(1_000))] {
        let limits = Limits {
            overdraft: limit,
            ..LIMITS
        };
        let mut card = card_with(SuiteId::Aes, limits, money);
        for capp in [false, true] {
            let beyond = Tap {
                capp,
                ..Tap::new(money + limit + Fen(1))
            };
            assert_eq!(beyond.init(&mut card), Err(Sw::INSUFFICIENT));
        }
        Tap::new(money + limit).pay(&mut card, &mut sam);
        assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::INSUFFICIENT));
        // An entry that costs nothing is still possible.
        Tap::new(Fen::ZERO).pay(&mut card, &mut sam);
    }
}

#[test]
fn the_overdraft_limit_against_what_is_owed() {
    let limits = Limits {
        overdraft: Fen(500),
        ..LIMITS
    };
    let mut card = card_with(SuiteId::Aes, limits, Fen(100));
    Tap::new(Fen(400)).pay(&mut card, &mut sam_for(class::TRANSIT));
    // 300 are owed.
    let below = set_overdraft(&mut card, SuiteId::Aes, Fen(299));
    assert_eq!(below, Err(Sw::WRONG_DATA));
    set_overdraft(&mut card, SuiteId::Aes, Fen(300)).unwrap();
    assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::INSUFFICIENT));
    // Together with the highest balance it must stay inside 31 bits.
    let most = Limits {
        max_balance: Fen(i64::from(i32::MAX) - 0xFF_FFFF),
        ..LIMITS
    };
    let mut card = card_with(SuiteId::Aes, most, Fen(100));
    set_overdraft(&mut card, SuiteId::Aes, Fen(0xFF_FFFF)).unwrap();
    let more = Limits {
        max_balance: most.max_balance + Fen(1),
        ..most
    };
    let mut card = card_with(SuiteId::Aes, more, Fen(100));
    let beyond = set_overdraft(&mut card, SuiteId::Aes, Fen(0xFF_FFFF));
    assert_eq!(beyond, Err(Sw::WRONG_DATA));
    set_overdraft(&mut card, SuiteId::Aes, Fen(0xFF_FFFE)).unwrap();
}

#[test]
fn a_tap() {
    let mut card = card_with(SuiteId::Aes, LIMITS, Fen::yuan(1000));
    for capp in [false, true] {
        let tap = |amount| Tap {
            capp,
            ..Tap::new(amount)
        };
        let beyond = LIMITS.per_tap + Fen(1);
        assert_eq!(tap(beyond).init(&mut card), Err(Sw::CONDITIONS));
        tap(LIMITS.per_tap).init(&mut card).unwrap();
    }
    // The money on the card is judged first: the passenger is told what helps, a top-up.
    let mut card = card_with(SuiteId::Aes, LIMITS, Fen::yuan(100));
    let both = Tap::new(LIMITS.per_tap + Fen(1));
    assert_eq!(both.init(&mut card), Err(Sw::INSUFFICIENT));
    // A card for nothing but free entries.
    let none = Limits {
        per_tap: Fen::ZERO,
        ..LIMITS
    };
    let mut card = card_with(SuiteId::Aes, none, Fen(100));
    assert_eq!(Tap::new(Fen(1)).init(&mut card), Err(Sw::CONDITIONS));
    Tap::new(Fen::ZERO).pay(&mut card, &mut sam_for(class::TRANSIT));
}

/// Two days, each filled to the last fen; a refusal moves nothing and is no wrong MAC.
#[test]
fn two_days() {
    let mut card = card_with(SuiteId::Aes, LIMITS, Fen::yuan(1000));
    let mut sam = sam_for(class::TRANSIT);
    let full = |card: &mut VirtualCard, sam: &mut VirtualCard, day: &str, rest: i64| {
        let balance = host::balance(card).unwrap();
        for amount in [rest + 1, rest + 100] {
            let beyond = on(day, Fen(amount)).try_pay(card, sam);
            assert_eq!(beyond, Err(Sw::CONDITIONS), "{day}: {amount}");
        }
        assert_eq!(host::balance(card).unwrap(), balance);
    };
    for (day, noon) in [
        ("2026-03-16T00:00:00", "2026-03-16T12:00:00"),
        ("2026-03-17T00:00:00", "2026-03-17T12:00:00"),
    ] {
        on(day, Fen::yuan(200)).pay(&mut card, &mut sam);
        on(noon, Fen::yuan(150)).pay(&mut card, &mut sam);
        full(&mut card, &mut sam, noon, 15_000);
        on(noon, Fen::yuan(150)).pay(&mut card, &mut sam);
        full(&mut card, &mut sam, noon, 0);
        on(noon, Fen::ZERO).pay(&mut card, &mut sam);
        // The last second of the day is still this day.
        full(&mut card, &mut sam, &day.replace("00:00:00", "23:59:59"), 0);
        if noon.contains("-16") {
            // A load is made online: from it on the day starts again.
            load(&mut card, SuiteId::Aes, Fen::yuan(400)).unwrap();
            on(noon, Fen::yuan(200)).pay(&mut card, &mut sam);
            on(noon, Fen::yuan(200)).pay(&mut card, &mut sam);
            full(&mut card, &mut sam, noon, 10_000);
        }
        load(&mut card, SuiteId::Aes, Fen::yuan(500)).unwrap();
    }
}

/// Clocks that are wrong: one that is years fast costs the days before nothing but its own limit, going
/// back and forth buys no third limit, a date after the card's validity is refused, and a load
/// makes all new.
#[test]
fn a_fast_clock_spoils_no_day() {
    let mut card = card_with(SuiteId::Aes, LIMITS, Fen::yuan(1000));
    let mut sam = sam_for(class::TRANSIT);
    let fast = "2030-01-01T12:00:00";
    on(fast, Fen::yuan(200)).pay(&mut card, &mut sam);
    for day in 1..=5 {
        let day = format!("2026-03-{day:02}T12:00:00");
        for _ in 0..2 {
            on(&day, Fen::yuan(60)).pay(&mut card, &mut sam);
        }
    }
    let today = "2026-03-06T12:00:00";
    load(&mut card, SuiteId::Aes, Fen::yuan(800)).unwrap();
    // The load is of a later day: it is not undone by going back, once.
    for earlier in [today, today, "2026-03-05T12:00:00"] {
        on(earlier, Fen::yuan(150)).pay(&mut card, &mut sam);
    }
    for refused in [today, "2026-03-05T12:00:00", "2036-01-01T00:00:00"] {
        let result = on(refused, Fen::yuan(51)).try_pay(&mut card, &mut sam);
        assert_eq!(result, Err(Sw::CONDITIONS), "{refused}");
    }
    // The last day of validity.
    on("2035-12-31T23:59:59", Fen::yuan(51)).pay(&mut card, &mut sam);
}

/// GET TRANSACTION PROVE of every type: exactly the MAC2 and TAC of the newest of its kind, under
/// its own sequence, kept over power cuts, other transactions, refusals and a block.
#[test]
fn every_type_of_transaction_can_be_proved() {
    for suite in SuiteId::ALL {
        let mut card = card_with(suite, LIMITS, Fen::yuan(100));
        let mut sam = sam_for(class::TRANSIT);
        let prove = |card: &mut VirtualCard, tx, seq| {
            let reply = send(card, &purse::prove(tx, seq));
            match reply.sw {
                Sw::OK => Ok(Debited::from_prove(&reply.data).unwrap()),
                sw => Err(sw),
            }
        };
        let none = Err(Sw::NO_PROVE);
        for tx in [TxType::Purchase, TxType::Capp, TxType::Overdraft] {
            for seq in 0..3 {
                assert_eq!(prove(&mut card, tx, seq), none, "{tx:?} {seq}");
            }
        }
        // Online sequence 0 was the opening balance.
        let loaded = load(&mut card, suite, Fen(100)).unwrap();
        let granted = set_overdraft(&mut card, suite, Fen(500)).unwrap();
        let paid = Tap::new(Fen(7)).pay(&mut card, &mut sam).debited;
        let mut all = [
            (TxType::Load, 2, loaded),
            (TxType::Overdraft, 3, granted),
            (TxType::Purchase, 1, paid),
        ];
        let check = |card: &mut VirtualCard, all: &[(TxType, u16, Debited)]| {
            for (tx, seq, kept) in all {
                assert_eq!(prove(card, *tx, *seq), Ok(*kept), "{suite:?} {tx:?}");
                assert_eq!(prove(card, *tx, seq - 1), none, "{tx:?}");
                assert_eq!(prove(card, *tx, seq + 1), none, "{tx:?}");
            }
            // Types that this purse does not have.
            for tx in [TxType::LoadEd, TxType::PurchaseEd] {
                for seq in 0..4 {
                    assert_eq!(prove(card, tx, seq), none, "{tx:?}");
                }
            }
        };
        check(&mut card, &all);
        // One is open, one is refused, the power goes.
        Tap::new(Fen(9)).init(&mut card).unwrap();
        check(&mut card, &all);
        assert_eq!(
            send(&mut card, &purse::debit(1, time(), [0; 4])).sw,
            Sw::MAC_WRONG
        );
        card.power_cycle();
        select_purse(&mut card);
        check(&mut card, &all);
        // A purchase of either kind takes the place of the last.
        let compound = pay_capp(&mut card, suite);
        all[2] = (TxType::Capp, 2, compound);
        assert_eq!(prove(&mut card, TxType::Purchase, 1), none);
        check(&mut card, &all);
        // A blocked purse still proves: the terminal that lost the answer may come last.
        let dack = key(KeyType::Dack, suite);
        let block = common::maintenance(&mut card, suite, &dack, [0x84, 0x1E, 0, 0], &[]);
        put(&mut card, &block);
        check(&mut card, &all);
    }
}

/// A compound purchase by a terminal that knows the card's keys.
fn pay_capp(card: &mut VirtualCard, suite: SuiteId) -> Debited {
    let tap = Tap {
        capp: true,
        ..Tap::new(Fen(300))
    };
    let fci = tap.fci(card);
    let init = tap.init(card).unwrap();
    put(
        card,
        &purse::update_capp_cache(purse::sfi::JOURNEY, 0, &[7; 48]),
    );
    let mut context = ContextBuilder::new(&fci);
    context.update(0, purse::sfi::JOURNEY << 3, &[7; 48]);
    let context = context.finish();
    let purchase = Purchase {
        amount: tap.amount,
        tx: TxType::Capp,
        terminal: sam_no(),
        terminal_seq: 77,
        time: tap.time,
        seq: init.seq,
        rnd: init.rnd,
        context,
    };
    let dpk = sample::card_key(sample::header(KeyType::Dpk, class::TRANSIT, suite)).unwrap();
    let debit = purse::debit(77, tap.time, purchase.mac1(suite, &dpk));
    let debited = Debited::from_debit(&ask(card, &debit)).unwrap();
    assert_eq!(debited.mac2, purchase.mac2(suite, &dpk));
    debited
}
