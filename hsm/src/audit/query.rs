//! Questions to the log.

use std::path::Path;

use card_spec::time::CardTime;

use super::{AuditError, LABEL, Line, tampered};
use crate::chain::walk;

/// Which lines; what is not given does not matter.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Part of the actor's name: an officer, a client.
    pub officer: Option<String>,
    /// Part of a key's name.
    pub key: Option<String>,
    /// The operation.
    pub operation: Option<String>,
    /// From this time.
    pub from: Option<CardTime>,
    /// To this time, included.
    pub to: Option<CardTime>,
}

impl Query {
    pub(super) fn matches(&self, line: &Line) -> bool {
        let part_of = |part: &Option<String>, all: &[String]| {
            part.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                all.iter().any(|name| name.to_lowercase().contains(&part))
            })
        };
        part_of(&self.officer, core::slice::from_ref(&line.actor))
            && part_of(&self.key, &line.keys)
            && self.operation.as_ref().is_none_or(|o| *o == line.act)
            && self.from.is_none_or(|from| from <= line.time)
            && self.to.is_none_or(|to| line.time <= to)
    }
}

/// Gives every line that matches to `each`, in order. The chain is checked on the way.
pub fn query(path: &Path, query: &Query, mut each: impl FnMut(&Line)) -> Result<u64, AuditError> {
    let mut found = 0;
    walk(path, LABEL, |_, body| {
        let line: Line = serde_json::from_slice(body).map_err(|_| "is no audit line")?;
        if query.matches(&line) {
            found += 1;
            each(&line);
        }
        Ok(())
    })
    .map_err(|e| tampered(path, &e))?;
    Ok(found)
}
