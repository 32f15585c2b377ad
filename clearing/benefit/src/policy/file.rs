//! The policy file: its form, and the rules a file must keep.
//!
//! Amounts are in fen (`*_fen`), ratios in basis points (`*_bp`, 1/10000). TOML allows
//! underscores: `600_00` reads as 600 yuan, `88_00` as 88 per cent.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::Fen;
use serde::Deserialize;

use super::{
    Assistance, Care, CrossCityFactors, DeductibleBasis, LargeAmount, Policy, PolicyHead, Rule,
    Segment, SeriousIllness,
};
use crate::code::{AssistanceStatus, HospitalLevel, InsuType, MedType, PsnType};
use crate::decimal::Ratio;
use crate::error::DataError;
use crate::line::MAX_AMOUNT;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    policy: PolicyHead,
    pool: PoolForm,
    outpatient: OutpatientForm,
    inpatient: InpatientForm,
    cross_city: CrossCityForm,
    large_amount: Option<LargeAmountForm>,
    serious_illness: Option<SeriousIllnessForm>,
    civil_servant: Option<CivilServantForm>,
    assistance: Option<AssistanceForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolForm {
    cap_fen: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutpatientForm {
    cap_fen: Option<i64>,
    within_pool_cap: bool,
    rule: Vec<RuleForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InpatientForm {
    deductible_basis: DeductibleBasis,
    rule: Vec<RuleForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    persons: Vec<PsnType>,
    levels: Vec<HospitalLevel>,
    deductible_fen: Vec<i64>,
    segments: Vec<SegmentForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentForm {
    to_fen: Option<i64>,
    ratio_bp: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CrossCityForm {
    filed_bp: u32,
    referral_bp: u32,
    unfiled_bp: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LargeAmountForm {
    applies_to: Vec<CareName>,
    ratio_bp: u32,
    total_cap_fen: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeriousIllnessForm {
    applies_to: Vec<CareName>,
    threshold_fen: i64,
    segments: Vec<SegmentForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CivilServantForm {
    ratio_bp: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssistanceForm {
    applies_to: Vec<CareName>,
    cap_fen: Option<i64>,
    ratio_bp: BTreeMap<AssistanceStatus, u32>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum CareName {
    Outpatient,
    Inpatient,
}

impl From<CareName> for MedType {
    fn from(name: CareName) -> Self {
        match name {
            CareName::Outpatient => Self::Outpatient,
            CareName::Inpatient => Self::Inpatient,
        }
    }
}

/// Field path and problem; the file's name is added at the top.
type Refused = (String, String);

pub(super) fn parse(text: &str, file: &str) -> Result<Policy, DataError> {
    let form: Form = toml::from_str(text).map_err(|e| DataError::Form {
        file: file.to_owned(),
        problem: e.to_string(),
    })?;
    build(form).map_err(|(field, problem)| DataError::Field {
        file: file.to_owned(),
        field,
        problem,
    })
}

fn amount(field: &str, fen: i64) -> Result<Fen, Refused> {
    if (0..=MAX_AMOUNT.0).contains(&fen) {
        Ok(Fen(fen))
    } else {
        Err((
            field.to_owned(),
            format!("{fen} is not an amount in fen, zero or more"),
        ))
    }
}

fn ratio(field: &str, bp: u32) -> Result<Ratio, Refused> {
    Ratio::from_units(bp).map_err(|_| {
        (
            field.to_owned(),
            format!("{bp} is more than 10000 basis points (100 %)"),
        )
    })
}

fn build(form: Form) -> Result<Policy, Refused> {
    check_head(&form.policy)?;
    let insutype = form.policy.insutype;
    if form.large_amount.is_some() && insutype != InsuType::Employee {
        return Err((
            "large_amount".to_owned(),
            "belongs to insutype 310 only; residents have serious_illness".to_owned(),
        ));
    }
    if form.serious_illness.is_some() && insutype != InsuType::Resident {
        return Err((
            "serious_illness".to_owned(),
            "belongs to insutype 390 only; employees have large_amount".to_owned(),
        ));
    }
    Ok(Policy {
        head: form.policy,
        pool_cap: amount("pool.cap_fen", form.pool.cap_fen)?,
        outpatient: outpatient(form.outpatient)?,
        inpatient: inpatient(form.inpatient)?,
        cross_city: CrossCityFactors {
            filed: ratio("cross_city.filed_bp", form.cross_city.filed_bp)?,
            referral: ratio("cross_city.referral_bp", form.cross_city.referral_bp)?,
            unfiled: ratio("cross_city.unfiled_bp", form.cross_city.unfiled_bp)?,
        },
        large_amount: form.large_amount.map(large_amount).transpose()?,
        serious_illness: form.serious_illness.map(serious_illness).transpose()?,
        civil_servant: form
            .civil_servant
            .map(|c| ratio("civil_servant.ratio_bp", c.ratio_bp))
            .transpose()?,
        assistance: form.assistance.map(assistance).transpose()?,
    })
}

fn check_head(head: &PolicyHead) -> Result<(), Refused> {
    let filled = [
        ("policy.name_zh", &head.name_zh),
        ("policy.name_en", &head.name_en),
        ("policy.source", &head.source),
    ];
    for (field, text) in filled {
        if text.trim().is_empty() {
            return Err((field.to_owned(), "must not be empty".to_owned()));
        }
    }
    // A year and a month that exist: the first of the month must be a date.
    if format!("{}-01", head.dated)
        .parse::<card_spec::time::CardDate>()
        .is_err()
    {
        return Err((
            "policy.dated".to_owned(),
            format!("`{}` is not a month YYYY-MM", head.dated),
        ));
    }
    Ok(())
}

fn outpatient(form: OutpatientForm) -> Result<Care, Refused> {
    if form.cap_fen.is_none() && !form.within_pool_cap {
        return Err((
            "outpatient.cap_fen".to_owned(),
            "give a limit, or set within_pool_cap = true".to_owned(),
        ));
    }
    let rules = rules("outpatient", form.rule)?;
    // Visits are many and small: neither a stay number nor a bill's own size means anything there.
    if rules
        .values()
        .any(|r| r.deductibles.len() != 1 || r.segments.len() != 1)
    {
        return Err((
            "outpatient.rule".to_owned(),
            "an outpatient rule has one deductible (of the year) and one segment".to_owned(),
        ));
    }
    Ok(Care {
        basis: DeductibleBasis::Year,
        cap: form
            .cap_fen
            .map(|fen| amount("outpatient.cap_fen", fen))
            .transpose()?,
        within_pool_cap: form.within_pool_cap,
        rules,
    })
}

fn inpatient(form: InpatientForm) -> Result<Care, Refused> {
    let rules = rules("inpatient", form.rule)?;
    if form.deductible_basis == DeductibleBasis::Year
        && rules.values().any(|r| r.deductibles.len() != 1)
    {
        return Err((
            "inpatient.rule".to_owned(),
            "a deductible of the year is one amount; only basis `stay` has one for each stay"
                .to_owned(),
        ));
    }
    Ok(Care {
        basis: form.deductible_basis,
        cap: None,
        within_pool_cap: true,
        rules,
    })
}

fn rules(
    care: &str,
    forms: Vec<RuleForm>,
) -> Result<BTreeMap<(PsnType, HospitalLevel), Rule>, Refused> {
    let mut rules = BTreeMap::new();
    for (index, form) in forms.into_iter().enumerate() {
        let path = format!("{care}.rule[{index}]");
        let deductibles = form
            .deductible_fen
            .into_iter()
            .map(|fen| amount(&format!("{path}.deductible_fen"), fen))
            .collect::<Result<Vec<_>, _>>()?;
        if deductibles.is_empty() {
            return Err((
                format!("{path}.deductible_fen"),
                "give one amount, or one for each stay of the year".to_owned(),
            ));
        }
        let rule = Rule {
            deductibles,
            segments: segments(&format!("{path}.segments"), form.segments, Fen::ZERO)?,
        };
        for psn_type in &form.persons {
            for level in &form.levels {
                if rules.insert((*psn_type, *level), rule.clone()).is_some() {
                    return Err((
                        path,
                        format!(
                            "psn_type {} at level {} has a rule already; keep one of them",
                            psn_type.code(),
                            level.code()
                        ),
                    ));
                }
            }
        }
    }
    if rules.is_empty() {
        return Err((
            format!("{care}.rule"),
            "no rule names a person and a level".to_owned(),
        ));
    }
    Ok(rules)
}

fn segments(path: &str, forms: Vec<SegmentForm>, from: Fen) -> Result<Vec<Segment>, Refused> {
    let mut previous = from;
    let mut out = Vec::with_capacity(forms.len());
    let last = forms.len().saturating_sub(1);
    for (index, form) in forms.into_iter().enumerate() {
        let here = format!("{path}[{index}]");
        let to = form
            .to_fen
            .map(|fen| amount(&format!("{here}.to_fen"), fen))
            .transpose()?;
        match to {
            Some(to) if index < last && to > previous => previous = to,
            None if index == last => {}
            _ => {
                return Err((
                    format!("{here}.to_fen"),
                    "ends must rise, and only the last segment has none".to_owned(),
                ));
            }
        }
        out.push(Segment {
            to,
            ratio: ratio(&format!("{here}.ratio_bp"), form.ratio_bp)?,
        });
    }
    if out.is_empty() {
        return Err((path.to_owned(), "give at least one segment".to_owned()));
    }
    Ok(out)
}

fn applies_to(path: &str, names: &[CareName]) -> Result<Vec<MedType>, Refused> {
    let kinds: BTreeSet<MedType> = names.iter().map(|n| MedType::from(*n)).collect();
    if kinds.is_empty() {
        return Err((
            format!("{path}.applies_to"),
            "name outpatient, inpatient or both".to_owned(),
        ));
    }
    Ok(kinds.into_iter().collect())
}

fn large_amount(form: LargeAmountForm) -> Result<LargeAmount, Refused> {
    Ok(LargeAmount {
        applies_to: applies_to("large_amount", &form.applies_to)?,
        ratio: ratio("large_amount.ratio_bp", form.ratio_bp)?,
        total_cap: amount("large_amount.total_cap_fen", form.total_cap_fen)?,
    })
}

fn serious_illness(form: SeriousIllnessForm) -> Result<SeriousIllness, Refused> {
    let threshold = amount("serious_illness.threshold_fen", form.threshold_fen)?;
    Ok(SeriousIllness {
        applies_to: applies_to("serious_illness", &form.applies_to)?,
        threshold,
        segments: segments("serious_illness.segments", form.segments, threshold)?,
    })
}

fn assistance(form: AssistanceForm) -> Result<Assistance, Refused> {
    let ratios = form
        .ratio_bp
        .into_iter()
        .map(|(status, bp)| {
            let field = format!("assistance.ratio_bp.{}", status.code());
            Ok((status, ratio(&field, bp)?))
        })
        .collect::<Result<BTreeMap<_, _>, Refused>>()?;
    Ok(Assistance {
        applies_to: applies_to("assistance", &form.applies_to)?,
        ratios,
        cap: form
            .cap_fen
            .map(|fen| amount("assistance.cap_fen", fen))
            .transpose()?,
    })
}
