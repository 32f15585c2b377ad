//! Passback 防重复刷卡: the same card twice within an interval at one device is refused.

use std::collections::BTreeMap;

use card_spec::{id::Pan, time::CardTime};

use clearing_api::{
    Record,
    record::{Debit, Event},
};

use crate::clock;

/// Most cards remembered; beyond it the oldest is forgotten.
const CARDS_MAX: usize = 4_096;

/// The cards a device served lately.
#[derive(Debug, Clone, Default)]
pub struct Passback {
    seen: BTreeMap<Pan, CardTime>,
}

impl Passback {
    /// The cards served by these records: after a restart, those of the journal. Paid rides only: a
    /// torn one is let through again.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>, interval_seconds: u32) -> Self {
        let mut passback = Self::default();
        for record in records {
            if let Event::Purchase(purchase) = &record.event
                && matches!(purchase.debit, Debit::Done { .. })
            {
                passback.note(purchase.card.pan, record.at, interval_seconds);
            }
        }
        passback
    }

    /// Whether `pan` was served less than `interval_seconds` before `at`. A clock that went back
    /// does not lock a card out.
    pub fn is_too_soon(&self, pan: Pan, at: CardTime, interval_seconds: u32) -> bool {
        self.seen.get(&pan).is_some_and(|before| {
            (0..i64::from(interval_seconds)).contains(&clock::elapsed(*before, at))
        })
    }

    /// Notes that `pan` was served.
    pub fn note(&mut self, pan: Pan, at: CardTime, interval_seconds: u32) {
        self.seen.insert(pan, at);
        if self.seen.len() > CARDS_MAX {
            let interval = i64::from(interval_seconds);
            self.seen
                .retain(|_, before| (0..interval).contains(&clock::elapsed(*before, at)));
        }
        if self.seen.len() > CARDS_MAX
            && let Some(oldest) = self.seen.iter().min_by_key(|(pan, at)| (**at, **pan))
        {
            let oldest = *oldest.0;
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_half_open_and_bounded() {
        let mut passback = Passback::default();
        let at = |s: u8| {
            format!("2026-11-23T08:15:{s:02}")
                .parse::<CardTime>()
                .expect("time")
        };
        let pan = |n: usize| format!("0350{n:016}").parse::<Pan>().expect("digits");
        passback.note(pan(1), at(0), 5);
        assert!(passback.is_too_soon(pan(1), at(4), 5));
        assert!(!passback.is_too_soon(pan(1), at(5), 5));
        assert!(!passback.is_too_soon(pan(2), at(1), 5));
        for n in 0..2 * CARDS_MAX {
            passback.note(pan(n), at(1), 5);
        }
        assert!(passback.seen.len() <= CARDS_MAX);
    }
}
