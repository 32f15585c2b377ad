//! SQLite: one writer, WAL, one transaction a step.

mod acts;
mod ingest;
mod medical;
mod parameters;
mod registry;
mod schema;
mod settle;
mod topup;

use super::*;
use crate::clock::next_day;
use crate::error::{ClearingError, Result};
use crate::ledger::{Posting, Turnover};
use card_spec::{
    Fen,
    id::{Generation, SamNo},
};
use clearing_api::{
    Outcome,
    day::Pending,
    mode::ModeOrder,
    parameters::{ParametersRequest, SignedBundle},
    registry::Insured,
    topup::TopUpState,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, Sqlite, SqliteConnection, SqlitePool, Transaction, sqlite::SqliteRow};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The SQLite store. One connection: the single writer of the design, and its readers in turn.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens (creating it if need be) a database file, or a private one in memory for `None`.
    pub async fn open(path: Option<&Path>) -> Result<Self> {
        let options = match path {
            Some(path) => SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal),
            None => SqliteConnectOptions::new().in_memory(true),
        };
        let options = options
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true);
        let mut pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        if path.is_some() {
            // On a full disk SQLite ends the transaction by itself; the connection that still
            // believes to be inside one is replaced, else every later write would fail.
            pool = pool.after_release(|connection, _| {
                Box::pin(async move {
                    // Waits for the rollback that a dropped transaction queued.
                    sqlx::query("SELECT 1").execute(&mut *connection).await?;
                    Ok(!connection.is_in_transaction())
                })
            });
        }
        let pool = pool.connect_with(options).await?;
        schema::migrate(&pool).await?;
        Ok(Self { pool })
    }

    /// The pool, for the auditor.
    pub(crate) const fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Closes every connection.
    pub async fn shut(&self) {
        self.pool.close().await;
    }

    async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Numbers of the database are i64; ours are not negative.
fn num<T: TryInto<i64>>(value: T) -> Result<i64> {
    value.try_into().map_err(|_| ClearingError::Damaged {
        what: "number",
        why: "out of range".to_owned(),
    })
}

fn unum<T: TryFrom<i64>>(row: &SqliteRow, column: &'static str) -> Result<T> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| ClearingError::Damaged {
        what: column,
        why: format!("{value} is out of range"),
    })
}

fn text<T: core::str::FromStr>(row: &SqliteRow, column: &'static str) -> Result<T>
where
    T::Err: core::fmt::Debug,
{
    let value: String = row.try_get(column)?;
    value.parse().map_err(|why| ClearingError::Damaged {
        what: column,
        why: format!("{value}: {why:?}"),
    })
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|why| ClearingError::Damaged {
        what,
        why: why.to_string(),
    })
}

fn json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|why| ClearingError::Damaged {
        what,
        why: why.to_string(),
    })
}

fn body<T: serde::de::DeserializeOwned>(what: &'static str, row: &SqliteRow) -> Result<T> {
    parse(what, row.try_get::<&str, _>("body")?)
}

/// The day on which what happens now is accepted.
async fn business_day(connection: &mut SqliteConnection, today: CardDate) -> Result<CardDate> {
    let row = sqlx::query("SELECT max(day) AS day FROM days")
        .fetch_one(connection)
        .await?;
    let last: Option<String> = row.try_get("day")?;
    Ok(match last {
        Some(last) => {
            let last: CardDate = last.parse().map_err(|_| ClearingError::Damaged {
                what: "days",
                why: last.clone(),
            })?;
            if last >= today { next_day(last) } else { today }
        }
        None => today,
    })
}

