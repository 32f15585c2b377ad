//! How a change of keys reaches two places, the key store and its backend, between which power may
//! be cut at any time.
//!
//! 1. The audit log has the change, with its number.
//! 2. If masters arrive at a token, the store says which: they are on their way.
//! 3. The backend takes them in.
//! 4. The store is written with the change. From here on it is in force, and not before.
//! 5. The backend wipes the masters that were destroyed.
//!
//! The next opening finds out how far it came ([`SoftHsm::reconcile`]) and undoes 2 and 3, or does 5;
//! so does the next change, when no power was lost and only a step failed. The number in the lines
//! `opened`, `closed` and `change-in-force` says which changes were in force; a store of before them
//! is refused.

use std::{collections::BTreeSet, sync::Arc};

use card_spec::keys::KeyHeader;
use hsm_client::{HsmError, Result};
use serde_json::{Value, json};

use super::{AUDIT, Core, SoftHsm, founding, locked};
use crate::{
    audit::{self, Line},
    authority::Authorised,
    backend::Place,
    draft::Draft,
    reconcile::{Difference, names},
    rotation::label,
    store::StoreFile,
    vault::Vault,
};

/// Written when the store has the change: an older store beside this log is refused from now on.
const IN_FORCE: &str = "change-in-force";

/// The change that a line of the audit log says was in force; an older key store has been put in the
/// place of the one that it was written beside.
pub(super) fn in_force(line: &Line) -> u64 {
    match line.act.as_str() {
        "opened" | "closed" | IN_FORCE => line.detail["change"].as_u64().unwrap_or(0),
        _ => 0,
    }
}

/// The store's file, and what earlier changes left to do.
pub(super) struct Changes {
    file: StoreFile,
    /// Whether the file may hold a change that is not in force.
    uncertain: bool,
    /// Masters that the backend may have taken in for changes that are not in force.
    undo: BTreeSet<KeyHeader>,
    /// Masters that are destroyed, and may still be in the backend.
    wipe: BTreeSet<KeyHeader>,
}

impl Changes {
    pub(super) const fn of(file: StoreFile) -> Self {
        Self {
            file,
            uncertain: false,
            undo: BTreeSet::new(),
            wipe: BTreeSet::new(),
        }
    }
}

