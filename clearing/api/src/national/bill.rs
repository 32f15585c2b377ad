//! Messages about the bill: 2204 lines, 2206 pre-settlement, 2207 settlement, 2208 reversal.

use super::{Proportion, Quantity, UnitPrice, Yuan, number};
use card_spec::medical::Split;
use serde::{Deserialize, Serialize};

/// 2204 门诊费用明细上传.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Lines, at most [`MAX_LINES`].
    #[serde(deserialize_with = "number::one_or_many")]
    pub feedetail: Vec<FeeLine>,
}

/// Most lines in one 2204.
pub const MAX_LINES: usize = 200;

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeLine {
    /// Line number, unique within the visit; digits or text.
    #[serde(deserialize_with = "number::text")]
    pub feedetl_sn: String,
    /// Visit.
    pub mdtrt_id: String,
    /// Person number.
    pub psn_no: String,
    /// Charging batch; settled together.
    #[serde(deserialize_with = "number::text")]
    pub chrg_bchno: String,
    /// When, `yyyy-MM-dd HH:mm:ss`.
    pub fee_ocur_time: String,
    /// National catalogue code.
    pub med_list_codg: String,
    /// The institution's own code.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub medins_list_codg: Option<String>,
    /// Amount of the line.
    pub det_item_fee_sumamt: Yuan,
    /// Quantity.
    pub cnt: Quantity,
    /// Unit price.
    pub pric: UnitPrice,
}

/// Answer to 2204.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinesOutput {
    /// One result a line, in order.
    #[serde(deserialize_with = "number::one_or_many")]
    pub result: Vec<LineResult>,
}

/// How one line divides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineResult {
    /// Line number.
    #[serde(deserialize_with = "number::text")]
    pub feedetl_sn: String,
    /// Amount.
    pub det_item_fee_sumamt: Yuan,
    /// Quantity.
    pub cnt: Quantity,
    /// Unit price.
    pub pric: UnitPrice,
    /// Price limit, when there is one.
    #[serde(
        default,
        deserialize_with = "number::optional_decimal",
        skip_serializing_if = "Option::is_none"
    )]
    pub pric_uplmt_amt: Option<UnitPrice>,
    /// Proportion paid by the person first.
    #[serde(
        default,
        deserialize_with = "number::optional_decimal",
        skip_serializing_if = "Option::is_none"
    )]
    pub selfpay_prop: Option<Proportion>,
    /// Wholly self-paid (class C).
    pub fulamt_ownpay_amt: Yuan,
    /// Above the price limit.
    pub overlmt_amt: Yuan,
    /// Self-paid first (class B).
    pub preselfpay_amt: Yuan,
    /// Within the scope of the insurance.
    pub inscp_scp_amt: Yuan,
    /// 01 A, 02 B, 03 C.
    pub chrgitm_lv: String,
}

/// 2206 门诊预结算: 2207 without effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreSettle {
    /// Node of the message.
    pub data: PreSettleData,
}

/// Content of 2206.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreSettleData {
    /// Person number.
    pub psn_no: String,
    /// Certificate type.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_type: String,
    /// Certificate number.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_no: String,
    /// 11 outpatient, 21 inpatient.
    #[serde(deserialize_with = "number::text")]
    pub med_type: String,
    /// Sum of the lines.
    pub medfee_sumamt: Yuan,
    /// 01 by item.
    #[serde(deserialize_with = "number::text")]
    pub psn_setlway: String,
    /// Visit.
    pub mdtrt_id: String,
    /// Charging batch.
    #[serde(deserialize_with = "number::text")]
    pub chrg_bchno: String,
    /// 0 personal account not used, 1 own account, 2 family.
    #[serde(deserialize_with = "number::text")]
    pub acct_used_flag: String,
    /// Scheme.
    #[serde(deserialize_with = "number::text")]
    pub insutype: String,
}

/// 2207 门诊结算.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// Node of the message.
    pub data: SettleData,
}

/// Content of 2207: that of 2206, the invoice and the four-way split echoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleData {
    /// Person number.
    pub psn_no: String,
    /// Certificate type.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_type: String,
    /// Certificate number.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_no: String,
    /// 11 outpatient, 21 inpatient.
    #[serde(deserialize_with = "number::text")]
    pub med_type: String,
    /// Sum of the lines.
    pub medfee_sumamt: Yuan,
    /// 01 by item.
    #[serde(deserialize_with = "number::text")]
    pub psn_setlway: String,
    /// Visit.
    pub mdtrt_id: String,
    /// Charging batch.
    #[serde(deserialize_with = "number::text")]
    pub chrg_bchno: String,
    /// 0 personal account not used, 1 own account, 2 family.
    #[serde(deserialize_with = "number::text")]
    pub acct_used_flag: String,
    /// Scheme.
    #[serde(deserialize_with = "number::text")]
    pub insutype: String,
    /// Invoice number.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub invono: Option<String>,
    /// Echo of the pre-settlement.
    pub fulamt_ownpay_amt: Yuan,
    /// Echo of the pre-settlement.
    pub overlmt_selfpay: Yuan,
    /// Echo of the pre-settlement.
    pub preselfpay_amt: Yuan,
    /// Echo of the pre-settlement.
    pub inscp_scp_amt: Yuan,
}

