//! Verification without the key store: the chain, the checkpoints, the head.

use std::{fs, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{AuditError, CHECKPOINT, Checker, LABEL, PUBLIC_KEY, tampered, verifying};
use crate::chain::walk;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Number of lines.
    pub lines: u64,
    /// Hash of the last line, hex.
    pub head: String,
    /// Number of signed checkpoints.
    pub checkpoints: u64,
    /// Lines after the last checkpoint: only the head vouches for them yet.
    pub unsigned: u64,
}

/// A head that an auditor kept: the log must still hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub(super) lines: u64,
    pub(super) hash: String,
}

impl FromStr for Head {
    type Err = &'static str;

    /// `LINES:HASH`, as the status and every verification print them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a head is LINES:HASH, as `onecard hsm audit verify` printed it";
        let (lines, hash) = text.split_once(':').ok_or(wrong)?;
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if hash.len() != 64 || !hash.chars().all(hex) {
            return Err(wrong);
        }
        Ok(Self {
            lines: lines.parse().map_err(|_| wrong)?,
            hash: hash.to_owned(),
        })
    }
}

/// Verifies a log by the public key that lies beside it.
pub fn verify(path: &Path) -> Result<Report, AuditError> {
    verify_with(path, None, None)
}

/// Verifies a log: every line's hash, number and shape, every checkpoint's signature, the head file;
/// by a key and against a head that were kept elsewhere, where given. Needs no passphrase.
pub fn verify_with(
    path: &Path,
    keys: Option<Vec<[u8; 32]>>,
    kept: Option<&Head>,
) -> Result<Report, AuditError> {
    let wrong = |why: String| AuditError {
        path: path.display().to_string(),
        why,
    };
    let keys = match keys {
        Some(keys) => keys,
        None => published(path).ok_or_else(|| {
            wrong(format!(
                "{PUBLIC_KEY} beside it is missing or damaged: give the copy of the audit key"
            ))
        })?,
    };
    let keys = verifying(&keys).map_err(|why| wrong(why.to_owned()))?;
    let (mut checkpoints, mut signed) = (0, 0);
    let mut checker = Checker::new(keys);
    // The hash before a line is that of the line before it.
    let mut holds = kept.is_none_or(|kept| kept.lines == 0);
    let walked = walk(path, LABEL, |place, body| {
        let before = &place.before;
        holds |= kept.is_some_and(|k| k.lines == checker.passed() && k.hash == hex::encode(before));
        let line = checker.check(before, body)?;
        if line.act == CHECKPOINT {
            checkpoints += 1;
            signed = line.n;
        }
        Ok(())
    })
    .map_err(|e| tampered(path, &e))?;
    let report = Report {
        lines: walked.lines,
        head: hex::encode(walked.head),
        checkpoints,
        unsigned: walked.lines - signed,
    };
    if let Some(kept) = kept {
        if report.lines < kept.lines {
            return Err(wrong(format!(
                "{} line(s) at the end are missing: the head that was kept is of line {}",
                kept.lines - report.lines,
                kept.lines
            )));
        }
        holds |= kept.lines == report.lines && kept.hash == report.head;
        if !holds {
            return Err(wrong(format!(
                "line {} is not the one whose head was kept: the log was rewritten",
                kept.lines
            )));
        }
    }
    Ok(report)
}

pub(super) fn published(path: &Path) -> Option<Vec<[u8; 32]>> {
    public_keys(&fs::read_to_string(path.with_file_name(PUBLIC_KEY)).ok()?)
}

/// The keys of an `audit.pub`: one a line, hex; a rotation of the audit key adds one.
pub fn public_keys(text: &str) -> Option<Vec<[u8; 32]>> {
    text.lines()
        .map(|line| {
            let mut key = [0; 32];
            hex::decode_to_slice(line.trim(), &mut key).ok()?;
            Some(key)
        })
        .collect()
}
