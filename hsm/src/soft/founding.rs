//! Making a new HSM: all of its files and keys, or none.
//!
//! The file `founding` is there before the first key is and until the key store is: whatever else a
//! cut ceremony left, in the directory or on the token, belongs to the store id in it and is cleared
//! away when the ceremony is held again.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hsm_client::{Result, SignPurpose};

use super::{AUDIT, Config, LOADS, Logs};
use crate::{
    KdfCost, Roots,
    audit::{self, Audit},
    backend::{Backend, Place, StoreId},
    loads::Loads,
    recovery::Recovery,
    store::{self, Disk, Envelope, StoreFile},
    vault::Vault,
};

/// In it: the store id on the token, hex; or nothing.
const FILE: &str = "founding";

pub(super) struct Founding {
    directory: PathBuf,
    backend: Arc<dyn Backend>,
    disk: Box<dyn Disk + Send>,
}

impl Founding {
    /// Everything is clear, and the file says what comes.
    pub(super) fn begin(
        directory: &Path,
        place: Place,
        mut disk: Box<dyn Disk + Send>,
        open: impl FnOnce(Place) -> Result<Box<dyn Backend>>,
    ) -> Result<Self> {
        let begun = directory.join(FILE);
        let again = begun.exists();
        for name in [StoreFile::NAME, AUDIT, LOADS] {
            let path = directory.join(name);
            if path.exists() && (name == StoreFile::NAME || !again) {
                return Err(store::store(&format!(
                    "{} exists: open this HSM, or hold the ceremony in another directory",
                    path.display()
                )));
            }
        }
        let place = match (again, place) {
            (false, place) => place,
            (true, place) => match (id(&store::read(&begun)?), place) {
                (Some(id), Place::Token(_)) => Place::Token(id),
                (None, Place::File) => Place::File,
                _ => {
                    return Err(store::store(&format!(
                        "a ceremony with its keys at another place was cut here, see {}: hold it again as it was, with the same token or none, or take another directory",
                        begun.display()
                    )));
                }
            },
        };
        let backend: Arc<dyn Backend> = Arc::from(open(place)?);
        if again {
            backend.discard()?;
            clear(directory);
        } else if !backend.is_empty()? {
            return Err(hsm_client::HsmError::Refused {
                why: format!(
                    "{} holds the keys of a store of the same id: use another token",
                    backend.name()
                ),
            });
        } else {
            let text = match place {
                Place::Token(id) => hex::encode(id),
                Place::File => String::new(),
            };
            store::replace(&mut *disk, directory, FILE, text.as_bytes())?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            backend,
            disk,
        })
    }

    /// Derives, draws and writes everything; the key store last: with it, everything is there.
    pub(super) fn finish(
        mut self,
        config: &Config,
        cost: KdfCost,
        roots: &Roots,
    ) -> Result<(Vault, Logs, StoreFile)> {
        let made = self.make(config, cost, roots);
        let directory = self.directory;
        let (vault, logs, envelope) = made.inspect_err(|_| {
            // Best effort, on the way out with an error that says more. A key store without its keys
            // is worse than none, and the file stays until the backend is clear.
            clear(&directory);
            if self.backend.discard().is_ok() {
                let _ = fs::remove_file(directory.join(FILE));
            }
        })?;
        let file = StoreFile {
            directory,
            envelope,
            disk: self.disk,
        };
        Ok((vault, logs, file))
    }

    fn make(
        &mut self,
        config: &Config,
        cost: KdfCost,
        roots: &Roots,
    ) -> Result<(Vault, Logs, Envelope)> {
        self.backend.found()?;
        let backend = Arc::clone(&self.backend);
        let vault = Vault::form(roots, &config.entropy, (config.clock)(), backend)?;
        let envelope = Envelope::new(&vault, &config.passphrase, cost, &config.entropy)?;
        let sealed = envelope.seal(&vault, &config.entropy)?;
        let directory = &self.directory;
        let logs = Logs {
            audit: Audit::create(&directory.join(AUDIT), vault.signer(SignPurpose::Audit)?)?,
            loads: Loads::create(&directory.join(LOADS))?,
            recovery: Recovery::default(),
        };
        store::replace(&mut *self.disk, directory, StoreFile::NAME, &sealed)?;
        finished(directory);
        Ok((vault, logs, envelope))
    }
}

/// The key store is there: nothing else counts any more. Once more at every opening, because a cut
/// may have come between.
pub(super) fn finished(directory: &Path) {
    let _ = fs::remove_file(directory.join(FILE));
}

fn id(text: &[u8]) -> Option<StoreId> {
    let mut id = StoreId::default();
    hex::decode_to_slice(text, &mut id).ok().map(|()| id)
}

/// What cannot be removed is named by the next attempt.
fn clear(directory: &Path) {
    for name in [StoreFile::NAME, AUDIT, LOADS] {
        let _ = fs::remove_file(directory.join(name));
        let _ = fs::remove_file(directory.join(format!("{name}.head")));
    }
    let _ = fs::remove_file(directory.join(audit::PUBLIC_KEY));
}
