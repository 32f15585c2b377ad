//! Top-ups: hold, grant, refuse, confirm.

use super::*;
use crate::error::Refusal;
use crate::ledger::{Account, Postings};

const COLUMNS: &str =
    "SELECT id, day, operator, request, time, state, reason, mac2, tac FROM topups";

fn row(row: &SqliteRow) -> Result<TopUpRow> {
    let four = |column: &'static str| -> Result<Option<[u8; 4]>> {
        let bytes: Option<Vec<u8>> = row.try_get(column)?;
        Ok(bytes.and_then(|b| b.try_into().ok()))
    };
    let state = match row.try_get::<&str, _>("state")? {
        "held" => HoldState::Held,
        "authorised" => HoldState::Granted(TopUpState::Authorised),
        "confirmed" => HoldState::Granted(TopUpState::Confirmed),
        "reversed" => HoldState::Granted(TopUpState::Reversed),
        _ => HoldState::Refused(row.try_get("reason")?),
    };
    Ok(TopUpRow {
        id: unum(row, "id")?,
        day: text(row, "day")?,
        operator: row.try_get("operator")?,
        request: parse("top-up", row.try_get::<&str, _>("request")?)?,
        time: text(row, "time")?,
        state,
        mac2: four("mac2")?,
        tac: four("tac")?,
    })
}

async fn by_id(connection: &mut SqliteConnection, id: u64) -> Result<Option<TopUpRow>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1"));
    sqlx::query(sql)
        .bind(num(id)?)
        .fetch_optional(connection)
        .await?
        .map(|found| row(&found))
        .transpose()
}

pub(super) async fn get(store: &SqliteStore, id: u64) -> Result<Option<TopUpRow>> {
    by_id(&mut *store.pool.acquire().await?, id).await
}

pub(super) async fn hold(
    store: &SqliteStore,
    request: &TopUpRequest,
    hash: &str,
    operator: &str,
    now: CardTime,
) -> Result<Hold> {
    let mut tx = store.write().await?;
    let day = business_day(&mut tx, now.date()).await?;
    sqlx::query(
        "INSERT INTO topups (day, device, operator, pan, seq, amount, hash, request, time, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'held') ON CONFLICT (hash) DO NOTHING",
    )
    .bind(day.to_string())
    .bind(request.device.to_string())
    .bind(operator)
    .bind(request.card.pan.to_string())
    .bind(i64::from(request.seq))
    .bind(request.amount.0)
    .bind(hash)
    .bind(json("top-up", request)?)
    .bind(now.to_string())
    .execute(&mut *tx)
    .await?;
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE hash = $1"));
    let found = sqlx::query(sql).bind(hash).fetch_one(&mut *tx).await?;
    let own = row(&found)?;
    let sql = sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE pan = $1 AND seq = $2 AND id <> $3 AND state IN ('authorised', 'confirmed')"
    ));
    let rival = sqlx::query(sql)
        .bind(request.card.pan.to_string())
        .bind(i64::from(request.seq))
        .bind(num(own.id)?)
        .fetch_optional(&mut *tx)
        .await?
        .map(|found| row(&found))
        .transpose()?;
    tx.commit().await?;
    Ok(Hold { row: own, rival })
}

/// Cash was collected, the load is not proved yet.
fn authorised(top_up: &TopUpRow, postings: &mut Postings) {
    let collected = Account::TopUp(top_up.operator.clone());
    postings.add(collected, Account::Suspense, top_up.request.amount);
}

/// One step of a top-up's life, posted once.
async fn post_step(
    tx: &mut SqliteConnection,
    day: CardDate,
    step: &str,
    top_up: &TopUpRow,
    debit: Account,
    credit: Account,
) -> Result<()> {
    let mut postings = Postings::default();
    postings.add(debit, credit, top_up.request.amount);
    let source = top_up.id.to_string();
    post(tx, day, step, &source, &postings.into_entries()).await
}

/// Reverses what is authorised, or held to be taken without a TAC. A TAC stands.
async fn reverse(tx: &mut SqliteConnection, id: u64, day: CardDate) -> Result<()> {
    let undone = by_id(&mut *tx, id).await?;
    let changed = sqlx::query(
        "UPDATE topups SET state = 'reversed', reversed_on = $1
         WHERE id = $2 AND (state = 'authorised' OR (state = 'confirmed' AND tac IS NULL))",
    )
    .bind(day.to_string())
    .bind(num(id)?)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    let Some(undone) = undone.filter(|_| changed == 1) else {
        return Err(Refusal::conflict(
            "the other top-up of this online sequence was confirmed: read the card again",
        )
        .into());
    };
    if undone.state == HoldState::Granted(TopUpState::Confirmed) {
        let (float, suspense) = (Account::PurseFloat, Account::Suspense);
        post_step(&mut *tx, day, "top-up-untaken", &undone, float, suspense).await?;
    }
    let collected = Account::TopUp(undone.operator.clone());
    let step = "top-up-reversed";
    post_step(tx, day, step, &undone, Account::Suspense, collected).await
}

