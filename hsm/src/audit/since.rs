//! What a later audit log says of the keys of an older backup.

use std::{collections::BTreeSet, path::Path};

use card_spec::time::CardTime;
use hsm_client::{KeyEvent, KeyState};
use serde::Deserialize;
use serde_json::Value;

use super::{AuditError, Head, LABEL, Line, published, tampered, verify_with};
use crate::chain::walk;

/// A key's change, by the name that the log gives it.
pub(crate) enum Change {
    /// The next state.
    State(String, KeyEvent),
    /// Another life: it followed another HSM, or came from there.
    Life(String, Vec<KeyEvent>),
}

/// What was noted after the backup.
pub(crate) struct Since {
    /// Lines in all, and how many of them come after the last checkpoint.
    pub(crate) lines: u64,
    pub(crate) unsigned: u64,
    pub(crate) head: String,
    /// In order.
    pub(crate) changes: Vec<Change>,
    /// Keys that were made or came.
    pub(crate) made: BTreeSet<String>,
}

/// Reads a log that must hold line `lines` with this head: it is the same HSM's, and later. Its
/// checkpoints are checked by the keys given and those that lie beside it; what comes after the last
/// one, only the officers who see it can vouch for.
pub(crate) fn since(
    path: &Path,
    keys: &[[u8; 32]],
    lines: u64,
    head: &str,
) -> Result<Since, AuditError> {
    let mut all = keys.to_vec();
    all.extend(published(path).unwrap_or_default());
    let hash = head.to_owned();
    let report = verify_with(path, Some(all), Some(&Head { lines, hash }))?;
    let mut changes: Vec<(u64, Change)> = Vec::new();
    let mut made = BTreeSet::new();
    walk(path, LABEL, |_, body| {
        let line: Line = serde_json::from_slice(body).map_err(|_| "is no audit line")?;
        if line.n <= lines {
            return Ok(());
        }
        let number = line.detail["change"].as_u64().unwrap_or_default();
        match line.act.as_str() {
            "change-undone" => changes.retain(|(n, _)| *n != number),
            failed if failed.ends_with("-failed") && line.detail["undone"] == true => {
                changes.retain(|(n, _)| *n != number);
            }
            _ => {
                let read = read(&line).ok_or("tells of keys in a way of another release")?;
                changes.extend(read.into_iter().map(|change| (number, change)));
                if matches!(line.act.as_str(), "key-rotation" | "keys-imported") {
                    made.extend(line.keys);
                }
            }
        }
        Ok(())
    })
    .map_err(|e| tampered(path, &e))?;
    Ok(Since {
        lines: report.lines,
        unsigned: report.unsigned,
        head: report.head,
        changes: changes.into_iter().map(|(_, change)| change).collect(),
        made,
    })
}

#[derive(Deserialize)]
struct Lived {
    key: String,
    life: Vec<KeyEvent>,
}

/// The changes in one line; `None` when it cannot be read.
fn read(line: &Line) -> Option<Vec<Change>> {
    let detail = |name: &str| match &line.detail[name] {
        Value::Null => None,
        value => Some(value.clone()),
    };
    let begun = |state, at: CardTime| KeyEvent { state, at };
    match line.act.as_str() {
        "key-state" if line.outcome == 0 => {
            let key = detail("key")?.as_str()?.to_owned();
            let to: KeyState = serde_json::from_value(detail("to")?).ok()?;
            Some(vec![Change::State(key, begun(to, line.time))])
        }
        "keys-gone-since-backup" => {
            let ended =
                |key: &String| Change::State(key.clone(), begun(KeyState::Destroyed, line.time));
            Some(line.keys.iter().map(ended).collect())
        }
        _ => {
            let Some(lives) = detail("lives") else {
                return Some(Vec::new());
            };
            let lives: Vec<Lived> = serde_json::from_value(lives).ok()?;
            let lived = |l: Lived| Change::Life(l.key, l.life);
            Some(lives.into_iter().map(lived).collect())
        }
    }
}
