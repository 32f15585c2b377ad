//! What the HSM remembers of cards: what it gave out for every online sequence, wrong guesses, and
//! checks of PINs. It survives a restart in `loads.jsonl`, a chained file like the audit log's.

mod online;
mod pins;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use card_spec::{
    Fen,
    id::Pan,
    time::{CardDate, CardTime},
};
use hsm_client::{Account, HsmError, Result};
use serde::{Deserialize, Serialize};

use crate::{
    chain::{Chain, ChainError},
    store,
};
use online::Online;
use pins::Pins;
pub(crate) use {online::Given, pins::BlockMark};

const LABEL: &str = "loads";

/// Wrong guesses in a row before a card is refused until two officers clear it.
pub(crate) const FAILURES_MAX: u8 = 3;

/// How much may be loaded and owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadLimits {
    /// The purse.
    pub purse: AccountLimits,
    /// The personal account of the medical purse.
    pub medical: AccountLimits,
    /// Highest overdraft limit of a card.
    pub overdraft: Fen,
}

/// How much may be loaded to one account of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Most in one load.
    pub per_load: Fen,
    /// Most in one day, by the HSM's clock: the ledger dates its holds as it likes.
    pub per_day: Fen,
}

impl LoadLimits {
    const fn of(&self, account: Account) -> AccountLimits {
        match account {
            Account::Purse => self.purse,
            Account::Medical => self.medical,
        }
    }
}

impl Default for LoadLimits {
    /// Purse: 1,000 yuan a load (its ceiling), 3,000 yuan a day. Medical: 5,000 yuan, which is more
    /// than a year of monthly credits brought at once. 50 yuan of overdraft.
    fn default() -> Self {
        Self {
            purse: AccountLimits {
                per_load: Fen::yuan(1000),
                per_day: Fen::yuan(3000),
            },
            medical: AccountLimits {
                per_load: Fen::yuan(5000),
                per_day: Fen::yuan(5000),
            },
            overdraft: Fen::yuan(50),
        }
    }
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
enum Event {
    /// MAC2 of a load was given out.
    Authorised {
        pan: Pan,
        /// Lines of before medical accounts were loaded are the purse's.
        #[serde(default)]
        account: Account,
        seq: u16,
        amount: Fen,
        day: CardDate,
        hold_id: String,
        mac2: [u8; 4],
    },
    /// MAC2 of an overdraft limit was given out.
    LimitGranted {
        pan: Pan,
        seq: u16,
        limit: Fen,
        order_id: String,
        mac2: [u8; 4],
    },
    /// A wrong MAC1.
    Failed { pan: Pan },
    /// The next MAC1 was right, or two officers cleared the card.
    Cleared { pan: Pan },
    /// A wrong PIN, in lines of before checks were counted.
    PinFailed { pan: Pan },
    /// Two officers cleared the card.
    PinCleared { pan: Pan },
    /// Two PIN blocks were compared.
    PinChecked {
        pan: Pan,
        day: CardDate,
        same: bool,
        /// What was typed, and what it was held against.
        typed: BlockMark,
        reference: BlockMark,
    },
}

/// What was guessed wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    /// The MAC1 of a load or of an overdraft limit.
    Mac1,
    /// A PIN.
    Pin,
}

#[derive(Debug, Clone, Default)]
struct Card {
    purse: Online,
    medical: Online,
    failures: u8,
    pins: Pins,
}

impl Card {
    const fn online(&self, account: Account) -> &Online {
        match account {
            Account::Purse => &self.purse,
            Account::Medical => &self.medical,
        }
    }

    const fn online_mut(&mut self, account: Account) -> &mut Online {
        match account {
            Account::Purse => &mut self.purse,
            Account::Medical => &mut self.medical,
        }
    }
}

/// What is about to be given out for an online sequence, by an order of the ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) pan: Pan,
    pub(crate) account: Account,
    pub(crate) seq: u16,
    pub(crate) given: Given,
    pub(crate) time: CardTime,
    /// The HSM's time; its day is the one it counts on.
    pub(crate) now: CardTime,
    /// Id of the hold or the order.
    pub(crate) order_id: &'a str,
}

