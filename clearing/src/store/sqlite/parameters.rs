//! Proposals that wait for a second person, published parameters, devices' reports.

use super::*;

pub(super) async fn propose(
    store: &SqliteStore,
    what: &str,
    who: &str,
    now: CardTime,
) -> Result<u64> {
    let number =
        sqlx::query("INSERT INTO proposals (body, proposed_by, proposed_at) VALUES ($1, $2, $3)")
            .bind(what.to_owned())
            .bind(who.to_owned())
            .bind(now.to_string())
            .execute(&store.pool)
            .await?
            .last_insert_rowid();
    Ok(number.unsigned_abs())
}

pub(super) async fn proposal(store: &SqliteStore, number: u64) -> Result<Option<ProposalRow>> {
    sqlx::query("SELECT body, proposed_by, approved_by FROM proposals WHERE number = $1")
        .bind(num(number)?)
        .fetch_optional(&store.pool)
        .await?
        .map(|row| {
            Ok(ProposalRow {
                body: row.try_get("body")?,
                proposed_by: row.try_get("proposed_by")?,
                approved_by: row.try_get("approved_by")?,
            })
        })
        .transpose()
}

/// Approval and effect in one transaction; false when it was approved before.
pub(super) async fn carry_out(
    store: &SqliteStore,
    number: u64,
    who: &str,
    effect: &Effect,
    now: CardTime,
) -> Result<bool> {
    let mut tx = store.write().await?;
    let approved = sqlx::query(
        "UPDATE proposals SET approved_by = $1, approved_at = $2
         WHERE number = $3 AND approved_by IS NULL AND proposed_by <> $1",
    )
    .bind(who.to_owned())
    .bind(now.to_string())
    .bind(num(number)?)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if approved == 0 {
        return Ok(false);
    }
    match effect {
        Effect::Publish { version, bundle } => {
            sqlx::query("INSERT INTO parameters (version, body, signature) VALUES ($1, $2, $3)")
                .bind(num(*version)?)
                .bind(bundle.body.clone())
                .bind(bundle.signature.clone())
                .execute(&mut *tx)
                .await?;
        }
        Effect::Mode(order) => {
            sqlx::query("INSERT INTO mode_orders (starts, mode) VALUES ($1, $2)")
                .bind(order.from.to_string())
                .bind(json("mode", &order.mode)?)
                .execute(&mut *tx)
                .await?;
        }
        Effect::Unlist { pan, generation } => {
            sqlx::query(
                "UPDATE hotlist SET removed = 1, version = (SELECT max(version) + 1 FROM hotlist)
                 WHERE pan = $1 AND generation = $2 AND removed = 0",
            )
            .bind(pan.to_string())
            .bind(i64::from(generation.0))
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// The newest published bundle above a version.
pub(super) async fn newest(store: &SqliteStore, above: u64) -> Result<Option<SignedBundle>> {
    sqlx::query(
        "SELECT body, signature FROM parameters WHERE version > $1 ORDER BY version DESC LIMIT 1",
    )
    .bind(num(above)?)
    .fetch_optional(&store.pool)
    .await?
    .map(|row| bundle(&row))
    .transpose()
}

pub(super) async fn mode_orders(store: &SqliteStore) -> Result<Vec<ModeOrder>> {
    sqlx::query("SELECT starts, mode AS body FROM mode_orders ORDER BY version")
        .fetch_all(&store.pool)
        .await?
        .iter()
        .map(|row| {
            Ok(ModeOrder {
                mode: body("mode", row)?,
                from: text(row, "starts")?,
            })
        })
        .collect()
}

/// All of them, oldest first.
pub(super) async fn published(store: &SqliteStore) -> Result<Vec<SignedBundle>> {
    sqlx::query("SELECT body, signature FROM parameters ORDER BY version")
        .fetch_all(&store.pool)
        .await?
        .iter()
        .map(bundle)
        .collect()
}

fn bundle(row: &SqliteRow) -> Result<SignedBundle> {
    Ok(SignedBundle {
        body: row.try_get("body")?,
        signature: row.try_get("signature")?,
    })
}

pub(super) async fn report(
    store: &SqliteStore,
    report: &ParametersRequest,
    now: CardTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO parameter_reports (device, body, at) VALUES ($1, $2, $3)
         ON CONFLICT (device) DO UPDATE SET body = excluded.body, at = excluded.at",
    )
    .bind(report.device.to_string())
    .bind(json("report", report)?)
    .bind(now.to_string())
    .execute(&store.pool)
    .await?;
    Ok(())
}

pub(super) async fn reports(store: &SqliteStore) -> Result<Vec<ParametersRequest>> {
    sqlx::query("SELECT body FROM parameter_reports ORDER BY device")
        .fetch_all(&store.pool)
        .await?
        .iter()
        .map(|row| body("report", row))
        .collect()
}
