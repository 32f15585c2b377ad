//! Orders and the allocation of card numbers.

use super::{CardRow, Result, StoreError, audit, cards, persons, seal::Sealer};
use crate::{
    life::{CardEvent, CardState},
    order::{
        AnyOrder, Approved, CardOptions, Draft, FourEyes, ORDER_MAX, Order, OrderId, Purpose,
        StaffId,
    },
    pan::{self, CardSeq},
    person::{Person, PersonNo},
};
use card_spec::{id::Generation, time::CardTime};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use std::collections::BTreeSet;

const CORRUPT: StoreError = StoreError::Corrupt { what: "an order" };

fn from_row(row: &SqliteRow) -> Result<AnyOrder> {
    let json = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    let id: i64 = row.try_get("id")?;
    let id = OrderId(u32::try_from(id).map_err(|_| CORRUPT)?);
    let purpose = serde_json::from_str(&json("purpose")?).map_err(|_| CORRUPT)?;
    let options = serde_json::from_str(&json("options")?).map_err(|_| CORRUPT)?;
    let author: StaffId = json("author")?.parse().map_err(|_| CORRUPT)?;
    let approver: Option<String> = row.try_get("approver")?;
    let Some(approver) = approver else {
        let drafted = json("drafted")?.parse().map_err(|_| CORRUPT)?;
        return Ok(AnyOrder::Draft(Order {
            id,
            purpose,
            options,
            state: Draft { author, drafted },
        }));
    };
    let approver = approver.parse().map_err(|_| CORRUPT)?;
    Ok(AnyOrder::Approved(Order {
        id,
        purpose,
        options,
        state: Approved {
            by: FourEyes::new(author, approver)?,
            approved: json("approved")?.parse().map_err(|_| CORRUPT)?,
        },
    }))
}

