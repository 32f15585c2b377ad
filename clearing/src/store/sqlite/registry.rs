//! Who exists, the hotlist, and what follows from the rows about one card or person.

use super::*;
use crate::error::Refusal;
use crate::ledger::{Account, Postings, city_of};

pub(super) async fn put(store: &SqliteStore, item: &Registered, today: CardDate) -> Result<()> {
    let mut tx = store.write().await?;
    match item {
        Registered::Operator(operator) => {
            upsert(
                &mut tx,
                "INSERT INTO operators (id, body) VALUES ($1, $2)
                 ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                &[&operator.id, &json("operator", operator)?],
            )
            .await?;
        }
        Registered::Device(device) => {
            upsert(
                &mut tx,
                "INSERT INTO devices (device, operator, body) VALUES ($1, $2, $3)
                 ON CONFLICT (device) DO UPDATE SET operator = excluded.operator, body = excluded.body",
                &[&device.device.to_string(), &device.operator, &json("device", device)?],
            )
            .await?;
            upsert(
                &mut tx,
                "INSERT INTO device_keys (device, public_key) VALUES ($1, $2)
                 ON CONFLICT (device, public_key) DO NOTHING",
                &[&device.device.to_string(), &device.public_key],
            )
            .await?;
        }
        Registered::Sam(sam) => {
            upsert(
                &mut tx,
                "INSERT INTO sams (sam, body) VALUES ($1, $2)
                 ON CONFLICT (sam) DO UPDATE SET body = excluded.body",
                &[&sam.sam.to_string(), &json("SAM", sam)?],
            )
            .await?;
        }
        Registered::Card(card) => {
            upsert(
                &mut tx,
                "INSERT INTO cards (pan, psn_no, body) VALUES ($1, $2, $3)
                 ON CONFLICT (pan) DO UPDATE SET psn_no = excluded.psn_no, body = excluded.body",
                &[&card.pan.to_string(), &card.psn_no, &json("card", card)?],
            )
            .await?;
        }
        Registered::Insured(insured) => put_insured(&mut tx, insured, today).await?,
    }
    Ok(tx.commit().await?)
}

async fn upsert(
    connection: &mut SqliteConnection,
    sql: &'static str,
    values: &[&str],
) -> Result<()> {
    let mut query = sqlx::query(sql);
    for value in values {
        query = query.bind(*value);
    }
    query.execute(connection).await?;
    Ok(())
}

