//! The hash-chained audit log.

use super::{Result, StoreError};
use crate::order::StaffId;
use card_spec::time::CardTime;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// Number, counted from 1 without gap.
    pub line: u64,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What: `import`, `draft`, `approve`, `start`, `spoil`, `card.<state>`, `blanks`.
    pub action: String,
    /// To what: an order, a card number, a count. Never a name or an identity number.
    pub subject: String,
    /// More.
    pub detail: String,
    /// SHA-256 over the line before and this one, hex.
    pub hash: String,
}

/// End of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// Number of lines.
    pub lines: u64,
    /// Hash of the last, or of nothing.
    pub head: String,
}

/// Hash before the first line.
fn genesis() -> String {
    hex::encode(Sha256::digest(b"onecard/issuance/audit/v1"))
}

impl AuditLine {
    /// JSON keeps the fields apart whatever they hold.
    fn hash_after(&self, previous: &str) -> String {
        let fields = serde_json::json!([
            previous,
            self.line,
            self.at,
            self.actor,
            self.action,
            self.subject,
            self.detail
        ]);
        hex::encode(Sha256::digest(fields.to_string()))
    }

    fn from_row(row: &SqliteRow) -> Result<Self> {
        let line: i64 = row.try_get("line")?;
        Ok(Self {
            line: u64::try_from(line).map_err(|_| StoreError::Corrupt {
                what: "an audit line",
            })?,
            at: row.try_get("at")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            detail: row.try_get("detail")?,
            hash: row.try_get("hash")?,
        })
    }
}

/// Appends a line inside the caller's transaction: the act and its line commit together.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    by: &StaffId,
    at: CardTime,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<()> {
    let last = sqlx::query("SELECT line, hash FROM audit ORDER BY line DESC LIMIT 1")
        .fetch_optional(&mut *tx)
        .await?;
    let (number, previous): (i64, String) = match last {
        Some(row) => (row.try_get("line")?, row.try_get("hash")?),
        None => (0, genesis()),
    };
    let mut line = AuditLine {
        line: u64::try_from(number).unwrap_or(0) + 1,
        at: at.to_string(),
        actor: by.to_string(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail: detail.to_owned(),
        hash: String::new(),
    };
    line.hash = line.hash_after(&previous);
    sqlx::query(
        "INSERT INTO audit (line, at, actor, action, subject, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(number + 1)
    .bind(line.at)
    .bind(line.actor)
    .bind(line.action)
    .bind(line.subject)
    .bind(line.detail)
    .bind(line.hash)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    db: &mut SqliteConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditLine>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = sqlx::query("SELECT * FROM audit WHERE line > $1 ORDER BY line LIMIT $2")
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(AuditLine::from_row).collect()
}

/// Walks the chain in pages.
pub(super) async fn verify(db: &mut SqliteConnection) -> Result<AuditHead> {
    let mut head = AuditHead {
        lines: 0,
        head: genesis(),
    };
    loop {
        let page = list(&mut *db, head.lines, 1000).await?;
        if page.is_empty() {
            return Ok(head);
        }
        for line in page {
            if line.line != head.lines + 1 || line.hash != line.hash_after(&head.head) {
                return Err(StoreError::Tampered {
                    line: head.lines + 1,
                });
            }
            head = AuditHead {
                lines: line.line,
                head: line.hash,
            };
        }
    }
}
