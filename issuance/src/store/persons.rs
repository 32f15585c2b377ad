//! Persons.

use super::{Conflict, ImportReport, Result, StoreError, audit};
use crate::{
    order::StaffId,
    person::{Person, PersonNo},
};
use card_spec::time::CardTime;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

pub(super) fn from_row(row: &SqliteRow) -> Result<Person> {
    let body: String = row.try_get("body")?;
    serde_json::from_str(&body).map_err(|_| StoreError::Corrupt { what: "a person" })
}

pub(super) async fn get(db: &mut SqliteConnection, psn_no: &PersonNo) -> Result<Option<Person>> {
    let row = sqlx::query("SELECT body FROM persons WHERE psn_no = $1")
        .bind(psn_no.as_str())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(from_row).transpose()
}

pub(super) async fn list(
    db: &mut SqliteConnection,
    after: Option<PersonNo>,
    limit: u32,
) -> Result<Vec<Person>> {
    let after = after.map_or_else(String::new, String::from);
    let rows = sqlx::query("SELECT body FROM persons WHERE psn_no > $1 ORDER BY psn_no LIMIT $2")
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(super) async fn import(
    tx: &mut SqliteConnection,
    persons: &[Person],
    by: &StaffId,
    at: CardTime,
) -> Result<ImportReport> {
    let mut report = ImportReport {
        added: 0,
        unchanged: 0,
        conflicts: Vec::new(),
    };
    for person in persons {
        if let Some(known) = get(tx, &person.psn_no).await? {
            if known == *person {
                report.unchanged += 1;
            } else {
                report.conflicts.push(Conflict {
                    psn_no: person.psn_no.clone(),
                    why: "this person number is kept with other data: correct the person at the desk, an import never overwrites 该人员已登记且内容不同".to_owned(),
                });
            }
            continue;
        }
        let other = sqlx::query("SELECT psn_no FROM persons WHERE certno = $1")
            .bind(person.certno.as_str())
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
        let body =
            serde_json::to_string(person).map_err(|_| StoreError::Corrupt { what: "a person" })?;
        sqlx::query("INSERT INTO persons (psn_no, certno, body) VALUES ($1, $2, $3)")
            .bind(person.psn_no.as_str())
            .bind(person.certno.as_str())
            .bind(body)
            .execute(&mut *tx)
            .await?;
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
