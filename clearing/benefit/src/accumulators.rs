//! What one person has used of one scheme in one year (年度累计).

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use crate::error::BenefitError;
use crate::line::in_range;

/// Yearly accumulators of one person in one scheme. Zero at the turn of the year.
///
/// A settlement carries its *change* in the same shape ([`crate::Settlement::year_change`], with
/// negative values in a reversal), so that a bill reversed after later ones takes back exactly
/// what it added: `now.plus(&settlement.year_change)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accumulators {
    /// Deductible paid by outpatient bills.
    pub outpatient_dedc: Fen,
    /// Deductible paid by inpatient bills.
    pub inpatient_dedc: Fen,
    /// Paid by the pool for outpatient bills.
    pub outpatient_pool: Fen,
    /// Paid by the pool for inpatient bills.
    pub inpatient_pool: Fen,
    /// Paid by the large-amount (supplementary) fund.
    pub large_amount: Fen,
    /// In-scope cost left to the person that counts towards serious illness.
    pub serious_burden: Fen,
    /// Paid for serious illness.
    pub serious_illness: Fen,
    /// Paid by medical assistance.
    pub assistance: Fen,
    /// Settled inpatient stays.
    pub stays: i32,
}

impl Accumulators {
    /// Field by field sum with a settlement's change; refuses a result outside the range of
    /// amounts (a reversal applied twice, or to another year).
    pub fn plus(&self, change: &Self) -> Result<Self, BenefitError> {
        let mut sum = *self;
        let pairs = sum.amounts_mut().into_iter().zip(change.amounts());
        for ((field, amount), (_, change)) in pairs {
            let added = amount.checked_add(change).ok_or(BenefitError::OutOfRange {
                field,
                amount: change,
            })?;
            *amount = in_range(field, added)?;
        }
        sum.stays = sum.stays.saturating_add(change.stays);
        in_range("year.stays", Fen(i64::from(sum.stays)))?;
        Ok(sum)
    }

    /// The amounts, by name.
    pub(crate) fn amounts(&self) -> [(&'static str, Fen); 8] {
        let mut copy = *self;
        copy.amounts_mut().map(|(field, amount)| (field, *amount))
    }

    fn amounts_mut(&mut self) -> [(&'static str, &mut Fen); 8] {
        [
            ("year.outpatient_dedc", &mut self.outpatient_dedc),
            ("year.inpatient_dedc", &mut self.inpatient_dedc),
            ("year.outpatient_pool", &mut self.outpatient_pool),
            ("year.inpatient_pool", &mut self.inpatient_pool),
            ("year.large_amount", &mut self.large_amount),
            ("year.serious_burden", &mut self.serious_burden),
            ("year.serious_illness", &mut self.serious_illness),
            ("year.assistance", &mut self.assistance),
        ]
    }

    /// Every amount and the stay count with the sign turned.
    pub(crate) fn negated(&self) -> Self {
        let mut out = *self;
        for (_, amount) in out.amounts_mut() {
            *amount = -*amount;
        }
        out.stays = out.stays.saturating_neg();
        out
    }
}
