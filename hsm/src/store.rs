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
//! KEK = Argon2id(passphrase, salt), encrypted by the token's lock key where there is one; both layers are AES-256-GCM. The digest is no protection (the
//! GCM tags are): it tells a damaged file from a wrong passphrase before any work is done.
//! Integers are big-endian. Content: `03 | demo 1 | created 7 | n 2 | n x (header 4 | key 16 or check value 3) |
//! n 1 | n x (purpose 1 | secret 32) | n 1 | n x (service key 1 | key 32)`. The data key is the
//! HSM's storage key (LMK); it is in no content.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use argon2::{Algorithm, Argon2, Params, Version};
use card_spec::{keys::KeyHeader, suite::Key, time::CardTime};
use hsm_client::{HsmError, Result, ServiceKey, SignPurpose};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    Entropy,
    backend::{Backend, OnToken, Place, Soft, StoreId, Token},
    service::{Key256, key_byte},
    signing::{Signer, purpose_byte},
    vault::{Regions, Vault},
};

const MAGIC: &[u8; 8] = b"OCHSMKS\x03";
const CONTENT_VERSION: u8 = 3;
/// A store holds 71 masters, 6 signing and 3 service keys, under 2 KiB; more than this is no store.
const FILE_MAX: u64 = 1 << 20;
const MASTERS_MAX: usize = 4096;
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

/// A store error of one file.
pub(crate) fn io_error(path: &Path, doing: &str, error: &io::Error) -> HsmError {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => ": hold the key ceremony first, or give the right directory",
        io::ErrorKind::PermissionDenied => ": run as the user who owns the key store",
        io::ErrorKind::StorageFull => ": free some space and try again",
        _ => "",
    };
    store(&format!("{doing} {}: {error}{advice}", path.display()))
}

/// The bytes of a store file.
pub(crate) fn seal(
    vault: &Vault,
    passphrase: &str,
    cost: KdfCost,
    entropy: &Entropy,
) -> Result<Vec<u8>> {
    if passphrase.is_empty() || passphrase.len() > PASSPHRASE_MAX {
        return Err(store("the passphrase must have 1 to 1024 bytes"));
    }
    let mut stream = entropy.stream("store", &[], 0);
    let salt = stream.array::<16>()?;
    let data_key = vault.service_key(ServiceKey::Storage)?;
    let (outer, inner) = (stream.array::<12>()?, stream.array::<12>()?);

    let mut file = Vec::new();
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
    let wrapped = encrypt(&kek, &outer, data_key.as_slice(), &file)?;
    file.extend_from_slice(&outer);
    file.extend_from_slice(&wrapped);
    file.extend_from_slice(&inner);
    let content = encode(vault)?;
    let length = u32::try_from(content.len() + 16).map_err(|_| store("too many keys"))?;
    file.extend_from_slice(&length.to_be_bytes());
    let sealed = encrypt(data_key, &inner, &content, &file)?;
    file.extend_from_slice(&sealed);
    let digest = Sha256::digest(&file);
    file.extend_from_slice(&digest);
    Ok(file)
}

/// The bytes of a store file after a change of its keys: the same cost; salt and nonces are drawn,
/// whatever the HSM's entropy is, because the keys under which they count stay.
pub(crate) fn seal_again(before: &[u8], vault: &Vault, passphrase: &str) -> Result<Vec<u8>> {
    let damaged = || store("the file is damaged or cut short: restore it from its backup");
    // Magic, place and store id come first.
    let mut reader = Reader(before.get(MAGIC.len() + 9..).ok_or_else(damaged)?);
    let mut number = || reader.array().map(u32::from_be_bytes).ok_or_else(damaged);
    let cost = KdfCost {
        memory_kib: number()?,
        passes: number()?,
        lanes: number()?,
    };
    seal(vault, passphrase, cost, &Entropy::os())
}

