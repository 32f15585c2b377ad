//! Outcomes of records, what they move, and the two steps.

use crate::world::*;
use card_spec::{
    Fen,
    id::{Generation, RegionCode},
    purse::files::CardKind,
};
use clearing_api::{
    BatchOutcome, Outcome, Record,
    client::sign_body,
    record::{Debit, Event, Purchase, Service},
    registry::ListCard,
};
use std::sync::atomic::Ordering;

pub(crate) fn first_tap() -> Tap {
    Tap {
        card: 1,
        seq: 0,
        before: 10_000,
        amount: fare(),
        sam: 1,
        terminal_seq: 1,
    }
}

pub(crate) fn changed(journal_seq: u64, base: Tap, change: impl FnOnce(&mut Purchase)) -> Record {
    let mut purchase = purchase(base);
    change(&mut purchase);
    record(journal_seq, Event::Purchase(purchase))
}

#[tokio::test]
async fn a_tap_is_paid_to_its_operator_once() {
    let world = World::new().await;
    world.load(1, 0, 10_000).await;
    assert_eq!(
        world.outcome(1, tap(1, first_tap())).await,
        Outcome::Accepted
    );
    // The same bytes again: the first answer, nothing done.
    let again = world.upload(1, vec![tap(1, first_tap())]).await;
    assert_eq!(again.outcome, BatchOutcome::Repeated);
    assert_eq!(again.items[0].outcome, Outcome::Accepted);
    // The same debit in another journal place.
    assert_eq!(
        world.outcome(1, tap(2, first_tap())).await,
        Outcome::Duplicate
    );
    assert_eq!(world.balance("operator:FZBUS").await, fare());
    assert_eq!(world.balance("purse-float").await, 10_000 - fare());
    let shadow = world.house.card_shadow(pan(1)).await.unwrap();
    assert_eq!(
        (shadow.last_seq, shadow.balance.0),
        (Some(0), 10_000 - fare())
    );
}

#[tokio::test]
async fn batches_are_refused_as_a_whole_by_number() {
    let world = World::new().await;
    let body = serde_json::to_vec(&batch(1, vec![tap(1, first_tap())])).unwrap();
    let by_another = sign_body(&device_key(2), &body);
    let outcome = |answer: clearing_api::BatchAnswer| answer.outcome;
    let refused = world.house.upload(&body, &by_another).await.unwrap();
    assert_eq!(outcome(refused), BatchOutcome::BadSignature);
    assert_eq!(
        outcome(world.upload_bytes(1, b"{\"device\":1}").await),
        BatchOutcome::Malformed
    );
    let unknown = serde_json::to_vec(&batch(77, vec![tap(1, first_tap())])).unwrap();
    assert_eq!(
        outcome(world.upload_bytes(77, &unknown).await),
        BatchOutcome::UnknownDevice
    );
    let mut holed = batch(1, vec![tap(1, first_tap()), tap(3, first_tap())]);
    holed.last = 3;
    let holed = serde_json::to_vec(&holed).unwrap();
    assert_eq!(
        outcome(world.upload_bytes(1, &holed).await),
        BatchOutcome::Malformed
    );
    assert_eq!(
        outcome(world.upload_bytes(1, &body).await),
        BatchOutcome::Admitted
    );
    // Overlapping range, other bytes.
    let other = batch(
        1,
        vec![
            tap(
                1,
                Tap {
                    amount: 100,
                    ..first_tap()
                },
            ),
            tap(2, first_tap()),
        ],
    );
    let other = serde_json::to_vec(&other).unwrap();
    assert_eq!(
        outcome(world.upload_bytes(1, &other).await),
        BatchOutcome::RangeConflict
    );
    assert_eq!(world.report().await.modes["bus"].events, 1);
}