/// The card moved on: what was authorised below its online sequence was taken, for nothing else lets
/// the sequence rise. The TAC may still come.
async fn settle_earlier(tx: &mut SqliteConnection, id: u64, day: CardDate) -> Result<()> {
    let sql = sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE state = 'authorised'
            AND pan = (SELECT pan FROM topups WHERE id = $1)
            AND seq < (SELECT seq FROM topups WHERE id = $1) ORDER BY seq"
    ));
    let rows = sqlx::query(sql).bind(num(id)?).fetch_all(&mut *tx).await?;
    for found in &rows {
        let taken = row(found)?;
        sqlx::query(
            "UPDATE topups SET state = 'confirmed', confirmed_on = $1, taken_by = $2 WHERE id = $3",
        )
        .bind(day.to_string())
        .bind(num(id)?)
        .bind(num(taken.id)?)
        .execute(&mut *tx)
        .await?;
        let (suspense, float) = (Account::Suspense, Account::PurseFloat);
        post_step(&mut *tx, day, "top-up-confirmed", &taken, suspense, float).await?;
    }
    Ok(())
}

pub(super) async fn grant(
    store: &SqliteStore,
    id: u64,
    mac2: [u8; 4],
    rival: Option<u64>,
    today: CardDate,
) -> Result<()> {
    let mut tx = store.write().await?;
    let day = business_day(&mut tx, today).await?;
    if let Some(rival) = rival {
        reverse(&mut tx, rival, day).await?;
    }
    settle_earlier(&mut tx, id, day).await?;
    let changed = sqlx::query(
        "UPDATE topups SET state = 'authorised', mac2 = $1, day = $2 WHERE id = $3 AND state = 'held'",
    )
    .bind(mac2.to_vec())
    .bind(day.to_string())
    .bind(num(id)?)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if changed == 1
        && let Some(top_up) = by_id(&mut tx, id).await?
    {
        let mut postings = Postings::default();
        authorised(&top_up, &mut postings);
        post(
            &mut tx,
            day,
            "top-up",
            &id.to_string(),
            &postings.into_entries(),
        )
        .await?;
    }
    Ok(tx.commit().await?)
}

pub(super) async fn refuse(
    store: &SqliteStore,
    id: u64,
    reason: &str,
    today: CardDate,
) -> Result<()> {
    let mut tx = store.write().await?;
    let day = business_day(&mut tx, today).await?;
    sqlx::query(
        "UPDATE topups SET state = 'refused', reason = $1, day = $2 WHERE id = $3 AND state = 'held'",
    )
    .bind(reason)
    .bind(day.to_string())
    .bind(num(id)?)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(super) async fn confirm(
    store: &SqliteStore,
    id: u64,
    tac: [u8; 4],
    today: CardDate,
) -> Result<()> {
    let mut tx = store.write().await?;
    let day = business_day(&mut tx, today).await?;
    // A TAC proves the load, whatever was believed of it meanwhile: what was reversed on the word of
    // an old INIT comes back, and what took its place goes.
    let found = by_id(&mut tx, id).await?;
    if let Some(found) = &found
        && found.state == HoldState::Granted(TopUpState::Reversed)
    {
        let rival = sqlx::query(
            "SELECT id FROM topups WHERE pan = $1 AND seq = $2 AND state IN ('authorised', 'confirmed')",
        )
        .bind(found.request.card.pan.to_string())
        .bind(i64::from(found.request.seq))
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(rival) = rival {
            reverse(&mut tx, unum(&rival, "id")?, day).await?;
        }
        sqlx::query("UPDATE topups SET state = 'authorised', reinstated_on = $1 WHERE id = $2")
            .bind(day.to_string())
            .bind(num(id)?)
            .execute(&mut *tx)
            .await?;
        let collected = Account::TopUp(found.operator.clone());
        let step = "top-up-reinstated";
        post_step(&mut tx, day, step, found, collected, Account::Suspense).await?;
    }
    // Taken already by the card's later sequence: the proof is kept, the money has moved.
    sqlx::query("UPDATE topups SET tac = $1 WHERE id = $2 AND state = 'confirmed' AND tac IS NULL")
        .bind(tac.to_vec())
        .bind(num(id)?)
        .execute(&mut *tx)
        .await?;
    let changed = sqlx::query(
        "UPDATE topups SET state = 'confirmed', tac = $1, confirmed_on = $2
         WHERE id = $3 AND state = 'authorised'",
    )
    .bind(tac.to_vec())
    .bind(day.to_string())
    .bind(num(id)?)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if changed == 1
        && let Some(top_up) = by_id(&mut tx, id).await?
    {
        let mut postings = Postings::default();
        postings.add(
            Account::Suspense,
            Account::PurseFloat,
            top_up.request.amount,
        );
        post(
            &mut tx,
            day,
            "top-up-confirmed",
            &id.to_string(),
            &postings.into_entries(),
        )
        .await?;
    }
    Ok(tx.commit().await?)
}
