//! What a key store says and what its token holds, side by side. The store is right: a change is in
//! force when the store has it, and what the token has besides is what a cut left behind.

use std::collections::BTreeSet;

use card_spec::keys::KeyHeader;
use hsm_client::{HsmError, KeyState, Result};

use crate::{hierarchy::name, store, vault::Vault};

/// How the two differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Keys that the store names and the token lacks.
    pub(crate) missing: Vec<KeyHeader>,
    /// Keys of a change that was cut before the store had it.
    pub(crate) half_taken_in: Vec<KeyHeader>,
    /// Keys that the store says are destroyed, and the token still holds.
    pub(crate) half_destroyed: Vec<KeyHeader>,
    /// Keys of this store's id that it has never heard of: a newer state of it made them. They are
    /// nobody's to delete.
    pub(crate) unknown: Vec<KeyHeader>,
}

impl Vault {
    /// Compares, and changes nothing. A key with another value is another store's token.
    pub(crate) fn difference(&self) -> Result<Difference> {
        let mut held: BTreeSet<_> = self.backend.held()?;
        let mut difference = Difference::default();
        for (header, record) in &self.masters {
            match (record.life.state(), held.remove(header)) {
                (KeyState::Destroyed, true) => difference.half_destroyed.push(*header),
                (KeyState::Destroyed, false) => {}
                (_, false) => difference.missing.push(*header),
                (_, true) if self.backend.check_value(*header)? == record.check => {}
                (_, true) => {
                    return Err(store::store(&format!(
                        "key {} is another one than this store's: restore the token that belongs to it",
                        name(*header)
                    )));
                }
            }
        }
        let arriving = |header: &KeyHeader| self.arriving.contains(header);
        (difference.half_taken_in, difference.unknown) = held.into_iter().partition(arriving);
        Ok(difference)
    }

    /// The refusal of a store whose token lacks keys.
    pub(crate) fn lacking(&self, missing: &[KeyHeader]) -> HsmError {
        HsmError::Backend {
            backend: self.backend.name(),
            why: format!(
                "it lacks keys of this store ({}): attach the right token, or restore it from its own backup; if they were destroyed after this store was written, use the newer store, or `onecard hsm restore` from a backup, which marks them destroyed",
                names(missing).join(", ")
            ),
        }
    }
}

/// As messages and the audit log name them.
pub(crate) fn names(headers: &[KeyHeader]) -> Vec<String> {
    headers.iter().map(|header| name(*header)).collect()
}
