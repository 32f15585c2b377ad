//! Names of keys as people type them.

use card_spec::keys::{KeyHeader, KeyType};
use hsm_client::{KeyId, Result, ServiceKey, SignPurpose};

use super::malformed;

/// `DTK:01:2:aes` (type, index in hex, version, suite), `PIN:1`, or `sign:hotlist:1`.
pub fn parse(text: &str) -> Result<KeyId> {
    let words: Vec<&str> = text.split(':').collect();
    let number = |version: &str| version.parse().ok().filter(|v| *v != 0);
    let named = || match *words.as_slice() {
        ["sign", purpose, version] => {
            let mut all = SignPurpose::ALL.into_iter();
            Some(KeyId::Signing {
                purpose: all.find(|p| p.name() == purpose)?,
                version: number(version)?,
            })
        }
        [key, version] => {
            let mut all = ServiceKey::ALL.into_iter();
            Some(KeyId::Service {
                key: all.find(|k| k.name() == key)?,
                version: number(version)?,
            })
        }
        [key_type, index, version, suite] => {
            let mut all = KeyType::ALL.into_iter();
            Some(KeyId::Master(KeyHeader {
                key_type: all.find(|t| t.name() == key_type)?,
                index: u8::from_str_radix(index, 16).ok()?,
                version: number(version)?,
                suite: suite.parse().ok()?,
            }))
        }
        _ => None,
    };
    named().ok_or_else(|| {
        malformed(&format!(
            "{text} names no key: write type:index:version:suite (DTK:01:2:aes), PIN:1, PDK:1, KEK:1 or sign:hotlist:1"
        ))
    })
}

/// The name that [`parse`] reads.
pub fn name(key: KeyId) -> String {
    match key {
        KeyId::Master(header) => format!(
            "{}:{:02X}:{}:{}",
            header.key_type.name(),
            header.index,
            header.version,
            header.suite.name()
        ),
        KeyId::Service { key, version } => format!("{}:{version}", key.name()),
        KeyId::Signing { purpose, version } => format!("sign:{}:{version}", purpose.name()),
    }
}
