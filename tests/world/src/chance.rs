//! Chance from a seed: a stream of its own for every purpose, so that one more draw here does not
//! shift the others.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};

/// One stream.
pub struct Chance(ChaCha20Rng);

impl Chance {
    /// The stream of a purpose (`"journeys"`, `"card/03500..."`) under a seed.
    pub fn stream(seed: u64, purpose: &str) -> Self {
        Self(ChaCha20Rng::from_seed(stream_seed(seed, purpose)))
    }

    /// A number below `bound` (0 for an empty range). The bias of one in 2^32 does not matter here.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        self.0.next_u32() as usize % bound
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below((high.saturating_sub(low) + 1) as usize) as u32
    }

    /// True in `percent` of cases.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }
}

/// The 32-byte seed of a stream, for parts that keep their own generator.
pub fn stream_seed(seed: u64, purpose: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"onecard-world-v1");
    hash.update(seed.to_be_bytes());
    hash.update(purpose.as_bytes());
    hash.finalize().into()
}
