//! A cyclic record file: record 1 is the newest.

use crate::{
    apdu::{Out, put},
    error::Error,
    nvm::Nvm,
    store::Area,
};

/// `newest 1 | count 1 | records`, at an offset of the purse's area.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cyclic {
    at: usize,
    len: usize,
    capacity: u8,
}

/// Longest record.
const LONGEST: usize = 48;

impl Cyclic {
    pub(super) const fn new(at: usize, len: usize, capacity: u8) -> Self {
        assert!(len <= LONGEST);
        Self { at, len, capacity }
    }

    pub(super) const fn end(self) -> usize {
        self.at + 2 + self.len * self.capacity as usize
    }

    const fn slot(self, index: u8) -> usize {
        self.at + 2 + self.len * index as usize
    }

    pub(super) fn read<N: Nvm>(
        self,
        area: &Area<'_, N>,
        number: u8,
        out: &mut Out,
    ) -> Result<(), Error> {
        let [newest, count] = area.array(self.at)?;
        if number == 0 || number > count || count > self.capacity {
            return Err(Error::Record);
        }
        let index = (newest % self.capacity + self.capacity - (number - 1)) % self.capacity;
        let mut record = [0u8; LONGEST];
        let record = &mut record[..self.len];
        area.read(self.slot(index), record)?;
        put(out, record)
    }

    pub(super) fn append<N: Nvm>(self, area: &mut Area<'_, N>, record: &[u8]) -> Result<(), Error> {
        if record.len() != self.len {
            return Err(Error::Length);
        }
        let [newest, count] = area.array(self.at)?;
        let index = if count == 0 {
            0
        } else {
            (newest % self.capacity + 1) % self.capacity
        };
        area.write(self.slot(index), record)?;
        area.write(
            self.at,
            &[index, count.saturating_add(1).min(self.capacity)],
        )
    }
}
