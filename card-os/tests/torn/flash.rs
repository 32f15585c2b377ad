//! An independent reader of the card's memory: what a card has committed, found from the bytes alone
//! with none of the card's code. An entry is `flags and block 2 | tag 2 | transaction 4 | block 64 |
//! digest 4 | CRC-32 4`, and behind it a word that confirms its transaction or is erased; 23 of these to
//! a page behind a head of 16 bytes. The entry with the last flag makes its transaction count; what the
//! confirmations say of a sound memory, it says already.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

const PAGE: usize = 2048;
const HEAD: usize = 16;
const ENTRY: usize = 80;
const SLOT: usize = ENTRY + 8;
const LAST: u16 = 0x8000;
const STAGED: u16 = 0x4000;

/// Whether these are the bytes of an entry that ends a transaction.
pub(crate) fn ends_transaction(programmed: &[u8]) -> bool {
    programmed.len() == ENTRY && programmed[0] & 0x80 != 0
}

/// A fingerprint of everything that is committed.
pub(crate) fn committed(image: &[u8]) -> u64 {
    let entries = || {
        image.chunks_exact(PAGE).flat_map(|page| {
            page[HEAD..]
                .chunks_exact(SLOT)
                .map(|slot| &slot[..ENTRY])
                .filter(|entry| entry[..8] != [0xFF; 8])
                .map(|entry| {
                    let flags = u16::from_be_bytes([entry[0], entry[1]]);
                    let transaction = u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]]);
                    (entry, flags, transaction)
                })
        })
    };
    let newest = entries()
        .filter(|(entry, flags, _)| flags & (LAST | STAGED) == LAST && is_whole(entry))
        .map(|(_, _, transaction)| transaction)
        .max();
    let mut blocks: HashMap<u16, ((u32, u16), &[u8])> = HashMap::new();
    for (entry, flags, transaction) in entries() {
        if flags & STAGED != 0 || Some(transaction) > newest {
            continue;
        }
        let ordinal = match flags & LAST {
            0 => u16::from_be_bytes([entry[2], entry[3]]),
            _ => u16::MAX,
        };
        let version = (transaction, ordinal);
        let block = flags & !LAST;
        if blocks.get(&block).is_none_or(|(old, _)| version > *old) && is_whole(entry) {
            blocks.insert(block, (version, &entry[8..72]));
        }
    }
    // A block of zeros is as good as one that was never written.
    let mut contents: Vec<_> = blocks
        .into_iter()
        .map(|(block, (_, data))| (block, data))
        .filter(|(_, data)| data.iter().any(|byte| *byte != 0))
        .collect();
    contents.sort_unstable();
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    hasher.finish()
}

fn is_whole(entry: &[u8]) -> bool {
    let mut crc = u32::MAX;
    for byte in &entry[..ENTRY - 4] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    (!crc).to_be_bytes() == entry[ENTRY - 4..]
}
