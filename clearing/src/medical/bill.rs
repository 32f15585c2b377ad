//! 2204 lines, 2206 pre-settlement, 2207 settlement, 2208 reversal.

use super::answer::{SettledFor, postings, settled};
use super::{Done, Refused, check_region, input};
use crate::error::ClearingError;
use crate::house::House;
use crate::ledger::city_of;
use crate::store::{MessageKey, NewSettlement, Store, VisitState};
use benefit::{
    Account, AcctUsed, AssistanceStatus, Claim, ClaimTotals, CrossCity, Fee, InsuType, MedType,
    PricedLine, PsnType, Quantity, Settlement, UnitPrice,
};
use card_spec::Fen;
use clearing_api::national::{
    Decimal, FeeLine, LineResult, Lines, LinesOutput, MAX_LINES, PreSettle, PreSettleData, Request,
    Reverse, Settle,
};

/// A computed bill.
struct Bill {
    visit: VisitState,
    settlement: Settlement,
}

impl<S: Store> House<S> {
    pub(super) async fn take_lines(&self, request: &Request, key: &MessageKey) -> Done<String> {
        let lines: Lines = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let lines = lines.feedetail;
        let Some(first) = lines.first() else {
            return Ok(Err(Refused::new("feedetail为空 (send at least one line)")));
        };
        if lines.len() > MAX_LINES {
            return Ok(Err(Refused::new(format!(
                "feedetail过多 (at most {MAX_LINES} lines a call)"
            ))));
        }
        let visit = match self
            .find_visit(request, &first.mdtrt_id, &first.psn_no, "")
            .await?
        {
            Ok(visit) => visit,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut priced = Vec::with_capacity(lines.len());
        let mut result = Vec::with_capacity(lines.len());
        for line in lines {
            if line.mdtrt_id != visit.id.to_string() || line.psn_no != visit.insured.psn_no {
                return Ok(Err(Refused::new(format!(
                    "明细{}不属于该就诊 (one call holds the lines of one visit)",
                    line.feedetl_sn
                ))));
            }
            match self.price(&line) {
                Ok(split) => {
                    result.push(line_result(&line, &split));
                    priced.push((line, split));
                }
                Err(why) => {
                    return Ok(Err(Refused::new(format!("明细{}: {why}", line.feedetl_sn))));
                }
            }
        }
        match self.store.add_lines(visit.id, &priced).await {
            Err(ClearingError::Refused(why)) => return Ok(Err(Refused::new(why.detail))),
            other => other?,
        }
        let response = self.success(request, &LinesOutput { result })?;
        self.store.remember(key, &response).await?;
        Ok(Ok(response))
    }

    fn price(&self, line: &FeeLine) -> Result<PricedLine, String> {
        let item = self
            .rules
            .catalogue
            .get(&line.med_list_codg)
            .ok_or_else(|| {
                format!(
                    "目录编码{}不存在 (not in the catalogue)",
                    line.med_list_codg
                )
            })?;
        let positive = |value: i64| u64::try_from(value).map_err(|_| "数量或单价为负".to_owned());
        let price = UnitPrice::from_units(positive(line.pric.0)?).map_err(|e| e.to_string())?;
        let count = Quantity::from_units(positive(line.cnt.0)?).map_err(|e| e.to_string())?;
        let fee = Fee {
            price,
            count,
            amount: line.det_item_fee_sumamt.fen(),
        };
        benefit::price_line(item, &fee).map_err(|why| why.to_string())
    }

    /// The visit of this institution and person, with the open lines of one charging batch.
    async fn find_visit(
        &self,
        request: &Request,
        mdtrt_id: &str,
        psn_no: &str,
        chrg_bchno: &str,
    ) -> Done<VisitState> {
        let year = self.today().year();
        let found = match mdtrt_id.parse() {
            Ok(id) => self.store.visit(id, chrg_bchno, year).await?,
            Err(_) => None,
        };
        let visit = found.filter(|visit| {
            visit.institution == request.fixmedins_code && visit.insured.psn_no == psn_no
        });
        let Some(visit) = visit else {
            return Ok(Err(Refused::new(
                "就诊不存在 (no such mdtrt_id of this institution and person): register with 2201",
            )));
        };
        Ok(check_region(request, visit.insured.insuplc_admdvs).map(|()| visit))
    }

    pub(super) async fn pre_settle(&self, request: &Request) -> Done<String> {
        let pre: PreSettle = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let bill = match self.compute(request, &pre.data).await? {
            Ok(bill) => bill,
            Err(refused) => return Ok(Err(refused)),
        };
        let output = settled(
            &self.answer_for(request, &bill.visit, &pre.data),
            &bill.settlement,
        );
        self.success(request, &output).map(Ok)
    }

    pub(super) async fn settle_bill(&self, request: &Request, key: &MessageKey) -> Done<String> {
        let settle: Settle = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let data = settle.data.request();
        let bill = match self.compute(request, &data).await? {
            Ok(bill) => bill,
            Err(refused) => return Ok(Err(refused)),
        };
        let s = &bill.settlement;
        let echo = [
            (
                "fulamt_ownpay_amt",
                settle.data.fulamt_ownpay_amt,
                s.fulamt_ownpay_amt,
            ),
            (
                "overlmt_selfpay",
                settle.data.overlmt_selfpay,
                s.overlmt_selfpay,
            ),
            (
                "preselfpay_amt",
                settle.data.preselfpay_amt,
                s.preselfpay_amt,
            ),
            ("inscp_scp_amt", settle.data.inscp_scp_amt, s.inscp_scp_amt),
        ];
        if let Some((field, sent, computed)) = echo
            .into_iter()
            .find(|(_, sent, computed)| sent.fen() != *computed)
        {
            return Ok(Err(Refused::new(format!(
                "{field}与预结算不符 (sent {sent}, computed {computed}): pre-settle again"
            ))));
        }
        let new = new_settlement(&bill.visit, &data.chrg_bchno, self.today().year(), s, None);
        let form = self.answer_for(request, &bill.visit, &data);
        self.keep(request, key, &new, form).await
    }

    pub(super) async fn reverse_bill(&self, request: &Request, key: &MessageKey) -> Done<String> {
        let reverse: Reverse = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let data = reverse.data;
        let found = match data.setl_id.parse() {
            Ok(id) => self.store.settlement(id).await?,
            Err(_) => None,
        };
        let Some(row) = found.filter(|row| {
            row.institution == request.fixmedins_code
                && row.psn_no == data.psn_no
                && row.visit.to_string() == data.mdtrt_id
        }) else {
            return Ok(Err(Refused::new(
                "结算不存在 (no such settlement of this institution, visit and person)",
            )));
        };
        if row.closed {
            return Ok(Err(Refused::new(
                "已冲销 (this settlement is reversed already, or is a reversal)",
            )));
        }
        let reversal = match benefit::reverse(&row.settlement, row.account).and_then(|reversal| {
            Ok((
                benefit::check_reversal(&row.settlement, &reversal)?,
                reversal,
            ))
        }) {
            Ok(((), reversal)) => reversal,
            Err(why) => return Ok(Err(Refused::new(why.to_string()))),
        };
        let new = NewSettlement {
            visit: row.visit,
            postings: postings(&row.institution, row.city, &reversal),
            institution: row.institution,
            psn_no: row.psn_no,
            city: row.city,
            insutype: row.insutype,
            year: row.year,
            chrg_bchno: row.chrg_bchno,
            settlement: reversal,
            account_before: row.account,
            year_before: row.accumulators,
            reverses: Some(row.id),
        };
        let info = row.answer.setlinfo;
        let form = SettledFor {
            setl_time: self.clock.now(),
            medins_setl_id: request.msgid.clone(),
            mdtrt_id: info.mdtrt_id,
            psn_no: info.psn_no,
            psn_name: info.psn_name,
            insutype: info.insutype,
            psn_type: info.psn_type,
            med_type: info.med_type,
            clr_optins: info.clr_optins,
            clr_way: info.clr_way,
        };
        self.keep(request, key, &new, form).await
    }

    async fn keep(
        &self,
        request: &Request,
        key: &MessageKey,
        new: &NewSettlement,
        form: SettledFor,
    ) -> Done<String> {
        let answer = |id: u64| {
            let mut output = settled(&form, &new.settlement);
            output.setlinfo.setl_id = id.to_string();
            let response = self.success(request, &output).unwrap_or_default();
            (output, response)
        };
        Ok(
            match self.store.settle(new, key, self.today(), &answer).await {
                Ok(Some(response)) => Ok(response),
                Ok(None) => Err(Refused::new(
                    "账户或累计已变化 (account or accumulators changed meanwhile): pre-settle again",
                )),
                Err(ClearingError::Refused(why)) => Err(Refused::new(why.detail)),
                Err(other) => return Err(other),
            },
        )
    }

    /// The split of a bill: 2206 and 2207 alike.
    async fn compute(&self, request: &Request, data: &PreSettleData) -> Done<Bill> {
        let visit = match self
            .find_visit(request, &data.mdtrt_id, &data.psn_no, &data.chrg_bchno)
            .await?
        {
            Ok(visit) => visit,
            Err(refused) => return Ok(Err(refused)),
        };
        Ok(self
            .settlement_of(&visit, data)
            .map(|settlement| Bill { visit, settlement })
            .map_err(Refused::new))
    }

    fn settlement_of(
        &self,
        visit: &VisitState,
        data: &PreSettleData,
    ) -> Result<Settlement, String> {
        if data.insutype != visit.insutype {
            return Err(format!("险种不符 (registered under {})", visit.insutype));
        }
        let insutype = scheme(&visit.insutype)
            .ok_or_else(|| format!("insutype {} 不支持 (310, 390, 380)", visit.insutype))?;
        let unknown = |field: &str, code: &str| format!("{field} {code} 不支持");
        let insured = &visit.insured;
        let totals = ClaimTotals::of(&visit.lines).map_err(|why| why.to_string())?;
        if totals.medfee() != data.medfee_sumamt.fen() {
            return Err(format!(
                "medfee_sumamt不符 (sent {}, the open lines of batch {} sum to {})",
                data.medfee_sumamt,
                data.chrg_bchno,
                totals.medfee()
            ));
        }
        let level = self
            .rules
            .institutions
            .get(&visit.institution)
            .ok_or("机构不是定点机构 (not a designated institution)")?
            .level;
        let claim = Claim {
            psn_type: PsnType::from_code(&insured.psn_type)
                .ok_or_else(|| unknown("psn_type", &insured.psn_type))?,
            med_type: MedType::from_code(&data.med_type)
                .ok_or_else(|| unknown("med_type", &data.med_type))?,
            level,
            totals,
            year: visit.year,
            cross_city: cross_city(visit),
            account: Account {
                used: AcctUsed::from_code(&data.acct_used_flag)
                    .ok_or_else(|| unknown("acct_used_flag", &data.acct_used_flag))?,
                own_balance: visit.account,
                family_balance: Fen::ZERO,
            },
            civil_servant: insured.civil_servant,
            assistance: insured
                .assistance
                .then_some(AssistanceStatus::MinimumLiving),
        };
        let policy = self
            .rules
            .policies
            .get(insured.insuplc_admdvs, insutype)
            .map_err(|why| why.to_string())?;
        let settlement = benefit::settle(policy, &claim).map_err(|why| why.to_string())?;
        benefit::check(&settlement).map_err(|why| why.to_string())?;
        Ok(settlement)
    }

    fn answer_for(
        &self,
        request: &Request,
        visit: &VisitState,
        data: &PreSettleData,
    ) -> SettledFor {
        SettledFor {
            setl_time: self.clock.now(),
            medins_setl_id: request.msgid.clone(),
            mdtrt_id: visit.id.to_string(),
            psn_no: visit.insured.psn_no.clone(),
            psn_name: visit.insured.name.clone(),
            insutype: visit.insutype.clone(),
            psn_type: visit.insured.psn_type.clone(),
            med_type: data.med_type.clone(),
            clr_optins: city_of(visit.insured.insuplc_admdvs).to_string(),
            clr_way: data.psn_setlway.clone(),
        }
    }
}

/// The scheme whose policy settles; the new rural cooperative (380) was merged into the residents'.
fn scheme(insutype: &str) -> Option<InsuType> {
    match insutype {
        "380" => Some(InsuType::Resident),
        code => InsuType::from_code(code),
    }
}

/// The two regions compared; filings and referrals (2501, 2503) are not served, so a visit elsewhere
/// counts as unfiled.
fn cross_city(visit: &VisitState) -> CrossCity {
    if city_of(visit.mdtrtarea) == city_of(visit.insured.insuplc_admdvs) {
        CrossCity::Local
    } else {
        CrossCity::Unfiled
    }
}

fn new_settlement(
    visit: &VisitState,
    chrg_bchno: &str,
    year: u16,
    settlement: &Settlement,
    reverses: Option<u64>,
) -> NewSettlement {
    let city = city_of(visit.insured.insuplc_admdvs);
    NewSettlement {
        visit: visit.id,
        institution: visit.institution.clone(),
        psn_no: visit.insured.psn_no.clone(),
        city,
        insutype: visit.insutype.clone(),
        year,
        chrg_bchno: chrg_bchno.to_owned(),
        settlement: settlement.clone(),
        account_before: visit.account,
        year_before: visit.year,
        reverses,
        postings: postings(&visit.institution, city, settlement),
    }
}

fn line_result(line: &FeeLine, split: &PricedLine) -> LineResult {
    LineResult {
        feedetl_sn: line.feedetl_sn.clone(),
        det_item_fee_sumamt: line.det_item_fee_sumamt,
        cnt: line.cnt,
        pric: line.pric,
        // 1 fen = 10,000 units of the six-decimal price.
        pric_uplmt_amt: split
            .pric_uplmt
            .map(|limit| Decimal(limit.0.saturating_mul(10_000))),
        selfpay_prop: Some(Decimal(i64::from(split.selfpay_prop.units()))),
        fulamt_ownpay_amt: split.fulamt_ownpay.into(),
        overlmt_amt: split.overlmt.into(),
        preselfpay_amt: split.preselfpay.into(),
        inscp_scp_amt: split.inscp_scp.into(),
        chrgitm_lv: split.chrgitm_lv.code().to_owned(),
    }
}
