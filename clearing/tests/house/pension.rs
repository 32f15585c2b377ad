//! Proof of life at a device keeps a pension in payment.

use crate::world::*;
use card_spec::time::CardTime;
use clearing_api::{Outcome, pension::PensionStatus, record::Event};

#[tokio::test]
async fn a_missed_proof_suspends_and_a_made_up_one_resumes() {
    let world = World::new().await;
    let state = world.house.pension(&psn(9)).await.unwrap();
    assert_eq!(
        (state.status, state.monthly.0),
        (PensionStatus::InPayment, 350_000)
    );
    assert_eq!(state.valid_until, Some(date("2027-11-30")));
    assert!(world.house.pension(&psn(1)).await.is_err());

    let at: CardTime = time("2026-12-01T09:00:00");
    world.clock.set(at);
    assert_eq!(
        world.outcome(40, proof_of_life(1, at, 9, 40)).await,
        Outcome::Accepted
    );
    // The answer to another challenge: an old answer moved to another record.
    let mut moved = proof_of_life(2, at, 9, 40);
    moved.at = time("2026-11-30T09:00:00");
    assert_eq!(world.outcome(40, moved).await, Outcome::WrongTac);
    let mut without_pin = proof_of_life(3, at, 9, 40);
    if let Event::ProofOfLife(proof) = &mut without_pin.event {
        proof.pin_verified = false;
    }
    assert_eq!(world.outcome(40, without_pin).await, Outcome::Malformed);
    let state = world.house.pension(&psn(9)).await.unwrap();
    assert_eq!(state.last_proof, Some(date("2026-12-01")));
    assert_eq!(state.valid_until, Some(date("2027-12-31")));

    world.clock.set(time("2028-02-01T09:00:00"));
    let state = world.house.pension(&psn(9)).await.unwrap();
    assert_eq!(state.status, PensionStatus::Suspended);
    let late = time("2028-02-02T09:00:00");
    world.clock.set(late);
    assert_eq!(
        world.outcome(40, proof_of_life(4, late, 9, 40)).await,
        Outcome::Accepted
    );
    let state = world.house.pension(&psn(9)).await.unwrap();
    assert_eq!(state.status, PensionStatus::InPayment);
}

#[tokio::test]
async fn a_card_that_its_holder_reported_is_listed_and_keeps_no_pension_in_payment() {
    let world = World::new().await;
    let at: CardTime = time("2026-12-01T09:00:00");
    world.clock.set(at);
    // A proof of life sent as a report lists nothing: its challenge is another.
    let Event::ProofOfLife(proof) = proof_of_life(1, at, 9, 40).event else {
        panic!("a proof of life")
    };
    let mut turned = loss_report(1, at, 9, 40);
    if let Event::LossReport(report) = &mut turned.event {
        report.cryptogram = proof.cryptogram;
    }
    assert_eq!(world.outcome(40, turned).await, Outcome::WrongTac);
    assert!(world.house.hotlist(0).await.unwrap().entries.is_empty());

    let report = loss_report(2, at, 9, 40);
    assert_eq!(world.outcome(40, report).await, Outcome::Accepted);
    let listed = world.house.hotlist(0).await.unwrap().entries;
    let card = card_facts(9);
    assert_eq!(
        (
            listed[0].pan,
            listed[0].generation,
            listed[0].reason.as_str()
        ),
        (card.pan, card.generation, "lost")
    );
    let state = world.house.pension(&psn(9)).await.unwrap();
    assert_eq!(state.last_proof, Some(date("2026-11-23")), "no later proof");
    // Reported once more, at another kiosk that does not know yet: it stays listed, once.
    let again = loss_report(3, at, 9, 40);
    assert_eq!(world.outcome(40, again).await, Outcome::Accepted);
    assert_eq!(world.house.hotlist(0).await.unwrap().entries.len(), 1);
}
