//! A card that lies again and again, over rides, torn debits and returns; a listed one that lies.

use card_spec::{SuiteId, id::Generation, keys::class};
use clearing_api::{
    Record,
    record::Event,
    registry::{Hotlist, HotlistEntry},
};
use ed25519_dalek::{Signer, SigningKey};
use terminal::{Code, Verdict};
use virtual_card::sample::PAN;

use crate::{
    common::bus,
    meddle::{Chance, Hit, Side, every_answer},
    ride::{World, keep, proved},
};

const SEEDS: u64 = 300;

#[test]
fn a_card_that_lies_all_day_pays_for_every_gate_that_it_opens() {
    let lines = [keep(bus("FZB17")), keep(bus("FZB51"))];
    let (mut opened, mut torn) = (0, 0);
    for seed in 0..SEEDS {
        let mut chance = Chance(seed);
        let suite = SuiteId::ALL[seed as usize % SuiteId::ALL.len()];
        let mut world = World::new(suite, class::TRANSIT);
        let mut minute = 0;
        for tap in 0..8 {
            let what = format!("seed {seed} tap {tap}");
            // At once, within the ride, long after it.
            minute += [0, 1, 5, 45][chance.next() as usize % 4];
            let at = format!(
                "2026-11-23T{:02}:{:02}:{:02}",
                8 + minute / 60,
                minute % 60,
                tap * 6
            );
            world.card.lie(Chance(chance.next()));
            world.sam_wire.disarm();
            let result = world.tap(&at, lines[chance.next() as usize % 2]);
            world.card.disarm();
            let said = world.sam_wire.disarm();
            let what = format!("{what}: {result:?}");
            assert_ne!(result.verdict, Verdict::OutOfService, "{what}");
            if result.verdict == Verdict::Open {
                assert!(proved(&said), "{what}");
                opened += 1;
            }
            torn += u32::from(result.code == Code::SameCardAgain);
            world.balanced(&what);
        }
        // Honest again: served at the first tap, or at the second where a lie is still being settled.
        let evening = ["2026-11-23T20:00:00", "2026-11-23T20:00:05"];
        let served = evening.map(|at| world.tap(at, lines[0]).verdict);
        assert!(served.contains(&Verdict::Open), "seed {seed}: {served:?}");
        world.balanced(&format!("seed {seed}, evening"));
    }
    assert!(opened > 100 && torn > 100, "{opened} opened, {torn} torn");
}

/// A listed card, whatever is said in its place: never served, and its lock never told without one.
#[test]
fn a_listed_card_is_never_served() {
    let seller = keep(bus("FZB17"));
    let key = SigningKey::from_bytes(&[4; 32]);
    let mut list = Hotlist {
        since: 0,
        version: 5,
        entries: vec![HotlistEntry {
            pan: PAN.parse().unwrap(),
            generation: Generation(1),
            version: 5,
            reason: "lost".into(),
            removed: false,
        }],
        signature: String::new(),
    };
    list.signature = hex::encode(key.sign(&list.signing_bytes()).to_bytes());
    let play = |hit: Option<&Hit>, what: &str| {
        let mut world = World::new(SuiteId::Aes, class::TRANSIT);
        let hotlist = world.terminal.hotlist_mut();
        hotlist.apply(&list, &key.verifying_key()).unwrap();
        world.card.arm(Side::Card, hit);
        world.sam_wire.arm(Side::Sam, hit);
        let result = world.tap("2026-11-23T08:15:00", seller);
        let logs = [world.card.disarm(), world.sam_wire.disarm()];
        let of_card = hit.is_some_and(|hit| hit.side == Side::Card);
        let what = format!("{what}: {result:?}");
        assert_ne!(result.verdict, Verdict::Open, "{what}");
        assert!(
            !of_card || result.verdict != Verdict::OutOfService,
            "{what}"
        );
        let told = |r: &Record| matches!(r.event, Event::CardLocked { .. });
        let told = world.terminal.journal().waiting().any(told);
        let again = world.tap("2026-11-23T08:16:00", seller);
        let locked = again.code == Code::Blocked;
        assert!(locked || again.code == Code::Hotlisted, "{what}: {again:?}");
        // An answer that only says that the lock took is a lie that nothing can tell.
        let says_locked = hit.is_some_and(|hit| {
            hit.answer.ends_with(&[0x90, 0x00])
                && hit.side == Side::Card
                && logs[0][hit.nth].0.starts_with(&[0x84, 0x1E])
        });
        assert!(!told || locked || says_locked, "{what}: {again:?}");
        logs
    };
    assert!(every_answer("listed", 5, play) > 300);
}
