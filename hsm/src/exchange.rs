//! Keys that travel to another HSM or come from one: a bundle of keys, each wrapped under a
//! key-encryption key, with the life of each.
//!
//! A bundle says of every key its check value and every state so far, under one MAC. A key whose
//! value must not travel (it is compromised or destroyed, or a token keeps it) is there without
//! one, so that the receiver learns its state. What an X9.143 block says of its key: [`header`].

mod header;
mod name;

pub use name::{name, parse};

use card_spec::time::CardTime;
use hsm_client::{HsmError, KeyEvent, KeyId, Result};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    keyblock::{self, KeyBlockError},
    keywrap,
    lifecycle::Life,
    service::Key256,
};

/// Most keys of a bundle.
pub const KEYS_MAX: usize = 4096;

/// How keys are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrapping {
    /// X9.143 version D: what the key is for travels with it, authenticated.
    KeyBlock,
    /// RFC 3394: the key alone.
    KeyWrap,
    /// RFC 5649: the key alone.
    PaddedKeyWrap,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is.
    pub key: KeyId,
    /// Its check value (of a signing key: the beginning of its public key's fingerprint), hex. A
    /// service or signing key that is destroyed has none.
    pub check: String,
    /// Every state at the sender, with its first day.
    pub life: Vec<KeyEvent>,
    /// A key block, or hex; nothing when only the state travels.
    pub wrapped: Option<String>,
}

impl Item {
    /// The life, if one can be lived so.
    pub(crate) fn life(&self) -> Result<Life> {
        Life::from_events(&self.life)
            .ok_or_else(|| malformed("a key of the bundle has a life that no key can have"))
    }
}

/// Keys on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// When they were exported.
    pub at: CardTime,
    /// Check value of the key-encryption key, hex: by it the receiver finds the right one.
    pub kek_kcv: String,
    /// How each is wrapped.
    pub wrapping: Wrapping,
    /// The keys.
    pub keys: Vec<Item>,
    /// HMAC-SHA-256 over all of it, hex, under a key of the key-encryption key's: AES key wrap says
    /// nothing of a key's name, and whoever carries the bundle must not be able to exchange two.
    pub mac: String,
}

/// Label of the bundle's MAC; its end is marked so that nothing can continue it.
const BUNDLE_MAC: &[u8] = b"onecard/key-bundle/mac/v2\0";

impl Bundle {
    /// The bundle with its MAC.
    pub(crate) fn sealed(mut self, kek: &[u8; 32]) -> Result<Self> {
        self.mac = String::new();
        self.mac = hex::encode_upper(self.own_mac(kek)?);
        Ok(self)
    }

    /// Whether it is as the holder of the key-encryption key made it.
    pub(crate) fn check(&self, kek: &[u8; 32]) -> Result<()> {
        let bare = Self {
            mac: String::new(),
            ..self.clone()
        };
        let given = hex::decode(&self.mac).unwrap_or_default();
        if bool::from(bare.own_mac(kek)?.as_slice().ct_eq(&given)) {
            return Ok(());
        }
        Err(HsmError::NotAuthentic {
            what: "the bundle: it was changed on its way, or is of another release".to_owned(),
        })
    }

    fn own_mac(&self, kek: &[u8; 32]) -> Result<[u8; 32]> {
        let json = serde_json::to_vec(self)
            .map_err(|e| malformed(&format!("the bundle cannot be written: {e}")))?;
        Ok(crate::service::prf(kek, &[BUNDLE_MAC, &json]))
    }

    /// Reads a bundle from JSON.
    pub fn from_json(text: &str) -> Result<Self> {
        let bundle: Self = serde_json::from_str(text)
            .map_err(|e| malformed(&format!("this is no key bundle of this release: {e}")))?;
        if bundle.keys.len() > KEYS_MAX {
            return Err(malformed("a bundle has at most 4096 keys"));
        }
        Ok(bundle)
    }
}

fn malformed(why: &str) -> HsmError {
    HsmError::Malformed {
        why: why.to_owned(),
    }
}

/// One component of an exported key, for one custodian's paper. Wiped on drop.
pub struct Component {
    /// Who gets it.
    pub custodian: String,
    /// The component.
    pub value: Zeroizing<[u8; 16]>,
    /// Its check value, of the kind of the key's.
    pub check: [u8; 3],
}

/// What a key block is of, as far as its header can be trusted before it is opened: for showing.
pub fn named(block: &str) -> Result<KeyId> {
    let attributes = keyblock::peek(block).map_err(key_block)?;
    header::key_of(&attributes).ok_or_else(|| header::unusable(&attributes, "anything here"))
}

/// Wraps a value; `random` pads a key block.
pub(crate) fn wrap(
    kek: &Key256,
    wrapping: Wrapping,
    key: KeyId,
    value: &[u8],
    random: &[u8; 16],
) -> Result<String> {
    match wrapping {
        Wrapping::KeyBlock => {
            keyblock::wrap(kek.as_slice(), &header::written(key), value, random).map_err(key_block)
        }
        Wrapping::KeyWrap => keywrap::wrap(kek, value).map(hex::encode_upper),
        Wrapping::PaddedKeyWrap => keywrap::wrap_padded(kek, value).map(hex::encode_upper),
    }
}

/// Opens one wrapped key, which must be of the key that it is said to be.
pub(crate) fn unwrap(
    kek: &Key256,
    wrapping: Wrapping,
    key: KeyId,
    wrapped: &str,
) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = || hex::decode(wrapped).map_err(|_| malformed("a wrapped key is not hex"));
    match wrapping {
        Wrapping::KeyWrap => keywrap::unwrap(kek, &bytes()?),
        Wrapping::PaddedKeyWrap => keywrap::unwrap_padded(kek, &bytes()?),
        Wrapping::KeyBlock => unwrap_block(kek.as_slice(), key, wrapped),
    }
}

/// Opens a key block, whose header must admit the key.
pub(crate) fn unwrap_block(kek: &[u8], key: KeyId, block: &str) -> Result<Zeroizing<Vec<u8>>> {
    let opened = keyblock::unwrap(kek, block).map_err(key_block)?;
    header::admits(&opened.attributes, key)?;
    Ok(opened.key)
}

fn key_block(error: KeyBlockError) -> HsmError {
    match error {
        KeyBlockError::CheckValue(block) => HsmError::NotAuthentic {
            what: format!("the check value in block {block} of the key block"),
        },
        KeyBlockError::NotAuthentic => HsmError::NotAuthentic {
            what: "the key block (it was changed, or is under another transport key)".to_owned(),
        },
        other => malformed(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