/// The memory and its file.
pub(crate) struct Loads {
    chain: Chain,
    cards: BTreeMap<Pan, Card>,
}

impl Loads {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let chain =
            Chain::create(path, LABEL).map_err(|e| store::io_error(path, "cannot create", &e))?;
        Ok(Self {
            chain,
            cards: BTreeMap::new(),
        })
    }

    pub(crate) fn open(path: &Path) -> core::result::Result<Self, ChainError> {
        let mut cards = BTreeMap::new();
        let chain = Chain::open(path, LABEL, |_, body| {
            serde_json::from_slice(body)
                .map(|event| replay(&mut cards, &event))
                .map_err(|_| "is no entry of the load memory")
        })?;
        Ok(Self { chain, cards })
    }

    /// Lines written. The audit log's line of each answer says how many there were, so that an older
    /// memory beside it is noticed.
    pub(crate) const fn lines(&self) -> u64 {
        self.chain.lines()
    }

    /// Refuses a card of which three guesses in a row were wrong.
    pub(crate) fn unlocked(&self, pan: Pan, guess: Guess) -> Result<()> {
        if self.failures(pan, guess) < FAILURES_MAX {
            return Ok(());
        }
        let what = match guess {
            Guess::Mac1 => "MAC1s",
            Guess::Pin => "PINs",
        };
        Err(HsmError::Refused {
            why: format!(
                "card {pan} sent {FAILURES_MAX} wrong {what} in a row: two officers must clear it"
            ),
        })
    }

    /// Counts a wrong MAC1, durably.
    pub(crate) fn mac1_failed(&mut self, pan: Pan) -> Result<()> {
        self.commit(&Event::Failed { pan })
    }

    /// Forgets the wrong guesses at a card, and the day's checks of its PIN, durably.
    pub(crate) fn clear(&mut self, pan: Pan, guess: Guess) -> Result<()> {
        let nothing = self.cards.get(&pan).is_none_or(|card| match guess {
            Guess::Mac1 => card.failures == 0,
            Guess::Pin => card.pins.is_clear(),
        });
        if nothing {
            return Ok(());
        }
        self.commit(&match guess {
            Guess::Mac1 => Event::Cleared { pan },
            Guess::Pin => Event::PinCleared { pan },
        })
    }

    /// Wrong guesses in a row.
    pub(crate) fn failures(&self, pan: Pan, guess: Guess) -> u8 {
        self.cards.get(&pan).map_or(0, |card| match guess {
            Guess::Mac1 => card.failures,
            Guess::Pin => card.pins.failures(),
        })
    }

    fn commit(&mut self, event: &Event) -> Result<()> {
        self.chain
            .append(event)
            .and_then(|()| self.chain.sync())
            .map_err(|e| {
                store::store(&format!(
                    "the load memory cannot be written ({e}), so nothing is authorised: check space and rights of its disk"
                ))
            })?;
        replay(&mut self.cards, event);
        Ok(())
    }
}

fn replay(cards: &mut BTreeMap<Pan, Card>, event: &Event) {
    let (Event::Authorised { pan, .. }
    | Event::LimitGranted { pan, .. }
    | Event::Failed { pan }
    | Event::Cleared { pan }
    | Event::PinFailed { pan }
    | Event::PinCleared { pan }
    | Event::PinChecked { pan, .. }) = event;
    let card = cards.entry(*pan).or_default();
    match event {
        Event::Failed { .. } => card.failures = card.failures.saturating_add(1),
        Event::Cleared { .. } => card.failures = 0,
        Event::PinFailed { .. } => card.pins.failed(),
        Event::PinCleared { .. } => card.pins.clear(),
        Event::PinChecked {
            day,
            same,
            typed,
            reference,
            ..
        } => card.pins.checked(*day, *same, [*typed, *reference]),
        Event::Authorised {
            account,
            seq,
            amount,
            day,
            mac2,
            ..
        } => card
            .online_mut(*account)
            .gave(*seq, Given::Load(*amount), *mac2, *day),
        Event::LimitGranted {
            seq, limit, mac2, ..
        } => card.purse.gave_limit(*seq, *limit, *mac2),
    }
}
