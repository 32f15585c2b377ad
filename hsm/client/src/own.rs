//! Keys that no card holds: what the HSM protects its store, exchanges, PIN blocks and columns
//! with, and what it signs with.

use card_spec::keys::KcvKind;
use serde::{Deserialize, Serialize};

use crate::{KeyEvent, KeyState};

/// A symmetric key (AES-256) that never leaves the HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKey {
    /// LMK 本地主密钥: every other key rests encrypted under it.
    Storage,
    /// KEK 传输密钥: keys exchanged with other parties travel under it.
    Transport,
    /// PIN key: PIN blocks between the HSM and other parties.
    Pin,
    /// PDK 个人信息密钥: personal data at rest ([`crate::Hsm::wrap_data`]).
    PersonalData,
}

impl ServiceKey {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Storage,
        Self::Transport,
        Self::Pin,
        Self::PersonalData,
    ];

    /// Short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storage => "LMK",
            Self::Transport => "KEK",
            Self::Pin => "PIN",
            Self::PersonalData => "PDK",
        }
    }
}

/// One service key as people may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeyInfo {
    /// Which.
    pub key: ServiceKey,
    /// Version.
    pub version: u8,
    /// Key check value, hex.
    pub kcv: String,
    /// Its kind.
    pub kcv_kind: KcvKind,
    /// Present state.
    pub state: KeyState,
    /// Every state so far, with its first day.
    pub history: Vec<KeyEvent>,
}

/// What a signature is for; each purpose has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignPurpose {
    /// Hotlist versions.
    Hotlist,
    /// Terminal parameters.
    Parameters,
    /// Audit checkpoints.
    Audit,
    /// Settlement statements.
    Settlement,
    /// Certificate authority of mTLS clients and servers.
    ClientCa,
    /// Certificate authority of card certificates (SM2).
    CardCa,
}

impl SignPurpose {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Hotlist,
        Self::Parameters,
        Self::Audit,
        Self::Settlement,
        Self::ClientCa,
        Self::CardCa,
    ];

    /// Short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hotlist => "hotlist",
            Self::Parameters => "parameters",
            Self::Audit => "audit",
            Self::Settlement => "settlement",
            Self::ClientCa => "client-ca",
            Self::CardCa => "card-ca",
        }
    }

    /// How it signs.
    pub const fn algorithm(self) -> SignAlgorithm {
        match self {
            Self::CardCa => SignAlgorithm::Sm2,
            _ => SignAlgorithm::Ed25519,
        }
    }
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignAlgorithm {
    /// RFC 8032. Public key 32 bytes, signature 64.
    Ed25519,
    /// GB/T 32918.2 with SM3 and the distinguishing id [`SM2_ID`]. Public key 65 bytes
    /// (`04 | x | y`), signature 64 (`r | s`).
    Sm2,
}

impl SignAlgorithm {
    /// Short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Sm2 => "sm2",
        }
    }
}

/// Distinguishing id of SM2 signatures: the default of GM/T 0009, which certificate verifiers use.
pub const SM2_ID: &str = "1234567812345678";

/// One signing key as people may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyInfo {
    /// What it signs.
    pub purpose: SignPurpose,
    /// Version.
    pub version: u8,
    /// How.
    pub algorithm: SignAlgorithm,
    /// SHA-256 of the public key, hex.
    pub fingerprint: String,
    /// Present state.
    pub state: KeyState,
    /// Every state so far, with its first day.
    pub history: Vec<KeyEvent>,
}

/// Everything the HSM holds beside the application masters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnKeys {
    /// Symmetric keys, in the order of [`ServiceKey::ALL`], each with all its versions.
    pub service: Vec<ServiceKeyInfo>,
    /// Signing keys, in the order of [`SignPurpose::ALL`], each with all its versions.
    pub signing: Vec<SigningKeyInfo>,
}

/// Longest item of personal data, in bytes.
pub const DATA_MAX: usize = 8 * 1024;
/// Longest context, in bytes.
pub const CONTEXT_MAX: usize = 64;

/// One item to wrap or unwrap.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataItem {
    /// Where the item belongs (a person number); a blob opens in its own context only. Not secret.
    pub context: String,
    /// Plain data to wrap, at most [`DATA_MAX`] bytes; or the blob that wrapping answered.
    pub data: Vec<u8>,
}

impl core::fmt::Debug for DataItem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "DataItem({}, {} bytes)", self.context, self.data.len())
    }
}
