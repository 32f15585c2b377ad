//! The settlement algorithm (2206 and 2207 alike).
//!
//! Order: deductible, pool by segment up to its limit, large amount or serious illness,
//! civil-servant subsidy, assistance, own account, family account, cash.

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use crate::accumulators::Accumulators;
use crate::code::{
    AcctUsed, AssistanceStatus, CrossCity, FundPayType, HospitalLevel, MedType, PsnType,
};
use crate::decimal::Ratio;
use crate::error::BenefitError;
use crate::line::{ClaimTotals, in_range};
use crate::policy::{DeductibleBasis, Policy, Rule};
use crate::pool::{self, Paid};
use crate::settlement::{DetailRow, Kind, Settlement, Step};

/// Personal-account money at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `acct_used_flag`.
    pub used: AcctUsed,
    /// Balance of the person's own account; zero for who has none.
    pub own_balance: Fen,
    /// What family members' accounts may pay; read only with [`AcctUsed::Family`].
    pub family_balance: Fen,
}

/// A bill to settle, and everything the answer depends on besides the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// `psn_type`.
    pub psn_type: PsnType,
    /// `med_type`.
    pub med_type: MedType,
    /// Level of the hospital.
    pub level: HospitalLevel,
    /// The priced lines, added up.
    pub totals: ClaimTotals,
    /// The person's year before this bill; `year.stays + 1` is the number of this stay.
    pub year: Accumulators,
    /// Where the visit happens.
    pub cross_city: CrossCity,
    /// Account money.
    pub account: Account,
    /// `cvlserv_flag`.
    pub civil_servant: bool,
    /// Assistance status, if any.
    pub assistance: Option<AssistanceStatus>,
}

/// Settles a bill. Pre-settlement (2206) is the same function: only a settlement is stored.
pub fn settle(policy: &Policy, claim: &Claim) -> Result<Settlement, BenefitError> {
    check_inputs(policy, claim)?;
    let totals = &claim.totals;
    let inscp = totals.inscp_scp();
    let mut run = Run::default();
    run.say(
        format!(
            "费用{}：全自费{}，超限价{}，先行自付{}，符合范围{}",
            totals.medfee(),
            totals.fulamt_ownpay(),
            totals.overlmt(),
            totals.preselfpay(),
            inscp
        ),
        format!(
            "bill {}: wholly own {}, above limits {}, paid first {}, in scope {}",
            totals.medfee(),
            totals.fulamt_ownpay(),
            totals.overlmt(),
            totals.preselfpay(),
            inscp
        ),
    );

    let rule = policy
        .care(claim.med_type)
        .rule(claim.psn_type, claim.level);
    let dedc = rule.map_or(Fen::ZERO, |rule| deductible(policy, claim, rule));
    let pool = pay_pool(policy, claim, rule, dedc, &mut run);
    let large = pay_large_amount(policy, claim, &pool, &mut run);
    let mut left = inscp - pool.amount - large;
    let serious = pay_serious_illness(policy, claim, left, &mut run);
    let burden = left;
    left -= serious;
    let civil = pay_civil_servant(policy, claim, left, &mut run);
    left -= civil;
    let relief = pay_assistance(policy, claim, left, &mut run);

    let fund = pool.amount + large + serious + civil + relief;
    let psn_part = totals.medfee() - fund;
    let (own, family) = pay_account(claim, psn_part, &mut run);
    let acct_pay = own + family;
    let cash = psn_part - acct_pay;
    run.say(
        format!("基金支付{fund}，个人账户{acct_pay}，现金{cash}"),
        format!("funds {fund}, accounts {acct_pay}, cash {cash}"),
    );

    let inpatient = claim.med_type == MedType::Inpatient;
    let only_if = |yes: bool, amount: Fen| if yes { amount } else { Fen::ZERO };
    let counts_as_burden = policy
        .serious_illness
        .as_ref()
        .is_some_and(|s| s.applies_to.contains(&claim.med_type));
    Ok(Settlement {
        kind: Kind::Settlement,
        medfee_sumamt: totals.medfee(),
        fulamt_ownpay_amt: totals.fulamt_ownpay(),
        overlmt_selfpay: totals.overlmt(),
        preselfpay_amt: totals.preselfpay(),
        inscp_scp_amt: inscp,
        act_pay_dedc: dedc,
        hifp_pay: pool.amount,
        pool_prop_selfpay: pool.ratio,
        cvlserv_pay: civil,
        hifes_pay: Fen::ZERO,
        hifmi_pay: serious,
        hifob_pay: large,
        maf_pay: relief,
        oth_pay: Fen::ZERO,
        hifdm_pay: Fen::ZERO,
        fund_pay_sumamt: fund,
        psn_part_amt: psn_part,
        acct_pay,
        psn_cash_pay: cash,
        hosp_part_amt: Fen::ZERO,
        balc: claim.account.own_balance - own,
        acct_mulaid_pay: family,
        details: run.details,
        year_change: Accumulators {
            outpatient_dedc: only_if(!inpatient, dedc),
            inpatient_dedc: only_if(inpatient, dedc),
            outpatient_pool: only_if(!inpatient, pool.amount),
            inpatient_pool: only_if(inpatient, pool.amount),
            large_amount: large,
            serious_burden: only_if(counts_as_burden, burden),
            serious_illness: serious,
            assistance: relief,
            stays: i32::from(inpatient),
        },
        steps: run.steps,
    })
}

