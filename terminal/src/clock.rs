//! Arithmetic on card times. (The clock itself is always an argument.)

use card_spec::time::{CardDate, CardTime};

/// Days since 1970-01-01 of a proleptic Gregorian date (Hinnant's `days_from_civil`).
fn day_number(date: CardDate) -> i64 {
    let (month, day) = (i64::from(date.month()), i64::from(date.day()));
    let year = i64::from(date.year()) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Seconds since 1970-01-01T00:00:00 local time.
pub fn seconds(time: CardTime) -> i64 {
    let (hour, minute, second) = time.clock();
    day_number(time.date()) * 86_400
        + i64::from(hour) * 3_600
        + i64::from(minute) * 60
        + i64::from(second)
}

/// The card time of a number of seconds since 1970-01-01T00:00:00 local time.
/// `None` outside the years 1 to 9999.
pub fn from_seconds(seconds: i64) -> Option<CardTime> {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    CardDate::new(
        u16::try_from(year).ok()?,
        u8::try_from(month).ok()?,
        u8::try_from(day).ok()?,
    )
    .and_then(|date| {
        date.at(
            (rest / 3_600) as u8,
            (rest / 60 % 60) as u8,
            (rest % 60) as u8,
        )
    })
    .ok()
}

/// Seconds from `earlier` to `later`; negative when the clock went back.
pub fn elapsed(earlier: CardTime, later: CardTime) -> i64 {
    seconds(later) - seconds(earlier)
}

/// Completed years between a birth date and a day; `None` when born after it.
pub fn age(birth: CardDate, on: CardDate) -> Option<u8> {
    let had_birthday = (on.month(), on.day()) >= (birth.month(), birth.day());
    let years = i32::from(on.year()) - i32::from(birth.year()) - i32::from(!had_birthday);
    u8::try_from(years).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        let at = |text: &str| text.parse::<CardTime>().expect("valid");
        // 2000-03-01 is day 11,017 (Hinnant, "chrono-compatible low-level date algorithms").
        assert_eq!(day_number(at("2000-03-01T00:00:00").date()), 11_017);
        assert_eq!(seconds(at("1970-01-02T00:00:01")), 86_401);
        assert_eq!(
            elapsed(at("2024-02-28T23:59:59"), at("2024-03-01T00:00:00")),
            86_401
        );
        assert_eq!(
            from_seconds(seconds(at("2026-11-23T08:15:09"))),
            Some(at("2026-11-23T08:15:09"))
        );
    }

    #[test]
    fn age_counts_birthdays() {
        let day = |text: &str| text.parse::<CardDate>().expect("valid");
        assert_eq!(age(day("1956-11-24"), day("2026-11-23")), Some(69));
        assert_eq!(age(day("1956-11-23"), day("2026-11-23")), Some(70));
        assert_eq!(age(day("2030-01-01"), day("2026-11-23")), None);
    }

    proptest::proptest! {
        #[test]
        fn seconds_round_trip(n in 0i64..200_000_000_000) {
            let time = from_seconds(n).expect("in range");
            proptest::prop_assert_eq!(seconds(time), n);
        }
    }
}
