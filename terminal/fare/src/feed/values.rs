//! The form of one value, by the kind of its column.

use card_spec::time::CardDate;

use super::{money::Currency, schema::Kind};
use crate::clock;

/// HH:MM:SS or H:MM:SS in seconds; three digits of hours are left to long-distance trains.
pub(super) fn time(text: &str) -> Option<u32> {
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let part = |s: &str, len: std::ops::RangeInclusive<usize>| {
        let digits = len.contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| s.parse::<u32>().ok()).flatten()
    };
    let (h, m, s) = (
        part(hours, 1..=3)?,
        part(minutes, 2..=2)?,
        part(seconds, 2..=2)?,
    );
    (m < 60 && s < 60).then_some(h * 3600 + m * 60 + s)
}

pub(super) fn date(text: &str) -> Option<i64> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = text.split_at(4);
    let (month, day) = rest.split_at(2);
    let date = CardDate::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    date.ok().map(clock::days)
}

/// What the value should look like, if it does not.
pub(super) fn misfit(kind: Kind, value: &str) -> Option<String> {
    let number = || value.bytes().all(|b| b.is_ascii_digit()) && value.parse::<u32>().is_ok();
    let (fits, wanted) = match kind {
        Kind::Id | Kind::Text | Kind::Unread => return None,
        Kind::Enum(values) => (
            values.contains(&value),
            format!("write one of {}", values.join(", ")),
        ),
        Kind::Mode => {
            let mode = value.parse::<u16>().ok().filter(|_| number());
            let fits =
                mode.is_some_and(|m| m <= 7 || m == 11 || m == 12 || (100..1800).contains(&m));
            (
                fits,
                "write a mode of the reference, 0 to 7, 11 or 12".into(),
            )
        }
        Kind::Count => (number(), "write a whole number, 0 or more".into()),
        Kind::Transfers => (
            value == "-1" || (number() && value.bytes().any(|b| b != b'0')),
            "write -1 (no limit) or a number from 1".into(),
        ),
        Kind::Date => (date(value).is_some(), "write a date as YYYYMMDD".into()),
        Kind::Time => (time(value).is_some(), "write a time as HH:MM:SS".into()),
        Kind::LocalTime => (
            time(value).is_some_and(|seconds| seconds <= 86_400),
            "write a time of day as HH:MM:SS, 24:00:00 at most".into(),
        ),
        Kind::Decimal => {
            // Form only: what the currency allows is checked beside the currency.
            let form = value.strip_prefix('-').unwrap_or(value);
            let digits = form.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let fits = digits
                && form.bytes().filter(|b| *b == b'.').count() <= 1
                && form.bytes().any(|b| b.is_ascii_digit());
            (fits, "write a decimal number such as 3.20".into())
        }
        Kind::Degrees(limit) => (
            value
                .parse::<f64>()
                .is_ok_and(|d| d.abs() <= f64::from(limit)),
            format!("write degrees between -{limit} and {limit}"),
        ),
        Kind::Currency => (
            Currency::new(value).is_some(),
            "write the currency's ISO 4217 code, such as CNY".into(),
        ),
    };
    (!fits).then_some(wanted)
}
