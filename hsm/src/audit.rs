//! The audit log: every privileged act, by whom and when, in a hash chain. No secret is in it.
//!
//! `audit.jsonl` holds one JSON object a line: `n`, `time`, `actor`, `role`, `act` (the operation),
//! `outcome` (0, or the number of the error), `keys`, `detail` and the chained `hash`. Lines are made
//! durable before an answer that cannot be taken back leaves the HSM (load MAC, ceiling MAC,
//! signature, exported keys) and at the end of every personalisation session.
//!
//! Every [`CHECKPOINT_EVERY`]th line is a checkpoint, and so is the last of a log that was closed:
//! `detail.signature` is the audit key's Ed25519 signature over the number of the line and the hash
//! before it. Whoever rewrites the log with a fresh chain cannot make these. Beside the log lies
//! `audit.pub`, that key; an auditor keeps a copy elsewhere, with the head of the last audit.

mod pages;
mod query;
mod reader;
mod since;
mod verify;

use std::{fs, path::Path};

use card_spec::time::CardTime;
use ed25519_dalek::{Signature, VerifyingKey};
use hsm_client::HsmError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    chain::{Chain, ChainError},
    signing::Signer,
    store,
};

use pages::Marks;
pub use query::{Query, query};
pub use reader::{ReadError, query_server};
pub(crate) use since::{Change, since};
use verify::published;
pub use verify::{Head, Report, public_keys, verify, verify_with};

const LABEL: &str = "audit";
/// The public key's file, beside the log.
pub(crate) const PUBLIC_KEY: &str = "audit.pub";
/// The act of a checkpoint line.
const CHECKPOINT: &str = "checkpoint";
/// Line numbers that this divides are checkpoints.
pub const CHECKPOINT_EVERY: u64 = 256;

/// One line without its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Number, from 1.
    pub n: u64,
    /// Local time of the HSM.
    pub time: CardTime,
    /// Who: the subject of a certificate, two officers, or the process.
    pub actor: String,
    /// Role of the certificate; empty for the process.
    pub role: String,
    /// Operation.
    pub act: String,
    /// 0, or the number of the error.
    pub outcome: u16,
    /// Keys used.
    pub keys: Vec<String>,
    /// What more there is to say.
    pub detail: Value,
}

/// The log is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("audit log {path}: {why}; keep the file as evidence and restore the copy from the backup")]
pub struct AuditError {
    /// The file.
    pub path: String,
    /// What is wrong, with the line number.
    pub why: String,
}

fn tampered(path: &Path, error: &ChainError) -> AuditError {
    AuditError {
        path: path.display().to_string(),
        why: error.to_string(),
    }
}

/// The bytes that a checkpoint signs.
fn checkpoint_bytes(n: u64, head: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"onecard-audit-checkpoint-v1\0".to_vec();
    bytes.extend_from_slice(&n.to_be_bytes());
    bytes.extend_from_slice(head);
    bytes
}

fn verifying(keys: &[[u8; 32]]) -> Result<Vec<VerifyingKey>, &'static str> {
    let keys: Result<_, _> = keys.iter().map(VerifyingKey::from_bytes).collect();
    keys.map_err(|_| "the audit key is no Ed25519 key")
}

/// Checks line by line: numbers, and checkpoints where they must be.
struct Checker {
    keys: Vec<VerifyingKey>,
    passed: u64,
}

impl Checker {
    const fn new(keys: Vec<VerifyingKey>) -> Self {
        Self { keys, passed: 0 }
    }

    /// Number of the last line that was checked.
    const fn passed(&self) -> u64 {
        self.passed
    }

    fn check(&mut self, before: &[u8; 32], body: &[u8]) -> Result<Line, &'static str> {
        let line: Line = serde_json::from_slice(body).map_err(|_| "is no audit line")?;
        if line.n != self.passed + 1 {
            return Err("has another number");
        }
        if line.act == CHECKPOINT {
            if !self.signed(&line, before) {
                return Err("is a checkpoint that the audit key did not sign");
            }
        } else if line.n.is_multiple_of(CHECKPOINT_EVERY) {
            return Err("must be a checkpoint and is none");
        }
        self.passed = line.n;
        Ok(line)
    }

    fn signed(&self, checkpoint: &Line, before: &[u8; 32]) -> bool {
        let signature = checkpoint.detail["signature"].as_str().unwrap_or_default();
        let signature = hex::decode(signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| {
            let signed = checkpoint_bytes(checkpoint.n, before);
            self.keys
                .iter()
                .any(|key| key.verify_strict(&signed, &signature).is_ok())
        })
    }
}

