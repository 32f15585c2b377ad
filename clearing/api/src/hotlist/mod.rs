//! The hotlist's base 黑名单基表: every listed card at one version, signed, in the form in which
//! devices search it. Changes after it travel as [`crate::registry::Hotlist`].
//!
//! A look-up asks the filter (BinaryFuse8, 9 bits an entry, 0.4 % false hits); only a hit searches
//! the exact sorted numbers, and only they say that a card is listed.

mod file;

pub use file::{BaseError, MAX_ENTRIES};

/// Code of the problem that answers a device whose changes are too many: it fetches a base.
pub const BASE_DUE: &str = "hotlist-base-due";

use card_spec::id::{Generation, Pan};
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// One card generation, as the base sorts it: by issuer, then serial and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    iin: [u8; 2],
    /// The 16 digits behind the issuer, times 256, plus the generation.
    number: u64,
}

impl Key {
    /// Of a card generation. Exact: no two share one.
    pub fn new(pan: Pan, generation: Generation) -> Self {
        let digits = (pan.serial8().iter()).fold(0u64, |n, byte| {
            n * 100 + u64::from((byte >> 4) * 10 + (byte & 15))
        });
        Self {
            iin: pan.iin(),
            number: digits << 8 | u64::from(generation.0),
        }
    }

    /// What the filter is asked for. Two issuers may share one: a filter's hit is only a hint.
    pub const fn hint(self) -> u64 {
        hint(self.iin, self.number)
    }
}

const fn hint([a, b]: [u8; 2], number: u64) -> u64 {
    number ^ (a as u64) << 56 ^ (b as u64) << 48
}

/// Entries of one issuer: a range of the sorted numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    iin: [u8; 2],
    start: usize,
    end: usize,
}

/// Every so many numbers one is kept apart: the search of a hit begins in these, which stay in the
/// processor's cache.
const STRIDE: usize = 64;

/// The base. Built by the clearing house, read by devices, never changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Base {
    version: u64,
    groups: Vec<Group>,
    reasons: Vec<String>,
    numbers: Vec<u64>,
    reason_of: Vec<u8>,
    filter: Option<Fuse>,
    /// Every [`STRIDE`]th number; not in the file.
    samples: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq)]
struct Fuse {
    descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN],
    fingerprints: Box<[u8]>,
}

impl core::fmt::Debug for Base {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Base")
            .field("version", &self.version)
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}

impl Base {
    /// Of listed cards with their reasons, in any order; a card named twice keeps its last reason.
    pub fn build<'a>(
        version: u64,
        listed: impl IntoIterator<Item = (Key, &'a str)>,
    ) -> Result<Self, BaseError> {
        let mut reasons: Vec<String> = Vec::new();
        let mut entries = Vec::new();
        for (key, reason) in listed {
            let known = reasons.iter().position(|r| r == reason);
            let index = known.unwrap_or(reasons.len());
            if known.is_none() {
                reasons.push(reason.to_owned());
            }
            let index = u8::try_from(index).map_err(|_| BaseError::Reasons)?;
            entries.push((key, index));
        }
        // Stable: of one card the last stays last, and replaces.
        entries.sort_by_key(|(key, _)| *key);
        entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        if entries.len() > MAX_ENTRIES {
            return Err(BaseError::TooLong);
        }
        if reasons.iter().any(|r| r.len() > u8::MAX.into()) {
            return Err(BaseError::Reasons);
        }
        let mut groups: Vec<Group> = Vec::new();
        for (at, (key, _)) in entries.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if group.iin == key.iin => group.end = at + 1,
                _ => groups.push(Group {
                    iin: key.iin,
                    start: at,
                    end: at + 1,
                }),
            }
        }
        let filter = fuse(entries.iter().map(|(key, _)| key.hint()))?;
        let numbers: Vec<u64> = entries.iter().map(|(key, _)| key.number).collect();
        Ok(Self {
            version,
            groups,
            reasons,
            samples: samples(&numbers),
            numbers,
            reason_of: entries.iter().map(|(_, reason)| *reason).collect(),
            filter,
        })
    }

    /// Version of the hotlist that it is.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Cards listed.
    pub const fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether no card is listed.
    pub const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        let filter = self.filter.as_ref().map_or(0, |f| f.fingerprints.len());
        8 * (self.numbers.len() + self.samples.len()) + self.reason_of.len() + filter
    }

    /// Why this card generation is listed, if it is.
    pub fn reason(&self, key: Key) -> Option<&str> {
        let filter = self.filter.as_ref()?;
        if !BinaryFuse8Ref::from_dma(&filter.descriptor, &filter.fingerprints).contains(&key.hint())
        {
            return None;
        }
        let group = self.groups.iter().find(|group| group.iin == key.iin)?;
        let at = self.search(group, key.number)?;
        let reason = *self.reason_of.get(at)?;
        self.reasons.get(usize::from(reason)).map(String::as_str)
    }

    /// The exact search, first in the samples.
    fn search(&self, group: &Group, number: u64) -> Option<usize> {
        let first = group.start.div_ceil(STRIDE);
        let samples = self.samples.get(first..group.end.div_ceil(STRIDE))?;
        let below = samples.partition_point(|sample| *sample <= number);
        let start = match below {
            0 => group.start,
            _ => (first + below - 1) * STRIDE,
        };
        let end = ((first + below) * STRIDE).min(group.end);
        let found = self.numbers.get(start..end)?.binary_search(&number);
        found.ok().map(|at| start + at)
    }

    /// Every listed card with its reason, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &str)> {
        self.groups.iter().flat_map(move |group| {
            let range = group.start..group.end;
            let numbers = self.numbers.get(range.clone()).unwrap_or_default();
            let reasons = self.reason_of.get(range).unwrap_or_default();
            numbers.iter().zip(reasons).filter_map(|(number, reason)| {
                let key = Key {
                    iin: group.iin,
                    number: *number,
                };
                Some((key, self.reasons.get(usize::from(*reason))?.as_str()))
            })
        })
    }
}

fn samples(numbers: &[u64]) -> Vec<u64> {
    numbers.iter().step_by(STRIDE).copied().collect()
}

/// The filter of these hints; none for none.
fn fuse(hints: impl Iterator<Item = u64>) -> Result<Option<Fuse>, BaseError> {
    let mut hints: Vec<u64> = hints.collect();
    hints.sort_unstable();
    hints.dedup();
    if hints.is_empty() {
        return Ok(None);
    }
    let filter = BinaryFuse8::try_from(hints.as_slice()).map_err(|_| BaseError::Filter)?;
    let mut descriptor = [0; BinaryFuse8::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut descriptor);
    Ok(Some(Fuse {
        descriptor,
        fingerprints: filter.fingerprints,
    }))
}
