//! The log of privileged acts: append only, each hash over the one before.

use super::*;
use crate::ingest::digest;

pub(super) async fn append(
    store: &SqliteStore,
    who: &str,
    what: &str,
    now: CardTime,
) -> Result<()> {
    let mut tx = store.write().await?;
    let last = sqlx::query("SELECT number, hash FROM acts ORDER BY number DESC LIMIT 1")
        .fetch_optional(&mut *tx)
        .await?;
    let (number, before): (i64, String) = match &last {
        Some(row) => (row.try_get::<i64, _>("number")? + 1, row.try_get("hash")?),
        None => (1, String::new()),
    };
    let at = now.to_string();
    let text = json("act", &(&before, number, &at, who, what))?;
    sqlx::query("INSERT INTO acts (number, at, who, what, hash) VALUES ($1, $2, $3, $4, $5)")
        .bind(number)
        .bind(&at)
        .bind(who.to_owned())
        .bind(what.to_owned())
        .bind(digest(text.as_bytes()))
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}
