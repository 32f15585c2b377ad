//! One key on its way: what of it leaves, and how it arrives.

use card_spec::{
    keys::{KeyHeader, kcv},
    perso::kcv_kind,
    suite::Key,
    time::CardTime,
};
use hsm_client::{HsmError, KeyId, KeyState, Result, ServiceKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    backend::Place,
    draft::Draft,
    exchange::Item,
    lifecycle::{Held, Life},
    rotation::label,
    service::{Key256, check_value},
    sessions::malformed,
    signing::Signer,
    vault::{Record, Vault},
};

/// The life of a key that is here.
pub(super) fn life(vault: &Vault, key: KeyId) -> Result<&Life> {
    vault
        .life(key)
        .ok_or_else(|| HsmError::UnknownKey { key: label(key) })
}

/// Whether a key's state travels without its value: nobody should use it, or a token keeps it.
pub(super) fn out_of_use(vault: &Vault, key: KeyId) -> Result<bool> {
    let state = life(vault, key)?.state();
    let on_token =
        matches!(key, KeyId::Master(_)) && matches!(vault.backend.place(), Place::Token(_));
    Ok(on_token || matches!(state, KeyState::Compromised | KeyState::Destroyed))
}

/// A key that nobody should use again does not travel, and the key of the store never does.
pub(super) fn travels(vault: &Vault, key: KeyId) -> Result<()> {
    if matches!(
        key,
        KeyId::Service {
            key: ServiceKey::Storage,
            ..
        }
    ) {
        return Err(HsmError::WrongUsage {
            key: label(key),
            operation: "an export: it opens this store and no other".to_owned(),
        });
    }
    let state = life(vault, key)?.state();
    if !matches!(state, KeyState::Compromised | KeyState::Destroyed) {
        return Ok(());
    }
    Err(HsmError::Refused {
        why: format!("key {} is {}: it is not exported", label(key), state.name()),
    })
}

/// The value of a key that may leave.
pub(super) fn value(vault: &Vault, key: KeyId) -> Result<Zeroizing<Vec<u8>>> {
    travels(vault, key)?;
    let unknown = || HsmError::UnknownKey { key: label(key) };
    let value = match key {
        KeyId::Master(header) => vault.backend.export(header)?.expose().to_vec(),
        KeyId::Service { key, version } => {
            let held = vault.service.get(&(key, version)).ok_or_else(unknown)?;
            held.value.as_deref().ok_or_else(unknown)?.to_vec()
        }
        KeyId::Signing { purpose, version } => {
            let held = vault.signing.get(&(purpose, version)).ok_or_else(unknown)?;
            held.value.as_deref().ok_or_else(unknown)?.secret().to_vec()
        }
    };
    Ok(Zeroizing::new(value))
}

/// The check value of a key that is here, hex; nothing of a service or signing key whose value is
/// gone.
pub(super) fn check_here(vault: &Vault, key: KeyId) -> Result<String> {
    Ok(match key {
        KeyId::Master(header) => hex::encode_upper(vault.record(header)?.check),
        KeyId::Service { key, version } => {
            let held = vault.service.get(&(key, version));
            let value = held.and_then(|held| held.value.as_deref());
            value
                .map(check_value)
                .map(hex::encode_upper)
                .unwrap_or_default()
        }
        KeyId::Signing { purpose, version } => {
            let held = vault.signing.get(&(purpose, version));
            let value = held.and_then(|held| held.value.as_deref());
            value.map(fingerprint).transpose()?.unwrap_or_default()
        }
    })
}

fn fingerprint(signer: &Signer) -> Result<String> {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(signer.public_key()?));
    Ok(hex::encode_upper([a, b, c, d]))
}

fn wrong_length() -> HsmError {
    malformed("a wrapped key has not the length of its kind")
}

/// A value of its kind.
enum Value {
    Master(KeyHeader, Box<Key>),
    Service((ServiceKey, u8), Box<Key256>),
    Signing((hsm_client::SignPurpose, u8), Box<Signer>),
}

impl Value {
    fn of(key: KeyId, bytes: &[u8]) -> Result<Self> {
        Ok(match key {
            KeyId::Master(header) => {
                let key = Key::new(*bytes.as_array().ok_or_else(wrong_length)?);
                Self::Master(header, Box::new(key))
            }
            KeyId::Service { key, version } => {
                let value = Key256::new(*bytes.as_array().ok_or_else(wrong_length)?);
                Self::Service((key, version), Box::new(value))
            }
            KeyId::Signing { purpose, version } => {
                let secret = Zeroizing::new(*bytes.as_array().ok_or_else(wrong_length)?);
                let signer = Signer::from_secret(purpose, secret).ok_or_else(wrong_length)?;
                Self::Signing((purpose, version), Box::new(signer))
            }
        })
    }

