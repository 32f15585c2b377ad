//! TACs, presence, loads: what the clearing house asks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    keys::{KeyType, ssse_process_key},
    medical::{Split, Visit},
    purse::{
        TxType,
        mac::{Context, Purchase},
    },
};
use common::{NOW, card, card_keys, config, create, load, load_request};
use hsm::SoftHsm;
use hsm_client::{Administration, Hsm, HsmError, ProofCheck};

fn purchase() -> Purchase {
    Purchase {
        amount: Fen(200),
        tx: TxType::Capp,
        terminal: "350200000001".parse().unwrap(),
        terminal_seq: 77,
        time: NOW.parse().unwrap(),
        seq: 5,
        rnd: [1, 2, 3, 4],
        context: Context {
            h0: [3; 8],
            h1: [4; 8],
        },
    }
}

fn purchase_check(suite: SuiteId, p: &Purchase, balance_after: Fen, tac: [u8; 4]) -> ProofCheck {
    ProofCheck::Purchase {
        card: card(),
        suite,
        version: 1,
        amount: p.amount,
        tx: p.tx,
        terminal: p.terminal,
        terminal_seq: p.terminal_seq,
        time: p.time,
        seq: p.seq,
        balance_after,
        context: p.context,
        tac,
    }
}

#[test]
fn proofs_of_the_card_verify_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    for suite in SuiteId::ALL {
        let [dtk, mtk, irk, dlk] = card_keys(
            &hsm,
            suite,
            [KeyType::Dtk, KeyType::Mtk, KeyType::Irk, KeyType::Dlk],
        );
        let p = purchase();
        let tac = p.tac(suite, &dtk, Fen(800));
        let l = load(3, Fen(10_000));
        let load_tac = l.tac(suite, &dtk, NOW.parse().unwrap());
        let visit = Visit {
            split: Split {
                personal: Fen(452),
                self_paid: Fen(23),
                pooled: Fen(9),
            },
            terminal: p.terminal,
            terminal_seq: 9,
            time: p.time,
            seq: 2,
            rnd: [0; 4],
        };
        let challenge = [0xAB; 8];
        let process = ssse_process_key(&irk, suite, &challenge);
        let load_check = |tac| ProofCheck::Load {
            card: card(),
            suite,
            version: 1,
            amount: l.amount,
            terminal: l.terminal,
            time: NOW.parse().unwrap(),
            seq: l.seq,
            balance_before: l.balance_before,
            tac,
        };
        let visit_check = |tac| ProofCheck::Visit {
            card: card(),
            suite,
            version: 1,
            split: visit.split,
            terminal: visit.terminal,
            terminal_seq: visit.terminal_seq,
            time: visit.time,
            seq: visit.seq,
            balance_after: Fen(100),
            tac,
        };
        let presence = |cryptogram| ProofCheck::Presence {
            card: card(),
            suite,
            version: 1,
            challenge,
            cryptogram,
        };
        let good = [
            purchase_check(suite, &p, Fen(800), tac),
            load_check(load_tac),
            visit_check(visit.tac(suite, &mtk, Fen(100))),
            presence(process.cryptogram8(suite, &challenge)),
        ];
        assert_eq!(hsm.verify(&good).unwrap(), vec![Ok(true); 4], "{suite:?}");
        // Keys of other uses, and the card key without its process level.
        let bad = [
            purchase_check(suite, &p, Fen(800), p.tac(suite, &dlk, Fen(800))),
            purchase_check(
                suite,
                &Purchase {
                    amount: Fen(201),
                    ..p
                },
                Fen(800),
                tac,
            ),
            load_check(l.tac(suite, &dlk, NOW.parse().unwrap())),
            visit_check(visit.tac(suite, &dtk, Fen(100))),
            presence(irk.cryptogram8(suite, &challenge)),
        ];
        assert_eq!(hsm.verify(&bad).unwrap(), vec![Ok(false); 5], "{suite:?}");
    }
}

