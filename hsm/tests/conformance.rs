//! The same HSM on every backend: same keys, same answers, same refusals. What differs by ability is
//! in one table. (Published vectors of each backend are in `hsm/src/backend/tests.rs`.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use card_spec::{
    Fen, SuiteId,
    id::Pan,
    keys::{KeyHeader, KeyType},
};
use common::{
    NOW, ReferenceCard, card, config, create, create_from, header, issuer_session, key_of, load,
    load_request,
    token::{destroy_all, forget, on_token, softhsm},
};
use hsm::{SoftHsm, Zeroizing};
use hsm_client::{CardRef, Hsm, HsmError, KeyOrder, ProofCheck, Result};

/// What a backend can do. Everything else is the same on all.
struct Ability {
    suites: &'static [SuiteId],
    /// The card maker's copy of the transport masters can be made at any time.
    exports: bool,
}

const SOFT: Ability = Ability {
    suites: &SuiteId::ALL,
    exports: true,
};

const SOFTHSM: Ability = Ability {
    suites: &[SuiteId::Aes, SuiteId::Tdes],
    exports: false,
};

const KRYOPTIC: Ability = Ability {
    suites: &[SuiteId::Aes],
    exports: false,
};

fn token() -> &'static Ability {
    if softhsm::has_des() {
        &SOFTHSM
    } else {
        &KRYOPTIC
    }
}

fn code<T>(result: Result<T>) -> core::result::Result<(), u16> {
    result.map(|_| ()).map_err(|e| e.code())
}

fn load_check(suite: SuiteId, seq: u16, tac: [u8; 4], region: &str) -> ProofCheck {
    let l = load(seq, Fen(1000));
    ProofCheck::Load {
        card: CardRef {
            region: region.parse().unwrap(),
            ..card()
        },
        suite,
        version: 1,
        amount: l.amount,
        terminal: l.terminal,
        time: NOW.parse().unwrap(),
        seq,
        balance_before: l.balance_before,
        tac,
    }
}

/// Every operation that needs a master of a suite, and what it answered.
fn day(hsm: &SoftHsm, maker: &SoftHsm, suite: SuiteId, blank: u64) -> Vec<(&'static str, Vec<u8>)> {
    let serial = |n| format!("{n:020}").parse::<Pan>().unwrap();
    let mut answers = Vec::new();
    let mut blank_card = ReferenceCard::blank(maker, serial(blank));
    let session = issuer_session(hsm, &mut blank_card);
    let headers: Vec<KeyHeader> = hsm::catalog()
        .into_iter()
        .filter(|h| h.suite == suite && (h.key_type as u8) < 0x30)
        .collect();
    let order = KeyOrder::Card {
        card: card(),
        headers: headers.clone(),
    };
    let wrapped = hsm.wrap_keys(session, &order).unwrap();
    let key = |key_type| {
        let at = headers.iter().position(|h| h.key_type == key_type).unwrap();
        key_of(&blank_card, &wrapped[at]).1
    };
    let (dtk, dlk) = (key(KeyType::Dtk), key(KeyType::Dlk));
    answers.push(("card keys", wrapped.concat()));

    let mut blank_sam = ReferenceCard::blank(maker, serial(blank + 1));
    let session = issuer_session(hsm, &mut blank_sam);
    let sam = KeyOrder::Sam {
        sam: "350200000001".parse().unwrap(),
        iin: card().pan.iin(),
        regions: vec!["350200".parse().unwrap(), "350100".parse().unwrap()],
        headers: vec![
            header(KeyType::Dpk, 1, suite),
            header(KeyType::Irk, 1, suite),
            header(KeyType::SamCeiling, 1, SuiteId::Aes),
        ],
    };
    answers.push(("SAM keys", hsm.wrap_keys(session, &sam).unwrap().concat()));

    let tac = load(1, Fen(1000)).tac(suite, &dtk, NOW.parse().unwrap());
    let checks = [
        load_check(suite, 1, tac, "350200"),
        load_check(suite, 2, tac, "350200"),
        load_check(suite, 1, tac, "350100"),
    ];
    let verified = hsm.verify(&checks).unwrap();
    assert_eq!(verified, [Ok(true), Ok(false), Ok(false)]);

    // Three suites load in turn: each its own online sequence.
    let l = load(10 + suite as u16, Fen(1000));
    let mac2 = hsm.authorize_load(&load_request(&l, suite, &dlk)).unwrap();
    assert_eq!(mac2, l.mac2(suite, &dlk, NOW.parse().unwrap()));
    answers.push(("MAC2", mac2.to_vec()));
    let ceiling = hsm.sam_ceiling_mac("350200000001".parse().unwrap(), 1, [4; 8], 99);
    answers.push(("ceiling MAC", ceiling.unwrap().to_vec()));
    answers
}

