//! Secret sharing M of N 门限分割 (Shamir 1979), byte by byte over GF(256).
//!
//! The field is that of AES (`x^8 + x^4 + x^3 + x + 1`), the secret is the polynomial at 0, share
//! `i` its value at `i`. Nothing here looks a secret up in a table or branches on one; the indexes
//! are public.

use hsm_client::{HsmError, Result};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::entropy::Stream;

/// Most shares of one secret.
pub const SHARES_MAX: u8 = 15;

/// How many custodians there are and how many of them it takes. At least two, else one person
/// would have the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u8, u8)", into = "(u8, u8)")]
pub struct Quorum {
    needed: u8,
    of: u8,
}

impl Quorum {
    /// `needed` of `of`: 2 of 2 to 15 of 15.
    pub fn new(needed: u8, of: u8) -> Result<Self> {
        if needed < 2 || needed > of || of > SHARES_MAX {
            return Err(HsmError::Malformed {
                why: format!(
                    "{needed} of {of} shares: between 2 and {SHARES_MAX} shares, of which at least 2 and at most all are needed"
                ),
            });
        }
        Ok(Self { needed, of })
    }

    /// How many it takes.
    pub const fn needed(self) -> u8 {
        self.needed
    }

    /// How many there are.
    pub const fn of(self) -> u8 {
        self.of
    }
}

impl TryFrom<(u8, u8)> for Quorum {
    type Error = HsmError;
    fn try_from((needed, of): (u8, u8)) -> Result<Self> {
        Self::new(needed, of)
    }
}

impl From<Quorum> for (u8, u8) {
    fn from(quorum: Quorum) -> Self {
        (quorum.needed, quorum.of)
    }
}

/// Product in GF(256).
fn mul(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    for _ in 0..8 {
        product ^= a & (b & 1).wrapping_neg();
        a = (a << 1) ^ (0x1B & (a >> 7).wrapping_neg());
        b >>= 1;
    }
    product
}

/// `a^254`: the inverse of all but 0, which stays 0.
fn inverse(a: u8) -> u8 {
    let mut power = a;
    // 254 = 0b11111110: seven squarings, of which six are followed by a product.
    for _ in 0..6 {
        power = mul(mul(power, power), a);
    }
    mul(power, power)
}

/// The shares 1 to N of a secret.
pub(crate) fn split(
    secret: &[u8],
    quorum: Quorum,
    stream: &mut Stream,
) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    let mut coefficients = Vec::with_capacity(usize::from(quorum.needed));
    coefficients.push(Zeroizing::new(secret.to_vec()));
    for _ in 1..quorum.needed {
        let mut drawn = Zeroizing::new(vec![0; secret.len()]);
        stream.fill(&mut drawn)?;
        coefficients.push(drawn);
    }
    Ok((1..=quorum.of)
        .map(|index| {
            let mut share = Zeroizing::new(vec![0; secret.len()]);
            for coefficient in coefficients.iter().rev() {
                for (byte, c) in share.iter_mut().zip(coefficient.iter()) {
                    *byte = mul(*byte, index) ^ c;
                }
            }
            share
        })
        .collect())
}

/// The polynomial at 0 through the given shares. They must have different indexes and one length;
/// whether they are enough and belong together is the caller's to check.
pub(crate) fn recover(shares: &[(u8, &[u8])]) -> Zeroizing<Vec<u8>> {
    at(0, shares)
}

