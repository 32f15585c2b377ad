//! What lies in a page: a head, then slots. A slot holds an entry, one version of one block, and
//! behind an entry that ended its transaction the word that says so a second time.

use crate::{layout::BLOCKS, nvm::PAGE};

/// Bytes of a logical block.
pub(super) const BLOCK: usize = 64;
/// `block and flags 2 | ordinal or issuer digest 2 | transaction 4`.
pub(super) const HEAD: usize = 8;
/// Head, block, and the seal: `digest 4 | CRC-32 4`.
pub(super) const ENTRY: usize = HEAD + BLOCK + 8;
/// `magic 4 | times erased 4 | sequence 4 | CRC-32 of these 4`.
pub(super) const PAGE_HEAD: usize = 16;
/// Bytes of a [`Confirmation`].
pub(super) const CONFIRMATION: usize = 8;
/// An entry and its confirmation.
pub(super) const SLOT: usize = ENTRY + CONFIRMATION;
/// Slots of a page.
pub(super) const SLOTS: usize = (PAGE - PAGE_HEAD) / SLOT;

pub(super) const MAGIC: [u8; 4] = *b"OC3P";

/// The entry that ends its transaction.
const LAST: u16 = 0x8000;
/// A staged block: outside every transaction, and nothing after the next power-up.
const STAGED: u16 = 0x4000;

/// Where an entry lies: page and slot in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    /// No entry: the block reads as zeros.
    pub(super) const NONE: Self = Self(u16::MAX);

    pub(super) const fn new(page: usize, slot: usize) -> Self {
        Self((page * SLOTS + slot) as u16)
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == u16::MAX
    }

    pub(super) const fn page(self) -> usize {
        self.0 as usize / SLOTS
    }

    /// Address of the entry.
    pub(super) const fn at(self) -> usize {
        let slot = self.0 as usize % SLOTS;
        self.page() * PAGE + PAGE_HEAD + slot * SLOT
    }
}

/// The first word of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) block: u16,
    pub(super) last: bool,
    pub(super) staged: bool,
    /// Number of the transaction, from 1; staged blocks have 0.
    pub(super) txn: u32,
    /// In a last entry what [`Digest::issuer`] is with this transaction; in the others their
    /// number in the transaction, because a long one may write a block twice.
    pub(super) tag: u16,
}

/// Which of two entries of a block is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) txn: u32,
    ordinal: u16,
}

impl Head {
    /// The block of which this is a version; `None` of a staged one, and of one that does not exist.
    pub(super) fn of_block(self) -> Option<usize> {
        Some(usize::from(self.block)).filter(|block| !self.staged && *block < BLOCKS)
    }

    pub(super) const fn version(self) -> Version {
        Version {
            txn: self.txn,
            ordinal: if self.last { u16::MAX } else { self.tag },
        }
    }

    fn to_bytes(self) -> [u8; HEAD] {
        let mut block = self.block;
        if self.last {
            block |= LAST;
        }
        if self.staged {
            block |= STAGED;
        }
        let ([a, b], [c, d]) = (block.to_be_bytes(), self.tag.to_be_bytes());
        let [e, f, g, h] = self.txn.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// `None` for an erased word.
    pub(super) fn from_bytes(bytes: [u8; HEAD]) -> Option<Self> {
        if bytes == [0xFF; HEAD] {
            return None;
        }
        let [a, b, c, d, e, f, g, h] = bytes;
        let block = u16::from_be_bytes([a, b]);
        Some(Self {
            block: block & !(LAST | STAGED),
            last: block & LAST != 0,
            staged: block & STAGED != 0,
            txn: u32::from_be_bytes([e, f, g, h]),
            tag: u16::from_be_bytes([c, d]),
        })
    }
}

/// An entry's bytes. `digest` means something in a last entry only.
pub(super) fn seal(head: Head, data: &[u8; BLOCK], digest: u32) -> [u8; ENTRY] {
    let mut out = [0; ENTRY];
    out[..HEAD].copy_from_slice(&head.to_bytes());
    out[HEAD..HEAD + BLOCK].copy_from_slice(data);
    out[HEAD + BLOCK..ENTRY - 4].copy_from_slice(&digest.to_be_bytes());
    let crc = crc32(&out[..ENTRY - 4]);
    out[ENTRY - 4..].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The digest of an entry whose checksum is right.
pub(super) fn check(entry: &[u8; ENTRY]) -> Option<u32> {
    let (body, crc) = entry.split_last_chunk::<4>()?;
    if crc32(body).to_be_bytes() != *crc {
        return None;
    }
    body.last_chunk().copied().map(u32::from_be_bytes)
}

/// "This transaction was committed": programmed once its last entry is whole. A last entry that is
/// not whole and was never confirmed is one that a power cut tore; one that was confirmed is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirmation {
    pub(super) txn: u32,
    /// [`Digest::issuer`] with this transaction.
    pub(super) issuer: u16,
}

impl Confirmation {
    /// `transaction 3 | issuer digest 2 | complement of the transaction 3`. What a cut leaves of
    /// programming or erasing has bits too many, never too few, so no old or torn word reads as a
    /// newer one. 2^24 transactions are more than the pages last for.
    pub(super) fn to_bytes(self) -> [u8; CONFIRMATION] {
        let ([_, a, b, c], [d, e]) = (self.txn.to_be_bytes(), self.issuer.to_be_bytes());
        [a, b, c, d, e, !a, !b, !c]
    }

