//! Export and import of keys by a [`SoftHsm`].

use card_spec::{
    keys::{KeyHeader, kcv},
    perso::kcv_kind,
    suite::Key,
    time::CardTime,
};
use hsm_client::{HsmError, KeyState, Result, ServiceKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{SoftHsm, backup::refused};
use crate::{
    ceremony::{COMPONENTS_MAX, COMPONENTS_MIN, CeremonyError, FormedKey},
    draft::Draft,
    exchange::{self, Bundle, Component, Item, KeyName, Wrapping},
    hierarchy::name,
    lifecycle::Life,
    service::{Key256, check_value},
    sessions::malformed,
    signing::Signer,
    vault::Vault,
};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Keys that are new here.
    pub added: Vec<KeyName>,
    /// Keys that were here already, with the same value.
    pub known: Vec<KeyName>,
}

/// The key-encryption key of an exchange.
pub enum Kek<'a> {
    /// The HSM's own transport key.
    Own,
    /// One that a ceremony formed.
    Formed(&'a FormedKey),
}

impl SoftHsm {
    /// Wraps keys for another HSM. Dual control.
    pub fn export(&self, kek: &Kek<'_>, wrapping: Wrapping, keys: &[KeyName]) -> Result<Bundle> {
        let control = self.authorised()?;
        if keys.is_empty() || keys.len() > exchange::KEYS_MAX {
            return Err(malformed("a bundle has 1 to 4096 keys"));
        }
        let kek = kek_of(&self.vault(), kek)?;
        let counter = self.logs()?.audit.lines();
        let mut stream = self.entropy.stream("export", &[], counter);
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            let value = value(&self.vault(), *key)?;
            items.push(Item {
                key: *key,
                check: check(*key, &value)?,
                wrapped: exchange::wrap(&kek, wrapping, *key, &value, &stream.array()?)?,
            });
        }
        let bundle = Bundle {
            at: (self.clock)(),
            kek_kcv: hex::encode_upper(check_value(&kek)),
            wrapping,
            keys: items,
            mac: String::new(),
        }
        .sealed(&kek)?;
        let named: Vec<String> = keys.iter().map(ToString::to_string).collect();
        self.note_as(
            &control.actor(),
            "keys-exported",
            json!({ "keys": named, "kek": bundle.kek_kcv, "wrapping": wrapping }),
        )?;
        self.sync()?;
        Ok(bundle)
    }

    /// A master as components for paper: their XOR is the key. Dual control.
    pub fn export_components(
        &self,
        header: KeyHeader,
        custodians: &[&str],
    ) -> Result<Vec<Component>> {
        let control = self.authorised()?;
        let count = u8::try_from(custodians.len()).unwrap_or(u8::MAX);
        let names =
            crate::ceremony::custodians(crate::ceremony::Form::Components(count), custodians)
                .map_err(refused)?;
        let vault = self.vault();
        exportable(&vault, header)?;
        let key = vault.backend.export(header)?;
        let counter = self.logs()?.audit.lines();
        let mut stream = self
            .entropy
            .stream("components", &header.to_bytes(), counter);
        let mut rest = Zeroizing::new(*key.expose());
        let mut components = Vec::with_capacity(names.len());
        for (custodian, left) in names.into_iter().zip((0..count).rev()) {
            let value = if left == 0 {
                rest.clone()
            } else {
                let drawn = Zeroizing::new(stream.array::<16>()?);
                rest.iter_mut().zip(drawn.iter()).for_each(|(r, d)| *r ^= d);
                drawn
            };
            let check = kcv(&Key::new(*value), header.suite, kcv_kind(header.suite));
            components.push(Component {
                custodian,
                value,
                check,
            });
        }
        let lines: Vec<_> = components
            .iter()
            .map(|c| json!({ "custodian": c.custodian, "check": hex::encode_upper(c.check) }))
            .collect();
        self.note_as(
            &control.actor(),
            "components-exported",
            json!({ "key": name(header), "components": lines }),
        )?;
        self.sync()?;
        Ok(components)
    }

    /// Takes keys in from a bundle: all of them or none. `expected` is what the officers agreed to
    /// receive; nothing else is taken, and a key that is here with another value refuses the bundle.
    /// Dual control.
    pub fn import(&self, kek: &Kek<'_>, bundle: &Bundle, expected: &[KeyName]) -> Result<Imported> {
        let control = self.authorised()?;
        let at = (self.clock)();
        self.change(&control, "keys-imported", |draft| {
            let mut done = Imported {
                added: Vec::new(),
                known: Vec::new(),
            };
            let kek = kek_of(&draft.vault, kek)?;
            if hex::encode_upper(check_value(&kek)) != bundle.kek_kcv {
                return Err(HsmError::NotAuthentic {
                    what: format!(
                        "the transport key (the bundle is under the one of check value {})",
                        bundle.kek_kcv
                    ),
                });
            }
            bundle.check(&kek)?;
            let mut opened = Vec::with_capacity(bundle.keys.len());
            for item in &bundle.keys {
                if !expected.contains(&item.key) {
                    return Err(HsmError::WrongUsage {
                        key: item.key.to_string(),
                        operation: "this import: the officers expect other keys".to_owned(),
                    });
                }
                let value = exchange::unwrap(kek.as_slice(), bundle.wrapping, item)?;
                if check(item.key, &value)? != item.check {
                    return Err(HsmError::NotAuthentic {
                        what: format!("check value {} of {}", item.check, item.key),
                    });
                }
                opened.push((item.key, value));
            }
            // Every item is sound: now they are taken in.
            for (key, value) in opened {
                if take_in(draft, key, &value, at)? {
                    done.added.push(key);
                } else {
                    done.known.push(key);
                }
            }
            let named = |keys: &[KeyName]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
            let detail = json!({ "added": named(&done.added), "known": named(&done.known), "kek": bundle.kek_kcv });
            Ok((done, detail))
        })
    }

    /// Takes one master in from components. Dual control.
    pub fn import_components(
        &self,
        header: KeyHeader,
        components: &[Component],
        expected: [u8; 3],
    ) -> Result<()> {
        let control = self.authorised()?;
        let count = u8::try_from(components.len()).unwrap_or(u8::MAX);
        if !(COMPONENTS_MIN..=COMPONENTS_MAX).contains(&count) {
            return Err(refused(CeremonyError::Custodians(components.len())));
        }
        let (suite, kind) = (header.suite, kcv_kind(header.suite));
        let mut sum = Zeroizing::new([0; 16]);
        for component in components {
            if kcv(&Key::new(*component.value), suite, kind) != component.check {
                return Err(refused(CeremonyError::CheckValue {
                    expected: hex::encode_upper(component.check),
                }));
            }
            sum.iter_mut()
                .zip(component.value.iter())
                .for_each(|(s, c)| *s ^= c);
        }
        if *sum == [0; 16] {
            return Err(refused(CeremonyError::Weak));
        }
        if kcv(&Key::new(*sum), suite, kind) != expected {
            return Err(HsmError::NotAuthentic {
                what: format!(
                    "check value {} of {}: a component is missing or of another key",
                    hex::encode_upper(expected),
                    name(header)
                ),
            });
        }
        let at = (self.clock)();
        self.change(&control, "components-imported", |draft| {
            take_in(draft, KeyName::Master(header), sum.as_slice(), at)?;
            let custodians: Vec<&str> = components.iter().map(|c| c.custodian.as_str()).collect();
            Ok(((), json!({ "key": name(header), "custodians": custodians })))
        })
    }
}

