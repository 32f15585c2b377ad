//! The backup file 备份: every file of an HSM, encrypted under a key that exists only in shares.
//!
//! ```text
//! "OCHSMBU" 01 | length 4 | header, JSON       what it is, and the record of its shares
//! nonce 12 | E(backup key, files)              AES-256-GCM; AAD: all before the nonce
//! SHA-256 32                                   over all before
//! ```
//! Files: `n 1 | n x (name length 1 | name | length 4 | bytes)`. The key store inside is still
//! encrypted under its passphrase: restoring takes M custodians *and* the passphrase. The digest
//! tells a damaged file from wrong shares.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use card_spec::time::CardTime;
use hsm_client::{HsmError, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    Quorum,
    ceremony::{CeremonyError, Dealing, Form, FormedKey, Plan, Sheet, Subject},
    service::{Key256, check_value},
    store::{io_error, own_directory, store},
};

const MAGIC: &[u8; 8] = b"OCHSMBU\x01";
/// Audit log and load memory of years; more than this is no backup.
const FILE_MAX: u64 = 1 << 32;
const HEADER_MAX: usize = 64 * 1024;
const NAME_MAX: usize = 64;

/// What a backup says of itself, before its key is there. Only the digest protects it until the
/// backup is opened; then the key does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// When it was made.
    pub at: CardTime,
    /// Check value of the backup key, hex.
    pub kcv: String,
    /// The shares, by custodian and fingerprint.
    pub dealing: Dealing,
    /// Length and head of the audit log in it.
    pub audit_lines: u64,
    /// Head of the audit chain, hex.
    pub audit_head: String,
}

/// A new backup. No `Debug`: the sheets are secret.
pub struct Backup {
    /// The file.
    pub file: Vec<u8>,
    /// What it says of itself.
    pub header: Header,
    /// One share for each custodian. Nobody else has them.
    pub sheets: Vec<Sheet>,
}

impl Header {
    /// The header of a backup file, after its digest was found right.
    pub fn of(file: &[u8]) -> Result<Self> {
        Parsed::of(file).map(|parsed| parsed.header)
    }

    /// The ceremony that forms its key: any M of the custodians to whom shares were given.
    pub fn plan(&self) -> core::result::Result<Plan, CeremonyError> {
        let names: Vec<&str> = self
            .dealing
            .parts
            .iter()
            .map(|p| p.custodian.as_str())
            .collect();
        let plan = Plan::single(Subject::Backup, self.dealing.form, &names)?;
        Ok(plan.checked_by(self.dealing.clone()))
    }

    /// M of N.
    pub const fn quorum(&self) -> Option<Quorum> {
        match self.dealing.form {
            Form::Shares(quorum) => Some(quorum),
            Form::Components(_) => None,
        }
    }
}

struct Parsed<'a> {
    header: Header,
    aad: &'a [u8],
    nonce: &'a [u8; 12],
    sealed: &'a [u8],
}

fn damaged() -> HsmError {
    store("the backup is damaged or cut short: take another copy of it")
}

impl<'a> Parsed<'a> {
    fn of(file: &'a [u8]) -> Result<Self> {
        if file.first_chunk::<8>() != Some(MAGIC) {
            return Err(store(
                "this is no backup of an HSM, or one of another release",
            ));
        }
        let (body, digest) = file.split_last_chunk::<32>().ok_or_else(damaged)?;
        if <[u8; 32]>::from(Sha256::digest(body)) != *digest {
            return Err(damaged());
        }
        let parse = || {
            let rest = body.get(MAGIC.len()..)?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let header = rest.get(..length.min(HEADER_MAX + 1))?;
            let header = serde_json::from_slice(header.get(..length)?).ok()?;
            let at = MAGIC.len() + 4 + length;
            let (nonce, sealed) = body.get(at..)?.split_first_chunk::<12>()?;
            Some(Self {
                header,
                aad: body.get(..at)?,
                nonce,
                sealed,
            })
        };
        parse().ok_or_else(damaged)
    }
}

