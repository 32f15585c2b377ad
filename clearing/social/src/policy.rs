//! The policy file of the workflows (data/fujian/social.toml).

use std::path::Path;

use serde::Deserialize;

use crate::error::PolicyError;
use crate::month::Month;

/// Rules of the pension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PensionPolicy {
    /// A proof of life covers its own month and this many months after it.
    pub proof_valid_months: u16,
}

/// The policy, with its source and date.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocialPolicy {
    /// Where the rules come from.
    pub source: String,
    /// Their date.
    pub dated: Month,
    /// Whether somebody compared them with the published regulation.
    pub verified: bool,
    /// Pension rules.
    pub pension: PensionPolicy,
}

impl SocialPolicy {
    /// Reads the policy file (TOML).
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Read {
            file: file.clone(),
            source,
        })?;
        Self::parse(&text, &file)
    }

    /// As [`SocialPolicy::load`], from text; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text).map_err(|e| PolicyError::Form {
            file: file.to_owned(),
            problem: e.to_string(),
        })?;
        let refuse = |field, problem: &str| PolicyError::Field {
            file: file.to_owned(),
            field,
            problem: problem.to_owned(),
        };
        if policy.source.trim().is_empty() {
            return Err(refuse("source", "must not be empty"));
        }
        if !(1..=120).contains(&policy.pension.proof_valid_months) {
            return Err(refuse(
                "pension.proof_valid_months",
                "must be 1 to 120 months",
            ));
        }
        Ok(policy)
    }
}