/// A ride that a pass paid is re-rated with the pass that was on the card; without it, or with
/// one that is used up, nothing was paid for.
#[tokio::test]
async fn re_rating_knows_the_passes_on_the_card() {
    let world = World::new().await;
    world.load(1, 0, 10_000).await;
    // Fuzhou, pass 1 (adult-100) to 30 November 2026 (day 9830 since 2000).
    let state = |rides_left: u8| {
        let mut bytes = fare::FareState::new("3501".to_owned().try_into().unwrap()).to_bytes();
        bytes[22..26].copy_from_slice(&[1, 0x26, 0x66, rides_left]);
        Some(hex::encode(bytes))
    };
    for (n, on_card, expected) in [
        (1, state(7), Outcome::Accepted),
        (2, state(0), Outcome::PriceQueried),
        (3, None, Outcome::PriceQueried),
    ] {
        let free = Tap {
            amount: 0,
            seq: u16::try_from(n).unwrap() - 1,
            terminal_seq: n,
            ..first_tap()
        };
        let ride = changed(n.into(), free, |p| {
            if let Service::Bus { state, .. } = &mut p.service {
                *state = on_card;
            }
        });
        assert_eq!(world.outcome(1, ride).await, expected, "{n}");
    }
}

/// What a pass costs is its contract's business: another amount, an unknown pass, and one that the
/// card holds already are queried.
#[tokio::test]
async fn re_rating_prices_the_sale_of_a_pass() {
    let world = World::new().await;
    world.load(1, 0, 20_000).await;
    let city: RegionCode = "350100".parse().unwrap();
    let empty = fare::FareState::new(city.into()).to_bytes();
    let mut held = empty;
    // adult-100 to 30 November 2026, all its rides left.
    held[22..26].copy_from_slice(&[1, 0x26, 0x66, 100]);
    let mut before = 20_000;
    for (n, pass, amount, state, expected) in [
        (1, "adult-100", 5_000, empty, Outcome::Accepted),
        (2, "adult-100", 4_000, empty, Outcome::PriceQueried),
        (3, "adult-9", 5_000, empty, Outcome::PriceQueried),
        (4, "adult-100", 5_000, held, Outcome::PriceQueried),
    ] {
        let paid = Tap {
            amount,
            before,
            seq: u16::try_from(n).unwrap() - 1,
            terminal_seq: n,
            ..first_tap()
        };
        before -= amount;
        let sale = changed(n.into(), paid, |p| {
            p.service = Service::Pass {
                operator: p.service.operator().to_owned(),
                city,
                pass: pass.to_owned(),
                from: p.time,
                state: hex::encode(state),
                age: None,
                kind: CardKind::Normal,
            };
        });
        assert_eq!(world.outcome(1, sale).await, expected, "{n}");
    }
}

#[tokio::test]
async fn checks_come_in_their_order() {
    let world = World::new().await;
    world.load(1, 0, 10_000).await;
    let t = |terminal_seq, seq| Tap {
        terminal_seq,
        seq,
        ..first_tap()
    };
    let cases: Vec<(Outcome, Record)> = vec![
        (
            Outcome::Malformed,
            changed(1, t(1, 0), |p| p.balance_after = Fen(1)),
        ),
        (
            Outcome::UnknownOperator,
            changed(2, t(2, 0), |p| {
                if let Service::Bus { operator, .. } = &mut p.service {
                    *operator = "NOBODY".into();
                }
            }),
        ),
        (
            Outcome::UnknownOperator,
            changed(3, t(3, 0), |p| {
                if let Service::Bus { operator, .. } = &mut p.service {
                    *operator = POS.into();
                }
            }),
        ),
        (
            Outcome::UnknownSam,
            changed(4, t(4, 0), |p| p.key_index = 2),
        ),
        (
            Outcome::UnknownCard,
            tap(
                5,
                Tap {
                    card: 99,
                    ..t(5, 0)
                },
            ),
        ),
        (
            Outcome::UnknownCard,
            changed(6, t(6, 0), |p| p.card.generation = Generation(2)),
        ),
        (
            Outcome::SampleCard,
            changed(7, t(7, 0), |p| {
                p.card.pan = "09990000000000000001".parse().unwrap()
            }),
        ),
        (
            Outcome::WrongTac,
            changed(8, t(8, 1), |p| p.debit = Debit::Done { tac: [9; 4] }),
        ),
        (
            Outcome::WrongTac,
            changed(9, t(9, 1), |p| {
                p.balance_before = Fen(9_000);
                p.balance_after = Fen(9_000 - p.amount.0);
            }),
        ),
        // A spare key of the same class is as good.
        (
            Outcome::Accepted,
            changed(10, t(10, 2), |p| p.key_index = 0x11),
        ),
    ];
    let records: Vec<Record> = cases.iter().map(|(_, record)| record.clone()).collect();
    let answer = world.upload(1, records).await;
    let found: Vec<(u64, Outcome)> = answer
        .items
        .iter()
        .map(|i| (i.journal_seq, i.outcome))
        .collect();
    let wanted: Vec<(u64, Outcome)> = cases.iter().map(|(o, r)| (r.journal_seq, *o)).collect();
    assert_eq!(found, wanted);
    assert!(
        answer
            .items
            .iter()
            .all(|item| item.number == item.outcome.number())
    );
}

