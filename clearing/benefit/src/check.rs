//! The invariants of every settlement, checked independently of how it was computed.

use card_spec::Fen;

use crate::code::FundPayType;
use crate::line::MAX_AMOUNT;
use crate::settlement::{Kind, Settlement};

/// Which invariant does not hold. A bill that shows one must not be stored or answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An amount beyond (16,2), which no bill can hold.
    #[error("{field} is {amount}, more than the interface's (16,2) can carry")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The amount.
        amount: Fen,
    },
    /// (1) medfee = fulamt + overlmt + preself + inscp.
    #[error("medfee_sumamt {medfee} is not the sum of its parts {parts}")]
    Composition {
        /// `medfee_sumamt`.
        medfee: Fen,
        /// Sum of the four parts.
        parts: Fen,
    },
    /// (2) medfee = funds + person + hospital.
    #[error("medfee_sumamt {medfee} is not fund + person + hospital {payers}")]
    Payers {
        /// `medfee_sumamt`.
        medfee: Fen,
        /// Sum over the payers.
        payers: Fen,
    },
    /// (2) `fund_pay_sumamt` is the sum of the fund fields.
    #[error("fund_pay_sumamt {sum} is not the sum of the fund amounts {fields}")]
    Funds {
        /// `fund_pay_sumamt`.
        sum: Fen,
        /// Sum of the eight fund fields.
        fields: Fen,
    },
    /// (3) person = account + cash.
    #[error("psn_part_amt {person} is not account + cash {paid}")]
    Person {
        /// `psn_part_amt`.
        person: Fen,
        /// `acct_pay + psn_cash_pay`.
        paid: Fen,
    },
    /// (4) a settlement has no negative amount, a reversal no positive one.
    #[error("{field} is {amount}, the wrong sign for this kind of settlement")]
    Sign {
        /// The field.
        field: &'static str,
        /// The amount.
        amount: Fen,
    },
    /// (4) a reversal negates every amount.
    #[error("{field} of the reversal is {reversed}, not the negative of {settled}")]
    NotNegated {
        /// The field.
        field: &'static str,
        /// The settlement's amount.
        settled: Fen,
        /// The reversal's amount.
        reversed: Fen,
    },
    /// (4) a reversal takes back what the settlement added to the year.
    #[error("the reversal does not take back what the settlement added to the year")]
    YearNotRolledBack,
    /// (5) the rows of `setldetail` match `setlinfo`, payer by payer.
    #[error("setldetail rows for {field} add up to {rows}, setlinfo says {info}")]
    Details {
        /// The `setlinfo` field.
        field: &'static str,
        /// Sum of the rows.
        rows: Fen,
        /// The field's amount.
        info: Fen,
    },
    /// More rows than there are payers.
    #[error("setldetail has more rows than there are kinds of payer")]
    TooManyRows,
    /// A part is larger than its whole.
    #[error("{part} is larger than {whole}")]
    PartExceedsWhole {
        /// The part.
        part: &'static str,
        /// The whole.
        whole: &'static str,
    },
}

/// Checks a settlement or reversal by itself.
pub fn check(s: &Settlement) -> Result<(), Violation> {
    // First, so that no sum below can overflow.
    check_sizes(s)?;
    let parts = s.fulamt_ownpay_amt + s.overlmt_selfpay + s.preselfpay_amt + s.inscp_scp_amt;
    if s.medfee_sumamt != parts {
        return Err(Violation::Composition {
            medfee: s.medfee_sumamt,
            parts,
        });
    }
    let payers = s.fund_pay_sumamt + s.psn_part_amt + s.hosp_part_amt;
    if s.medfee_sumamt != payers {
        return Err(Violation::Payers {
            medfee: s.medfee_sumamt,
            payers,
        });
    }
    if s.fund_pay_sumamt != s.fund_fields_sum() {
        return Err(Violation::Funds {
            sum: s.fund_pay_sumamt,
            fields: s.fund_fields_sum(),
        });
    }
    let paid = s.acct_pay + s.psn_cash_pay;
    if s.psn_part_amt != paid {
        return Err(Violation::Person {
            person: s.psn_part_amt,
            paid,
        });
    }
    check_signs(s)?;
    check_details(s)?;
    let within = [
        (
            "act_pay_dedc",
            s.act_pay_dedc,
            "inscp_scp_amt",
            s.inscp_scp_amt,
        ),
        ("acct_mulaid_pay", s.acct_mulaid_pay, "acct_pay", s.acct_pay),
    ];
    for (part, part_amount, whole, whole_amount) in within {
        if part_amount.0.abs() > whole_amount.0.abs() {
            return Err(Violation::PartExceedsWhole { part, whole });
        }
    }
    Ok(())
}