/// The keys inside the bytes of a store file, and on its token.
pub(crate) fn unseal(file: &[u8], passphrase: &str, token: Option<Token>) -> Result<Vault> {
    let damaged = || store("the file is damaged or cut short: restore it from its backup");
    let (body, digest) = file.split_last_chunk::<32>().ok_or_else(damaged)?;
    let mut reader = Reader(body);
    let magic: [u8; 8] = reader.array().ok_or_else(damaged)?;
    if magic[..7] != MAGIC[..7] {
        return Err(store(
            "this is not a key store file: give the right directory",
        ));
    }
    if <[u8; 32]>::from(Sha256::digest(body)) != *digest {
        return Err(damaged());
    }
    if magic != *MAGIC {
        return Err(store(
            "the key store is of another release: use that release",
        ));
    }
    let place = match (reader.array::<1>(), reader.array::<8>()) {
        (Some([0]), Some(_)) => Place::File,
        (Some([1]), Some(id)) => Place::Token(id),
        _ => return Err(damaged()),
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
    let inner: [u8; 12] = reader.array().ok_or_else(damaged)?;
    let length: [u8; 4] = reader.array().ok_or_else(damaged)?;
    let header = reader.read_so_far(body);
    if usize::try_from(u32::from_be_bytes(length)).ok() != Some(reader.0.len()) {
        return Err(damaged());
    }
    let mut kek = cost.key(passphrase, &salt)?;
    let backend = backend(place, token)?;
    backend.bind(&mut kek)?;
    let data_key = decrypt(&kek, &outer, &wrapped, parameters)
        .ok_or_else(|| store("wrong passphrase: try again, mind the keyboard layout"))?;
    let data_key: &[u8; 32] = data_key.as_slice().try_into().map_err(|_| damaged())?;
    let content = decrypt(data_key, &inner, reader.0, header).ok_or_else(damaged)?;
    let mut vault = decode(&content, backend).ok_or_else(damaged)?;
    vault
        .service
        .insert(ServiceKey::Storage, Zeroizing::new(*data_key));
    vault.check_backend()?;
    Ok(vault)
}

/// Opens the place that a store names; it must be the one that the caller expects.
fn backend(place: Place, token: Option<Token>) -> Result<Box<dyn Backend>> {
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

fn encode(vault: &Vault) -> Result<Zeroizing<Vec<u8>>> {
    let capacity = 13 + vault.masters.len() * 20 + (vault.signing.len() + vault.service.len()) * 33;
    // Exact, so that no reallocation leaves a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(capacity));
    let place = vault.backend.place();
    out.extend_from_slice(&[CONTENT_VERSION, u8::from(vault.demo)]);
    out.extend_from_slice(&vault.created.to_bytes());
    out.extend_from_slice(&(vault.masters.len() as u16).to_be_bytes());
    for (header, check) in &vault.masters {
        out.extend_from_slice(&header.to_bytes());
        match place {
            Place::File => out.extend_from_slice(vault.backend.export(*header)?.expose()),
            Place::Token(_) => out.extend_from_slice(check),
        }
    }
    out.push(vault.signing.len() as u8);
    for (purpose, key) in &vault.signing {
        out.push(purpose_byte(*purpose));
        out.extend_from_slice(key.secret());
    }
    let stored = || {
        let all = vault.service.iter();
        all.filter(|(key, _)| **key != ServiceKey::Storage)
    };
    out.push(stored().count() as u8);
    for (key, value) in stored() {
        out.push(key_byte(*key));
        out.extend_from_slice(value.as_slice());
    }
    Ok(out)
}

fn decode(content: &[u8], backend: Box<dyn Backend>) -> Option<Vault> {
    let mut reader = Reader(content);
    let [version, demo] = reader.array()?;
    if version != CONTENT_VERSION || demo > 1 {
        return None;
    }
    let created = CardTime::from_bytes(reader.array()?).ok()?;
    let n = usize::from(u16::from_be_bytes(reader.array()?));
    if n > MASTERS_MAX {
        return None;
    }
    let mut masters = BTreeMap::new();
    for _ in 0..n {
        let header = KeyHeader::from_bytes(reader.array()?).ok()?;
        let check = match backend.place() {
            Place::Token(_) => reader.array()?,
            Place::File => {
                backend.import(header, &Key::new(reader.array()?)).ok()?;
                backend.check_value(header).ok()?
            }
        };
        masters.insert(header, check);
    }
    let [n] = reader.array()?;
    let mut signing = BTreeMap::new();
    for _ in 0..n {
        let [purpose] = reader.array()?;
        let purpose = SignPurpose::ALL
            .into_iter()
            .find(|p| purpose_byte(*p) == purpose)?;
        let secret = Zeroizing::new(reader.array::<32>()?);
        signing.insert(purpose, Signer::from_secret(purpose, secret)?);
    }
    let [n] = reader.array()?;
    let mut service = BTreeMap::new();
    for _ in 0..n {
        let [key] = reader.array()?;
        let key = ServiceKey::ALL.into_iter().find(|k| key_byte(*k) == key)?;
        service.insert(key, Key256::new(reader.array()?));
    }
    reader.0.is_empty().then_some(Vault {
        demo: demo == 1,
        created,
        masters,
        backend,
        service,
        signing,
        regions: Regions::default(),
    })
}

/// What is left of the input.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// What was read of `whole`, whose tail `self` is.
    fn read_so_far<'b>(&self, whole: &'b [u8]) -> &'b [u8] {
        whole
            .get(..whole.len().saturating_sub(self.0.len()))
            .unwrap_or_default()
    }
}

