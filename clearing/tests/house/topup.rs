//! Online top-ups.

use crate::world::*;
use clearing_api::{Outcome, topup::TopUpState};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn authorise_then_confirm() {
    let world = World::new().await;
    let request = world.top_up_request(1, 0, 5_000, 1);
    let grant = world.top_up(&request).await.unwrap();
    assert_eq!(world.top_up(&request).await.unwrap(), grant);
    // Cash is collected, the float waits for the TAC.
    assert_eq!(world.balance("topup:FZPOS").await, -5_000);
    assert_eq!(world.balance("purse-float").await, 0);
    let pending = world.report().await.pending;
    assert_eq!(
        (pending[0].kind.as_str(), pending[0].amount.0),
        ("top-up", 5_000)
    );

    let error = world.confirm(grant.id, [0; 4]).await.unwrap_err();
    assert!(error.contains("does not prove"), "{error}");
    let tac = World::load_tac(&request, &grant, 1);
    let done = world.confirm(grant.id, tac).await.unwrap();
    assert_eq!(done.state, TopUpState::Confirmed);
    assert_eq!(world.confirm(grant.id, tac).await.unwrap(), done);
    assert!(world.confirm(grant.id, [0; 4]).await.is_err());
    assert_eq!(world.balance("purse-float").await, 5_000);
    assert_eq!(world.balance("suspense").await, 0);
    let report = world.report().await;
    assert!(report.pending.is_empty());
    assert_eq!(
        (
            report.modes["top_up"].events,
            report.modes["top_up"].amount.0
        ),
        (1, 5_000)
    );
}

#[tokio::test]
async fn never_two_for_one_sequence() {
    let world = World::new().await;
    let first = world.top_up_request(1, 0, 5_000, 1);
    let grant = world.top_up(&first).await.unwrap();
    // The same INIT with another amount.
    let error = world
        .top_up(&world.top_up_request(1, 0, 6_000, 1))
        .await
        .unwrap_err();
    assert!(error.contains("another top-up"), "{error}");
    // A later INIT with the sequence unchanged: the first load did not happen, its money goes back.
    let again = world
        .top_up(&world.top_up_request(1, 0, 5_000, 2))
        .await
        .unwrap();
    assert_ne!(again.id, grant.id);
    assert_eq!(world.balance("topup:FZPOS").await, -5_000);
    assert!(world.top_up(&first).await.unwrap_err().contains("reversed"));
    let second = world.top_up_request(1, 0, 5_000, 2);
    world
        .confirm(again.id, World::load_tac(&second, &again, 1))
        .await
        .unwrap();
    // The TAC of the second stands.
    assert!(
        world
            .confirm(grant.id, World::load_tac(&first, &grant, 1))
            .await
            .is_err()
    );
    assert_eq!(world.balance("purse-float").await, 5_000);
    // A confirmed sequence is never loaded again.
    let error = world
        .top_up(&world.top_up_request(1, 0, 5_000, 3))
        .await
        .unwrap_err();
    assert!(error.contains("confirmed"), "{error}");
    assert!(
        clearing::audit::audit(world.house.store())
            .await
            .unwrap()
            .ok()
    );
}

#[tokio::test]
async fn refusals_are_recorded_and_repeatable() {
    let world = World::new().await;
    let mut forged = world.top_up_request(1, 0, 5_000, 1);
    forged.mac1 = [0; 4];
    let why = world.top_up(&forged).await.unwrap_err();
    assert!(why.contains("MAC1"), "{why}");
    assert_eq!(world.top_up(&forged).await.unwrap_err(), why);
    assert!(
        world
            .top_up(&world.top_up_request(1, 0, 100_001, 1))
            .await
            .is_err()
    );
    assert!(
        world
            .top_up(&world.top_up_request(1, 0, 0, 1))
            .await
            .is_err()
    );
    assert!(
        world
            .top_up(&world.top_up_request(99, 0, 100, 1))
            .await
            .is_err()
    );
    let report = world.report().await;
    assert_eq!(report.outcomes[&Outcome::TopUpRefused], 4);
    assert_eq!(report.modes["top_up"].posted, 0);
    assert_eq!(world.balance("topup:FZPOS").await, 0);
}

#[tokio::test]
async fn an_hsm_that_is_down_leaves_nothing_behind() {
    let world = World::new().await;
    world.hsm.down.store(true, Ordering::SeqCst);
    let request = world.top_up_request(1, 0, 5_000, 1);
    assert!(world.top_up(&request).await.unwrap_err().contains("HSM"));
    assert_eq!(world.report().await.modes["top_up"].events, 0);
    world.hsm.down.store(false, Ordering::SeqCst);
    world.top_up(&request).await.unwrap();
    assert_eq!(world.report().await.modes["top_up"].events, 1);
}

/// An INIT from before, played again, reverses a live top-up; the TAC that the card gave brings it
/// back, and what the replay opened goes.
#[tokio::test]
async fn a_replayed_old_init_cannot_undo_a_load_that_a_tac_proves() {
    let world = World::new().await;
    let old = world.top_up_request(1, 0, 5_000, 9);
    let live = world.top_up_request(1, 0, 5_000, 1);
    let grant = world.top_up(&live).await.unwrap();
    world.clock.set(time("2026-11-23T10:00:30"));
    let replay = world.top_up(&old).await.unwrap();
    assert_ne!(replay.id, grant.id);
    let done = world
        .confirm(grant.id, World::load_tac(&live, &grant, 1))
        .await
        .unwrap();
    assert_eq!(done.state, TopUpState::Confirmed);
    assert!(
        world
            .confirm(replay.id, World::load_tac(&old, &replay, 1))
            .await
            .is_err()
    );
    assert_eq!(world.balance("purse-float").await, 5_000);
    assert_eq!(world.balance("topup:FZPOS").await, -5_000);
    assert_eq!(world.balance("suspense").await, 0);
    assert!(world.report().await.pending.is_empty());
    let audit = clearing::audit::audit(world.house.store()).await.unwrap();
    assert!(audit.ok(), "{audit:#?}");
}

/// The card's online sequence rises only by a load: the earlier one was taken, TAC or not.
#[tokio::test]
async fn a_later_sequence_settles_the_earlier_load_as_taken() {
    let world = World::new().await;
    let old = world.top_up_request(1, 0, 5_000, 9);
    let first = world.top_up_request(1, 0, 5_000, 1);
    let grant = world.top_up(&first).await.unwrap();
    world.clock.set(time("2026-11-23T10:00:30"));
    let replay = world.top_up(&old).await.unwrap();
    world.clock.set(time("2026-11-23T10:01:00"));
    world
        .top_up(&world.top_up_request(1, 1, 700, 2))
        .await
        .unwrap();
    assert_eq!(world.balance("purse-float").await, 5_000);
    assert_eq!(world.report().await.pending.len(), 1);
    // The first TAC comes late: it was the other one that the card took.
    let done = world
        .confirm(grant.id, World::load_tac(&first, &grant, 1))
        .await
        .unwrap();
    assert_eq!(done.state, TopUpState::Confirmed);
    assert!(world.top_up(&old).await.unwrap_err().contains("reversed"));
    assert_ne!(replay.id, grant.id);
    assert_eq!(world.balance("purse-float").await, 5_000);
    assert_eq!(world.balance("topup:FZPOS").await, -5_700);
    assert_eq!(world.balance("suspense").await, 700);
    let audit = clearing::audit::audit(world.house.store()).await.unwrap();
    assert!(audit.ok(), "{audit:#?}");
}
