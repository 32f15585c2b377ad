//! Operators: who runs what, and where their money goes.

use card_spec::id::RegionCode;
use serde::{Deserialize, Serialize};

use crate::OperatorId;

/// What an operator sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorKind {
    /// Buses 公交.
    Bus,
    /// Metro 地铁.
    Metro,
    /// Bus rapid transit with gates 快速公交.
    Brt,
    /// Taxis 出租车.
    Taxi,
    /// Kerb-side parking 道路停车.
    StreetParking,
    /// Car parks 停车场.
    CarPark,
}

/// A row of `operators.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The id, used by feeds, tariffs and clearing alike.
    pub id: OperatorId,
    /// Name in Chinese.
    pub zh: String,
    /// Name in English.
    pub en: String,
    /// What it sells.
    pub kind: OperatorKind,
    /// City.
    pub city: RegionCode,
    /// Label of the account that clearing settles to. Synthetic in the example data.
    pub settlement_account: String,
}
