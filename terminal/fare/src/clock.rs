//! Arithmetic on local wall-clock time. Fujian keeps one offset (UTC+8) all year, so the distance
//! of two local times is the distance of their seconds.

use card_spec::time::{CardDate, CardTime};
use serde::Deserialize;

pub(crate) const DAY: i64 = 86_400;

/// Days since 1970-01-01.
pub(crate) fn days(date: CardDate) -> i64 {
    date.day_number()
}

/// Local seconds since 1970-01-01T00:00:00.
pub(crate) fn seconds(time: CardTime) -> i64 {
    time.seconds()
}

/// The local time that many seconds after 1970-01-01T00:00:00, or `None` outside the years 0-9999.
pub(crate) fn time(seconds: i64) -> Option<CardTime> {
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let t = u32::try_from(seconds.rem_euclid(DAY)).ok()?;
    let part = |v: u32| u8::try_from(v).ok();
    CardDate::new(u16::try_from(year).ok()?, month, day)
        .ok()?
        .at(part(t / 3600)?, part(t / 60 % 60)?, part(t % 60)?)
        .ok()
}

/// Year, month and day of a day counted as [`days`] counts.
pub(crate) fn date(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Monday is 0.
pub(crate) fn weekday(date: CardDate) -> u8 {
    ((date.day_number() + 3).rem_euclid(7)) as u8
}

/// A time of day in a tariff file, `HH:MM`, `24:00` allowed; held as seconds after midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TimeOfDay(pub(crate) i64);

impl TryFrom<String> for TimeOfDay {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let two = |s: &str| {
            let digits = s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| s.parse::<u8>().ok()).flatten()
        };
        let parsed = text
            .split_once(':')
            .and_then(|(h, m)| Some((two(h)?, two(m)?)))
            .filter(|(h, m)| (*h < 24 && *m < 60) || (*h == 24 && *m == 0));
        match parsed {
            Some((h, m)) => Ok(Self(i64::from(h) * 3600 + i64::from(m) * 60)),
            None => Err(format!(
                "`{text}` is not a time of day; write HH:MM between 00:00 and 24:00"
            )),
        }
    }
}

/// A daily window, from inclusive, to exclusive; it wraps midnight when `to <= from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DailyWindow {
    pub(crate) from: TimeOfDay,
    pub(crate) to: TimeOfDay,
}

impl DailyWindow {
    /// Whether a local time (seconds) is inside.
    pub(crate) fn holds(self, seconds: i64) -> bool {
        let t = seconds.rem_euclid(DAY);
        if self.from < self.to {
            self.from.0 <= t && t < self.to.0
        } else {
            self.from.0 <= t || t < self.to.0
        }
    }

    /// Seconds of `[from, to)` inside the window. The span must be bounded by the caller: one step
    /// a day.
    pub(crate) fn overlap(self, from: i64, to: i64) -> i64 {
        let length = if self.from < self.to {
            self.to.0 - self.from.0
        } else {
            self.to.0 - self.from.0 + DAY
        };
        // A window that wraps belongs to the day it begins on, so start a day early.
        (from.div_euclid(DAY) - 1..=to.div_euclid(DAY))
            .map(|day| {
                let opens = day * DAY + self.from.0;
                (to.min(opens + length) - from.max(opens)).max(0)
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        seconds(text.parse().expect("time"))
    }

    #[test]
    fn counts_days_as_the_calendar_does() {
        assert_eq!(at("1970-01-01T00:00:00"), 0);
        // date -u -d 2026-11-23T08:15:00 +%s
        assert_eq!(at("2026-11-23T08:15:00"), 1_795_421_700);
        assert_eq!(
            at("2024-03-01T00:00:00") - at("2024-02-28T00:00:00"),
            2 * DAY
        );
        assert_eq!(weekday("2026-11-23".parse().expect("date")), 0);
        assert_eq!(weekday("2026-11-22".parse().expect("date")), 6);
        // The way back, over every day of four centuries.
        for day in -146_097..146_097 {
            let (y, m, d) = date(day);
            let date = CardDate::new(y as u16, m, d).expect("a date");
            assert_eq!(days(date), day);
        }
        assert_eq!(time(1_795_421_700), "2026-11-23T08:15:00".parse().ok(),);
    }

    #[test]
    fn windows_wrap_midnight() {
        let window = |a: &str, b: &str| DailyWindow {
            from: TimeOfDay::try_from(a.to_owned()).expect("time"),
            to: TimeOfDay::try_from(b.to_owned()).expect("time"),
        };
        let night = window("23:00", "05:00");
        assert!(night.holds(at("2026-11-23T23:00:00")));
        assert!(night.holds(at("2026-11-23T04:59:59")));
        assert!(!night.holds(at("2026-11-23T05:00:00")));
        assert_eq!(
            night.overlap(at("2026-11-23T22:30:00"), at("2026-11-25T00:00:00")),
            7 * 3600
        );
        let day = window("07:00", "22:00");
        assert_eq!(
            day.overlap(at("2026-11-23T21:50:00"), at("2026-11-24T07:10:00")),
            20 * 60
        );
        assert!(TimeOfDay::try_from("7:00".to_owned()).is_err());
        assert!(TimeOfDay::try_from("24:01".to_owned()).is_err());
        assert!(TimeOfDay::try_from("+1:00".to_owned()).is_err());
    }
}
