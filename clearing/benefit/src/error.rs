//! What can go wrong, and what to do about it.

use card_spec::{Fen, id::RegionCode};

use crate::check::Violation;
use crate::code::{InsuType, PsnType};

/// Why a data file (policy, catalogue, institutions) was refused.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file or folder cannot be read.
    #[error("cannot read {file}: {source}; check the path and its permissions")]
    Read {
        /// Path as given.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not the expected form: a syntax error, a missing or an unknown field.
    #[error("{file} is not in the expected form: {problem}")]
    Form {
        /// File name.
        file: String,
        /// The parser's words; they name line and field.
        problem: String,
    },
    /// A field holds a value that makes no sense.
    #[error("{file}: field {field}: {problem}")]
    Field {
        /// File name.
        file: String,
        /// Path of the field, such as `inpatient.rule[2].segments`.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A folder without a single policy file.
    #[error("{folder} holds no *.toml policy file; point to a folder such as data/fujian/benefits")]
    NoPolicies {
        /// Path as given.
        folder: String,
    },
}

/// Why a bill could not be priced or settled. Nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BenefitError {
    /// No policy file covers the region and scheme.
    #[error("no benefit policy for region {region}, insutype {}; add a policy file for it", insutype.code())]
    NoPolicy {
        /// The insured person's region.
        region: RegionCode,
        /// The scheme.
        insutype: InsuType,
    },
    /// The policy says nothing about this person type.
    #[error("{policy} has no rules for psn_type {} ({}); check the person's psn_type and insutype", psn_type.code(), psn_type.en())]
    PersonNotCovered {
        /// Name of the policy.
        policy: String,
        /// The person type asked for.
        psn_type: PsnType,
    },
    /// `det_item_fee_sumamt` is not price times quantity.
    #[error(
        "line amount {amount} is not price x quantity = {expected}; correct the fee line and send it again"
    )]
    AmountMismatch {
        /// The amount sent.
        amount: Fen,
        /// Price times quantity, rounded half up.
        expected: Fen,
    },
    /// An amount that must be zero or more is negative, or too large for (16,2).
    #[error("{field} is {amount}; it must be between 0 and 99999999999999.99")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The amount.
        amount: Fen,
    },
    /// A line whose parts do not add up to its amount.
    #[error(
        "the parts of a priced line do not add up to its amount {amount}; price the line again"
    )]
    LineDoesNotAddUp {
        /// The line's amount.
        amount: Fen,
    },
    /// A bill without lines.
    #[error("the bill has no fee lines; send 2204 before settling")]
    NoLines,
    /// A reversal cannot be reversed.
    #[error("this is already a reversal; settle the bill again instead")]
    AlreadyReversed,
    /// A stored settlement breaks an invariant.
    #[error("the stored settlement is damaged ({0}); compare it with the slip and the ledger")]
    Damaged(#[from] Violation),
}
