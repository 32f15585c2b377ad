//! The national interface's state.

use super::*;
use crate::error::Refusal;
use clearing_api::national::{FeeLine, Settled};

pub(super) async fn message(store: &SqliteStore, msgid: &str) -> Result<Option<(String, String)>> {
    sqlx::query("SELECT hash, response FROM messages WHERE msgid = $1")
        .bind(msgid.to_owned())
        .fetch_optional(&store.pool)
        .await?
        .map(|row| Ok((row.try_get("hash")?, row.try_get("response")?)))
        .transpose()
}

pub(super) async fn remember(
    tx: &mut SqliteConnection,
    key: &MessageKey,
    response: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO messages (msgid, institution, hash, response) VALUES ($1, $2, $3, $4)",
    )
    .bind(&key.msgid)
    .bind(&key.institution)
    .bind(&key.hash)
    .bind(response)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn sign_in(
    store: &SqliteStore,
    institution: &str,
    opter: &str,
    at: CardTime,
) -> Result<u64> {
    let done = sqlx::query("INSERT INTO signins (institution, opter, at) VALUES ($1, $2, $3)")
        .bind(institution.to_owned())
        .bind(opter.to_owned())
        .bind(at.to_string())
        .execute(&store.pool)
        .await?;
    Ok(done.last_insert_rowid().unsigned_abs())
}

pub(super) async fn open_visit(
    store: &SqliteStore,
    institution: &str,
    psn_no: &str,
    insutype: &str,
    mdtrtarea: RegionCode,
    ipt_otp_no: &str,
) -> Result<u64> {
    let mut tx = store.write().await?;
    sqlx::query(
        "INSERT INTO visits (institution, psn_no, insutype, mdtrtarea, ipt_otp_no)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (institution, ipt_otp_no) DO NOTHING",
    )
    .bind(institution)
    .bind(psn_no)
    .bind(insutype)
    .bind(mdtrtarea.to_string())
    .bind(ipt_otp_no)
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query(
        "SELECT id, psn_no, insutype FROM visits WHERE institution = $1 AND ipt_otp_no = $2",
    )
    .bind(institution)
    .bind(ipt_otp_no)
    .fetch_one(&mut *tx)
    .await?;
    if row.try_get::<&str, _>("psn_no")? != psn_no
        || row.try_get::<&str, _>("insutype")? != insutype
    {
        return Err(Refusal::conflict(
            "ipt_otp_no belongs to another registration: number this visit anew",
        )
        .into());
    }
    tx.commit().await?;
    unum(&row, "id")
}

async fn accumulators(
    connection: &mut SqliteConnection,
    psn_no: &str,
    insutype: &str,
    year: u16,
) -> Result<benefit::Accumulators> {
    sqlx::query("SELECT body FROM accumulators WHERE psn_no = $1 AND insutype = $2 AND year = $3")
        .bind(psn_no)
        .bind(insutype)
        .bind(i64::from(year))
        .fetch_optional(connection)
        .await?
        .map(|row| body("accumulators", &row))
        .transpose()
        .map(Option::unwrap_or_default)
}

async fn account(connection: &mut SqliteConnection, psn_no: &str) -> Result<Fen> {
    let row = sqlx::query("SELECT balance FROM accounts WHERE psn_no = $1")
        .bind(psn_no)
        .fetch_one(connection)
        .await?;
    Ok(Fen(row.try_get("balance")?))
}

pub(super) async fn visit(
    store: &SqliteStore,
    id: u64,
    chrg_bchno: &str,
    year: u16,
) -> Result<Option<VisitState>> {
    let mut connection = store.pool.acquire().await?;
    let Some(row) = sqlx::query(
        "SELECT v.institution AS institution, v.psn_no AS psn_no, v.insutype AS insutype,
                v.mdtrtarea AS mdtrtarea, i.body AS body
         FROM visits v JOIN insured i ON i.psn_no = v.psn_no WHERE v.id = $1",
    )
    .bind(num(id)?)
    .fetch_optional(&mut *connection)
    .await?
    else {
        return Ok(None);
    };
    let psn_no: String = row.try_get("psn_no")?;
    let insutype: String = row.try_get("insutype")?;
    let lines = sqlx::query(
        "SELECT priced FROM lines
         WHERE visit = $1 AND chrg_bchno = $2 AND settlement IS NULL ORDER BY feedetl_sn",
    )
    .bind(num(id)?)
    .bind(chrg_bchno.to_owned())
    .fetch_all(&mut *connection)
    .await?
    .iter()
    .map(|line| parse("line", line.try_get::<&str, _>("priced")?))
    .collect::<Result<_>>()?;
    Ok(Some(VisitState {
        id,
        institution: row.try_get("institution")?,
        mdtrtarea: text(&row, "mdtrtarea")?,
        insured: body("insured", &row)?,
        account: account(&mut connection, &psn_no).await?,
        year: accumulators(&mut connection, &psn_no, &insutype, year).await?,
        insutype,
        lines,
    }))
}

