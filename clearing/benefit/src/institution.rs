//! Designated medical institutions (定点医药机构).

use std::collections::BTreeMap;
use std::path::Path;

use card_spec::id::RegionCode;
use serde::{Deserialize, Serialize};

use crate::code::HospitalLevel;
use crate::error::DataError;

/// Institution code `fixmedins_code`: 12 ASCII letters or digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FixmedinsCode(String);

impl FixmedinsCode {
    /// The 12 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FixmedinsCode {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(text))
        } else {
            Err(format!(
                "fixmedins_code `{text}` must be 12 letters or digits"
            ))
        }
    }
}

impl From<FixmedinsCode> for String {
    fn from(code: FixmedinsCode) -> Self {
        code.0
    }
}

impl std::borrow::Borrow<str> for FixmedinsCode {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for FixmedinsCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One hospital or clinic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// `fixmedins_code`.
    pub fixmedins_code: FixmedinsCode,
    /// Chinese name, `fixmedins_name`: at most 20 characters.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Level, which decides deductible and ratio.
    pub level: HospitalLevel,
    /// `mdtrtarea_admvs`: the region of the institution.
    pub city: RegionCode,
}

/// The file, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    source: String,
    dated: String,
    institution: Vec<Institution>,
}

/// The institutions, by code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institutions {
    /// Where the list comes from.
    pub source: String,
    /// Its date, `YYYY-MM`.
    pub dated: String,
    by_code: BTreeMap<FixmedinsCode, Institution>,
}

impl Institutions {
    /// Reads an institutions file (TOML).
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| DataError::Read {
            file: file.clone(),
            source,
        })?;
        Self::parse(&text, &file)
    }

    /// As [`Institutions::load`], from text; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, DataError> {
        let form: Form = toml::from_str(text).map_err(|e| DataError::Form {
            file: file.to_owned(),
            problem: e.to_string(),
        })?;
        let mut by_code = BTreeMap::new();
        for (index, institution) in form.institution.into_iter().enumerate() {
            let refuse = |field: &str, problem: String| DataError::Field {
                file: file.to_owned(),
                field: format!("institution[{index}].{field}"),
                problem,
            };
            if !(1..=20).contains(&institution.name_zh.chars().count()) {
                return Err(refuse(
                    "name_zh",
                    "must be 1 to 20 characters (fixmedins_name)".to_owned(),
                ));
            }
            let code = institution.fixmedins_code.clone();
            if by_code.insert(code.clone(), institution).is_some() {
                return Err(refuse(
                    "fixmedins_code",
                    format!("{code} occurs twice; keep one of them"),
                ));
            }
        }
        Ok(Self {
            source: form.source,
            dated: form.dated,
            by_code,
        })
    }

    /// The institution with this code.
    pub fn get(&self, fixmedins_code: &str) -> Option<&Institution> {
        self.by_code.get(fixmedins_code)
    }

    /// Every institution, by code.
    pub fn iter(&self) -> impl Iterator<Item = &Institution> {
        self.by_code.values()
    }
}
