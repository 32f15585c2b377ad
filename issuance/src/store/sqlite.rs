//! The embedded store: one SQLite file, one connection, so one writer.

use super::{
    AuditHead, AuditLine, CardRow, Doing, ImportReport, Result, Stock, Store, Work, audit, cards,
    orders, persons, schema, seal::Sealer,
};
use crate::{
    life::CardEvent,
    order::{AnyOrder, Approved, CardOptions, Draft, Order, OrderId, Purpose, StaffId},
    person::{Person, PersonNo},
    personalise::ChipSerial,
};
use card_spec::{id::Pan, time::CardTime};
use hsm_client::Hsm;
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::Path, sync::Arc, time::Duration};

/// The SQLite store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    sealer: Sealer,
}

impl SqliteStore {
    /// Opens a database file, creates it when it is not there, and brings it to the newest schema.
    /// The HSM must be the one that sealed its persons.
    pub async fn open(path: &Path, hsm: Arc<dyn Hsm>) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered survives a power cut.
            .synchronous(SqliteSynchronous::Full);
        Self::connect(options, hsm).await
    }

    /// A database in memory, for tests.
    pub async fn memory(hsm: Arc<dyn Hsm>) -> Result<Self> {
        Self::connect(SqliteConnectOptions::new().in_memory(true), hsm).await
    }

    async fn connect(options: SqliteConnectOptions, hsm: Arc<dyn Hsm>) -> Result<Self> {
        let sealer = Sealer::new(hsm);
        let options = options
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        schema::migrate(&mut *pool.acquire().await?, &sealer).await?;
        Ok(Self { pool, sealer })
    }

    async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.pool.acquire().await?)
    }

    async fn write(&self) -> Result<Transaction<'_, Sqlite>> {
        // Another program on the same file must not slip between our reads and our writes.
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

impl Store for SqliteStore {
    fn import<'a>(
        &'a self,
        list: &'a [Person],
        by: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, ImportReport> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let report = persons::import(&mut tx, &self.sealer, list, by, at).await?;
            tx.commit().await?;
            Ok(report)
        })
    }

    fn person<'a>(&'a self, psn_no: &'a PersonNo) -> Doing<'a, Option<Person>> {
        Box::pin(async move { persons::get(&mut *self.read().await?, &self.sealer, psn_no).await })
    }

    fn persons(&self, after: Option<PersonNo>, limit: u32) -> Doing<'_, Vec<Person>> {
        Box::pin(async move {
            persons::list(&mut *self.read().await?, &self.sealer, after, limit).await
        })
    }

    fn draft<'a>(
        &'a self,
        purpose: Purpose,
        options: CardOptions,
        author: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, Order<Draft>> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let order = orders::draft(&mut tx, purpose, options, author, at).await?;
            tx.commit().await?;
            Ok(order)
        })
    }

    fn approve<'a>(
        &'a self,
        order: OrderId,
        approver: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, (Order<Approved>, Vec<CardRow>)> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let done = orders::approve(&mut tx, &self.sealer, order, approver, at).await?;
            tx.commit().await?;
            Ok(done)
        })
    }

    fn orders(&self, after: Option<OrderId>, limit: u32) -> Doing<'_, Vec<AnyOrder>> {
        Box::pin(async move { orders::list(&mut *self.read().await?, after, limit).await })
    }

    fn queue(&self, order: OrderId, limit: u32) -> Doing<'_, Vec<Work>> {
        Box::pin(
            async move { cards::queue(&mut *self.read().await?, &self.sealer, order, limit).await },
        )
    }

    fn start<'a>(
        &'a self,
        pan: Pan,
        chip: ChipSerial,
        by: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, CardRow> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let card = cards::start(&mut tx, pan, chip, by, at).await?;
            tx.commit().await?;
            Ok(card)
        })
    }

    fn spoil<'a>(&'a self, pan: Pan, by: &'a StaffId, at: CardTime) -> Doing<'a, Work> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let work = cards::spoil(&mut tx, &self.sealer, pan, by, at).await?;
            tx.commit().await?;
            Ok(work)
        })
    }

    fn event<'a>(
        &'a self,
        pan: Pan,
        event: CardEvent,
        by: &'a StaffId,
        at: CardTime,
    ) -> Doing<'a, CardRow> {
        Box::pin(async move {
            // These three take more than a state: a chip, a new number, an approved order.
            if matches!(
                event,
                CardEvent::Start | CardEvent::Spoil | CardEvent::Replace
            ) {
                return Err(super::StoreError::Conflict(format!(
                    "{event:?} is not reported by itself: begin or spoil a card at the station, replace it by an order"
                )));
            }
            let mut tx = self.write().await?;
            let card = cards::change(&mut tx, pan, event, by, at).await?;
            tx.commit().await?;
            Ok(card)
        })
    }

    fn card(&self, pan: Pan) -> Doing<'_, Option<CardRow>> {
        Box::pin(async move { cards::get(&mut *self.read().await?, pan).await })
    }

    fn cards(&self, after: Option<Pan>, limit: u32) -> Doing<'_, Vec<CardRow>> {
        Box::pin(async move { cards::list(&mut *self.read().await?, after, limit).await })
    }

    fn receive_blanks<'a>(&'a self, count: u32, by: &'a StaffId, at: CardTime) -> Doing<'a, Stock> {
        Box::pin(async move {
            let mut tx = self.write().await?;
            let stock = cards::receive(&mut tx, count, by, at).await?;
            tx.commit().await?;
            Ok(stock)
        })
    }

    fn stock(&self) -> Doing<'_, Stock> {
        Box::pin(async move { cards::stock(&mut *self.read().await?).await })
    }

    fn audit(&self, after: u64, limit: u32) -> Doing<'_, Vec<AuditLine>> {
        Box::pin(async move { audit::list(&mut *self.read().await?, after, limit).await })
    }

    fn verify_audit(&self) -> Doing<'_, AuditHead> {
        Box::pin(async move { audit::verify(&mut *self.read().await?).await })
    }
}
