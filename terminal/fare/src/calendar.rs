//! Workdays and public holidays (节假日与调休).

use std::collections::BTreeSet;

use card_spec::time::CardDate;

use crate::{TariffRef, clock, problems::Problems, schema};

/// Longest run of days one holiday entry may name.
const MAX_HOLIDAY_DAYS: i64 = 31;

/// Which days are workdays.
#[derive(Debug)]
pub(crate) struct Calendar {
    pub(crate) tariff: TariffRef,
    /// Whose holidays are known.
    pub(crate) years: BTreeSet<u16>,
    /// Days since 1970-01-01.
    holidays: BTreeSet<i64>,
    worked: BTreeSet<i64>,
}

impl Calendar {
    pub(crate) fn new(problems: &mut Problems<'_>, raw: schema::CalendarFile) -> Self {
        let mut holidays = BTreeSet::new();
        for (i, span) in raw.holidays.iter().enumerate() {
            let (from, to) = (clock::days(span.from), clock::days(span.to));
            let field = || format!("holidays[{i}]");
            if to < from || to - from >= MAX_HOLIDAY_DAYS {
                let problem = format!("`to` must follow `from` within {MAX_HOLIDAY_DAYS} days");
                problems.add(field(), problem);
                continue;
            }
            if [span.from, span.to]
                .iter()
                .any(|d| !raw.years.contains(&d.year()))
            {
                problems.add(field(), "outside `years`; add the year there");
            }
            holidays.extend(from..=to);
        }
        let worked: BTreeSet<i64> = raw.worked.iter().map(|d| clock::days(*d)).collect();
        for (i, day) in raw.worked.iter().enumerate() {
            if !raw.years.contains(&day.year()) {
                problems.add(
                    format!("worked[{i}]"),
                    "outside `years`; add the year there",
                );
            }
            if holidays.contains(&clock::days(*day)) {
                let problem = format!("{day} is also a holiday; keep one of the two");
                problems.add(format!("worked[{i}]"), problem);
            }
        }
        Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            years: raw.years.into_iter().collect(),
            holidays,
            worked,
        }
    }

    pub(crate) fn is_workday(&self, date: CardDate) -> bool {
        let day = clock::days(date);
        self.worked.contains(&day) || (clock::weekday(date) < 5 && !self.holidays.contains(&day))
    }
}
