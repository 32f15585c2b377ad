//! Where everything lies for the applications: a static layout, decided at compile time.
//!
//! The first area starts with magic and layout version. Within an area the offsets of a released
//! layout never move; a newer one only adds behind them, and so opens older cards ([`upgrade`]).

mod v1;

pub use v1::{NotAnImage, V1_SIZE};

use crate::{health, isd, keystore, medical, nvm::Nvm, purse, sam, ssse, store};
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
    Health = 6,
    #[cfg(feature = "pki")]
    Pki = 7,
}

/// An application's stretch of the memory; it starts with a block of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) base: usize,
    pub(crate) len: usize,
}

/// What is written and checked as one.
pub(crate) const BLOCK_SIZE: usize = 64;

impl Region {
    const fn after(previous: Self, len: usize) -> Self {
        Self {
            base: previous.end_block() * BLOCK_SIZE,
            len,
        }
    }

    const fn end_block(self) -> usize {
        (self.base + self.len).div_ceil(BLOCK_SIZE)
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
const HEALTH: Region = Region::after(SAM, health::AREA);
pub(crate) const KEYS: Region = Region::after(HEALTH, keystore::AREA);
/// Set aside on a card without the application too, so that an image fits both.
const PKI: Region = Region::after(KEYS, PKI_AREA);
/// Where every application's area says that the application was personalised: not zero.
pub(crate) const PRESENT: usize = 0;
/// Bytes of the PKI application.
pub(crate) const PKI_AREA: usize = 1_728;

/// Every area, the issuer domain's first.
pub(crate) const REGIONS: [Region; 8] = [ISD, PURSE, SSSE, MEDICAL, SAM, HEALTH, KEYS, PKI];

/// Blocks of the issuer domain.
pub(crate) const ISSUER_BLOCKS: usize = ISD.end_block();
/// Blocks of all areas.
pub(crate) const BLOCKS: usize = PKI.end_block();
/// Bytes that one STORE DATA sequence may carry: a photo of 20 KiB and what goes with it.
pub const STAGING_SIZE: usize = 24 * 1024;
pub(crate) const STAGED_BLOCKS: usize = STAGING_SIZE / BLOCK_SIZE;

/// Version of the layout; a card of another version is refused, or upgraded first.
pub const IMAGE_VERSION: u16 = 3;

pub(crate) const MAGIC: [u8; 4] = *b"OC1K";

/// Whether an image is of an older layout and must be [`upgrade`]d before a card can use it.
pub fn is_older(image: &[u8]) -> bool {
    image.len() == V1_SIZE || store::is_layout_2(image)
}

/// Puts a card of an older layout into a new memory: keys, files, counters and logs as they were.
pub fn upgrade<N: Nvm>(old: &[u8], nvm: N) -> Result<N, NotAnImage> {
    if store::is_layout_2(old) {
        store::upgrade_v2(old, nvm)
    } else {
        v1::upgrade(old, nvm)
    }
}

impl App {
    pub(crate) const fn region(self) -> Region {
        match self {
            Self::Isd => ISD,
            Self::Purse => PURSE,
            Self::Ssse => SSSE,
            Self::Medical => MEDICAL,
            Self::Sam => SAM,
            Self::Health => HEALTH,
            #[cfg(feature = "pki")]
            Self::Pki => PKI,
        }
    }
}

/// What the chip maker puts on a blank card or SAM.
pub struct Blank {
    /// Ten bytes that diversify the transport keys.
    pub chip_serial: [u8; 10],
    /// The transport key set, key version number 01.
    pub transport_keys: StaticKeys,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_do_not_share_a_block() {
        for pair in REGIONS.windows(2) {
            assert!(pair[0].base + pair[0].len <= pair[1].base);
            assert_eq!(pair[1].base % BLOCK_SIZE, 0);
        }
    }
}
