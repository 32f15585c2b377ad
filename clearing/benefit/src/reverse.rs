//! Reversal (2208, 2305): the settlement with every amount negated.

use card_spec::Fen;

use crate::check::check;
use crate::error::BenefitError;
use crate::line::in_range;
use crate::settlement::{DetailRow, Kind, Settlement, Step};

/// Reverses a settlement. Every amount comes back negative, the deductible too; the year change is
/// negated, so `now.plus(&reversal.year_change)` rolls the accumulators back even when other bills
/// came in between. `own_balance_now` is the person's account before the reversal; `balc` shows it
/// with the account's money returned.
pub fn reverse(settled: &Settlement, own_balance_now: Fen) -> Result<Settlement, BenefitError> {
    if settled.kind == Kind::Reversal {
        return Err(BenefitError::AlreadyReversed);
    }
    // What a store hands back may be damaged; a wrong settlement must not become a wrong reversal.
    check(settled)?;
    in_range("balc", own_balance_now)?;
    let own = settled.acct_pay - settled.acct_mulaid_pay;
    let balc = in_range("balc", own_balance_now + own)?;
    let details = settled
        .details
        .iter()
        .map(|row| DetailRow {
            fund_pay_type: row.fund_pay_type,
            inscp_scp_amt: -row.inscp_scp_amt,
            crt_payb_lmt_amt: row.crt_payb_lmt_amt.map(|limit| -limit),
            fund_payamt: -row.fund_payamt,
            setl_proc_info: format!("冲正：{}", row.setl_proc_info),
        })
        .collect();
    Ok(Settlement {
        kind: Kind::Reversal,
        medfee_sumamt: -settled.medfee_sumamt,
        fulamt_ownpay_amt: -settled.fulamt_ownpay_amt,
        overlmt_selfpay: -settled.overlmt_selfpay,
        preselfpay_amt: -settled.preselfpay_amt,
        inscp_scp_amt: -settled.inscp_scp_amt,
        act_pay_dedc: -settled.act_pay_dedc,
        hifp_pay: -settled.hifp_pay,
        pool_prop_selfpay: settled.pool_prop_selfpay,
        cvlserv_pay: -settled.cvlserv_pay,
        hifes_pay: -settled.hifes_pay,
        hifmi_pay: -settled.hifmi_pay,
        hifob_pay: -settled.hifob_pay,
        maf_pay: -settled.maf_pay,
        oth_pay: -settled.oth_pay,
        hifdm_pay: -settled.hifdm_pay,
        fund_pay_sumamt: -settled.fund_pay_sumamt,
        psn_part_amt: -settled.psn_part_amt,
        acct_pay: -settled.acct_pay,
        psn_cash_pay: -settled.psn_cash_pay,
        hosp_part_amt: -settled.hosp_part_amt,
        balc,
        acct_mulaid_pay: -settled.acct_mulaid_pay,
        details,
        year_change: settled.year_change.negated(),
        steps: vec![Step {
            zh: format!("冲正原结算，退回现金{}", settled.psn_cash_pay),
            en: format!(
                "reverses the settlement; {} cash goes back",
                settled.psn_cash_pay
            ),
        }],
    })
}
