//! The outcome: `setlinfo` amounts, `setldetail` rows, the change of the year, the explanation.

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use crate::accumulators::Accumulators;
use crate::code::FundPayType;
use crate::decimal::Ratio;

/// Whether amounts are what was paid or what is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pre-settlement and settlement (2206, 2207): no amount is negative.
    Settlement,
    /// Reversal (2208): every amount is the negative of the settlement's.
    Reversal,
}

/// A settled (or reversed) bill. Field names are those of `setlinfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// Settlement or reversal.
    pub kind: Kind,
    /// Total of the bill 医疗费总额.
    pub medfee_sumamt: Fen,
    /// Wholly own 全自费.
    pub fulamt_ownpay_amt: Fen,
    /// Above price limits 超限价自费.
    pub overlmt_selfpay: Fen,
    /// Paid first by the person 先行自付.
    pub preselfpay_amt: Fen,
    /// In scope 符合政策范围.
    pub inscp_scp_amt: Fen,
    /// Deductible actually paid 实际支付起付线.
    pub act_pay_dedc: Fen,
    /// Basic pool 基本医疗保险统筹基金.
    pub hifp_pay: Fen,
    /// The pool's share 统筹基金支付比例; a ratio, so a reversal keeps it.
    pub pool_prop_selfpay: Ratio,
    /// Civil-servant subsidy 公务员医疗补助.
    pub cvlserv_pay: Fen,
    /// Enterprise supplement 企业补充.
    pub hifes_pay: Fen,
    /// Residents' serious illness 居民大病.
    pub hifmi_pay: Fen,
    /// Employees' large amount 职工大额.
    pub hifob_pay: Fen,
    /// Medical assistance 医疗救助.
    pub maf_pay: Fen,
    /// Other funds.
    pub oth_pay: Fen,
    /// Disabled servicemen's fund 伤残人员医疗保障.
    pub hifdm_pay: Fen,
    /// All funds together 基金支付总额.
    pub fund_pay_sumamt: Fen,
    /// The person's part 个人负担总金额: account and cash.
    pub psn_part_amt: Fen,
    /// From personal accounts, `acct_mulaid_pay` included.
    pub acct_pay: Fen,
    /// In cash (or card, or phone): what the person owes at the window.
    pub psn_cash_pay: Fen,
    /// Borne by the hospital.
    pub hosp_part_amt: Fen,
    /// Balance of the person's own account afterwards; a state, so a reversal shows the restored
    /// one instead of a negative.
    pub balc: Fen,
    /// Of `acct_pay`, what family members' accounts paid 个人账户共济支付.
    pub acct_mulaid_pay: Fen,
    /// `setldetail`.
    pub details: Vec<DetailRow>,
    /// What this bill adds to the year; negative in a reversal.
    pub year_change: Accumulators,
    /// How the amounts came about, in order.
    pub steps: Vec<Step>,
}

/// A row of `setldetail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetailRow {
    /// `fund_pay_type`, a leaf code; its `zh()` is `fund_pay_type_name`.
    pub fund_pay_type: FundPayType,
    /// Cost in this payer's scope.
    pub inscp_scp_amt: Fen,
    /// What the payer could have paid this time; `None` without a limit.
    pub crt_payb_lmt_amt: Option<Fen>,
    /// Paid.
    pub fund_payamt: Fen,
    /// `setl_proc_info`, Chinese.
    pub setl_proc_info: String,
}

/// One line of the explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Settlement {
    /// The sum of the eight fund amounts; equals `fund_pay_sumamt`.
    pub(crate) fn fund_fields_sum(&self) -> Fen {
        self.hifp_pay
            + self.cvlserv_pay
            + self.hifes_pay
            + self.hifmi_pay
            + self.hifob_pay
            + self.maf_pay
            + self.oth_pay
            + self.hifdm_pay
    }

    /// Every amount of `setlinfo` that a reversal negates, by name. `balc` is a state and
    /// `pool_prop_selfpay` a ratio, so neither is here.
    pub fn amounts(&self) -> [(&'static str, Fen); 20] {
        [
            ("medfee_sumamt", self.medfee_sumamt),
            ("fulamt_ownpay_amt", self.fulamt_ownpay_amt),
            ("overlmt_selfpay", self.overlmt_selfpay),
            ("preselfpay_amt", self.preselfpay_amt),
            ("inscp_scp_amt", self.inscp_scp_amt),
            ("act_pay_dedc", self.act_pay_dedc),
            ("hifp_pay", self.hifp_pay),
            ("cvlserv_pay", self.cvlserv_pay),
            ("hifes_pay", self.hifes_pay),
            ("hifmi_pay", self.hifmi_pay),
            ("hifob_pay", self.hifob_pay),
            ("maf_pay", self.maf_pay),
            ("oth_pay", self.oth_pay),
            ("hifdm_pay", self.hifdm_pay),
            ("fund_pay_sumamt", self.fund_pay_sumamt),
            ("psn_part_amt", self.psn_part_amt),
            ("acct_pay", self.acct_pay),
            ("psn_cash_pay", self.psn_cash_pay),
            ("hosp_part_amt", self.hosp_part_amt),
            ("acct_mulaid_pay", self.acct_mulaid_pay),
        ]
    }
}
