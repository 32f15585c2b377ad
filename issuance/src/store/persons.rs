//! Persons.

use super::{Conflict, ImportReport, Result, StoreError, audit, seal::Sealer};
use crate::{
    order::StaffId,
    person::{Person, PersonNo},
};
use card_spec::time::CardTime;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::collections::BTreeMap;

fn columns(row: &SqliteRow) -> Result<(String, String)> {
    Ok((row.try_get("psn_no")?, row.try_get("body")?))
}

async fn body(db: &mut SqliteConnection, psn_no: &PersonNo) -> Result<Option<(String, String)>> {
    let row = sqlx::query("SELECT psn_no, body FROM persons WHERE psn_no = $1")
        .bind(psn_no.as_str())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(columns).transpose()
}

pub(super) async fn exists(db: &mut SqliteConnection, psn_no: &PersonNo) -> Result<bool> {
    Ok(body(db, psn_no).await?.is_some())
}

pub(super) async fn get(
    db: &mut SqliteConnection,
    sealer: &Sealer,
    psn_no: &PersonNo,
) -> Result<Option<Person>> {
    let rows = body(db, psn_no).await?.into_iter().collect();
    Ok(sealer.open(rows).await?.pop())
}

/// Persons that must be there; one call to the HSM.
pub(super) async fn known(
    db: &mut SqliteConnection,
    sealer: &Sealer,
    numbers: &[PersonNo],
) -> Result<Vec<Person>> {
    let mut rows = Vec::with_capacity(numbers.len());
    for psn_no in numbers {
        let row = body(db, psn_no).await?;
        rows.push(row.ok_or_else(|| StoreError::NotFound {
            what: "person",
            id: psn_no.to_string(),
        })?);
    }
    sealer.open(rows).await
}

pub(super) async fn list(
    db: &mut SqliteConnection,
    sealer: &Sealer,
    after: Option<PersonNo>,
    limit: u32,
) -> Result<Vec<Person>> {
    let after = after.map_or_else(String::new, String::from);
    let rows =
        sqlx::query("SELECT psn_no, body FROM persons WHERE psn_no > $1 ORDER BY psn_no LIMIT $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?;
    let rows: Result<Vec<_>> = rows.iter().map(columns).collect();
    sealer.open(rows?).await
}

pub(super) async fn import(
    tx: &mut SqliteConnection,
    sealer: &Sealer,
    persons: &[Person],
    by: &StaffId,
    at: CardTime,
) -> Result<ImportReport> {
    let mut report = ImportReport {
        added: 0,
        unchanged: 0,
        conflicts: Vec::new(),
    };
    let mut kept = kept(tx, sealer, persons).await?;
    let sealed = sealer.seal(persons).await?;
    for (person, sealed) in persons.iter().zip(sealed) {
        if let Some(known) = kept.get(&person.psn_no) {
            if known == person {
                report.unchanged += 1;
            } else {
                report.conflicts.push(Conflict {
                    psn_no: person.psn_no.clone(),
                    why: "this person number is kept with other data: correct the person at the desk, an import never overwrites 该人员已登记且内容不同".to_owned(),
                });
            }
            continue;
        }
        let other = sqlx::query("SELECT psn_no FROM persons WHERE certno_hash = $1")
            .bind(&sealed.certno_hash)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = other {
            let kept: String = row.try_get("psn_no")?;
            report.conflicts.push(Conflict {
                psn_no: person.psn_no.clone(),
                why: format!("the same identity number is kept under {kept}: one of the two person numbers is wrong 身份号码已登记在 {kept} 名下"),
            });
            continue;
        }
        sqlx::query("INSERT INTO persons (psn_no, certno_hash, body) VALUES ($1, $2, $3)")
            .bind(person.psn_no.as_str())
            .bind(sealed.certno_hash)
            .bind(sealed.body)
            .execute(&mut *tx)
            .await?;
        kept.insert(person.psn_no.clone(), person.clone());
        report.added += 1;
    }
    let detail = format!(
        "added {}, unchanged {}, conflicts {}",
        report.added,
        report.unchanged,
        report.conflicts.len()
    );
    audit::append(tx, by, at, "import", &persons.len().to_string(), &detail).await?;
    Ok(report)
}

/// Those of the persons whose numbers are kept already, as they are kept.
async fn kept(
    db: &mut SqliteConnection,
    sealer: &Sealer,
    persons: &[Person],
) -> Result<BTreeMap<PersonNo, Person>> {
    let mut rows = Vec::new();
    for person in persons {
        rows.extend(body(db, &person.psn_no).await?);
    }
    let kept = sealer.open(rows).await?;
    Ok(kept.into_iter().map(|p| (p.psn_no.clone(), p)).collect())
}

/// Seals the rows of a database written before persons were sealed. Their bodies are plain JSON.
pub(super) async fn seal_plain(tx: &mut SqliteConnection, sealer: &Sealer) -> Result<()> {
    let rows = sqlx::query("SELECT psn_no, body FROM persons ORDER BY psn_no")
        .fetch_all(&mut *tx)
        .await?;
    let mut persons: Vec<Person> = Vec::with_capacity(rows.len());
    for row in &rows {
        let (_, body) = columns(row)?;
        persons.push(
            serde_json::from_str(&body).map_err(|_| StoreError::Corrupt { what: "a person" })?,
        );
    }
    let sealed = sealer.seal(&persons).await?;
    for (person, sealed) in persons.iter().zip(sealed) {
        sqlx::query("UPDATE persons SET certno_hash = $2, body = $3 WHERE psn_no = $1")
            .bind(person.psn_no.as_str())
            .bind(sealed.certno_hash)
            .bind(sealed.body)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
