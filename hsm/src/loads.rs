//! What the HSM remembers of loads: never two amounts for one (card, online sequence), limits, and
//! a lock after wrong MAC1s. It survives a restart in `loads.jsonl`, a chained file like the audit
//! log's.
//!
//! One entry a card is enough: a card's online sequence only grows, so whatever is below the last
//! authorised one is over.

use std::{collections::BTreeMap, path::Path};

use card_spec::{
    Fen,
    id::Pan,
    time::{CardDate, CardTime},
};
use hsm_client::{HsmError, Result};
use serde::{Deserialize, Serialize};

use crate::{
    chain::{Chain, ChainError},
    store,
};

const LABEL: &str = "loads";

/// Wrong MAC1s in a row before a card's loads are refused until two officers clear it.
pub(crate) const FAILURES_MAX: u8 = 3;

/// How much may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadLimits {
    /// Most in one load.
    pub per_load: Fen,
    /// Most on one card in one day, by the time of the ledger's holds.
    pub per_day: Fen,
    /// Highest overdraft limit of a card.
    pub overdraft: Fen,
}

impl Default for LoadLimits {
    /// 1,000 yuan a load (the purse's ceiling), 3,000 yuan a day, 50 yuan of overdraft.
    fn default() -> Self {
        Self {
            per_load: Fen::yuan(1000),
            per_day: Fen::yuan(3000),
            overdraft: Fen::yuan(50),
        }
    }
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
enum Event {
    /// MAC2 was given out.
    Authorised {
        pan: Pan,
        seq: u16,
        amount: Fen,
        day: CardDate,
        hold_id: String,
        mac2: [u8; 4],
    },
    /// A wrong MAC1.
    Failed { pan: Pan },
    /// The next MAC1 was right, or two officers cleared the card.
    Cleared { pan: Pan },
    /// A wrong PIN.
    PinFailed { pan: Pan },
    /// The next PIN was right, or two officers cleared the card.
    PinCleared { pan: Pan },
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
    last: Option<Last>,
    failures: u8,
    pin_failures: u8,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    seq: u16,
    amount: Fen,
    mac2: [u8; 4],
    day: CardDate,
    day_total: Fen,
}

/// A load about to be authorised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) pan: Pan,
    pub(crate) seq: u16,
    pub(crate) amount: Fen,
    pub(crate) time: CardTime,
    pub(crate) hold_id: &'a str,
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

    /// Whether limits, lock and memory allow this load. MAC1 is checked afterwards.
    pub(crate) fn allow(&self, limits: LoadLimits, asked: &Asked<'_>) -> Result<()> {
        self.unlocked(asked.pan, Guess::Mac1)?;
        let refuse = |why: String| Err(HsmError::Refused { why });
        if asked.amount <= Fen::ZERO || asked.amount > limits.per_load {
            return refuse(format!(
                "{} yuan is not between 0.01 and the limit of {} for one load",
                asked.amount, limits.per_load
            ));
        }
        let Some(card) = self.cards.get(&asked.pan) else {
            return within_day(limits, Fen::ZERO, asked);
        };
        match card.last {
            Some(last) if asked.seq < last.seq => refuse(format!(
                "online sequence {} is below {}, already authorised",
                asked.seq, last.seq
            )),
            Some(last) if asked.seq == last.seq && asked.amount != last.amount => refuse(format!(
                "online sequence {} was authorised for {} yuan",
                asked.seq, last.amount
            )),
            // Authorised before: it counts once.
            Some(last) if asked.seq == last.seq => Ok(()),
            Some(last) if asked.time.date() == last.day => {
                within_day(limits, last.day_total, asked)
            }
            _ => within_day(limits, Fen::ZERO, asked),
        }
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

    /// Counts a wrong guess, durably.
    pub(crate) fn failed(&mut self, pan: Pan, guess: Guess) -> Result<()> {
        self.commit(&match guess {
            Guess::Mac1 => Event::Failed { pan },
            Guess::Pin => Event::PinFailed { pan },
        })
    }

    /// Forgets the wrong guesses at a card, durably.
    pub(crate) fn clear(&mut self, pan: Pan, guess: Guess) -> Result<()> {
        if self.failures(pan, guess) == 0 {
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
            Guess::Pin => card.pin_failures,
        })
    }

    /// Remembers what is about to be given out, durably.
    pub(crate) fn authorised(&mut self, asked: &Asked<'_>, mac2: [u8; 4]) -> Result<()> {
        let known = self.cards.get(&asked.pan).and_then(|card| card.last);
        if known.is_some_and(|last| last.seq == asked.seq && last.mac2 == mac2) {
            return Ok(());
        }
        self.commit(&Event::Authorised {
            pan: asked.pan,
            seq: asked.seq,
            amount: asked.amount,
            day: asked.time.date(),
            hold_id: asked.hold_id.to_owned(),
            mac2,
        })
    }

