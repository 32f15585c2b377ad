//! What goes wrong on purpose: forged records, uploads repeated, late and out of order.

use crate::{
    Result, WorldError,
    chance::{Chance, stream_seed},
    fleet::{Device, device_no},
    network::POSTS,
    setup::House,
    tally::Tally,
};
use card_spec::Fen;
use clearing_api::{
    BatchOutcome, Outcome,
    client::sign_body,
    record::{Batch, Debit, Event, Record},
    registry,
};
use ed25519_dalek::SigningKey;
use std::collections::BTreeSet;
use terminal::upload::SignedBatch;

/// Repeats a device's upload: the answer must be the first one again.
pub(crate) fn upload_twice(house: &House, device: &mut Device, tally: &mut Tally) -> Result<bool> {
    let Some(batch) = device.journal().and_then(|j| j.batch(100)) else {
        return Ok(false);
    };
    let signed =
        SignedBatch::new(&batch, &device.key).map_err(WorldError::at("signing a batch"))?;
    let send = || {
        house
            .public
            .upload(&signed.body, &signed.signature)
            .map_err(WorldError::at("uploading a batch"))
    };
    let (first, second) = (send()?, send()?);
    device.accept(&signed, &second)?;
    tally.batch(&first, &device.via_pcsc);
    tally.batch(&second, &device.via_pcsc);
    Ok(second.outcome == BatchOutcome::Repeated && first.items == second.items)
}

/// Splits what waits in two and sends the second half first.
pub(crate) fn upload_out_of_order(
    house: &House,
    device: &mut Device,
    tally: &mut Tally,
) -> Result<bool> {
    let waiting = device.waiting();
    if waiting.len() < 2 {
        return Ok(false);
    }
    let (early, late) = waiting.split_at(waiting.len() / 2);
    let mut halves = Vec::new();
    for half in [early, late] {
        let (Some(first), Some(last)) = (half.first(), half.last()) else {
            return Ok(false);
        };
        let batch = Batch {
            device: device.no,
            first: first.journal_seq,
            last: last.journal_seq,
            records: half.to_vec(),
        };
        halves.push(
            SignedBatch::new(&batch, &device.key).map_err(WorldError::at("signing a batch"))?,
        );
    }
    let mut answers = Vec::new();
    for signed in halves.iter().rev() {
        let answer = house
            .public
            .upload(&signed.body, &signed.signature)
            .map_err(WorldError::at("uploading a batch"))?;
        tally.batch(&answer, &device.via_pcsc);
        answers.push(answer);
    }
    // The device reads the answers in journal order.
    let admitted = answers.iter().all(|a| a.outcome == BatchOutcome::Admitted);
    for (signed, answer) in halves.iter().zip(answers.iter().rev()) {
        device.accept(signed, answer)?;
    }
    Ok(admitted)
}

/// A validator whose upload key was stolen sends two records that no card made: one with an
/// invented TAC, one in the name of a SAM that nobody issued. Returns their outcomes.
pub(crate) fn forge(house: &House, genuine: &Record, tally: &mut Tally) -> Result<Vec<Outcome>> {
    let mut chance = Chance::stream(house.seed, "forger");
    let device = device_no(POSTS.len())?;
    let key = SigningKey::from_bytes(&stream_seed(house.seed, "stolen-device"));
    let operator = match &genuine.event {
        Event::Purchase(purchase) => purchase.service.operator().to_owned(),
        _ => return Err(WorldError::at("forging a record")("not a purchase")),
    };
    house
        .issuer
        .put_device(&registry::Device {
            device,
            operator,
            public_key: hex::encode(key.verifying_key().to_bytes()),
        })
        .map_err(WorldError::at("registering a device"))?;
    let mut records = Vec::new();
    for journal_seq in 1..=2 {
        let mut record = Record {
            journal_seq,
            completes: None,
            ..genuine.clone()
        };
        if let Event::Purchase(purchase) = &mut record.event {
            purchase.seq += 500;
            purchase.terminal_seq += 500_000;
            purchase.balance_before = Fen(5_000);
            purchase.balance_after = Fen(5_000) - purchase.amount;
            purchase.debit = Debit::Done {
                tac: chance.bytes(),
            };
            if journal_seq == 2 {
                purchase.sam = "350199999999"
                    .parse()
                    .map_err(WorldError::at("naming a false SAM"))?;
            }
        }
        records.push(record);
    }
    let batch = Batch {
        device,
        first: 1,
        last: 2,
        records,
    };
    let body = serde_json::to_vec(&batch).map_err(WorldError::at("writing a batch"))?;
    let answer = house
        .public
        .upload(&body, &sign_body(&key, &body))
        .map_err(WorldError::at("uploading a batch"))?;
    tally.batch(&answer, &BTreeSet::new());
    Ok(answer.items.iter().map(|item| item.outcome).collect())
}
