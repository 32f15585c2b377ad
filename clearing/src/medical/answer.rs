//! From a settlement to the interface's amounts and to the ledger.

use crate::ledger::{Account, Posting, Postings};
use benefit::{FundPayType, Settlement};
use card_spec::{id::RegionCode, time::CardTime};
use clearing_api::national::{Decimal, SetlDetail, SetlInfo, Settled, inf_time};

/// What the answer says besides the amounts.
pub(super) struct SettledFor {
    pub(super) setl_time: CardTime,
    pub(super) medins_setl_id: String,
    pub(super) mdtrt_id: String,
    pub(super) psn_no: String,
    pub(super) psn_name: String,
    pub(super) insutype: String,
    pub(super) psn_type: String,
    pub(super) med_type: String,
    pub(super) clr_optins: String,
    pub(super) clr_way: String,
}

/// The answer to 2206, 2207 and 2208; the settlement id is set once there is one.
pub(super) fn settled(form: &SettledFor, s: &Settlement) -> Settled {
    let setldetail = s
        .details
        .iter()
        .map(|row| SetlDetail {
            fund_pay_type: row.fund_pay_type.code().to_owned(),
            fund_pay_type_name: row.fund_pay_type.zh().to_owned(),
            inscp_scp_amt: row.inscp_scp_amt.into(),
            crt_payb_lmt_amt: row.crt_payb_lmt_amt.map(Into::into),
            fund_payamt: row.fund_payamt.into(),
            setl_proc_info: Some(row.setl_proc_info.clone()),
        })
        .collect();
    let setlinfo = SetlInfo {
        setl_id: String::new(),
        mdtrt_id: form.mdtrt_id.clone(),
        psn_no: form.psn_no.clone(),
        psn_name: form.psn_name.clone(),
        insutype: form.insutype.clone(),
        psn_type: form.psn_type.clone(),
        med_type: form.med_type.clone(),
        setl_time: inf_time(form.setl_time),
        medfee_sumamt: s.medfee_sumamt.into(),
        fulamt_ownpay_amt: s.fulamt_ownpay_amt.into(),
        overlmt_selfpay: s.overlmt_selfpay.into(),
        preselfpay_amt: s.preselfpay_amt.into(),
        inscp_scp_amt: s.inscp_scp_amt.into(),
        act_pay_dedc: s.act_pay_dedc.into(),
        hifp_pay: s.hifp_pay.into(),
        pool_prop_selfpay: Decimal(i64::from(s.pool_prop_selfpay.units())),
        cvlserv_pay: s.cvlserv_pay.into(),
        hifes_pay: s.hifes_pay.into(),
        hifmi_pay: s.hifmi_pay.into(),
        hifob_pay: s.hifob_pay.into(),
        maf_pay: s.maf_pay.into(),
        oth_pay: s.oth_pay.into(),
        fund_pay_sumamt: s.fund_pay_sumamt.into(),
        psn_part_amt: s.psn_part_amt.into(),
        acct_pay: s.acct_pay.into(),
        psn_cash_pay: s.psn_cash_pay.into(),
        hosp_part_amt: s.hosp_part_amt.into(),
        balc: s.balc.into(),
        acct_mulaid_pay: s.acct_mulaid_pay.into(),
        medins_setl_id: form.medins_setl_id.clone(),
        clr_optins: form.clr_optins.clone(),
        clr_way: form.clr_way.clone(),
        clr_type: form.med_type.clone(),
    };
    Settled {
        setlinfo,
        setldetail,
    }
}

/// Who pays the hospital: each fund of the insuring city, the personal account, and cash, which the
/// hospital has collected already. The hospital's own part moves no money.
pub(super) fn postings(institution: &str, city: RegionCode, s: &Settlement) -> Vec<Posting> {
    let hospital = Account::Hospital(institution.to_owned());
    let mut postings = Postings::default();
    for row in &s.details {
        let payer = match row.fund_pay_type {
            FundPayType::PersonalAccount => Account::Medical(city),
            FundPayType::Hospital => continue,
            fund => Account::Fund(fund.code().to_owned(), city),
        };
        postings.add(payer, hospital.clone(), row.fund_payamt);
    }
    postings.add(
        Account::Cash(institution.to_owned()),
        hospital,
        s.psn_cash_pay,
    );
    postings.into_entries()
}
