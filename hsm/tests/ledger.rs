//! What the ledger orders: loads of the medical account, overdraft limits of the purse. The real
//! card obeys each; what is given out once is not given out otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/issue.rs"]
mod issue;

use card_spec::{
    Fen, SuiteId, aid, apdu,
    keys::{KeyType, class},
    medical::{self, Balance},
    purse::{
        LoadInit,
        overdraft::{self, OverdraftInit, OverdraftUpdate},
    },
    suite::Key,
};
use common::{NOW, card, card_keys, config, create, ledger, load, load_request};
use ed25519_dalek::Signer;
use hsm::SoftHsm;
use hsm_client::{Account, Administration, Hsm, LimitOrder, LoadRequest, OverdraftRequest};
use issue::{ask, issued};

fn signed(mut request: OverdraftRequest) -> OverdraftRequest {
    let bytes = request.order.signing_bytes();
    request.order_signature = ledger().sign(&bytes).to_bytes().to_vec();
    request
}

/// A request for a new limit in yuan, with the MAC1 of a card whose DUK is `duk`.
fn limit_request(seq: u16, new_limit: i64, suite: SuiteId, duk: &Key) -> OverdraftRequest {
    let update = OverdraftUpdate {
        old_limit: Fen::ZERO,
        terminal: "350200000001".parse().unwrap(),
        seq,
        rnd: [1, 2, 3, 4],
        balance_before: Fen(500),
    };
    signed(OverdraftRequest {
        card: card(),
        suite,
        version: 1,
        terminal: update.terminal,
        rnd: update.rnd,
        balance_before: update.balance_before,
        mac1: update.mac1(suite, duk),
        order: LimitOrder {
            order_id: format!("order-{seq}"),
            pan: card().pan,
            seq,
            old_limit: update.old_limit,
            new_limit: Fen::yuan(new_limit),
            time: NOW.parse().unwrap(),
        },
        order_signature: vec![],
    })
}

fn refused<T: core::fmt::Debug>(result: hsm_client::Result<T>) -> u16 {
    result.unwrap_err().code()
}

#[test]
fn a_card_takes_its_limit_and_its_medical_load() {
    for suite in SuiteId::ALL {
        let directory = tempfile::tempdir().unwrap();
        let hsm = create(directory.path());
        let (mut holder, pin) = issued(&hsm, suite);
        let terminal = "350200000001".parse().unwrap();

        ask(&mut holder, &apdu::select(aid::T_UNION));
        ask(&mut holder, &apdu::verify(0, &pin));
        let answer = ask(&mut holder, &overdraft::init(class::ONLY, terminal));
        let init = OverdraftInit::from_bytes(&answer).unwrap();
        let request = signed(OverdraftRequest {
            card: card(),
            suite: init.suite,
            version: init.key_version,
            terminal,
            rnd: init.rnd,
            balance_before: init.balance,
            mac1: init.mac1,
            order: LimitOrder {
                order_id: "1".to_owned(),
                pan: card().pan,
                seq: init.seq,
                old_limit: init.limit,
                new_limit: Fen::yuan(20),
                time: NOW.parse().unwrap(),
            },
            order_signature: vec![],
        });
        ask(&mut holder, &hsm.authorize_overdraft(&request).unwrap());
        let limit = ask(&mut holder, &[0x80, 0x5C, 0x01, 0x02, 0x04]);
        assert_eq!(limit, Fen::yuan(20).to_card().unwrap());

        ask(&mut holder, &apdu::select(aid::SSSE_MEDICAL));
        ask(&mut holder, &apdu::verify(0, &pin));
        let amount = Fen::yuan(3000);
        let command = medical::init_load(class::ONLY, amount, terminal).unwrap();
        let init = LoadInit::from_bytes(&ask(&mut holder, &command)).unwrap();
        let mut request = LoadRequest {
            rnd: init.rnd,
            balance_before: init.balance,
            mac1: init.mac1,
            ..of_account(Account::Medical, init.seq, amount)
        };
        (request.suite, request.version) = (init.suite, init.key_version);
        // The same hold for the other account is another key and another label.
        let mut purse = request.clone();
        purse.hold.account = Account::Purse;
        assert_eq!(refused(hsm.authorize_load(&purse)), 3);
        let mac2 = hsm.authorize_load(&request).unwrap();
        let time = NOW.parse().unwrap();
        ask(&mut holder, &medical::credit_for_load(time, mac2));
        let balance = ask(&mut holder, &medical::get_balance(Balance::Personal));
        assert_eq!(balance, amount.to_card().unwrap());
    }
}

/// A signed hold, without a card's MAC1.
fn of_account(account: Account, seq: u16, amount: Fen) -> LoadRequest {
    let mut request = load_request(&load(seq, amount), SuiteId::Aes, &Key::new([0; 16]));
    request.hold.account = account;
    let signature = ledger().sign(&request.hold.signing_bytes());
    request.hold_signature = signature.to_bytes().to_vec();
    request
}

fn medical_request(seq: u16, amount: Fen, mlk: &Key) -> LoadRequest {
    let request = of_account(Account::Medical, seq, amount);
    let load = medical::Load {
        amount,
        terminal: request.terminal,
        seq,
        rnd: request.rnd,
        balance_before: request.balance_before,
    };
    LoadRequest {
        mac1: load.mac1(SuiteId::Aes, mlk),
        ..request
    }
}

