//! The life of a key.

use card_spec::{keys::KeyHeader, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{ServiceKey, SignPurpose};

/// State of a key (after NIST SP 800-57 part 1, 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Formed, not in use: SAMs get it ahead of the first card.
    PreActive,
    /// In use for everything its type allows.
    Active,
    /// Judges what happened under it; nothing new happens under it.
    VerifyOnly,
    /// Kept, not used.
    Retired,
    /// Known to somebody who should not: not used.
    Compromised,
    /// Its value is gone; its name and check value stay.
    Destroyed,
}

impl KeyState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PreActive,
        Self::Active,
        Self::VerifyOnly,
        Self::Retired,
        Self::Compromised,
        Self::Destroyed,
    ];

    /// Short name, as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreActive => "pre-active",
            Self::Active => "active",
            Self::VerifyOnly => "verify-only",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        }
    }

    /// The states that may follow. What was active is put to verify-only, and back if that was a
    /// mistake; nothing comes back from retired, compromised or destroyed.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::PreActive => &[Self::Active, Self::Compromised, Self::Destroyed],
            Self::Active => &[Self::VerifyOnly, Self::Compromised],
            Self::VerifyOnly => &[Self::Active, Self::Retired, Self::Compromised],
            Self::Retired => &[Self::Compromised, Self::Destroyed],
            Self::Compromised => &[Self::Destroyed],
            Self::Destroyed => &[],
        }
    }
}

/// One change in the life of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvent {
    /// The state that began.
    pub state: KeyState,
    /// When, local time.
    pub at: CardTime,
}

/// Any key that the HSM holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyId {
    /// An application master.
    Master(KeyHeader),
    /// A service key.
    Service {
        /// Which.
        key: ServiceKey,
        /// Version.
        version: u8,
    },
    /// A signing key.
    Signing {
        /// What it signs.
        purpose: SignPurpose,
        /// Version.
        version: u8,
    },
}
