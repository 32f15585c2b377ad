//! The rows themselves: batches as signed, records as uploaded, keys used once, running balances.

use super::expected::json;
use super::{AuditCheck, Faults};
use crate::error::Result;
use clearing_api::{Batch, Record};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::collections::{BTreeMap, BTreeSet};

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether a key that the device ever had made this signature.
fn is_signed(keys: Option<&Vec<VerifyingKey>>, body: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = Signature::from_slice(signature) else {
        return false;
    };
    keys.into_iter()
        .flatten()
        .any(|key| key.verify_strict(body, &signature).is_ok())
}

async fn device_keys(tx: &mut SqliteConnection) -> Result<BTreeMap<String, Vec<VerifyingKey>>> {
    let mut keys = BTreeMap::<String, Vec<VerifyingKey>>::new();
    for row in sqlx::query("SELECT device, public_key FROM device_keys")
        .fetch_all(tx)
        .await?
    {
        let mut key = [0; 32];
        if hex::decode_to_slice(row.try_get::<&str, _>("public_key")?, &mut key).is_ok()
            && let Ok(key) = VerifyingKey::from_bytes(&key)
        {
            keys.entry(row.try_get("device")?).or_default().push(key);
        }
    }
    Ok(keys)
}

/// Every batch is a batch, has the bytes that were admitted and a signature of its device over them;
/// ranges of a device do not overlap.
pub(super) async fn batches(tx: &mut SqliteConnection) -> Result<AuditCheck> {
    let mut faults = Faults::default();
    let mut last_of = BTreeMap::<String, i64>::new();
    let mut seen = 0;
    let keys = device_keys(&mut *tx).await?;
    for row in sqlx::query(
        "SELECT id, device, first_seq, last_seq, body, hash, signature FROM batches
         ORDER BY device, first_seq",
    )
    .fetch_all(tx)
    .await?
    {
        seen += 1;
        let id: i64 = row.try_get("id")?;
        if sha256(row.try_get("body")?) != row.try_get::<&str, _>("hash")? {
            faults.add(format!("batch {id}: the bytes are not those admitted"));
        }
        let device: String = row.try_get("device")?;
        if !is_signed(
            keys.get(&device),
            row.try_get("body")?,
            row.try_get("signature")?,
        ) {
            faults.add(format!("batch {id}: no key of device {device} signed it"));
        }
        if serde_json::from_slice::<Batch>(row.try_get("body")?).is_err() {
            faults.add(format!(
                "batch {id}: cannot be read, its records were not written"
            ));
        }
        let (first, last): (i64, i64) = (row.try_get("first_seq")?, row.try_get("last_seq")?);
        let before = last_of.insert(device, last);
        if last < first || before.is_some_and(|before| before >= first) {
            faults.add(format!(
                "batch {id}: range {first}..{last} overlaps another"
            ));
        }
    }
    Ok(faults.check("batches are as signed", seen))
}

