//! Export and import of keys by a [`SoftHsm`].

mod carried;

use card_spec::{
    SuiteId,
    keys::{KeyHeader, kcv},
    perso::kcv_kind,
    suite::Key,
};
use hsm_client::{HsmError, KeyId, KeyState, Result, ServiceKey};
use serde_json::json;
use zeroize::Zeroizing;

use carried::{Arrived, Change};

use super::{SoftHsm, backup::refused};
use crate::{
    ceremony::{COMPONENTS_MAX, COMPONENTS_MIN, CeremonyError, FormedKey, LegacyKek},
    exchange::{self, Bundle, Component, Item, Wrapping},
    hierarchy::name,
    rotation::label,
    service::{Key256, check_value},
    sessions::malformed,
    vault::Vault,
};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Keys that are new here.
    pub added: Vec<KeyId>,
    /// Keys that were here already, with the same value.
    pub known: Vec<KeyId>,
    /// Those of them that followed the sender into this state.
    pub followed: Vec<(KeyId, KeyState)>,
}

/// The key-encryption key of an exchange.
pub enum Kek<'a> {
    /// The HSM's own transport key: the other HSM is of the same province, and follows this one.
    Own,
    /// One that a ceremony formed: keys travel, and the receiver's officers decide on their states.
    Formed(&'a FormedKey),
}

