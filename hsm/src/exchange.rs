//! Keys that travel to another HSM or come from one: a bundle of keys, each wrapped under a
//! key-encryption key.
//!
//! In an X9.143 block the header says what a key is: usage is `01`..`41`, the key type's byte (the
//! standard leaves digits to private use), mode `X` (derivation), algorithm `A`, `T` or, for SM4,
//! the private `4`; the version number is the key's version in hex; an optional block `10` holds
//! the index. Of what no card holds, PIN keys are `P0`, the personal-data key `D0`, transport keys
//! `K1`, signing keys `S0` with the purpose in a block `11`. The header is authenticated with the
//! key, and must say what the bundle says.

use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType},
    time::CardTime,
};
use hsm_client::{HsmError, Result, ServiceKey, SignPurpose};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    hierarchy::{FIRST_VERSION, name},
    keyblock::{self, Attributes, KeyBlockError, Optional},
    keywrap,
    service::Key256,
    signing::purpose_byte,
};

/// Private optional block: the index of a master.
const INDEX: [u8; 2] = *b"10";
/// Private optional block: the purpose of a signing key.
const PURPOSE: [u8; 2] = *b"11";
/// Most keys of a bundle.
pub const KEYS_MAX: usize = 4096;

/// A key that can travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyName {
    /// An application master.
    Master(KeyHeader),
    /// A key that the HSM itself uses.
    Service(ServiceKey),
    /// A signing key.
    Signing(SignPurpose),
}

impl core::fmt::Display for KeyName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Master(header) => f.write_str(&name(*header)),
            Self::Service(key) => f.write_str(key.name()),
            Self::Signing(purpose) => write!(f, "signing key {purpose:?}"),
        }
    }
}

/// As people type it: `DTK:01:2:aes` (type, index, version, suite), `PIN`, or `sign:hotlist`.
impl core::str::FromStr for KeyName {
    type Err = HsmError;
    fn from_str(text: &str) -> Result<Self> {
        let service = ServiceKey::ALL.into_iter().find(|k| k.name() == text);
        if let Some(key) = service {
            return Ok(Self::Service(key));
        }
        let parse = || {
            if let Some(purpose) = text.strip_prefix("sign:") {
                let purpose = serde_json::Value::from(purpose);
                return serde_json::from_value(purpose).ok().map(Self::Signing);
            }
            let mut words = text.split(':');
            let named = words.next()?;
            let key_type = KeyType::ALL.into_iter().find(|t| t.name() == named)?;
            let index = u8::from_str_radix(words.next()?, 16).ok()?;
            let version = words.next()?.parse().ok()?;
            let suite = words.next()?.parse().ok()?;
            words.next().is_none().then_some(Self::Master(KeyHeader {
                key_type,
                index,
                version,
                suite,
            }))
        };
        parse().ok_or_else(|| {
            malformed(&format!(
                "{text} names no key: write type:index:version:suite (DTK:01:2:aes), PIN, PDK, KEK or sign:hotlist"
            ))
        })
    }
}

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

/// One wrapped key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is.
    pub key: KeyName,
    /// Its check value (of a signing key: the beginning of its public key's fingerprint), hex.
    pub check: String,
    /// A key block, or hex.
    pub wrapped: String,
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
const BUNDLE_MAC: &[u8] = b"onecard/key-bundle/mac/v1\0";

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
            .map_err(|e| malformed(&format!("this is no key bundle: {e}")))?;
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

/// What a key block says of a key of ours.
pub(crate) fn attributes(key: KeyName) -> Attributes {
    let (usage, algorithm, mode, version, optional) = match key {
        KeyName::Master(header) => (
            digits(header.key_type as u8),
            match header.suite {
                SuiteId::Aes => b'A',
                SuiteId::Tdes => b'T',
                SuiteId::Sm4 => b'4',
            },
            b'X',
            header.version,
            Some((INDEX, header.index)),
        ),
        KeyName::Service(key) => {
            let usage = match key {
                ServiceKey::Transport | ServiceKey::Storage => *b"K1",
                ServiceKey::Pin => *b"P0",
                ServiceKey::PersonalData => *b"D0",
            };
            (usage, b'A', b'B', FIRST_VERSION, None)
        }
        KeyName::Signing(purpose) => (
            *b"S0",
            b'E',
            b'S',
            FIRST_VERSION,
            Some((PURPOSE, purpose_byte(purpose))),
        ),
    };
    let optional = optional.map(|(id, byte)| Optional {
        id,
        data: format!("{byte:02X}"),
    });
    Attributes {
        usage,
        algorithm,
        mode,
        version: digits(version),
        exportability: b'E',
        optional: optional.into_iter().collect(),
    }
}

fn digits(byte: u8) -> [u8; 2] {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'A' + n - 10 };
    [digit(byte >> 4), digit(byte & 0x0F)]
}

