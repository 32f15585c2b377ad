//! Masters on a PKCS#11 token: sensitive, not extractable, usable for AES or 3DES encryption of
//! blocks and nothing else.
//!
//! A region key is composed here from what the token encrypts (AN10922 and PBOC need ECB only), so
//! region keys and card keys exist in this process; masters do not, after the ceremony. What the
//! token cannot do is refused with a number; nothing is kept in software instead.
//!
//! One session a thread: a call takes a session nobody else uses, with copies of the masters that it
//! needed before as session objects (tokens lock and read their storage for token objects). After an
//! error the session is given up; if the token may have gone, the module is restarted and the call
//! tried once more.

mod link;
mod module;

use std::{collections::BTreeSet, path::PathBuf};

use card_spec::{
    SuiteId,
    keys::{Factor, KcvKind, KeyHeader},
    suite::Key,
};
use cryptoki::{
    error::Error,
    mechanism::{Mechanism, MechanismType},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
};
use hsm_client::{HsmError, Result};
use zeroize::{Zeroize, Zeroizing};

use super::{Backend, CheckValue, News, Place, StoreId, import_refused};
use crate::hierarchy::name;
use link::{Attempt, Fault, Link, Seat};

/// Tail of the lock key's id, where a master has its header: no key type is FF.
const LOCK: [u8; 4] = [0xFF; 4];

/// Which token, and what opens it.
pub struct Token {
    /// The module: a shared library, for example `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// The token's label. Slot numbers change, labels do not.
    pub label: String,
    /// The user PIN.
    pub pin: Zeroizing<String>,
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Token({:?} of {})", self.label, self.module.display())
    }
}

/// The backend of one key store on one token.
pub(crate) struct OnToken {
    link: Link,
    store: StoreId,
    mechanisms: Vec<MechanismType>,
}

impl OnToken {
    /// For a key store, made or about to be made.
    pub(crate) fn open(token: Token, store: StoreId) -> Result<Self> {
        let link = Link::open(token)?;
        let mechanisms = link.run(|library, seat| Ok(library.get_mechanism_list(seat.slot)?))?;
        Ok(Self {
            link,
            store,
            mechanisms,
        })
    }

    /// Attributes of every key: it encrypts blocks inside the token and nothing else. It stays
    /// modifiable, because only such objects can be copied into a session; that it is sensitive and
    /// not extractable can never be taken back.
    fn template(&self, tail: [u8; 4], label: &str, suite: SuiteId) -> Vec<Attribute> {
        let (key_type, mechanism) = cipher(suite);
        vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(key_type),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(false),
            Attribute::Sign(false),
            Attribute::Verify(false),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::AllowedMechanisms(vec![mechanism]),
            Attribute::Id(self.id(tail)),
            Attribute::Label(format!("onecard {} {label}", hex::encode(self.store)).into_bytes()),
        ]
    }

    /// Id of an object: `store 8 | tail 4`; the tail of a master is its header.
    fn id(&self, tail: [u8; 4]) -> Vec<u8> {
        [&self.store[..], &tail].concat()
    }

    fn find(&self, seat: &Seat, tail: [u8; 4]) -> Attempt<Vec<ObjectHandle>> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Id(self.id(tail)),
        ];
        Ok(seat.session.find_objects(&template)?)
    }

    /// Encrypts whole blocks in place under a key of the token.
    fn encrypt(
        &self,
        seat: &mut Seat,
        tail: [u8; 4],
        suite: SuiteId,
        blocks: &mut [u8],
    ) -> Attempt<()> {
        let key = match seat.copies.get(&tail) {
            Some(copy) => *copy,
            None => self.copy(seat, tail)?,
        };
        let mechanism = match suite {
            SuiteId::Tdes => Mechanism::Des3Ecb,
            SuiteId::Aes | SuiteId::Sm4 => Mechanism::AesEcb,
        };
        let encrypted = Zeroizing::new(seat.session.encrypt(&mechanism, key, blocks)?);
        if encrypted.len() != blocks.len() {
            return Err(Error::InvalidValue.into());
        }
        blocks.copy_from_slice(&encrypted);
        Ok(())
    }

    /// Copies a key into the session.
    fn copy(&self, seat: &mut Seat, tail: [u8; 4]) -> Attempt<ObjectHandle> {
        let [object] = self.find(seat, tail)?[..] else {
            let what = match KeyHeader::from_bytes(tail) {
                Ok(header) => name(header),
                Err(_) => "that locks the key store".to_owned(),
            };
            return Err(Fault::Final(HsmError::UnknownKey {
                key: format!("{what} on {}", self.link),
            }));
        };
        let copy = seat
            .session
            .copy_object(object, &[Attribute::Token(false)])?;
        seat.copies.insert(tail, copy);
        Ok(copy)
    }

    fn unsupported(&self, what: &str) -> HsmError {
        HsmError::Unsupported {
            backend: self.link.to_string(),
            what: what.to_owned(),
        }
    }
}

impl Backend for OnToken {
    fn place(&self) -> Place {
        Place::Token(self.store)
    }

    fn name(&self) -> String {
        self.link.to_string()
    }

    fn supports(&self, suite: SuiteId) -> Result<()> {
        // PKCS#11 has no number for SM4: every vendor has its own.
        if suite != SuiteId::Sm4 && self.mechanisms.contains(&cipher(suite).1) {
            return Ok(());
        }
        Err(self.unsupported(&format!(
            "hold {} keys: use a token that can, or a key store without a token",
            suite.name()
        )))
    }

