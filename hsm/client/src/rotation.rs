//! New versions of keys, from what the custodians of a ceremony carry.

use card_spec::{SuiteId, keys::KeyType};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{ServiceKey, SignPurpose};

/// Which keys get a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rotation {
    /// Application masters of a type: of one index or all, of one suite or all. A class is a type
    /// with its index.
    Masters {
        /// Type.
        key_type: KeyType,
        /// Index; all without.
        index: Option<u8>,
        /// Suite; all without.
        suite: Option<SuiteId>,
    },
    /// A service key.
    Service(ServiceKey),
    /// A signing key; it is drawn, the roots do not matter.
    Signing(SignPurpose),
}

/// One custodian's component of one root, with its check value as it stands on paper.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootComponent {
    /// Who carries it.
    pub custodian: String,
    /// Of which root.
    pub suite: SuiteId,
    /// The component; wiped on drop.
    pub value: Zeroizing<[u8; 16]>,
    /// Its check value.
    pub check: [u8; 3],
}

/// The value is not shown.
impl core::fmt::Debug for RootComponent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RootComponent")
            .field("custodian", &self.custodian)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// Where the values of next versions come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// The HSM forms the roots and derives them. Every component of every root, custodian by
    /// custodian; the roots of each in the order of [`SuiteId::ALL`]. No part is enough alone.
    Components(Vec<RootComponent>),
    /// The HSM draws them: no custodian can make them again, only a backup or an export can.
    Drawn,
}

/// A rotation: the next versions of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationOrder {
    /// Which keys.
    pub rotation: Rotation,
    /// Their values.
    pub source: KeySource,
}
