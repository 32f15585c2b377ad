//! Arithmetic on card times. (The clock itself is always an argument.)

use card_spec::time::{CardDate, CardTime};

/// Seconds from `earlier` to `later`; negative when the clock went back.
pub fn elapsed(earlier: CardTime, later: CardTime) -> i64 {
    later.seconds() - earlier.seconds()
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
    fn age_counts_birthdays() {
        let day = |text: &str| text.parse::<CardDate>().expect("valid");
        assert_eq!(age(day("1956-11-24"), day("2026-11-23")), Some(69));
        assert_eq!(age(day("1956-11-23"), day("2026-11-23")), Some(70));
        assert_eq!(age(day("2030-01-01"), day("2026-11-23")), None);
    }
}
