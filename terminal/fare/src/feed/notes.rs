//! What the price of a city's journey rests on, beside its steps.

use card_spec::time::CardTime;

use super::ask::Ask;
use crate::{Quote, TariffRef, Tariffs, discount::Discount};

/// Sources, and what the question left open.
pub(super) fn of(tariffs: &Tariffs, quotes: &[Quote], at: CardTime, ask: &Ask<'_>) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for tariff in quotes
        .iter()
        .flat_map(|q| std::iter::once(&q.tariff).chain(&q.also))
    {
        let told = told(tariff);
        if !notes.contains(&told) {
            notes.push(told);
        }
    }
    if ask.age.is_none() {
        let mut used: Vec<&TariffRef> = Vec::new();
        for tariff in quotes.iter().map(|quote| &quote.tariff) {
            if !used.contains(&tariff) {
                used.push(tariff);
                let rules = tariffs.discounts_of(&tariff.id);
                notes.extend(rules.iter().filter_map(|rule| without_age(tariff, rule)));
            }
        }
    }
    if quotes.len() > 1 {
        notes.push("time limits of transfers are held against riding time, without waits but the shortest that the transfer asks for".into());
    }
    let calendar = &tariffs.calendar;
    if !calendar.years.contains(&at.date().year()) {
        let used = quotes.iter().any(|q| q.also.contains(&calendar.tariff));
        let price = if used {
            ", and this price asks for the kind of day"
        } else {
            ""
        };
        notes.push(format!(
            "{} knows holidays of {}: {} is taken by its weekday{price}",
            calendar.tariff.id,
            tariffs.holiday_years(),
            at.date(),
        ));
    }
    if ask.at.is_none() {
        notes.push(format!(
            "at the cheapest full hour of a Wednesday and a Sunday, {at}; give --at for a time of your own"
        ));
    }
    notes
}

/// How a concession by age was decided without one.
fn without_age(tariff: &TariffRef, rule: &Discount) -> Option<String> {
    let (age, decided) = match (rule.min_age?, rule.kinds.is_empty()) {
        (age, true) => (age, "does not hold"),
        (age, false) => (age, "is decided by the card's kind alone"),
    };
    Some(format!(
        "{}/{} is from {age} years: without --age it {decided}",
        tariff.id, rule.id
    ))
}

/// Where a tariff's figures come from and how far they can be trusted.
fn told(tariff: &TariffRef) -> String {
    let provenance = &tariff.provenance;
    let status = match provenance.status {
        crate::Status::Published => "published",
        crate::Status::Unverified => "unverified",
        crate::Status::Derived => "derived",
        crate::Status::Synthetic => "synthetic",
    };
    format!(
        "{}: {status}, {}, {}",
        tariff.id, provenance.date, provenance.source
    )
}
