//! Store and forward: signed batches, repeated answers, nothing lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::SuiteId;
use clearing_api::{Batch, BatchAnswer, BatchOutcome, ClientError, ItemAnswer, Outcome};
use common::*;
use ed25519_dalek::{Signature, SigningKey};
use terminal::{
    online::Uploads,
    upload::{UploadError, accept_answer, next_batch, upload},
};

#[derive(Default)]
struct House {
    bodies: Vec<Vec<u8>>,
    down: bool,
    refuse: bool,
    short: bool,
}

impl Uploads for House {
    fn upload(&mut self, body: &[u8], signature: &[u8; 64]) -> Result<BatchAnswer, ClientError> {
        if self.down {
            return Err(ClientError::Unreachable {
                address: "test".into(),
                why: "down".into(),
            });
        }
        let key = SigningKey::from_bytes(&[0x22; 32]).verifying_key();
        key.verify_strict(body, &Signature::from_bytes(signature))
            .unwrap();
        let batch: Batch = serde_json::from_slice(body).unwrap();
        let seen = self.bodies.iter().any(|b| b == body);
        self.bodies.push(body.to_vec());
        let outcome = match (self.refuse, seen) {
            (true, _) => BatchOutcome::RangeConflict,
            (false, true) => BatchOutcome::Repeated,
            (false, false) => BatchOutcome::Admitted,
        };
        let items = batch
            .records
            .iter()
            .skip(usize::from(self.short))
            .map(|r| ItemAnswer {
                journal_seq: r.journal_seq,
                outcome: Outcome::Accepted,
                number: 0,
                detail: String::new(),
            });
        Ok(BatchAnswer {
            outcome,
            batch_id: Some(1),
            items: items.collect(),
        })
    }
}

#[test]
fn batches_are_consecutive_signed_and_repeatable() {
    let key = SigningKey::from_bytes(&[0x22; 32]);
    let mut rig = Rig::transit(SuiteId::Aes);
    for minute in 0..5 {
        rig.tap(
            &format!("2026-11-23T08:{:02}:00", 10 * minute),
            &bus("FZB39"),
        );
    }
    let mut house = House {
        down: true,
        ..House::default()
    };
    let journal = rig.terminal.journal_mut();
    assert!(matches!(
        upload(journal, &key, 2, &mut house),
        Err(UploadError::Client(_))
    ));
    assert_eq!(journal.waiting().len(), 5);
    house.down = false;

    // The answer is lost on its way: the same bytes go up again and are answered again.
    let batch = next_batch(journal, &key, 2).unwrap().unwrap();
    assert_eq!((batch.first, batch.last), (1, 2));
    house.upload(&batch.body, &batch.signature).unwrap();
    let answer = upload(journal, &key, 2, &mut house).unwrap().unwrap();
    assert_eq!(answer.outcome, BatchOutcome::Repeated);
    assert_eq!(house.bodies[0], house.bodies[1]);

    house.refuse = true;
    assert!(matches!(
        upload(journal, &key, 2, &mut house),
        Err(UploadError::Refused {
            first: 3,
            last: 4,
            outcome: BatchOutcome::RangeConflict
        })
    ));
    (house.refuse, house.short) = (false, true);
    assert!(matches!(
        upload(journal, &key, 2, &mut house),
        Err(UploadError::WrongAnswer { sent: 2, got: 1 })
    ));
    house.short = false;
    assert_eq!(journal.waiting().len(), 3, "what was refused still waits");
    while upload(journal, &key, 2, &mut house).unwrap().is_some() {}
    assert_eq!(journal.waiting().len(), 0);
    // A late answer to what is long done changes nothing.
    let late = house.upload(&batch.body, &batch.signature).unwrap();
    assert!(matches!(
        accept_answer(journal, &batch, &late),
        Err(UploadError::Journal(_))
    ));
}