pub(super) async fn list(
    db: &mut SqliteConnection,
    after: Option<OrderId>,
    limit: u32,
) -> Result<Vec<AnyOrder>> {
    let rows = sqlx::query("SELECT * FROM orders WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(i64::from(after.map_or(0, |o| o.0)))
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(super) async fn draft(
    tx: &mut SqliteConnection,
    purpose: Purpose,
    options: CardOptions,
    author: &StaffId,
    at: CardTime,
) -> Result<Order<Draft>> {
    let subject = match &purpose {
        Purpose::First { persons } => {
            check_persons(tx, persons).await?;
            format!("{} first cards", persons.len())
        }
        Purpose::Replacement { of } => {
            let old = cards::existing(tx, *of).await?;
            // Asked now, so that the author hears it and not the approver.
            old.state.next(CardEvent::Replace)?;
            format!("replacement of {of}")
        }
    };
    let text = |value: core::result::Result<String, serde_json::Error>| value.map_err(|_| CORRUPT);
    let id: i64 = sqlx::query(
        "INSERT INTO orders (purpose, options, author, drafted) VALUES ($1, $2, $3, $4) RETURNING id",
    )
    .bind(text(serde_json::to_string(&purpose))?)
    .bind(text(serde_json::to_string(&options))?)
    .bind(author.as_str())
    .bind(at.to_string())
    .fetch_one(&mut *tx)
    .await?
    .try_get(0)?;
    let id = OrderId(u32::try_from(id).map_err(|_| CORRUPT)?);
    audit::append(tx, author, at, "draft", &format!("order {id}"), &subject).await?;
    Ok(Order {
        id,
        purpose,
        options,
        state: Draft {
            author: author.clone(),
            drafted: at,
        },
    })
}

async fn check_persons(db: &mut SqliteConnection, persons: &[PersonNo]) -> Result<()> {
    if persons.is_empty() || persons.len() > ORDER_MAX {
        return Err(StoreError::Conflict(format!(
            "an order has 1 to {ORDER_MAX} persons, this one {}: split it 每单 1 至 {ORDER_MAX} 人",
            persons.len()
        )));
    }
    let mut seen = BTreeSet::new();
    for psn_no in persons {
        if !seen.insert(psn_no) {
            return Err(StoreError::Conflict(format!(
                "{psn_no} is in the order twice 重复"
            )));
        }
        if !persons::exists(db, psn_no).await? {
            return Err(StoreError::NotFound {
                what: "person",
                id: psn_no.to_string(),
            });
        }
        no_live_card(db, psn_no).await?;
    }
    Ok(())
}

async fn no_live_card(db: &mut SqliteConnection, psn_no: &PersonNo) -> Result<()> {
    match cards::live_of(db, psn_no).await? {
        None => Ok(()),
        Some(card) => Err(StoreError::Conflict(format!(
            "{psn_no} has the card {} ({}): report it lost and order a replacement 已有卡",
            card.pan,
            card.state.name()
        ))),
    }
}

pub(super) async fn approve(
    tx: &mut SqliteConnection,
    sealer: &Sealer,
    id: OrderId,
    approver: &StaffId,
    at: CardTime,
) -> Result<(Order<Approved>, Vec<CardRow>)> {
    let row = sqlx::query("SELECT * FROM orders WHERE id = $1")
        .bind(i64::from(id.0))
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound {
            what: "order",
            id: id.to_string(),
        })?;
    let AnyOrder::Draft(draft) = from_row(&row)? else {
        return Err(StoreError::Conflict(format!(
            "order {id} is approved already 已复核"
        )));
    };
    let order = draft.approve(approver.clone(), at)?;
    sqlx::query("UPDATE orders SET approver = $2, approved = $3 WHERE id = $1")
        .bind(i64::from(id.0))
        .bind(approver.as_str())
        .bind(at.to_string())
        .execute(&mut *tx)
        .await?;
    let mut queued = Vec::new();
    match &order.purpose {
        Purpose::First { persons } => {
            for person in persons::known(tx, sealer, persons).await? {
                // Another order may have been approved since this one was drawn up.
                no_live_card(tx, &person.psn_no).await?;
                queued.push(allocate(tx, &order, &person, at).await?);
            }
        }
        Purpose::Replacement { of } => {
            let old = cards::change(tx, *of, CardEvent::Replace, approver, at).await?;
            for person in persons::known(tx, sealer, &[old.psn_no]).await? {
                queued.push(allocate(tx, &order, &person, at).await?);
            }
        }
    }
    let detail = format!(
        "{} cards, drawn up by {}",
        queued.len(),
        order.state.by.author()
    );
    audit::append(tx, approver, at, "approve", &format!("order {id}"), &detail).await?;
    Ok((order, queued))
}

async fn allocate(
    tx: &mut SqliteConnection,
    order: &Order<Approved>,
    person: &Person,
    at: CardTime,
) -> Result<CardRow> {
    let row = CardRow {
        pan: next_pan(tx, person).await?,
        psn_no: person.psn_no.clone(),
        order: order.id,
        generation: next_generation(tx, &person.psn_no).await?,
        region: person.region,
        options: order.options,
        state: CardState::Queued,
        chip: None,
        valid_from: at.date(),
    };
    cards::insert(tx, &row).await?;
    Ok(row)
}

/// The next number of the province, in the person's region.
pub(super) async fn next_pan(
    db: &mut SqliteConnection,
    person: &Person,
) -> Result<card_spec::id::Pan> {
    let last: i64 = sqlx::query("SELECT COALESCE(MAX(seq), 0) FROM cards")
        .fetch_one(db)
        .await?
        .try_get(0)?;
    let seq = u32::try_from(last + 1)
        .ok()
        .and_then(CardSeq::new)
        .ok_or(StoreError::Numbers)?;
    pan::compose(person.region, seq).map_err(|_| StoreError::Numbers)
}

/// One more than the last generation that a holder had in hand; a spoiled card was nobody's.
async fn next_generation(db: &mut SqliteConnection, psn_no: &PersonNo) -> Result<Generation> {
    let last: i64 = sqlx::query(
        "SELECT COALESCE(MAX(generation), 0) FROM cards WHERE psn_no = $1 AND state <> 'spoiled'",
    )
    .bind(psn_no.as_str())
    .fetch_one(db)
    .await?
    .try_get(0)?;
    u8::try_from(last + 1).map(Generation).map_err(|_| {
        StoreError::Conflict(format!(
            "{psn_no} has had 255 cards: the card counts no further"
        ))
    })
}
