//! What a settlement day is made of.

use super::*;
use crate::ingest::digest;

pub(super) async fn cut_off(store: &SqliteStore, day: CardDate) -> Result<()> {
    sqlx::query("INSERT INTO days (day) VALUES ($1) ON CONFLICT (day) DO NOTHING")
        .bind(day.to_string())
        .execute(&store.pool)
        .await?;
    Ok(())
}

pub(super) async fn close(store: &SqliteStore, day: CardDate, report: &str) -> Result<String> {
    let mut tx = store.write().await?;
    sqlx::query("UPDATE days SET report = $1 WHERE day = $2 AND report IS NULL")
        .bind(report)
        .bind(day.to_string())
        .execute(&mut *tx)
        .await?;
    let kept: String = sqlx::query("SELECT report FROM days WHERE day = $1")
        .bind(day.to_string())
        .fetch_one(&mut *tx)
        .await?
        .try_get("report")?;
    tx.commit().await?;
    Ok(kept)
}

pub(super) async fn day(store: &SqliteStore, day: CardDate) -> Result<DayData> {
    // One transaction: rows and entries of the same moment.
    let mut tx = store.write().await?;
    let day = day.to_string();
    let mut data = DayData {
        report: report(&mut tx, &day).await?,
        ..DayData::default()
    };
    for row in sqlx::query("SELECT id, body FROM operators ORDER BY id")
        .fetch_all(&mut *tx)
        .await?
    {
        data.operators
            .insert(row.try_get("id")?, body("operator", &row)?);
    }
    records(&mut tx, &day, &mut data).await?;
    top_ups(&mut tx, &day, &mut data).await?;
    settlements(&mut tx, &day, &mut data).await?;
    data.rows.sort_by(|a, b| a.key.cmp(&b.key));
    data.total = turnovers(
        &mut tx,
        "SELECT debit, credit, sum(amount) AS amount FROM entries WHERE day <= $1 GROUP BY debit, credit",
        &day,
    )
    .await?;
    data.day = turnovers(
        &mut tx,
        "SELECT debit, credit, sum(amount) AS amount FROM entries WHERE day = $1 GROUP BY debit, credit",
        &day,
    )
    .await?;
    pending(&mut tx, &day, &mut data).await?;
    Ok(data)
}

async fn report(tx: &mut SqliteConnection, day: &str) -> Result<Option<String>> {
    let row = sqlx::query("SELECT report FROM days WHERE day = $1")
        .bind(day)
        .fetch_optional(tx)
        .await?;
    Ok(match row {
        Some(row) => row.try_get("report")?,
        None => None,
    })
}

fn outcome(number: i64) -> Result<Outcome> {
    u16::try_from(number)
        .ok()
        .and_then(Outcome::from_number)
        .ok_or_else(|| ClearingError::Damaged {
            what: "outcome",
            why: format!("{number} is not an outcome"),
        })
}

async fn records(tx: &mut SqliteConnection, day: &str, data: &mut DayData) -> Result<()> {
    for row in sqlx::query(
        "SELECT device, journal_seq, mode, operator, outcome, at, hash,
                CASE WHEN app = 'purse' THEN amount ELSE 0 END AS amount
         FROM records WHERE day = $1",
    )
    .bind(day)
    .fetch_all(tx)
    .await?
    {
        let seq: i64 = row.try_get("journal_seq")?;
        data.rows.push(DayRow {
            key: format!("record|{}|{seq:020}", row.try_get::<&str, _>("device")?),
            mode: row.try_get("mode")?,
            party: row.try_get("operator")?,
            outcome: outcome(row.try_get("outcome")?)?,
            amount: Fen(row.try_get("amount")?),
            at: row.try_get("at")?,
            hash: row.try_get("hash")?,
        });
    }
    Ok(())
}

