//! Numbered migrations, applied once each, in order; never changed after release.

use crate::error::{ClearingError, Result};
use sqlx::{Row, SqlitePool};

const MIGRATIONS: [(i64, &str); 6] = [
    (1, include_str!("../migrations/0001_registry.sql")),
    (2, include_str!("../migrations/0002_ingest.sql")),
    (3, include_str!("../migrations/0003_ledger.sql")),
    (4, include_str!("../migrations/0004_topup.sql")),
    (5, include_str!("../migrations/0005_medical.sql")),
    (6, include_str!("../migrations/0006_pension.sql")),
];

pub(super) async fn migrate(pool: &SqlitePool) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)")
        .execute(&mut *tx)
        .await?;
    let last: Option<i64> = sqlx::query("SELECT max(number) AS last FROM migrations")
        .fetch_one(&mut *tx)
        .await?
        .try_get("last")?;
    let last = last.unwrap_or(0);
    let newest = MIGRATIONS.len() as i64;
    if last > newest {
        return Err(ClearingError::Damaged {
            what: "schema version",
            why: format!(
                "the database is at version {last}, this program knows {newest}: use a newer program"
            ),
        });
    }
    for (number, sql) in MIGRATIONS.into_iter().filter(|(number, _)| *number > last) {
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO migrations (number) VALUES ($1)")
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
