//! A calendar month.

use std::fmt;
use std::str::FromStr;

use card_spec::{FormatError, time::CardDate};

/// A calendar month, `YYYY-MM`, of the years 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// Months since January of year 0.
    index: u32,
}

impl Month {
    /// From year and month 1 to 12.
    pub fn new(year: u16, month: u8) -> Result<Self, FormatError> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
            return Err(FormatError::Range);
        }
        Ok(Self {
            index: u32::from(year) * 12 + u32::from(month) - 1,
        })
    }

    /// The month a date falls into.
    pub fn of(date: CardDate) -> Self {
        // A CardDate exists, so its year and month are in range.
        Self {
            index: u32::from(date.year()) * 12 + u32::from(date.month()) - 1,
        }
    }

    /// The year.
    pub const fn year(self) -> u32 {
        self.index / 12
    }

    /// The month of the year, 1 to 12.
    pub const fn month(self) -> u32 {
        self.index % 12 + 1
    }

    /// The month `months` later; `None` beyond the year 9999.
    pub fn plus(self, months: u16) -> Option<Self> {
        let index = self.index + u32::from(months);
        (index / 12 <= 9999).then_some(Self { index })
    }

    /// The next month; `None` beyond the year 9999.
    pub fn next(self) -> Option<Self> {
        self.plus(1)
    }

    /// How many months from this one to `end`, both counted; 0 when `end` is earlier.
    pub(crate) fn count_to(self, end: Self) -> u32 {
        (end.index + 1).saturating_sub(self.index)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.month())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        if text.len() != 7 {
            return Err(FormatError::Length);
        }
        // The first of the month is a date exactly when the month exists.
        format!("{text}-01").parse().map(Self::of)
    }
}

impl serde::Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Month {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|e| serde::de::Error::custom(format!("month `{text}` (YYYY-MM): {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::Month;

    #[test]
    fn months_count_across_years() {
        let month: Month = "2026-11".parse().expect("month");
        assert_eq!(month.plus(3).expect("in range").to_string(), "2027-02");
        assert_eq!(month.count_to("2027-02".parse().expect("month")), 4);
        assert_eq!(month.count_to("2026-10".parse().expect("month")), 0);
        let last = Month::new(9999, 12).expect("month");
        assert_eq!(last.next(), None);
        for bad in [
            "2026-13", "2026-00", "2026-1", "0000-01", "2026/11", "２026-1",
        ] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
