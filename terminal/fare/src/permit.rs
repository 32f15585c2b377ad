//! Monthly parking permits (月租): what they cost, and what they take off a stay.

use std::collections::BTreeSet;

use card_spec::{Fen, time::CardDate};
use serde::{Deserialize, Serialize};

use crate::{
    LegMark, OperatorId, Quote, QuoteError, TariffRef, VehicleClass,
    clock::{self, DAY},
    problems::Problems,
    quote::Bill,
    schema::Yuan,
};

/// A `[[permit]]` table of a parking tariff.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PermitRule {
    id: String,
    zh: String,
    en: String,
    /// Classes of spaces, or car parks, it is for; empty for all of the operator.
    #[serde(default)]
    places: Vec<String>,
    vehicle: VehicleClass,
    /// Price of a calendar month.
    month: Yuan,
}

/// A permit that a vehicle holds. Cards do not carry it: the operator's system knows it by plate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// The permit's id in the tariff.
    pub id: String,
    /// First day.
    pub from: CardDate,
    /// Last day.
    pub to: CardDate,
}

/// A permit to be bought for a calendar month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitOrder {
    /// Who runs the spaces.
    pub operator: OperatorId,
    /// The permit's id.
    pub permit: String,
    /// A day of the month.
    pub month: CardDate,
}

/// The permits of a parking tariff.
#[derive(Debug)]
pub(crate) struct Permits(Vec<PermitRule>);

impl Permits {
    pub(crate) fn new(problems: &mut Problems<'_>, rules: Vec<PermitRule>) -> Self {
        let mut ids = BTreeSet::new();
        for rule in &rules {
            if !ids.insert(&rule.id) {
                problems.add(format!("permit `{}`", rule.id), "appears twice");
            }
        }
        Self(rules)
    }

    fn rule(&self, id: &str) -> Result<&PermitRule, QuoteError> {
        let found = self.0.iter().find(|rule| rule.id == id);
        found.ok_or_else(|| QuoteError::Permit(id.to_owned()))
    }

    /// The price of a month, and the permit.
    pub(crate) fn sell(
        &self,
        tariff: &TariffRef,
        order: &PermitOrder,
    ) -> Result<(Quote, Permit), QuoteError> {
        let rule = self.rule(&order.permit)?;
        let first = clock::days(order.month) - i64::from(order.month.day()) + 1;
        let (_, _, over) = clock::date(first + 31);
        let day = |days: i64| {
            let time = clock::time(days * DAY).ok_or(QuoteError::TimeOrder)?;
            Ok::<_, QuoteError>(time.date())
        };
        let permit = Permit {
            id: rule.id.clone(),
            from: day(first)?,
            to: day(first + 31 - i64::from(over))?,
        };
        let mut bill = Bill::new();
        let (zh, en, price) = (rule.zh.clone(), rule.en.clone(), rule.month.0);
        bill.add(&tariff.id, &format!("permit/{}", rule.id), zh, en, price);
        let quote = bill.quote(price, tariff.clone(), Vec::new(), LegMark::default());
        Ok((quote, permit))
    }

    /// Takes off a stay what lies in the permit's days: the rest is priced by itself, as stays
    /// before and after, but never dearer than the whole.
    pub(crate) fn take_off(
        &self,
        tariff: &TariffRef,
        stay: ParkedStay<'_>,
        bill: &mut Bill,
        price: impl Fn(i64, i64) -> Fen,
    ) -> Result<(), QuoteError> {
        let Some(permit) = stay.permit else {
            return Ok(());
        };
        let rule = self.rule(&permit.id)?;
        if rule.vehicle != stay.vehicle
            || !(rule.places.is_empty() || rule.places.iter().any(|p| p == stay.place))
        {
            return Ok(());
        }
        let begins = clock::days(permit.from) * DAY;
        let ends = (clock::days(permit.to) + 1) * DAY;
        if ends <= stay.from || stay.to <= begins || ends <= begins {
            return Ok(());
        }
        let part = |from: i64, to: i64| {
            if from < to {
                price(from, to)
            } else {
                Fen::ZERO
            }
        };
        let outside = part(stay.from, begins) + part(ends, stay.to);
        let off = bill.total() - outside;
        if off > Fen::ZERO {
            let (zh, en) = (rule.zh.clone(), rule.en.clone());
            bill.add(&tariff.id, &format!("permit/{}", rule.id), zh, en, -off);
        }
        Ok(())
    }
}

/// A stay as permits see it, in local seconds.
#[derive(Clone, Copy)]
pub(crate) struct ParkedStay<'a> {
    pub(crate) permit: Option<&'a Permit>,
    pub(crate) vehicle: VehicleClass,
    /// Class of the space, or the car park.
    pub(crate) place: &'a str,
    pub(crate) from: i64,
    pub(crate) to: i64,
}