/// The polynomial at `x` (Lagrange).
fn at(x: u8, shares: &[(u8, &[u8])]) -> Zeroizing<Vec<u8>> {
    let length = shares.iter().map(|(_, v)| v.len()).min().unwrap_or(0);
    let mut secret = Zeroizing::new(vec![0; length]);
    for (index, value) in shares {
        let weight = shares
            .iter()
            .filter(|(other, _)| other != index)
            .fold(1, |w, (other, _)| {
                mul(w, mul(other ^ x, inverse(other ^ index)))
            });
        for (byte, v) in secret.iter_mut().zip(value.iter()) {
            *byte ^= mul(weight, *v);
        }
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entropy;
    use hex_literal::hex;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha2::Sha256;

    /// FIPS 197: 4.2 (products), 4.2.1 (xtime), 5.1.1 (53 and CA are inverses).
    #[test]
    fn the_field_of_aes() {
        assert_eq!(mul(0x57, 0x83), 0xC1);
        assert_eq!(mul(0x57, 0x13), 0xFE);
        assert_eq!(mul(0x57, 0x02), 0xAE);
        assert_eq!(inverse(0x53), 0xCA);
        assert_eq!(inverse(0), 0);
        for a in 1..=255 {
            assert_eq!(mul(a, inverse(a)), 1);
        }
    }

    /// draft-mcgrew-tss-03, 9 (test cases): secret "test\0", threshold 2.
    #[test]
    fn shares_of_the_tss_draft() {
        let shares: [(u8, &[u8]); 2] = [(1, &hex!("B9FA07E185")), (2, &hex!("F5409B4511"))];
        assert_eq!(recover(&shares)[..], hex!("7465737400"));
    }

    /// SLIP-0039, vectors.json, 4 ("Basic sharing 2-of-3 (128 bits)"): the member shares that the two
    /// mnemonics spell. The polynomial at 254 is the digest of its value at 255 there:
    /// `HMAC-SHA256(R, S)[..4] | R`.
    #[test]
    fn shares_of_slip_0039() {
        let shares: [(u8, &[u8]); 2] = [
            (2, &hex!("08fb14b66e692e25dfe2edf53289ed62")),
            (0, &hex!("06ab48fef4bedc8ce58baeef0a73f76e")),
        ];
        let (secret, digest) = (at(255, &shares), at(254, &shares));
        let mut mac = Hmac::<Sha256>::new_from_slice(&digest[4..]).expect("any length");
        mac.update(&secret);
        assert_eq!(digest[..4], mac.finalize().into_bytes()[..4]);
    }

    fn split_seeded(secret: &[u8], needed: u8, of: u8, seed: u8) -> Vec<Zeroizing<Vec<u8>>> {
        let mut stream = Entropy::seeded([seed; 32]).stream("test", &[], 0);
        split(
            secret,
            Quorum::new(needed, of).expect("bounds"),
            &mut stream,
        )
        .expect("seeded")
    }

    fn pick<'a>(shares: &'a [Zeroizing<Vec<u8>>], which: &[u8]) -> Vec<(u8, &'a [u8])> {
        which
            .iter()
            .map(|i| (*i, shares[usize::from(*i) - 1].as_slice()))
            .collect()
    }

    #[test]
    fn a_quorum_has_bounds() {
        for (needed, of) in [(0, 3), (1, 3), (4, 3), (2, 16), (1, 1)] {
            assert!(Quorum::new(needed, of).is_err(), "{needed} of {of}");
        }
        assert!(Quorum::new(2, 2).is_ok() && Quorum::new(15, 15).is_ok());
        assert!(serde_json::from_str::<Quorum>("[1,3]").is_err());
    }

    /// With one share too few every secret is possible: for each guess of the secret there is a
    /// missing share that makes it, and over all coefficients a single share takes every value
    /// equally often whatever the secret is.
    #[test]
    fn one_share_too_few_says_nothing() {
        let shares = split_seeded(&[0x42], 3, 3, 1);
        let known = pick(&shares, &[1, 3]);
        let mut possible = [0u16; 256];
        for missing in 0..=255u8 {
            let all = [known[0], known[1], (2, &[missing])];
            possible[usize::from(recover(&all)[0])] += 1;
        }
        assert_eq!(possible, [1; 256]);
        for secret in [0x00, 0x42, 0xFF] {
            let mut seen = [0u16; 256];
            for coefficient in 0..=255u8 {
                seen[usize::from(mul(coefficient, 2) ^ secret)] += 1;
            }
            assert_eq!(seen, [1; 256]);
        }
    }

    proptest! {
        #[test]
        fn any_m_of_n_recover_and_fewer_do_not(
            secret in proptest::collection::vec(any::<u8>(), 16),
            needed in 2u8..=6, extra in 0u8..=4, seed: u8,
            order in Just((1u8..=15).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let of = needed + extra;
            let shares = split_seeded(&secret, needed, of, seed);
            let mut chosen: Vec<u8> = order.into_iter().filter(|i| *i <= of).collect();
            chosen.truncate(usize::from(needed));
            prop_assert_eq!(&**recover(&pick(&shares, &chosen)), &secret[..]);
            chosen.pop();
            prop_assert_ne!(&**recover(&pick(&shares, &chosen)), &secret[..]);
        }

        #[test]
        fn a_changed_share_changes_the_secret(seed: u8, at in 0usize..16, by in 1u8..) {
            let secret = [0x5A; 16];
            let mut shares = split_seeded(&secret, 3, 5, seed);
            shares[2][at] ^= by;
            prop_assert_ne!(&**recover(&pick(&shares, &[1, 3, 4])), &secret[..]);
        }
    }
}
