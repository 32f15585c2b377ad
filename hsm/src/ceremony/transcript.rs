//! What of a ceremony is kept: names, numbers and check values. No secret.

use card_spec::{keys::KcvKind, time::CardTime};
use serde::{Deserialize, Serialize};

use super::{Form, Sheet, Subject};

/// One part as the transcript shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartLine {
    /// Number, from 1.
    pub number: u8,
    /// Who carried it.
    pub custodian: String,
    /// Check value of a component, hex; beginning of the fingerprint of a share.
    pub check: String,
}

/// One key as the transcript shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// Which.
    pub subject: Subject,
    /// Its parts so far.
    pub parts: Vec<PartLine>,
    /// Check value of the formed key, hex; absent until it is formed.
    pub kcv: Option<String>,
    /// Kind of every check value of this key.
    pub kcv_kind: KcvKind,
}

/// What is printed and kept: who was there, and check values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// When.
    pub at: CardTime,
    /// Components or shares, and how many.
    pub form: Form,
    /// The two officers.
    pub officers: [String; 2],
    /// The custodians that were named.
    pub custodians: Vec<String>,
    /// The keys.
    pub keys: Vec<KeyLine>,
    /// The officers who confirmed the check values.
    pub confirmed: Vec<String>,
    /// Who ended it before it was complete.
    pub aborted: Option<String>,
}

/// The public record of a dealing: which parts there are, by fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dealing {
    /// Components or shares, and how many.
    pub form: Form,
    /// Every part.
    pub parts: Vec<DealtPart>,
}

/// One part in the record of a dealing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealtPart {
    /// Of which key.
    pub subject: Subject,
    /// Number, from 1.
    pub number: u8,
    /// To whom it was given.
    pub custodian: String,
    /// SHA-256 of the part, hex.
    pub fingerprint: String,
}

impl Dealing {
    /// The record of these sheets.
    pub fn of(form: Form, sheets: &[Sheet]) -> Self {
        let parts = sheets.iter().flat_map(|sheet| {
            sheet.parts.iter().map(|part| DealtPart {
                subject: part.subject,
                number: part.number,
                custodian: sheet.custodian.clone(),
                fingerprint: hex::encode(part.fingerprint()),
            })
        });
        Self {
            form,
            parts: parts.collect(),
        }
    }

    /// Whether a part is one of them.
    pub(super) fn lists(&self, part: &super::Part) -> bool {
        let fingerprint = hex::encode(part.fingerprint());
        self.parts.iter().any(|p| p.fingerprint == fingerprint)
    }
}
