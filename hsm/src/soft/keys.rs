//! Changes of keys: under dual control, durable before they count.

use std::{mem, sync::Arc};

use card_spec::keys::KeyHeader;
use hsm_client::{KeyId, KeyState, Result};
use serde_json::json;

use super::{Core, KEYSTORE, SoftHsm, check_transcript, locked};
use crate::{
    Roots,
    authority::Authorised,
    ceremony::Transcript,
    rotation::{Rotation, label},
    store::{self, Disk},
    vault::Vault,
};

impl Core {
    /// The keys as they are now. A call keeps what it began with.
    pub(crate) fn vault(&self) -> Arc<Vault> {
        let vault = self.vault.read();
        Arc::clone(&vault.unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl SoftHsm {
    /// Changes the state of a key. A destroyed key's value is gone from memory, backend and store
    /// when this returns (backups keep theirs until they are destroyed as well). Dual control.
    pub fn set_key_state(&self, key: KeyId, to: KeyState) -> Result<()> {
        let control = self.authorised()?;
        let at = (self.clock)();
        let detail = json!({ "key": label(key), "to": to });
        self.change(&control, "key-state", &mut store::Real, &mut |vault| {
            vault.set_state(key, to, at)?;
            Ok(((), detail.clone()))
        })?;
        if let (KeyId::Master(header), KeyState::Destroyed) = (key, to) {
            self.vault().backend.destroy(header)?;
        }
        Ok(())
    }

    /// Makes the next version of keys from the roots of a ceremony, pre-active: SAMs may have it,
    /// cards get it and everything else works with it once it is active. The roots may be those of
    /// the first ceremony or new ones; the version is in the derivation. Dual control.
    pub fn rotate_keys(
        &self,
        roots: &Roots,
        transcript: &Transcript,
        rotation: Rotation,
    ) -> Result<Vec<KeyId>> {
        let control = self.authorised()?;
        check_transcript(roots, transcript)?;
        let (at, entropy) = ((self.clock)(), self.entropy.clone());
        let mut imported: Vec<KeyHeader> = Vec::new();
        let made = self.change(&control, "key-rotation", &mut store::Real, &mut |vault| {
            let made = vault.rotate(roots, &entropy, rotation, at, &mut imported)?;
            let names: Vec<String> = made.iter().map(|key| label(*key)).collect();
            Ok((made, json!({ "keys": names, "ceremony": transcript })))
        });
        made.inspect_err(|_| self.take_back(&imported))
    }

    /// After a change that failed: the masters that it brought into the backend.
    pub(super) fn take_back(&self, imported: &[KeyHeader]) {
        let backend = &self.vault().backend;
        for header in imported {
            // Best effort, on the way out with an error that says more.
            let _ = backend.destroy(*header);
        }
    }

    /// One change at a time: on a copy, then in the log, then in the store, then in force.
    pub(crate) fn change<T>(
        &self,
        control: &Authorised,
        act: &str,
        disk: &mut dyn Disk,
        change: &mut dyn FnMut(&mut Vault) -> Result<(T, serde_json::Value)>,
    ) -> Result<T> {
        self.sound()?;
        let _one_at_a_time = locked(&self.changing);
        let mut next = Vault::clone(&self.vault());
        let (result, detail) = change(&mut next)?;
        self.note_as(&control.actor(), act, detail)?;
        self.sync()?;
        let sealed = self.envelope.seal(&next, &self.entropy);
        sealed
            .and_then(|sealed| store::replace(disk, &self.directory, KEYSTORE, &sealed))
            .inspect_err(|error| {
                // The line above said that it would be done.
                let failed = format!("{act}-failed");
                let why = json!({ "why": error.to_string() });
                let _ = self.note_as(&control.actor(), &failed, why);
            })?;
        let mut vault = self
            .vault
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        next.regions.clear();
        let _previous = mem::replace(&mut *vault, Arc::new(next));
        Ok(result)
    }
}
