//! Workdays and public holidays (节假日与调休).

use std::collections::BTreeSet;

use card_spec::time::CardDate;

use crate::{FareError, TariffRef, clock, schema};

/// Longest run of days one holiday entry may name.
const MAX_HOLIDAY_DAYS: i64 = 31;

/// Which days are workdays.
#[derive(Debug)]
pub(crate) struct Calendar {
    pub(crate) tariff: TariffRef,
    /// Days since 1970-01-01.
    holidays: BTreeSet<i64>,
    worked: BTreeSet<i64>,
}

impl Calendar {
    pub(crate) fn new(file: &str, raw: schema::CalendarFile) -> Result<Self, FareError> {
        let mut holidays = BTreeSet::new();
        for (i, span) in raw.holidays.iter().enumerate() {
            let (from, to) = (clock::days(span.from), clock::days(span.to));
            let field = || format!("holidays[{i}]");
            if to < from || to - from >= MAX_HOLIDAY_DAYS {
                return Err(FareError::field(
                    file,
                    field(),
                    format!("`to` must follow `from` within {MAX_HOLIDAY_DAYS} days"),
                ));
            }
            if [span.from, span.to]
                .iter()
                .any(|d| !raw.years.contains(&d.year()))
            {
                return Err(FareError::field(file, field(), "outside `years`"));
            }
            holidays.extend(from..=to);
        }
        let worked: BTreeSet<i64> = raw.worked.iter().map(|d| clock::days(*d)).collect();
        if let Some(day) = raw
            .worked
            .iter()
            .find(|d| holidays.contains(&clock::days(**d)))
        {
            return Err(FareError::field(
                file,
                "worked",
                format!("{day} is also a holiday"),
            ));
        }
        Ok(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            holidays,
            worked,
        })
    }

    pub(crate) fn is_workday(&self, date: CardDate) -> bool {
        let day = clock::days(date);
        self.worked.contains(&day) || (clock::weekday(date) < 5 && !self.holidays.contains(&day))
    }
}
