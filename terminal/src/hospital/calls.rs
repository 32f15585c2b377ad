//! The national interface calls of one visit.

use card_spec::{id::RegionCode, time::CardTime};
use clearing_api::ClientError;
use clearing_api::national::{
    FeeLine, Input, Lines, NationalError, Person, PersonData, PreSettle, PreSettleData, Register,
    RegisterData, Request, Reverse, ReverseData, Settle, SettleData, Settled, SignIn, SignInData,
    inf_time,
};

use super::{Bill, HospitalWindow, Quoted};
use crate::{
    code::Code,
    journal::Storage,
    online::{National, no_answer},
    person::ProvedCard,
    result::Refusal,
};

/// Certificate type of a social-security card.
const CERT_CARD: &str = "03";
/// Charging batch: one bill is one batch.
const BATCH: &str = "1";

fn refused(error: NationalError) -> Refusal {
    Refusal::new(Code::MedicalRefused, error)
}

impl<S: Storage> HospitalWindow<S> {
    fn call<I: Input>(
        &mut self,
        insured_at: Option<RegionCode>,
        at: CardTime,
        input: &I,
        online: &mut dyn National,
    ) -> Result<I::Output, Refusal> {
        let number = self.next_message();
        self.call_as(number, insured_at, at, input, online)
    }

    /// Numbers of messages count within one second.
    const fn next_message(&mut self) -> u16 {
        self.messages = self.messages % 9_999 + 1;
        self.messages
    }

    fn call_as<I: Input>(
        &self,
        number: u16,
        insured_at: Option<RegionCode>,
        at: CardTime,
        input: &I,
        online: &mut dyn National,
    ) -> Result<I::Output, Refusal> {
        let request = Request::new(&self.caller, insured_at, at, number, input).map_err(refused)?;
        let mut answer = online.call(&request, at);
        if answer.as_ref().is_err_and(ClientError::is_no_answer) {
            // Once more with the same message id: the platform answers a repeat as before.
            answer = online.call(&request, at);
        }
        let response = answer.map_err(|error| no_answer(&error, Code::MedicalRefused))?;
        response.output().map_err(refused)
    }

    fn sign_in(&mut self, at: CardTime, online: &mut dyn National) -> Result<(), Refusal> {
        if self.caller.sign_no.is_some() {
            return Ok(());
        }
        let sign_in = SignInData {
            opter_no: self.caller.opter.clone(),
            mac: "00-00-00-00-00-00".to_owned(),
            ip: "127.0.0.1".to_owned(),
        };
        let answer = self.call(None, at, &SignIn { sign_in }, online)?;
        self.caller.sign_no = Some(answer.signinoutb.sign_no);
        Ok(())
    }

    /// 9001, 1101, 2201, 2204, 2206.
    pub(super) fn pre_settle(
        &mut self,
        card: ProvedCard,
        bill: &Bill,
        at: CardTime,
        online: &mut dyn National,
    ) -> Result<Quoted, Refusal> {
        self.sign_in(at, online)?;
        let cert_no = card.facts.pan.to_string();
        let data = PersonData {
            mdtrt_cert_type: CERT_CARD.to_owned(),
            mdtrt_cert_no: cert_no.clone(),
            card_sn: Some(card.facts.generation.0.to_string()),
            psn_name: Some(card.identity.name.clone()),
            certno: Some(card.identity.ssn.clone()),
        };
        let person = self.call(None, at, &Person { data }, online)?;
        if person.baseinfo.certno != card.identity.ssn {
            return Err(Code::OtherPerson.into());
        }
        let insured = person
            .insuinfo
            .iter()
            .find(|insurance| insurance.psn_insu_stas == "1")
            .ok_or_else(|| Refusal::new(Code::MedicalRefused, "no insurance in payment"))?;
        let insured_at = Some(insured.insuplc_admdvs);
        let psn_no = person.baseinfo.psn_no;
        let data = RegisterData {
            psn_no: psn_no.clone(),
            insutype: insured.insutype.clone(),
            begntime: inf_time(at),
            mdtrt_cert_type: CERT_CARD.to_owned(),
            mdtrt_cert_no: cert_no.clone(),
            ipt_otp_no: bill.ipt_otp_no.clone(),
            atddr_no: bill.doctor.0.clone(),
            dr_name: bill.doctor.1.clone(),
            dept_code: bill.department.0.clone(),
            dept_name: bill.department.1.clone(),
            caty: bill.caty.clone(),
        };
        let mdtrt_id = self
            .call(insured_at, at, &Register { data }, online)?
            .data
            .mdtrt_id;
        let feedetail = fee_lines(bill, &mdtrt_id, &psn_no, at);
        let lines = self
            .call(insured_at, at, &Lines { feedetail }, online)?
            .result;
        let request = PreSettleData {
            psn_no,
            mdtrt_cert_type: CERT_CARD.to_owned(),
            mdtrt_cert_no: cert_no,
            med_type: bill.med_type.clone(),
            medfee_sumamt: bill.total(),
            psn_setlway: "01".to_owned(),
            mdtrt_id,
            chrg_bchno: BATCH.to_owned(),
            acct_used_flag: "1".to_owned(),
            insutype: insured.insutype.clone(),
        };
        let settled = self.call(
            insured_at,
            at,
            &PreSettle {
                data: request.clone(),
            },
            online,
        )?;
        Ok(Quoted {
            card,
            request,
            lines,
            insured_at: insured.insuplc_admdvs,
            settle_as: (at, self.next_message()),
            used: false,
            setlinfo: settled.setlinfo,
            setldetail: settled.setldetail,
        })
    }

    /// 2207.
    pub(super) fn settle_online(
        &self,
        quoted: &Quoted,
        online: &mut dyn National,
    ) -> Result<Settled, Refusal> {
        let data = SettleData::after(&quoted.request, &quoted.setlinfo, None);
        let (at, number) = quoted.settle_as;
        self.call_as(
            number,
            Some(quoted.insured_at),
            at,
            &Settle { data },
            online,
        )
    }

    /// 2208.
    pub(super) fn reverse(
        &mut self,
        quoted: &Quoted,
        setl_id: &str,
        at: CardTime,
        online: &mut dyn National,
    ) -> Result<(), Refusal> {
        let data = ReverseData {
            setl_id: setl_id.to_owned(),
            mdtrt_id: quoted.request.mdtrt_id.clone(),
            psn_no: quoted.request.psn_no.clone(),
        };
        self.call(Some(quoted.insured_at), at, &Reverse { data }, online)
            .map(|_| ())
    }
}

fn fee_lines(bill: &Bill, mdtrt_id: &str, psn_no: &str, at: CardTime) -> Vec<FeeLine> {
    let line = |(index, line): (usize, &super::BillLine)| FeeLine {
        feedetl_sn: (index + 1).to_string(),
        mdtrt_id: mdtrt_id.to_owned(),
        psn_no: psn_no.to_owned(),
        chrg_bchno: BATCH.to_owned(),
        fee_ocur_time: inf_time(at),
        med_list_codg: line.med_list_codg.clone(),
        medins_list_codg: None,
        det_item_fee_sumamt: line.amount.into(),
        cnt: line.cnt,
        pric: line.pric,
    };
    bill.lines.iter().enumerate().map(line).collect()
}
