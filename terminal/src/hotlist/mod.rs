//! The hotlist 黑名单 as a device holds it: versioned, signed, keyed by card number *and*
//! generation, so that a replacement card does not inherit the block of the lost one.
//!
//! An immutable base with its filter, and above it the changes since, which list cards and take
//! them off the list again. A later base takes the changes' place.

pub mod bench;
mod changes;
mod fetch;
mod store;

pub use fetch::{FetchError, Hotlists, fetch};
pub use store::HotlistStore;

use std::sync::Arc;

use card_spec::id::{Generation, Pan};
use changes::Changes;
use clearing_api::{
    hotlist::{Base, BaseError, Key},
    registry::Hotlist as Signed,
};
use ed25519_dalek::{Signature, VerifyingKey};

/// Most changes above a base: then a new base is due.
const CHANGES_MAX: usize = 50_000;
/// A whole list longer than this becomes a base at once.
const SMALL: usize = 4_096;

/// Why a hotlist was not taken over. The device keeps the one it has.
#[derive(Debug, thiserror::Error)]
pub enum HotlistError {
    /// The public key is not one.
    #[error("the hotlist key must be 32 bytes of hex: check `hotlist_key` in the profile")]
    Key,
    /// The signature does not verify.
    #[error("the hotlist's signature does not verify: it is not from this clearing house")]
    Signature,
    /// The list is older than the one held.
    #[error("the hotlist has version {got}, the device already holds {held}")]
    Older {
        /// Version offered.
        got: u64,
        /// Version held.
        held: u64,
    },
    /// The change starts at another version than the one held: taking it would leave cards out.
    #[error(
        "the change starts after version {since}, the device holds {held}: fetch the whole list"
    )]
    Gap {
        /// Version after which the change starts.
        since: u64,
        /// Version held.
        held: u64,
    },
    /// Entries do not belong to their list.
    #[error("the hotlist is inconsistent: an entry does not belong between its versions")]
    Inconsistent,
    /// More changes than a device keeps above its base.
    #[error("more than {CHANGES_MAX} changes since the hotlist's base: fetch a new base")]
    BaseDue,
    /// The base is not to be used.
    #[error(transparent)]
    Base(#[from] BaseError),
}

/// The list held by one device. Cheap to copy: a change is made to a copy beside the taps.
#[derive(Debug, Clone, Default)]
pub struct Hotlist {
    version: u64,
    base: Option<Arc<Base>>,
    changes: Changes,
    listed: usize,
}

impl Hotlist {
    /// Version held; 0 for none. Every journal record names it.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Number of cards listed.
    pub const fn len(&self) -> usize {
        self.listed
    }

    /// Whether no card is listed.
    pub const fn is_empty(&self) -> bool {
        self.listed == 0
    }

    /// Memory of the base, which is nearly all.
    pub fn bytes(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.bytes())
    }

    /// Why this card is listed, if it is.
    pub fn reason(&self, pan: Pan, generation: Generation) -> Option<&str> {
        self.reason_of(Key::new(pan, generation))
    }

    fn reason_of(&self, key: Key) -> Option<&str> {
        match self.changes.get(key) {
            Some(change) => change.as_deref(),
            None => self.base.as_ref()?.reason(key),
        }
    }

    /// Takes a verified base in place of everything held.
    pub fn rebase(&mut self, base: Base) -> Result<(), HotlistError> {
        if base.version() < self.version {
            return Err(HotlistError::Older {
                got: base.version(),
                held: self.version,
            });
        }
        *self = Self::from_base(base);
        Ok(())
    }

    fn from_base(base: Base) -> Self {
        Self {
            version: base.version(),
            listed: base.len(),
            base: Some(Arc::new(base)),
            changes: Changes::default(),
        }
    }

    /// Takes over a change that starts at [`Self::version`], or the whole list in place of the one
    /// held (`since` 0), all or nothing.
    pub fn apply(&mut self, update: &Signed, key: &VerifyingKey) -> Result<(), HotlistError> {
        let signature: [u8; 64] = hex::decode(&update.signature)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(HotlistError::Signature)?;
        key.verify_strict(&update.signing_bytes(), &Signature::from_bytes(&signature))
            .map_err(|_| HotlistError::Signature)?;
        if update.version < self.version {
            return Err(HotlistError::Older {
                got: update.version,
                held: self.version,
            });
        }
        if update.since != 0 && update.since != self.version {
            return Err(HotlistError::Gap {
                since: update.since,
                held: self.version,
            });
        }
        let belongs = update.since..=update.version;
        if (update.entries.iter())
            .any(|e| e.version == update.since || !belongs.contains(&e.version))
        {
            return Err(HotlistError::Inconsistent);
        }
        if update.since == 0 {
            let listed = update.entries.iter().filter(|entry| !entry.removed);
            let listed = listed.map(|e| (Key::new(e.pan, e.generation), e.reason.as_str()));
            if update.entries.len() > SMALL {
                *self = Self::from_base(Base::build(update.version, listed)?);
                return Ok(());
            }
            let changes = listed.map(|(key, reason)| (key, Some(reason.to_owned())));
            self.changes = Changes::default();
            self.changes.extend(changes);
            (self.base, self.listed) = (None, self.changes.len());
        } else {
            if self.changes.len() + update.entries.len() > CHANGES_MAX {
                return Err(HotlistError::BaseDue);
            }
            for entry in &update.entries {
                let key = Key::new(entry.pan, entry.generation);
                let was = self.reason_of(key).is_some();
                let reason = (!entry.removed).then(|| entry.reason.clone());
                self.listed += usize::from(reason.is_some());
                self.listed -= usize::from(was);
                self.changes.insert(key, reason);
            }
        }
        self.version = update.version;
        Ok(())
    }
}

/// The HSM's hotlist key from its hex form.
pub fn key_from_hex(text: &str) -> Result<VerifyingKey, HotlistError> {
    let bytes: [u8; 32] = hex::decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(HotlistError::Key)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| HotlistError::Key)
}

#[cfg(test)]
mod tests;
