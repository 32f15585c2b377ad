//! Invariant 3: an upload repeated, reordered, split or late has the effect of one upload.

use crate::world::*;
use card_spec::Fen;
use clearing_api::{
    Record,
    record::{Debit, Event},
};
use proptest::prelude::*;

/// Journals of three buses: good taps, a forged TAC, an unknown SAM, a dear fare, a torn tap
/// completed five records later, one that never happened.
fn journals() -> Vec<(u32, Vec<Record>)> {
    let mut journals = Vec::new();
    for bus in 1..=3u32 {
        let mut records = Vec::new();
        for n in 1..=8u64 {
            let seq = n as u16;
            let base = Tap {
                card: bus,
                seq,
                before: 20_000,
                amount: fare(),
                sam: bus,
                terminal_seq: n as u32,
            };
            let mut record = tap(
                n,
                match n {
                    3 => Tap { sam: 5_555, ..base },
                    4 => Tap {
                        amount: fare() + 50,
                        ..base
                    },
                    _ => base,
                },
            );
            if let Event::Purchase(p) = &mut record.event {
                match n {
                    2 => p.debit = Debit::Done { tac: [0; 4] },
                    5 | 6 => p.debit = Debit::Unknown,
                    _ => {}
                }
            }
            records.push(record);
        }
        let mut done = tap(
            9,
            Tap {
                card: bus,
                seq: 5,
                before: 20_000,
                amount: fare(),
                sam: bus,
                terminal_seq: 5,
            },
        );
        done.completes = Some(5);
        records.push(done);
        journals.push((bus, records));
    }
    journals
}

/// The day's report after uploads of `(journal, first, last)` ranges in the order given.
fn day_after(uploads: &[(usize, usize, usize)]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        let journals = journals();
        for (journal, first, last) in uploads {
            let (device, records) = &journals[*journal];
            world.upload(*device, records[*first..*last].to_vec()).await;
        }
        let report = world.house.close_day(today()).await.unwrap();
        assert_eq!(report.trial_sum, Fen::ZERO);
        assert!(
            clearing::audit::audit(world.house.store())
                .await
                .unwrap()
                .ok()
        );
        serde_json::to_string(&report).unwrap()
    })
}

fn uploads() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    // A cut set for each journal, then a shuffled list with repeats.
    proptest::collection::vec(proptest::collection::btree_set(1usize..9, 0..4), 3)
        .prop_flat_map(|cuts| {
            let mut pieces = Vec::new();
            for (journal, cuts) in cuts.into_iter().enumerate() {
                let mut from = 0;
                for cut in cuts.into_iter().chain([9]) {
                    pieces.push((journal, from, cut));
                    from = cut;
                }
            }
            let repeats = proptest::collection::vec(proptest::sample::select(pieces.clone()), 0..6);
            (Just(pieces), repeats)
        })
        .prop_flat_map(|(pieces, repeats)| Just([pieces, repeats].concat()).prop_shuffle())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_order_split_and_repetition_ends_in_the_same_day(uploads in uploads()) {
        let plain = day_after(&[(0, 0, 9), (1, 0, 9), (2, 0, 9)]);
        prop_assert!(plain.contains("\"torn-debit\""));
        prop_assert_eq!(day_after(&uploads), plain);
    }
}
