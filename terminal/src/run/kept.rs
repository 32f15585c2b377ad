//! The file that keeps mode orders and the open shift over a restart.

use std::{fs, io, path::Path};

use crate::{
    journal::{FileStorage, Storage},
    machine::Kept,
};

/// Keeps what outlives a restart; without a folder, nothing.
pub(super) struct Keeper {
    storage: Option<FileStorage>,
    kept: Kept,
}

impl Keeper {
    /// Reads what an earlier run left in `folder`. A damaged file is set aside; the message says so.
    pub(super) fn open(folder: Option<&Path>) -> io::Result<(Self, Option<String>)> {
        let Some(folder) = folder else {
            let kept = Kept::default();
            let storage = None;
            return Ok((Self { storage, kept }, None));
        };
        fs::create_dir_all(folder)?;
        let mut storage = FileStorage::open(&folder.join("machine.json"))?;
        let bytes = storage.load()?;
        let (kept, fault) = match serde_json::from_slice(&bytes) {
            Ok(kept) => (kept, None),
            Err(_) if bytes.is_empty() => (Kept::default(), None),
            Err(error) => {
                let aside = folder.join("machine.damaged");
                fs::write(&aside, &bytes)?;
                let message = format!(
                    "modes and shift of the last run cannot be read ({error}); set aside as {}: \
                     order the mode and open the shift again",
                    aside.display()
                );
                storage.replace(&[])?;
                (Kept::default(), Some(message))
            }
        };
        let storage = Some(storage);
        Ok((Self { storage, kept }, fault))
    }

    /// What is kept.
    pub(super) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Keeps what changed. After an error the next change is tried again.
    pub(super) fn keep(&mut self, kept: Kept) -> io::Result<()> {
        if kept == self.kept {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&kept).map_err(io::Error::other)?;
        self.kept = kept;
        match &mut self.storage {
            Some(storage) => storage.replace(&bytes),
            None => Ok(()),
        }
    }
}
