//! The key store file.
//!
//! ```text
//! "OCHSMKS" 03 | place 1 | store id 8 | memory KiB 4 | passes 4 | lanes 4 | salt 16        parameters
//! nonce 12 | E(KEK, data key 32) 48                                 AAD: parameters
//! nonce 12 | length 4 | E(data key, content) length                 AAD: all before
//! SHA-256 32                                                        over all before
//! ```
//! Place 0: the masters are in the content; the store id is zeros. Place 1: they are on a token, under
//! the store id, and the content has their check values.
//!
//! KEK = Argon2id(passphrase, salt), encrypted by the token's lock key where there is one; both layers
//! are AES-256-GCM. The digest is no protection (the GCM tags are): it tells a damaged file from a
//! wrong passphrase before any work is done. Format 02 has no place and no store id; it opens too.
//! Integers are big-endian. What the content holds: [`content`]. The data key is the HSM's storage
//! key (LMK); it is in no content, and the file is written with another when it is rotated. With it the content is written anew whenever a key changes, under
//! a new nonce; the passphrase is needed to open the file only.

mod content;
mod disk;

#[cfg(feature = "fuzz")]
pub(crate) use content::encode;
pub(crate) use content::{Reader, decode};
pub(crate) use disk::{
    Disk, Real, io_error, own_directory, read, replace, restrict, sync_directory, write_new,
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use argon2::{Algorithm, Argon2, Params, Version};
use hsm_client::{CURRENT, HsmError, Result, ServiceKey};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use zeroize::Zeroizing;

use crate::{
    Entropy,
    backend::{Backend, OnToken, Place, Soft, StoreId, Token},
    hierarchy::FIRST_VERSION,
    vault::Vault,
};

const MAGIC: &[u8; 8] = b"OCHSMKS\x03";
/// Of before masters could be on a token: no place and no store id.
const MAGIC_WITHOUT_PLACE: &[u8; 8] = b"OCHSMKS\x02";
const PASSPHRASE_MAX: usize = 1024;

/// What one guess of the passphrase costs; kept in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory of Argon2id, KiB (8 to 1,048,576).
    pub memory_kib: u32,
    /// Passes (1 to 16).
    pub passes: u32,
    /// Lanes (1 to 8).
    pub lanes: u32,
}

impl KdfCost {
    /// 64 MiB and three passes (RFC 9106, second recommended option, with one lane).
    pub const PRODUCTION: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };
    /// 64 KiB and one pass: demonstrations and tests, whose passphrase protects nothing.
    pub const LIGHT: Self = Self {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    pub(crate) fn key(self, passphrase: &str, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>> {
        let bounded = (8..=1 << 20).contains(&self.memory_kib)
            && (1..=16).contains(&self.passes)
            && (1..=8).contains(&self.lanes);
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .ok()
            .filter(|_| bounded)
            .ok_or_else(|| store("the Argon2id cost is outside 8 KiB..1 GiB, 1..16 passes, 1..8 lanes, or has less than 8 KiB a lane"))?;
        let mut kek = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, kek.as_mut())
            .map_err(|e| store(&format!("the passphrase could not be hashed: {e}")))?;
        Ok(kek)
    }
}

/// A store error.
pub(crate) fn store(why: &str) -> HsmError {
    HsmError::Store {
        why: why.to_owned(),
    }
}

/// The part of a store file that opens under the passphrase. It stays when the content changes.
#[derive(Clone)]
pub(crate) struct Envelope(Vec<u8>);

/// Bytes of an [`Envelope`]: parameters, nonce, wrapped data key.
const ENVELOPE: usize = 8 + 9 + 12 + 16 + 12 + 48;

impl Envelope {
    /// Wraps the vault's storage key under a passphrase.
    pub(crate) fn new(
        vault: &Vault,
        passphrase: &str,
        cost: KdfCost,
        entropy: &Entropy,
    ) -> Result<Self> {
        if passphrase.is_empty() || passphrase.len() > PASSPHRASE_MAX {
            return Err(store("the passphrase must have 1 to 1024 bytes"));
        }
        // Salt and nonce never repeat, not even from a seed: each is of one version of the key.
        let version = vault.newest_version(ServiceKey::Storage, CURRENT)?;
        let counter = u64::from(version.saturating_sub(FIRST_VERSION));
        let mut stream = entropy.stream("store", &[], counter);
        let (salt, outer) = (stream.array::<16>()?, stream.array::<12>()?);
        let mut file = Vec::with_capacity(ENVELOPE);
        file.extend_from_slice(MAGIC);
        let (place, id) = match vault.backend.place() {
            Place::File => (0, StoreId::default()),
            Place::Token(id) => (1, id),
        };
        file.push(place);
        file.extend_from_slice(&id);
        for value in [cost.memory_kib, cost.passes, cost.lanes] {
            file.extend_from_slice(&value.to_be_bytes());
        }
        file.extend_from_slice(&salt);
        let mut kek = cost.key(passphrase, &salt)?;
        vault.backend.bind(&mut kek)?;
        let data_key = vault.service_key(ServiceKey::Storage)?;
        let wrapped = encrypt(&kek, &outer, data_key.as_slice(), &file)?;
        file.extend_from_slice(&outer);
        file.extend_from_slice(&wrapped);
        Ok(Self(file))
    }

