//! Parameters and hotlist removals by two persons; the hotlist's base; what devices are answered.

use crate::world::*;
use card_spec::{id::Generation, purse::files::CardKind};
use clearing::{SqliteStore, store::Registered};
use clearing_api::{
    Outcome,
    client::sign_body,
    hotlist::{Base, Key},
    mode::{Mode, ModeOrder, SignedOrders},
    parameters::{Bundle, ParametersAnswer, ParametersRequest, Proposal},
    record::{Event, Service},
    registry::{Device, ListCard, Operator, OperatorKind, Sam},
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use std::collections::BTreeMap;

const NONCE: &str = "00112233445566778899aabbccddeeff";

fn hsm_key() -> VerifyingKey {
    SigningKey::from_bytes(&[0x51; 32]).verifying_key()
}

fn bundle(version: u64) -> Bundle {
    Bundle {
        version,
        starts: time("2026-11-24T04:30:00"),
        limits: Default::default(),
        tariffs: Default::default(),
    }
}

async fn ask(
    world: &World,
    known: u64,
    key: &SigningKey,
) -> clearing::error::Result<ParametersAnswer> {
    let request = ParametersRequest {
        device: device(1),
        held: 0,
        known,
        refused: None,
        orders: 0,
        at: time("2026-11-23T09:59:00"),
        nonce: NONCE.to_owned(),
    };
    let body = serde_json::to_vec(&request).unwrap();
    world.house.parameters(&body, &sign_body(key, &body)).await
}

fn status(error: clearing::ClearingError) -> u16 {
    match error {
        clearing::ClearingError::Refused(refusal) => refusal.status,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn parameters_need_two_persons_and_go_to_registered_devices() {
    let world = World::new().await;
    let publish = Proposal::Publish(bundle(5));
    let proposed = world.house.propose("Staff:lin", &publish).await.unwrap();
    let nothing = ask(&world, 0, &device_key(1)).await.unwrap();
    assert_eq!(nothing.bundle, None, "one person publishes nothing");
    let number = proposed.number;
    let alone = world.house.approve("Staff:lin", number).await.unwrap_err();
    assert_eq!(status(alone), 403);
    assert_eq!(
        status(world.house.approve("Staff:chen", 99).await.unwrap_err()),
        404
    );
    world.house.approve("Staff:chen", number).await.unwrap();
    let again = world.house.approve("Staff:wu", number).await.unwrap_err();
    assert_eq!(status(again), 409);

    let answer = ask(&world, 4, &device_key(1)).await.unwrap();
    assert_eq!(answer.bundle.unwrap().open(&hsm_key()).unwrap(), bundle(5));
    let now = clearing::Clock::now(&*world.clock);
    assert_eq!(answer.clock.open(&hsm_key(), NONCE), Ok(now));
    assert_eq!(ask(&world, 5, &device_key(1)).await.unwrap().bundle, None);
    let stranger = ask(&world, 0, &device_key(2)).await.unwrap_err();
    assert_eq!(status(stranger), 401, "signed by another device's key");
    let reports = world.house.parameter_reports().await.unwrap();
    assert_eq!((reports.len(), reports[0].known), (1, 5));

    for old in [1, 5] {
        let proposal = Proposal::Publish(bundle(old));
        let error = world
            .house
            .propose("Staff:lin", &proposal)
            .await
            .unwrap_err();
        assert_eq!(status(error), 409);
    }
}

async fn list(world: &World, n: u32) {
    let entry = ListCard {
        pan: pan(n),
        generation: Generation(1),
        reason: "lost".into(),
    };
    world.house.list_card(&entry).await.unwrap();
}

/// Taken off, a card is in the changes as a removal, in no base, and can be listed anew.
#[tokio::test]
async fn a_card_comes_off_the_hotlist_by_two_persons() {
    let world = World::new().await;
    for n in 1..=3 {
        list(&world, n).await;
    }
    let proposal = Proposal::Unlist {
        pan: pan(2),
        generation: Generation(1),
    };
    let number = world
        .house
        .propose("Staff:lin", &proposal)
        .await
        .unwrap()
        .number;
    assert_eq!(world.house.hotlist(3).await.unwrap().entries.len(), 0);
    world.house.approve("Staff:chen", number).await.unwrap();
    let change = world.house.hotlist(3).await.unwrap();
    assert_eq!((change.version, change.entries.len()), (4, 1));
    assert!(change.entries[0].removed && change.entries[0].pan == pan(2));
    assert!(!world.house.card_shadow(pan(2)).await.unwrap().hotlisted);
    let file = world.house.hotlist_base().await.unwrap();
    let base = Base::read(&file[..], &hsm_key()).unwrap();
    assert_eq!((base.version(), base.len()), (4, 2));
    assert_eq!(base.reason(Key::new(pan(2), Generation(1))), None);
    assert_eq!(base.reason(Key::new(pan(3), Generation(1))), Some("lost"));
    list(&world, 2).await;
    let change = world.house.hotlist(4).await.unwrap();
    assert_eq!((change.version, change.entries[0].removed), (5, false));
    assert!(world.house.card_shadow(pan(2)).await.unwrap().hotlisted);
    // A base some changes old serves: what changed since can be asked for.
    assert_eq!(world.house.hotlist_base().await.unwrap(), file);
}

/// A list too long for one answer sends a device that is far behind for the base.
#[tokio::test]
async fn a_long_list_comes_as_a_base() {
    let world = World::new().await;
    for n in 1..=4_100 {
        list(&world, n).await;
    }
    assert_eq!(status(world.house.hotlist(0).await.unwrap_err()), 409);
    let file = world.house.hotlist_base().await.unwrap();
    let base = Base::read(&file[..], &hsm_key()).unwrap();
    assert_eq!((base.version(), base.len()), (4_100, 4_100));
    let change = world.house.hotlist(4_000).await.unwrap();
    assert_eq!((change.since, change.entries.len()), (4_000, 100));
}

/// The province's tariffs with route 106 at 3 yuan in place of 2.
fn dearer() -> BTreeMap<String, String> {
    let mut tariffs = fare::Tariffs::texts(&data()).unwrap();
    let fares = "transit/fuzhou/gtfs/fare_attributes.txt";
    let fares = tariffs.get_mut(fares).unwrap();
    let before = fares.clone();
    *fares = fares.replace("FZ-FLAT-2,2.00", "FZ-FLAT-2,3.00");
    assert_ne!(*fares, before);
    tariffs
}

async fn publish(world: &World, bundle: Bundle) -> clearing::error::Result<()> {
    let proposal = Proposal::Publish(bundle);
    let proposed = world.house.propose("Staff:lin", &proposal).await?;
    world.house.approve("Staff:chen", proposed.number).await?;
    Ok(())
}

fn from(version: u64, starts: &str, tariffs: &BTreeMap<String, String>) -> Bundle {
    Bundle {
        starts: time(starts),
        tariffs: tariffs.clone(),
        ..bundle(version)
    }
}

/// Rides of 08:15 at the old and the new price, the first of each card.
async fn rides(world: &World, cards: [u32; 2]) -> [Outcome; 2] {
    world.clock.set(time("2026-11-23T10:00:00"));
    let mut outcomes = [Outcome::Accepted; 2];
    for (outcome, (card, amount)) in outcomes.iter_mut().zip(cards.into_iter().zip([200, 300])) {
        let ride = Tap {
            card,
            seq: 0,
            before: 10_000,
            amount,
            sam: 1,
            terminal_seq: card,
        };
        *outcome = world.outcome(1, tap(u64::from(card), ride)).await;
    }
    outcomes
}

/// Each sale is priced by the tariff of its time; within five minutes of a start either counts.
#[tokio::test]
async fn sales_are_priced_again_by_the_tariff_of_their_time() {
    use Outcome::{Accepted, PriceQueried};
    for (starts, outcomes) in [
        ("2026-11-23T04:30:00", [PriceQueried, Accepted]),
        ("2026-11-23T08:10:01", [Accepted, Accepted]),
        ("2026-11-23T08:15:01", [Accepted, PriceQueried]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clearing.db");
        let open = async || World::with_store(SqliteStore::open(Some(&file)).await.unwrap()).await;
        let world = open().await;
        world.clock.set(time("2026-11-23T00:00:00"));
        publish(&world, from(1, starts, &dearer())).await.unwrap();
        assert_eq!(rides(&world, [1, 2]).await, outcomes, "{starts}");
        // The service that starts anew knows them.
        drop(world);
        let world = open().await;
        world.house.recall_tariffs().await.unwrap();
        assert_eq!(rides(&world, [3, 4]).await, outcomes, "{starts}");
    }
}

/// The same tariffs with an earlier start, and then a restart: the earlier start counts.
#[tokio::test]
async fn a_start_that_was_brought_forward_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clearing.db");
    let open = async || World::with_store(SqliteStore::open(Some(&file)).await.unwrap()).await;
    let world = open().await;
    world.clock.set(time("2026-11-23T00:00:00"));
    for (version, starts) in [(1, "2026-12-01T04:30:00"), (2, "2026-11-23T04:30:00")] {
        publish(&world, from(version, starts, &dearer()))
            .await
            .unwrap();
    }
    drop(world);
    let world = open().await;
    world.house.recall_tariffs().await.unwrap();
    let outcomes = [Outcome::PriceQueried, Outcome::Accepted];
    assert_eq!(rides(&world, [1, 2]).await, outcomes);
}

async fn refused(world: &World, bundle: Bundle) -> (u16, String) {
    match publish(world, bundle).await.unwrap_err() {
        clearing::ClearingError::Refused(refusal) => (refusal.status, refusal.detail),
        other => panic!("{other}"),
    }
}

fn limits(bundle: Bundle, name: &str, value: i64) -> Bundle {
    let limits = [(name.to_owned(), value.into())].into_iter().collect();
    Bundle { limits, ..bundle }
}

#[tokio::test]
async fn what_no_device_could_work_by_is_not_published() {
    let world = World::new().await;
    let nothing = BTreeMap::new();
    let (status, why) = refused(&world, from(1, "2026-11-23T10:00:00", &dearer())).await;
    assert!(status == 422 && why.contains("to come"), "{status} {why}");
    let mut broken = dearer();
    broken.insert("operators.toml".into(), "= none".into());
    let (status, why) = refused(&world, from(1, "2026-11-23T12:00:00", &broken)).await;
    assert!(status == 422 && why.contains("operators.toml"), "{why}");
    for (name, value) in [("per_tap_max_fenn", 1), ("upload_seconds", 0)] {
        let bundle = limits(from(1, "2026-11-23T12:00:00", &nothing), name, value);
        let (status, why) = refused(&world, bundle).await;
        assert!(status == 422 && why.contains(name), "{status} {why}");
    }
}

async fn newest(world: &World) -> Bundle {
    let answer = ask(world, 0, &device_key(1)).await.unwrap();
    answer.bundle.unwrap().open(&hsm_key()).unwrap()
}

/// What a version leaves as it was is published again; a device has one waiting place.
#[tokio::test]
async fn versions_build_on_those_before() {
    let world = World::new().await;
    let nothing = BTreeMap::new();
    let first = from(1, "2026-11-23T12:00:00", &dearer());
    publish(&world, limits(first, "per_tap_max_fen", 500))
        .await
        .unwrap();
    // With the same start it amends what waits. Who publishes less than there was is told.
    let mut less = dearer();
    less.retain(|file, _| file != "transit/fuzhou/taxi.toml");
    let proposal = Proposal::Publish(from(2, "2026-11-23T12:00:00", &less));
    let proposed = world.house.propose("Staff:lin", &proposal).await.unwrap();
    let told = "1 places are gone";
    assert!(proposed.what.contains(told), "{}", proposed.what);
    assert!(proposed.what.contains("FZTAXI taxi"), "{}", proposed.what);
    let second = from(2, "2026-11-23T12:00:00", &nothing);
    publish(&world, limits(second, "upload_seconds", 60))
        .await
        .unwrap();
    let bundle = newest(&world).await;
    assert_eq!((bundle.version, &bundle.tariffs), (2, &dearer()));
    assert_eq!(bundle.limits["per_tap_max_fen"], 500);
    assert_eq!(bundle.limits["upload_seconds"], 60);
    let (status, why) = refused(&world, from(3, "2026-11-23T13:00:00", &dearer())).await;
    assert!(
        status == 409 && why.contains("never begin"),
        "{status} {why}"
    );

    // Once it has begun, another builds on it; one that begins before one that waits withdraws that,
    // with all that came with it.
    world.clock.set(time("2026-11-23T12:00:01"));
    let third = from(
        3,
        "2026-12-01T04:30:00",
        &fare::Tariffs::texts(&data()).unwrap(),
    );
    publish(&world, limits(third, "per_tap_max_fen", 900))
        .await
        .unwrap();
    let fourth = Proposal::Publish(from(4, "2026-11-23T12:30:00", &nothing));
    let proposed = world.house.propose("Staff:lin", &fourth).await.unwrap();
    assert!(proposed.what.contains("version 3"), "{}", proposed.what);
    world
        .house
        .approve("Staff:chen", proposed.number)
        .await
        .unwrap();
    let bundle = newest(&world).await;
    assert_eq!((bundle.version, bundle.tariffs), (4, dearer()));
    assert_eq!(bundle.limits["per_tap_max_fen"], 500);
}

/// Modes have a list of their own: nothing that waits stands in their way, and a device that was
/// away learns those that are over too.
#[tokio::test]
async fn modes_are_ordered_by_two_persons_and_come_as_one_list() {
    let world = World::new().await;
    publish(&world, from(1, "2026-12-01T04:30:00", &dearer()))
        .await
        .unwrap();
    assert_eq!(ask(&world, 1, &device_key(1)).await.unwrap().orders, None);
    let order = async |mode, from: Option<&str>| {
        let from = from.map(time);
        let proposal = Proposal::Mode { mode, from };
        let proposed = world.house.propose("Staff:lin", &proposal).await?;
        world.house.approve("Staff:chen", proposed.number).await
    };
    order(Mode::TrainFailure, None).await.unwrap();
    world.clock.set(time("2026-11-23T11:00:00"));
    order(Mode::Normal, Some("2026-11-23T12:00:00"))
        .await
        .unwrap();
    for (mode, from) in [
        (Mode::Degraded, None),
        (Mode::Closed, Some("2026-11-23T10:59:59")),
    ] {
        assert_eq!(status(order(mode, from).await.unwrap_err()), 422);
    }
    let signed = ask(&world, 1, &device_key(1))
        .await
        .unwrap()
        .orders
        .unwrap();
    let list = signed.open(&hsm_key()).unwrap();
    let of = |mode, from: &str| ModeOrder {
        mode,
        from: time(from),
    };
    let expected = [
        of(Mode::TrainFailure, "2026-11-23T10:00:00"),
        of(Mode::Normal, "2026-11-23T12:00:00"),
    ];
    assert_eq!((list.version, list.orders.as_slice()), (2, &expected[..]));
    let forged = SignedOrders {
        body: signed.body.replace("normal", "closed"),
        ..signed
    };
    assert!(forged.open(&hsm_key()).is_err());
}

/// A free exit of a train failure is right where the failure was published, and queried elsewhere.
#[tokio::test]
async fn exits_are_priced_again_by_the_published_modes() {
    const METRO: &str = "FZMTR";
    let world = World::new().await;
    for item in registry() {
        let metro = match item {
            Registered::Operator(operator) if operator.id == BUS => {
                Registered::Operator(Operator {
                    id: METRO.into(),
                    kind: OperatorKind::Metro,
                    ..operator
                })
            }
            Registered::Sam(sam) if sam.class == 1 && !sam.revoked => Registered::Sam(Sam {
                operator: METRO.into(),
                ..sam
            }),
            Registered::Device(device) if device.operator == BUS => Registered::Device(Device {
                operator: METRO.into(),
                ..device
            }),
            _ => continue,
        };
        world.house.register(&metro).await.unwrap();
    }
    let mut tariffs = dearer();
    let modes = r#"
kind = "modes"
id = "fuzhou-modes"
city = "350100"
[provenance]
source = "the control centre"
date = "2026-11-23"
status = "synthetic"
[[span]]
operator = "FZMTR"
stops = ["FZM103"]
mode = "train-failure"
from = "2026-11-23T08:00:00"
"#;
    tariffs.insert("transit/fuzhou/modes.toml".into(), modes.into());
    world.clock.set(time("2026-11-23T00:00:00"));
    publish(&world, from(1, "2026-11-23T04:30:00", &tariffs))
        .await
        .unwrap();
    world.clock.set(time("2026-11-23T10:00:00"));
    let mut card = 0;
    for (to, ordered, outcome) in [
        ("FZM103", false, Outcome::Accepted),
        ("FZM104", false, Outcome::PriceQueried),
        ("FZM104", true, Outcome::Accepted),
    ] {
        card += 1;
        if ordered {
            let mode = Mode::TrainFailure;
            let from = Some(time("2026-11-23T08:00:00"));
            let proposal = Proposal::Mode { mode, from };
            world.clock.set(time("2026-11-23T07:00:00"));
            let proposed = world.house.propose("Staff:lin", &proposal).await.unwrap();
            world
                .house
                .approve("Staff:chen", proposed.number)
                .await
                .unwrap();
            world.clock.set(time("2026-11-23T10:00:00"));
        }
        let free = Tap {
            card,
            seq: 0,
            before: 10_000,
            amount: 0,
            sam: 1,
            terminal_seq: card,
        };
        let mut sale = purchase(free);
        sale.service = Service::MetroExit {
            operator: METRO.into(),
            from: "FZM101".into(),
            to: to.into(),
            entered: time("2026-11-23T07:55:00"),
            prior: None,
            state: None,
            age: None,
            kind: CardKind::Normal,
        };
        let exit = record(u64::from(card), Event::Purchase(sale));
        assert_eq!(world.outcome(1, exit).await, outcome, "{to}");
    }
}
