//! The device's clock: steady between corrections, corrected by signed time within bounds.
//!
//! The computer's wall clock is read once, at the start. From then on time passes by the steady
//! clock, so that a wall clock set back or forward changes no fare; the difference is told. Only the
//! clearing house's signed time corrects, at most [`CORRECTION_MAX`] a day.

use card_spec::time::CardTime;

use crate::clock::elapsed;

/// Differences up to this are nobody's business.
pub const TOLERANCE: i64 = 5;
/// Most that is taken over unasked in a day, all corrections together. More is a matter for staff: a
/// wrong clearing house must not move a fleet into another tariff day.
pub const CORRECTION_MAX: i64 = 15 * 60;

const DAY: i64 = 86_400;

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
    /// The time last told, never to be gone behind, and the steady clock then.
    last: i64,
    last_steady: i64,
    /// Seconds corrected since a day began, by the steady clock.
    moved: i64,
    day_began: i64,
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
            last_steady: steady_seconds,
            moved: 0,
            day_began: steady_seconds,
        }
    }

    /// The time now. It never goes back: after a correction backward it passes at half its pace until
    /// the time is reached, so that what is counted down still ends.
    pub fn now(&mut self, steady_seconds: i64) -> Option<CardTime> {
        let right = self.origin + steady_seconds;
        if right >= self.last {
            (self.last, self.last_steady) = (right, steady_seconds);
        } else {
            let half = (steady_seconds - self.last_steady) / 2;
            self.last += half;
            self.last_steady += 2 * half;
        }
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
        if steady_seconds - self.day_began >= DAY {
            (self.moved, self.day_began) = (0, steady_seconds);
        }
        if self.moved + by.abs() > CORRECTION_MAX {
            return Some(ClockEvent::Beyond(by));
        }
        self.moved += by.abs();
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
        let ahead = clock.correct(at("2026-11-23T08:05:00"), 0);
        assert_eq!(ahead, Some(ClockEvent::Corrected(300)));
        assert_eq!(clock.now(1), Some(at("2026-11-23T08:05:01")));
        // Back by ten minutes: half the pace until that time is reached, then the whole again.
        let back = clock.correct(at("2026-11-23T07:55:01"), 1);
        assert_eq!(back, Some(ClockEvent::Corrected(-600)));
        for steady in 2..=60 {
            clock.now(steady);
        }
        assert_eq!(clock.now(61), Some(at("2026-11-23T08:05:31")));
        assert_eq!(clock.now(1_201), Some(at("2026-11-23T08:15:01")));
        assert_eq!(clock.now(1_301), Some(at("2026-11-23T08:16:41")));
        // The correction is no setting of the wall clock.
        assert_eq!(clock.watch(at("2026-11-23T08:21:41"), 1_301), None);
        // The day's measure is full; the next day has its own.
        let more = clock.correct(at("2026-11-23T08:16:51"), 1_301);
        assert_eq!(more, Some(ClockEvent::Beyond(10)));
        let next = clock.correct(at("2026-11-24T07:55:10"), 86_400);
        assert_eq!(next, Some(ClockEvent::Corrected(10)));
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
