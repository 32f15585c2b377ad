//! Failure counters: a short MAC is guessed against one of these, but for the two in the table whose
//! guess is worth nothing.
//!
//! Whoever comes near a card can send it wrong MACs, so a counter that stops the guesser must not
//! be a way to disable the card through a coat. The rules:
//!
//! | what is guessed | row | in a row | over the air | lifetime |
//! |---|---|---|---|---|
//! | 4-byte MACs that move or rewrite: load, maintenance, unblock, PIN unblock, the medical purse, SAM ceiling and WRITE KEY | [`Row::mac`] | 3 | load: after the PIN; medical: after authentication and PIN; else refused | 200 |
//! | 4-byte MACs whose guess brings the guesser next to nothing: purchase, field lock (over the air under DACK alone) | none | none | none | none |
//! | 8-byte cryptograms: EXTERNAL AUTHENTICATE of the social-security side | [`Row::cryptogram`] | 15 | 5 | none |
//! | 8-byte cryptogram and 8-byte C-MAC: EXTERNAL AUTHENTICATE of the issuer domain | [`Row::unguessable`] | none | 5 | none |
//! | MAC2 at a SAM, with it INIT SAM FOR PURCHASE | [`Row::lifetime`] | none | - | 60,000 |
//! | PIN ([`crate::pin`]) | tries | its tries | all but the last | none |
//!
//! 1. A full row stops its own function and nothing else: neither the purse nor another command.
//! 2. Over the air only the field lock is accepted of the maintenance commands; those under DAMK,
//!    DPUK, DPRK and PUK want the contacts (6985), and so does the last PIN try.
//! 3. Over the air an EXTERNAL AUTHENTICATE stops early; through the contacts it goes on, and a
//!    right one starts the row again for both.
//! 4. A right MAC, cryptogram or PIN starts its row again, but not the lifetime count.
//! 5. The issuer has a way back from every full row. Of the purse: APPLICATION UNBLOCK (DAMK, on a
//!    row of its own) starts all rows but its own. Of every application: a key stored over SCP03
//!    makes the rows that guard it new, lifetime included, because nobody has guessed at it yet.
//!    The issuer domain's own row counts over the air only: nobody can lock the issuer out.
//! 6. The purchase and the field lock have no row. Their MACs must be taken over the air from anybody,
//!    so a row of any length is a switch with which anybody turns the card off: a thousand tries take
//!    ten seconds. And nothing is won against a guesser: at a hundred tries a second he needs a year
//!    beside the card for one hit, and gets one fare paid to a terminal that clearing knows, or a lock
//!    that the maintainer takes off. A wrong one writes nothing, so it does not wear the memory either.
//! 7. The failure is counted and committed before the comparison, so that pulling the card out buys
//!    no free guess.

use crate::{card::Interface, error::Error, nvm::Nvm, store::Area};
use subtle::ConstantTimeEq;

/// `failures in a row 2 | failures since the key was stored 2`, at an offset of an area.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    at: usize,
    in_a_row: Option<u16>,
    lifetime: Option<u16>,
}

/// Bytes a [`Row`] occupies.
pub(crate) const ROW: usize = 4;

/// Wrong cryptograms in a row that are counted over the air.
const CRYPTOGRAMS_OVER_THE_AIR: u16 = 5;

impl Row {
    /// For four-byte MACs: three in a row, and a budget that keeps the chance of ever guessing
    /// one below 2^-24.
    pub(crate) const fn mac(at: usize) -> Self {
        Self {
            at,
            in_a_row: Some(3),
            lifetime: Some(200),
        }
    }

    /// For eight-byte cryptograms, which cannot be guessed: a budget for life would only help
    /// somebody who wants to disable the card.
    pub(crate) const fn cryptogram(at: usize, in_a_row: u16) -> Self {
        Self {
            at,
            in_a_row: Some(in_a_row),
            lifetime: None,
        }
    }

    /// For what is too long to guess and whose loss could never be repaired: through the contacts
    /// nobody can wear it out.
    pub(crate) const fn unguessable(at: usize) -> Self {
        Self {
            at,
            in_a_row: None,
            lifetime: None,
        }
    }

    /// Only the lifetime budget.
    pub(crate) const fn lifetime(at: usize, lifetime: u16) -> Self {
        Self {
            at,
            in_a_row: None,
            lifetime: Some(lifetime),
        }
    }

    /// The row as it counts through this interface: over the air a cryptogram's ends early, and
    /// the rest stays for the contacts.
    pub(crate) const fn through(self, interface: Interface) -> Self {
        match interface {
            Interface::Contact => self,
            Interface::Contactless => Self {
                in_a_row: Some(CRYPTOGRAMS_OVER_THE_AIR),
                ..self
            },
        }
    }

    /// Refuses when the function is locked.
    pub(crate) fn check<N: Nvm>(self, area: &Area<'_, N>) -> Result<(), Error> {
        let (row, life) = self.read(area);
        if self.lifetime.is_some_and(|most| life >= most) {
            return Err(Error::PERMANENT);
        }
        if self.in_a_row.is_some_and(|most| row >= most) {
            return Err(Error::BLOCKED);
        }
        Ok(())
    }

    /// Counts a failure and commits it, compares in constant time, and takes the failure back if
    /// what was given is what was expected. The taking back belongs to the command's own commit.
    pub(crate) fn guard<N: Nvm>(
        self,
        area: &mut Area<'_, N>,
        expected: &[u8],
        given: &[u8],
        wrong: Error,
    ) -> Result<(), Error> {
        self.check(area)?;
        let (row, life) = self.read(area);
        self.write(area, row.saturating_add(1), life.saturating_add(1));
        area.commit()?;
        if !bool::from(expected.ct_eq(given)) {
            return Err(wrong);
        }
        self.write(area, 0, life);
        Ok(())
    }

    /// An authorised unlock: the row starts again, the lifetime budget does not.
    pub(crate) fn clear_row<N: Nvm>(self, area: &mut Area<'_, N>) {
        let (_, life) = self.read(area);
        self.write(area, 0, life);
    }

    /// The issuer stored the key that this row guards: nobody has guessed at it yet.
    pub(crate) fn renew<N: Nvm>(self, area: &mut Area<'_, N>) {
        self.write(area, 0, 0);
    }

    fn read<N: Nvm>(self, area: &Area<'_, N>) -> (u16, u16) {
        (area.u16(self.at), area.u16(self.at + 2))
    }

    fn write<N: Nvm>(self, area: &mut Area<'_, N>, row: u16, life: u16) {
        let ([a, b], [c, d]) = (row.to_be_bytes(), life.to_be_bytes());
        area.write(self.at, &[a, b, c, d]);
    }
}
