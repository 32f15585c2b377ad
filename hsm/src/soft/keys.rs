//! Changes of keys, under dual control.

use hsm_client::{KeyId, KeyState, Result, Rotation};
use serde_json::json;
use zeroize::Zeroizing;

use super::{SoftHsm, check_transcript};
use crate::{KdfCost, Roots, ceremony::Transcript, memory::WipeStack, rotation::label};

impl SoftHsm {
    /// Changes the state of a key. A destroyed key's value is gone from memory, backend and store
    /// when this returns (backups keep theirs until they are destroyed as well). Dual control.
    pub(super) fn try_set_key_state(&self, key: KeyId, to: KeyState) -> Result<()> {
        let _wipe = WipeStack;
        let control = self.authorised()?;
        let at = (self.clock)();
        self.change(&control, "key-state", |draft| {
            draft.set_state(key, to, at)?;
            Ok(((), json!({ "key": label(key), "to": to })))
        })
    }

    /// Makes the next version of keys from the roots of a ceremony, pre-active: SAMs may have it,
    /// cards get it and everything else works with it once it is active. The roots may be those of
    /// the first ceremony or new ones; the version is in the derivation. Dual control.
    pub(super) fn try_rotate_keys(
        &self,
        roots: &Roots,
        transcript: &Transcript,
        rotation: Rotation,
    ) -> Result<Vec<KeyId>> {
        let _wipe = WipeStack;
        let control = self.authorised()?;
        check_transcript(roots, transcript)?;
        let (at, entropy) = ((self.clock)(), self.entropy.clone());
        self.change(&control, "key-rotation", |draft| {
            let made = draft.rotate(roots, &entropy, rotation, at)?;
            let names: Vec<String> = made.iter().map(|key| label(*key)).collect();
            Ok((made, json!({ "keys": names, "ceremony": transcript })))
        })
    }

    /// Makes the next version of keys from roots that are drawn here and known nowhere else, for a
    /// moment: the values are random and no ceremony can form them again. Dual control.
    pub(super) fn try_generate_keys(&self, rotation: Rotation) -> Result<Vec<KeyId>> {
        let _wipe = WipeStack;
        let control = self.authorised()?;
        let (at, entropy) = ((self.clock)(), self.entropy.clone());
        let lines = self.logs()?.audit.lines().to_be_bytes();
        let roots = Roots::drawn(&entropy, &lines)?;
        self.change(&control, "key-generation", |draft| {
            let made = draft.rotate(&roots, &entropy, rotation, at)?;
            let names: Vec<String> = made.iter().map(|key| label(*key)).collect();
            Ok((made, json!({ "keys": names })))
        })
    }

    /// Draws the storage key anew and writes the store under it and a new passphrase, as one act:
    /// whatever is cut, the store opens with the old passphrase or with the new one. Earlier copies
    /// of the store, those in backups among them, still open with the old one. Dual control.
    pub(super) fn try_rotate_storage_key(
        &self,
        passphrase: &Zeroizing<String>,
        cost: KdfCost,
    ) -> Result<KeyId> {
        let _wipe = WipeStack;
        let control = self.authorised()?;
        let (at, entropy) = ((self.clock)(), self.entropy.clone());
        self.change(&control, "storage-key-rotation", |draft| {
            let key = draft.rotate_storage(passphrase, cost, &entropy, at)?;
            Ok((key, json!({ "keys": [label(key)] })))
        })
    }
}
