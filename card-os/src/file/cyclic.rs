//! A cyclic record file: record 1 is the newest.

use crate::{error::Error, nvm::Nvm, store::Area};

/// `newest 1 | count 1 | records`, at an offset of an area.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cyclic {
    at: usize,
    pub(super) len: usize,
    pub(super) capacity: u8,
}

impl Cyclic {
    pub(crate) const fn new(at: usize, len: usize, capacity: u8) -> Self {
        Self { at, len, capacity }
    }

    pub(crate) const fn end(self) -> usize {
        self.at + 2 + self.len * self.capacity as usize
    }

    const fn slot(self, index: u8) -> usize {
        self.at + 2 + self.len * index as usize
    }

    /// Where record `number` lies.
    pub(super) fn place<N: Nvm>(self, area: &Area<'_, N>, number: u8) -> Option<usize> {
        let [newest, count] = area.array(self.at);
        if number == 0 || number > count || count > self.capacity {
            return None;
        }
        let index = (newest % self.capacity + self.capacity - (number - 1)) % self.capacity;
        Some(self.slot(index))
    }

    pub(crate) fn append<N: Nvm>(self, area: &mut Area<'_, N>, record: &[u8]) -> Result<(), Error> {
        if record.len() != self.len {
            return Err(Error::LENGTH);
        }
        let [newest, count] = area.array(self.at);
        let index = if count == 0 {
            0
        } else {
            (newest % self.capacity + 1) % self.capacity
        };
        area.write(self.slot(index), record);
        area.write(
            self.at,
            &[index, count.saturating_add(1).min(self.capacity)],
        );
        Ok(())
    }
}