fn check_inputs(policy: &Policy, claim: &Claim) -> Result<(), BenefitError> {
    if !policy.covers(claim.psn_type) {
        return Err(BenefitError::PersonNotCovered {
            policy: policy.head.name_zh.clone(),
            psn_type: claim.psn_type,
        });
    }
    // Adding nothing checks every accumulator's range.
    claim.year.plus(&Accumulators::default())?;
    in_range("balc", claim.account.own_balance)?;
    in_range("family balance", claim.account.family_balance)?;
    Ok(())
}

/// Rows and explanation, collected on the way.
#[derive(Default)]
struct Run {
    details: Vec<DetailRow>,
    steps: Vec<Step>,
}

impl Run {
    fn say(&mut self, zh: String, en: String) {
        self.steps.push(Step { zh, en });
    }

    /// Adds a `setldetail` row and says the same in the explanation.
    fn row(
        &mut self,
        payer: FundPayType,
        scope: Fen,
        limit: Option<Fen>,
        paid: Fen,
        how: (String, String),
    ) {
        let (zh, en) = how;
        self.say(
            format!("{}支付{paid}：{zh}", payer.zh()),
            format!("{} pays {paid}: {en}", payer.en()),
        );
        self.details.push(DetailRow {
            fund_pay_type: payer,
            inscp_scp_amt: scope,
            crt_payb_lmt_amt: limit,
            fund_payamt: paid,
            setl_proc_info: zh,
        });
    }
}

/// `min(inscp, standard - year to date)`; a deductible owed by the stay ignores the year.
fn deductible(policy: &Policy, claim: &Claim, rule: &Rule) -> Fen {
    let (stays, year_to_date) = match claim.med_type {
        MedType::Outpatient => (0, claim.year.outpatient_dedc),
        MedType::Inpatient => (claim.year.stays, claim.year.inpatient_dedc),
    };
    let standard = rule.deductible(stays);
    let due = match policy.care(claim.med_type).basis {
        DeductibleBasis::Year => (standard - year_to_date).max(Fen::ZERO),
        DeductibleBasis::Stay => standard,
    };
    due.min(claim.totals.inscp_scp())
}

/// Pool payments of the year that count towards the pool's limit.
fn pool_used(policy: &Policy, year: &Accumulators) -> Fen {
    let outpatient = if policy.care(MedType::Outpatient).within_pool_cap {
        year.outpatient_pool
    } else {
        Fen::ZERO
    };
    outpatient + year.inpatient_pool
}

fn pool_remaining(policy: &Policy, claim: &Claim) -> Fen {
    let care = policy.care(claim.med_type);
    let of_pool = care
        .within_pool_cap
        .then(|| policy.pool_cap - pool_used(policy, &claim.year));
    // Only outpatient care has a limit of its own.
    let of_care = care.cap.map(|cap| cap - claim.year.outpatient_pool);
    let remaining = match (of_pool, of_care) {
        (Some(a), Some(b)) => a.min(b),
        (Some(a), None) | (None, Some(a)) => a,
        (None, None) => Fen::ZERO,
    };
    remaining.max(Fen::ZERO)
}

fn pay_pool(policy: &Policy, claim: &Claim, rule: Option<&Rule>, dedc: Fen, run: &mut Run) -> Paid {
    let inscp = claim.totals.inscp_scp();
    let payer = policy.head.insutype.pool();
    let Some(rule) = rule else {
        let how = (
            format!(
                "{}在{}机构{}无统筹待遇",
                claim.psn_type.zh(),
                claim.level.zh(),
                claim.med_type.zh()
            ),
            format!(
                "no pool benefit for {} {} care at {}",
                claim.psn_type.en(),
                claim.med_type.en(),
                claim.level.en()
            ),
        );
        run.row(payer, inscp, Some(Fen::ZERO), Fen::ZERO, how);
        return Paid {
            amount: Fen::ZERO,
            ratio: Ratio::ZERO,
            beyond_cap: Fen::ZERO,
        };
    };
    run.say(format!("起付线{dedc}"), format!("deductible {dedc}"));
    let remaining = pool_remaining(policy, claim);
    let factor = policy.cross_city(claim.cross_city);
    let paid = pool::pay(&rule.segments, factor, dedc, inscp, remaining);
    let place = claim.cross_city;
    let how = (
        format!(
            "{}{}，{}，支付比例{}，可支付限额{remaining}",
            claim.level.zh(),
            claim.med_type.zh(),
            place.zh(),
            paid.ratio
        ),
        format!(
            "{} {}, {}, ratio {}, limit left {remaining}",
            claim.level.en(),
            claim.med_type.en(),
            place.en(),
            paid.ratio
        ),
    );
    run.row(payer, inscp, Some(remaining), paid.amount, how);
    paid
}

