//! What devices, hospitals, the issuer and staff say to the clearing house, and what it answers.
//!
//! No server and no SQL here: wire types (serde), the numbered [`Outcome`]s, request signing and a
//! blocking [`Client`]. Money is integer fen (`Fen`), times are local card times (Asia/Shanghai)
//! with the business date 清算日 a separate field.
#![forbid(unsafe_code)]

pub mod client;
pub mod day;
pub mod hotlist;
pub mod limits;
pub mod mode;
pub mod national;
pub mod outcome;
pub mod parameters;
pub mod pension;
pub mod record;
pub mod registry;
pub mod tls;
pub mod topup;

pub use client::{Client, ClientError};
pub use outcome::{BatchOutcome, Outcome};
pub use record::{Batch, BatchAnswer, ItemAnswer, Record};
pub use tls::{Tls, TlsError};

/// Header that carries a batch's Ed25519 signature over the exact body, base64.
pub const SIGNATURE_HEADER: &str = "Onecard-Signature";

/// An RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Stable type, `urn:onecard:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Fixed title of the type.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// Short code.
    pub code: String,
    /// Fields at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldError {
    /// JSON pointer or field name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}