fn kek_of(vault: &Vault, kek: &Kek<'_>) -> Result<Key256> {
    match kek {
        Kek::Own => vault.service_key(ServiceKey::Transport).cloned(),
        Kek::Formed(FormedKey(key)) => Ok(key.clone()),
    }
}

/// The value of a key that may leave.
fn value(vault: &Vault, key: KeyName) -> Result<Zeroizing<Vec<u8>>> {
    let value = match key {
        KeyName::Master(header) => {
            exportable(vault, header)?;
            vault.backend.export(header)?.expose().to_vec()
        }
        KeyName::Service(ServiceKey::Storage) => {
            return Err(HsmError::WrongUsage {
                key: key.to_string(),
                operation: "an export: it opens this store and no other".to_owned(),
            });
        }
        KeyName::Service(service) => vault.service_key(service)?.to_vec(),
        KeyName::Signing(purpose) => {
            let signer = vault.signer(purpose).ok();
            let signer = signer.ok_or_else(|| HsmError::UnknownKey {
                key: key.to_string(),
            })?;
            signer.secret().to_vec()
        }
    };
    Ok(Zeroizing::new(value))
}

/// The check value of a key, hex.
fn check(key: KeyName, value: &[u8]) -> Result<String> {
    let wrong = || malformed("a wrapped key has not the length of its kind");
    Ok(match key {
        KeyName::Master(header) => {
            let key = Key::new(*value.as_array().ok_or_else(wrong)?);
            hex::encode_upper(kcv(&key, header.suite, kcv_kind(header.suite)))
        }
        KeyName::Service(_) => {
            let key = Key256::new(*value.as_array().ok_or_else(wrong)?);
            hex::encode_upper(check_value(&key))
        }
        KeyName::Signing(purpose) => {
            let secret = Zeroizing::new(*value.as_array().ok_or_else(wrong)?);
            let signer = Signer::from_secret(purpose, secret).ok_or_else(wrong)?;
            let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(signer.public_key()?));
            hex::encode_upper([a, b, c, d])
        }
    })
}

/// A key that nobody should use again does not travel.
fn exportable(vault: &Vault, header: KeyHeader) -> Result<()> {
    let state = vault.record(header)?.life.state();
    if !matches!(state, KeyState::Compromised | KeyState::Destroyed) {
        return Ok(());
    }
    Err(HsmError::Refused {
        why: format!(
            "key {} is {}: it is not exported",
            name(header),
            state.name()
        ),
    })
}

/// Puts one key into the vault; false when the very same is there.
fn take_in(draft: &mut Draft, key: KeyName, value: &[u8], at: CardTime) -> Result<bool> {
    let wrong = || malformed("a wrapped key has not the length of its kind");
    let here = match key {
        KeyName::Service(ServiceKey::Storage) => return Err(wrong()),
        KeyName::Master(header) if !draft.vault.masters.contains_key(&header) => {
            let key = Box::new(Key::new(*value.as_array().ok_or_else(wrong)?));
            // A new version waits until two officers activate it, as after a rotation.
            let state = match draft.vault.current(header) {
                Ok(_) => KeyState::PreActive,
                Err(_) => KeyState::Active,
            };
            draft.bring(header, key, Life::begun(state, at))?;
            return Ok(true);
        }
        _ => self::value(&draft.vault, key)?,
    };
    if bool::from(here.as_slice().ct_eq(value)) {
        return Ok(false);
    }
    Err(HsmError::Refused {
        why: format!("there is another {key} here: retire it or give the new one another version"),
    })
}
