//! Pension 养老金: what the clearing house tells of one person's payment.

use card_spec::{Fen, time::CardDate};
use serde::{Deserialize, Serialize};

/// Whether a pension is being paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PensionStatus {
    /// In payment 正常发放.
    InPayment,
    /// Suspended: the yearly proof of life 资格认证 is missing.
    Suspended,
}

/// State of one person's pension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pension {
    /// Person number.
    pub psn_no: String,
    /// Monthly amount.
    pub monthly: Fen,
    /// Status on the clearing house's present day.
    pub status: PensionStatus,
    /// Day of the newest proof of life.
    pub last_proof: Option<CardDate>,
    /// Last day on which that proof is good.
    pub valid_until: Option<CardDate>,
}
