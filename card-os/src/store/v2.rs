//! Cards of layout 2: the same log without confirmations, 25 slots to a page.

use super::{
    BLOCK, Store,
    entry::{self, Digest, ENTRY, Head, PAGE_HEAD, check},
};
use crate::{
    isd,
    layout::{BLOCKS, ISSUER_BLOCKS, MAGIC, NotAnImage, Region},
    nvm::{NVM_SIZE, Nvm, NvmError, PAGE},
};

const PAGE_MAGIC: &[u8] = b"OC2P";

/// Whether these are the pages of a card of layout 2: most of those that have a head, because a
/// damaged head of today may look like one of then.
pub(crate) fn is_layout_2(image: &[u8]) -> bool {
    let pages = |magic: &[u8]| {
        let pages = image.chunks_exact(PAGE);
        pages.filter(|page| page.starts_with(magic)).count()
    };
    image.len() == NVM_SIZE && pages(PAGE_MAGIC) > pages(&entry::MAGIC)
}

/// Entries that belong to transactions, whole or not.
fn entries(image: &[u8]) -> impl Iterator<Item = (Head, &[u8; ENTRY])> {
    let slots = image.chunks_exact(PAGE).flat_map(|page| {
        let slots = page.get(PAGE_HEAD..).unwrap_or_default();
        slots.chunks_exact(ENTRY)
    });
    slots.filter_map(|slot| {
        let entry: &[u8; ENTRY] = slot.try_into().ok()?;
        let head = Head::from_bytes(*entry.first_chunk()?).filter(|head| !head.staged)?;
        Some((head, entry))
    })
}

/// Puts a card of layout 2 into a new memory.
pub(crate) fn upgrade<N: Nvm>(old: &[u8], nvm: N) -> Result<N, NotAnImage> {
    let newest = entries(old)
        .filter(|(head, _)| head.last)
        .filter_map(|(head, entry)| Some((head, check(entry)?)))
        .max_by_key(|(head, _)| head.txn);
    let Some((newest, stored)) = newest else {
        return Err(NotAnImage::Format);
    };
    let valid = |block: usize| {
        entries(old)
            .filter(|(head, _)| usize::from(head.block) == block && head.txn <= newest.txn)
            .filter(|(_, entry)| check(entry).is_some())
            .max_by_key(|(head, _)| head.version())
    };
    let failed = |_| NotAnImage::Memory(NvmError::Fault);
    let mut store = Store::new(nvm);
    store.format(&isd::of_this_layout(&[])).map_err(failed)?;
    let everything = Region {
        base: 0,
        len: BLOCKS * BLOCK,
    };
    let mut digest = Digest::default();
    for block in 0..BLOCKS {
        let Some((head, entry)) = valid(block) else {
            continue;
        };
        digest.toggle(head.block, head.version(), block < ISSUER_BLOCKS);
        let (_, data) = entry.split_first_chunk::<8>().ok_or(NotAnImage::Format)?;
        let (data, _) = data.split_at(BLOCK);
        // The first bytes name the layout.
        let skip = if block == 0 { 8 } else { 0 };
        if block == 0 && (!data.starts_with(&MAGIC) || data.get(4..6) != Some(&[0, 2])) {
            return Err(NotAnImage::Format);
        }
        store.write(everything, block * BLOCK + skip, &data[skip..]);
    }
    if (digest.all, digest.issuer) != (stored, newest.tag) {
        return Err(NotAnImage::Checksum);
    }
    store.commit().map_err(failed)?;
    Ok(store.into_nvm())
}
