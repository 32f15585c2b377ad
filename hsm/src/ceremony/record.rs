//! A transcript as it is kept: signed by the HSM, and tied to its line in the audit log.

use ed25519_dalek::{Signature, VerifyingKey};
use hsm_client::{HsmError, Result};
use serde::{Deserialize, Serialize};

use super::Transcript;

const LABEL: &[u8] = b"onecard/ceremony/v1\0";

/// A signed transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What happened.
    pub transcript: Transcript,
    /// The line of the audit log that holds it.
    pub audit_line: u64,
    /// Head of the audit chain after that line, hex: it fixes everything before.
    pub audit_head: String,
    /// Public key of the HSM's audit key, hex.
    pub public_key: String,
    /// Ed25519 over label, transcript, line and head; hex. Empty while it is made.
    pub signature: String,
}

impl Record {
    /// What is signed.
    pub(crate) fn signing_bytes(&self) -> Result<Vec<u8>> {
        let signed = (&self.transcript, self.audit_line, &self.audit_head);
        let body = serde_json::to_vec(&signed).map_err(|e| HsmError::Malformed {
            why: format!("the transcript cannot be written: {e}"),
        })?;
        Ok([LABEL, &body].concat())
    }

    /// Whether the HSM with this audit key signed it.
    pub fn verify(&self, public_key: &[u8]) -> Result<()> {
        let what = || HsmError::NotAuthentic {
            what: "the transcript's signature".to_owned(),
        };
        let key = public_key.as_array().ok_or_else(what)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| what())?;
        let signature = hex::decode(&self.signature).map_err(|_| what())?;
        let signature = Signature::from_slice(&signature).map_err(|_| what())?;
        key.verify_strict(&self.signing_bytes()?, &signature)
            .map_err(|_| what())
    }
}
