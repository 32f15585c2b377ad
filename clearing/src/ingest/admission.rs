//! Admission: one durable row a signed batch, before anything is decided about its records.

use super::digest;
use crate::error::{ClearingError, Result};
use crate::house::House;
use crate::store::{Admission, Admitted, OpenBatch, Store};
use clearing_api::{Batch, BatchAnswer, BatchOutcome, record::MAX_BATCH, registry::Device};
use ed25519_dalek::{Signature, VerifyingKey};

/// Whether `signature` is the device's over `body`.
pub(crate) fn is_signed_by(device: &Device, body: &[u8], signature: &[u8]) -> bool {
    let mut key = [0; 32];
    if hex::decode_to_slice(&device.public_key, &mut key).is_err() {
        return false;
    }
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_bytes(&key),
        Signature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify_strict(body, &signature).is_ok()
}

/// Whether the records are exactly `first..=last`, in order.
fn is_whole(batch: &Batch) -> bool {
    batch.first >= 1
        && i64::try_from(batch.last).is_ok()
        && !batch.records.is_empty()
        && batch.records.len() <= MAX_BATCH
        && batch
            .records
            .iter()
            .map(|record| record.journal_seq)
            .eq(batch.first..=batch.last)
        && batch
            .records
            .iter()
            .all(|record| record.completes.is_none_or(|seq| seq < record.journal_seq))
}

fn refused(outcome: BatchOutcome) -> BatchAnswer {
    BatchAnswer {
        outcome,
        batch_id: None,
        items: Vec::new(),
    }
}

impl<S: Store> House<S> {
    /// Takes an upload: admits it, applies it, answers item by item. The same bytes again get the
    /// first answer.
    pub async fn upload(&self, body: &[u8], signature: &[u8]) -> Result<BatchAnswer> {
        let Ok(batch) = serde_json::from_slice::<Batch>(body) else {
            return Ok(refused(BatchOutcome::Malformed));
        };
        let Some(device) = self.store.device(batch.device).await? else {
            return Ok(refused(BatchOutcome::UnknownDevice));
        };
        if !is_signed_by(&device, body, signature) {
            return Ok(refused(BatchOutcome::BadSignature));
        }
        if !is_whole(&batch) {
            return Ok(refused(BatchOutcome::Malformed));
        }
        let admission = Admission {
            batch: &batch,
            body,
            hash: digest(body),
            signature,
            at: self.clock.now(),
        };
        match self.store.admit(&admission).await? {
            Admitted::New(id) => self.apply(id, &batch).await,
            Admitted::Before(id, answer) => {
                let answer = match answer {
                    Some(answer) => answer,
                    None => self.apply(id, &batch).await?,
                };
                // One that was set aside has no items to repeat.
                let outcome = match answer.outcome {
                    BatchOutcome::Admitted => BatchOutcome::Repeated,
                    other => other,
                };
                Ok(BatchAnswer { outcome, ..answer })
            }
            Admitted::Overlap => Ok(refused(BatchOutcome::RangeConflict)),
        }
    }

    /// Re-drives what was admitted and not applied; says how many batches. One that fails does not
    /// stop the others: the first failure is told at the end. One whose bytes cannot be read any more
    /// is set aside for the auditor, who reports it until it is restored.
    pub async fn sweep(&self) -> Result<u64> {
        const ROUND: u32 = 64;
        let (mut done, mut after, mut failed) = (0, 0, None);
        loop {
            let open = self.store.open_batches(after, ROUND).await?;
            if open.is_empty() {
                return failed.map_or(Ok(done), Err);
            }
            for OpenBatch { id, batch } in open {
                if self.stopping() {
                    return Err(ClearingError::Stopping);
                }
                after = id;
                let applied = match &batch {
                    Ok(batch) => self.apply(id, batch).await.map(|_| ()),
                    Err(why) => {
                        tracing::error!("batch {id} is set aside, it cannot be read: {why}");
                        self.store.set_aside(id).await
                    }
                };
                match applied {
                    Ok(()) => done += 1,
                    // The others would wait for the same HSM.
                    Err(why @ ClearingError::Hsm(_)) => return Err(why),
                    Err(why) => {
                        tracing::error!("batch {id} was not applied: {why}");
                        failed.get_or_insert(why);
                    }
                }
            }
        }
    }
}
