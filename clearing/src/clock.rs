//! Time as an argument: the server's clock, or a simulated one that a driver advances.

use card_spec::time::{CardDate, CardTime};
use jiff::{Timestamp, civil::Date, tz::Offset};
use std::sync::atomic::{AtomicI64, Ordering};

/// Asia/Shanghai has had one offset since 1991.
const OFFSET: Offset = jiff::tz::offset(8);

/// What time it is.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64;

    /// Local time (Asia/Shanghai).
    fn now(&self) -> CardTime {
        local(self.now_ms())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        Timestamp::now().as_millisecond()
    }
}

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
pub struct SimClock(AtomicI64);

impl SimClock {
    /// Standing at a local time.
    pub fn at(time: CardTime) -> Self {
        Self(AtomicI64::new(millis(time)))
    }

    /// Sets it to a local time.
    pub fn set(&self, time: CardTime) {
        self.0.store(millis(time), Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Local time of an instant; instants that no card can hold become the first day of 1970.
pub fn local(ms: i64) -> CardTime {
    let stamp = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let t = OFFSET.to_datetime(stamp);
    let part = |value: i8| u8::try_from(value).unwrap_or(0);
    let year = u16::try_from(t.year()).unwrap_or(0);
    CardDate::new(year, part(t.month()), part(t.day()))
        .and_then(|date| date.at(part(t.hour()), part(t.minute()), part(t.second())))
        .unwrap_or_else(|_| local(0))
}

/// Milliseconds since 1970 UTC of a local time.
pub fn millis(time: CardTime) -> i64 {
    let (h, m, s) = time.clock();
    let day = i64::from(days(time.date()));
    let seconds = day * 86_400 + i64::from(h) * 3_600 + i64::from(m) * 60 + i64::from(s);
    (seconds - 8 * 3_600) * 1_000
}

/// Days since 1970-01-01.
fn days(date: CardDate) -> i32 {
    let part = |value: u8| i8::try_from(value).unwrap_or(1);
    let year = i16::try_from(date.year()).unwrap_or(9_999);
    let epoch = Date::constant(1970, 1, 1);
    Date::new(year, part(date.month()), part(date.day()))
        .ok()
        .and_then(|d| d.since(epoch).ok())
        .map_or(0, |span| span.get_days())
}

/// The day after.
pub fn next_day(date: CardDate) -> CardDate {
    date.at(12, 0, 0)
        .map(|noon| local(millis(noon) + 86_400_000).date())
        .unwrap_or(date)
}

/// Completed years of age on a day.
pub fn age_on(birth: CardDate, day: CardDate) -> u8 {
    let before = (day.month(), day.day()) < (birth.month(), birth.day());
    let years = i32::from(day.year()) - i32::from(birth.year()) - i32::from(before);
    u8::try_from(years.clamp(0, 255)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_and_back() {
        let time: CardTime = "2026-11-23T00:30:09".parse().unwrap();
        assert_eq!(local(millis(time)), time);
        // 2023-11-14T22:13:20Z is the next day in Shanghai.
        assert_eq!(local(1_700_000_000_000).to_string(), "2023-11-15T06:13:20");
        let eve: CardDate = "2026-12-31".parse().unwrap();
        assert_eq!(next_day(eve).to_string(), "2027-01-01");
        let born = "1960-11-24".parse().unwrap();
        assert_eq!(age_on(born, time.date()), 65);
        assert_eq!(age_on(born, next_day(time.date())), 66);
    }
}
