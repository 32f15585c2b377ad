//! The base as a file: written by the clearing house, signed by the HSM, read by devices.
//!
//! `OCHOTL1\n | version 8 | issuers 2 | (IIN 2, entries 4)* | reasons 1 | (length 1, text)* |
//! numbers 8 each | reasons 1 each | filter descriptor 20, length 4, bytes | signature 64`, numbers
//! little-endian. The signature is Ed25519 over [`SIGNED_AS`] and the SHA-256 of all before it.

use std::io::{self, Read};

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use xorf::{BinaryFuse8, DmaSerializable};

use super::{Base, Fuse, Group, samples};

/// Most entries of a base.
pub const MAX_ENTRIES: usize = 5_000_000;
const MAGIC: &[u8; 8] = b"OCHOTL1\n";
const SIGNED_AS: &[u8] = b"onecard-hotlist-base-v1|";
/// Bytes converted at a time: the whole file and its numbers never stand in memory together.
const PIECE: usize = 64 * 1024;

/// Why a base cannot be made or is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Reading failed or ended early.
    #[error("the hotlist base cannot be read: {0}; fetch it again")]
    Read(#[from] io::Error),
    /// The signature does not verify.
    #[error("the hotlist base is not signed by this clearing house; fetch it again")]
    Signature,
    /// Signed, and still not a base.
    #[error("the hotlist base is malformed: {0}")]
    Malformed(&'static str),
    /// Too many entries.
    #[error("a hotlist base has at most {MAX_ENTRIES} entries")]
    TooLong,
    /// Too many reasons, or too long ones.
    #[error("a hotlist has at most 256 reasons of 255 bytes")]
    Reasons,
    /// The filter could not be made.
    #[error("no filter could be made of the hotlist")]
    Filter,
}

impl Base {
    /// The file but for its signature, and what the HSM signs of it.
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut out = Vec::with_capacity(self.bytes() + 1_024);
        out.extend(MAGIC);
        out.extend(self.version.to_le_bytes());
        out.extend((self.groups.len() as u16).to_le_bytes());
        for group in &self.groups {
            out.extend(group.iin);
            out.extend(((group.end - group.start) as u32).to_le_bytes());
        }
        out.push(self.reasons.len().saturating_sub(1) as u8);
        for reason in &self.reasons {
            out.push(reason.len() as u8);
            out.extend(reason.as_bytes());
        }
        for number in &self.numbers {
            out.extend(number.to_le_bytes());
        }
        out.extend(&self.reason_of);
        if let Some(filter) = &self.filter {
            out.extend(filter.descriptor);
            out.extend((filter.fingerprints.len() as u32).to_le_bytes());
            out.extend(&filter.fingerprints);
        }
        let signed = signed(&Sha256::digest(&out));
        (out, signed)
    }

    /// Reads a file with its signature to its end, whole and verified or not at all.
    pub fn read(file: impl Read, key: &VerifyingKey) -> Result<Self, BaseError> {
        let mut input = Hashed {
            inner: file,
            hash: Sha256::new(),
        };
        if &input.array()? != MAGIC {
            return Err(BaseError::Malformed("another magic or version"));
        }
        let version = u64::from_le_bytes(input.array()?);
        let (mut groups, mut total) = (Vec::new(), 0usize);
        for _ in 0..u16::from_le_bytes(input.array()?) {
            let (iin, entries) = (input.array()?, u32::from_le_bytes(input.array()?));
            let start = total;
            total += entries as usize;
            if total > MAX_ENTRIES {
                return Err(BaseError::TooLong);
            }
            groups.push(Group {
                iin,
                start,
                end: total,
            });
        }
        let reasons = input.reasons(total > 0)?;
        let numbers = input.numbers(total)?;
        let reason_of = input.bytes(total)?;
        let filter = match total {
            0 => None,
            _ => Some(input.filter()?),
        };
        let signed = signed(&input.hash.clone().finalize());
        let signature = Signature::from_bytes(&input.array()?);
        key.verify_strict(&signed, &signature)
            .map_err(|_| BaseError::Signature)?;
        if input.inner.read(&mut [0])? != 0 {
            return Err(BaseError::Malformed("bytes behind the signature"));
        }
        let base = Self {
            version,
            groups,
            reasons,
            samples: samples(&numbers),
            numbers,
            reason_of,
            filter,
        };
        base.check()?;
        Ok(base)
    }

    /// What the search relies on.
    fn check(&self) -> Result<(), BaseError> {
        let ascending = |group: &Group| {
            let numbers = self.numbers.get(group.start..group.end);
            numbers.is_some_and(|n| n.is_sorted_by(|a, b| a < b))
        };
        if !self.groups.iter().all(ascending) || !self.groups.is_sorted_by(|a, b| a.iin < b.iin) {
            return Err(BaseError::Malformed("numbers out of order"));
        }
        let known = |reason: &u8| usize::from(*reason) < self.reasons.len();
        if !self.reason_of.iter().all(known) {
            return Err(BaseError::Malformed("a reason that is not named"));
        }
        Ok(())
    }
}

