//! Where the application masters live, and what the rest of the HSM asks of that place.
//!
//! A master is named by its [`KeyHeader`]; its value stays behind [`Backend`]. What is below a
//! master (region and card keys) is derived there or in this process, as each backend says.
//! Policy (who may use which key for what) is never the backend's: it is decided before.

mod pkcs11;
mod soft;

pub(crate) use pkcs11::OnToken;
pub use pkcs11::Token;
pub(crate) use soft::Soft;

use std::collections::BTreeSet;

use card_spec::{
    SuiteId,
    keys::{Factor, KcvKind, KeyHeader},
    perso::kcv_kind,
    suite::Key,
};
use hsm_client::{HsmError, Result};

use crate::hierarchy::name;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod tests;

/// A key check value. Records keep the kind that `card_spec::perso::kcv_kind` names for the suite.
pub(crate) type CheckValue = [u8; 3];

/// Tells the keys of one key store from those of others on the same token.
pub(crate) type StoreId = [u8; 8];

/// Where the values of a key store's masters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the store's file, encrypted.
    File,
    /// On a token, under this id.
    Token(StoreId),
}

/// What happened to the place itself; the audit log takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It cannot be reached, for this reason.
    Lost(String),
    /// It can be reached again.
    Recovered,
}

/// A place that holds application masters.
pub(crate) trait Backend: Send + Sync {
    /// Where the values are.
    fn place(&self) -> Place;

    /// What errors call it.
    fn name(&self) -> String;

    /// Whether it can hold keys of a suite; the error says why not. Known since it was opened.
    fn supports(&self, suite: SuiteId) -> Result<()>;

    /// Whether nothing of this key store is there.
    fn is_empty(&self) -> Result<bool>;

    /// Makes what a new key store needs beside its masters.
    fn found(&self) -> Result<()>;

    /// Takes a master in. One under the same name is never replaced.
    fn import(&self, header: KeyHeader, key: &Key) -> Result<()>;

    /// The key one level below a master. The factor is of the master's suite.
    fn diversify(&self, header: KeyHeader, factor: &Factor) -> Result<Key>;

    /// Every master of this key store that is there, whether the store knows it or not.
    fn held(&self) -> Result<BTreeSet<KeyHeader>>;

    /// The check value of a master that its record keeps, computed from what is held now.
    fn check_value(&self, header: KeyHeader) -> Result<CheckValue> {
        self.check_value_of(header, kcv_kind(header.suite))
    }

    /// A check value of any kind.
    fn check_value_of(&self, header: KeyHeader, kind: KcvKind) -> Result<CheckValue>;

    /// The value of a master, for a store, an export or a backup that encrypts it at once. A backend
    /// that never gives values out refuses.
    fn export(&self, header: KeyHeader) -> Result<Key>;

    /// Wipes a master. Absent is as good as wiped.
    fn destroy(&self, header: KeyHeader) -> Result<()>;

    /// Makes the key of the store's file depend on this backend too.
    fn bind(&self, kek: &mut [u8; 32]) -> Result<()>;

    /// Wipes every key of this key store: its masters, and what the backend made beside them.
    fn discard(&self) -> Result<()>;

    /// What happened to the place since the last question.
    fn news(&self) -> Vec<News>;
}

/// A master that is there already.
fn import_refused(header: KeyHeader) -> HsmError {
    HsmError::Refused {
        why: format!("there is a key {} already", name(header)),
    }
}
