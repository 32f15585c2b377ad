//! Dates and times as the card carries them: packed decimal, local time (Asia/Shanghai).

use crate::{FormatError, bcd};

/// A calendar date, packed decimal `YYYYMMDD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardDate([u8; 4]);

/// A local date and time, packed decimal `YYYYMMDDhhmmss`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardTime([u8; 7]);

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

fn is_a_day(year: u16, month: u8, day: u8) -> bool {
    (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
}

impl CardDate {
    /// From year, month, day; refuses dates that do not exist.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, FormatError> {
        if !is_a_day(year, month, day) {
            return Err(FormatError::Range);
        }
        Ok(Self([
            bcd::pack((year / 100) as u8),
            bcd::pack((year % 100) as u8),
            bcd::pack(month),
            bcd::pack(day),
        ]))
    }

    /// From four packed bytes.
    pub fn from_bytes(bytes: [u8; 4]) -> Result<Self, FormatError> {
        if !bcd::is_decimal(&bytes) {
            return Err(FormatError::Digit);
        }
        let date = Self(bytes);
        if !is_a_day(date.year(), date.month(), date.day()) {
            return Err(FormatError::Range);
        }
        Ok(date)
    }

    /// The packed bytes.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    fn pair(self, i: usize) -> u8 {
        (self.0[i] >> 4) * 10 + (self.0[i] & 0x0F)
    }

    /// The year.
    pub fn year(self) -> u16 {
        u16::from(self.pair(0)) * 100 + u16::from(self.pair(1))
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u8 {
        self.pair(2)
    }

    /// The day of the month.
    pub fn day(self) -> u8 {
        self.pair(3)
    }

    /// Days since 1970-01-01 (Hinnant's `days_from_civil`: years that begin in March).
    pub fn day_number(self) -> i64 {
        let (month, day) = (i64::from(self.month()), i64::from(self.day()));
        let year = i64::from(self.year()) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The date that many days after 1970-01-01; `None` outside the years 1 to 9999.
    pub fn from_day_number(days: i64) -> Option<Self> {
        let shifted = days.checked_add(719_468)?;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = (month_index + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self::new(
            u16::try_from(year).ok()?,
            u8::try_from(month).ok()?,
            u8::try_from(day).ok()?,
        )
        .ok()
    }

    /// This date at a time of day.
    pub fn at(self, hour: u8, minute: u8, second: u8) -> Result<CardTime, FormatError> {
        if hour > 23 || minute > 59 || second > 59 {
            return Err(FormatError::Range);
        }
        let [a, b, c, d] = self.0;
        Ok(CardTime([
            a,
            b,
            c,
            d,
            bcd::pack(hour),
            bcd::pack(minute),
            bcd::pack(second),
        ]))
    }
}

impl CardTime {
    /// The earliest time the format holds: 0001-01-01T00:00:00.
    pub const MIN: Self = Self([0x00, 0x01, 0x01, 0x01, 0, 0, 0]);

    /// From seven packed bytes.
    pub fn from_bytes(bytes: [u8; 7]) -> Result<Self, FormatError> {
        if !bcd::is_decimal(&bytes) {
            return Err(FormatError::Digit);
        }
        let time = Self(bytes);
        CardDate::from_bytes(time.date().to_bytes())?;
        let [_, _, _, _, hour, minute, second] = bytes;
        if hour > 0x23 || minute > 0x59 || second > 0x59 {
            return Err(FormatError::Range);
        }
        Ok(time)
    }

    /// The packed bytes.
    pub const fn to_bytes(self) -> [u8; 7] {
        self.0
    }

    /// The date part.
    pub const fn date(self) -> CardDate {
        let [a, b, c, d, ..] = self.0;
        CardDate([a, b, c, d])
    }

    /// Seconds since 1970-01-01T00:00:00 local. Fujian keeps one offset all year, so the distance
    /// of two local times is the distance of their seconds.
    pub fn seconds(self) -> i64 {
        let (hour, minute, second) = self.clock();
        self.date().day_number() * 86_400
            + i64::from(hour) * 3_600
            + i64::from(minute) * 60
            + i64::from(second)
    }

    /// The time that many seconds after 1970-01-01T00:00:00 local; `None` outside the years 1 to
    /// 9999.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        let rest = seconds.rem_euclid(86_400);
        CardDate::from_day_number(seconds.div_euclid(86_400))?
            .at(
                (rest / 3_600) as u8,
                (rest / 60 % 60) as u8,
                (rest % 60) as u8,
            )
            .ok()
    }

    /// Hour, minute, second.
    pub fn clock(self) -> (u8, u8, u8) {
        let at = |i: usize| (self.0[i] >> 4) * 10 + (self.0[i] & 0x0F);
        (at(4), at(5), at(6))
    }
}

/// `2026-11-23`
impl core::fmt::Display for CardDate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{:04}-{:02}-{:02}",
            self.year(),
            self.month(),
            self.day()
        )
    }
}