/// Money that a valid TAC proves to have left the card leaves the float, paid out or not.
#[tokio::test]
async fn refused_but_proved_debits_go_to_suspense() {
    let world = World::new().await;
    world.load(1, 0, 50_000).await;
    let t = |seq: u16, sam, amount| Tap {
        card: 1,
        seq,
        before: 50_000,
        amount,
        sam,
        terminal_seq: u32::from(seq) + 1,
    };
    assert_eq!(
        world.outcome(1, tap(1, t(0, 7777, 300))).await,
        Outcome::UnknownSam
    );
    assert_eq!(
        world.outcome(1, tap(2, t(1, 66, 300))).await,
        Outcome::RevokedSam
    );
    assert_eq!(
        world.outcome(1, tap(3, t(2, 1, 9_900))).await,
        Outcome::PriceImplausible
    );
    assert_eq!(
        world.outcome(1, tap(4, t(3, 1, fare() + 100))).await,
        Outcome::PriceQueried
    );
    assert_eq!(world.balance("suspense").await, 300 + 300 + 9_900);
    assert_eq!(world.balance("operator:FZBUS").await, fare() + 100);
    assert_eq!(
        world.balance("purse-float").await,
        50_000 - 10_500 - fare() - 100
    );
}

#[tokio::test]
async fn a_second_valid_tac_for_one_sequence_is_a_clone_and_lists_the_card() {
    let world = World::new().await;
    assert_eq!(
        world.outcome(1, tap(1, first_tap())).await,
        Outcome::Accepted
    );
    let twin = Tap {
        sam: 2,
        terminal_seq: 9,
        ..first_tap()
    };
    assert_eq!(world.outcome(2, tap(1, twin)).await, Outcome::Clone);
    let hotlist = world.house.hotlist(0).await.unwrap();
    assert_eq!(hotlist.entries.len(), 1);
    assert_eq!(
        (hotlist.entries[0].pan, hotlist.entries[0].reason.as_str()),
        (pan(1), "clone")
    );
    // Both rows are kept; money moved once.
    assert_eq!(world.report().await.modes["bus"].events, 2);
    assert_eq!(world.balance("operator:FZBUS").await, fare());
    // One SAM sequence for two cards.
    let same_sam = Tap {
        card: 2,
        ..first_tap()
    };
    assert_eq!(
        world.outcome(3, tap(1, same_sam)).await,
        Outcome::SamSequenceConflict
    );
    assert_eq!(world.balance("suspense").await, fare());
}

/// A tap with an SM4 card; `seq` is not in its TAC.
pub(crate) fn sm4_tap(journal_seq: u64, base: Tap, seq: u16) -> Record {
    changed(journal_seq, base, |p| {
        p.card.suite = card_spec::SuiteId::Sm4;
        p.seq = seq;
        let tac = card_spec::purse::mac::Purchase {
            amount: p.amount,
            tx: p.tx,
            terminal: p.sam,
            terminal_seq: p.terminal_seq,
            time: p.time,
            seq,
            rnd: [0; 4],
            context: p.context,
        };
        let card = card_ref(base.card);
        let key = crate::fake_hsm::key_of(card_spec::keys::KeyType::Dtk, card, p.card.suite);
        p.debit = Debit::Done {
            tac: tac.tac(p.card.suite, &key, p.balance_after),
        };
    })
}

/// SM4 leaves the sequence out of the TAC: replaying a debit under another sequence moves nothing.
#[tokio::test]
async fn a_replayed_pboc_tac_moves_nothing() {
    let world = World::new().await;
    let sm4 = |journal_seq, seq| sm4_tap(journal_seq, first_tap(), seq);
    assert_eq!(world.outcome(1, sm4(1, 0)).await, Outcome::Accepted);
    assert_eq!(world.outcome(1, sm4(2, 1)).await, Outcome::Duplicate);
    assert_eq!(world.balance("purse-float").await, -fare());
}

