//! When to try the clearing house again: exponential back-off with jitter, and a circuit that stays
//! open while it does not answer.

/// Failures in a row after which the circuit is open: one try a pause, told once, not each time.
const OPEN_AFTER: u32 = 3;
/// Longest pause, seconds: what a clearing house that is back waits at most for its devices.
pub const PAUSE_MAX: u32 = 900;

/// The tries of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    seed: u64,
    base_seconds: u32,
    failures: u32,
}

impl Retry {
    /// `seed` tells devices apart; `base_seconds` is the pause when all is well.
    pub const fn new(seed: u64, base_seconds: u32) -> Self {
        Self {
            seed,
            base_seconds,
            failures: 0,
        }
    }

    /// Another pause when all is well.
    pub const fn adopt(&mut self, base_seconds: u32) {
        self.base_seconds = base_seconds;
    }

    /// It answered.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It did not.
    pub const fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether the circuit is open.
    pub const fn is_open(&self) -> bool {
        self.failures >= OPEN_AFTER
    }

    /// Seconds to wait since the last try.
    pub fn pause_seconds(&self) -> u32 {
        pause_seconds(self.seed, self.failures, self.base_seconds)
    }
}

/// The pause after `failures` in a row: doubled with each up to [`PAUSE_MAX`], of which the second
/// half is drawn, so that the devices of a city do not come back at once. A pure function.
pub fn pause_seconds(seed: u64, failures: u32, base_seconds: u32) -> u32 {
    if failures == 0 {
        return base_seconds;
    }
    let doubled = u64::from(base_seconds.max(1)) << failures.min(16);
    let whole = doubled.min(PAUSE_MAX.max(base_seconds).into());
    let half = whole / 2;
    let drawn = half + split_mix(seed ^ u64::from(failures) << 32) % (whole - half + 1);
    u32::try_from(drawn).unwrap_or(PAUSE_MAX)
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads any seed.
const fn split_mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First output of SplitMix64 for seed 1234567 in the published test vectors (Rosetta Code).
    #[test]
    fn split_mix_is_the_published_one() {
        assert_eq!(split_mix(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn pauses_grow_stay_bounded_and_differ_between_devices() {
        for failures in 1..40 {
            let whole = (30u64 << failures.min(16)).min(900) as u32;
            let pauses: Vec<u32> = (0..200).map(|d| pause_seconds(d, failures, 30)).collect();
            assert!(pauses.iter().all(|p| (whole / 2..=whole).contains(p)));
            let differing: std::collections::BTreeSet<_> = pauses.iter().collect();
            assert!(differing.len() > 20, "{failures}: {differing:?}");
        }
        assert_eq!(pause_seconds(7, 0, 30), 30);
        assert!(pause_seconds(7, 1, 0) <= 2 && pause_seconds(7, u32::MAX, 3_600) >= 1_800);
    }
}