fn pay_large_amount(policy: &Policy, claim: &Claim, pool: &Paid, run: &mut Run) -> Fen {
    let Some(rule) = &policy.large_amount else {
        return Fen::ZERO;
    };
    if pool.beyond_cap == Fen::ZERO || !rule.applies_to.contains(&claim.med_type) {
        return Fen::ZERO;
    }
    let counted_now = if policy.care(claim.med_type).within_pool_cap {
        pool.amount
    } else {
        Fen::ZERO
    };
    let used = pool_used(policy, &claim.year) + counted_now + claim.year.large_amount;
    let remaining = (rule.total_cap - used).max(Fen::ZERO);
    let paid = rule.ratio.of(pool.beyond_cap).min(remaining);
    let how = (
        format!("超统筹限额费用{}，比例{}", pool.beyond_cap, rule.ratio),
        format!(
            "cost beyond the pool's limit {}, ratio {}",
            pool.beyond_cap, rule.ratio
        ),
    );
    run.row(
        FundPayType::LargeAmount,
        pool.beyond_cap,
        Some(remaining),
        paid,
        how,
    );
    paid
}

fn pay_serious_illness(policy: &Policy, claim: &Claim, burden: Fen, run: &mut Run) -> Fen {
    let Some(rule) = &policy.serious_illness else {
        return Fen::ZERO;
    };
    if !rule.applies_to.contains(&claim.med_type) {
        return Fen::ZERO;
    }
    let before = claim.year.serious_burden;
    let from = before.max(rule.threshold);
    let to = before + burden;
    if to <= from {
        return Fen::ZERO;
    }
    // Segments are crossed by the year, so each bill pays the difference it makes.
    let paid = pool::slices(&rule.segments, from, to)
        .map(|(cost, ratio)| ratio.of(cost))
        .sum();
    let how = (
        format!("年度合规自付{before}增至{to}，起付{}", rule.threshold),
        format!(
            "in-scope burden of the year from {before} to {to}, threshold {}",
            rule.threshold
        ),
    );
    run.row(FundPayType::SeriousIllness, to - from, None, paid, how);
    paid
}

fn pay_civil_servant(policy: &Policy, claim: &Claim, left: Fen, run: &mut Run) -> Fen {
    let Some(ratio) = policy.civil_servant.filter(|_| claim.civil_servant) else {
        return Fen::ZERO;
    };
    let paid = ratio.of(left);
    let how = (
        format!("范围内自付{left}，比例{ratio}"),
        format!("in-scope rest {left}, ratio {ratio}"),
    );
    run.row(FundPayType::CivilServant, left, None, paid, how);
    paid
}

fn pay_assistance(policy: &Policy, claim: &Claim, left: Fen, run: &mut Run) -> Fen {
    let (Some(rule), Some(status)) = (&policy.assistance, claim.assistance) else {
        return Fen::ZERO;
    };
    let Some(ratio) = rule.ratios.get(&status) else {
        return Fen::ZERO;
    };
    if !rule.applies_to.contains(&claim.med_type) {
        return Fen::ZERO;
    }
    let remaining = rule
        .cap
        .map(|cap| (cap - claim.year.assistance).max(Fen::ZERO));
    let due = ratio.of(left);
    let paid = remaining.map_or(due, |limit| due.min(limit));
    let how = (
        format!("{}，范围内自付{left}，比例{ratio}", status.zh()),
        format!("{}, in-scope rest {left}, ratio {ratio}", status.en()),
    );
    run.row(FundPayType::Assistance, left, remaining, paid, how);
    paid
}

/// Own account, then family account. They may pay any part of the bill: the published message pays
/// even the share paid first from the account.
fn pay_account(claim: &Claim, psn_part: Fen, run: &mut Run) -> (Fen, Fen) {
    let account = &claim.account;
    let (own_limit, family_limit) = match account.used {
        AcctUsed::None => return (Fen::ZERO, Fen::ZERO),
        AcctUsed::Own => (account.own_balance, Fen::ZERO),
        AcctUsed::Family => (account.own_balance, account.family_balance),
    };
    let own = psn_part.min(own_limit);
    let family = (psn_part - own).min(family_limit);
    let paid = own + family;
    if paid != Fen::ZERO {
        let how = (
            format!("本人{own}，家庭共济{family}"),
            format!("own {own}, family {family}"),
        );
        let limit = Some(own_limit + family_limit);
        run.row(FundPayType::PersonalAccount, psn_part, limit, paid, how);
    }
    (own, family)
}