#[tokio::test]
async fn hotlisted_cards_are_the_operators_loss() {
    let world = World::new().await;
    let entry = ListCard {
        pan: pan(1),
        generation: Generation(1),
        reason: "lost".into(),
    };
    let listed = world.house.list_card(&entry).await.unwrap();
    assert_eq!(listed.version, 1);
    assert_eq!(world.house.list_card(&entry).await.unwrap(), listed);
    // The device held an older list: not its fault on the day of the listing.
    assert_eq!(
        world.outcome(1, tap(1, first_tap())).await,
        Outcome::Accepted
    );
    let mut knew = tap(
        2,
        Tap {
            seq: 1,
            terminal_seq: 2,
            ..first_tap()
        },
    );
    knew.hotlist_version = 1;
    assert_eq!(world.outcome(1, knew).await, Outcome::Hotlisted);
    assert_eq!(world.balance("suspense").await, fare());
    // Another generation is not blocked.
    let hotlist = world.house.hotlist(0).await.unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[0x51; 32]).verifying_key();
    let signature =
        ed25519_dalek::Signature::from_slice(&hex::decode(&hotlist.signature).unwrap()).unwrap();
    assert!(
        key.verify_strict(&hotlist.signing_bytes(), &signature)
            .is_ok()
    );
    assert!(world.house.hotlist(1).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn torn_debits_wait_for_the_record_that_completes_them() {
    let world = World::new().await;
    world.load(1, 0, 10_000).await;
    let torn = |n, t: Tap| changed(n, t, |p| p.debit = Debit::Unknown);
    let second = Tap {
        seq: 1,
        terminal_seq: 2,
        ..first_tap()
    };
    assert_eq!(
        world.outcome(1, torn(1, first_tap())).await,
        Outcome::HeldUnknown
    );
    assert_eq!(
        world.outcome(1, torn(2, second)).await,
        Outcome::HeldUnknown
    );
    let pending = world.report().await.pending;
    assert_eq!(pending.len(), 2);
    assert_eq!(
        (pending[0].kind.as_str(), pending[0].amount.0),
        ("torn-debit", -fare())
    );
    assert_eq!(world.balance("purse-float").await, 10_000);
    // One happened, one did not.
    let mut done = tap(3, first_tap());
    done.completes = Some(1);
    assert_eq!(world.outcome(1, done).await, Outcome::CompletedTorn);
    let mut not = changed(4, second, |p| p.debit = Debit::NotDone);
    not.completes = Some(2);
    assert_eq!(world.outcome(1, not).await, Outcome::ClosedTorn);
    assert!(world.report().await.pending.is_empty());
    assert_eq!(world.balance("purse-float").await, 10_000 - fare());
    assert_eq!(world.balance("operator:FZBUS").await, fare());
}

/// The HSM fails after admission, then the process dies: what was admitted is applied at the next
/// sweep, once, and the device gets its answer.
#[tokio::test]
async fn a_crash_between_admission_and_application_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clearing.db");
    let body = serde_json::to_vec(&batch(1, vec![tap(1, first_tap())])).unwrap();
    let signature = sign_body(&device_key(1), &body);
    {
        let world =
            World::with_store(clearing::SqliteStore::open(Some(&path)).await.unwrap()).await;
        world.hsm.down.store(true, Ordering::SeqCst);
        let error = world.house.upload(&body, &signature).await.unwrap_err();
        assert!(matches!(error, clearing::ClearingError::Hsm(_)), "{error}");
        assert_eq!(world.report().await.modes["bus"].events, 0);
        world.house.store().shut().await;
    }
    let world = World::with_store(clearing::SqliteStore::open(Some(&path)).await.unwrap()).await;
    assert_eq!(world.house.sweep().await.unwrap(), 1);
    assert_eq!(world.house.sweep().await.unwrap(), 0);
    assert_eq!(world.balance("operator:FZBUS").await, fare());
    let answer = world.upload_bytes(1, &body).await;
    assert_eq!(answer.outcome, BatchOutcome::Repeated);
    assert_eq!(answer.items[0].outcome, Outcome::Accepted);
}