fn signed(hash: &[u8]) -> Vec<u8> {
    [SIGNED_AS, hash].concat()
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), BaseError> {
        self.inner.read_exact(out)?;
        self.hash.update(out);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BaseError> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// Grows with what really comes, not with what a length promises.
    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, BaseError> {
        let mut out = Vec::new();
        while out.len() < length {
            let at = out.len();
            out.resize(length.min(at + PIECE), 0);
            self.fill(out.get_mut(at..).unwrap_or_default())?;
        }
        out.shrink_to_fit();
        Ok(out)
    }

    fn reasons(&mut self, any: bool) -> Result<Vec<String>, BaseError> {
        let [last] = self.array()?;
        let count = if any { usize::from(last) + 1 } else { 0 };
        let mut reasons = Vec::new();
        for _ in 0..count {
            let [length] = self.array()?;
            let text = String::from_utf8(self.bytes(length.into())?);
            reasons.push(text.map_err(|_| BaseError::Malformed("a reason is no text"))?);
        }
        Ok(reasons)
    }

    fn numbers(&mut self, total: usize) -> Result<Vec<u64>, BaseError> {
        let (mut numbers, mut piece) = (Vec::new(), vec![0; PIECE]);
        while numbers.len() < total {
            let count = (total - numbers.len()).min(PIECE / 8);
            let bytes = piece.get_mut(..8 * count).unwrap_or_default();
            self.fill(bytes)?;
            let (words, _) = bytes.as_chunks::<8>();
            // Room for what is known to come soon, without doubling at the end.
            numbers.reserve_exact(if numbers.is_empty() { total } else { 0 });
            numbers.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        }
        Ok(numbers)
    }

    fn filter(&mut self) -> Result<Fuse, BaseError> {
        let descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN] = self.array()?;
        let length = u32::from_le_bytes(self.array()?);
        // 9 bits an entry, and a floor for small ones.
        if length as usize > 2 * MAX_ENTRIES {
            return Err(BaseError::TooLong);
        }
        let word = |at: usize| {
            let word = descriptor.get(at..).and_then(|d| d.first_chunk::<4>());
            word.map_or(0, |word| u64::from(u32::from_le_bytes(*word)))
        };
        // A look-up reads at h, h + segment and h + 2 segments, h below the count's length.
        let (segment, mask, counted) = (word(8), word(12), word(16));
        let fits = segment.is_power_of_two()
            && mask == segment - 1
            && counted > 0
            && counted.is_multiple_of(segment)
            && counted + 2 * segment == u64::from(length);
        if !fits {
            return Err(BaseError::Malformed("the filter does not fit itself"));
        }
        Ok(Fuse {
            descriptor,
            fingerprints: self.bytes(length as usize)?.into_boxed_slice(),
        })
    }
}