/// A person; the personal account opens once with the registry's balance, later only settlements
/// change it. A pension begins on the day it is first registered.
async fn put_insured(tx: &mut SqliteConnection, insured: &Insured, today: CardDate) -> Result<()> {
    let taken = sqlx::query("SELECT 1 FROM insured WHERE certno = $1 AND psn_no <> $2")
        .bind(insured.certno.as_str())
        .bind(&insured.psn_no)
        .fetch_optional(&mut *tx)
        .await?;
    if taken.is_some() {
        return Err(Refusal::conflict(
            "this identity number is registered under another person number: merge the two first",
        )
        .into());
    }
    upsert(
        tx,
        "INSERT INTO insured (psn_no, certno, body) VALUES ($1, $2, $3)
         ON CONFLICT (psn_no) DO UPDATE SET certno = excluded.certno, body = excluded.body",
        &[
            &insured.psn_no,
            insured.certno.as_str(),
            &json("insured", insured)?,
        ],
    )
    .await?;
    let city = city_of(insured.insuplc_admdvs);
    let opened = sqlx::query(
        "INSERT INTO accounts (psn_no, city, opening, balance) VALUES ($1, $2, $3, $3)
         ON CONFLICT (psn_no) DO NOTHING",
    )
    .bind(&insured.psn_no)
    .bind(city.to_string())
    .bind(insured.account.0)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if opened == 1 {
        let mut postings = Postings::default();
        postings.add(Account::Bank(city), Account::Medical(city), insured.account);
        let day = business_day(tx, today).await?;
        post(
            tx,
            day,
            "opening",
            &insured.psn_no,
            &postings.into_entries(),
        )
        .await?;
    }
    if let Some(monthly) = insured.pension {
        sqlx::query(
            "INSERT INTO pensions (psn_no, monthly, since) VALUES ($1, $2, $3)
             ON CONFLICT (psn_no) DO UPDATE SET monthly = excluded.monthly",
        )
        .bind(&insured.psn_no)
        .bind(monthly.0)
        .bind(today.to_string())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn device(store: &SqliteStore, device: DeviceNo) -> Result<Option<Device>> {
    sqlx::query("SELECT body FROM devices WHERE device = $1")
        .bind(device.to_string())
        .fetch_optional(&store.pool)
        .await?
        .map(|row| body("device", &row))
        .transpose()
}

pub(super) async fn card(store: &SqliteStore, pan: Pan) -> Result<Option<(Card, Option<Listing>)>> {
    let mut connection = store.pool.acquire().await?;
    let Some(row) = sqlx::query("SELECT body FROM cards WHERE pan = $1")
        .bind(pan.to_string())
        .fetch_optional(&mut *connection)
        .await?
    else {
        return Ok(None);
    };
    let card: Card = body("card", &row)?;
    let listing = listing(&mut connection, pan, card.generation).await?;
    Ok(Some((card, listing)))
}

pub(super) async fn listing(
    connection: &mut SqliteConnection,
    pan: Pan,
    generation: Generation,
) -> Result<Option<Listing>> {
    sqlx::query(
        "SELECT version, listed_on FROM hotlist
         WHERE pan = $1 AND generation = $2 AND removed = 0",
    )
    .bind(pan.to_string())
    .bind(i64::from(generation.0))
    .fetch_optional(connection)
    .await?
    .map(|row| {
        Ok(Listing {
            version: unum(&row, "version")?,
            on: text(&row, "listed_on")?,
        })
    })
    .transpose()
}

pub(super) async fn list(
    tx: &mut SqliteConnection,
    entry: &ListCard,
    today: CardDate,
) -> Result<HotlistEntry> {
    sqlx::query(
        "INSERT INTO hotlist (version, pan, generation, reason, listed_on)
         VALUES ((SELECT coalesce(max(version), 0) + 1 FROM hotlist), $1, $2, $3, $4)
         ON CONFLICT (pan, generation) DO UPDATE SET version = excluded.version,
             reason = excluded.reason, listed_on = excluded.listed_on, removed = 0
         WHERE removed = 1",
    )
    .bind(entry.pan.to_string())
    .bind(i64::from(entry.generation.0))
    .bind(&entry.reason)
    .bind(today.to_string())
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query(
        "SELECT version, pan, generation, reason, removed FROM hotlist
         WHERE pan = $1 AND generation = $2",
    )
    .bind(entry.pan.to_string())
    .bind(i64::from(entry.generation.0))
    .fetch_one(tx)
    .await?;
    hotlist_entry(&row)
}

fn hotlist_entry(row: &SqliteRow) -> Result<HotlistEntry> {
    Ok(HotlistEntry {
        pan: text(row, "pan")?,
        generation: Generation(unum(row, "generation")?),
        version: unum(row, "version")?,
        reason: row.try_get("reason")?,
        removed: row.try_get::<i64, _>("removed")? != 0,
    })
}

pub(super) async fn hotlist_version(connection: &mut SqliteConnection) -> Result<u64> {
    let row = sqlx::query("SELECT coalesce(max(version), 0) AS version FROM hotlist")
        .fetch_one(connection)
        .await?;
    unum(&row, "version")
}

pub(super) async fn hotlist(store: &SqliteStore, since: u64) -> Result<Hotlist> {
    let mut connection = store.pool.acquire().await?;
    let version = hotlist_version(&mut connection).await?;
    let entries = sqlx::query(
        "SELECT version, pan, generation, reason, removed FROM hotlist
         WHERE version > $1 AND version <= $2 ORDER BY version",
    )
    .bind(num(since)?)
    .bind(num(version)?)
    .fetch_all(&mut *connection)
    .await?
    .iter()
    .map(hotlist_entry)
    .collect::<Result<_>>()?;
    Ok(Hotlist {
        since,
        version,
        entries,
        signature: String::new(),
    })
}

pub(super) async fn insured(store: &SqliteStore, by: PersonKey<'_>) -> Result<Option<PersonRow>> {
    const SELECT: &str = "SELECT i.body AS body, a.balance AS balance
        FROM insured i JOIN accounts a ON a.psn_no = i.psn_no WHERE i.psn_no = $1";
    let row = match by {
        PersonKey::PsnNo(psn_no) => sqlx::query(SELECT).bind(psn_no.to_owned()),
        PersonKey::CertNo(certno) => sqlx::query(
            "SELECT i.body AS body, a.balance AS balance
             FROM insured i JOIN accounts a ON a.psn_no = i.psn_no WHERE i.certno = $1",
        )
        .bind(certno.to_string()),
        PersonKey::Card(pan) => sqlx::query(
            "SELECT i.body AS body, a.balance AS balance FROM insured i
             JOIN accounts a ON a.psn_no = i.psn_no
             JOIN cards c ON c.psn_no = i.psn_no WHERE c.pan = $1",
        )
        .bind(pan.to_string()),
    }
    .fetch_optional(&store.pool)
    .await?;
    row.map(|row| {
        Ok(PersonRow {
            insured: body("insured", &row)?,
            account: Fen(row.try_get("balance")?),
        })
    })
    .transpose()
}

pub(super) async fn purse_trail(store: &SqliteStore, pan: Pan) -> Result<PurseTrail> {
    let mut connection = store.pool.acquire().await?;
    let rows = sqlx::query(
        "SELECT card_seq, amount, seq_authenticated FROM records
         WHERE pan = $1 AND app = 'purse' AND posted = 1 ORDER BY card_seq, seq_authenticated",
    )
    .bind(pan.to_string())
    .fetch_all(&mut *connection)
    .await?;
    let mut trail = PurseTrail::default();
    for row in &rows {
        let authenticated = row.try_get::<i64, _>("seq_authenticated")? != 0;
        trail.seqs.push((unum(row, "card_seq")?, authenticated));
        trail.balance -= Fen(row.try_get("amount")?);
    }
    let loads: i64 = sqlx::query(
        "SELECT coalesce(sum(amount), 0) AS loads FROM topups WHERE pan = $1 AND state = 'confirmed'",
    )
    .bind(pan.to_string())
    .fetch_one(&mut *connection)
    .await?
    .try_get("loads")?;
    trail.balance += Fen(loads);
    Ok(trail)
}

pub(super) async fn pension(store: &SqliteStore, psn_no: &str) -> Result<Option<PensionTrail>> {
    let mut connection = store.pool.acquire().await?;
    let Some(row) = sqlx::query(
        "SELECT p.monthly AS monthly, p.since AS since, i.certno AS certno
         FROM pensions p JOIN insured i ON i.psn_no = p.psn_no WHERE p.psn_no = $1",
    )
    .bind(psn_no.to_owned())
    .fetch_optional(&mut *connection)
    .await?
    else {
        return Ok(None);
    };
    let proofs = sqlx::query(
        "SELECT DISTINCT substr(r.at, 1, 10) AS proof FROM records r JOIN cards c ON c.pan = r.pan
         WHERE c.psn_no = $1 AND r.mode = 'pension' AND r.outcome = 0 AND r.proved = 1 ORDER BY 1",
    )
    .bind(psn_no.to_owned())
    .fetch_all(&mut *connection)
    .await?
    .iter()
    .map(|row| text(row, "proof"))
    .collect::<Result<_>>()?;
    Ok(Some(PensionTrail {
        certno: text(&row, "certno")?,
        monthly: Fen(row.try_get("monthly")?),
        since: text(&row, "since")?,
        proofs,
    }))
}
