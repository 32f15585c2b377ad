//! What a look-up costs, beside the plain sorted array that it replaces.

use std::{hint::black_box, time::Instant};

use card_spec::id::{Generation, Pan};
use clearing_api::hotlist::{BaseError, Key, MAX_ENTRIES};
use serde::Serialize;

use super::{Base, Hotlist};

/// Of 100 cards that are looked up, how many are listed: far more than tap in a day.
const HITS_PER_100: u64 = 2;
/// Changes above the base, as after some days without a new one.
const CHANGES: u64 = 2_000;

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Cards listed.
    pub entries: usize,
    /// Memory of base and filter.
    pub bytes: usize,
    /// Changes above the base.
    pub changes: u64,
    /// Listed cards in a hundred looked up.
    pub hits_per_100: u64,
    /// One look-up of that mix.
    pub lookup_ns: u64,
    /// One look-up of a card that is listed.
    pub hit_lookup_ns: u64,
    /// The same mix in a plain sorted array of the same numbers.
    pub sorted_lookup_ns: u64,
    /// Reading the base's file from memory, verified.
    pub load_ms: u128,
}

/// `n` scattered over the numbers of one issuer, no two alike (an odd multiplier permutes).
const fn scattered(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000_000_000_000_000
}

fn card(n: u64) -> Option<(Pan, Generation)> {
    let pan = format!("0350{:016}", scattered(n)).parse().ok()?;
    Some((pan, Generation(1)))
}

/// Builds a list of `entries` and looks up `rounds` cards of the mix, in it and in the array.
pub fn run(entries: usize, rounds: u64) -> Result<Report, BaseError> {
    let entries = entries.clamp(1, MAX_ENTRIES) as u64;
    let key_of = |n| card(n).map(|(pan, generation)| Key::new(pan, generation));
    let built = Base::build(1, (0..entries).filter_map(key_of).map(|key| (key, "lost")))?;
    let (mut file, signed) = built.encode();
    let signer = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    file.extend(clearing_api::client::sign_body(&signer, &signed));
    drop(built);
    let began = Instant::now();
    let base = Base::read(file.as_slice(), &signer.verifying_key())?;
    let load_ms = began.elapsed().as_millis();
    drop(file);
    let mut sorted: Vec<u64> = (0..entries).map(scattered).collect();
    sorted.sort_unstable();
    let mut list = Hotlist::from_base(base);
    for n in 0..CHANGES {
        list.changes
            .extend(key_of(2 * entries + n).map(|key| (key, Some("lost".to_owned()))));
    }
    // Drawn beforehand, so that no cache has seen a card lately.
    let mix: Vec<u64> = (0..rounds)
        .map(|n| {
            let far = scattered(n) % entries;
            let is_hit = n % 100 < HITS_PER_100;
            if is_hit { far } else { 4 * entries + n }
        })
        .collect();
    let look = |numbers: &[u64]| {
        let cards: Vec<_> = numbers.iter().filter_map(|n| card(*n)).collect();
        median_ns(&cards, |(pan, generation)| {
            list.reason(black_box(*pan), *generation).is_some()
        })
    };
    let lookup_ns = look(&mix);
    let hits: Vec<u64> = (0..rounds / 10).map(|n| scattered(n) % entries).collect();
    let hit_lookup_ns = look(&hits);
    let numbers: Vec<u64> = mix.iter().map(|n| scattered(*n)).collect();
    let sorted_lookup_ns = median_ns(&numbers, |number| {
        sorted.binary_search(black_box(number)).is_ok()
    });
    Ok(Report {
        entries: entries as usize,
        bytes: list.bytes(),
        changes: CHANGES,
        hits_per_100: HITS_PER_100,
        lookup_ns,
        hit_lookup_ns,
        sorted_lookup_ns,
        load_ms,
    })
}

/// Of rounds of a thousand the middle one's mean: other work on the machine falls on some rounds.
fn median_ns<T>(asked: &[T], look: impl Fn(&T) -> bool) -> u64 {
    let mut means: Vec<u64> = asked
        .chunks(1_000)
        .map(|round| {
            let began = Instant::now();
            for one in round {
                black_box(look(one));
            }
            let ns = began.elapsed().as_nanos() / round.len().max(1) as u128;
            u64::try_from(ns).unwrap_or(u64::MAX)
        })
        .collect();
    means.sort_unstable();
    means.get(means.len() / 2).copied().unwrap_or(0)
}
