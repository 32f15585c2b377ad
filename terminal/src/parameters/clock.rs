//! The device's clock: steady between corrections, corrected by signed time within bounds.
//!
//! The computer's wall clock is read once, at the start. From then on time passes by the steady
//! (monotonic) clock, so that a wall clock set back or forward changes no fare; the difference is
//! told. Only the clearing house's signed time corrects, at most [`CORRECTION_MAX`] at once.

use card_spec::time::CardTime;

use crate::clock::elapsed;

/// Differences up to this are nobody's business.
pub const TOLERANCE: i64 = 5;
/// Largest correction that is taken over unasked. More is a matter for staff: a wrong clearing
/// house must not move a fleet into another tariff day.
pub const CORRECTION_MAX: i64 = 15 * 60;

/// What a device tells about its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock was set by so many seconds (negative: back). Time goes on as before.
    WallSet(i64),
    /// Signed time moved the clock by so many seconds.
    Corrected(i64),
    /// Signed time differs by so many seconds, too many: not taken over.
    Beyond(i64),
}

impl core::fmt::Display for ClockEvent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::WallSet(by) => write!(
                f,
                "the computer's clock was set by {by} s; the device goes on by its own"
            ),
            Self::Corrected(by) => write!(f, "clock corrected by {by} s"),
            Self::Beyond(by) => write!(
                f,
                "the clearing house's time differs by {by} s, more than is taken over: set the \
                 computer's clock and restart the device"
            ),
        }
    }
}

/// The clock of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceClock {
    /// Local time, in seconds, when the steady clock stood at 0.
    origin: i64,
    /// What the wall clock was ahead of us when last told.
    wall_ahead: i64,
    /// Never to be gone behind.
    last: i64,
}

impl DeviceClock {
    /// Starts from the wall clock, but not before `newest`, the time of the journal's last record:
    /// a clock that lost its battery starts there.
    pub fn start(wall: CardTime, steady_seconds: i64, newest: Option<CardTime>) -> Self {
        let wall = wall.seconds();
        let now = newest.map_or(wall, |newest| wall.max(newest.seconds()));
        Self {
            origin: now - steady_seconds,
            wall_ahead: wall - now,
            last: now,
        }
    }

    /// The time now. It never goes back: after a correction backward it stands until it is reached.
    pub fn now(&mut self, steady_seconds: i64) -> Option<CardTime> {
        self.last = self.last.max(self.origin + steady_seconds);
        CardTime::from_seconds(self.last)
    }

    /// Compares with the wall clock; tells once of each time that it was set.
    pub fn watch(&mut self, wall: CardTime, steady_seconds: i64) -> Option<ClockEvent> {
        let ahead = wall.seconds() - (self.origin + steady_seconds);
        let set_by = ahead - self.wall_ahead;
        if set_by.abs() <= TOLERANCE {
            return None;
        }
        self.wall_ahead = ahead;
        Some(ClockEvent::WallSet(set_by))
    }

    /// Takes signed time over, within bounds.
    pub fn correct(&mut self, signed: CardTime, steady_seconds: i64) -> Option<ClockEvent> {
        let ours = CardTime::from_seconds(self.origin + steady_seconds)?;
        let by = elapsed(ours, signed);
        if by.abs() <= TOLERANCE {
            return None;
        }
        if by.abs() > CORRECTION_MAX {
            return Some(ClockEvent::Beyond(by));
        }
        self.origin += by;
        self.wall_ahead -= by;
        Some(ClockEvent::Corrected(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> CardTime {
        text.parse().expect("time")
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_nothing_and_is_told_once() {
        let mut clock = DeviceClock::start(at("2026-11-23T08:00:00"), 100, None);
        assert_eq!(clock.now(160), Some(at("2026-11-23T08:01:00")));
        assert_eq!(clock.watch(at("2026-11-23T08:01:02"), 160), None);
        // Back into yesterday, and forward by a day.
        let back = clock.watch(at("2026-11-22T08:01:00"), 160);
        assert_eq!(back, Some(ClockEvent::WallSet(-86_400)));
        assert_eq!(clock.watch(at("2026-11-22T08:01:10"), 170), None);
        assert_eq!(clock.now(170), Some(at("2026-11-23T08:01:10")));
        let forward = clock.watch(at("2026-11-23T08:01:20"), 180);
        assert_eq!(forward, Some(ClockEvent::WallSet(86_400)));
    }

    #[test]
    fn signed_time_corrects_within_bounds_and_never_back() {
        let mut clock = DeviceClock::start(at("2026-11-23T08:00:00"), 0, None);
        assert_eq!(clock.correct(at("2026-11-23T08:00:05"), 0), None);
        let beyond = clock.correct(at("2026-11-23T08:15:01"), 0);
        assert_eq!(beyond, Some(ClockEvent::Beyond(901)));
        assert_eq!(clock.now(0), Some(at("2026-11-23T08:00:00")));
        let ahead = clock.correct(at("2026-11-23T08:15:00"), 0);
        assert_eq!(ahead, Some(ClockEvent::Corrected(900)));
        assert_eq!(clock.now(1), Some(at("2026-11-23T08:15:01")));
        // Back by ten minutes: it stands until that time is reached again, then goes on.
        let back = clock.correct(at("2026-11-23T08:05:01"), 1);
        assert_eq!(back, Some(ClockEvent::Corrected(-600)));
        assert_eq!(clock.now(60), Some(at("2026-11-23T08:15:01")));
        assert_eq!(clock.now(700), Some(at("2026-11-23T08:16:40")));
        // The correction is no setting of the wall clock.
        assert_eq!(clock.watch(at("2026-11-23T08:11:40"), 700), None);
    }

    /// The journal's last record is from 2026; a clock without battery says 2000.
    #[test]
    fn a_clock_without_battery_starts_at_the_last_record() {
        let newest = Some(at("2026-11-23T08:00:00"));
        let mut clock = DeviceClock::start(at("2000-01-01T00:00:00"), 0, newest);
        assert_eq!(clock.now(30), Some(at("2026-11-23T08:00:30")));
        assert_eq!(clock.watch(at("2000-01-01T00:00:30"), 30), None);
    }
}
