//! What a hostile device, replay or forged upload must not achieve.

use crate::ingest::{changed, first_tap, sm4_tap};
use crate::world::*;
use card_spec::{id::Generation, time::CardTime};
use clearing_api::{
    Outcome,
    record::{Debit, Event},
    registry::ListCard,
};

async fn list(world: &World, card: u32) {
    let entry = ListCard {
        pan: pan(card),
        generation: Generation(1),
        reason: "lost".into(),
    };
    world.house.list_card(&entry).await.unwrap();
}

async fn is_audited(world: &World) {
    let audit = clearing::audit::audit(world.house.store()).await.unwrap();
    assert!(audit.ok(), "{audit:#?}");
}

/// The SAM is not registered, so that no row claims its terminal sequence.
#[tokio::test]
async fn one_pboc_tac_under_many_sequences_moves_money_once() {
    let world = World::new().await;
    let unknown = Tap {
        sam: 7_777,
        ..first_tap()
    };
    assert_eq!(
        world.outcome(1, sm4_tap(1, unknown, 0)).await,
        Outcome::UnknownSam
    );
    for seq in 1..5u16 {
        world
            .outcome(1, sm4_tap(u64::from(seq) + 1, unknown, seq))
            .await;
    }
    assert_eq!(world.balance("suspense").await, fare());
    // The same when another card holds the SAM's sequence.
    world.upload(2, vec![tap(1, first_tap())]).await;
    let second = Tap {
        card: 2,
        ..first_tap()
    };
    assert_eq!(
        world.outcome(3, sm4_tap(1, second, 0)).await,
        Outcome::SamSequenceConflict
    );
    assert_eq!(
        world.outcome(3, sm4_tap(2, second, 1)).await,
        Outcome::Duplicate
    );
    assert_eq!(world.balance("suspense").await, 2 * fare());
    is_audited(&world).await;
}

#[tokio::test]
async fn an_unauthenticated_sequence_lists_nobody_and_blocks_nothing() {
    let world = World::new().await;
    let second = Tap {
        sam: 2,
        terminal_seq: 2,
        ..first_tap()
    };
    // Two genuine debits; the device renumbers the second.
    assert_eq!(
        world.outcome(1, sm4_tap(1, first_tap(), 4)).await,
        Outcome::Accepted
    );
    assert_eq!(
        world.outcome(2, sm4_tap(1, second, 4)).await,
        Outcome::Accepted
    );
    // Nor does it stand in the way of a sequence that a TAC covers.
    let third = Tap {
        sam: 3,
        terminal_seq: 3,
        seq: 4,
        ..first_tap()
    };
    assert_eq!(world.outcome(3, tap(1, third)).await, Outcome::Accepted);
    assert!(world.house.hotlist(0).await.unwrap().entries.is_empty());
    assert_eq!(world.balance("operator:FZBUS").await, 3 * fare());
    let shadow = world.house.card_shadow(pan(1)).await.unwrap();
    assert_eq!(shadow.conflicts, vec![4]);
    assert_eq!(shadow.last_seq_authenticated, Some(4));
    world
        .upload(
            4,
            vec![sm4_tap(
                1,
                Tap {
                    sam: 4,
                    ..first_tap()
                },
                9,
            )],
        )
        .await;
    let shadow = world.house.card_shadow(pan(1)).await.unwrap();
    assert_eq!(
        (shadow.last_seq, shadow.last_seq_authenticated),
        (Some(9), Some(4))
    );
    is_audited(&world).await;
}

