//! Key orders: which keys go to which card or SAM, wrapped under the session's DEK.

use card_spec::{
    keys::{KeyHeader, KeyType, class, kcv},
    perso::{card_key, kcv_kind, sam_key},
    suite::Key,
};
use hsm_client::{HsmError, KeyOrder, Result};

use crate::{
    hierarchy::{Family, allowed_in_sam, family},
    sessions::{OpenSession, malformed},
    vault::{Vault, wrong_usage},
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
            check_card(headers)?;
            headers
                .iter()
                .map(|header| {
                    let key = vault.card_key(*header, card)?;
                    let (encrypted, check) = sealed(*header, &key);
                    Ok(card_key(*header, encrypted, check).to_vec())
                })
                .collect()
        }
        KeyOrder::Sam {
            sam,
            iin,
            regions,
            headers,
        } => {
            check_sam(headers, regions.len())?;
            let mut out = Vec::new();
            for header in headers.iter().filter(|h| is_own(h)) {
                let key = vault.sam_own_key(*header, *sam)?;
                let (encrypted, check) = sealed(*header, &key);
                out.push(sam_key([0; 3], *header, encrypted, check).to_vec());
            }
            for region in regions {
                for header in headers.iter().filter(|h| !is_own(h)) {
                    let key = vault.region_key(*header, *region, *iin)?;
                    let (encrypted, check) = sealed(*header, &key);
                    out.push(sam_key(region.to_bytes(), *header, encrypted, check).to_vec());
                }
            }
            Ok(out)
        }
    }
}

fn is_own(header: &KeyHeader) -> bool {
    family(header.key_type) == Family::Sam
}

fn check_card(headers: &[KeyHeader]) -> Result<()> {
    if headers.len() > KEYS_MAX {
        return Err(malformed("more than 4096 keys in one order"));
    }
    match headers
        .iter()
        .find(|h| !matches!(family(h.key_type), Family::Purse | Family::Social))
    {
        Some(header) => Err(wrong_usage(*header, "a card order")),
        None => Ok(()),
    }
}

/// A SAM holds purchase keys of one class and its spare; it never holds what loads, unblocks or
/// rewrites a card.
fn check_sam(headers: &[KeyHeader], regions: usize) -> Result<()> {
    if headers.len().saturating_mul(regions.max(1)) > KEYS_MAX {
        return Err(malformed("more than 4096 keys in one order"));
    }
    if let Some(header) = headers
        .iter()
        .find(|h| !is_own(h) && !allowed_in_sam(h.key_type))
    {
        return Err(wrong_usage(*header, "a SAM order"));
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
    Ok(())
}