/// The key-encryption key of a block from another party. It was formed for this one block.
pub enum BlockKek<'a> {
    /// AES-256: a block of version D.
    Formed(&'a FormedKey),
    /// 3DES: a block of version B.
    Legacy(&'a LegacyKek),
}

impl SoftHsm {
    /// Every key that can travel under this key-encryption key, for [`Self::export`]. Another HSM of
    /// the province also learns of those that are compromised or destroyed.
    pub fn travelling(&self, kek: &Kek<'_>) -> Vec<KeyId> {
        let vault = self.vault();
        let mut all = vault.ids();
        if matches!(kek, Kek::Formed(_)) {
            all.retain(|key| carried::value(&vault, *key).is_ok());
        }
        all
    }

    /// Wraps keys for another HSM. Dual control.
    pub(super) fn try_export(
        &self,
        kek: &Kek<'_>,
        wrapping: Wrapping,
        keys: &[KeyId],
    ) -> Result<Bundle> {
        let control = self.authorised()?;
        if keys.is_empty() || keys.len() > exchange::KEYS_MAX {
            return Err(malformed("a bundle has 1 to 4096 keys"));
        }
        let vault = self.vault();
        let follow = matches!(kek, Kek::Own);
        let (own, kek) = kek_of(&vault, kek)?;
        let counter = self.logs()?.audit.lines();
        let mut stream = self.entropy.stream("export", &[], counter);
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            // No key goes under itself, and a key that is out of use tells its state only.
            let value = if follow && (own == Some(*key) || carried::out_of_use(&vault, *key)?) {
                None
            } else {
                Some(carried::value(&vault, *key)?)
            };
            let wrap = |value: &Zeroizing<Vec<u8>>| {
                exchange::wrap(&kek, wrapping, *key, value, &stream.array()?)
            };
            items.push(Item {
                key: *key,
                check: carried::check_here(&vault, *key)?,
                life: carried::life(&vault, *key)?.events(),
                wrapped: value.as_ref().map(wrap).transpose()?,
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
        let named: Vec<String> = keys.iter().map(|key| label(*key)).collect();
        self.note_as(
            &control.actor(),
            "keys-exported",
            json!({ "keys": named, "kek": bundle.kek_kcv, "wrapping": wrapping }),
        )?;
        self.sync()?;
        Ok(bundle)
    }

    /// A master as components for paper: their XOR is the key. Dual control.
    pub(super) fn try_export_components(
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
        carried::travels(&vault, KeyId::Master(header))?;
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

    /// Takes keys in from a bundle: all of them or none. `expected` is what the
    /// officers agreed to receive; nothing else is taken, and a key that is here with another value
    /// refuses the bundle. Dual control.
    ///
    /// Under the HSM's own transport key the bundle is of another HSM of the province, and this one
    /// follows it: keys take the states they have there, unless the one they have here comes later.
    /// Under a formed key states stay as they are, and what is new waits until it is activated.
    pub(super) fn try_import(
        &self,
        kek: &Kek<'_>,
        bundle: &Bundle,
        expected: &[KeyId],
    ) -> Result<Imported> {
        let control = self.authorised()?;
        let at = (self.clock)();
        self.change(&control, "keys-imported", |draft| {
            let follow = matches!(kek, Kek::Own);
            let kek = kek_of_bundle(&draft.vault, kek, bundle)?;
            bundle.check(&kek)?;
            let mut arrived = Vec::with_capacity(bundle.keys.len());
            for item in &bundle.keys {
                if !expected.contains(&item.key) {
                    return Err(HsmError::WrongUsage {
                        key: label(item.key),
                        operation: "this import: the officers expect other keys".to_owned(),
                    });
                }
                let open = |wrapped| exchange::unwrap(&kek, bundle.wrapping, item.key, wrapped);
                let value = item.wrapped.as_deref().map(open).transpose()?;
                arrived.push(Arrived::new(item, value)?);
            }
            // Every item is sound: now they are taken in.
            let mut done = Imported {
                added: Vec::new(),
                known: Vec::new(),
                followed: Vec::new(),
            };
            let mut lives = Vec::new();
            for item in arrived {
                let key = item.key;
                let change = item.take_in(draft, follow, at)?;
                match change {
                    Change::Added => done.added.push(key),
                    Change::Known | Change::Followed(_) => done.known.push(key),
                }
                if let Change::Followed(state) = change {
                    done.followed.push((key, state));
                }
                if change != Change::Known {
                    let life = carried::life(&draft.vault, key)?.events();
                    lives.push(json!({ "key": label(key), "life": life }));
                }
            }
            let followed = done.followed.iter().map(|(key, _)| key);
            let named: Vec<String> = done.added.iter().chain(followed).map(|k| label(*k)).collect();
            let detail = json!({ "keys": named, "lives": lives, "known": done.known.len(), "kek": bundle.kek_kcv });
            Ok((done, detail))
        })
    }

    /// Takes one key in from an X9.143 block that another party made; it waits until
    /// two officers activate it. `expected` is the key that the officers agreed to receive, and the
    /// block's header must allow it to be that one. Under a 3DES key-encryption key only 3DES keys
    /// come: it is weaker than any other key. Returns the check value.
    pub(super) fn try_import_block(
        &self,
        kek: &BlockKek<'_>,
        block: &str,
        expected: KeyId,
    ) -> Result<String> {
        let control = self.authorised()?;
        let at = (self.clock)();
        let (legacy, bytes, kek_check) = match kek {
            BlockKek::Formed(FormedKey(key)) => (false, key.as_slice(), check_value(key)),
            BlockKek::Legacy(LegacyKek(key)) => {
                let check = kcv(key, SuiteId::Tdes, kcv_kind(SuiteId::Tdes));
                (true, key.expose().as_slice(), check)
            }
        };
        let tdes = matches!(expected, KeyId::Master(header) if header.suite == SuiteId::Tdes);
        if legacy && !tdes {
            return Err(HsmError::WrongUsage {
                key: label(expected),
                operation: "an import under a 3DES key-encryption key, which is weaker than it"
                    .to_owned(),
            });
        }
        self.change(&control, "block-imported", |draft| {
            let block = block.trim();
            let value = exchange::unwrap_block(bytes, expected, block)?;
            let arrived = Arrived::alone(expected, value)?;
            let check = arrived.check().to_owned();
            let change = arrived.take_in(draft, false, at)?;
            // The fixed part of the header, in clear in the block: what its sender said of the key.
            let header: String = block.chars().take(16).collect();
            let detail = json!({
                "keys": [label(expected)],
                "header": header,
                "legacy": legacy,
                "kek": hex::encode_upper(kek_check),
                "new": change == Change::Added,
            });
            Ok((check, detail))
        })
    }

    /// Takes one master in from components.
    pub(super) fn try_import_components(
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
            let value = Zeroizing::new(sum.to_vec());
            Arrived::alone(KeyId::Master(header), value)?.take_in(draft, false, at)?;
            let custodians: Vec<&str> = components.iter().map(|c| c.custodian.as_str()).collect();
            Ok((
                (),
                json!({ "keys": [name(header)], "custodians": custodians }),
            ))
        })
    }
}

/// The key-encryption key of an export, and which of our own it is.
fn kek_of(vault: &Vault, kek: &Kek<'_>) -> Result<(Option<KeyId>, Key256)> {
    let key = ServiceKey::Transport;
    match kek {
        Kek::Own => {
            let version = vault.newest_version(key, hsm_client::CURRENT)?;
            let value = vault.service_version(key, version)?.clone();
            Ok((Some(KeyId::Service { key, version }), value))
        }
        Kek::Formed(FormedKey(key)) => Ok((None, key.clone())),
    }
}

/// The key-encryption key of a bundle. Of our own, any version that is not out of use: the sender's
/// officers may have activated it before ours.
fn kek_of_bundle(vault: &Vault, kek: &Kek<'_>, bundle: &Bundle) -> Result<Key256> {
    let mut candidates: Vec<&Key256> = Vec::new();
    match kek {
        Kek::Formed(FormedKey(key)) => candidates.push(key),
        Kek::Own => {
            let of_kind = |key: &ServiceKey| *key == ServiceKey::Transport;
            let all = vault.service.iter().filter(|((key, _), _)| of_kind(key));
            let usable = all.filter(|(_, held)| {
                use KeyState::{Active, PreActive, VerifyOnly};
                matches!(held.life.state(), PreActive | Active | VerifyOnly)
            });
            candidates.extend(usable.filter_map(|(_, held)| held.value.as_deref()));
        }
    }
    let right = |key: &&Key256| hex::encode_upper(check_value(key)) == bundle.kek_kcv;
    let found = candidates.into_iter().find(right).cloned();
    found.ok_or_else(|| HsmError::NotAuthentic {
        what: format!(
            "the transport key (the bundle is under the one of check value {}: export it again under a key that both sides have)",
            bundle.kek_kcv
        ),
    })
}