/// Every record of an applied batch is one row with the same content; no row comes from elsewhere;
/// each key is claimed once, and only by a proof.
pub(super) async fn records(tx: &mut SqliteConnection) -> Result<Vec<AuditCheck>> {
    let mut uploaded = BTreeMap::<(i64, u64), Record>::new();
    let mut answers = BTreeMap::<(i64, i64), i64>::new();
    for row in sqlx::query("SELECT id, body, answer FROM batches WHERE answer IS NOT NULL")
        .fetch_all(&mut *tx)
        .await?
    {
        let id: i64 = row.try_get("id")?;
        let bytes: &[u8] = row.try_get("body")?;
        // As values, not as text: an optional field may be left out or written as null.
        if let Ok(batch) = serde_json::from_slice::<Batch>(bytes) {
            for record in batch.records {
                uploaded.insert((id, record.journal_seq), record);
            }
        }
        let answer = json(row.try_get("answer")?)?;
        for item in answer["items"].as_array().unwrap_or(&Vec::new()) {
            let seq = item["journal_seq"].as_i64().unwrap_or(-1);
            answers.insert((id, seq), item["number"].as_i64().unwrap_or(-1));
        }
    }
    let mut content = Faults::default();
    let mut keys = Faults::default();
    let (mut cards, mut sams) = (BTreeSet::new(), BTreeSet::new());
    let mut debits = BTreeSet::new();
    let mut seen = 0;
    for row in sqlx::query("SELECT * FROM records ORDER BY device, journal_seq")
        .fetch_all(&mut *tx)
        .await?
    {
        seen += 1;
        let key: (i64, i64) = (row.try_get("batch")?, row.try_get("journal_seq")?);
        let name = format!("{} {}", row.try_get::<&str, _>("device")?, key.1);
        let body: &str = row.try_get("body")?;
        if sha256(body.as_bytes()) != row.try_get::<&str, _>("hash")?
            || uploaded.remove(&(key.0, key.1.unsigned_abs())) != serde_json::from_str(body).ok()
        {
            content.add(format!("{name}: the row is not what was uploaded"));
        }
        if answers.get(&key) != Some(&row.try_get("outcome")?) {
            content.add(format!("{name}: the outcome is not the one answered"));
        }
        let event = &json(body)?["event"];
        let amount: i64 = row.try_get("amount")?;
        if event["event"] == "purchase" && event["amount"].as_i64() != Some(amount) {
            content.add(format!("{name}: the amount is not the one uploaded"));
        }
        let (on_card, on_sam): (i64, i64) =
            (row.try_get("claims_card")?, row.try_get("claims_sam")?);
        let posted: i64 = row.try_get("posted")?;
        if on_card + on_sam + posted > 0 && row.try_get::<i64, _>("proved")? != 1 {
            keys.add(format!("{name}: claims a key without a proof"));
        }
        let card: (String, String, Option<i64>) = (
            row.try_get("pan")?,
            row.try_get("app")?,
            row.try_get("card_seq")?,
        );
        let sam: (Option<String>, Option<i64>) =
            (row.try_get("sam")?, row.try_get("terminal_seq")?);
        if on_card == 1 && !cards.insert(card) || on_sam == 1 && !sams.insert(sam) {
            keys.add(format!("{name}: a key is claimed twice"));
        }
        if on_card == 1 && event["card"]["suite"] != "aes" {
            keys.add(format!("{name}: claims a sequence that its TAC leaves out"));
        }
        if posted == 1 && !debits.insert(debit(&row, event)?) {
            keys.add(format!("{name}: one debit is posted twice"));
        }
    }
    for (batch, seq) in uploaded.keys() {
        content.add(format!("batch {batch} record {seq}: was never written"));
    }
    Ok(vec![
        content.check("records are as uploaded, each once", seen),
        keys.check("card and SAM sequences are claimed once, by proofs", seen),
    ])
}

/// What every suite's TAC covers of a debit, and the TAC: from the body, not from the columns.
fn debit(row: &SqliteRow, event: &Value) -> Result<[String; 6]> {
    Ok([
        row.try_get("pan")?,
        row.try_get("app")?,
        event["sam"].to_string(),
        event["terminal_seq"].to_string(),
        event["time"].to_string(),
        event["debit"]["tac"].to_string(),
    ])
}