/// One event a request: held ones have no answer yet and are none.
async fn top_ups(tx: &mut SqliteConnection, day: &str, data: &mut DayData) -> Result<()> {
    for row in sqlx::query(
        "SELECT pan, seq, operator, hash, request, state,
                CASE WHEN reversed_on = day AND coalesce(reinstated_on, '') <> day
                     THEN 0 ELSE amount END AS amount FROM topups
         WHERE day = $1 AND state <> 'held'",
    )
    .bind(day)
    .fetch_all(tx)
    .await?
    {
        let refused = row.try_get::<&str, _>("state")? == "refused";
        let request: TopUpRequest = parse("top-up", row.try_get::<&str, _>("request")?)?;
        let hash: String = row.try_get("hash")?;
        let seq: i64 = row.try_get("seq")?;
        data.rows.push(DayRow {
            key: format!("top-up|{}|{seq:05}|{hash}", row.try_get::<&str, _>("pan")?),
            mode: "top_up".to_owned(),
            party: row.try_get("operator")?,
            outcome: if refused {
                Outcome::TopUpRefused
            } else {
                Outcome::Accepted
            },
            amount: Fen(row.try_get("amount")?),
            at: request.at.to_string(),
            hash,
        });
    }
    Ok(())
}

async fn settlements(tx: &mut SqliteConnection, day: &str, data: &mut DayData) -> Result<()> {
    for row in sqlx::query(
        "SELECT id, institution, city, body, answer FROM settlements WHERE day = $1 ORDER BY id",
    )
    .bind(day)
    .fetch_all(tx)
    .await?
    {
        let settlement: benefit::Settlement = body("settlement", &row)?;
        let answer = row.try_get::<&str, _>("answer")?;
        let parsed: clearing_api::national::Settled = parse("answer", answer)?;
        let id: i64 = row.try_get("id")?;
        let at = parsed.setlinfo.setl_time.replace(' ', "T");
        data.rows.push(DayRow {
            key: format!("settlement|{id:020}"),
            mode: "medical".to_owned(),
            party: row.try_get("institution")?,
            outcome: Outcome::Accepted,
            amount: settlement.medfee_sumamt,
            at: at.clone(),
            hash: digest(answer.as_bytes()),
        });
        data.settlements.push(DaySettlement {
            id: unum(&row, "id")?,
            institution: row.try_get("institution")?,
            city: text(&row, "city")?,
            at,
            settlement,
        });
    }
    Ok(())
}

async fn turnovers(
    tx: &mut SqliteConnection,
    sql: &'static str,
    day: &str,
) -> Result<BTreeMap<String, Turnover>> {
    let mut turnovers = BTreeMap::<String, Turnover>::new();
    for row in sqlx::query(sql).bind(day).fetch_all(tx).await? {
        let amount = Fen(row.try_get("amount")?);
        turnovers.entry(row.try_get("debit")?).or_default().debit += amount;
        turnovers.entry(row.try_get("credit")?).or_default().credit += amount;
    }
    Ok(turnovers)
}

/// Torn debits that no completing record of the same debit has resolved by the end of the day, and
/// top-ups authorised and neither confirmed nor reversed by then.
async fn pending(tx: &mut SqliteConnection, day: &str, data: &mut DayData) -> Result<()> {
    for row in sqlx::query(
        "SELECT t.pan AS pan, t.card_seq AS seq, t.amount AS amount FROM records t
         WHERE t.day <= $1 AND t.outcome = 2 AND t.app = 'purse' AND NOT EXISTS (
            SELECT 1 FROM records c
            WHERE c.device = t.device AND c.completes = t.journal_seq AND c.day <= $1
              AND (c.proved = 1 OR c.outcome = 4) AND c.pan = t.pan AND c.app = t.app
              AND c.card_seq = t.card_seq AND c.amount = t.amount)
         ORDER BY t.pan, t.card_seq",
    )
    .bind(day)
    .fetch_all(&mut *tx)
    .await?
    {
        data.pending.push(Pending {
            kind: "torn-debit".to_owned(),
            pan: text(&row, "pan")?,
            seq: unum(&row, "seq")?,
            amount: Fen(-row.try_get::<i64, _>("amount")?),
        });
    }
    for row in sqlx::query(
        "SELECT pan, seq, amount FROM topups
         WHERE day <= $1 AND state IN ('authorised', 'confirmed', 'reversed')
           AND (confirmed_on IS NULL OR confirmed_on > $1)
           AND (reversed_on IS NULL OR reversed_on > $1) ORDER BY pan, seq",
    )
    .bind(day)
    .fetch_all(&mut *tx)
    .await?
    {
        data.pending.push(Pending {
            kind: "top-up".to_owned(),
            pan: text(&row, "pan")?,
            seq: unum(&row, "seq")?,
            amount: Fen(row.try_get("amount")?),
        });
    }
    Ok(())
}