/// Writes the public keys beside the log, if they are others than those there.
pub(crate) fn publish(log: &Path, keys: &[[u8; 32]]) -> std::io::Result<()> {
    let text: String = keys.iter().map(|key| hex::encode(key) + "\n").collect();
    let file = log.with_file_name(PUBLIC_KEY);
    if fs::read_to_string(&file).ok().as_deref() == Some(text.as_str()) {
        return Ok(());
    }
    fs::write(&file, text)
}

/// What is noted.
pub(crate) struct Entry<'a> {
    pub(crate) time: CardTime,
    pub(crate) actor: &'a str,
    pub(crate) role: &'a str,
    pub(crate) act: &'a str,
    pub(crate) outcome: u16,
    /// Its member `keys` becomes the line's.
    pub(crate) detail: Value,
}

/// The open log.
pub(crate) struct Audit {
    chain: Chain,
    marks: Marks,
}

impl Audit {
    pub(crate) fn create(path: &Path, signer: &Signer) -> hsm_client::Result<Self> {
        let failed = |e| store::io_error(path, "cannot create", &e);
        let public = hex::encode(signer.public_key()?);
        fs::write(path.with_file_name(PUBLIC_KEY), format!("{public}\n")).map_err(failed)?;
        Ok(Self {
            chain: Chain::create(path, LABEL).map_err(failed)?,
            marks: Marks::default(),
        })
    }

    /// Opens the log after checking all of it, by the keys in the store: every version of the audit
    /// key has signed its part. Publishes them anew when a version was added. `each` sees every line.
    pub(crate) fn open(
        path: &Path,
        keys: &[[u8; 32]],
        mut each: impl FnMut(&Line),
    ) -> Result<Self, AuditError> {
        let wrong = |why: &str| AuditError {
            path: path.display().to_string(),
            why: why.to_owned(),
        };
        let mut checker = Checker::new(verifying(keys).map_err(wrong)?);
        let mut marks = Marks::default();
        let chain = Chain::open(path, LABEL, |place, body| {
            let line = checker.check(&place.before, body)?;
            marks.pass(place, &line);
            each(&line);
            Ok(())
        })
        .map_err(|e| tampered(path, &e))?;
        publish(path, keys).map_err(|e| wrong(&format!("{PUBLIC_KEY}: {e}")))?;
        Ok(Self { chain, marks })
    }

    /// Notes an act. It must succeed before the act's result is given out.
    pub(crate) fn note(&mut self, signer: &Signer, mut entry: Entry<'_>) -> hsm_client::Result<()> {
        if (self.chain.lines() + 1).is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoint(signer, entry.time)?;
        }
        let keys = entry.detail.as_object_mut().and_then(|d| d.remove("keys"));
        let keys = keys.and_then(|keys| serde_json::from_value(keys).ok());
        self.append(&Line {
            n: self.chain.lines() + 1,
            time: entry.time,
            actor: entry.actor.to_owned(),
            role: entry.role.to_owned(),
            act: entry.act.to_owned(),
            outcome: entry.outcome,
            keys: keys.unwrap_or_default(),
            detail: entry.detail,
        })
    }

    /// Signs everything so far.
    pub(crate) fn checkpoint(&mut self, signer: &Signer, time: CardTime) -> hsm_client::Result<()> {
        let n = self.chain.lines() + 1;
        let signature = signer.sign(&checkpoint_bytes(n, &self.chain.head()))?;
        self.append(&Line {
            n,
            time,
            actor: "hsm".to_owned(),
            role: String::new(),
            act: CHECKPOINT.to_owned(),
            outcome: 0,
            keys: vec!["audit".to_owned()],
            detail: json!({ "signature": hex::encode(signature) }),
        })
    }

    fn append(&mut self, line: &Line) -> hsm_client::Result<()> {
        let place = self.chain.end();
        self.chain.append(line).map_err(|e| refused(&e))?;
        self.marks.pass(&place, line);
        Ok(())
    }

    /// Makes all notes durable.
    pub(crate) fn sync(&mut self) -> hsm_client::Result<()> {
        self.chain.sync().map_err(|e| refused(&e))
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.chain.lines()
    }

    pub(crate) fn head(&self) -> String {
        hex::encode(self.chain.head())
    }
}

fn refused(error: &std::io::Error) -> HsmError {
    store::store(&format!(
        "the audit log cannot be written ({error}), and nothing is done unaudited: check space and rights of its disk"
    ))
}

#[cfg(test)]
mod tests;
