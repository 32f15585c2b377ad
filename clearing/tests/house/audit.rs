//! The auditor finds what was changed behind the house's back.

use crate::world::*;
use clearing::{SqliteStore, audit};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

async fn tampered(sql: &'static str) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clearing.db");
    let world = World::with_store(SqliteStore::open(Some(&path)).await.unwrap()).await;
    world.load(1, 0, 10_000).await;
    for n in 0..3u16 {
        let tap_n = Tap {
            card: 1,
            seq: n,
            before: 10_000,
            amount: fare(),
            sam: 1,
            terminal_seq: u32::from(n) + 1,
        };
        world.upload(1, vec![tap(u64::from(n) + 1, tap_n)]).await;
    }
    world.house.close_day(today()).await.unwrap();
    let clean = audit::run(&path).await.unwrap();
    assert!(clean.ok(), "{clean:#?}");
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    connection.execute(sql).await.unwrap();
    let found = audit::run(&path).await.unwrap();
    found
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name)
        .collect()
}

#[tokio::test]
async fn one_changed_value_is_found() {
    const ENTRIES: &str = "ledger entries follow from the rows";
    const ROWS: &str = "records are as uploaded, each once";
    const DAYS: &str = "closed days follow from the rows";
    for (sql, wanted) in [
        (
            "UPDATE entries SET amount = amount + 1 WHERE id = 11",
            ENTRIES,
        ),
        (
            "DELETE FROM entries WHERE source = 'batch' AND source_id = '2'",
            ENTRIES,
        ),
        (
            "INSERT INTO entries (day, source, source_id, debit, credit, amount)
          VALUES ('2026-11-23', 'batch', '9', 'purse-float', 'operator:FZBUS', 5)",
            ENTRIES,
        ),
        ("UPDATE records SET amount = 1 WHERE journal_seq = 2", ROWS),
        (
            "UPDATE records SET outcome = 50 WHERE journal_seq = 2",
            ROWS,
        ),
        ("DELETE FROM records WHERE journal_seq = 3", ROWS),
        (
            "UPDATE batches SET body = replace(body, '0', '1') WHERE id = 1",
            "batches are as signed",
        ),
        (
            "UPDATE batches SET signature = zeroblob(64) WHERE id = 1",
            "batches are as signed",
        ),
        (
            "UPDATE records SET proved = 0 WHERE journal_seq = 1",
            "card and SAM sequences are claimed once, by proofs",
        ),
        (
            "UPDATE accounts SET balance = balance + 1 WHERE psn_no = '3501P0000001'",
            "personal accounts follow from settlements",
        ),
        (
            "UPDATE topups SET tac = NULL",
            "top-ups are authorised once",
        ),
        (
            "UPDATE days SET report = replace(report, '\"trial_sum\":0', '\"trial_sum\":1')",
            DAYS,
        ),
        (
            "UPDATE days SET report = replace(report, '\"purse_float\":', '\"purse_float\":1')",
            DAYS,
        ),
    ] {
        let found = tampered(sql).await;
        assert!(found.contains(&wanted), "{sql}: {found:?}");
    }
}
