//! Key slots. A slot belongs to one application; type, index, version and suite are its header.

use crate::{
    error::Error,
    layout::{App, KEYS},
    nvm::Nvm,
    store::Store,
};
use card_spec::{
    keys::{KeyHeader, kcv},
    perso::kcv_kind,
    suite::Key,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Slots on a card: 22 keys of a user card in one suite, or a SAM's keys for a province's regions.
const SLOTS: usize = 96;
/// `owner 1 | region 3 | header 4 | key 16`.
const SLOT: usize = 24;
pub(crate) const AREA: usize = SLOTS * SLOT;

/// A key with everything that restricts its use.
pub(crate) struct Slot {
    /// Region of a SAM's key; zeros otherwise.
    pub(crate) region: [u8; 3],
    pub(crate) header: KeyHeader,
    pub(crate) key: Key,
}

/// `region 3 | header 4 | key 16 | KCV 3`: a key as the issuer sends it, deciphered.
pub(crate) const SENT: usize = 26;

impl Slot {
    /// The key as it arrived; its KCV says whether it did.
    pub(crate) fn arrived(bytes: &[u8; SENT]) -> Result<Self, Error> {
        let [r0, r1, r2, h0, h1, h2, h3, rest @ ..] = bytes;
        let (value, check) = rest.split_first_chunk().ok_or(Error::DATA)?;
        let header = KeyHeader::from_bytes([*h0, *h1, *h2, *h3])?;
        let key = Key::new(*value);
        if !bool::from(kcv(&key, header.suite, kcv_kind(header.suite)).ct_eq(check)) {
            return Err(Error::DATA);
        }
        Ok(Self {
            region: [*r0, *r1, *r2],
            header,
            key,
        })
    }
}

/// `None`: the slot is free, or what it holds is no key (and the command fails).
fn read<N: Nvm>(store: &Store<N>, slot: usize) -> Option<(u8, Slot)> {
    let mut bytes = [0u8; SLOT];
    store.read(KEYS.base + slot * SLOT, &mut bytes);
    let [owner, r0, r1, r2, h0, h1, h2, h3, mut value @ ..] = bytes;
    bytes.zeroize();
    let key = Key::new(value);
    value.zeroize();
    if owner == 0 {
        return None;
    }
    let Ok(header) = KeyHeader::from_bytes([h0, h1, h2, h3]) else {
        store.fail();
        return None;
    };
    Some((
        owner,
        Slot {
            region: [r0, r1, r2],
            header,
            key,
        },
    ))
}

pub(crate) fn find<N: Nvm>(
    store: &Store<N>,
    app: App,
    wanted: &dyn Fn(&Slot) -> bool,
    missing: Error,
) -> Result<Slot, Error> {
    // Slots fill from the front and are never emptied.
    for i in 0..SLOTS {
        match read(store, i) {
            Some((owner, slot)) if owner == app as u8 && wanted(&slot) => return Ok(slot),
            Some(_) => {}
            None => break,
        }
    }
    Err(missing)
}

/// Puts a key into its slot: over the one with the same identity, or into the next free slot.
///
/// The version is part of the identity only where a key serves many cards: a SAM keeps the
/// previous version of a region's key until the last card using it retires. Elsewhere, on a user
/// card and of the SAM's own keys, a new version replaces the old.
pub(crate) fn put<N: Nvm>(store: &mut Store<N>, app: App, new: &Slot) -> Result<(), Error> {
    for i in 0..SLOTS {
        let same = match read(store, i) {
            None => true,
            Some((owner, old)) => {
                owner == app as u8
                    && old.region == new.region
                    && (old.header.key_type, old.header.index, old.header.suite)
                        == (new.header.key_type, new.header.index, new.header.suite)
                    && (new.region == [0; 3] || old.header.version == new.header.version)
            }
        };
        if same {
            let mut bytes = [0u8; SLOT];
            bytes[0] = app as u8;
            bytes[1..4].copy_from_slice(&new.region);
            bytes[4..8].copy_from_slice(&new.header.to_bytes());
            bytes[8..].copy_from_slice(new.key.expose());
            store.write(KEYS, i * SLOT, &bytes);
            bytes.zeroize();
            return Ok(());
        }
    }
    Err(Error::SPACE)
}