#[test]
fn one_bad_item_does_not_spoil_a_batch() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let [dtk] = card_keys(&hsm, SuiteId::Aes, [KeyType::Dtk]);
    let p = purchase();
    let good = purchase_check(
        SuiteId::Aes,
        &p,
        Fen(800),
        p.tac(SuiteId::Aes, &dtk, Fen(800)),
    );
    let mut unknown = good.clone();
    let mut negative = good.clone();
    if let ProofCheck::Purchase { version, .. } = &mut unknown {
        *version = 9;
    }
    if let ProofCheck::Purchase { amount, .. } = &mut negative {
        *amount = Fen(-1);
    }
    let huge = ProofCheck::Load {
        card: card(),
        suite: SuiteId::Aes,
        version: 1,
        amount: Fen(i64::MAX),
        terminal: p.terminal,
        time: p.time,
        seq: 1,
        balance_before: Fen(i64::MAX),
        tac: [0; 4],
    };
    let answers = hsm
        .verify(&[good.clone(), unknown, negative, huge, good])
        .unwrap();
    assert_eq!(answers[0], Ok(true));
    assert!(matches!(answers[1], Err(HsmError::UnknownKey { .. })));
    assert!(matches!(answers[2], Err(HsmError::Malformed { .. })));
    assert!(matches!(answers[3], Err(HsmError::Malformed { .. })));
    assert_eq!(answers[4], Ok(true));
}

#[test]
fn a_load_is_authorised_once_per_sequence() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    for (seq, suite) in (1..).zip(SuiteId::ALL) {
        let [dlk] = card_keys(&hsm, suite, [KeyType::Dlk]);
        let l = load(seq, Fen(10_000));
        let request = load_request(&l, suite, &dlk);
        let mac2 = hsm.authorize_load(&request).unwrap();
        assert_eq!(mac2, l.mac2(suite, &dlk, NOW.parse().unwrap()));
        assert_eq!(hsm.authorize_load(&request), Ok(mac2), "a repeat");
        let more = load_request(&load(seq, Fen(20_000)), suite, &dlk);
        assert!(matches!(
            hsm.authorize_load(&more),
            Err(HsmError::Refused { .. })
        ));
        // INIT again: a new random number, the same amount; the card takes only this MAC2.
        let again = card_spec::purse::mac::Load { rnd: [9; 4], ..l };
        assert_eq!(
            hsm.authorize_load(&load_request(&again, suite, &dlk)),
            Ok(again.mac2(suite, &dlk, NOW.parse().unwrap()))
        );
    }
    // The memory survives a restart.
    let [dlk] = card_keys(&hsm, SuiteId::Aes, [KeyType::Dlk]);
    drop(hsm);
    let hsm = SoftHsm::open(config(directory.path())).unwrap();
    for seq in [1, 2, 3] {
        let more = load_request(&load(seq, Fen(1)), SuiteId::Aes, &dlk);
        assert!(matches!(
            hsm.authorize_load(&more),
            Err(HsmError::Refused { .. })
        ));
    }
}

#[test]
fn holds_limits_and_mac1_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let suite = SuiteId::Aes;
    let [dlk, dtk] = card_keys(&hsm, suite, [KeyType::Dlk, KeyType::Dtk]);
    let good = load_request(&load(1, Fen(10_000)), suite, &dlk);

    let mut larger = good.clone();
    larger.hold.amount = Fen(10_001);
    assert!(matches!(
        hsm.authorize_load(&larger),
        Err(HsmError::NotAuthentic { .. })
    ));
    let mut unsigned = good.clone();
    unsigned.hold_signature.clear();
    assert!(matches!(
        hsm.authorize_load(&unsigned),
        Err(HsmError::NotAuthentic { .. })
    ));
    let mut other = good.clone();
    other.card.pan = "03500000000000009999".parse().unwrap();
    assert!(matches!(
        hsm.authorize_load(&other),
        Err(HsmError::Malformed { .. })
    ));
    for amount in [Fen(0), Fen(-5), Fen(100_001)] {
        assert!(
            hsm.authorize_load(&load_request(&load(1, amount), suite, &dlk))
                .is_err()
        );
    }

    // A MAC1 under another key of the same card; two failures, then right: the count starts anew.
    let forged = load_request(&load(1, Fen(10_000)), suite, &dtk);
    let fail = || {
        assert!(matches!(
            hsm.authorize_load(&forged),
            Err(HsmError::NotAuthentic { .. })
        ));
    };
    fail();
    fail();
    assert!(hsm.authorize_load(&good).is_ok());
    fail();
    fail();
    fail();
    assert!(matches!(
        hsm.authorize_load(&good),
        Err(HsmError::Refused { .. })
    ));
    hsm.clear_load_lock(card().pan).unwrap();
    assert!(hsm.authorize_load(&good).is_ok());
}

#[test]
fn without_the_ledgers_key_no_load() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let [dlk] = card_keys(&hsm, SuiteId::Aes, [KeyType::Dlk]);
    drop(hsm);
    let mut config = config(directory.path());
    config.ledger_key = None;
    let hsm = SoftHsm::open(config).unwrap();
    assert!(matches!(
        hsm.authorize_load(&load_request(&load(1, Fen(1)), SuiteId::Aes, &dlk)),
        Err(HsmError::WrongState { .. })
    ));
}