fn check_sizes(s: &Settlement) -> Result<(), Violation> {
    let rows = s.details.iter().map(|row| ("fund_payamt", row.fund_payamt));
    let scopes = s
        .details
        .iter()
        .map(|row| ("inscp_scp_amt", row.inscp_scp_amt));
    let limits = s
        .details
        .iter()
        .filter_map(|row| Some(("crt_payb_lmt_amt", row.crt_payb_lmt_amt?)));
    let all = s
        .amounts()
        .into_iter()
        .chain([("balc", s.balc)])
        .chain(s.year_change.amounts())
        .chain(rows)
        .chain(scopes)
        .chain(limits);
    for (field, amount) in all {
        // Two accounts of the largest size may stand behind one limit.
        if amount.0.unsigned_abs() > 2 * MAX_AMOUNT.0.unsigned_abs() {
            return Err(Violation::TooLarge { field, amount });
        }
    }
    if s.details.len() > FundPayType::ALL.len() {
        return Err(Violation::TooManyRows);
    }
    Ok(())
}

fn check_signs(s: &Settlement) -> Result<(), Violation> {
    let wrong = |amount: Fen| match s.kind {
        Kind::Settlement => amount < Fen::ZERO,
        Kind::Reversal => amount > Fen::ZERO,
    };
    for (field, amount) in s.amounts() {
        if wrong(amount) {
            return Err(Violation::Sign { field, amount });
        }
    }
    for row in &s.details {
        if wrong(row.fund_payamt) {
            return Err(Violation::Sign {
                field: "fund_payamt",
                amount: row.fund_payamt,
            });
        }
    }
    if s.balc < Fen::ZERO {
        return Err(Violation::Sign {
            field: "balc",
            amount: s.balc,
        });
    }
    Ok(())
}

fn check_details(s: &Settlement) -> Result<(), Violation> {
    use FundPayType as F;
    // Funds this engine has no rule for have no leaf code here; their fields must be empty.
    let expected: [(&'static str, &[FundPayType], Fen); 10] = [
        ("hifp_pay", &[F::EmployeePool, F::ResidentPool], s.hifp_pay),
        ("cvlserv_pay", &[F::CivilServant], s.cvlserv_pay),
        ("hifmi_pay", &[F::SeriousIllness], s.hifmi_pay),
        ("hifob_pay", &[F::LargeAmount], s.hifob_pay),
        ("maf_pay", &[F::Assistance], s.maf_pay),
        ("acct_pay", &[F::PersonalAccount], s.acct_pay),
        ("hosp_part_amt", &[F::Hospital], s.hosp_part_amt),
        ("hifes_pay", &[], s.hifes_pay),
        ("oth_pay", &[], s.oth_pay),
        ("hifdm_pay", &[], s.hifdm_pay),
    ];
    for (field, payers, info) in expected {
        let rows = s
            .details
            .iter()
            .filter(|row| payers.contains(&row.fund_pay_type))
            .map(|row| row.fund_payamt)
            .sum();
        if rows != info {
            return Err(Violation::Details { field, rows, info });
        }
    }
    Ok(())
}

/// Checks both, and that the reversal negates the settlement amount by amount (invariant 4).
pub fn check_reversal(settled: &Settlement, reversal: &Settlement) -> Result<(), Violation> {
    check(settled)?;
    check(reversal)?;
    for ((field, settled), (_, reversed)) in settled.amounts().into_iter().zip(reversal.amounts()) {
        if reversed != -settled {
            return Err(Violation::NotNegated {
                field,
                settled,
                reversed,
            });
        }
    }
    if reversal.year_change != settled.year_change.negated() {
        return Err(Violation::YearNotRolledBack);
    }
    Ok(())
}
