//! Numbered migrations, embedded. Each is applied once, in order, in its own transaction.

use super::{Result, StoreError, persons, seal::Sealer};
use sqlx::{Connection, Row, SqliteConnection};

const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/0001_persons.sql"),
    include_str!("../../migrations/0002_orders.sql"),
    include_str!("../../migrations/0003_cards.sql"),
    include_str!("../../migrations/0004_blanks.sql"),
    include_str!("../../migrations/0005_audit.sql"),
    include_str!("../../migrations/0006_sealed_persons.sql"),
];

/// The migration after which persons are sealed.
const SEALED: i64 = 6;

/// Brings a database to the newest schema. `user_version` holds the number of the last migration.
pub(super) async fn migrate(connection: &mut SqliteConnection, sealer: &Sealer) -> Result<()> {
    let known = MIGRATIONS.len() as i64;
    let found: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (number, sql) in (1..).zip(MIGRATIONS).skip(done) {
        let mut tx = connection.begin().await?;
        sqlx::raw_sql(sql).execute(&mut *tx).await?;
        if number == SEALED {
            persons::seal_plain(&mut tx, sealer).await?;
        }
        // A pragma takes no parameter; the number is ours.
        let mark = format!("PRAGMA user_version = {number}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(mark))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    if (1..SEALED).contains(&found) {
        // What was plain must not stay behind in free pages or in the write-ahead log.
        sqlx::raw_sql("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