    fn check(&self) -> Result<String> {
        Ok(match self {
            Self::Master(header, key) => {
                hex::encode_upper(kcv(key, header.suite, kcv_kind(header.suite)))
            }
            Self::Service(_, value) => hex::encode_upper(check_value(value)),
            Self::Signing(_, signer) => fingerprint(signer)?,
        })
    }
}

/// What an arriving key changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new here.
    Added,
    /// It was here, and nothing changed.
    Known,
    /// It was here, and took this state.
    Followed(KeyState),
}

/// A key that arrived whole.
pub(super) struct Arrived {
    pub(super) key: KeyId,
    check: String,
    /// At the sender; nothing when it came from no HSM of ours.
    life: Option<Life>,
    value: Option<Zeroizing<Vec<u8>>>,
}

impl Arrived {
    /// An item of a bundle, opened.
    pub(super) fn new(item: &Item, value: Option<Zeroizing<Vec<u8>>>) -> Result<Self> {
        if let Some(value) = &value
            && Value::of(item.key, value)?.check()? != item.check
        {
            return Err(HsmError::NotAuthentic {
                what: format!("check value {} of {}", item.check, label(item.key)),
            });
        }
        Ok(Self {
            key: item.key,
            check: item.check.clone(),
            life: Some(item.life()?),
            value,
        })
    }

    /// A key from elsewhere.
    pub(super) fn alone(key: KeyId, value: Zeroizing<Vec<u8>>) -> Result<Self> {
        Ok(Self {
            key,
            check: Value::of(key, &value)?.check()?,
            life: None,
            value: Some(value),
        })
    }

    pub(super) fn check(&self) -> &str {
        &self.check
    }

    /// Puts the key, or its state, into the vault that is to be.
    pub(super) fn take_in(self, draft: &mut Draft, follow: bool, at: CardTime) -> Result<Change> {
        if matches!(
            self.key,
            KeyId::Service {
                key: ServiceKey::Storage,
                ..
            }
        ) {
            return Err(wrong_length());
        }
        let theirs = self.life.as_ref().filter(|_| follow);
        match draft.vault.life(self.key) {
            Some(ours) => {
                let later = theirs.filter(|theirs| theirs.later_than(ours)).cloned();
                self.compare(&draft.vault)?;
                let Some(life) = later else {
                    return Ok(Change::Known);
                };
                let state = life.state();
                draft.vault.set_life(self.key, life);
                Ok(Change::Followed(state))
            }
            None => {
                let life = theirs.cloned();
                let life = life.unwrap_or_else(|| Life::begun(KeyState::PreActive, at));
                self.add(draft, life, at)?;
                Ok(Change::Added)
            }
        }
    }

    /// The key that is here under this name must be the same one.
    fn compare(&self, vault: &Vault) -> Result<()> {
        let here = check_here(vault, self.key)?;
        let told = !here.is_empty() && !self.check.is_empty();
        let same = match &self.value {
            Some(value) if !out_of_use(vault, self.key)? => {
                bool::from(self::value(vault, self.key)?.as_slice().ct_eq(value))
            }
            _ => true,
        };
        if same && (!told || here == self.check) {
            return Ok(());
        }
        Err(HsmError::Refused {
            why: format!(
                "there is another {} here: retire it or give the new one another version",
                label(self.key)
            ),
        })
    }

    fn add(self, draft: &mut Draft, mut life: Life, at: CardTime) -> Result<()> {
        let Some(value) = self.value else {
            // Its name stays taken, so that no older bundle brings it back.
            if !matches!(life.state(), KeyState::Compromised | KeyState::Destroyed) {
                return Err(HsmError::Refused {
                    why: format!(
                        "{} comes without its value, which the sender keeps on a token: make it here first, from the same components",
                        label(self.key)
                    ),
                });
            }
            life.end(&label(self.key), at)?;
            return bury(draft, self.key, &self.check, life);
        };
        match Value::of(self.key, &value)? {
            Value::Master(header, key) => draft.bring(header, key, life),
            Value::Service(name, value) => {
                let value = Some(value);
                draft.vault.service.insert(name, Held { life, value });
                Ok(())
            }
            Value::Signing(name, value) => {
                let value = Some(value);
                draft.vault.signing.insert(name, Held { life, value });
                Ok(())
            }
        }
    }
}

/// The record of a key that was never here and must never come.
fn bury(draft: &mut Draft, key: KeyId, check: &str, life: Life) -> Result<()> {
    match key {
        KeyId::Master(header) => {
            let mut bytes = [0; 3];
            hex::decode_to_slice(check, &mut bytes).map_err(|_| wrong_length())?;
            let record = Record { check: bytes, life };
            draft.vault.masters.insert(header, record);
        }
        KeyId::Service { key, version } => {
            let held = Held { life, value: None };
            draft.vault.service.insert((key, version), held);
        }
        KeyId::Signing { purpose, version } => {
            let held = Held { life, value: None };
            draft.vault.signing.insert((purpose, version), held);
        }
    }
    Ok(())
}
