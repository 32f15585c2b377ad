//! Masters in this process's memory; they rest in the encrypted store.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use card_spec::{
    SuiteId,
    keys::{Factor, KcvKind, KeyHeader, kcv},
    suite::Key,
};
use hsm_client::Result;

use super::{Backend, CheckValue, News, Place, import_refused};
use crate::vault::unknown;

/// The backend of every HSM without a token. A map moves its entries about and leaves copies behind:
/// here only pointers move.
#[derive(Default)]
pub(crate) struct Soft(RwLock<BTreeMap<KeyHeader, Box<Key>>>);

impl Soft {
    fn keys(&self) -> RwLockReadGuard<'_, BTreeMap<KeyHeader, Box<Key>>> {
        // No write can be interrupted halfway: a poisoned map is a whole one.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<KeyHeader, Box<Key>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, header: KeyHeader, f: impl FnOnce(&Key) -> T) -> Result<T> {
        let keys = self.keys();
        keys.get(&header)
            .map(|key| f(key))
            .ok_or_else(|| unknown(header))
    }
}

impl Backend for Soft {
    fn place(&self) -> Place {
        Place::File
    }

    fn name(&self) -> String {
        "the key store's file".to_owned()
    }

    fn supports(&self, _: SuiteId) -> Result<()> {
        Ok(())
    }

    fn is_empty(&self) -> Result<bool> {
        Ok(self.keys().is_empty())
    }

    fn found(&self) -> Result<()> {
        Ok(())
    }

    fn import(&self, header: KeyHeader, key: &Key) -> Result<()> {
        match self.keys_mut().entry(header) {
            Entry::Vacant(entry) => {
                entry.insert(Box::new(key.clone()));
                Ok(())
            }
            Entry::Occupied(_) => Err(import_refused(header)),
        }
    }

    fn diversify(&self, header: KeyHeader, factor: &Factor) -> Result<Key> {
        self.with(header, |key| key.diversify(factor))
    }

    fn held(&self) -> Result<BTreeSet<KeyHeader>> {
        Ok(self.keys().keys().copied().collect())
    }

    fn check_value_of(&self, header: KeyHeader, kind: KcvKind) -> Result<CheckValue> {
        self.with(header, |key| kcv(key, header.suite, kind))
    }

    fn export(&self, header: KeyHeader) -> Result<Key> {
        self.with(header, Key::clone)
    }

    fn destroy(&self, header: KeyHeader) -> Result<()> {
        self.keys_mut().remove(&header);
        Ok(())
    }

    fn bind(&self, _: &mut [u8; 32]) -> Result<()> {
        Ok(())
    }

    fn discard(&self) -> Result<()> {
        self.keys_mut().clear();
        Ok(())
    }

    fn news(&self) -> Vec<News> {
        Vec::new()
    }
}