    /// `None`: an erased word, or one that a power cut tore.
    pub(super) fn from_bytes([a, b, c, d, e, f, g, h]: [u8; CONFIRMATION]) -> Option<Self> {
        ([a, b, c] == [!f, !g, !h]).then_some(Self {
            txn: u32::from_be_bytes([0, a, b, c]),
            issuer: u16::from_be_bytes([d, e]),
        })
    }
}

/// What stands at the beginning of a page that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PageHead {
    pub(super) times_erased: u32,
    /// Counts the pages in the order in which they were opened, from 1. Of two copies of a version
    /// the one in the later page counts, and the latest page is the one that is written.
    pub(super) sequence: u32,
}

impl PageHead {
    pub(super) fn to_bytes(self) -> [u8; PAGE_HEAD] {
        let mut out = [0; PAGE_HEAD];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.times_erased.to_be_bytes());
        out[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        let crc = crc32(&out[..12]);
        out[12..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// `None` when the page was never opened, or its erasing was cut off.
    pub(super) fn from_bytes(head: &[u8; PAGE_HEAD]) -> Option<Self> {
        let [_, _, _, _, a, b, c, d, e, f, g, h, ..] = *head;
        let read = Self {
            times_erased: u32::from_be_bytes([a, b, c, d]),
            sequence: u32::from_be_bytes([e, f, g, h]),
        };
        (*head == read.to_bytes()).then_some(read)
    }
}

/// A checksum of which version of which block is the valid one. Every commit stores it; if an
/// entry was lost or damaged, an older one takes its place when the card is powered up, and the
/// digest tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest {
    /// All blocks.
    pub(super) all: u32,
    /// The issuer domain's blocks alone, so that a card damaged elsewhere still trusts its issuer.
    pub(super) issuer: u16,
}

impl Digest {
    /// Puts a version in, or takes it out again.
    pub(super) fn toggle(&mut self, block: u16, version: Version, of_issuer: bool) {
        let place = u32::from(block) << 16 | u32::from(version.ordinal);
        let mut x = version.txn.wrapping_mul(0x9E37_79B1) ^ place.wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 15)).wrapping_mul(0x2C1B_3C6D);
        x ^= x >> 13;
        self.all ^= x;
        if of_issuer {
            self.issuer ^= (x ^ (x >> 16)) as u16;
        }
    }
}

/// CRC-32 (IEEE 802.3), a nibble at a time: a 64-byte table instead of a kilobyte.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
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
    let mut crc = !0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        crc = TABLE[(crc & 0x0F) as usize] ^ (crc >> 4);
        crc = TABLE[(crc & 0x0F) as usize] ^ (crc >> 4);
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value every catalogue of CRCs gives for CRC-32 over "123456789".
    #[test]
    fn crc_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn everything_is_whole_words_and_a_page_holds_23_entries() {
        for bytes in [ENTRY, CONFIRMATION, PAGE_HEAD] {
            assert_eq!(bytes % crate::nvm::WORD, 0);
        }
        assert_eq!(SLOTS, 23);
    }

    #[test]
    fn any_changed_bit_breaks_the_seal() {
        let head = Head {
            block: 5,
            last: true,
            staged: false,
            txn: 9,
            tag: 3,
        };
        let entry = seal(head, &[0xA5; BLOCK], 77);
        assert_eq!(check(&entry), Some(77));
        for bit in 0..ENTRY * 8 {
            let mut bad = entry;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&bad), None, "bit {bit}");
        }
    }
}
