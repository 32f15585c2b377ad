//! What can go wrong, and what to do about it.

use card_spec::{Fen, time::CardDate};

use crate::month::Month;

/// Why the policy file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}; check the path and its permissions")]
    Read {
        /// Path as given.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A syntax error, a missing or an unknown field.
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
        /// Path of the field.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Why a step was refused. The record stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocialError {
    /// The monthly pension is not an amount that can be paid.
    #[error("the monthly pension {0} must be more than 0 and at most 1000000.00; correct it")]
    Amount(Fen),
    /// Approved already.
    #[error("this pension is approved already; nothing is left to approve")]
    AlreadyApproved,
    /// Approval dated before the application.
    #[error("approval on {on} is before the application on {applied}; correct the date")]
    ApprovedBeforeApplication {
        /// Date of the approval.
        on: CardDate,
        /// Date of the application.
        applied: CardDate,
    },
    /// A proof of life for a pension that is not approved.
    #[error("this pension is not approved yet; approve the application first")]
    NotApproved,
    /// A proof older than the latest one.
    #[error(
        "a proof of life on {date} is before the latest one on {latest}; the latest one stands"
    )]
    ProofOutOfOrder {
        /// Date of the proof.
        date: CardDate,
        /// Date of the latest proof.
        latest: CardDate,
    },
    /// A month was left out.
    #[error("month {asked} cannot be closed before {expected}; close the months in order")]
    MonthSkipped {
        /// The month asked for.
        asked: Month,
        /// The month that comes next.
        expected: Month,
    },
    /// Beyond the calendar's end (year 9999).
    #[error("the date lies beyond the year 9999; correct it")]
    Calendar,
}
