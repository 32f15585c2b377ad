//! One answer for each (card, account, online sequence), and the day's limit.
//!
//! One entry an account is enough: a card's online sequence only grows, so whatever is below the
//! last one authorised is over. Loads and overdraft limits of the purse share its sequence.

use card_spec::{Fen, time::CardDate};
use hsm_client::{Account, HsmError, Result};

use super::{AccountLimits, Asked, Event, Guess, LoadLimits, Loads};

/// How far an order's time may be from the HSM's when it is first answered: a day, for a hold that
/// waits for its card.
const ORDER_SECONDS_MAX: u64 = 86_400;

/// What an answer lets the card do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// Credit itself.
    Load(Fen),
    /// Take this overdraft limit.
    Limit(Fen),
}

impl core::fmt::Display for Given {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Load(amount) => write!(f, "a load of {amount} yuan"),
            Self::Limit(limit) => write!(f, "an overdraft limit of {limit} yuan"),
        }
    }
}

/// What one account was given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Online {
    last: Option<Last>,
    /// The day of the last load, and the day's total.
    day: Option<(CardDate, Fen)>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    seq: u16,
    given: Given,
    mac2: [u8; 4],
}

impl Online {
    pub(super) fn gave(&mut self, seq: u16, given: Given, mac2: [u8; 4], day: CardDate) {
        // The same sequence again: counted already, on its first day.
        let repeated = self.last.is_some_and(|last| last.seq == seq);
        if let (Given::Load(amount), false) = (given, repeated) {
            let before = self.on(day);
            let day = self.day.map_or(day, |(of, _)| of.max(day));
            self.day = Some((day, before.checked_add(amount).unwrap_or(Fen(i64::MAX))));
        }
        self.last = Some(Last { seq, given, mac2 });
    }

    pub(super) const fn gave_limit(&mut self, seq: u16, limit: Fen, mac2: [u8; 4]) {
        let given = Given::Limit(limit);
        self.last = Some(Last { seq, given, mac2 });
    }

    /// A day never comes back: a clock that does buys no second limit.
    fn on(&self, day: CardDate) -> Fen {
        match self.day {
            Some((of, total)) if of >= day => total,
            _ => Fen::ZERO,
        }
    }
}

impl Loads {
    /// Whether limits, lock and memory allow this. MAC1 is checked afterwards.
    pub(crate) fn allow(&self, limits: LoadLimits, asked: &Asked<'_>) -> Result<()> {
        self.unlocked(asked.pan, Guess::Mac1)?;
        let account = limits.of(asked.account);
        match asked.given {
            Given::Load(amount) if amount <= Fen::ZERO || amount > account.per_load => {
                return refused(format!(
                    "{amount} yuan is not between 0.01 and the limit of {} for one load",
                    account.per_load
                ));
            }
            Given::Limit(limit) if limit < Fen::ZERO || limit > limits.overdraft => {
                return refused(format!(
                    "a card's overdraft limit is at most {} yuan here",
                    limits.overdraft
                ));
            }
            Given::Limit(_) if asked.account != Account::Purse => {
                return refused("a medical account has no overdraft limit".to_owned());
            }
            Given::Load(_) | Given::Limit(_) => {}
        }
        let online = self
            .cards
            .get(&asked.pan)
            .map_or_else(Online::default, |card| *card.online(asked.account));
        match online.last {
            Some(last) if asked.seq < last.seq => refused(format!(
                "online sequence {} is below {}, already authorised",
                asked.seq, last.seq
            )),
            Some(last) if asked.seq == last.seq && asked.given != last.given => refused(format!(
                "online sequence {} was authorised for {}",
                asked.seq, last.given
            )),
            // Authorised before: it counts once.
            Some(last) if asked.seq == last.seq => Ok(()),
            _ => {
                of_today(asked)?;
                within_day(account, online.on(asked.now.date()), asked)
            }
        }
    }

    /// Remembers what is about to be given out, durably.
    pub(crate) fn authorised(&mut self, asked: &Asked<'_>, mac2: [u8; 4]) -> Result<()> {
        let card = self.cards.get(&asked.pan);
        let known = card.and_then(|card| card.online(asked.account).last);
        if known
            .is_some_and(|last| (last.seq, last.given, last.mac2) == (asked.seq, asked.given, mac2))
        {
            return Ok(());
        }
        let (pan, seq, order_id) = (asked.pan, asked.seq, asked.order_id.to_owned());
        self.commit(&match asked.given {
            Given::Load(amount) => Event::Authorised {
                pan,
                account: asked.account,
                seq,
                amount,
                day: asked.now.date(),
                hold_id: order_id,
                mac2,
            },
            Given::Limit(limit) => Event::LimitGranted {
                pan,
                seq,
                limit,
                order_id,
                mac2,
            },
        })
    }
}

fn refused(why: String) -> Result<()> {
    Err(HsmError::Refused { why })
}

/// What counts on a day of a wrong clock would hold the card's limit until that day is over.
fn of_today(asked: &Asked<'_>) -> Result<()> {
    let Asked { time, now, .. } = *asked;
    if time.seconds().abs_diff(now.seconds()) <= ORDER_SECONDS_MAX {
        return Ok(());
    }
    refused(format!(
        "the order is of {time} and this HSM's clock says {now}: set the wrong one right, or draw the order anew"
    ))
}

fn within_day(limits: AccountLimits, before: Fen, asked: &Asked<'_>) -> Result<()> {
    let Given::Load(amount) = asked.given else {
        return Ok(());
    };
    match before.checked_add(amount) {
        Some(total) if total <= limits.per_day => Ok(()),
        _ => refused(format!(
            "{before} yuan were loaded on {} and {amount} more exceed the day's limit of {}",
            asked.now.date(),
            limits.per_day
        )),
    }
}