    fn commit(&mut self, event: &Event) -> Result<()> {
        self.chain
            .append(event)
            .and_then(|()| self.chain.sync())
            .map_err(|e| {
                store::store(&format!(
                    "the load memory cannot be written ({e}), so no load is authorised: check space and rights of its disk"
                ))
            })?;
        replay(&mut self.cards, event);
        Ok(())
    }
}

fn within_day(limits: LoadLimits, before: Fen, asked: &Asked<'_>) -> Result<()> {
    match before.checked_add(asked.amount) {
        Some(total) if total <= limits.per_day => Ok(()),
        _ => Err(HsmError::Refused {
            why: format!(
                "{} yuan were loaded on {} and {} more exceed the day's limit of {}",
                before,
                asked.time.date(),
                asked.amount,
                limits.per_day
            ),
        }),
    }
}

fn replay(cards: &mut BTreeMap<Pan, Card>, event: &Event) {
    match event {
        Event::Failed { pan } => {
            let card = cards.entry(*pan).or_default();
            card.failures = card.failures.saturating_add(1);
        }
        Event::Cleared { pan } => cards.entry(*pan).or_default().failures = 0,
        Event::PinFailed { pan } => {
            let card = cards.entry(*pan).or_default();
            card.pin_failures = card.pin_failures.saturating_add(1);
        }
        Event::PinCleared { pan } => cards.entry(*pan).or_default().pin_failures = 0,
        Event::Authorised {
            pan,
            seq,
            amount,
            day,
            mac2,
            ..
        } => {
            let card = cards.entry(*pan).or_default();
            let (day, day_total) = match card.last {
                // The same sequence again: counted already, on its first day.
                Some(last) if last.seq == *seq => (last.day, last.day_total),
                Some(last) if last.day == *day => (
                    *day,
                    last.day_total.checked_add(*amount).unwrap_or(Fen(i64::MAX)),
                ),
                _ => (*day, *amount),
            };
            card.last = Some(Last {
                seq: *seq,
                amount: *amount,
                mac2: *mac2,
                day,
                day_total,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAN: &str = "03500000000000001234";

    fn asked(seq: u16, yuan: i64, time: &str) -> Asked<'static> {
        Asked {
            pan: PAN.parse().expect("pan"),
            seq,
            amount: Fen::yuan(yuan),
            time: time.parse().expect("time"),
            hold_id: "h",
        }
    }

    #[test]
    fn limits_sequences_and_restart() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("loads.jsonl");
        let mut loads = Loads::create(&path).expect("created");
        let limits = LoadLimits {
            per_load: Fen::yuan(100),
            per_day: Fen::yuan(150),
            overdraft: Fen::ZERO,
        };
        let day1 = "2026-11-23T08:00:00";
        for (amount, ok) in [(0, false), (-1, false), (101, false), (100, true)] {
            assert_eq!(loads.allow(limits, &asked(4, amount, day1)).is_ok(), ok);
        }
        loads
            .authorised(&asked(4, 100, day1), [1; 4])
            .expect("kept");
        let check = |loads: &Loads| {
            // The same again, another amount, an older sequence, the day's rest, the next day.
            assert!(loads.allow(limits, &asked(4, 100, day1)).is_ok());
            assert!(loads.allow(limits, &asked(4, 99, day1)).is_err());
            assert!(loads.allow(limits, &asked(3, 100, day1)).is_err());
            assert!(loads.allow(limits, &asked(5, 51, day1)).is_err());
            assert!(loads.allow(limits, &asked(5, 50, day1)).is_ok());
            assert!(
                loads
                    .allow(limits, &asked(5, 100, "2026-11-24T00:00:01"))
                    .is_ok()
            );
        };
        check(&loads);
        // A repeat with another random number is counted once.
        loads
            .authorised(&asked(4, 100, day1), [2; 4])
            .expect("kept");
        check(&loads);
        drop(loads);
        check(&Loads::open(&path).expect("opens"));
    }

    #[test]
    fn three_failures_lock_across_a_restart() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("loads.jsonl");
        let mut loads = Loads::create(&path).expect("created");
        let ask = asked(1, 1, "2026-11-23T08:00:00");
        for _ in 0..FAILURES_MAX {
            assert!(loads.allow(LoadLimits::default(), &ask).is_ok());
            loads.failed(ask.pan, Guess::Mac1).expect("counted");
        }
        drop(loads);
        let mut loads = Loads::open(&path).expect("opens");
        assert!(loads.allow(LoadLimits::default(), &ask).is_err());
        loads.clear(ask.pan, Guess::Mac1).expect("cleared");
        assert!(loads.allow(LoadLimits::default(), &ask).is_ok());
    }
}
