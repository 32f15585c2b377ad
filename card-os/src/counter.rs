//! Failure counters: a short MAC is only ever guessed against one of these.

use crate::{error::Error, nvm::Nvm, store::Area};

/// `failures in a row 1 | failures in the card's life 2`, at an offset of an area.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    at: usize,
    in_a_row: u8,
    lifetime: u16,
}

/// No lock by failures in a row.
const NEVER: u8 = u8::MAX;

/// Bytes a [`Row`] occupies.
pub(crate) const ROW: usize = 3;

impl Row {
    /// For four-byte MACs: three in a row, and a budget that keeps the chance of ever guessing
    /// one below 2^-24.
    pub(crate) const fn mac(at: usize) -> Self {
        Self {
            at,
            in_a_row: 3,
            lifetime: 200,
        }
    }

    /// For eight-byte cryptograms, which cannot be guessed: a lock after three would only help
    /// somebody who wants to disable the card.
    pub(crate) const fn cryptogram(at: usize) -> Self {
        Self {
            at,
            in_a_row: 15,
            lifetime: 1000,
        }
    }

    /// Only the lifetime budget.
    pub(crate) const fn lifetime(at: usize, lifetime: u16) -> Self {
        Self {
            at,
            in_a_row: NEVER,
            lifetime,
        }
    }

    /// Refuses when the function is locked.
    pub(crate) fn check<N: Nvm>(self, area: &Area<'_, N>) -> Result<(), Error> {
        let [row, high, low] = area.array(self.at)?;
        if u16::from_be_bytes([high, low]) >= self.lifetime {
            return Err(Error::Permanent);
        }
        if self.in_a_row != NEVER && row >= self.in_a_row {
            return Err(Error::Blocked);
        }
        Ok(())
    }

    /// Counts a failure and commits it, compares, and takes the failure back if the comparison
    /// held. The taking back belongs to the command's own commit.
    pub(crate) fn guard<N: Nvm>(
        self,
        area: &mut Area<'_, N>,
        matches: impl FnOnce() -> bool,
        wrong: Error,
    ) -> Result<(), Error> {
        self.check(area)?;
        let [row, high, low] = area.array(self.at)?;
        let life = u16::from_be_bytes([high, low]);
        self.write(area, row.saturating_add(1), life.saturating_add(1))?;
        area.commit()?;
        if !matches() {
            return Err(wrong);
        }
        self.write(area, 0, life)
    }

    /// Whether the row is full now.
    pub(crate) fn is_locked<N: Nvm>(self, area: &Area<'_, N>) -> bool {
        self.check(area).is_err()
    }

    /// An authorised unlock: the row starts again, the lifetime budget does not.
    pub(crate) fn clear_row<N: Nvm>(self, area: &mut Area<'_, N>) -> Result<(), Error> {
        area.write(self.at, &[0])
    }

    fn write<N: Nvm>(self, area: &mut Area<'_, N>, row: u8, life: u16) -> Result<(), Error> {
        let [high, low] = life.to_be_bytes();
        area.write(self.at, &[row, high, low])
    }
}