impl Core {
    /// The keys as they are now. A call keeps what it began with.
    pub(crate) fn vault(&self) -> Arc<Vault> {
        let vault = self.vault.read();
        Arc::clone(&vault.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn put_in_force(&self, vault: Vault) {
        let next = Arc::new(vault);
        let vault = self.vault.write();
        *vault.unwrap_or_else(std::sync::PoisonError::into_inner) = next;
    }

    /// Does what earlier changes left to do.
    fn settle(&self, changes: &mut Changes) -> Result<()> {
        let vault = self.vault();
        // First the store says that they do not count, and then they go: it may have been written
        // with them.
        if changes.uncertain {
            let without = vault.expecting(&changes.undo);
            changes.file.write(&without, None)?;
            changes.uncertain = false;
        }
        for header in changes.undo.union(&changes.wipe) {
            vault.backend.destroy(*header)?;
        }
        changes.wipe.clear();
        if !changes.undo.is_empty() {
            let without = vault.expecting(&BTreeSet::new());
            changes.file.write(&without, None)?;
            changes.undo.clear();
        }
        Ok(())
    }

    /// Steps 2 to 4 of a change.
    fn carry_out(&self, changes: &mut Changes, draft: Draft) -> Result<()> {
        let before = self.vault();
        let arriving: BTreeSet<KeyHeader> = draft.arriving().collect();
        changes.uncertain = true;
        changes.undo.extend(&arriving);
        if !arriving.is_empty() && before.backend.place() != Place::File {
            changes.file.write(&before.expecting(&changes.undo), None)?;
        }
        draft.take_in()?;
        let after = &draft.vault;
        let left: BTreeSet<_> = changes.undo.difference(&arriving).copied().collect();
        let envelope = draft.envelope.as_ref();
        changes.file.write(&after.expecting(&left), envelope)?;
        changes.uncertain = false;
        changes.undo = left;
        changes.wipe.extend(draft.leaving(&before));
        if let Some(envelope) = draft.envelope {
            changes.file.envelope = envelope;
        }
        self.put_in_force(draft.vault);
        Ok(())
    }
}

impl SoftHsm {
    /// One change at a time: on a copy, then as the steps above.
    pub(crate) fn change<T>(
        &self,
        control: &Authorised,
        act: &str,
        change: impl FnOnce(&mut Draft) -> Result<(T, Value)>,
    ) -> Result<T> {
        self.sound()?;
        let mut changes = locked(&self.changes);
        // A token that is away must not stop two officers from saying that a key is compromised.
        let settled = self.noting(self.settle(&mut changes));
        let mut draft = Draft::of(&self.vault())?;
        let (result, mut detail) = change(&mut draft)?;
        let drawn = draft.replace_signers(&self.entropy, (self.clock)())?;
        if let (false, Some(detail)) = (drawn.is_empty(), detail.as_object_mut()) {
            let drawn: Vec<String> = drawn.into_iter().map(label).collect();
            detail.insert("drawn".to_owned(), json!(drawn));
        }
        if draft.arriving().next().is_some() {
            settled?;
            self.noting(draft.fits())?;
        }
        let leaves = !draft.leaving(&self.vault()).is_empty();
        let number = draft.vault.change;
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("change".to_owned(), json!(number));
        }
        self.note_as(&control.actor(), act, detail)?;
        self.sync()?;
        if let Err(error) = self.carry_out(&mut changes, draft) {
            let undone = self.settle(&mut changes).is_ok();
            // The line above said that it would be done. What cannot be undone now is at the next
            // opening, or was done after all: the log says which, by the number.
            let failed = format!("{act}-failed");
            let why = json!({ "change": number, "why": error.to_string(), "undone": undone });
            self.noting(self.note_failed(&control.actor(), &failed, &error, why))?;
            return Err(error);
        }
        self.note_as(&control.actor(), IN_FORCE, json!({ "change": number }))?;
        self.sync()?;
        // A new audit key signs from now on. What fails here is made good at the next opening.
        let _ = audit::publish(&self.directory.join(AUDIT), &self.vault().audit_keys());
        let settled = self.noting(self.settle(&mut changes));
        if let (true, Err(error)) = (leaves, settled) {
            let backend = self.vault().backend.name();
            let why = format!(
                "change {number} is in force, and keys it destroyed are still there ({error}): the next change or start wipes them"
            );
            return Err(HsmError::Backend { backend, why });
        }
        Ok(result)
    }

    fn note_failed(&self, actor: &str, act: &str, error: &HsmError, why: Value) -> Result<()> {
        let role = hsm_client::Role::Officer.name();
        self.write(actor, role, act, error.code(), why)?;
        self.sync()
    }

    /// Nothing of a change is left to do: what is in the directory now is all of it.
    pub(super) fn settled<T>(&self, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut changes = locked(&self.changes);
        self.noting(self.settle(&mut changes))?;
        then()
    }

    /// Puts key store and token in line after a cut. A token that lacks keys is refused, and nothing
    /// is changed. A tampered HSM changes nothing at all.
    pub(super) fn reconcile(&self) -> Result<()> {
        if self.sound().is_err() {
            return Ok(());
        }
        let vault = self.vault();
        let refused = |error: HsmError| {
            self.note_refused("open", json!({}), &error);
            error
        };
        let difference = self.noting(vault.difference()).map_err(refused)?;
        if !difference.missing.is_empty() {
            return Err(refused(vault.lacking(&difference.missing)));
        }
        self.put_right(difference).map_err(refused)
    }

    /// [`Self::reconcile`] after a restore: masters that were destroyed since the backup was made
    /// cannot come back, and the store says so. They are returned.
    pub(super) fn reconcile_restored(&self, control: &Authorised) -> Result<Vec<KeyHeader>> {
        self.sound()?;
        let mut difference = self.noting(self.vault().difference())?;
        let gone = core::mem::take(&mut difference.missing);
        self.put_right(difference)?;
        if !gone.is_empty() {
            let at = (self.clock)();
            self.change(control, "keys-gone-since-backup", |draft| {
                draft.end(&gone, at)?;
                Ok(((), json!({ "keys": names(&gone) })))
            })?;
        }
        Ok(gone)
    }

    fn put_right(&self, difference: Difference) -> Result<()> {
        founding::finished(&self.directory);
        let mut changes = locked(&self.changes);
        let vault = self.vault();
        if !vault.arriving.is_empty() {
            for header in &difference.half_taken_in {
                vault.backend.destroy(*header)?;
            }
            let without = vault.expecting(&BTreeSet::new());
            changes.file.write(&without, None)?;
            self.put_in_force(without);
            let keys: Vec<_> = vault.arriving.iter().copied().collect();
            self.note("change-undone", json!({ "keys": names(&keys) }))?;
        }
        for header in &difference.half_destroyed {
            vault.backend.destroy(*header)?;
        }
        for (act, keys) in [
            ("keys-wiped", &difference.half_destroyed),
            ("token-keys-unknown", &difference.unknown),
        ] {
            if !keys.is_empty() {
                self.note(act, json!({ "keys": names(keys) }))?;
            }
        }
        self.sync()
    }
}