fn conforms(hsm: &SoftHsm, reference: &SoftHsm, ability: &Ability) {
    let held = |h: &dyn Hsm| {
        let mut keys = h.keys().unwrap();
        keys.retain(|k| ability.suites.contains(&k.suite));
        keys
    };
    assert_eq!(held(hsm), held(reference), "the same masters");
    assert_eq!(hsm.keys().unwrap().len(), held(hsm).len(), "and no others");
    assert_eq!(hsm.own_keys().unwrap(), reference.own_keys().unwrap());
    for (suite, blank) in [SuiteId::Tdes, SuiteId::Sm4, SuiteId::Aes]
        .into_iter()
        .zip([10, 20, 30])
    {
        if ability.suites.contains(&suite) {
            assert_eq!(
                day(hsm, reference, suite, blank),
                day(reference, reference, suite, blank)
            );
            continue;
        }
        assert!(hsm.left_out().contains(&suite));
        let verified = hsm
            .verify(&[load_check(suite, 1, [0; 4], "350200")])
            .unwrap();
        assert_eq!(
            code(verified[0].clone()),
            Err(31),
            "refused, not done elsewhere"
        );
    }
    // Refusals.
    let verify = |check| code(hsm.verify(&[check]).unwrap().remove(0));
    let mut unknown = load_check(SuiteId::Aes, 1, [0; 4], "350200");
    if let ProofCheck::Load { version, .. } = &mut unknown {
        *version = 9;
    }
    assert_eq!(verify(unknown), Err(1));
    assert_eq!(
        code(hsm.manufacturer(&hsm.authorised().unwrap())),
        if ability.exports { Ok(()) } else { Err(31) }
    );
}

#[test]
fn soft() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [hsm, reference] = directories.each_ref().map(|d| create(d.path()));
    conforms(&hsm, &reference, &SOFT);
}

#[test]
fn softhsm_token() {
    softhsm::with_softhsm("softhsm_token", |at| {
        let reference = create(&at.join("reference"));
        let made = create_from(on_token(&at.join("hsm"))).unwrap();
        conforms(&made, &reference, token());
        drop(made);
        let opened = SoftHsm::open(on_token(&at.join("hsm"))).unwrap();
        let fresh = create(&at.join("fresh"));
        assert_eq!(
            day(&opened, &fresh, SuiteId::Aes, 50).first(),
            day(&fresh, &fresh, SuiteId::Aes, 50).first()
        );
    });
}

/// A store and its token belong together, and nothing is left behind by an attempt that failed.
#[test]
fn a_store_opens_with_its_own_token_only() {
    softhsm::with_softhsm("a_store_opens_with_its_own_token_only", |at| {
        let why = |config| match SoftHsm::open(config) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("opened"),
        };
        drop(create(&at.join("soft")));
        assert!(why(on_token(&at.join("soft"))).contains("open it without a token"));

        drop(create_from(on_token(&at.join("hsm"))).unwrap());
        assert!(why(config(&at.join("hsm"))).contains("name the token's module"));
        let mut wrong = on_token(&at.join("hsm"));
        wrong.passphrase = Zeroizing::new("guess".to_owned());
        assert!(why(wrong).contains("wrong passphrase"));

        // The same seed again would have the same key names: refused, and the keys there still work.
        let again = create_from(on_token(&at.join("again")));
        assert_eq!(code(again), Err(4));
        drop(SoftHsm::open(on_token(&at.join("hsm"))).unwrap());

        // Without the token's keys, file and passphrase open nothing.
        destroy_all();
        assert!(matches!(
            SoftHsm::open(on_token(&at.join("hsm"))),
            Err(HsmError::UnknownKey { .. } | HsmError::Backend { .. })
        ));
    });
}

/// The token is pulled out under a running HSM: a numbered error, two audit lines, and on it goes.
#[test]
fn a_killed_token_is_an_error_a_line_and_a_recovery() {
    softhsm::with_softhsm("a_killed_token_is_an_error_a_line_and_a_recovery", |at| {
        let directory = at.join("hsm");
        let hsm = create_from(on_token(&directory)).unwrap();
        let ask = |region: &str| {
            code(
                hsm.verify(&[load_check(SuiteId::Aes, 1, [0; 4], region)])
                    .unwrap()
                    .remove(0),
            )
        };
        assert_eq!(ask("350100"), Ok(()));
        let (tokens, away) = (at.join("tokens"), at.join("away"));
        fs::rename(&tokens, &away).unwrap();
        // The module itself notices when it is asked anew.
        forget();
        assert_eq!(ask("350200"), Err(30));
        assert_eq!(ask("350300"), Err(30));
        assert_eq!(ask("350100"), Ok(()), "what was derived before goes on");
        assert!(
            hsm.sam_ceiling_mac("350200000001".parse().unwrap(), 1, [4; 8], 99)
                .is_err()
        );
        fs::rename(&away, &tokens).unwrap();
        assert_eq!(ask("350200"), Ok(()));
        drop(hsm);
        let log = fs::read_to_string(directory.join("audit.jsonl")).unwrap();
        let acts = ["token-lost", "token-recovered"];
        assert_eq!(acts.map(|act| log.matches(act).count()), [1, 1]);
        hsm::audit::verify(&directory.join("audit.jsonl")).unwrap();
    });
}
