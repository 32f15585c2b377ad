//! Numbered migrations, applied once each, in order; never changed after release.

use crate::error::{ClearingError, Result};
use sqlx::{Row, SqlitePool};

const MIGRATIONS: [(i64, &str); 11] = [
    (1, include_str!("../migrations/0001_registry.sql")),
    (2, include_str!("../migrations/0002_ingest.sql")),
    (3, include_str!("../migrations/0003_ledger.sql")),
    (4, include_str!("../migrations/0004_topup.sql")),
    (5, include_str!("../migrations/0005_medical.sql")),
    (6, include_str!("../migrations/0006_pension.sql")),
    (7, include_str!("../migrations/0007_proofs.sql")),
    (8, include_str!("../migrations/0008_topup.sql")),
    (9, include_str!("../migrations/0009_acts.sql")),
    (10, include_str!("../migrations/0010_parameters.sql")),
    (11, include_str!("../migrations/0011_mode_orders.sql")),
];

pub(super) async fn migrate(pool: &SqlitePool) -> Result<()> {
    migrate_to(pool, MIGRATIONS.len() as i64).await
}

/// Up to and including migration `end`.
async fn migrate_to(pool: &SqlitePool, end: i64) -> Result<()> {
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
    let wanted = |number: i64| last < number && number <= end;
    for (number, sql) in MIGRATIONS.into_iter().filter(|(number, _)| wanted(*number)) {
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO migrations (number) VALUES ($1)")
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows written before proofs had columns of their own: money stays posted once, a sequence that
    /// no TAC covers claims nothing any more, a device's key begins its history.
    #[tokio::test]
    async fn rows_of_version_6_are_carried_over() {
        let pool = sqlx::sqlite::SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await
            .unwrap();
        migrate_to(&pool, 6).await.unwrap();
        sqlx::raw_sql(
            r#"INSERT INTO devices VALUES ('D', 'O', '{"public_key":"00ff"}');
            INSERT INTO batches VALUES (1, 'D', 1, 2, x'', '', x'', '', '', '');
            INSERT INTO records VALUES ('D', 1, 1, '', '', '', '', 0, '', '',
                '{"event":{"card":{"suite":"sm4"},"time":"T","debit":{"state":"done","tac":[1,2,3,4]}}}',
                'P', 'purse', 7, 'S', 9, 100, NULL, 1, 1, 1);
            INSERT INTO records VALUES ('D', 2, 1, '', '', '', '', 0, '', '',
                '{"event":{"card":{"suite":"aes"},"time":"T","setl_id":"5","debit":{"state":"done","tac":[1,2,3,5]}}}',
                'P', 'medical', 7, 'S', 10, 100, NULL, 1, 1, 1);"#,
        )
        .execute(&pool)
        .await
        .unwrap();
        migrate(&pool).await.unwrap();
        let rows = sqlx::query(
            "SELECT tac, debit_time, seq_authenticated || claims_card || posted || claims_settlement
                AS flags FROM records ORDER BY journal_seq",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let found: Vec<(&str, &str, &str)> = rows
            .iter()
            .map(|row| (row.get("tac"), row.get("debit_time"), row.get("flags")))
            .collect();
        assert_eq!(
            found,
            [("[1,2,3,4]", "T", "0010"), ("[1,2,3,5]", "T", "1111")]
        );
        let key: String = sqlx::query("SELECT public_key FROM device_keys")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
        assert_eq!(key, "00ff");
    }
}