/// `2026-11-23T08:15:00`
impl core::fmt::Display for CardTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (h, m, s) = self.clock();
        write!(f, "{}T{h:02}:{m:02}:{s:02}", self.date())
    }
}

impl core::fmt::Debug for CardDate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::fmt::Debug for CardTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

fn digits<const N: usize>(text: &str, separators: &[(usize, u8)]) -> Result<[u8; N], FormatError> {
    let mut out = [0u8; N];
    if text.len() != 2 * N + separators.len() {
        return Err(FormatError::Length);
    }
    let mut nibble = 0;
    for (i, byte) in text.bytes().enumerate() {
        if let Some((_, expected)) = separators.iter().find(|(at, _)| *at == i) {
            if byte != *expected {
                return Err(FormatError::Digit);
            }
            continue;
        }
        if !byte.is_ascii_digit() || nibble >= 2 * N {
            return Err(FormatError::Digit);
        }
        out[nibble / 2] |= (byte - b'0') << if nibble % 2 == 0 { 4 } else { 0 };
        nibble += 1;
    }
    Ok(out)
}

impl core::str::FromStr for CardDate {
    type Err = FormatError;
    /// `YYYY-MM-DD`
    fn from_str(text: &str) -> Result<Self, FormatError> {
        Self::from_bytes(digits::<4>(text, &[(4, b'-'), (7, b'-')])?)
    }
}

impl core::str::FromStr for CardTime {
    type Err = FormatError;
    /// `YYYY-MM-DDThh:mm:ss`
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        Self::from_bytes(digits::<7>(text, &separators)?)
    }
}

#[cfg(feature = "serde")]
crate::id::serde_as_text!(CardDate, 4);
#[cfg(feature = "serde")]
crate::id::serde_as_text!(CardTime, 7);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_dates_that_do_not_exist() {
        assert!(CardDate::new(2023, 2, 29).is_err());
        assert!(CardDate::new(2024, 2, 29).is_ok());
        assert!(CardDate::new(1900, 2, 29).is_err());
        assert!(CardDate::from_bytes([0x20, 0x1A, 0x01, 0x01]).is_err());
        assert!(CardTime::from_bytes([0x20, 0x26, 0x11, 0x23, 0x24, 0, 0]).is_err());
    }

    #[test]
    fn text_round_trips() {
        extern crate std;
        use std::string::ToString;
        let time: CardTime = "2026-11-23T08:15:09".parse().expect("valid");
        assert_eq!(time.to_bytes(), [0x20, 0x26, 0x11, 0x23, 0x08, 0x15, 0x09]);
        assert_eq!(time.to_string(), "2026-11-23T08:15:09");
        assert!("2026-11-23 08:15:09".parse::<CardTime>().is_err());
        assert!("2026-11-2é".parse::<CardDate>().is_err());
    }

    #[test]
    fn counts_days_and_seconds_as_the_calendar_does() {
        let at = |text: &str| text.parse::<CardTime>().expect("valid");
        assert_eq!(at("1970-01-01T00:00:00").seconds(), 0);
        // 2000-03-01 is day 11,017 (Hinnant, "chrono-compatible low-level date algorithms").
        assert_eq!(at("2000-03-01T00:00:00").date().day_number(), 11_017);
        // date -u -d 2026-11-23T08:15:00 +%s
        assert_eq!(at("2026-11-23T08:15:00").seconds(), 1_795_421_700);
        // The way back, over every day of eight centuries.
        for day in -146_097..146_097 {
            let date = CardDate::from_day_number(day).expect("in range");
            assert_eq!(date.day_number(), day);
        }
        let last = at("9999-12-31T23:59:59");
        assert_eq!(CardTime::from_seconds(last.seconds()), Some(last));
        assert_eq!(CardTime::from_seconds(last.seconds() + 1), None);
        let first = CardTime::MIN.seconds();
        assert_eq!(CardTime::from_seconds(first), Some(CardTime::MIN));
        assert_eq!(CardTime::from_seconds(first - 1), None);
        assert_eq!(CardTime::from_seconds(i64::MAX), None);
        assert_eq!(CardTime::from_seconds(i64::MIN), None);
    }
}
