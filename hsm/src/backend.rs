//! Where the application masters live, and what the rest of the HSM asks of that place.
//!
//! A master is named by its [`KeyHeader`]; its value stays behind [`Backend`]. What is below a
//! master (region and card keys) is derived there or in this process, as each backend says.
//! Policy (who may use which key for what) is never the backend's: it is decided before.

mod soft;

pub(crate) use soft::Soft;

use card_spec::{
    keys::{Factor, KeyHeader},
    suite::Key,
};
use hsm_client::Result;

/// A key check value of the kind `card_spec::perso::kcv_kind` names for the key's suite.
pub(crate) type CheckValue = [u8; 3];

/// A place that holds application masters.
pub(crate) trait Backend: Send + Sync {
    /// Takes a master in. One under the same name is never replaced.
    fn import(&self, header: KeyHeader, key: &Key) -> Result<()>;

    /// The key one level below a master. The factor is of the master's suite.
    fn diversify(&self, header: KeyHeader, factor: &Factor) -> Result<Key>;

    /// The check value of a master, computed from what is held now.
    fn check_value(&self, header: KeyHeader) -> Result<CheckValue>;

    /// The value of a master, for a store, an export or a backup that encrypts it at once. A backend
    /// that never gives values out refuses.
    fn export(&self, header: KeyHeader) -> Result<Key>;

    /// Wipes a master. Absent is as good as wiped.
    fn destroy(&self, header: KeyHeader) -> Result<()>;
}
