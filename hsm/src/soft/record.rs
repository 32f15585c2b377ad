//! Transcripts of ceremonies, signed and kept beside the store.

use hsm_client::{Result, SignPurpose};
use serde_json::json;

use super::SoftHsm;
use crate::{
    ceremony::{Record, Transcript},
    store,
};

impl SoftHsm {
    /// Notes a ceremony, signs its transcript and keeps it as `ceremony-<line>.json` in the HSM's
    /// directory.
    pub fn keep_transcript(&self, transcript: &Transcript) -> Result<Record> {
        let [a, b] = &transcript.officers;
        self.note_as(&format!("{a} + {b}"), "ceremony", json!(transcript))?;
        self.sync()?;
        let vault = self.vault();
        let key = vault.signer(SignPurpose::Audit)?;
        let logs = self.logs()?;
        let mut record = Record {
            transcript: transcript.clone(),
            audit_line: logs.audit.lines(),
            audit_head: logs.audit.head(),
            public_key: hex::encode(key.public_key()?),
            signature: String::new(),
        };
        drop(logs);
        record.signature = hex::encode(key.sign(&record.signing_bytes()?)?);
        let text = serde_json::to_vec_pretty(&record)
            .map_err(|e| store::store(&format!("the transcript cannot be written: {e}")))?;
        let name = format!("ceremony-{}.json", record.audit_line);
        store::write_new(&self.directory, &name, &text)?;
        Ok(record)
    }
}
