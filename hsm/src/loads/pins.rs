//! Checks of a card's PIN: how many, and which blocks they were made with.
//!
//! Whoever may ask for a check and holds one good block has an oracle. A right answer would reset the
//! row of wrong ones, so what bounds guessing is the number of checks in a day, whatever they say. A
//! block that was part of a check is no PIN that somebody typed just now, and is not taken for one.

use std::collections::BTreeSet;

use card_spec::{id::Pan, time::CardDate};
use hsm_client::{HsmError, PIN_CHECKS_MAX, PinBlock, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Event, Guess, Loads};
use crate::pin_block::Filling;

/// What tells one PIN block from another without being it: of a block that can be deciphered its filling,
/// which stays through translations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct BlockMark([u8; 8]);

impl From<&PinBlock> for BlockMark {
    fn from(block: &PinBlock) -> Self {
        let digest = Sha256::new()
            .chain_update(b"onecard-pin-block-v1\0")
            .chain_update([block.version])
            .chain_update(block.block)
            .finalize();
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest);
        Self([a, b, c, d, e, f, g, h])
    }
}

impl From<Filling> for BlockMark {
    fn from(filling: Filling) -> Self {
        let digest = Sha256::new()
            .chain_update(b"onecard-pin-filling-v1\0")
            .chain_update(filling)
            .finalize();
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest);
        Self([a, b, c, d, e, f, g, h])
    }
}

/// The checks of one card.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins {
    failures: u8,
    /// The last day with a check, and the checks of that day.
    day: Option<(CardDate, u8)>,
    seen: BTreeSet<BlockMark>,
}

impl Pins {
    pub(super) const fn failures(&self) -> u8 {
        self.failures
    }

    pub(super) const fn is_clear(&self) -> bool {
        self.failures == 0 && self.day.is_none()
    }

    pub(super) const fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// The blocks stay known.
    pub(super) const fn clear(&mut self) {
        self.failures = 0;
        self.day = None;
    }

    pub(super) fn checked(&mut self, day: CardDate, same: bool, blocks: [BlockMark; 2]) {
        let before = self.on(day);
        // A clock that was put back begins no new day.
        let day = self.day.map_or(day, |(last, _)| last.max(day));
        self.day = Some((day, before.saturating_add(1)));
        self.seen.extend(blocks);
        if same {
            self.failures = 0;
        } else {
            self.failed();
        }
    }

    fn on(&self, day: CardDate) -> u8 {
        match self.day {
            Some((of, checks)) if day <= of => checks,
            _ => 0,
        }
    }
}

impl Loads {
    /// Whether this card's PIN may be checked today, with this block.
    pub(crate) fn pin_allowed(&self, pan: Pan, day: CardDate, typed: BlockMark) -> Result<()> {
        self.unlocked(pan, Guess::Pin)?;
        let Some(pins) = self.cards.get(&pan).map(|card| &card.pins) else {
            return Ok(());
        };
        let why = if pins.on(day) >= PIN_CHECKS_MAX {
            format!(
                "the PIN of card {pan} was checked {PIN_CHECKS_MAX} times today: wait for tomorrow, or let two officers clear it"
            )
        } else if pins.seen.contains(&typed) {
            format!("a check of card {pan} has seen this PIN block: the holder types the PIN again")
        } else {
            return Ok(());
        };
        Err(HsmError::Refused { why })
    }

    /// Counts a check, durably and before its answer is given.
    pub(crate) fn pin_checked(
        &mut self,
        pan: Pan,
        day: CardDate,
        same: bool,
        [typed, reference]: [BlockMark; 2],
    ) -> Result<()> {
        self.commit(&Event::PinChecked {
            pan,
            day,
            same,
            typed,
            reference,
        })
    }
}