/// Reads a store file, bounded.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| io_error(path, "cannot open", &e))?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| io_error(path, "cannot read", &e))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(store("this is not a key store file: it is too long"));
    }
    Ok(bytes)
}

/// Writes a new file, all or nothing: temporary file, fsync, rename, fsync of the directory. An
/// existing file is never replaced.
pub(crate) fn write_new(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    if path.exists() {
        return Err(store(&format!(
            "{} exists: the ceremony never overwrites keys; move it away or open it",
            path.display()
        )));
    }
    replace(directory, name, bytes)
}

/// Writes a file in the place of another, all or nothing.
pub(crate) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    let temporary = directory.join(format!("{name}.new"));
    let written = private_file(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_directory(directory)
    });
    written.map_err(|e| {
        // Nothing half-done stays behind; if even this fails, the name says what it is.
        let _ = fs::remove_file(&temporary);
        io_error(&path, "cannot write", &e)
    })
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    restrict(&mut options);
    options.open(path)
}

/// Readable by the owner only, where the system knows owners.
pub(crate) fn restrict(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Makes a rename or a new file in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Officers, ceremony};
    use proptest::prelude::*;

    fn sealed() -> Vec<u8> {
        let entropy = Entropy::seeded([1; 32]);
        let officers = Officers::new("Lin", "Chen").expect("two");
        let at = "2026-11-23T08:00:00".parse().expect("time");
        let (roots, _) =
            ceremony::run(&entropy, &officers, &["Wu", "Zheng", "Huang"], at).expect("ceremony");
        let vault = Vault::form(&roots, &entropy, at, Box::new(Soft::default())).expect("masters");
        seal(&vault, "open sesame", KdfCost::LIGHT, &entropy).expect("sealed")
    }

    fn why(result: Result<Vault>) -> String {
        match result {
            Err(HsmError::Store { why }) => why,
            Err(other) => panic!("not a store error: {other}"),
            Ok(_) => panic!("opened"),
        }
    }

    #[test]
    fn opens_with_the_passphrase_only() {
        let file = sealed();
        let vault = unseal(&file, "open sesame", None).expect("opens");
        assert_eq!(vault.masters.len(), crate::catalog().len());
        assert_eq!(vault.signing.len(), SignPurpose::ALL.len());
        assert_eq!(vault.service.len(), ServiceKey::ALL.len());
        assert!(vault.demo);
        assert!(why(unseal(&file, "open sesamE", None)).contains("wrong passphrase"));
        // No master lies in the file in clear.
        for header in vault.masters.keys() {
            let key = vault.backend.export(*header).expect("held");
            assert!(!file.windows(16).any(|w| w == key.expose()));
        }
        for key in vault.service.values() {
            assert!(!file.windows(32).any(|w| w == key.as_slice()));
        }
    }

    #[test]
    fn every_truncation_is_a_clear_error() {
        let file = sealed();
        for length in 0..file.len() {
            let why = why(unseal(&file[..length], "open sesame", None));
            assert!(
                why.contains("restore") || why.contains("not a key store"),
                "{length}: {why}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_a_clear_error() {
        let file = sealed();
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << (at % 8);
            let why = why(unseal(&flipped, "open sesame", None));
            assert!(
                why.contains("restore") || why.contains("not a key store"),
                "{at}: {why}"
            );
        }
    }

    /// An attacker who also repairs the digest meets the tags or the bounds.
    #[test]
    fn a_repaired_digest_does_not_help() {
        let file = sealed();
        let body = file.len() - 32;
        for at in (20..body).step_by(3) {
            let mut forged = file[..body].to_vec();
            forged[at] ^= 0x01;
            let digest = Sha256::digest(&forged);
            forged.extend_from_slice(&digest);
            assert!(unseal(&forged, "open sesame", None).is_err(), "{at}");
        }
        for at in 8..20 {
            let mut forged = file[..body].to_vec();
            forged[at] ^= 0x80;
            let digest = Sha256::digest(&forged);
            forged.extend_from_slice(&digest);
            assert!(unseal(&forged, "open sesame", None).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn foreign_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(unseal(&bytes, "x", None).is_err());
            let mut framed = MAGIC.to_vec();
            framed.extend_from_slice(&bytes);
            let digest = Sha256::digest(&framed);
            framed.extend_from_slice(&digest);
            prop_assert!(unseal(&framed, "x", None).is_err());
            let _ = decode(&bytes, Box::new(Soft::default()));
        }
    }
}
