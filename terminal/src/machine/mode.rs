//! Modes of operation 运营模式.

use card_spec::time::CardTime;
pub use clearing_api::mode::{Mode, ModeOrder};
use serde::{Deserialize, Serialize};

use crate::clock;

/// A mode that the tariffs name for the device's station. It holds where no other mode is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StationSpan {
    /// The mode.
    pub mode: Mode,
    /// Its beginning, included.
    pub from: CardTime,
    /// Its end, excluded; `None` while it lasts.
    pub to: Option<CardTime>,
}

impl StationSpan {
    /// The mode of several at `now`: open barriers before anything else.
    pub(super) fn at(spans: &[Self], now: CardTime) -> Mode {
        let on = |span: &&Self| span.from <= now && span.to.is_none_or(|to| now < to);
        let modes = spans.iter().filter(on).map(|span| span.mode);
        modes.max().unwrap_or_default()
    }
}

/// How long past modes are remembered: unfinished journeys are accepted for seven days.
const HISTORY_SECONDS: i64 = 7 * 86_400;

/// Most orders kept; beyond it the oldest goes.
const ORDERS_MAX: usize = 256;

/// The orders of a device, by which its gates accept unfinished journeys too: what holds, what held in the last seven days, what is to come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Modes(Vec<ModeOrder>);

impl Modes {
    /// Takes an order; one for the same moment replaces the earlier. Forgets what ended more than
    /// seven days before `now`.
    pub fn order(&mut self, order: ModeOrder, now: CardTime) {
        self.0.retain(|known| known.from != order.from);
        let place = self.0.partition_point(|known| known.from < order.from);
        self.0.insert(place, order);
        // An order ends where the next begins.
        let kept_from = |next: &ModeOrder| clock::elapsed(next.from, now) > HISTORY_SECONDS;
        let over = self.0.iter().skip(1).take_while(|next| kept_from(next));
        let over = over.count().max(self.0.len().saturating_sub(ORDERS_MAX));
        self.0.drain(..over);
    }

    /// The mode ordered for `now`.
    pub fn at(&self, now: CardTime) -> Mode {
        let begun = self.0.iter().take_while(|order| order.from <= now);
        begun.last().map_or(Mode::Normal, |order| order.mode)
    }

    /// The orders kept, oldest first.
    pub fn history(&self) -> &[ModeOrder] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> CardTime {
        text.parse().expect("time")
    }

    fn order(mode: Mode, from: &str) -> ModeOrder {
        let from = at(from);
        ModeOrder { mode, from }
    }

    #[test]
    fn orders_hold_from_their_time_and_are_kept_for_seven_days_after_it() {
        let mut modes = Modes::default();
        let start = at("2026-11-01T00:00:00");
        modes.order(order(Mode::Normal, "2026-11-01T12:00:00"), start);
        modes.order(order(Mode::TrainFailure, "2026-11-01T08:00:00"), start);
        assert_eq!(modes.at(at("2026-11-01T07:59:59")), Mode::Normal);
        assert_eq!(modes.at(at("2026-11-01T08:00:00")), Mode::TrainFailure);
        assert_eq!(modes.at(at("2026-11-01T12:00:00")), Mode::Normal);
        // The failure ended at 12:00: seven days later it is still known, a second later not.
        let closed = order(Mode::Closed, "2026-11-30T00:00:00");
        modes.order(closed, at("2026-11-08T12:00:00"));
        assert_eq!(modes.history().len(), 3);
        modes.order(closed, at("2026-11-08T12:00:01"));
        assert_eq!(modes.history()[0].mode, Mode::Normal);
        assert_eq!(modes.history().len(), 2);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut modes = Modes::default();
        let now = at("2026-11-01T00:00:00");
        for n in 0..2 * ORDERS_MAX {
            let from = CardTime::from_seconds(now.seconds() + n as i64).expect("time");
            let mode = Mode::Closed;
            modes.order(ModeOrder { mode, from }, now);
        }
        assert_eq!(modes.history().len(), ORDERS_MAX);
    }
}
