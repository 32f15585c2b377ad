//! Changes of state, and new versions of keys from another ceremony's roots.

use card_spec::{SuiteId, keys::KeyHeader, time::CardTime};
use hsm_client::{HsmError, KeyId, KeyState, Result, Rotation, ServiceKey, SignPurpose};

use crate::{
    Entropy, KdfCost, Roots,
    draft::Draft,
    hierarchy::{application_master, catalog, name},
    lifecycle::{Held, Life},
    service,
    signing::Signer,
    store::Envelope,
    vault::{Vault, no_service_key, root_of, unknown},
};

impl Draft {
    /// Makes the next version of each key, pre-active.
    pub(crate) fn rotate(
        &mut self,
        roots: &Roots,
        entropy: &Entropy,
        rotation: Rotation,
        at: CardTime,
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
                    let header = self.vault.next_version(header)?;
                    let root = root_of(roots, header.suite).ok_or_else(|| unknown(header))?;
                    let key = Box::new(application_master(root, header));
                    self.bring(header, key, life.clone())?;
                    made.push(KeyId::Master(header));
                }
                if made.is_empty() {
                    return Err(HsmError::UnknownKey {
                        key: format!("{} of that index and suite", key_type.name()),
                    });
                }
                Ok(made)
            }
            Rotation::Service(ServiceKey::Storage) => Err(HsmError::Refused {
                why: "the storage key comes from no roots: use `onecard hsm key rotate-store`"
                    .to_owned(),
            }),
            Rotation::Service(key) => {
                let version = next(
                    self.vault
                        .service
                        .range((key, 0)..=(key, u8::MAX))
                        .map(|(k, _)| k.1),
                )?;
                let root = root_of(roots, SuiteId::Aes).ok_or_else(|| no_service_key(key))?;
                let value = Some(Box::new(service::derived(root, key, version)));
                self.vault
                    .service
                    .insert((key, version), Held { life, value });
                Ok(vec![KeyId::Service { key, version }])
            }
            Rotation::Signing(purpose) => {
                let all = self.vault.signing.range((purpose, 0)..=(purpose, u8::MAX));
                let version = next(all.map(|(k, _)| k.1))?;
                let value = Some(Box::new(Signer::draw(entropy, purpose, version)?));
                self.vault
                    .signing
                    .insert((purpose, version), Held { life, value });
                Ok(vec![KeyId::Signing { purpose, version }])
            }
        }
    }

    /// The HSM cannot work without a key that signs its log and one that signs certificates: where a
    /// change leaves none active, the next version is drawn and takes over in the same change.
    pub(crate) fn replace_signers(
        &mut self,
        entropy: &Entropy,
        at: CardTime,
    ) -> Result<Vec<KeyId>> {
        let mut drawn = Vec::new();
        for purpose in [SignPurpose::Audit, SignPurpose::ClientCa] {
            if self.vault.signer(purpose).is_ok() {
                continue;
            }
            let all = self.vault.signing.range((purpose, 0)..=(purpose, u8::MAX));
            let version = next(all.map(|(k, _)| k.1))?;
            let held = Held::active(Signer::draw(entropy, purpose, version)?, at);
            self.vault.signing.insert((purpose, version), held);
            drawn.push(KeyId::Signing { purpose, version });
        }
        Ok(drawn)
    }

    /// The next storage key, and an envelope for it under a new passphrase. The old one is destroyed.
    pub(crate) fn rotate_storage(
        &mut self,
        passphrase: &str,
        cost: KdfCost,
        entropy: &Entropy,
        at: CardTime,
    ) -> Result<KeyId> {
        let key = ServiceKey::Storage;
        let all = self.vault.service.range_mut((key, 0)..=(key, u8::MAX));
        let mut versions = Vec::new();
        for ((_, version), held) in all {
            versions.push(*version);
            if held.life.state() != KeyState::Destroyed {
                held.life.end(
                    &label(KeyId::Service {
                        key,
                        version: *version,
                    }),
                    at,
                )?;
                held.value = None;
            }
        }
        let version = next(versions.into_iter())?;
        let value = service::drawn(entropy, version)?;
        let held = Held::active(value, at);
        self.vault.service.insert((key, version), held);
        let envelope = Envelope::new(&self.vault, passphrase, cost, entropy)?;
        self.envelope = Some(envelope);
        Ok(KeyId::Service { key, version })
    }
}

impl Vault {
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
}

impl Draft {
    /// One change of state. The values of destroyed masters are wiped afterwards, by whoever made
    /// the change durable; those of other keys are gone from this copy.
    pub(crate) fn set_state(&mut self, key: KeyId, to: KeyState, at: CardTime) -> Result<()> {
        let label = label(key);
        let unknown = || HsmError::UnknownKey { key: label.clone() };
        let destroyed = to == KeyState::Destroyed;
        match key {
            KeyId::Master(header) => {
                let record = self.vault.masters.get_mut(&header).ok_or_else(unknown)?;
                record.life.advance(&label, to, at)
            }
            KeyId::Service {
                key: ServiceKey::Storage,
                ..
            } => Err(HsmError::Refused {
                why:
                    "the storage key is never without its store: use `onecard hsm key rotate-store`"
                        .to_owned(),
            }),
            KeyId::Service { key, version } => {
                let held = self
                    .vault
                    .service
                    .get_mut(&(key, version))
                    .ok_or_else(unknown)?;
                held.life.advance(&label, to, at)?;
                if destroyed {
                    held.value = None;
                }
                Ok(())
            }
            KeyId::Signing { purpose, version } => {
                let held = self
                    .vault
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