    /// The bytes of a store file with the vault's present content.
    pub(crate) fn seal(&self, vault: &Vault, entropy: &Entropy) -> Result<Vec<u8>> {
        let data_key = vault.service_key(ServiceKey::Storage)?;
        let content = content::encode(vault)?;
        // A seeded nonce follows from the content: another content never meets the same one.
        let identity: [u8; 32] = Sha256::digest(&content[..]).into();
        let inner = entropy
            .stream("store-content", &identity, 0)
            .array::<12>()?;
        let mut file = self.0.clone();
        file.extend_from_slice(&inner);
        let length = u32::try_from(content.len() + 16).map_err(|_| store("too many keys"))?;
        file.extend_from_slice(&length.to_be_bytes());
        let sealed = encrypt(data_key, &inner, &content, &file)?;
        file.extend_from_slice(&sealed);
        let digest = Sha256::digest(&file);
        file.extend_from_slice(&digest);
        Ok(file)
    }
}

/// The key store's file of an open HSM.
pub(crate) struct StoreFile {
    pub(crate) directory: PathBuf,
    pub(crate) envelope: Envelope,
    pub(crate) disk: Box<dyn Disk + Send>,
}

impl StoreFile {
    /// Name of the file in its directory.
    pub(crate) const NAME: &str = "keystore.bin";

    /// Puts a vault in the place of the one that is there; see [`replace`]. After an error either of
    /// the two may be there.
    pub(crate) fn write(&mut self, vault: &Vault, envelope: Option<&Envelope>) -> Result<()> {
        // Never from a seed: nobody needs the same file twice, and the nonce must be new.
        let envelope = envelope.unwrap_or(&self.envelope);
        let sealed = envelope.seal(vault, &Entropy::os())?;
        replace(&mut *self.disk, &self.directory, Self::NAME, &sealed)
    }
}

/// The keys inside the bytes of a store file. Whether its place holds the masters is not known yet.
pub(crate) fn unseal(
    file: &[u8],
    passphrase: &str,
    open: impl FnOnce(Place) -> Result<Box<dyn Backend>>,
) -> Result<(Vault, Envelope)> {
    let damaged = || store("the file is damaged or cut short: restore it from its backup");
    let (body, digest) = file.split_last_chunk::<32>().ok_or_else(damaged)?;
    let mut reader = Reader::new(body);
    let magic: [u8; 8] = reader.array().ok_or_else(damaged)?;
    if magic[..7] != MAGIC[..7] {
        return Err(store(
            "this is not a key store file: give the right directory",
        ));
    }
    if <[u8; 32]>::from(Sha256::digest(body)) != *digest {
        return Err(damaged());
    }
    let place = match &magic {
        MAGIC => match (reader.array::<1>(), reader.array::<8>()) {
            (Some([0]), Some(_)) => Place::File,
            (Some([1]), Some(id)) => Place::Token(id),
            _ => return Err(damaged()),
        },
        MAGIC_WITHOUT_PLACE => Place::File,
        _ => {
            return Err(store(
                "the key store is of another release: use that release",
            ));
        }
    };
    let mut number = || reader.array().map(u32::from_be_bytes).ok_or_else(damaged);
    let cost = KdfCost {
        memory_kib: number()?,
        passes: number()?,
        lanes: number()?,
    };
    let salt: [u8; 16] = reader.array().ok_or_else(damaged)?;
    let parameters = reader.read_so_far(body);
    let outer: [u8; 12] = reader.array().ok_or_else(damaged)?;
    let wrapped: [u8; 48] = reader.array().ok_or_else(damaged)?;
    let envelope = Envelope(reader.read_so_far(body).to_vec());
    let inner: [u8; 12] = reader.array().ok_or_else(damaged)?;
    let length: [u8; 4] = reader.array().ok_or_else(damaged)?;
    let header = reader.read_so_far(body);
    if usize::try_from(u32::from_be_bytes(length)).ok() != Some(reader.rest().len()) {
        return Err(damaged());
    }
    let mut kek = cost.key(passphrase, &salt)?;
    let backend = open(place)?;
    backend.bind(&mut kek)?;
    let data_key = decrypt(&kek, &outer, &wrapped, parameters)
        .ok_or_else(|| store("wrong passphrase: try again, mind the keyboard layout"))?;
    let data_key: &[u8; 32] = data_key.as_slice().try_into().map_err(|_| damaged())?;
    let content = decrypt(data_key, &inner, reader.rest(), header).ok_or_else(damaged)?;
    let mut vault = decode(&content, backend).ok_or_else(damaged)?;
    let version = vault.newest_version(ServiceKey::Storage, CURRENT)?;
    if let Some(held) = vault.service.get_mut(&(ServiceKey::Storage, version)) {
        held.value = Some(Box::new(Zeroizing::new(*data_key)));
    }
    Ok((vault, envelope))
}

/// Opens the place that a store names; it must be the one that the caller expects.
pub(crate) fn backend(place: Place, token: Option<Token>) -> Result<Box<dyn Backend>> {
    match (place, token) {
        (Place::File, None) => Ok(Box::new(Soft::default())),
        (Place::Token(id), Some(token)) => Ok(Box::new(OnToken::open(token, id)?)),
        (Place::File, Some(token)) => Err(store(&format!(
            "its masters are in its own file, not on {token:?}: open it without a token"
        ))),
        (Place::Token(_), None) => Err(store(
            "its masters are on a token: name the token's module, label and PIN",
        )),
    }
}

fn encrypt(key: &[u8; 32], nonce: &[u8; 12], msg: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
    Aes256Gcm::new(key.into())
        .encrypt(nonce.into(), Payload { msg, aad })
        .map_err(|_| store("too much to encrypt"))
}

fn decrypt(key: &[u8; 32], nonce: &[u8; 12], msg: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    Aes256Gcm::new(key.into())
        .decrypt(nonce.into(), Payload { msg, aad })
        .ok()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
