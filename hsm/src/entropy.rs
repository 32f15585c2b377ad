//! Where randomness comes from: the operating system, or a seed in demonstrations and tests.

use hsm_client::{HsmError, Result};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A source of randomness.
///
/// With a seed every use has its own stream, named by operation, identity and counter, so that the
/// order in which threads ask changes nothing.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Entropy(Option<[u8; 32]>);

impl Entropy {
    /// The operating system's generator: production.
    pub const fn os() -> Self {
        Self(None)
    }

    /// Everything follows from a seed. An HSM that uses it says `demo` in its status.
    pub const fn seeded(seed: [u8; 32]) -> Self {
        Self(Some(seed))
    }

    /// Whether the values can be foretold.
    pub const fn is_seeded(&self) -> bool {
        self.0.is_some()
    }

    /// The stream of one use. The operating system's needs no name.
    pub(crate) fn stream(&self, operation: &str, identity: &[u8], counter: u64) -> Stream {
        let Some(seed) = &self.0 else {
            return Stream::Os;
        };
        let mut hash = Sha256::new();
        hash.update(seed);
        for part in [operation.as_bytes(), identity] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(counter.to_be_bytes());
        let mut key: [u8; 32] = hash.finalize().into();
        let rng = ChaCha20Rng::from_seed(key);
        key.zeroize();
        Stream::Seeded(Box::new(rng))
    }
}

/// Random bytes of one use.
pub(crate) enum Stream {
    Os,
    Seeded(Box<ChaCha20Rng>),
}

impl Stream {
    /// Fills `out`.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        match self {
            Self::Seeded(rng) => rng.fill_bytes(out),
            Self::Os => getrandom::fill(out).map_err(|e| HsmError::WrongState {
                state: format!("without random numbers ({e})"),
                needs: "the operating system's random generator".to_owned(),
            })?,
        }
        Ok(())
    }

    /// A fixed number of bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_name() {
        let entropy = Entropy::seeded([7; 32]);
        let draw = |op: &str, id: &[u8], n| -> [u8; 16] {
            entropy.stream(op, id, n).array().expect("seeded")
        };
        assert_eq!(draw("pin", b"1", 0), draw("pin", b"1", 0));
        let base = draw("pin", b"1", 0);
        for other in [
            draw("pin", b"1", 1),
            draw("pin", b"2", 0),
            draw("pi", b"n1", 0),
        ] {
            assert_ne!(base, other);
        }
        let os: [u8; 16] = Entropy::os().stream("pin", b"1", 0).array().expect("os");
        assert_ne!(base, os);
    }
}
