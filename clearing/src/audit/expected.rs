//! The entries that the rows call for, by this module's own rules.

use super::Expected;
use crate::error::{ClearingError, Result};
use serde_json::Value;
use sqlx::{Row, SqliteConnection};

/// Outcomes that pay the operator: accepted, completed torn, price queried.
const PAID: [i64; 3] = [0, 3, 50];

fn add(
    expected: &mut Expected,
    day: &str,
    source: (&str, &str),
    debit: &str,
    credit: &str,
    amount: i64,
) {
    let (debit, credit, amount) = if amount < 0 {
        (credit, debit, -amount)
    } else {
        (debit, credit, amount)
    };
    if amount != 0 {
        let key = (
            source.0.to_owned(),
            source.1.to_owned(),
            debit.to_owned(),
            credit.to_owned(),
        );
        expected.entry(key).or_insert_with(|| (day.to_owned(), 0)).1 += amount;
    }
}

pub(super) async fn entries(tx: &mut SqliteConnection) -> Result<Expected> {
    let mut expected = Expected::new();
    taps(tx, &mut expected).await?;
    top_ups(tx, &mut expected).await?;
    settlements(tx, &mut expected).await?;
    openings(tx, &mut expected).await?;
    Ok(expected)
}

async fn taps(tx: &mut SqliteConnection, expected: &mut Expected) -> Result<()> {
    for row in sqlx::query(
        "SELECT batch, day, operator, outcome, amount FROM records
         WHERE app = 'purse' AND proved = 1 AND posted = 1",
    )
    .fetch_all(tx)
    .await?
    {
        let batch: i64 = row.try_get("batch")?;
        let credit = if PAID.contains(&row.try_get("outcome")?) {
            format!("operator:{}", row.try_get::<&str, _>("operator")?)
        } else {
            "suspense".to_owned()
        };
        let source = ("batch", batch.to_string());
        add(
            expected,
            row.try_get("day")?,
            (source.0, &source.1),
            "purse-float",
            &credit,
            row.try_get("amount")?,
        );
    }
    Ok(())
}

async fn top_ups(tx: &mut SqliteConnection, expected: &mut Expected) -> Result<()> {
    for row in sqlx::query(
        "SELECT id, day, operator, amount, state, confirmed_on, reversed_on, reinstated_on FROM topups
         WHERE state IN ('authorised', 'confirmed', 'reversed')",
    )
    .fetch_all(tx)
    .await?
    {
        let id = row.try_get::<i64, _>("id")?.to_string();
        let collected = format!("topup:{}", row.try_get::<&str, _>("operator")?);
        let amount: i64 = row.try_get("amount")?;
        let day: &str = row.try_get("day")?;
        add(
            expected,
            day,
            ("top-up", &id),
            &collected,
            "suspense",
            amount,
        );
        if let Some(day) = row.try_get::<Option<&str>, _>("confirmed_on")? {
            let source = ("top-up-confirmed", id.as_str());
            add(expected, day, source, "suspense", "purse-float", amount);
        }
        if let Some(day) = row.try_get::<Option<&str>, _>("reversed_on")? {
            let source = ("top-up-reversed", id.as_str());
            add(expected, day, source, "suspense", &collected, amount);
            // Held to be taken by a later sequence, until another's TAC proved otherwise.
            let taken = row.try_get::<Option<&str>, _>("confirmed_on")?.is_some();
            if taken && row.try_get::<&str, _>("state")? == "reversed" {
                let source = ("top-up-untaken", id.as_str());
                add(expected, day, source, "purse-float", "suspense", amount);
            }
        }
        if let Some(day) = row.try_get::<Option<&str>, _>("reinstated_on")? {
            let source = ("top-up-reinstated", id.as_str());
            add(expected, day, source, &collected, "suspense", amount);
        }
    }
    Ok(())
}

/// Settlements are read as JSON: fields by their published names.
async fn settlements(tx: &mut SqliteConnection, expected: &mut Expected) -> Result<()> {
    for row in sqlx::query("SELECT id, day, institution, city, body FROM settlements")
        .fetch_all(tx)
        .await?
    {
        let id = row.try_get::<i64, _>("id")?.to_string();
        let day: &str = row.try_get("day")?;
        let city: &str = row.try_get("city")?;
        let institution: &str = row.try_get("institution")?;
        let hospital = format!("hospital:{institution}");
        let body = json(row.try_get("body")?)?;
        let none = Vec::new();
        for detail in body["details"].as_array().unwrap_or(&none) {
            let amount = detail["fund_payamt"].as_i64().unwrap_or(0);
            let payer = match detail["fund_pay_type"].as_str() {
                Some("310200") => format!("medical:{city}"),
                Some("999996") | None => continue,
                Some(fund) => format!("fund:{fund}:{city}"),
            };
            add(
                expected,
                day,
                ("settlement", &id),
                &payer,
                &hospital,
                amount,
            );
        }
        let cash = body["psn_cash_pay"].as_i64().unwrap_or(0);
        let till = format!("cash:{institution}");
        add(expected, day, ("settlement", &id), &till, &hospital, cash);
    }
    Ok(())
}

/// Opening entries of personal accounts keep the day on which they were posted: no other row holds it.
async fn openings(tx: &mut SqliteConnection, expected: &mut Expected) -> Result<()> {
    for row in sqlx::query(
        "SELECT a.psn_no AS psn_no, a.city AS city, a.opening AS opening,
                coalesce((SELECT e.day FROM entries e
                          WHERE e.source = 'opening' AND e.source_id = a.psn_no), '') AS day
         FROM accounts a",
    )
    .fetch_all(tx)
    .await?
    {
        let city: &str = row.try_get("city")?;
        add(
            expected,
            row.try_get("day")?,
            ("opening", row.try_get("psn_no")?),
            &format!("bank:medical:{city}"),
            &format!("medical:{city}"),
            row.try_get("opening")?,
        );
    }
    Ok(())
}

pub(super) fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|why| ClearingError::Damaged {
        what: "row",
        why: why.to_string(),
    })
}
