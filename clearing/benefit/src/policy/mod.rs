//! Benefit policy 待遇政策: what one region pays in one scheme.

mod file;

use std::collections::BTreeMap;
use std::path::Path;

use card_spec::{Fen, id::RegionCode};
use serde::{Deserialize, Serialize};

use crate::code::{AssistanceStatus, CrossCity, HospitalLevel, InsuType, MedType, PsnType};
use crate::decimal::Ratio;
use crate::error::{BenefitError, DataError};

/// What a policy is and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyHead {
    /// Pooling region 统筹区: the insured person's, not the hospital's.
    pub region: RegionCode,
    /// Scheme.
    pub insutype: InsuType,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Where the figures come from.
    pub source: String,
    /// Their date, `YYYY-MM`.
    pub dated: String,
    /// Whether somebody compared the figures with the published regulation.
    pub verified: bool,
}

/// Whether a deductible is used up over the year or owed by every stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeductibleBasis {
    /// `standard - paid this year`.
    Year,
    /// Every stay owes its own, by the number of the stay.
    Stay,
}

/// Costs up to `to` (from the previous segment's end) are paid at `ratio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Upper end; `None` in the last segment.
    pub(crate) to: Option<Fen>,
    pub(crate) ratio: Ratio,
}

/// What a person type gets at a hospital level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// By stay number; the last one repeats. Never empty.
    deductibles: Vec<Fen>,
    /// Ascending, the last one open. Never empty.
    pub(crate) segments: Vec<Segment>,
}

impl Rule {
    /// The standard for the next stay when `stays` are already settled this year.
    pub(crate) fn deductible(&self, stays: i32) -> Fen {
        let index = usize::try_from(stays).unwrap_or(0);
        let standard = self.deductibles.get(index).or(self.deductibles.last());
        standard.copied().unwrap_or(Fen::ZERO)
    }
}

/// Outpatient or inpatient care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Care {
    pub(crate) basis: DeductibleBasis,
    /// The care's own yearly limit of pool payments.
    pub(crate) cap: Option<Fen>,
    /// Whether its payments count towards the pool's yearly limit.
    pub(crate) within_pool_cap: bool,
    rules: BTreeMap<(PsnType, HospitalLevel), Rule>,
}

impl Care {
    pub(crate) fn rule(&self, psn_type: PsnType, level: HospitalLevel) -> Option<&Rule> {
        self.rules.get(&(psn_type, level))
    }
}

/// Large amount 大额 (employees): a share of what the pool's limit cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LargeAmount {
    pub(crate) applies_to: Vec<MedType>,
    pub(crate) ratio: Ratio,
    /// Pool (as far as it counts towards its limit) and large amount together, a year.
    pub(crate) total_cap: Fen,
}

/// Serious illness 大病 (residents): shares of the year's in-scope cost left to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriousIllness {
    pub(crate) applies_to: Vec<MedType>,
    /// Burden from which it begins.
    pub(crate) threshold: Fen,
    pub(crate) segments: Vec<Segment>,
}

/// Medical assistance 医疗救助: a share of the in-scope cost that is still left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assistance {
    pub(crate) applies_to: Vec<MedType>,
    pub(crate) ratios: BTreeMap<AssistanceStatus, Ratio>,
    pub(crate) cap: Option<Fen>,
}

/// Factors on the pool's ratio for visits outside the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CrossCityFactors {
    pub(crate) filed: Ratio,
    pub(crate) referral: Ratio,
    pub(crate) unfiled: Ratio,
}

/// One region's rules in one scheme. Made from a policy file only, so it is always consistent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name, source and date.
    pub head: PolicyHead,
    pub(crate) pool_cap: Fen,
    outpatient: Care,
    inpatient: Care,
    cross_city: CrossCityFactors,
    pub(crate) large_amount: Option<LargeAmount>,
    pub(crate) serious_illness: Option<SeriousIllness>,
    pub(crate) civil_servant: Option<Ratio>,
    pub(crate) assistance: Option<Assistance>,
}

impl Policy {
    /// Reads a policy from the text of a TOML file; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, DataError> {
        file::parse(text, file)
    }

    pub(crate) fn care(&self, med_type: MedType) -> &Care {
        match med_type {
            MedType::Outpatient => &self.outpatient,
            MedType::Inpatient => &self.inpatient,
        }
    }

    /// Whether the policy has any rule for this person type.
    pub fn covers(&self, psn_type: PsnType) -> bool {
        let cares = [&self.outpatient, &self.inpatient];
        let mut rules = cares.iter().flat_map(|care| care.rules.keys());
        rules.any(|(covered, _)| *covered == psn_type)
    }

    pub(crate) fn cross_city(&self, kind: CrossCity) -> Ratio {
        match kind {
            CrossCity::Local => Ratio::ONE,
            CrossCity::Filed => self.cross_city.filed,
            CrossCity::Referral => self.cross_city.referral,
            CrossCity::Unfiled => self.cross_city.unfiled,
        }
    }
}

/// Every policy of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySet(BTreeMap<(RegionCode, InsuType), Policy>);

impl PolicySet {
    /// Reads every `*.toml` of a folder, in name order. Refuses an empty folder and two files for
    /// the same region and scheme.
    pub fn load_dir(folder: &Path) -> Result<Self, DataError> {
        let read = |path: &Path, source| DataError::Read {
            file: path.display().to_string(),
            source,
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| read(folder, e))? {
            let path = entry.map_err(|e| read(folder, e))?.path();
            if path.extension().is_some_and(|ext| ext == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut set = Self::default();
        for path in &paths {
            let text = std::fs::read_to_string(path).map_err(|e| read(path, e))?;
            let file = path.display().to_string();
            set.insert(Policy::parse(&text, &file)?, &file)?;
        }
        if set.0.is_empty() {
            return Err(DataError::NoPolicies {
                folder: folder.display().to_string(),
            });
        }
        Ok(set)
    }

    fn insert(&mut self, policy: Policy, file: &str) -> Result<(), DataError> {
        let key = (policy.head.region, policy.head.insutype);
        if self.0.contains_key(&key) {
            return Err(DataError::Field {
                file: file.to_owned(),
                field: "policy.region".to_owned(),
                problem: format!(
                    "another file already covers region {}, insutype {}; keep one of them",
                    key.0,
                    key.1.code()
                ),
            });
        }
        self.0.insert(key, policy);
        Ok(())
    }

    /// The policy for an insured person's region (`insuplc_admdvs`) and scheme. Counties and
    /// districts pool with their city, so `350102` finds `350100` unless it has a file of its own.
    pub fn get(&self, region: RegionCode, insutype: InsuType) -> Result<&Policy, BenefitError> {
        let [province, city, _] = region.to_bytes();
        let pooled = RegionCode::from_bytes([province, city, 0]).unwrap_or(region);
        self.0
            .get(&(region, insutype))
            .or_else(|| self.0.get(&(pooled, insutype)))
            .ok_or(BenefitError::NoPolicy { region, insutype })
    }

    /// Every policy, by region and scheme.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.values()
    }
}
