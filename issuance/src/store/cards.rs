//! Cards, their states, and blank stock.

use super::{CardRow, Result, Stock, StoreError, Work, audit, orders, persons, seal::Sealer};
use crate::{
    life::{CardEvent, CardState},
    order::{OrderId, StaffId},
    pan,
    person::{Person, PersonNo},
    personalise::ChipSerial,
};
use card_spec::{
    FormatError,
    id::{Generation, Pan},
    time::CardTime,
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

const CORRUPT: StoreError = StoreError::Corrupt { what: "a card" };

fn from_row(row: &SqliteRow) -> Result<CardRow> {
    let text = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    let number = |column: &str| -> Result<i64> { Ok(row.try_get(column)?) };
    let format = |_: FormatError| CORRUPT;
    let pan: Pan = text("pan")?.parse().map_err(format)?;
    let [_, _, r0, r1, r2, ..] = pan.to_bytes();
    let chip: Option<String> = row.try_get("chip")?;
    let chip = match chip {
        None => None,
        Some(text) => {
            let mut bytes = [0; 10];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| CORRUPT)?;
            Some(ChipSerial(bytes))
        }
    };
    Ok(CardRow {
        pan,
        psn_no: PersonNo::try_from(text("psn_no")?).map_err(format)?,
        order: OrderId(u32::try_from(number("order_id")?).map_err(|_| CORRUPT)?),
        generation: Generation(u8::try_from(number("generation")?).map_err(|_| CORRUPT)?),
        region: card_spec::id::RegionCode::from_bytes([r0, r1, r2]).map_err(format)?,
        options: serde_json::from_str(&text("options")?).map_err(|_| CORRUPT)?,
        state: CardState::from_name(&text("state")?).ok_or(CORRUPT)?,
        chip,
        valid_from: text("valid_from")?.parse().map_err(format)?,
    })
}