    fn is_empty(&self) -> Result<bool> {
        let objects = self.link.run(|_, seat| self.objects(seat))?;
        Ok(objects.is_empty())
    }

    /// Draws the lock key.
    fn found(&self) -> Result<()> {
        self.supports(SuiteId::Aes)?;
        let mut template = self.template(LOCK, "lock", SuiteId::Aes);
        template.push(Attribute::ValueLen(32.into()));
        self.link.run(|_, seat| {
            // Two would be as good as none; a second attempt may come after the first had done it.
            if self.find(seat, LOCK)?.is_empty() {
                seat.session
                    .generate_key(&Mechanism::AesKeyGen, &template)?;
            }
            Ok(())
        })
    }

    fn import(&self, header: KeyHeader, key: &Key) -> Result<()> {
        self.supports(header.suite)?;
        let tail = header.to_bytes();
        self.link.run(|_, seat| {
            if !self.find(seat, tail)?.is_empty() {
                return Err(Fault::Final(import_refused(header)));
            }
            let mut template = self.template(tail, &name(header), header.suite);
            template.push(Attribute::Value(key.expose().to_vec()));
            let created = seat.session.create_object(&template);
            if let Some(Attribute::Value(value)) = template.last_mut() {
                value.zeroize();
            }
            created?;
            Ok(())
        })
    }

    fn diversify(&self, header: KeyHeader, factor: &Factor) -> Result<Key> {
        let tail = header.to_bytes();
        self.link
            .run(|_, seat| factor.apply(|blocks| self.encrypt(seat, tail, header.suite, blocks)))
    }

    fn held(&self) -> Result<BTreeSet<KeyHeader>> {
        let objects = self.link.run(|_, seat| self.objects(seat))?;
        let tails = objects.into_iter().map(|(tail, _)| tail);
        Ok(tails.flat_map(KeyHeader::from_bytes).collect())
    }

    /// The CMAC of a block of zeros (RFC 4493) is composed from two encryptions: the subkey is the
    /// first doubled.
    fn check_value_of(&self, header: KeyHeader, kind: KcvKind) -> Result<CheckValue> {
        let fill = u8::from(kind == KcvKind::GlobalPlatform);
        self.link.run(|_, seat| {
            let mut block = Zeroizing::new(vec![fill; header.suite.block()]);
            self.encrypt(seat, header.to_bytes(), header.suite, &mut block)?;
            if (kind, header.suite) == (KcvKind::Cmac, SuiteId::Aes) {
                double(&mut block);
                self.encrypt(seat, header.to_bytes(), header.suite, &mut block)?;
            }
            match block[..] {
                [a, b, c, ..] => Ok([a, b, c]),
                _ => Err(Error::InvalidValue.into()),
            }
        })
    }

    fn export(&self, header: KeyHeader) -> Result<Key> {
        Err(self.unsupported(&format!(
            "give out key {}: form it again from its components where it is wanted",
            name(header)
        )))
    }

    fn destroy(&self, header: KeyHeader) -> Result<()> {
        self.remove(header.to_bytes())
    }

    fn bind(&self, kek: &mut [u8; 32]) -> Result<()> {
        let bound = self.link.run(|_, seat| {
            let mut bound = Zeroizing::new(*kek);
            self.encrypt(seat, LOCK, SuiteId::Aes, &mut bound[..])?;
            Ok(bound)
        })?;
        *kek = *bound;
        Ok(())
    }

    fn discard(&self) -> Result<()> {
        self.link.run(|_, seat| {
            for (_, object) in self.objects(seat)? {
                seat.session.destroy_object(object)?;
            }
            Ok(())
        })?;
        self.link.forget_copies();
        Ok(())
    }

    fn news(&self) -> Vec<News> {
        self.link.news()
    }
}

impl OnToken {
    /// Every object of this key store, with the tail of its id. A token finds by whole ids only.
    fn objects(&self, seat: &Seat) -> Attempt<Vec<([u8; 4], ObjectHandle)>> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
        ];
        let mut ours = Vec::new();
        for object in seat.session.find_objects(&template)? {
            for attribute in seat.session.get_attributes(object, &[AttributeType::Id])? {
                if let Attribute::Id(id) = attribute
                    && let Some(tail) = id.strip_prefix(&self.store)
                    && let Ok(tail) = tail.try_into()
                {
                    ours.push((tail, object));
                }
            }
        }
        Ok(ours)
    }

    fn remove(&self, tail: [u8; 4]) -> Result<()> {
        self.link.run(|_, seat| {
            for object in self.find(seat, tail)? {
                seat.session.destroy_object(object)?;
            }
            Ok(())
        })?;
        self.link.forget_copies();
        Ok(())
    }
}

/// Key type and the one mechanism of a suite's keys.
const fn cipher(suite: SuiteId) -> (KeyType, MechanismType) {
    match suite {
        SuiteId::Tdes => (KeyType::DES2, MechanismType::DES3_ECB),
        SuiteId::Aes | SuiteId::Sm4 => (KeyType::AES, MechanismType::AES_ECB),
    }
}

/// Doubling in GF(2^128), by CMAC's polynomial.
fn double(block: &mut [u8]) {
    let mut carry = 0;
    for byte in block.iter_mut().rev() {
        (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
    }
    if let (Some(last), 1) = (block.last_mut(), carry) {
        *last ^= 0x87;
    }
}