/// What a key block is of, as far as its header can be trusted before it is opened: for showing.
pub fn named(block: &str) -> Result<KeyName> {
    let attributes = keyblock::peek(block).map_err(key_block)?;
    key_of(&attributes).ok_or_else(|| unusable(&attributes, "anything here"))
}

fn key_of(attributes: &Attributes) -> Option<KeyName> {
    let optional = |id: [u8; 2]| {
        let mut all = attributes.optional.iter();
        let data = &all.find(|o| o.id == id)?.data;
        u8::from_str_radix(data, 16)
            .ok()
            .filter(|_| data.len() == 2)
    };
    let number = |digits: &[u8; 2]| {
        let text = core::str::from_utf8(digits).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    let key = match &attributes.usage {
        b"K1" => KeyName::Service(ServiceKey::Transport),
        b"P0" => KeyName::Service(ServiceKey::Pin),
        b"D0" => KeyName::Service(ServiceKey::PersonalData),
        b"S0" => {
            let purpose = optional(PURPOSE)?;
            let mut all = SignPurpose::ALL.into_iter();
            KeyName::Signing(all.find(|p| purpose_byte(*p) == purpose)?)
        }
        usage => KeyName::Master(KeyHeader {
            key_type: KeyType::from_byte(number(usage)?)?,
            index: optional(INDEX)?,
            version: number(&attributes.version)?,
            suite: match attributes.algorithm {
                b'A' => SuiteId::Aes,
                b'T' => SuiteId::Tdes,
                b'4' => SuiteId::Sm4,
                _ => return None,
            },
        }),
    };
    Some(key)
}

/// Wraps a value; `random` pads a key block.
pub(crate) fn wrap(
    kek: &Key256,
    wrapping: Wrapping,
    key: KeyName,
    value: &[u8],
    random: &[u8; 16],
) -> Result<String> {
    match wrapping {
        Wrapping::KeyBlock => {
            keyblock::wrap(kek.as_slice(), &attributes(key), value, random).map_err(key_block)
        }
        Wrapping::KeyWrap => keywrap::wrap(kek, value).map(hex::encode_upper),
        Wrapping::PaddedKeyWrap => keywrap::wrap_padded(kek, value).map(hex::encode_upper),
    }
}

/// Opens one item, which must be of the key that it is said to be.
pub(crate) fn unwrap(kek: &[u8], wrapping: Wrapping, item: &Item) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = || hex::decode(&item.wrapped).map_err(|_| malformed("a wrapped key is not hex"));
    let full = || {
        let key = kek.as_array().copied().map(Key256::new);
        key.ok_or_else(|| malformed("AES key wrap takes a key-encryption key of 32 bytes"))
    };
    match wrapping {
        Wrapping::KeyWrap => keywrap::unwrap(&full()?, &bytes()?),
        Wrapping::PaddedKeyWrap => keywrap::unwrap_padded(&full()?, &bytes()?),
        Wrapping::KeyBlock => {
            let opened = keyblock::unwrap(kek, &item.wrapped).map_err(key_block)?;
            check_attributes(&opened.attributes, item.key)?;
            Ok(opened.key)
        }
    }
}

/// Usage, algorithm, mode, version and exportability of an authenticated header against the key
/// that it is to become. Key check values and time stamps among the optional blocks say nothing
/// that binds us; any other unknown block might, and refuses the key.
fn check_attributes(found: &Attributes, key: KeyName) -> Result<()> {
    let wanted = attributes(key);
    let informative = |o: &&Optional| !matches!(&o.id, b"KC" | b"KP" | b"TS" | b"KV");
    let optional = found.optional.iter().filter(informative).cloned();
    let same = (found.usage, found.algorithm, found.mode, found.version)
        == (wanted.usage, wanted.algorithm, wanted.mode, wanted.version);
    if !same || !optional.eq(wanted.optional) {
        return Err(unusable(found, &key.to_string()));
    }
    match found.exportability {
        b'E' => Ok(()),
        _ => Err(HsmError::Refused {
            why: format!(
                "the sender forbids exporting {key} again (exportability {}), which this HSM does not keep apart: ask for a block with E",
                char::from(found.exportability)
            ),
        }),
    }
}

fn unusable(found: &Attributes, operation: &str) -> HsmError {
    let [a, b] = found.usage.map(char::from);
    let [v, w] = found.version.map(char::from);
    let (algorithm, mode) = (char::from(found.algorithm), char::from(found.mode));
    HsmError::WrongUsage {
        key: format!("block of usage {a}{b}, algorithm {algorithm}, mode {mode}, version {v}{w}"),
        operation: operation.to_owned(),
    }
}

fn key_block(error: KeyBlockError) -> HsmError {
    match error {
        KeyBlockError::NotAuthentic => HsmError::NotAuthentic {
            what: "the key block (it was changed, or is under another transport key)".to_owned(),
        },
        other => malformed(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