impl SettleData {
    /// The settlement that a pre-settlement announced.
    pub fn after(pre: &PreSettleData, info: &SetlInfo, invono: Option<String>) -> Self {
        let pre = pre.clone();
        Self {
            psn_no: pre.psn_no,
            mdtrt_cert_type: pre.mdtrt_cert_type,
            mdtrt_cert_no: pre.mdtrt_cert_no,
            med_type: pre.med_type,
            medfee_sumamt: pre.medfee_sumamt,
            psn_setlway: pre.psn_setlway,
            mdtrt_id: pre.mdtrt_id,
            chrg_bchno: pre.chrg_bchno,
            acct_used_flag: pre.acct_used_flag,
            insutype: pre.insutype,
            invono,
            fulamt_ownpay_amt: info.fulamt_ownpay_amt,
            overlmt_selfpay: info.overlmt_selfpay,
            preselfpay_amt: info.preselfpay_amt,
            inscp_scp_amt: info.inscp_scp_amt,
        }
    }

    /// What it asks for, apart from the echo.
    pub fn request(&self) -> PreSettleData {
        let data = self.clone();
        PreSettleData {
            psn_no: data.psn_no,
            mdtrt_cert_type: data.mdtrt_cert_type,
            mdtrt_cert_no: data.mdtrt_cert_no,
            med_type: data.med_type,
            medfee_sumamt: data.medfee_sumamt,
            psn_setlway: data.psn_setlway,
            mdtrt_id: data.mdtrt_id,
            chrg_bchno: data.chrg_bchno,
            acct_used_flag: data.acct_used_flag,
            insutype: data.insutype,
        }
    }
}

/// 2208 门诊结算撤销.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverse {
    /// Node of the message.
    pub data: ReverseData,
}

/// Content of 2208.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReverseData {
    /// Settlement to reverse.
    pub setl_id: String,
    /// Visit.
    pub mdtrt_id: String,
    /// Person number.
    pub psn_no: String,
}

/// Answer to 2206, 2207 and 2208.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The amounts.
    pub setlinfo: SetlInfo,
    /// What each fund pays; account and hospital rows may be among them.
    #[serde(deserialize_with = "number::one_or_many")]
    pub setldetail: Vec<SetlDetail>,
}

/// Settlement amounts, (16,2) each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetlInfo {
    /// Settlement id; a pre-settlement has none (empty).
    #[serde(default)]
    pub setl_id: String,
    /// Visit.
    pub mdtrt_id: String,
    /// Person number.
    pub psn_no: String,
    /// Name.
    pub psn_name: String,
    /// Scheme.
    pub insutype: String,
    /// Person type.
    pub psn_type: String,
    /// Medical type.
    pub med_type: String,
    /// When, `yyyy-MM-dd HH:mm:ss`.
    pub setl_time: String,
    /// Total.
    pub medfee_sumamt: Yuan,
    /// Wholly self-paid.
    pub fulamt_ownpay_amt: Yuan,
    /// Above price limits.
    pub overlmt_selfpay: Yuan,
    /// Self-paid first.
    pub preselfpay_amt: Yuan,
    /// Within scope.
    pub inscp_scp_amt: Yuan,
    /// Deductible paid this time.
    pub act_pay_dedc: Yuan,
    /// Basic pool.
    pub hifp_pay: Yuan,
    /// Proportion of the basic pool.
    pub pool_prop_selfpay: Proportion,
    /// Civil-servant supplement.
    pub cvlserv_pay: Yuan,
    /// Enterprise supplement.
    pub hifes_pay: Yuan,
    /// Serious illness (resident).
    pub hifmi_pay: Yuan,
    /// Large amount (employee).
    pub hifob_pay: Yuan,
    /// Medical assistance.
    pub maf_pay: Yuan,
    /// Others.
    pub oth_pay: Yuan,
    /// Sum of the funds.
    pub fund_pay_sumamt: Yuan,
    /// The person's part: account and cash.
    pub psn_part_amt: Yuan,
    /// From the personal account.
    pub acct_pay: Yuan,
    /// In cash.
    pub psn_cash_pay: Yuan,
    /// Borne by the hospital.
    pub hosp_part_amt: Yuan,
    /// Account balance afterwards.
    pub balc: Yuan,
    /// From family accounts.
    pub acct_mulaid_pay: Yuan,
    /// The sender's msgid.
    pub medins_setl_id: String,
    /// Clearing agency (the insuring region).
    pub clr_optins: String,
    /// Clearing way.
    pub clr_way: String,
    /// Clearing type: 11 outpatient, 21 inpatient.
    pub clr_type: String,
}

impl SetlInfo {
    /// What the medical purse on the card is debited: personal account, self-paid, pooled.
    pub const fn card_split(&self) -> Split {
        Split {
            personal: self.acct_pay.fen(),
            self_paid: self.psn_cash_pay.fen(),
            pooled: self.fund_pay_sumamt.fen(),
        }
    }
}

/// What one fund pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetlDetail {
    /// Fund, e.g. 310100 employee pool; 310200 is the personal account.
    #[serde(deserialize_with = "number::text")]
    pub fund_pay_type: String,
    /// Name of the fund.
    pub fund_pay_type_name: String,
    /// Within scope for this fund.
    pub inscp_scp_amt: Yuan,
    /// Amount it may still pay this year, when it has a cap.
    #[serde(
        default,
        deserialize_with = "number::optional_decimal",
        skip_serializing_if = "Option::is_none"
    )]
    pub crt_payb_lmt_amt: Option<Yuan>,
    /// Amount it pays now.
    pub fund_payamt: Yuan,
    /// How it was found, for people.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub setl_proc_info: Option<String>,
}
