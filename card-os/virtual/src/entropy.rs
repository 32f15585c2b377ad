//! Reproducible chance for a card.

use card_os::Entropy;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// ChaCha20 from a seed. The caller derives the seed from (world seed, card, counter); a card that
/// is loaded again from its image needs another seed, or its challenges repeat.
pub struct SeededEntropy(ChaCha20Rng);

impl SeededEntropy {
    /// Starts the stream of a seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}