/// Encrypts the files under a new key.
pub(crate) fn seal(
    header: &Header,
    files: &[(String, Vec<u8>)],
    key: &Key256,
    nonce: &[u8; 12],
) -> Result<Vec<u8>> {
    let too_much = |_| store("too much to back up: move old audit logs away");
    let mut content = Zeroizing::new(vec![u8::try_from(files.len()).map_err(too_much)?]);
    for (name, bytes) in files {
        content.push(u8::try_from(name.len()).map_err(too_much)?);
        content.extend_from_slice(name.as_bytes());
        let length = u32::try_from(bytes.len()).map_err(too_much)?;
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(bytes);
    }
    let header = serde_json::to_vec(header).map_err(|e| store(&e.to_string()))?;
    let mut file = MAGIC.to_vec();
    let length = u32::try_from(header.len()).map_err(too_much)?;
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&header);
    let payload = Payload {
        msg: &content,
        aad: &file,
    };
    let sealed = Aes256Gcm::new((&**key).into())
        .encrypt(nonce.into(), payload)
        .map_err(|_| store("too much to back up: move old audit logs away"))?;
    file.extend_from_slice(nonce);
    file.extend_from_slice(&sealed);
    let digest = Sha256::digest(&file);
    file.extend_from_slice(&digest);
    Ok(file)
}

/// The files inside a backup.
pub(crate) fn open(file: &[u8], key: &FormedKey) -> Result<Vec<(String, Vec<u8>)>> {
    let parsed = Parsed::of(file)?;
    let FormedKey(key) = key;
    if hex::encode_upper(check_value(key)) != parsed.header.kcv {
        return Err(HsmError::NotAuthentic {
            what: "the key of this backup (the shares are of another one)".to_owned(),
        });
    }
    let payload = Payload {
        msg: parsed.sealed,
        aad: parsed.aad,
    };
    let content = Aes256Gcm::new((&**key).into())
        .decrypt(parsed.nonce.into(), payload)
        .map(Zeroizing::new)
        .map_err(|_| HsmError::NotAuthentic {
            what: "the backup".to_owned(),
        })?;
    files(&content).ok_or_else(damaged)
}

fn files(content: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let (count, mut rest) = content.split_first()?;
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for _ in 0..*count {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        let name = core::str::from_utf8(name).ok()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (bytes, after) = after.split_at_checked(length)?;
        if !plain(name) || all.iter().any(|(n, _)| n == name) {
            return None;
        }
        all.push((name.to_owned(), bytes.to_vec()));
        rest = after;
    }
    rest.is_empty().then_some(all)
}

/// A file name that stays inside its directory.
fn plain(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.bytes().all(known)
}

/// Every file of the HSM's directory but its lock and what was being written.
pub(crate) fn collect(directory: &Path, but: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |e: std::io::Error| io_error(&path, "cannot read", &e)
    };
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let entry = entry.map_err(failed(directory))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = entry.metadata().map_err(failed(&path))?;
        if name == but || name.ends_with(".new") || !metadata.is_file() || !plain(&name) {
            continue;
        }
        if metadata.len() > FILE_MAX {
            return Err(store(&format!("{} is too long to back up", path.display())));
        }
        all.push((name, fs::read(&path).map_err(failed(&path))?));
    }
    all.sort();
    Ok(all)
}

/// A restore never writes over another HSM.
pub(crate) fn must_be_empty(directory: &Path) -> Result<()> {
    own_directory(directory)?;
    let mut existing =
        fs::read_dir(directory).map_err(|e| io_error(directory, "cannot read", &e))?;
    if existing.next().is_some() {
        return Err(store(&format!(
            "{} is not empty: restore into a new directory, and give the log of what is here with --lost",
            directory.display()
        )));
    }
    Ok(())
}

/// There while a restore is not whole: files without the line that closes loads. Such a directory does
/// not open.
const RESTORING: &str = "restoring";

/// The restore is whole.
pub(crate) fn restored(directory: &Path) -> Result<()> {
    let path = directory.join(RESTORING);
    fs::remove_file(&path).map_err(|e| io_error(&path, "cannot remove", &e))
}

/// That no restore was cut here.
pub(crate) fn must_be_whole(directory: &Path) -> Result<()> {
    if directory.join(RESTORING).exists() {
        return Err(store(&format!(
            "a restore into {} was cut: empty the directory and restore again",
            directory.display()
        )));
    }
    Ok(())
}

/// Writes the files into a directory that has none yet; all or nothing. It opens after [`restored`].
pub(crate) fn write_files(directory: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    must_be_empty(directory)?;
    let mut written: Vec<PathBuf> = Vec::new();
    let marker = (RESTORING.to_owned(), Vec::new());
    for (name, bytes) in core::iter::once(&marker).chain(files) {
        let result = crate::store::write_new(directory, name, bytes);
        written.push(directory.join(name));
        if let Err(error) = result {
            for path in written {
                let _ = fs::remove_file(path);
            }
            return Err(error);
        }
    }
    Ok(())
}
