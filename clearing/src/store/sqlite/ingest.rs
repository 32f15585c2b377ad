//! Admission and application.

use super::*;
use crate::ingest::{card_of, digest, postings_of, same_debit, same_tac};
use crate::ledger::Postings;
use clearing_api::{BatchOutcome, record::Event, record::ItemAnswer};

pub(super) async fn admit(store: &SqliteStore, admission: &Admission<'_>) -> Result<Admitted> {
    let mut tx = store.write().await?;
    let batch = admission.batch;
    let (device, first, last) = (
        batch.device.to_string(),
        num(batch.first)?,
        num(batch.last)?,
    );
    let overlap = sqlx::query(
        "SELECT id, first_seq, last_seq, hash, answer FROM batches
         WHERE device = $1 AND first_seq <= $2 AND last_seq >= $3 LIMIT 1",
    )
    .bind(&device)
    .bind(last)
    .bind(first)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = overlap {
        if row.try_get::<&str, _>("hash")? != admission.hash {
            return Ok(Admitted::Overlap);
        }
        let answer: Option<String> = row.try_get("answer")?;
        let answer = answer.map(|json| parse("answer", &json)).transpose()?;
        return Ok(Admitted::Before(unum(&row, "id")?, answer));
    }
    let day = business_day(&mut tx, admission.at.date()).await?;
    let id = sqlx::query(
        "INSERT INTO batches (device, first_seq, last_seq, body, hash, signature, day, admitted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&device)
    .bind(first)
    .bind(last)
    .bind(admission.body.to_vec())
    .bind(&admission.hash)
    .bind(admission.signature.to_vec())
    .bind(day.to_string())
    .bind(admission.at.to_string())
    .execute(&mut *tx)
    .await?
    .last_insert_rowid();
    tx.commit().await?;
    Ok(Admitted::New(id.unsigned_abs()))
}

pub(super) async fn open_batches(store: &SqliteStore, limit: u32) -> Result<Vec<OpenBatch>> {
    sqlx::query("SELECT id, body FROM batches WHERE answer IS NULL ORDER BY id LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await?
        .iter()
        .map(|row| {
            let bytes: &[u8] = row.try_get("body")?;
            let batch = serde_json::from_slice(bytes).map_err(|why| ClearingError::Damaged {
                what: "batch",
                why: why.to_string(),
            })?;
            Ok(OpenBatch {
                id: unum(row, "id")?,
                batch,
            })
        })
        .collect()
}

pub(super) async fn facts(store: &SqliteStore, batch: &Batch) -> Result<Facts> {
    let mut facts = Facts::default();
    let mut connection = store.pool.acquire().await?;
    if let Some(row) = sqlx::query("SELECT operator FROM devices WHERE device = $1")
        .bind(batch.device.to_string())
        .fetch_optional(&mut *connection)
        .await?
    {
        facts.device_operator = row.try_get("operator")?;
        operator(&mut connection, &mut facts, row.try_get("operator")?).await?;
    }
    for record in &batch.records {
        match &record.event {
            Event::Purchase(purchase) => {
                operator(&mut connection, &mut facts, purchase.service.operator()).await?;
                sam(&mut connection, &mut facts, purchase.sam).await?;
            }
            Event::Visit(visit) => {
                operator(&mut connection, &mut facts, &visit.institution).await?;
                sam(&mut connection, &mut facts, visit.sam).await?;
                settlement(&mut connection, &mut facts, &visit.setl_id).await?;
            }
            Event::ProofOfLife(_) | Event::CardLocked { .. } => {}
        }
        let card = card_of(&record.event);
        card_facts(&mut connection, &mut facts, card.pan, card.generation).await?;
    }
    Ok(facts)
}

async fn operator(connection: &mut SqliteConnection, facts: &mut Facts, id: &str) -> Result<()> {
    if facts.operators.contains_key(id) {
        return Ok(());
    }
    if let Some(row) = sqlx::query("SELECT body FROM operators WHERE id = $1")
        .bind(id.to_owned())
        .fetch_optional(connection)
        .await?
    {
        facts
            .operators
            .insert(id.to_owned(), body("operator", &row)?);
    }
    Ok(())
}

async fn sam(connection: &mut SqliteConnection, facts: &mut Facts, sam: SamNo) -> Result<()> {
    if facts.sams.contains_key(&sam) {
        return Ok(());
    }
    if let Some(row) = sqlx::query("SELECT body FROM sams WHERE sam = $1")
        .bind(sam.to_string())
        .fetch_optional(connection)
        .await?
    {
        facts.sams.insert(sam, body("SAM", &row)?);
    }
    Ok(())
}

async fn card_facts(
    connection: &mut SqliteConnection,
    facts: &mut Facts,
    pan: Pan,
    generation: Generation,
) -> Result<()> {
    if facts.cards.contains_key(&pan) {
        return Ok(());
    }
    let Some(row) = sqlx::query(
        "SELECT c.body AS body, i.certno AS certno FROM cards c
         LEFT JOIN insured i ON i.psn_no = c.psn_no WHERE c.pan = $1",
    )
    .bind(pan.to_string())
    .fetch_optional(&mut *connection)
    .await?
    else {
        return Ok(());
    };
    facts.cards.insert(pan, body("card", &row)?);
    if let Some(certno) = row.try_get::<Option<String>, _>("certno")? {
        let certno = certno.parse().map_err(|_| ClearingError::Damaged {
            what: "certno",
            why: "not an identity number".to_owned(),
        })?;
        facts.holders.insert(pan, certno);
    }
    if let Some(listing) = registry::listing(connection, pan, generation).await? {
        facts.listed.insert((pan, generation), listing);
    }
    Ok(())
}

async fn settlement(
    connection: &mut SqliteConnection,
    facts: &mut Facts,
    setl_id: &str,
) -> Result<()> {
    let Ok(id) = setl_id.parse::<i64>() else {
        return Ok(());
    };
    if let Some(row) =
        sqlx::query("SELECT psn_no, institution, answer FROM settlements WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?
    {
        let answer: clearing_api::national::Settled =
            parse("settlement", row.try_get::<&str, _>("answer")?)?;
        let visit = SettledVisit {
            psn_no: row.try_get("psn_no")?,
            institution: row.try_get("institution")?,
            split: answer.setlinfo.card_split(),
        };
        facts.settlements.insert(setl_id.to_owned(), visit);
    }
    Ok(())
}

/// Who holds the keys of a proved debit already.
struct Holder {
    event: Event,
    pan: Pan,
}

fn holder(row: &SqliteRow) -> Result<Holder> {
    let record: Record = body("record", row)?;
    Ok(Holder {
        event: record.event,
        pan: text(row, "pan")?,
    })
}

pub(super) async fn apply(
    store: &SqliteStore,
    id: u64,
    judged: &[Judged],
    today: CardDate,
) -> Result<BatchAnswer> {
    let mut tx = store.write().await?;
    let row = sqlx::query("SELECT device, day, answer FROM batches WHERE id = $1")
        .bind(num(id)?)
        .fetch_one(&mut *tx)
        .await?;
    if let Some(answer) = row.try_get::<Option<String>, _>("answer")? {
        return parse("answer", &answer);
    }
    let device: String = row.try_get("device")?;
    let day: CardDate = text(&row, "day")?;
    let mut postings = Postings::default();
    let mut items = Vec::with_capacity(judged.len());
    for item in judged {
        items.push(apply_one(&mut tx, &device, id, day, today, item, &mut postings).await?);
    }
    post(
        &mut tx,
        day,
        "batch",
        &id.to_string(),
        &postings.into_entries(),
    )
    .await?;
    let answer = BatchAnswer {
        outcome: BatchOutcome::Admitted,
        batch_id: Some(id),
        items,
    };
    sqlx::query("UPDATE batches SET answer = $1 WHERE id = $2")
        .bind(json("answer", &answer)?)
        .bind(num(id)?)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(answer)
}

/// Decides what only the other records can decide (duplicate, SAM conflict, clone) and writes the
/// immutable row.
async fn apply_one(
    tx: &mut SqliteConnection,
    device: &str,
    batch: u64,
    day: CardDate,
    today: CardDate,
    item: &Judged,
    postings: &mut Postings,
) -> Result<ItemAnswer> {
    let (mut outcome, mut detail) = (item.outcome, item.detail.clone());
    let (mut claims_card, mut claims_sam) = (false, false);
    if let (true, Some(claim)) = (item.proved, item.claim) {
        let by_card = sqlx::query(
            "SELECT pan, body FROM records
             WHERE pan = $1 AND app = $2 AND card_seq = $3 AND claims_card = 1",
        )
        .bind(item.pan.to_string())
        .bind(item.app)
        .bind(i64::from(claim.card_seq))
        .fetch_optional(&mut *tx)
        .await?
        .map(|row| holder(&row))
        .transpose()?;
        let by_sam = if claim.with_sam {
            sqlx::query(
                "SELECT pan, body FROM records
                 WHERE sam = $1 AND terminal_seq = $2 AND claims_sam = 1",
            )
            .bind(claim.sam.to_string())
            .bind(i64::from(claim.terminal_seq))
            .fetch_optional(&mut *tx)
            .await?
            .map(|row| holder(&row))
            .transpose()?
        } else {
            None
        };
        // Suites that leave the sequence out of the TAC: the same debit under another sequence.
        let replayed = by_sam.as_ref().is_some_and(|other| {
            other.pan == item.pan && same_tac(&other.event, &item.record.event)
        });
        claims_card = by_card.is_none() && !replayed;
        claims_sam = claim.with_sam && by_sam.is_none();
        if is_after_proof(outcome) {
            match (by_card, by_sam) {
                (Some(other), _) if same_debit(&other.event, &item.record.event) => {
                    outcome = Outcome::Duplicate;
                    detail = String::new();
                }
                (Some(_), _) => {
                    outcome = Outcome::Clone;
                    detail = "another debit with a valid TAC holds this card sequence; the card is hotlisted".to_owned();
                    let entry = ListCard {
                        pan: item.pan,
                        generation: card_of(&item.record.event).generation,
                        reason: "clone".to_owned(),
                    };
                    registry::list(&mut *tx, &entry, today).await?;
                }
                (None, Some(_)) => {
                    outcome = Outcome::SamSequenceConflict;
                    detail = "another debit holds this SAM's terminal sequence".to_owned();
                }
                (None, None) => {}
            }
        }
    }
    if claims_card {
        postings_of(postings, outcome, item);
    }
    let record = json("record", &item.record)?;
    let claim = item.claim;
    sqlx::query(
        "INSERT INTO records (device, journal_seq, batch, day, at, mode, operator, outcome, detail,
            hash, body, pan, app, card_seq, sam, terminal_seq, amount, completes, proved,
            claims_card, claims_sam)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
            $19, $20, $21)",
    )
    .bind(device)
    .bind(num(item.record.journal_seq)?)
    .bind(num(batch)?)
    .bind(day.to_string())
    .bind(item.record.at.to_string())
    .bind(item.mode)
    .bind(&item.operator)
    .bind(i64::from(outcome.number()))
    .bind(&detail)
    .bind(digest(record.as_bytes()))
    .bind(&record)
    .bind(item.pan.to_string())
    .bind(item.app)
    .bind(claim.map(|c| i64::from(c.card_seq)))
    .bind(claim.map(|c| c.sam.to_string()))
    .bind(claim.map(|c| i64::from(c.terminal_seq)))
    .bind(item.amount.0)
    .bind(item.record.completes.map(num).transpose()?)
    .bind(i64::from(item.proved))
    .bind(i64::from(claims_card))
    .bind(i64::from(claims_sam))
    .execute(tx)
    .await?;
    Ok(ItemAnswer {
        journal_seq: item.record.journal_seq,
        outcome,
        number: outcome.number(),
        detail,
    })
}

/// Outcomes that come after the proof and the duplicate check in the order of checks: a duplicate
/// or conflict goes before them.
const fn is_after_proof(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Accepted
            | Outcome::CompletedTorn
            | Outcome::Hotlisted
            | Outcome::PriceQueried
            | Outcome::PriceImplausible
            | Outcome::SettlementMismatch
    )
}
