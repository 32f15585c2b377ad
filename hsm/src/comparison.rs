//! A backup beside what is left of the HSM that it is of: what the restore would turn back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use hsm_client::{HsmError, KeyEvent, KeyId, KeyState, Result};
use serde::Serialize;

use crate::{
    audit::{self, Change},
    backup::Header,
    lifecycle::Life,
    rotation::label,
    vault::Vault,
};

/// Where an audit log stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// Its lines.
    pub lines: u64,
    /// Hash of the last one, hex.
    pub head: String,
}

/// One key, then and later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Which.
    pub key: KeyId,
    /// In the backup.
    pub backup: KeyState,
    /// In the later log, where that says another state. The restored HSM takes this one.
    pub later: Option<KeyState>,
}

/// For the officers, before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The backup's log.
    pub backup: Stand,
    /// The later one, if there is one.
    pub later: Option<Stand>,
    /// Lines at the end of the later one that no checkpoint signs: the officers vouch for them.
    pub unsigned: u64,
    /// Every key of the backup.
    pub keys: Vec<Compared>,
    /// Names of keys that the later log knows and the backup does not have: make them again from
    /// their components, or follow another HSM of the province.
    pub absent: Vec<String>,
}

/// The comparison, and the later life of every key that has one.
pub(crate) fn compare(
    vault: &Vault,
    header: &Header,
    later: Option<&Path>,
) -> Result<(Comparison, Vec<(KeyId, Life)>)> {
    let all = vault.ids();
    let lives: BTreeMap<String, Life> = all
        .iter()
        .filter_map(|key| Some((label(*key), vault.life(*key)?.clone())))
        .collect();
    let mut now = lives.clone();
    let mut absent = BTreeSet::new();
    let (mut stand, mut unsigned) = (None, 0);
    if let Some(path) = later {
        let found = audit::since(
            path,
            &vault.audit_keys(),
            header.audit_lines,
            &header.audit_head,
        );
        let found = found.map_err(|e| HsmError::NotAuthentic {
            what: e.to_string(),
        })?;
        let named = found.changes.iter().map(|change| match change {
            Change::State(key, _) | Change::Life(key, _) => key.clone(),
        });
        absent.extend(found.made.iter().cloned().chain(named));
        absent.retain(|name| !lives.contains_key(name));
        for change in &found.changes {
            advance(&mut now, change)?;
        }
        stand = Some(Stand {
            lines: found.lines,
            head: found.head,
        });
        unsigned = found.unsigned;
    }
    let mut compared = Vec::with_capacity(all.len());
    let mut changed = Vec::new();
    for key in all {
        let name = label(key);
        let (Some(before), Some(after)) = (lives.get(&name), now.remove(&name)) else {
            continue;
        };
        let differs = after != *before;
        compared.push(Compared {
            key,
            backup: before.state(),
            later: differs.then(|| after.state()),
        });
        if differs {
            changed.push((key, after));
        }
    }
    let comparison = Comparison {
        backup: Stand {
            lines: header.audit_lines,
            head: header.audit_head.clone(),
        },
        later: stand,
        unsigned,
        keys: compared,
        absent: absent.into_iter().collect(),
    };
    Ok((comparison, changed))
}

/// One change, to a key that the backup has.
fn advance(lives: &mut BTreeMap<String, Life>, change: &Change) -> Result<()> {
    let unfit = |name: &str| HsmError::NotAuthentic {
        what: format!("the later log, which changes {name} as no key can change"),
    };
    match change {
        Change::State(name, KeyEvent { state, at }) => {
            let Some(life) = lives.get_mut(name) else {
                return Ok(());
            };
            if *state == KeyState::Destroyed {
                life.end(name, *at)
            } else {
                life.advance(name, *state, *at)
            }
            .map_err(|_| unfit(name))
        }
        Change::Life(name, events) => {
            let Some(life) = lives.get_mut(name) else {
                return Ok(());
            };
            let other = Life::from_events(events).ok_or_else(|| unfit(name))?;
            if other.later_than(life) {
                *life = other;
            }
            Ok(())
        }
    }
}