pub(super) async fn add_lines(
    store: &SqliteStore,
    visit: u64,
    lines: &[(FeeLine, benefit::PricedLine)],
) -> Result<()> {
    let mut tx = store.write().await?;
    for (sent, priced) in lines {
        let sent_json = json("line", sent)?;
        let before = sqlx::query("SELECT sent FROM lines WHERE visit = $1 AND feedetl_sn = $2")
            .bind(num(visit)?)
            .bind(&sent.feedetl_sn)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = before {
            if row.try_get::<&str, _>("sent")? == sent_json {
                continue;
            }
            return Err(Refusal::conflict(format!(
                "feedetl_sn {} was sent before with other content: number the line anew",
                sent.feedetl_sn
            ))
            .into());
        }
        sqlx::query(
            "INSERT INTO lines (visit, feedetl_sn, chrg_bchno, sent, priced) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(num(visit)?)
        .bind(&sent.feedetl_sn)
        .bind(&sent.chrg_bchno)
        .bind(sent_json)
        .bind(json("line", priced)?)
        .execute(&mut *tx)
        .await?;
    }
    Ok(tx.commit().await?)
}

pub(super) async fn settle(
    store: &SqliteStore,
    new: &NewSettlement,
    key: &MessageKey,
    today: CardDate,
    answer: &(dyn Fn(u64) -> (Settled, String) + Sync),
) -> Result<Option<String>> {
    let mut tx = store.write().await?;
    let now = accumulators(&mut tx, &new.psn_no, &new.insutype, new.year).await?;
    let balance = account(&mut tx, &new.psn_no).await?;
    let reversed = match new.reverses {
        Some(id) => sqlx::query("SELECT 1 FROM settlements WHERE reverses = $1")
            .bind(num(id)?)
            .fetch_optional(&mut *tx)
            .await?
            .is_some(),
        None => false,
    };
    if now != new.year_before || balance != new.account_before || reversed {
        return Ok(None);
    }
    let day = business_day(&mut tx, today).await?;
    let after = now
        .plus(&new.settlement.year_change)
        .map_err(|why| Refusal::invalid(why.to_string()))?;
    let id: i64 = sqlx::query("SELECT coalesce(max(id), 0) + 1 AS id FROM settlements")
        .fetch_one(&mut *tx)
        .await?
        .try_get("id")?;
    let (settled, response) = answer(id.unsigned_abs());
    sqlx::query(
        "INSERT INTO settlements (id, visit, day, institution, psn_no, city, insutype, year,
            chrg_bchno, msgid, body, answer, reverses)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(id)
    .bind(num(new.visit)?)
    .bind(day.to_string())
    .bind(&new.institution)
    .bind(&new.psn_no)
    .bind(new.city.to_string())
    .bind(&new.insutype)
    .bind(i64::from(new.year))
    .bind(&new.chrg_bchno)
    .bind(&key.msgid)
    .bind(json("settlement", &new.settlement)?)
    .bind(json("answer", &settled)?)
    .bind(new.reverses.map(num).transpose()?)
    .execute(&mut *tx)
    .await?;
    let (mark, from) = match new.reverses {
        None => (Some(id), None),
        Some(reversed) => (None, Some(num(reversed)?)),
    };
    // A settlement takes its batch's open lines; a reversal gives its settlement's lines back.
    sqlx::query(
        "UPDATE lines SET settlement = $1
         WHERE visit = $2 AND chrg_bchno = $3 AND settlement IS $4",
    )
    .bind(mark)
    .bind(num(new.visit)?)
    .bind(&new.chrg_bchno)
    .bind(from)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO accumulators (psn_no, insutype, year, body) VALUES ($1, $2, $3, $4)
         ON CONFLICT (psn_no, insutype, year) DO UPDATE SET body = excluded.body",
    )
    .bind(&new.psn_no)
    .bind(&new.insutype)
    .bind(i64::from(new.year))
    .bind(json("accumulators", &after)?)
    .execute(&mut *tx)
    .await?;
    let own = new.settlement.acct_pay - new.settlement.acct_mulaid_pay;
    sqlx::query("UPDATE accounts SET balance = balance - $1 WHERE psn_no = $2")
        .bind(own.0)
        .bind(&new.psn_no)
        .execute(&mut *tx)
        .await?;
    post(&mut tx, day, "settlement", &id.to_string(), &new.postings).await?;
    remember(&mut tx, key, &response).await?;
    tx.commit().await?;
    Ok(Some(response))
}

pub(super) async fn settlement(store: &SqliteStore, id: u64) -> Result<Option<SettlementRow>> {
    let mut connection = store.pool.acquire().await?;
    let Some(row) = sqlx::query(
        "SELECT s.*, (s.reverses IS NOT NULL OR EXISTS
            (SELECT 1 FROM settlements r WHERE r.reverses = s.id)) AS closed
         FROM settlements s WHERE s.id = $1",
    )
    .bind(num(id)?)
    .fetch_optional(&mut *connection)
    .await?
    else {
        return Ok(None);
    };
    let psn_no: String = row.try_get("psn_no")?;
    let insutype: String = row.try_get("insutype")?;
    let year: u16 = unum(&row, "year")?;
    Ok(Some(SettlementRow {
        id,
        visit: unum(&row, "visit")?,
        institution: row.try_get("institution")?,
        city: text(&row, "city")?,
        chrg_bchno: row.try_get("chrg_bchno")?,
        settlement: body("settlement", &row)?,
        answer: parse("answer", row.try_get::<&str, _>("answer")?)?,
        closed: row.try_get::<i64, _>("closed")? != 0,
        account: account(&mut connection, &psn_no).await?,
        accumulators: accumulators(&mut connection, &psn_no, &insutype, year).await?,
        psn_no,
        insutype,
        year,
    }))
}
