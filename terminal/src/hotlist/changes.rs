//! Changes above the base. Nearly every card asked for is in none: a bitmap that stays in the
//! processor's cache says so without a search.

use std::collections::BTreeMap;

use clearing_api::hotlist::Key;

/// Bits of the bitmap for each change, at least: one card in eight or less is searched for nothing.
const BITS: usize = 8;

#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Reasons of cards listed since the base; `None` for cards taken off.
    map: BTreeMap<Key, Option<String>>,
    /// A power of two of words; empty for no changes.
    marks: Vec<u64>,
}

impl Changes {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Option<String>> {
        let (word, bit) = self.place(key);
        let is_marked = self.marks.get(word).is_some_and(|word| word & bit != 0);
        is_marked.then(|| self.map.get(&key)).flatten()
    }

    pub(super) fn insert(&mut self, key: Key, reason: Option<String>) {
        self.map.insert(key, reason);
        if self.map.len() * BITS > self.marks.len() * 64 {
            self.marks = vec![0; (self.marks.len() * 2).max(64)];
            let all: Vec<Key> = self.map.keys().copied().collect();
            all.into_iter().for_each(|key| self.mark(key));
        } else {
            self.mark(key);
        }
    }

    fn mark(&mut self, key: Key) {
        let (word, bit) = self.place(key);
        if let Some(word) = self.marks.get_mut(word) {
            *word |= bit;
        }
    }

    /// Word and bit of a key: high bits of a multiplication choose the word (Knuth, TAOCP 6.4).
    fn place(&self, key: Key) -> (usize, u64) {
        let spread = key.hint().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let word = (spread >> 32) as usize & self.marks.len().wrapping_sub(1);
        (word, 1 << (spread >> 26 & 63))
    }
}

impl Extend<(Key, Option<String>)> for Changes {
    fn extend<T: IntoIterator<Item = (Key, Option<String>)>>(&mut self, changes: T) {
        for (key, reason) in changes {
            self.insert(key, reason);
        }
    }
}
