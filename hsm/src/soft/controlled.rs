//! The acts of two officers on keys. Each is refused without the authorised state, and a refusal
//! leaves a line, as one of a call does.

use card_spec::keys::KeyHeader;
use hsm_client::{KeyId, KeyState, Result, Rotation};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    SoftHsm,
    exchange::{BlockKek, Imported, Kek},
};
use crate::{
    KdfCost, Quorum, Roots,
    backup::Backup,
    ceremony::Transcript,
    exchange::{Bundle, Component, Wrapping},
    hierarchy::name,
    rotation::label,
};

impl SoftHsm {
    fn controlled<T>(&self, act: &str, about: Value, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.note_refused(act, about, error))
    }

    /// Changes the state of a key. A destroyed key's value is gone from memory, backend and store
    /// when this returns (backups keep theirs until they are destroyed as well). Dual control.
    pub fn set_key_state(&self, key: KeyId, to: KeyState) -> Result<()> {
        let about = json!({ "key": label(key), "to": to });
        self.controlled("key-state", about, self.try_set_key_state(key, to))
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
        let made = self.try_rotate_keys(roots, transcript, rotation);
        let about = json!({ "rotation": format!("{rotation:?}") });
        self.controlled("key-rotation", about, made)
    }

    /// Draws the storage key anew and writes the store under it and a new passphrase, as one act:
    /// whatever is cut, the store opens with the old passphrase or with the new one. Earlier copies
    /// of the store, those in backups among them, still open with the old one. Dual control.
    pub fn rotate_storage_key(
        &self,
        passphrase: &Zeroizing<String>,
        cost: KdfCost,
    ) -> Result<KeyId> {
        let made = self.try_rotate_storage_key(passphrase, cost);
        self.controlled("storage-key-rotation", json!({}), made)
    }

    /// Wraps keys for another HSM. Dual control.
    pub fn export(&self, kek: &Kek<'_>, wrapping: Wrapping, keys: &[KeyId]) -> Result<Bundle> {
        let bundle = self.try_export(kek, wrapping, keys);
        self.controlled("keys-exported", json!({ "items": keys.len() }), bundle)
    }

    /// A master as components for paper: their XOR is the key. Dual control.
    pub fn export_components(
        &self,
        header: KeyHeader,
        custodians: &[&str],
    ) -> Result<Vec<Component>> {
        let components = self.try_export_components(header, custodians);
        let about = json!({ "key": name(header) });
        self.controlled("components-exported", about, components)
    }

    /// Takes keys in from a bundle: all of them or none. `expected` is what the
    /// officers agreed to receive; nothing else is taken, and a key that is here with another value
    /// refuses the bundle. Dual control.
    ///
    /// Under the HSM's own transport key the bundle is of another HSM of the province, and this one
    /// follows it: keys take the states they have there, unless the one they have here comes later.
    /// Under a formed key states stay as they are, and what is new waits until it is activated.
    pub fn import(&self, kek: &Kek<'_>, bundle: &Bundle, expected: &[KeyId]) -> Result<Imported> {
        let imported = self.try_import(kek, bundle, expected);
        let about = json!({ "items": bundle.keys.len(), "expected": expected.len() });
        self.controlled("keys-imported", about, imported)
    }

    /// Takes one key in from an X9.143 block that another party made; it waits until
    /// two officers activate it. `expected` is the key that the officers agreed to receive, and the
    /// block's header must allow it to be that one. Under a 3DES key-encryption key only 3DES keys
    /// come: it is weaker than any other key. Returns the check value.
    pub fn import_block(&self, kek: &BlockKek<'_>, block: &str, expected: KeyId) -> Result<String> {
        let imported = self.try_import_block(kek, block, expected);
        let about = json!({ "key": label(expected) });
        self.controlled("block-imported", about, imported)
    }

    /// Takes one master in from components. Dual control.
    pub fn import_components(
        &self,
        header: KeyHeader,
        components: &[Component],
        expected: [u8; 3],
    ) -> Result<()> {
        let imported = self.try_import_components(header, components, expected);
        let about = json!({ "key": name(header) });
        self.controlled("components-imported", about, imported)
    }

    /// Everything in the HSM's directory, encrypted under a new key of which each custodian gets a
    /// share: M of them restore it. Dual control.
    pub fn backup(&self, quorum: Quorum, custodians: &[&str]) -> Result<Backup> {
        let copy = self.try_backup(quorum, custodians);
        self.controlled("backup", json!({ "custodians": custodians.len() }), copy)
    }
}
