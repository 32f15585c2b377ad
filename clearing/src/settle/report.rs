//! A day's report as a function of its rows and turnovers.

use crate::ingest::digest;
use crate::ledger::{Turnover, trial_balance};
use crate::store::{DayData, DayRow};
use benefit::FundPayType;
use card_spec::{Fen, time::CardDate};
use clearing_api::{
    Outcome,
    day::{DayReport, ModeTotal, NetPosition},
};
use std::collections::BTreeMap;

/// Every mode of the report.
const MODES: [&str; 8] = [
    "bus",
    "metro",
    "taxi",
    "parking_meter",
    "car_park",
    "top_up",
    "medical",
    "pension",
];

/// The report.
pub fn report(day: CardDate, closed: bool, data: &DayData) -> DayReport {
    let mut modes: BTreeMap<String, ModeTotal> = MODES
        .iter()
        .map(|mode| ((*mode).to_owned(), ModeTotal::default()))
        .collect();
    let mut outcomes = BTreeMap::<Outcome, u64>::new();
    for row in &data.rows {
        let mode = modes.entry(row.mode.clone()).or_default();
        mode.events += 1;
        if row.outcome.is_posted() {
            mode.posted += 1;
            mode.amount += row.amount;
        }
        *outcomes.entry(row.outcome).or_default() += 1;
    }
    let (lines, trial_sum) = trial_balance(&data.total);
    let purse_float = data
        .total
        .get("purse-float")
        .map_or(Fen::ZERO, Turnover::balance);
    DayReport {
        day,
        closed,
        modes,
        outcomes,
        medical_split: medical_split(data),
        trial_balance: lines,
        trial_sum,
        positions: positions(data),
        purse_float,
        pending: data.pending.clone(),
        digest: day_digest(&data.rows),
    }
}

/// SHA-256 over `key|outcome|hash` of every row, in key order.
fn day_digest(rows: &[DayRow]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(&format!(
            "{}|{}|{}\n",
            row.key,
            row.outcome.number(),
            row.hash
        ));
    }
    digest(text.as_bytes())
}

fn medical_split(data: &DayData) -> BTreeMap<String, Fen> {
    let mut split: BTreeMap<String, Fen> = ["acct", "cash", "hospital"]
        .into_iter()
        .map(|key| (key.to_owned(), Fen::ZERO))
        .collect();
    for settled in &data.settlements {
        let settlement = &settled.settlement;
        for row in settlement
            .details
            .iter()
            .filter(|row| row.fund_pay_type.is_fund())
        {
            let fund = row.fund_pay_type.code().to_owned();
            *split.entry(fund).or_default() += row.fund_payamt;
        }
        *split.entry("acct".to_owned()).or_default() += settlement.acct_pay;
        *split.entry("cash".to_owned()).or_default() += settlement.psn_cash_pay;
        *split.entry("hospital".to_owned()).or_default() += settlement.hosp_part_amt;
    }
    split
}

/// The party that settles an account: a hospital's till counts against what it earned, and a bank
/// holds what the personal accounts of its city hold. Float and suspense are nobody's position.
fn party_of(account: &str) -> Option<String> {
    let (kind, id) = account.split_once(':')?;
    match kind {
        "operator" | "topup" | "fund" | "hospital" | "medical" => Some(account.to_owned()),
        "cash" => Some(format!("hospital:{id}")),
        "bank" => Some(id.to_owned()),
        _ => None,
    }
}

fn positions(data: &DayData) -> Vec<NetPosition> {
    let mut nets = BTreeMap::<String, Fen>::new();
    for (account, turnover) in &data.day {
        if let Some(party) = party_of(account) {
            *nets.entry(party).or_default() += turnover.balance();
        }
    }
    nets.into_iter()
        .map(|(party, net)| {
            let (name_zh, name_en) = names(&party, data);
            NetPosition {
                party,
                name_zh,
                name_en,
                net,
            }
        })
        .collect()
}

fn names(party: &str, data: &DayData) -> (String, String) {
    let (kind, id) = party.split_once(':').unwrap_or((party, ""));
    let registered = data
        .operators
        .get(id)
        .map(|operator| (operator.name_zh.clone(), operator.name_en.clone()));
    match (kind, registered) {
        (_, Some(names)) => names,
        ("fund", None) => {
            let (code, city) = id.split_once(':').unwrap_or((id, ""));
            let fund = FundPayType::from_code(code);
            let zh = fund.map_or(code, |fund| fund.zh());
            let en = fund.map_or(code, |fund| fund.en());
            (format!("{zh}（{city}）"), format!("{en} ({city})"))
        }
        ("medical", None) => (
            format!("医保个人账户（{id}）"),
            format!("personal medical accounts ({id})"),
        ),
        _ => (party.to_owned(), party.to_owned()),
    }
}