/// The TAC leaves H0 out: whatever a device writes there, it is the same debit.
#[tokio::test]
async fn the_same_tac_with_other_uncovered_facts_is_no_clone() {
    let world = World::new().await;
    world.upload(1, vec![tap(1, first_tap())]).await;
    let other = changed(2, first_tap(), |p| p.context.h0 = [0xEE; 8]);
    assert_eq!(world.outcome(1, other).await, Outcome::Duplicate);
    assert!(world.house.hotlist(0).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_bus_cannot_prove_life() {
    let world = World::new().await;
    let at = time("2026-11-23T09:00:00");
    assert_eq!(
        world.outcome(1, proof_of_life(1, at, 9, 1)).await,
        Outcome::UnknownOperator
    );
}

#[tokio::test]
async fn the_future_proves_nothing() {
    let world = World::new().await;
    let far: CardTime = time("2090-01-01T09:00:00");
    assert_eq!(
        world.outcome(40, proof_of_life(1, far, 9, 40)).await,
        Outcome::Malformed
    );
    // A clock somewhat ahead is no offence.
    let near = time("2026-11-23T10:05:00");
    assert_eq!(
        world.outcome(40, proof_of_life(2, near, 9, 40)).await,
        Outcome::Accepted
    );
    // The money of a debit with an impossible time has left the card all the same.
    let mut early = tap(1, first_tap());
    early.at = time("2001-01-01T00:00:00");
    assert_eq!(world.outcome(1, early).await, Outcome::Malformed);
    assert_eq!(world.balance("suspense").await, fare());
}

#[tokio::test]
async fn a_lock_is_told_by_a_registered_operators_device() {
    let world = World::new().await;
    let device = clearing::store::Registered::Device(clearing_api::registry::Device {
        device: device(50),
        operator: "NOBODY".into(),
        public_key: hex::encode(device_key(50).verifying_key().to_bytes()),
    });
    world.house.register(&device).await.unwrap();
    let locked = |n| {
        record(
            n,
            Event::CardLocked {
                card: card_facts(1),
            },
        )
    };
    assert_eq!(world.outcome(50, locked(1)).await, Outcome::UnknownOperator);
    assert_eq!(world.outcome(1, locked(1)).await, Outcome::Accepted);
}

/// A decoy of another generation, earlier in the batch, must not hide a listed card.
#[tokio::test]
async fn every_generation_named_is_looked_up() {
    let world = World::new().await;
    list(&world, 1).await;
    let decoy = changed(1, first_tap(), |p| {
        p.card.generation = Generation(2);
        p.debit = Debit::Unknown;
    });
    let mut listed = tap(
        2,
        Tap {
            terminal_seq: 2,
            ..first_tap()
        },
    );
    listed.hotlist_version = 1;
    let answer = world.upload(1, vec![decoy, listed]).await;
    assert_eq!(answer.items[1].outcome, Outcome::Hotlisted);
}

#[tokio::test]
async fn an_old_time_excuses_a_listed_card_only_so_long() {
    let world = World::new().await;
    list(&world, 1).await;
    let at = |n: u64| {
        tap(
            n,
            Tap {
                seq: n as u16,
                terminal_seq: n as u32,
                ..first_tap()
            },
        )
    };
    // Overnight late, and days late: before the listing, or within its grace.
    world.clock.set(time("2026-11-24T06:00:00"));
    assert_eq!(world.outcome(1, at(1)).await, Outcome::Accepted);
    world.clock.set(time("2026-11-26T23:00:00"));
    assert_eq!(world.outcome(1, at(2)).await, Outcome::Accepted);
    world.clock.set(time("2026-11-27T00:30:00"));
    assert_eq!(world.outcome(1, at(3)).await, Outcome::Hotlisted);
    assert_eq!(world.balance_on("suspense", "2026-11-27").await, fare());
}

#[tokio::test]
async fn naming_a_torn_record_does_not_switch_the_price_query_off() {
    let world = World::new().await;
    let dear = Tap {
        amount: fare() + 50,
        ..first_tap()
    };
    let other = Tap {
        card: 2,
        terminal_seq: 2,
        ..first_tap()
    };
    let torn = changed(1, other, |p| p.debit = Debit::Unknown);
    assert_eq!(world.outcome(1, torn).await, Outcome::HeldUnknown);
    let mut query = tap(2, dear);
    query.completes = Some(1);
    assert_eq!(world.outcome(1, query).await, Outcome::PriceQueried);
    // A good price, but the torn record is another card's.
    let mut foreign = tap(
        3,
        Tap {
            seq: 1,
            terminal_seq: 3,
            ..first_tap()
        },
    );
    foreign.completes = Some(1);
    let answer = world.upload(1, vec![foreign]).await;
    assert_eq!(answer.items[0].outcome, Outcome::Accepted);
    assert!(answer.items[0].detail.contains("record 1 is not"));
    assert_eq!(world.report().await.pending.len(), 1);
}

/// A replaced key still verifies what it signed; a signature that nobody made is found.
#[tokio::test]
async fn a_changed_device_key_keeps_its_history() {
    let world = World::new().await;
    world.upload(1, vec![tap(1, first_tap())]).await;
    let changed = clearing::store::Registered::Device(clearing_api::registry::Device {
        device: device(1),
        operator: BUS.into(),
        public_key: hex::encode(device_key(77).verifying_key().to_bytes()),
    });
    world.house.register(&changed).await.unwrap();
    is_audited(&world).await;
}

/// An optional field written as null is the same record.
#[tokio::test]
async fn an_explicit_null_is_audited_as_uploaded() {
    let world = World::new().await;
    let mut body = serde_json::to_value(batch(1, vec![tap(1, first_tap())])).unwrap();
    body["records"][0]["completes"] = serde_json::Value::Null;
    let answer = world
        .upload_bytes(1, &serde_json::to_vec(&body).unwrap())
        .await;
    assert_eq!(answer.items[0].outcome, Outcome::Accepted);
    is_audited(&world).await;
    // What nobody knows is not taken in silently.
    let mut body = serde_json::to_value(batch(1, vec![tap(2, first_tap())])).unwrap();
    for path in [
        "/records/0/event",
        "/records/0/event/service",
        "/records/0/event/card",
    ] {
        let mut body = body.clone();
        body.pointer_mut(path).unwrap()["extra"] = 1.into();
        let answer = world
            .upload_bytes(1, &serde_json::to_vec(&body).unwrap())
            .await;
        assert_eq!(
            answer.outcome,
            clearing_api::BatchOutcome::Malformed,
            "{path}"
        );
    }
    body["records"][0]["event"]["debit"]["extra"] = 1.into();
    let answer = world
        .upload_bytes(1, &serde_json::to_vec(&body).unwrap())
        .await;
    assert_eq!(answer.outcome, clearing_api::BatchOutcome::Malformed);
}

#[tokio::test]
async fn hotlists_are_signed_once_a_version() {
    let world = World::new().await;
    list(&world, 1).await;
    let first = world.house.hotlist(0).await.unwrap();
    assert_eq!((first.since, first.version), (0, 1));
    let signed = world.hsm.signed.load(std::sync::atomic::Ordering::SeqCst);
    for since in [0, 0, 2, 999, i64::MAX as u64] {
        assert_eq!(world.house.hotlist(since).await.unwrap(), first);
    }
    assert_eq!(
        world.hsm.signed.load(std::sync::atomic::Ordering::SeqCst),
        signed
    );
    let error = world.house.hotlist(u64::MAX).await.unwrap_err();
    assert!(
        matches!(&error, clearing::ClearingError::Refused(why) if why.status == 400),
        "{error}"
    );
    list(&world, 2).await;
    let next = world.house.hotlist(1).await.unwrap();
    assert_eq!((next.since, next.version, next.entries.len()), (1, 2, 1));
    assert_eq!(world.house.hotlist(0).await.unwrap().entries.len(), 2);
}

/// A batch whose bytes rotted is set aside; those after it are applied, and the day closes.
#[tokio::test]
async fn one_unreadable_batch_stops_no_other() {
    use sqlx::{ConnectOptions, Executor};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clearing.db");
    let store = clearing::SqliteStore::open(Some(&path)).await.unwrap();
    let world = World::with_store(store).await;
    world
        .hsm
        .down
        .store(true, std::sync::atomic::Ordering::SeqCst);
    for n in 1..=2u32 {
        let one = Tap {
            card: n,
            sam: n,
            ..first_tap()
        };
        let body = serde_json::to_vec(&batch(n, vec![tap(1, one)])).unwrap();
        let signature = clearing_api::client::sign_body(&device_key(n), &body);
        assert!(world.house.upload(&body, &signature).await.is_err());
    }
    sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap()
        .execute("UPDATE batches SET body = x'00' WHERE id = 1")
        .await
        .unwrap();
    world
        .hsm
        .down
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let report = world.house.close_day(today()).await.unwrap();
    assert_eq!(report.modes["bus"].posted, 1);
    let audit = clearing::audit::audit(world.house.store()).await.unwrap();
    let faults: Vec<_> = audit.checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(faults.len(), 1, "{audit:#?}");
    assert!(faults[0].detail.contains("batch 1"), "{audit:#?}");
}
