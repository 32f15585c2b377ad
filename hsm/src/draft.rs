//! A change of keys that is not in force yet: the vault as it will be, and the masters that the
//! backend has to take in first.

use card_spec::{
    keys::{KeyHeader, kcv},
    perso::kcv_kind,
    suite::Key,
    time::CardTime,
};
use hsm_client::{HsmError, KeyState, Result};

use crate::{
    backend::Place,
    hierarchy::name,
    lifecycle::Life,
    store::Envelope,
    vault::{Record, Vault},
};

pub(crate) struct Draft {
    pub(crate) vault: Vault,
    /// Boxed, because a vector that grows leaves copies behind.
    arriving: Vec<(KeyHeader, Box<Key>)>,
    /// A new one, when the storage key changes.
    pub(crate) envelope: Option<Envelope>,
}

impl Draft {
    /// The next change of a vault. What is derived from its keys is derived anew: a key may have
    /// lost its right to it.
    pub(crate) fn of(vault: &Vault) -> Result<Self> {
        let change = vault.change.checked_add(1);
        let change = change.ok_or_else(|| HsmError::Refused {
            why: "this key store was changed too often: restore it into a new one".to_owned(),
        })?;
        let vault = vault.clone();
        Ok(Self {
            vault: Vault {
                change,
                arriving: Default::default(),
                regions: Default::default(),
                ..vault
            },
            arriving: Vec::new(),
            envelope: None,
        })
    }

    /// A master that the backend has to take in.
    pub(crate) fn bring(&mut self, header: KeyHeader, key: Box<Key>, life: Life) -> Result<()> {
        self.vault.backend.supports(header.suite)?;
        let check = kcv(&key, header.suite, kcv_kind(header.suite));
        self.vault.masters.insert(header, Record { check, life });
        self.arriving.push((header, key));
        Ok(())
    }

    /// Records of masters whose values are gone.
    pub(crate) fn end(&mut self, gone: &[KeyHeader], at: CardTime) -> Result<()> {
        for header in gone {
            if let Some(record) = self.vault.masters.get_mut(header) {
                record.life.end(&name(*header), at)?;
            }
        }
        Ok(())
    }

    /// Names of what has to be taken in.
    pub(crate) fn arriving(&self) -> impl Iterator<Item = KeyHeader> {
        self.arriving.iter().map(|(header, _)| *header)
    }

    /// Whether a token has room for what arrives. A key that is there under one of the names is no
    /// part of this change: it must not be undone with it.
    pub(crate) fn fits(&self) -> Result<()> {
        if self.arriving.is_empty() || self.vault.backend.place() == Place::File {
            return Ok(());
        }
        let held = self.vault.backend.held()?;
        let Some(there) = self.arriving().find(|header| held.contains(header)) else {
            return Ok(());
        };
        Err(HsmError::Refused {
            why: format!(
                "{} holds a key {} that this store does not know, so a newer store was used with it: restore that one, or destroy the key with the token's tools",
                self.vault.backend.name(),
                name(there)
            ),
        })
    }

    /// Gives the backend what arrives.
    pub(crate) fn take_in(&self) -> Result<()> {
        for (header, key) in &self.arriving {
            self.vault.backend.import(*header, key)?;
            if self.vault.backend.check_value(*header)? != self.vault.record(*header)?.check {
                return Err(HsmError::Backend {
                    backend: self.vault.backend.name(),
                    why: format!(
                        "it took key {} in wrongly: use another token",
                        name(*header)
                    ),
                });
            }
        }
        Ok(())
    }

    /// Masters that this change destroys.
    pub(crate) fn leaving(&self, before: &Vault) -> Vec<KeyHeader> {
        let gone = |vault: &Vault, header| {
            let record = vault.masters.get(header);
            record.is_some_and(|r| r.life.state() == KeyState::Destroyed)
        };
        let all = self.vault.masters.keys();
        all.filter(|h| gone(&self.vault, h) && !gone(before, h))
            .copied()
            .collect()
    }
}
