//! The hotlist 黑名单 as a device holds it: versioned, signed, keyed by card number *and*
//! generation, so that a replacement card does not inherit the block of the lost one.

use std::collections::BTreeMap;

use card_spec::id::{Generation, Pan};
use clearing_api::registry::Hotlist as Signed;
use ed25519_dalek::{Signature, VerifyingKey};

/// Most entries a device holds.
const ENTRIES_MAX: usize = 5_000_000;

/// Why a hotlist was not taken over. The device keeps the one it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The list is too long for this device.
    #[error("the hotlist has more than {ENTRIES_MAX} entries")]
    TooLong,
}

/// The list held by one device.
#[derive(Debug, Clone, Default)]
pub struct Hotlist {
    version: u64,
    listed: BTreeMap<(Pan, Generation), String>,
}

impl Hotlist {
    /// Version held; 0 for none. Every journal record names it.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Number of cards listed.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether no card is listed.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Why this card is listed, if it is.
    pub fn reason(&self, pan: Pan, generation: Generation) -> Option<&str> {
        self.listed.get(&(pan, generation)).map(String::as_str)
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
        let kept = if update.since == 0 { 0 } else { self.len() };
        if kept + update.entries.len() > ENTRIES_MAX {
            return Err(HotlistError::TooLong);
        }
        if update.since == 0 {
            self.listed.clear();
        }
        for entry in &update.entries {
            self.listed
                .insert((entry.pan, entry.generation), entry.reason.clone());
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
mod tests {
    use super::*;
    use clearing_api::registry::HotlistEntry;
    use ed25519_dalek::{Signer, SigningKey};

    fn signed(key: &SigningKey, since: u64, version: u64, entries: Vec<HotlistEntry>) -> Signed {
        let mut list = Signed {
            since,
            version,
            entries,
            signature: String::new(),
        };
        list.signature = hex::encode(key.sign(&list.signing_bytes()).to_bytes());
        list
    }

    fn entry(pan: &str, version: u64) -> HotlistEntry {
        HotlistEntry {
            pan: pan.parse().expect("digits"),
            generation: Generation(1),
            version,
            reason: "lost".into(),
        }
    }

    #[test]
    fn a_replacement_is_not_listed_and_a_forgery_changes_nothing() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let pan: Pan = "03500000000000001234".parse().expect("digits");
        let mut list = Hotlist::default();
        list.apply(
            &signed(&key, 0, 3, vec![entry("03500000000000001234", 2)]),
            &key.verifying_key(),
        )
        .expect("genuine");
        assert_eq!(list.reason(pan, Generation(1)), Some("lost"));
        assert_eq!(list.reason(pan, Generation(2)), None);

        let mut forged = signed(&key, 3, 4, vec![entry("03500000000000009999", 4)]);
        forged.entries[0].generation = Generation(2);
        assert_eq!(
            list.apply(&forged, &key.verifying_key()),
            Err(HotlistError::Signature)
        );
        let other = SigningKey::from_bytes(&[8; 32]);
        let foreign = signed(&other, 3, 4, Vec::new());
        assert_eq!(
            list.apply(&foreign, &key.verifying_key()),
            Err(HotlistError::Signature)
        );
        let old = signed(&key, 0, 2, Vec::new());
        assert_eq!(
            list.apply(&old, &key.verifying_key()),
            Err(HotlistError::Older { got: 2, held: 3 })
        );
        assert_eq!((list.version(), list.len()), (3, 1));
    }

    /// An empty change from 3 to 3, genuine, must not take a device that holds nothing to version 3.
    #[test]
    fn a_change_from_another_version_is_refused_and_a_whole_list_replaces() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (first, second) = ("03500000000000001234", "03500000000000005678");
        let mut list = Hotlist::default();
        let mut change = signed(&key, 3, 3, Vec::new());
        assert_eq!(
            list.apply(&change, &key.verifying_key()),
            Err(HotlistError::Gap { since: 3, held: 0 })
        );
        // The signature covers where the change starts.
        change.since = 0;
        assert_eq!(
            list.apply(&change, &key.verifying_key()),
            Err(HotlistError::Signature)
        );
        let whole = signed(&key, 0, 3, vec![entry(first, 3)]);
        list.apply(&whole, &key.verifying_key()).expect("whole");
        let change = signed(&key, 3, 4, vec![entry(second, 4)]);
        list.apply(&change, &key.verifying_key()).expect("next");
        assert_eq!((list.version(), list.len()), (4, 2));
        let outside = signed(&key, 4, 5, vec![entry(first, 4)]);
        assert_eq!(
            list.apply(&outside, &key.verifying_key()),
            Err(HotlistError::Inconsistent)
        );
        let whole = signed(&key, 0, 5, vec![entry(second, 4)]);
        list.apply(&whole, &key.verifying_key()).expect("whole");
        assert_eq!((list.version(), list.len()), (5, 1));
    }
}
