//! Closed days: the kept report against the rows.

use super::expected::json;
use super::{AuditCheck, Expected, Faults};
use crate::error::Result;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

pub(super) async fn reports(tx: &mut SqliteConnection, expected: &Expected) -> Result<AuditCheck> {
    let mut faults = Faults::default();
    let days = sqlx::query("SELECT day, report FROM days WHERE report IS NOT NULL ORDER BY day")
        .fetch_all(&mut *tx)
        .await?;
    for row in &days {
        let day: &str = row.try_get("day")?;
        let report = json(row.try_get("report")?)?;
        if report["trial_sum"].as_i64() != Some(0) {
            faults.add(format!("{day}: the trial balance does not sum to zero"));
        }
        if report["digest"].as_str() != Some(digest(&mut *tx, day).await?.as_str()) {
            faults.add(format!("{day}: the rows are not those that were closed"));
        }
        let mut balances = BTreeMap::<&str, i64>::new();
        for ((_, _, debit, credit), (on, amount)) in expected {
            if on.as_str() <= day {
                *balances.entry(debit).or_default() -= amount;
                *balances.entry(credit).or_default() += amount;
            }
        }
        let kept: BTreeMap<&str, i64> = report["trial_balance"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|line| {
                let account = line["account"].as_str().unwrap_or_default();
                (account, line["balance"].as_i64().unwrap_or(i64::MIN))
            })
            .collect();
        if kept != balances {
            faults.add(format!(
                "{day}: the trial balance is not what the rows call for"
            ));
        }
        let float = balances.get("purse-float").copied().unwrap_or(0);
        if report["purse_float"].as_i64() != Some(float) {
            faults.add(format!(
                "{day}: the purse float is not what the rows call for"
            ));
        }
    }
    Ok(faults.check("closed days follow from the rows", days.len()))
}

/// The digest of a day's rows: `key|outcome|hash`, in key order.
async fn digest(tx: &mut SqliteConnection, day: &str) -> Result<String> {
    let mut lines = BTreeMap::<String, String>::new();
    for row in sqlx::query(
        "SELECT printf('record|%s|%020d', device, journal_seq) AS key, outcome, body FROM records
         WHERE day = $1",
    )
    .bind(day)
    .fetch_all(&mut *tx)
    .await?
    {
        let hash = hex::encode(Sha256::digest(row.try_get::<&str, _>("body")?));
        let outcome: i64 = row.try_get("outcome")?;
        lines.insert(row.try_get("key")?, format!("{outcome}|{hash}"));
    }
    for row in sqlx::query(
        "SELECT printf('top-up|%s|%05d|%s', pan, seq, hash) AS key, state, hash FROM topups
         WHERE day = $1 AND state <> 'held'",
    )
    .bind(day)
    .fetch_all(&mut *tx)
    .await?
    {
        let refused = row.try_get::<&str, _>("state")? == "refused";
        let outcome = if refused { 70 } else { 0 };
        let hash: &str = row.try_get("hash")?;
        lines.insert(row.try_get("key")?, format!("{outcome}|{hash}"));
    }
    for row in sqlx::query(
        "SELECT printf('settlement|%020d', id) AS key, answer FROM settlements WHERE day = $1",
    )
    .bind(day)
    .fetch_all(&mut *tx)
    .await?
    {
        let hash = hex::encode(Sha256::digest(row.try_get::<&str, _>("answer")?));
        lines.insert(row.try_get("key")?, format!("0|{hash}"));
    }
    let text: String = lines
        .iter()
        .map(|(key, rest)| format!("{key}|{rest}\n"))
        .collect();
    Ok(hex::encode(Sha256::digest(text)))
}
