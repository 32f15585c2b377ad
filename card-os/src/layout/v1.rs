//! Cards of layout 1: a plain image of 11,830 bytes, each area followed by its CRC-32.

use super::{App, KEYS, MAGIC, REGIONS, Region};
use crate::{
    nvm::{Nvm, NvmError},
    store::{Store, crc32},
};

/// Bytes of an image of layout 1.
pub const V1_SIZE: usize = 11_830;

/// Usable bytes of each area of layout 1, in its order.
const AREAS: [(Region, usize); 6] = [
    (App::Isd.region(), 75),
    (App::Purse.region(), 1_203),
    (App::Ssse.region(), 4_068),
    (App::Medical.region(), 26),
    (App::Sam.region(), 34),
    (KEYS, 2_304),
];

/// Why bytes are not a card of an older layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnImage {
    /// Wrong size, magic or version.
    Format,
    /// A checksum is wrong: the image is damaged.
    Checksum,
    /// The new memory failed.
    Memory(NvmError),
}

impl core::fmt::Display for NotAnImage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Format => f.write_str("not a card image of an older layout"),
            Self::Checksum => f.write_str("the card image is damaged: a checksum is wrong"),
            Self::Memory(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NotAnImage {}

/// Puts a card of layout 1 into a new memory.
pub(super) fn upgrade<N: Nvm>(old: &[u8], nvm: N) -> Result<N, NotAnImage> {
    if old.len() != V1_SIZE || !old.starts_with(&MAGIC) || old.get(4..6) != Some(&[0, 1]) {
        return Err(NotAnImage::Format);
    }
    let mut at = 0;
    for (_, len) in AREAS {
        let area = old.get(at..at + len).ok_or(NotAnImage::Format)?;
        let stored = old.get(at + len..at + len + 4).ok_or(NotAnImage::Format)?;
        if crc32(area).to_be_bytes() != stored {
            return Err(NotAnImage::Checksum);
        }
        at += len + 4;
    }
    let failed = |_| NotAnImage::Memory(NvmError::Fault);
    let mut store = Store::new(nvm);
    let mut at = 0;
    for (region, len) in AREAS {
        let area = old.get(at..at + len).ok_or(NotAnImage::Format)?;
        if region == REGIONS[0] {
            store
                .format(&crate::isd::of_this_layout(area))
                .map_err(failed)?;
        } else {
            store.write(region, 0, area);
        }
        at += len + 4;
    }
    store.commit().map_err(failed)?;
    Ok(store.into_nvm())
}
