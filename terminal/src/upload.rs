//! Store and forward: the oldest waiting records go up in signed batches, as often as it takes.
//!
//! No thread and no timer in here: a driver calls [`upload`] when it likes. A repeated upload is
//! harmless: the same records make the same bytes, and the clearing house answers them as before.

use clearing_api::{Batch, BatchAnswer, BatchOutcome, ClientError, client::sign_body};
use ed25519_dalek::SigningKey;

use crate::{
    journal::{Journal, JournalError, Storage},
    online::Uploads,
};

/// Why an upload did not go through. Nothing is lost: the records stay in the journal.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No answer, or a refusal of the request as such.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The clearing house refused the batch.
    #[error("the clearing house refused the batch {first}..={last}: {}", outcome.text())]
    Refused {
        /// First journal sequence.
        first: u64,
        /// Last journal sequence.
        last: u64,
        /// Why.
        outcome: BatchOutcome,
    },
    /// The answer does not fit the batch.
    #[error("the answer names {got} records, the batch has {sent}: the clearing house is faulty")]
    WrongAnswer {
        /// Records sent.
        sent: usize,
        /// Records answered.
        got: usize,
    },
    /// The answer could not be journalled.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The batch could not be encoded.
    #[error("a batch could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// A batch as it goes over the wire. Drivers that test faults repeat, delay or spoil these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBatch {
    /// First journal sequence.
    pub first: u64,
    /// Last journal sequence.
    pub last: u64,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Ed25519 over the body.
    pub signature: [u8; 64],
}

impl SignedBatch {
    /// Encodes and signs a batch.
    pub fn new(batch: &Batch, key: &SigningKey) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(batch)?;
        let signature = sign_body(key, &body);
        Ok(Self {
            first: batch.first,
            last: batch.last,
            body,
            signature,
        })
    }
}

/// The next batch of at most `max` records, fixed and signed; `None` when nothing waits.
pub fn next_batch<S: Storage>(
    journal: &mut Journal<S>,
    key: &SigningKey,
    max: usize,
) -> Result<Option<SignedBatch>, UploadError> {
    let batch = journal.send(max)?;
    Ok(batch.map(|b| SignedBatch::new(&b, key)).transpose()?)
}

/// Journals the answer to a batch that this journal made, and thereby moves the upload cursor.
pub fn accept_answer<S: Storage>(
    journal: &mut Journal<S>,
    batch: &SignedBatch,
    answer: &BatchAnswer,
) -> Result<(), UploadError> {
    let (first, last) = (batch.first, batch.last);
    if !matches!(
        answer.outcome,
        BatchOutcome::Admitted | BatchOutcome::Repeated
    ) {
        return Err(UploadError::Refused {
            first,
            last,
            outcome: answer.outcome,
        });
    }
    let matches = answer
        .items
        .iter()
        .map(|item| item.journal_seq)
        .eq(first..=last);
    if !matches {
        let sent = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        return Err(UploadError::WrongAnswer {
            sent,
            got: answer.items.len(),
        });
    }
    Ok(journal.answered(first, last, answer)?)
}

/// Sends the next batch and journals its answer. `None` when nothing waits.
pub fn upload<S: Storage>(
    journal: &mut Journal<S>,
    key: &SigningKey,
    max: usize,
    to: &mut dyn Uploads,
) -> Result<Option<BatchAnswer>, UploadError> {
    let Some(batch) = next_batch(journal, key, max)? else {
        return Ok(None);
    };
    let answer = to.upload(&batch.body, &batch.signature)?;
    accept_answer(journal, &batch, &answer)?;
    Ok(Some(answer))
}
