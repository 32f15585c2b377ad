//! One fee line (费用明细, interface 2204) and the totals of a bill.

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use crate::catalogue::CatalogueItem;
use crate::code::ChargeClass;
use crate::decimal::{Quantity, Ratio, UnitPrice};
use crate::error::BenefitError;

/// The largest amount of the interface's (16,2) fields. Staying below it keeps every sum of the
/// engine far from the ends of `i64`.
pub const MAX_AMOUNT: Fen = Fen(9_999_999_999_999_999);

pub(crate) fn in_range(field: &'static str, amount: Fen) -> Result<Fen, BenefitError> {
    if amount < Fen::ZERO || amount > MAX_AMOUNT {
        return Err(BenefitError::OutOfRange { field, amount });
    }
    Ok(amount)
}

/// What the hospital says about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// `pric`.
    pub price: UnitPrice,
    /// `cnt`.
    pub count: Quantity,
    /// `det_item_fee_sumamt`; price times quantity to within a fen.
    pub amount: Fen,
}

/// A line split by the catalogue: the amounts of 2204's result.
/// `amount = fulamt_ownpay + overlmt + preselfpay + inscp_scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedLine {
    /// `det_item_fee_sumamt`.
    pub amount: Fen,
    /// `fulamt_ownpay_amt`, class C: wholly own.
    pub fulamt_ownpay: Fen,
    /// `overlmt_amt`: above the price limit.
    pub overlmt: Fen,
    /// `preselfpay_amt`: the share paid first, class B.
    pub preselfpay: Fen,
    /// `inscp_scp_amt`: within the scheme's scope.
    pub inscp_scp: Fen,
    /// `chrgitm_lv`.
    pub chrgitm_lv: ChargeClass,
    /// `selfpay_prop`.
    pub selfpay_prop: Ratio,
    /// `pric_uplmt_amt`.
    pub pric_uplmt: Option<Fen>,
}

/// Yuan with six decimals times a quantity with four, in fen, half rounded up. Saturates above
/// the range of amounts; the caller refuses what is out of range.
fn fen_of(price_units: u64, count: Quantity) -> Fen {
    let product = u128::from(price_units) * u128::from(count.units());
    let fen = (product + 50_000_000) / 100_000_000;
    Fen(i64::try_from(fen).unwrap_or(i64::MAX))
}

/// Splits a fee line (2204).
///
/// Above the limit: `max(0, pric - limit) x cnt`; class C is wholly own (and has nothing above a
/// limit); the share paid first is `round_half_up((amount - above) x selfpay_prop)`; the rest is in
/// scope.
pub fn price_line(item: &CatalogueItem, fee: &Fee) -> Result<PricedLine, BenefitError> {
    let amount = in_range("det_item_fee_sumamt", fee.amount)?;
    let expected = fen_of(fee.price.units(), fee.count);
    // One fen of grace: senders round price x quantity in binary floating point.
    if amount.0.abs_diff(expected.0) > 1 {
        return Err(BenefitError::AmountMismatch { amount, expected });
    }
    let (fulamt_ownpay, overlmt) = if item.class == ChargeClass::C {
        (amount, Fen::ZERO)
    } else {
        // 1 fen = 10,000 units of the six-decimal price.
        let above = item.price_limit.map_or(0, |limit| {
            let limit = u64::try_from(limit.0).unwrap_or(0).saturating_mul(10_000);
            fee.price.units().saturating_sub(limit)
        });
        (Fen::ZERO, fen_of(above, fee.count).min(amount))
    };
    let rest = amount - fulamt_ownpay - overlmt;
    let preselfpay = item.selfpay_prop.of(rest);
    Ok(PricedLine {
        amount,
        fulamt_ownpay,
        overlmt,
        preselfpay,
        inscp_scp: rest - preselfpay,
        chrgitm_lv: item.class,
        selfpay_prop: item.selfpay_prop,
        pric_uplmt: item.price_limit,
    })
}

/// The totals of a bill. Made of lines only, so the parts always add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimTotals {
    medfee: Fen,
    fulamt_ownpay: Fen,
    overlmt: Fen,
    preselfpay: Fen,
    inscp_scp: Fen,
}

impl ClaimTotals {
    /// Adds the lines of a bill up.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a PricedLine>) -> Result<Self, BenefitError> {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return Err(BenefitError::NoLines);
        }
        let mut sum = Self {
            medfee: Fen::ZERO,
            fulamt_ownpay: Fen::ZERO,
            overlmt: Fen::ZERO,
            preselfpay: Fen::ZERO,
            inscp_scp: Fen::ZERO,
        };
        for line in lines {
            in_range("fulamt_ownpay_amt", line.fulamt_ownpay)?;
            in_range("overlmt_amt", line.overlmt)?;
            in_range("preselfpay_amt", line.preselfpay)?;
            in_range("inscp_scp_amt", line.inscp_scp)?;
            let parts = line.fulamt_ownpay + line.overlmt + line.preselfpay + line.inscp_scp;
            if parts != line.amount {
                return Err(BenefitError::LineDoesNotAddUp {
                    amount: line.amount,
                });
            }
            sum.medfee = in_range("medfee_sumamt", sum.medfee + line.amount)?;
            sum.fulamt_ownpay += line.fulamt_ownpay;
            sum.overlmt += line.overlmt;
            sum.preselfpay += line.preselfpay;
            sum.inscp_scp += line.inscp_scp;
        }
        Ok(sum)
    }

    /// `medfee_sumamt`.
    pub const fn medfee(&self) -> Fen {
        self.medfee
    }
    /// `fulamt_ownpay_amt`.
    pub const fn fulamt_ownpay(&self) -> Fen {
        self.fulamt_ownpay
    }
    /// `overlmt_selfpay`.
    pub const fn overlmt(&self) -> Fen {
        self.overlmt
    }
    /// `preselfpay_amt`.
    pub const fn preselfpay(&self) -> Fen {
        self.preselfpay
    }
    /// `inscp_scp_amt`.
    pub const fn inscp_scp(&self) -> Fen {
        self.inscp_scp
    }
}
