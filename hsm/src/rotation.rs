//! Changes of state, and new versions of keys from another ceremony's roots.

use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType},
    time::CardTime,
};
use hsm_client::{HsmError, KeyId, KeyState, Result, ServiceKey, SignPurpose};

use crate::{
    Entropy, Roots,
    hierarchy::{catalog, name},
    lifecycle::{Held, Life},
    service,
    signing::Signer,
    vault::{self, Vault, no_service_key, root_of},
};

/// Which keys get a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Vault {
    /// Makes the next version of each key, pre-active. What was imported into the backend is named
    /// in `imported` even when a later one fails.
    pub(crate) fn rotate(
        &mut self,
        roots: &Roots,
        entropy: &Entropy,
        rotation: Rotation,
        at: CardTime,
        imported: &mut Vec<KeyHeader>,
    ) -> Result<Vec<KeyId>> {
        let life = Life::begun(KeyState::PreActive, at);
        match rotation {
            Rotation::Masters {
                key_type,
                index,
                suite,
            } => {
                let wanted = catalog().into_iter().filter(|h| {
                    h.key_type == key_type
                        && index.is_none_or(|i| h.index == i)
                        && suite.is_none_or(|s| h.suite == s)
                });
                let mut made = Vec::new();
                for header in wanted {
                    let header = self.next_version(header)?;
                    let record = vault::import(roots, &*self.backend, header, life.clone())?;
                    imported.push(header);
                    self.masters.insert(header, record);
                    made.push(KeyId::Master(header));
                }
                if made.is_empty() {
                    return Err(HsmError::UnknownKey {
                        key: format!("{} of that index and suite", key_type.name()),
                    });
                }
                Ok(made)
            }
            // The store would have to be sealed anew under the passphrase, which is not kept.
            Rotation::Service(ServiceKey::Storage) => Err(HsmError::Refused {
                why: "the storage key changes when the store is made anew: restore a backup into a new store"
                    .to_owned(),
            }),
            Rotation::Service(key) => {
                let version = next(self.service.range((key, 0)..=(key, u8::MAX)).map(|(k, _)| k.1))?;
                let root = root_of(roots, SuiteId::Aes).ok_or_else(|| no_service_key(key))?;
                let value = Some(service::derived(root, key, version));
                self.service.insert((key, version), Held { life, value });
                Ok(vec![KeyId::Service { key, version }])
            }
            Rotation::Signing(purpose) => {
                let all = self.signing.range((purpose, 0)..=(purpose, u8::MAX));
                let version = next(all.map(|(k, _)| k.1))?;
                let value = Some(Signer::draw(entropy, purpose, version)?);
                self.signing.insert((purpose, version), Held { life, value });
                Ok(vec![KeyId::Signing { purpose, version }])
            }
        }
    }

    /// The first version that was never used. A key of the catalog that an older store lacks
    /// begins with its first.
    fn next_version(&self, header: KeyHeader) -> Result<KeyHeader> {
        let same = self.masters.keys().filter(|h| {
            KeyHeader {
                version: header.version,
                ..**h
            } == header
        });
        let version = next(same.map(|h| h.version))?;
        Ok(KeyHeader { version, ..header })
    }

    /// One change of state. The values of destroyed masters are wiped afterwards, by whoever made
    /// the change durable; those of other keys are gone from this copy.
    pub(crate) fn set_state(&mut self, key: KeyId, to: KeyState, at: CardTime) -> Result<()> {
        let label = label(key);
        let unknown = || HsmError::UnknownKey { key: label.clone() };
        let destroyed = to == KeyState::Destroyed;
        match key {
            KeyId::Master(header) => {
                let record = self.masters.get_mut(&header).ok_or_else(unknown)?;
                record.life.advance(&label, to, at)
            }
            KeyId::Service {
                key: ServiceKey::Storage,
                ..
            } => Err(HsmError::Refused {
                why: "the storage key lives as long as its store".to_owned(),
            }),
            KeyId::Service { key, version } => {
                let held = self.service.get_mut(&(key, version)).ok_or_else(unknown)?;
                held.life.advance(&label, to, at)?;
                if destroyed {
                    held.value = None;
                }
                Ok(())
            }
            KeyId::Signing { purpose, version } => {
                let held = self
                    .signing
                    .get_mut(&(purpose, version))
                    .ok_or_else(unknown)?;
                held.life.advance(&label, to, at)?;
                if destroyed {
                    held.value = None;
                }
                Ok(())
            }
        }
    }
}

/// The number after the highest.
fn next(versions: impl Iterator<Item = u8>) -> Result<u8> {
    let highest = versions.max().unwrap_or(0);
    // FF is the SAM's and the card's "no version".
    highest
        .checked_add(1)
        .filter(|v| *v < u8::MAX)
        .ok_or_else(|| HsmError::Refused {
            why: "this key has had 254 versions: it needs a new index".to_owned(),
        })
}

/// How messages and the audit log name a key.
pub(crate) fn label(key: KeyId) -> String {
    match key {
        KeyId::Master(header) => name(header),
        KeyId::Service { key, version } => format!("{} version {version}", key.name()),
        KeyId::Signing { purpose, version } => {
            format!("signing key {} version {version}", purpose.name())
        }
    }
}
