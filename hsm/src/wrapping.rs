//! Key orders: which keys go to which card or SAM, wrapped under the session's DEK.

use card_spec::{
    keys::{KeyHeader, KeyType, class, kcv},
    perso::{card_key, kcv_kind, sam_key},
    suite::Key,
};
use hsm_client::{CURRENT, HsmError, KeyOrder, Result};

use crate::{
    hierarchy::name,
    sessions::{OpenSession, malformed},
    usage::{Below, IssueCard, IssueSam, KeyName, attributes},
    vault::Vault,
};

/// Most keys in one order (a SAM of a province: 100 regions and a dozen keys).
const KEYS_MAX: usize = 4096;

/// Diversifies and wraps. Everything is checked before the first key is derived.
pub(crate) fn wrap(vault: &Vault, session: &OpenSession, order: &KeyOrder) -> Result<Vec<Vec<u8>>> {
    let sealed = |header: KeyHeader, key: &Key| {
        let check = kcv(key, header.suite, kcv_kind(header.suite));
        (session.encrypt(*key.expose()), check)
    };
    match order {
        KeyOrder::Card { card, headers } => {
            let names = card_names(vault, headers)?;
            names
                .into_iter()
                .map(|name| {
                    let (header, key) = (name.header(), vault.card_key(name, card)?);
                    let (encrypted, check) = sealed(header, key.expose());
                    Ok(card_key(header, encrypted, check).to_vec())
                })
                .collect()
        }
        KeyOrder::Sam {
            sam,
            iin,
            regions,
            headers,
        } => {
            let names = sam_names(vault, headers, regions.len())?;
            let mut out = Vec::new();
            for name in names.iter().filter(|n| is_own(n)) {
                let (header, key) = (name.header(), vault.sam_own_key(*name, *sam)?);
                let (encrypted, check) = sealed(header, &key);
                out.push(sam_key([0; 3], header, encrypted, check).to_vec());
            }
            for region in regions {
                for name in names.iter().filter(|n| !is_own(n)) {
                    let header = name.header();
                    let key = vault.region_key(*name, *region, *iin)?;
                    let (encrypted, check) = sealed(header, &key);
                    out.push(sam_key(region.to_bytes(), header, encrypted, check).to_vec());
                }
            }
            Ok(out)
        }
    }
}

fn is_own(name: &KeyName<IssueSam>) -> bool {
    attributes(name.header().key_type).below == Below::Sam
}

/// A card gets the newest active version of each key. Another one would be on the card for years
/// after its rotation.
fn card_names(vault: &Vault, headers: &[KeyHeader]) -> Result<Vec<KeyName<IssueCard>>> {
    if headers.len() > KEYS_MAX {
        return Err(malformed("more than 4096 keys in one order"));
    }
    // Usage before existence: a wrong order learns nothing of which keys there are.
    for header in headers {
        KeyName::<IssueCard>::new(*header)?;
    }
    headers
        .iter()
        .map(|header| {
            let current = vault.current(*header)?;
            if header.version != CURRENT && *header != current {
                vault.record(*header)?;
                return Err(HsmError::Refused {
                    why: format!(
                        "a card gets the newest active version of a key, and of {} that is {}: order version {CURRENT}",
                        name(*header),
                        current.version
                    ),
                });
            }
            KeyName::new(current)
        })
        .collect()
}

/// A SAM holds purchase keys of one class and its spare. [`CURRENT`] stands for every version that a
/// SAM needs: what cards have, and what they will have; of its own keys for the newest active one.
fn sam_names(
    vault: &Vault,
    headers: &[KeyHeader],
    regions: usize,
) -> Result<Vec<KeyName<IssueSam>>> {
    if headers.len().saturating_mul(regions.max(1)) > KEYS_MAX {
        return Err(malformed("more than 4096 keys in one order"));
    }
    for header in headers {
        KeyName::<IssueSam>::new(*header)?;
    }
    let mut classes = headers
        .iter()
        .filter(|h| h.key_type == KeyType::Dpk)
        .map(|h| h.index & !class::SPARE);
    if let Some(first) = classes.next()
        && classes.any(|other| other != first)
    {
        return Err(HsmError::Refused {
            why: "a SAM holds purchase keys of one class only: order one SAM for each class"
                .to_owned(),
        });
    }
    let mut names = Vec::new();
    for header in headers {
        let own = attributes(header.key_type).below == Below::Sam;
        match header.version {
            CURRENT if own => names.push(KeyName::new(vault.current(*header)?)?),
            CURRENT => {
                for version in vault.for_sams(*header)? {
                    names.push(KeyName::new(version)?);
                }
            }
            _ => names.push(KeyName::new(*header)?),
        }
    }
    Ok(names)
}
