//! Where everything lies in the image: a static layout, decided at compile time.
//!
//! Each area ends in a CRC-32 of its bytes, renewed in the commit that changes it. The first area
//! starts with magic, layout version and size. Staging carries no checksum: it means nothing
//! outside the secure channel that fills it.

use crate::{isd, keystore, medical, nvm::Nvm, nvm::NvmError, purse, sam, ssse};
use card_spec::scp03::StaticKeys;

/// Owner of an area and of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum App {
    Isd = 1,
    Purse = 2,
    Ssse = 3,
    Medical = 4,
    Sam = 5,
}

/// One checksummed stretch of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) base: usize,
    /// Bytes usable by the owner; four more hold the checksum.
    pub(crate) len: usize,
}

impl Region {
    const fn after(previous: Self, len: usize) -> Self {
        Self {
            base: previous.base + previous.len + 4,
            len,
        }
    }
}

const ISD: Region = Region {
    base: 0,
    len: isd::AREA,
};
const PURSE: Region = Region::after(ISD, purse::AREA);
const SSSE: Region = Region::after(PURSE, ssse::AREA);
const MEDICAL: Region = Region::after(SSSE, medical::AREA);
const SAM: Region = Region::after(MEDICAL, sam::AREA);
pub(crate) const KEYS: Region = Region::after(SAM, keystore::AREA);
pub(crate) const STAGING: usize = KEYS.base + KEYS.len + 4;

/// Bytes that one STORE DATA sequence may carry.
pub const STAGING_SIZE: usize = 4096;

/// Size of the card's image in bytes.
pub const IMAGE_SIZE: usize = STAGING + STAGING_SIZE;

/// Version of the layout; an image of another version is refused.
pub const IMAGE_VERSION: u16 = 1;

pub(crate) const MAGIC: [u8; 4] = *b"OC1K";

/// Every checksummed region; the position is its bit in the store's dirty set.
pub(crate) const REGIONS: [Region; 6] = [ISD, PURSE, SSSE, MEDICAL, SAM, KEYS];

impl App {
    pub(crate) const fn region(self) -> Region {
        match self {
            Self::Isd => ISD,
            Self::Purse => PURSE,
            Self::Ssse => SSSE,
            Self::Medical => MEDICAL,
            Self::Sam => SAM,
        }
    }
}

/// CRC-32 (IEEE 802.3), a nibble at a time: a 64-byte table instead of a kilobyte.
pub(crate) fn crc32(mut crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0u32; 16];
        let mut i = 0;
        while i < 16 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 == 1 {
                    0xEDB8_8320 ^ (value >> 1)
                } else {
                    value >> 1
                };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    for byte in bytes {
        crc ^= u32::from(*byte);
        crc = TABLE[(crc & 0x0F) as usize] ^ (crc >> 4);
        crc = TABLE[(crc & 0x0F) as usize] ^ (crc >> 4);
    }
    crc
}

/// What the chip maker puts on a blank card or SAM.
pub struct Blank {
    /// Ten bytes that diversify the transport keys.
    pub chip_serial: [u8; 10],
    /// The transport key set, key version number 01.
    pub transport_keys: StaticKeys,
}

/// Makes the memory a blank card, in one commit. Whatever was there is gone.
///
/// The memory must hold at least [`IMAGE_SIZE`] bytes.
pub fn format<N: Nvm>(nvm: &mut N, blank: &Blank) -> Result<(), NvmError> {
    nvm.begin()?;
    let done = write_blank(nvm, blank);
    if done.is_err() {
        nvm.rollback();
    }
    done.and_then(|()| nvm.commit())
}

fn write_blank<N: Nvm>(nvm: &mut N, blank: &Blank) -> Result<(), NvmError> {
    const CHUNK: [u8; 64] = [0; 64];
    let mut at = 0;
    while at < IMAGE_SIZE {
        let n = CHUNK.len().min(IMAGE_SIZE - at);
        nvm.write(at, &CHUNK[..n])?;
        at += n;
    }
    nvm.write(ISD.base, &isd::blank_area(blank))?;
    for region in REGIONS {
        let crc = region_crc(nvm, region)?;
        nvm.write(region.base + region.len, &crc.to_be_bytes())?;
    }
    Ok(())
}

/// The checksum that a region should carry now.
pub(crate) fn region_crc<N: Nvm>(nvm: &N, region: Region) -> Result<u32, NvmError> {
    let mut crc = !0;
    let mut chunk = [0u8; 64];
    let mut at = 0;
    while at < region.len {
        let n = chunk.len().min(region.len - at);
        nvm.read(region.base + at, &mut chunk[..n])?;
        crc = crc32(crc, &chunk[..n]);
        at += n;
    }
    Ok(!crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value every catalogue of CRCs gives for CRC-32 over "123456789".
    #[test]
    fn crc_check_value() {
        assert_eq!(!crc32(!0, b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn regions_do_not_overlap_and_the_image_is_small() {
        for pair in REGIONS.windows(2) {
            assert_eq!(pair[0].base + pair[0].len + 4, pair[1].base);
        }
        assert!((8 * 1024..=16 * 1024).contains(&IMAGE_SIZE));
    }
}