pub(super) async fn insert(tx: &mut SqliteConnection, card: &CardRow) -> Result<()> {
    let seq = pan::parse(card.pan).ok_or(CORRUPT)?;
    let options = serde_json::to_string(&card.options).map_err(|_| CORRUPT)?;
    sqlx::query(
        "INSERT INTO cards (seq, pan, psn_no, order_id, generation, options, state, valid_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(i64::from(seq.get()))
    .bind(card.pan.to_string())
    .bind(card.psn_no.as_str())
    .bind(i64::from(card.order.0))
    .bind(i64::from(card.generation.0))
    .bind(options)
    .bind(card.state.name())
    .bind(card.valid_from.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn get(db: &mut SqliteConnection, pan: Pan) -> Result<Option<CardRow>> {
    let row = sqlx::query("SELECT * FROM cards WHERE pan = $1")
        .bind(pan.to_string())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(from_row).transpose()
}

pub(super) async fn existing(db: &mut SqliteConnection, pan: Pan) -> Result<CardRow> {
    get(db, pan).await?.ok_or(StoreError::NotFound {
        what: "card",
        id: pan.to_string(),
    })
}

pub(super) async fn live_of(
    db: &mut SqliteConnection,
    psn_no: &PersonNo,
) -> Result<Option<CardRow>> {
    let rows = sqlx::query("SELECT * FROM cards WHERE psn_no = $1 ORDER BY seq")
        .bind(psn_no.as_str())
        .fetch_all(db)
        .await?;
    for row in &rows {
        let card = from_row(row)?;
        if card.state.is_live() {
            return Ok(Some(card));
        }
    }
    Ok(None)
}

pub(super) async fn list(
    db: &mut SqliteConnection,
    after: Option<Pan>,
    limit: u32,
) -> Result<Vec<CardRow>> {
    let after = after.and_then(pan::parse).map_or(0, pan::CardSeq::get);
    let rows = sqlx::query("SELECT * FROM cards WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(i64::from(after))
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(super) async fn queue(
    db: &mut SqliteConnection,
    sealer: &Sealer,
    order: OrderId,
    limit: u32,
) -> Result<Vec<Work>> {
    let rows = sqlx::query(
        "SELECT * FROM cards WHERE order_id = $1 AND state = 'queued' ORDER BY seq LIMIT $2",
    )
    .bind(i64::from(order.0))
    .bind(i64::from(limit))
    .fetch_all(&mut *db)
    .await?;
    let cards: Result<Vec<CardRow>> = rows.iter().map(from_row).collect();
    let cards = cards?;
    let numbers: Vec<PersonNo> = cards.iter().map(|c| c.psn_no.clone()).collect();
    let holders = persons::known(db, sealer, &numbers).await?;
    Ok(cards.into_iter().zip(holders).map(as_work).collect())
}

fn as_work((card, person): (CardRow, Person)) -> Work {
    Work {
        pan: card.pan,
        generation: card.generation,
        person,
        options: card.options,
        valid_from: card.valid_from,
    }
}

/// One step of a card's life with its audit line.
pub(super) async fn change(
    tx: &mut SqliteConnection,
    pan: Pan,
    event: CardEvent,
    by: &StaffId,
    at: CardTime,
) -> Result<CardRow> {
    let mut card = existing(tx, pan).await?;
    let from = card.state;
    card.state = from.next(event)?;
    sqlx::query("UPDATE cards SET state = $2 WHERE pan = $1")
        .bind(pan.to_string())
        .bind(card.state.name())
        .execute(&mut *tx)
        .await?;
    let action = format!("card.{}", card.state.name());
    let detail = format!("was {}", from.name());
    audit::append(tx, by, at, &action, &pan.to_string(), &detail).await?;
    Ok(card)
}

pub(super) async fn start(
    tx: &mut SqliteConnection,
    pan: Pan,
    chip: ChipSerial,
    by: &StaffId,
    at: CardTime,
) -> Result<CardRow> {
    let before = existing(tx, pan).await?;
    match before.chip {
        Some(begun) if begun != chip => {
            return Err(StoreError::Conflict(format!(
                "{pan} was begun on chip {begun} and this is {chip}: present that one or count it as spoiled 芯片不符"
            )));
        }
        Some(_) => {}
        None => take_blank(tx, chip, by, at).await?,
    }
    let mut card = change(tx, pan, CardEvent::Start, by, at).await?;
    sqlx::query("UPDATE cards SET chip = $2 WHERE pan = $1")
        .bind(pan.to_string())
        .bind(chip.to_string())
        .execute(&mut *tx)
        .await?;
    card.chip = Some(chip);
    Ok(card)
}

async fn take_blank(
    tx: &mut SqliteConnection,
    chip: ChipSerial,
    by: &StaffId,
    at: CardTime,
) -> Result<()> {
    let used = sqlx::query("SELECT pan FROM cards WHERE chip = $1")
        .bind(chip.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(row) = used {
        let pan: String = row.try_get("pan")?;
        return Err(StoreError::Conflict(format!(
            "chip {chip} was used for {pan}: put a new blank in 芯片已使用"
        )));
    }
    if stock(tx).await?.remaining == 0 {
        return Err(StoreError::Conflict(
            "no blanks in stock: receive a delivery first 空白卡库存不足".to_owned(),
        ));
    }
    movement(tx, by, at, (0, 1, 0)).await
}

pub(super) async fn spoil(
    tx: &mut SqliteConnection,
    sealer: &Sealer,
    pan: Pan,
    by: &StaffId,
    at: CardTime,
) -> Result<Work> {
    let spoiled = change(tx, pan, CardEvent::Spoil, by, at).await?;
    movement(tx, by, at, (0, 0, 1)).await?;
    let person = persons::get(tx, sealer, &spoiled.psn_no)
        .await?
        .ok_or(CORRUPT)?;
    let again = CardRow {
        pan: orders::next_pan(tx, &person).await?,
        state: CardState::Queued,
        chip: None,
        ..spoiled
    };
    insert(tx, &again).await?;
    audit::append(
        tx,
        by,
        at,
        "requeue",
        &again.pan.to_string(),
        &format!("instead of {pan}"),
    )
    .await?;
    Ok(as_work((again, person)))
}

async fn movement(
    tx: &mut SqliteConnection,
    by: &StaffId,
    at: CardTime,
    (received, used, spoiled): (u32, u32, u32),
) -> Result<()> {
    sqlx::query(
        "INSERT INTO blanks (at, by_staff, received, used, spoiled) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(at.to_string())
    .bind(by.as_str())
    .bind(i64::from(received))
    .bind(i64::from(used))
    .bind(i64::from(spoiled))
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn receive(
    tx: &mut SqliteConnection,
    count: u32,
    by: &StaffId,
    at: CardTime,
) -> Result<Stock> {
    let before = stock(tx).await?;
    if count == 0 || before.received.checked_add(count).is_none() {
        return Err(StoreError::Conflict(
            "the number of blanks received must be above 0 数量须大于 0".to_owned(),
        ));
    }
    movement(tx, by, at, (count, 0, 0)).await?;
    audit::append(tx, by, at, "blanks", &count.to_string(), "received").await?;
    stock(tx).await
}

pub(super) async fn stock(db: &mut SqliteConnection) -> Result<Stock> {
    let row = sqlx::query(
        "SELECT COALESCE(SUM(received), 0) AS received, COALESCE(SUM(used), 0) AS used, COALESCE(SUM(spoiled), 0) AS spoiled FROM blanks",
    )
    .fetch_one(db)
    .await?;
    let count = |column: &str| -> Result<u32> {
        let value: i64 = row.try_get(column)?;
        u32::try_from(value).map_err(|_| StoreError::Corrupt {
            what: "blank stock",
        })
    };
    let (received, used) = (count("received")?, count("used")?);
    Ok(Stock {
        received,
        used,
        spoiled: count("spoiled")?,
        remaining: received.saturating_sub(used),
    })
}
