//! Pure medical-benefit engine (医保待遇): policy data in, settlement out.
//!
//! One bill goes through four functions of values, without clock, store or network:
//!
//! 1. [`price_line`] splits each fee line by the catalogue (自费, 超限价, 先行自付, 符合范围);
//! 2. [`ClaimTotals::of`] adds the lines up;
//! 3. [`settle`] divides the total between the funds, the personal account and cash, by the
//!    [`Policy`] of the insured person's region and scheme;
//! 4. [`check`] proves the five invariants; [`reverse`] undoes a settlement.
//!
//! No ratio, limit or deductible is written in code: all of them come from dated, sourced policy
//! files ([`PolicySet::load_dir`]). The engine decides money only; whether a person is insured at
//! all, and who they are, is decided before it is called.
//!
//! Field names follow the national designated-institution interface (2204, 2206, 2207, 2208).

mod accumulators;
mod catalogue;
mod check;
mod code;
mod decimal;
mod error;
mod institution;
mod line;
mod policy;
mod pool;
mod reverse;
mod settle;
mod settlement;

pub use accumulators::Accumulators;
pub use catalogue::{Catalogue, CatalogueItem, ListCode};
pub use check::{Violation, check, check_reversal};
pub use code::{
    AcctUsed, AssistanceStatus, ChargeClass, CrossCity, FundPayType, HospitalLevel, InsuType,
    MedType, PsnType,
};
pub use decimal::{Quantity, Ratio, UnitPrice};
pub use error::{BenefitError, DataError};
pub use institution::{FixmedinsCode, Institution, Institutions};
pub use line::{ClaimTotals, Fee, MAX_AMOUNT, PricedLine, price_line};
pub use policy::{Policy, PolicyHead, PolicySet};
pub use reverse::reverse;
pub use settle::{Account, Claim, settle};
pub use settlement::{DetailRow, Kind, Settlement, Step};