/// Writes the entries of one source; the unique key keeps a source from being posted twice.
async fn post(
    connection: &mut SqliteConnection,
    day: CardDate,
    source: &str,
    source_id: &str,
    postings: &[Posting],
) -> Result<()> {
    for posting in postings {
        sqlx::query(
            "INSERT INTO entries (day, source, source_id, debit, credit, amount)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(day.to_string())
        .bind(source)
        .bind(source_id)
        .bind(posting.debit().to_string())
        .bind(posting.credit().to_string())
        .bind(posting.amount().0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Store for SqliteStore {
    async fn put(&self, item: &Registered, today: CardDate) -> Result<()> {
        registry::put(self, item, today).await
    }
    async fn note_act(&self, who: &str, what: &str, now: CardTime) -> Result<()> {
        acts::append(self, who, what, now).await
    }
    async fn device(&self, device: DeviceNo) -> Result<Option<Device>> {
        registry::device(self, device).await
    }
    async fn card(&self, pan: Pan) -> Result<Option<(Card, Option<Listing>)>> {
        registry::card(self, pan).await
    }
    async fn purse_trail(&self, pan: Pan) -> Result<PurseTrail> {
        registry::purse_trail(self, pan).await
    }
    async fn insured(&self, by: PersonKey<'_>) -> Result<Option<PersonRow>> {
        registry::insured(self, by).await
    }
    async fn list(&self, entry: &ListCard, today: CardDate) -> Result<HotlistEntry> {
        let mut tx = self.write().await?;
        let entry = registry::list(&mut tx, entry, today).await?;
        tx.commit().await?;
        Ok(entry)
    }
    async fn hotlist_version(&self) -> Result<u64> {
        registry::hotlist_version(&mut *self.pool.acquire().await?).await
    }
    async fn hotlist(&self, since: u64) -> Result<Hotlist> {
        registry::hotlist(self, since).await
    }
    async fn propose(&self, what: &str, who: &str, now: CardTime) -> Result<u64> {
        parameters::propose(self, what, who, now).await
    }
    async fn proposal(&self, number: u64) -> Result<Option<ProposalRow>> {
        parameters::proposal(self, number).await
    }
    async fn carry_out(
        &self,
        number: u64,
        who: &str,
        effect: &Effect,
        now: CardTime,
    ) -> Result<bool> {
        parameters::carry_out(self, number, who, effect, now).await
    }
    async fn mode_orders(&self) -> Result<Vec<ModeOrder>> {
        parameters::mode_orders(self).await
    }
    async fn published(&self) -> Result<Vec<SignedBundle>> {
        parameters::published(self).await
    }
    async fn newest_parameters(&self, above: u64) -> Result<Option<SignedBundle>> {
        parameters::newest(self, above).await
    }
    async fn note_report(&self, report: &ParametersRequest, now: CardTime) -> Result<()> {
        parameters::report(self, report, now).await
    }
    async fn reports(&self) -> Result<Vec<ParametersRequest>> {
        parameters::reports(self).await
    }
    async fn pension(&self, psn_no: &str) -> Result<Option<PensionTrail>> {
        registry::pension(self, psn_no).await
    }

    async fn admit(&self, admission: &Admission<'_>) -> Result<Admitted> {
        ingest::admit(self, admission).await
    }
    async fn open_batches(&self, after: u64, limit: u32) -> Result<Vec<OpenBatch>> {
        ingest::open_batches(self, after, limit).await
    }
    async fn set_aside(&self, id: u64) -> Result<()> {
        ingest::set_aside(self, id).await
    }
    async fn facts(&self, id: u64, batch: &Batch) -> Result<Facts> {
        ingest::facts(self, id, batch).await
    }
    async fn apply(&self, id: u64, judged: &[Judged], today: CardDate) -> Result<BatchAnswer> {
        ingest::apply(self, id, judged, today).await
    }

    async fn hold(
        &self,
        request: &TopUpRequest,
        hash: &str,
        operator: &str,
        now: CardTime,
    ) -> Result<Hold> {
        topup::hold(self, request, hash, operator, now).await
    }
    async fn grant(
        &self,
        id: u64,
        mac2: [u8; 4],
        rival: Option<u64>,
        today: CardDate,
    ) -> Result<()> {
        topup::grant(self, id, mac2, rival, today).await
    }
    async fn refuse(&self, id: u64, reason: &str, today: CardDate) -> Result<()> {
        topup::refuse(self, id, reason, today).await
    }
    async fn top_up(&self, id: u64) -> Result<Option<TopUpRow>> {
        topup::get(self, id).await
    }
    async fn confirm(&self, id: u64, tac: [u8; 4], today: CardDate) -> Result<()> {
        topup::confirm(self, id, tac, today).await
    }

    async fn message(&self, msgid: &str) -> Result<Option<(String, String)>> {
        medical::message(self, msgid).await
    }
    async fn remember(&self, key: &MessageKey, response: &str) -> Result<()> {
        let mut tx = self.write().await?;
        medical::remember(&mut tx, key, response).await?;
        Ok(tx.commit().await?)
    }
    async fn sign_in(&self, institution: &str, opter: &str, at: CardTime) -> Result<u64> {
        medical::sign_in(self, institution, opter, at).await
    }
    async fn open_visit(
        &self,
        institution: &str,
        psn_no: &str,
        insutype: &str,
        mdtrtarea: RegionCode,
        ipt_otp_no: &str,
    ) -> Result<u64> {
        medical::open_visit(self, institution, psn_no, insutype, mdtrtarea, ipt_otp_no).await
    }
    async fn visit(&self, id: u64, chrg_bchno: &str, year: u16) -> Result<Option<VisitState>> {
        medical::visit(self, id, chrg_bchno, year).await
    }
    async fn add_lines(
        &self,
        visit: u64,
        lines: &[(clearing_api::national::FeeLine, benefit::PricedLine)],
    ) -> Result<()> {
        medical::add_lines(self, visit, lines).await
    }
    async fn settle(
        &self,
        new: &NewSettlement,
        key: &MessageKey,
        today: CardDate,
        answer: &(dyn Fn(u64) -> (clearing_api::national::Settled, String) + Sync),
    ) -> Result<Option<String>> {
        medical::settle(self, new, key, today, answer).await
    }
    async fn settlement(&self, id: u64) -> Result<Option<SettlementRow>> {
        medical::settlement(self, id).await
    }

    async fn business_day(&self, today: CardDate) -> Result<CardDate> {
        let mut connection = self.pool.acquire().await?;
        business_day(&mut connection, today).await
    }
    async fn cut_off(&self, day: CardDate) -> Result<()> {
        settle::cut_off(self, day).await
    }
    async fn day(&self, day: CardDate) -> Result<DayData> {
        settle::day(self, day).await
    }
    async fn close(&self, day: CardDate, report: &str) -> Result<String> {
        settle::close(self, day, report).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use card_spec::id::CitizenId;

    async fn pages(store: &SqliteStore, pragma: &'static str) -> i64 {
        let row = sqlx::query(pragma).fetch_one(&store.pool).await.unwrap();
        row.try_get(0).unwrap()
    }

    /// A disk that fills up: the use case fails whole, earlier rows stay, and it works again with
    /// more room. SQLite answers a page limit as it answers a full disk (SQLITE_FULL).
    #[tokio::test]
    async fn a_full_disk_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(Some(&folder.path().join("full.db")))
            .await
            .unwrap();
        let day = "2026-11-23".parse().unwrap();
        let insured = |n: u32| {
            let digits = format!("99000119900501{:03}", n % 1000);
            let check = CitizenId::check_character(digits.as_bytes().try_into().unwrap()).unwrap();
            Registered::Insured(Box::new(Insured {
                psn_no: format!("P{n}"),
                certno: format!("{digits}{}", check as char).parse().unwrap(),
                name: "测".repeat(500),
                insuplc_admdvs: "350100".parse().unwrap(),
                insutype: "310".to_owned(),
                psn_type: "11".to_owned(),
                civil_servant: false,
                assistance: false,
                employer: String::new(),
                account: Fen(100),
                pension: None,
            }))
        };
        let count = pages(&store, "PRAGMA page_count").await + 8;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA max_page_count = {count}"
        )))
        .execute(&store.pool)
        .await
        .unwrap();
        let mut written = 0;
        let error = loop {
            match store.put(&insured(written), day).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 900, "the limit never bit");
        };
        assert!(matches!(error, ClearingError::Store(_)), "{error}");
        assert!(error.to_string().contains("free disk space"), "{error}");
        let rows = pages(&store, "SELECT count(*) FROM insured").await;
        let opened = pages(&store, "SELECT count(*) FROM entries").await;
        assert_eq!((rows, opened), (i64::from(written), i64::from(written)));
        sqlx::raw_sql("PRAGMA max_page_count = 100000")
            .execute(&store.pool)
            .await
            .unwrap();
        store.put(&insured(written), day).await.unwrap();
    }
}
