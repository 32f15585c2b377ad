//! The audit log: every privileged act, by whom and when, in a hash chain. No secret is in it.
//!
//! `audit.jsonl` holds one JSON object a line: `n`, `time`, `actor`, `act`, `detail` and the chained
//! `hash`. Lines are made durable before an answer that cannot be taken back leaves the HSM (load
//! MAC, ceiling MAC, signature, exported keys) and at the end of every personalisation session.

use std::path::Path;

use card_spec::time::CardTime;
use hsm_client::{HsmError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    chain::{Chain, ChainError, walk},
    store,
};

const LABEL: &str = "audit";

/// One line without its hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    n: u64,
    time: CardTime,
    actor: String,
    act: String,
    detail: Value,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Number of lines.
    pub lines: u64,
    /// Hash of the last line, hex.
    pub head: String,
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

/// Whether a log is a whole chain up to its head file. Needs no key and no passphrase.
pub fn verify(path: &Path) -> core::result::Result<Report, AuditError> {
    let walked = walk(path, LABEL, is_line()).map_err(|e| tampered(path, &e))?;
    Ok(Report {
        lines: walked.lines,
        head: hex::encode(walked.head),
    })
}

fn tampered(path: &Path, error: &ChainError) -> AuditError {
    AuditError {
        path: path.display().to_string(),
        why: error.to_string(),
    }
}

fn is_line() -> impl FnMut(&[u8]) -> bool {
    let mut expected = 0;
    move |body| {
        expected += 1;
        serde_json::from_slice::<Line>(body).is_ok_and(|line| line.n == expected)
    }
}

/// The open log.
pub(crate) struct Audit(Chain);

impl Audit {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Chain::create(path, LABEL)
            .map(Self)
            .map_err(|e| store::io_error(path, "cannot create", &e))
    }

    pub(crate) fn open(path: &Path) -> core::result::Result<Self, AuditError> {
        Chain::open(path, LABEL, is_line())
            .map(Self)
            .map_err(|e| tampered(path, &e))
    }

    /// Notes an act. It must succeed before the act's result is given out.
    pub(crate) fn note(
        &mut self,
        time: CardTime,
        actor: &str,
        act: &str,
        detail: Value,
    ) -> Result<()> {
        self.0
            .append(&Line {
                n: self.0.lines() + 1,
                time,
                actor: actor.to_owned(),
                act: act.to_owned(),
                detail,
            })
            .map_err(|e| refused(&e))
    }

    /// Makes all notes durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.0.sync().map_err(|e| refused(&e))
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.0.lines()
    }

    pub(crate) fn head(&self) -> String {
        hex::encode(self.0.head())
    }
}

fn refused(error: &std::io::Error) -> HsmError {
    store::store(&format!(
        "the audit log cannot be written ({error}), and nothing is done unaudited: check space and rights of its disk"
    ))
}