/// One sequence of the purse: a load or a limit, of one content, across a restart; the medical
/// account counts its own.
#[test]
fn one_sequence_has_one_content() {
    let directory = tempfile::tempdir().unwrap();
    let mut hsm = create(directory.path());
    let suite = SuiteId::Aes;
    let [dlk, duk, mlk] = card_keys(&hsm, suite, [KeyType::Dlk, KeyType::Duk, KeyType::Mlk]);
    let limit = |seq, yuan| limit_request(seq, yuan, suite, &duk);
    let purse = |seq, yuan| load_request(&load(seq, Fen::yuan(yuan)), suite, &dlk);
    let medical = |seq, yuan| medical_request(seq, Fen::yuan(yuan), &mlk);
    hsm.authorize_load(&purse(4, 10)).unwrap();
    let command = hsm.authorize_overdraft(&limit(5, 20)).unwrap();
    let mac2 = hsm.authorize_load(&medical(5, 4000)).unwrap();
    for _ in 0..2 {
        assert_eq!(hsm.authorize_overdraft(&limit(5, 20)), Ok(command.clone()));
        assert_eq!(hsm.authorize_load(&medical(5, 4000)), Ok(mac2));
        for other in [limit(5, 19), limit(4, 10), limit(3, 10)] {
            assert_eq!(refused(hsm.authorize_overdraft(&other)), 4);
        }
        // The last is above the medical account's day.
        for other in [
            purse(5, 20),
            purse(4, 11),
            medical(5, 3999),
            medical(6, 1001),
        ] {
            assert_eq!(refused(hsm.authorize_load(&other)), 4);
        }
        drop(hsm);
        hsm = SoftHsm::open(config(directory.path())).unwrap();
    }
    hsm.authorize_load(&medical(6, 1000)).unwrap();
    hsm.authorize_load(&purse(6, 20)).unwrap();
    hsm.authorize_overdraft(&limit(7, 0)).unwrap();
}

#[test]
fn the_ledgers_order_the_limit_and_mac1_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let suite = SuiteId::Aes;
    let [dlk, duk] = card_keys(&hsm, suite, [KeyType::Dlk, KeyType::Duk]);
    let good = limit_request(1, 20, suite, &duk);
    let mut higher = good.clone();
    higher.order.new_limit = Fen::yuan(30);
    let mut unsigned = good.clone();
    unsigned.order_signature.clear();
    // A hold's signature over the same facts is no order.
    let mut hold = good.clone();
    hold.order_signature = load_request(&load(1, Fen::yuan(20)), suite, &dlk).hold_signature;
    for forged in [&higher, &unsigned, &hold] {
        assert_eq!(refused(hsm.authorize_overdraft(forged)), 3);
    }
    let mut other = good.clone();
    other.card.pan = "03500000000000009999".parse().unwrap();
    assert_eq!(refused(hsm.authorize_overdraft(&other)), 7);
    let too_high = limit_request(1, 51, suite, &duk);
    assert_eq!(refused(hsm.authorize_overdraft(&too_high)), 4);
    let below = limit_request(1, -1, suite, &duk);
    assert_eq!(refused(hsm.authorize_overdraft(&below)), 7);

    // Wrong MAC1s of limits lock the card's loads too.
    let wrong = limit_request(1, 20, suite, &dlk);
    for _ in 0..3 {
        assert_eq!(refused(hsm.authorize_overdraft(&wrong)), 3);
    }
    let right = load_request(&load(1, Fen(100)), suite, &dlk);
    assert_eq!(refused(hsm.authorize_overdraft(&good)), 4);
    assert_eq!(refused(hsm.authorize_load(&right)), 4);
    hsm.clear_load_lock(card().pan).unwrap();
    assert!(hsm.authorize_overdraft(&good).is_ok());
}

/// The load memory of an earlier day beside today's log: a sequence would get a second content.
#[test]
fn an_old_load_memory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let hsm = create(path);
    let [dlk] = card_keys(&hsm, SuiteId::Aes, [KeyType::Dlk]);
    let order = |amount| load_request(&load(7, amount), SuiteId::Aes, &dlk);
    let names = ["loads.jsonl", "loads.jsonl.head"].map(|name| path.join(name));
    let old = names.each_ref().map(|name| std::fs::read(name).unwrap());
    hsm.authorize_load(&order(Fen(1_000))).unwrap();
    drop(hsm);
    let new = names.each_ref().map(|name| std::fs::read(name).unwrap());
    let put = |files: [Vec<u8>; 2]| {
        for (name, bytes) in names.iter().zip(files) {
            std::fs::write(name, bytes).unwrap();
        }
    };
    put(old);
    let hsm = SoftHsm::open(config(path)).unwrap();
    let error = hsm.authorize_load(&order(Fen(99_900))).unwrap_err();
    assert_eq!(error.code(), 6, "{error}");
    drop(hsm);
    put(new);
    let hsm = SoftHsm::open(config(path)).unwrap();
    assert!(hsm.authorize_load(&order(Fen(1_000))).is_ok());
}