/// One live top-up for each card and online sequence; what is confirmed has a TAC, or a later top-up
/// that showed it taken.
pub(super) async fn top_ups(tx: &mut SqliteConnection) -> Result<AuditCheck> {
    let mut faults = Faults::default();
    let mut live = BTreeSet::new();
    let mut seen = 0;
    for row in sqlx::query("SELECT * FROM topups ORDER BY id")
        .fetch_all(tx)
        .await?
    {
        seen += 1;
        let id: i64 = row.try_get("id")?;
        let state: &str = row.try_get("state")?;
        let key: (String, i64) = (row.try_get("pan")?, row.try_get("seq")?);
        if matches!(state, "authorised" | "confirmed") && !live.insert(key) {
            faults.add(format!(
                "top-up {id}: a second one for its card and sequence"
            ));
        }
        let tac: Option<Vec<u8>> = row.try_get("tac")?;
        let taken: Option<i64> = row.try_get("taken_by")?;
        let proved = tac.is_some() || (state == "confirmed" && taken.is_some());
        if (state == "confirmed") != proved {
            faults.add(format!("top-up {id}: {state} and its TAC do not agree"));
        }
        let request = json(row.try_get("request")?)?;
        if request["amount"].as_i64() != Some(row.try_get("amount")?) {
            faults.add(format!("top-up {id}: the amount is not the one asked for"));
        }
    }
    Ok(faults.check("top-ups are authorised once", seen))
}

/// Present account balance = opening balance - what settlements took.
pub(super) async fn accounts(tx: &mut SqliteConnection) -> Result<AuditCheck> {
    let mut used = BTreeMap::<String, i64>::new();
    for row in sqlx::query("SELECT psn_no, body FROM settlements")
        .fetch_all(&mut *tx)
        .await?
    {
        let body = json(row.try_get("body")?)?;
        let own =
            body["acct_pay"].as_i64().unwrap_or(0) - body["acct_mulaid_pay"].as_i64().unwrap_or(0);
        *used.entry(row.try_get("psn_no")?).or_default() += own;
    }
    let mut faults = Faults::default();
    let mut seen = 0;
    for row in sqlx::query("SELECT psn_no, opening, balance FROM accounts")
        .fetch_all(tx)
        .await?
    {
        seen += 1;
        let psn_no: String = row.try_get("psn_no")?;
        let wanted = row.try_get::<i64, _>("opening")? - used.get(&psn_no).copied().unwrap_or(0);
        let found: i64 = row.try_get("balance")?;
        if wanted != found {
            faults.add(format!(
                "{psn_no}: balance {found}, settlements leave {wanted}"
            ));
        }
    }
    Ok(faults.check("personal accounts follow from settlements", seen))
}

/// Yearly accumulators = sum of the settlements' changes, field by field.
pub(super) async fn accumulators(tx: &mut SqliteConnection) -> Result<AuditCheck> {
    type Key = (String, String, i64);
    let mut sums = BTreeMap::<Key, BTreeMap<String, i64>>::new();
    for row in sqlx::query("SELECT psn_no, insutype, year, body FROM settlements")
        .fetch_all(&mut *tx)
        .await?
    {
        let key: Key = (
            row.try_get("psn_no")?,
            row.try_get("insutype")?,
            row.try_get("year")?,
        );
        let body = json(row.try_get("body")?)?;
        let sum = sums.entry(key).or_default();
        for (field, change) in body["year_change"].as_object().into_iter().flatten() {
            *sum.entry(field.clone()).or_default() += change.as_i64().unwrap_or(0);
        }
    }
    let mut faults = Faults::default();
    let mut seen = 0;
    for row in sqlx::query("SELECT psn_no, insutype, year, body FROM accumulators")
        .fetch_all(tx)
        .await?
    {
        seen += 1;
        let key: Key = (
            row.try_get("psn_no")?,
            row.try_get("insutype")?,
            row.try_get("year")?,
        );
        let found: BTreeMap<String, i64> = json(row.try_get("body")?)?
            .as_object()
            .into_iter()
            .flatten()
            .map(|(field, value)| (field.clone(), value.as_i64().unwrap_or(i64::MIN)))
            .collect();
        if sums.remove(&key) != Some(found) {
            faults.add(format!(
                "{} {} {}: not the sum of the settlements",
                key.0, key.1, key.2
            ));
        }
    }
    for (psn_no, insutype, year) in sums.keys() {
        faults.add(format!("{psn_no} {insutype} {year}: no accumulators"));
    }
    Ok(faults.check("yearly accumulators follow from settlements", seen))
}
