//! A card that lies again and again, over rides, torn debits and returns.

use card_spec::{SuiteId, keys::class};
use terminal::{Code, Verdict};

use crate::{
    common::bus,
    meddle::Chance,
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
