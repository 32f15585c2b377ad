//! The independent auditor 审计: recomputes from the immutable rows what ledger, accounts and day
//! reports say. It shares no code with posting, settling or reporting: only the tables.
//!
//! Batch signatures are verified again, with every key that the device ever had. Not proved again:
//! TACs and cryptograms (their keys never leave the HSM; `proved` is what it said at the time), and
//! that no key was slipped into a device's history by whoever can write the database.

mod days;
mod expected;
mod rows;

use crate::error::{Refusal, Result};
use crate::store::SqliteStore;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// One thing checked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuditCheck {
    /// What.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// How much was looked at, or the first faults.
    pub detail: String,
}

/// What the auditor found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuditReport {
    /// Every check, in order.
    pub checks: Vec<AuditCheck>,
}

impl AuditReport {
    /// Whether everything holds.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// Faults of one check; the first few are told.
#[derive(Default)]
struct Faults {
    count: usize,
    told: Vec<String>,
}

impl Faults {
    const TOLD: usize = 5;

    fn add(&mut self, what: String) {
        self.count += 1;
        if self.told.len() < Self::TOLD {
            self.told.push(what);
        }
    }

    fn check(self, name: &'static str, looked_at: usize) -> AuditCheck {
        AuditCheck {
            name,
            ok: self.count == 0,
            detail: if self.count == 0 {
                format!("{looked_at} checked")
            } else {
                format!(
                    "{} of {looked_at} wrong: {}",
                    self.count,
                    self.told.join("; ")
                )
            },
        }
    }
}

/// Audits a database file; the service may be running on it.
pub async fn run(path: &Path) -> Result<AuditReport> {
    if !path.is_file() {
        let path = path.display();
        return Err(
            Refusal::not_found(format!("there is no database at {path}: check the path")).into(),
        );
    }
    let store = SqliteStore::open(Some(path)).await?;
    let report = audit(&store).await;
    store.shut().await;
    report
}

/// Audits an open store.
pub async fn audit(store: &SqliteStore) -> Result<AuditReport> {
    // One transaction: everything is read as of one moment.
    let mut tx = store.pool().begin().await?;
    let mut checks = vec![rows::batches(&mut tx).await?];
    checks.extend(rows::records(&mut tx).await?);
    checks.push(rows::top_ups(&mut tx).await?);
    let expected = expected::entries(&mut tx).await?;
    checks.push(entries(&mut tx, &expected).await?);
    checks.push(rows::accounts(&mut tx).await?);
    checks.push(rows::accumulators(&mut tx).await?);
    checks.push(days::reports(&mut tx, &expected).await?);
    checks.push(acts(&mut tx).await?);
    Ok(AuditReport { checks })
}

/// The log of privileged acts is whole from its beginning. Acts cut off at its end leave no trace in
/// it: compare the newest hash with a copy kept elsewhere.
async fn acts(tx: &mut SqliteConnection) -> Result<AuditCheck> {
    let mut faults = Faults::default();
    let (mut seen, mut before) = (0, String::new());
    for row in sqlx::query("SELECT number, at, who, what, hash FROM acts ORDER BY number")
        .fetch_all(tx)
        .await?
    {
        seen += 1;
        let number: i64 = row.try_get("number")?;
        let [at, who, what, hash]: [&str; 4] = [
            row.try_get("at")?,
            row.try_get("who")?,
            row.try_get("what")?,
            row.try_get("hash")?,
        ];
        let text = serde_json::json!([before, number, at, who, what]).to_string();
        if i64::try_from(seen) != Ok(number) || hex::encode(Sha256::digest(text)) != hash {
            faults.add(format!("act {number}: does not follow from the one before"));
        }
        hash.clone_into(&mut before);
    }
    Ok(faults.check("privileged acts are chained", seen))
}

/// `(source, source id, debit, credit)` to `(day, amount)`.
type Expected = BTreeMap<(String, String, String, String), (String, i64)>;

/// The entries are exactly those that the rows call for, each once.
async fn entries(tx: &mut SqliteConnection, expected: &Expected) -> Result<AuditCheck> {
    let mut faults = Faults::default();
    let mut left = expected.clone();
    let mut seen = 0;
    for row in
        sqlx::query("SELECT day, source, source_id, debit, credit, amount FROM entries ORDER BY id")
            .fetch_all(tx)
            .await?
    {
        seen += 1;
        let key: (String, String, String, String) = (
            row.try_get("source")?,
            row.try_get("source_id")?,
            row.try_get("debit")?,
            row.try_get("credit")?,
        );
        let found: (String, i64) = (row.try_get("day")?, row.try_get("amount")?);
        let name = format!("{} {} {} -> {}", key.0, key.1, key.2, key.3);
        match left.remove(&key) {
            Some(wanted) if wanted == found => {}
            Some((day, amount)) => faults.add(format!(
                "{name}: {} fen on {}, the rows say {amount} on {day}",
                found.1, found.0
            )),
            None => faults.add(format!("{name}: {} fen that no row calls for", found.1)),
        }
    }
    for ((source, id, debit, credit), (_, amount)) in left {
        faults.add(format!(
            "{source} {id} {debit} -> {credit}: {amount} fen were never posted"
        ));
    }
    Ok(faults.check("ledger entries follow from the rows", seen))
}
