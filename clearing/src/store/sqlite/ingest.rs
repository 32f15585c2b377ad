//! Admission and application.

use super::*;
use crate::ingest::{card_of, digest, postings_of};
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

pub(super) async fn open_batches(
    store: &SqliteStore,
    after: u64,
    limit: u32,
) -> Result<Vec<OpenBatch>> {
    sqlx::query(
        "SELECT id, body FROM batches WHERE answer IS NULL AND id > $1 ORDER BY id LIMIT $2",
    )
    .bind(num(after)?)
    .bind(i64::from(limit))
    .fetch_all(&store.pool)
    .await?
    .iter()
    .map(|row| {
        Ok(OpenBatch {
            id: unum(row, "id")?,
            batch: serde_json::from_slice(row.try_get("body")?).map_err(|why| why.to_string()),
        })
    })
    .collect()
}

pub(super) async fn set_aside(store: &SqliteStore, id: u64) -> Result<()> {
    let answer = BatchAnswer {
        outcome: BatchOutcome::Malformed,
        batch_id: Some(id),
        items: Vec::new(),
    };
    sqlx::query("UPDATE batches SET answer = $1 WHERE id = $2 AND answer IS NULL")
        .bind(json("answer", &answer)?)
        .bind(num(id)?)
        .execute(&store.pool)
        .await?;
    Ok(())
}

pub(super) async fn facts(store: &SqliteStore, id: u64, batch: &Batch) -> Result<Facts> {
    let mut connection = store.pool.acquire().await?;
    let row = sqlx::query("SELECT admitted_at FROM batches WHERE id = $1")
        .bind(num(id)?)
        .fetch_one(&mut *connection)
        .await?;
    let mut facts = Facts::at(text(&row, "admitted_at")?);
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
            Event::ProofOfLife(_) | Event::LossReport(_) | Event::CardLocked { .. } => {}
        }
        let card = card_of(&record.event);
        card_facts(&mut connection, &mut facts, card.pan).await?;
        let named = (card.pan, card.generation);
        if let Some(listing) = registry::listing(&mut connection, named.0, named.1).await? {
            facts.listed.insert(named, listing);
        }
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

async fn card_facts(connection: &mut SqliteConnection, facts: &mut Facts, pan: Pan) -> Result<()> {
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
    Ok(())
}

async fn settlement(
    connection: &mut SqliteConnection,
    facts: &mut Facts,
    setl_id: &str,
) -> Result<()> {
    // One spelling an id: "7" and "07" would be two payments of one settlement.
    let id = setl_id.parse::<i64>().unwrap_or(0);
    if id.to_string() != setl_id {
        return Ok(());
    }
    if let Some(row) = sqlx::query(
        "SELECT s.psn_no AS psn_no, s.institution AS institution, s.answer AS answer,
                s.reverses IS NOT NULL OR EXISTS (
                    SELECT 1 FROM settlements r WHERE r.reverses = s.id) AS reversed
         FROM settlements s WHERE s.id = $1",
    )
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
            reversed: row.try_get::<i64, _>("reversed")? != 0,
        };
        facts.settlements.insert(setl_id.to_owned(), visit);
    }
    Ok(())
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

/// What the other records leave of a judgement.
struct Decision {
    outcome: Outcome,
    detail: String,
    /// The money is moved by this record.
    posted: bool,
    claims_card: bool,
    claims_sam: bool,
    claims_settlement: bool,
}

impl Decision {
    fn turn(&mut self, outcome: Outcome, detail: &str) {
        self.outcome = outcome;
        detail.clone_into(&mut self.detail);
    }
}

async fn exists<'q>(
    tx: &mut SqliteConnection,
    query: sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>,
) -> Result<bool> {
    Ok(query.fetch_optional(tx).await?.is_some())
}

/// Decides what only the other records can decide: duplicate, clone, SAM conflict, a settlement paid
/// twice, a torn record that is not the one completed.
///
/// A proved debit is posted once for what every TAC covers (card, SAM, terminal sequence, time, TAC),
/// whoever holds the SAM. Only a sequence that the TAC covers as well makes a clone of another debit.
async fn decide(
    tx: &mut SqliteConnection,
    device: &str,
    today: CardDate,
    item: &Judged,
) -> Result<Decision> {
    let mut decision = Decision {
        outcome: item.outcome,
        detail: item.detail.clone(),
        posted: false,
        claims_card: false,
        claims_sam: false,
        claims_settlement: false,
    };
    if let (Event::LossReport(report), Outcome::Accepted) = (&item.record.event, item.outcome) {
        let entry = ListCard {
            pan: report.card.pan,
            generation: report.card.generation,
            reason: "lost".to_owned(),
        };
        registry::list(&mut *tx, &entry, today).await?;
    }
    let Some(claim) = &item.claim else {
        return Ok(decision);
    };
    if let Some(named) = item.record.completes
        && matches!(item.outcome, Outcome::CompletedTorn | Outcome::ClosedTorn)
        && !is_held(tx, device, named, item, claim).await?
    {
        if item.outcome == Outcome::CompletedTorn {
            decision.outcome = Outcome::Accepted;
        }
        decision.detail = format!("record {named} is not the torn debit that this one tells of");
    }
    if !item.proved {
        return Ok(decision);
    }
    let told = sqlx::query(
        "SELECT 1 FROM records WHERE pan = $1 AND app = $2 AND sam = $3 AND terminal_seq = $4
            AND debit_time = $5 AND tac = $6 AND posted = 1",
    )
    .bind(item.pan.to_string())
    .bind(item.app)
    .bind(claim.sam.to_string())
    .bind(i64::from(claim.terminal_seq))
    .bind(claim.time.to_string())
    .bind(tac(claim));
    if exists(tx, told).await? {
        if is_after_proof(decision.outcome) {
            decision.turn(Outcome::Duplicate, "");
        }
        return Ok(decision);
    }
    let holder = sqlx::query(
        "SELECT 1 FROM records WHERE pan = $1 AND app = $2 AND card_seq = $3 AND claims_card = 1",
    )
    .bind(item.pan.to_string())
    .bind(item.app)
    .bind(i64::from(claim.card_seq));
    let taken = claim.seq_authenticated && exists(tx, holder).await?;
    let holder = sqlx::query(
        "SELECT 1 FROM records WHERE sam = $1 AND terminal_seq = $2 AND claims_sam = 1",
    )
    .bind(claim.sam.to_string())
    .bind(i64::from(claim.terminal_seq));
    let sam_taken = claim.with_sam && exists(tx, holder).await?;
    decision.posted = !taken;
    decision.claims_card = claim.seq_authenticated && !taken;
    decision.claims_sam = claim.with_sam && !sam_taken;
    if is_after_proof(decision.outcome) && taken {
        decision.turn(
            Outcome::Clone,
            "another debit with a valid TAC holds this card sequence; the card is hotlisted",
        );
        let entry = ListCard {
            pan: item.pan,
            generation: card_of(&item.record.event).generation,
            reason: "clone".to_owned(),
        };
        registry::list(&mut *tx, &entry, today).await?;
    } else if is_after_proof(decision.outcome) && sam_taken {
        decision.turn(
            Outcome::SamSequenceConflict,
            "another debit holds this SAM's terminal sequence",
        );
    }
    if let Some(setl_id) = &claim.setl_id
        && matches!(decision.outcome, Outcome::Accepted | Outcome::CompletedTorn)
    {
        let paid =
            sqlx::query("SELECT 1 FROM records WHERE setl_id = $1 AND claims_settlement = 1")
                .bind(setl_id.clone());
        decision.claims_settlement = !exists(tx, paid).await?;
        if !decision.claims_settlement {
            decision.turn(
                Outcome::SettlementMismatch,
                "another debit has paid this settlement",
            );
        }
    }
    Ok(decision)
}

/// Whether the record named is a held torn debit of the same card, sequence and amount. One that has
/// not come yet cannot be looked at: its own words decide what stays pending.
async fn is_held(
    tx: &mut SqliteConnection,
    device: &str,
    named: u64,
    item: &Judged,
    claim: &Claim,
) -> Result<bool> {
    let Some(row) = sqlx::query(
        "SELECT outcome, pan, app, card_seq, amount FROM records
         WHERE device = $1 AND journal_seq = $2",
    )
    .bind(device.to_owned())
    .bind(num(named)?)
    .fetch_optional(tx)
    .await?
    else {
        return Ok(true);
    };
    Ok(
        row.try_get::<i64, _>("outcome")? == i64::from(Outcome::HeldUnknown.number())
            && row.try_get::<&str, _>("pan")? == item.pan.to_string()
            && row.try_get::<&str, _>("app")? == item.app
            && row.try_get::<Option<i64>, _>("card_seq")? == Some(i64::from(claim.card_seq))
            && row.try_get::<i64, _>("amount")? == item.amount.0,
    )
}

/// The TAC as the records' JSON writes it.
fn tac(claim: &Claim) -> Option<String> {
    let [a, b, c, d] = claim.tac?;
    Some(format!("[{a},{b},{c},{d}]"))
}

/// Writes the immutable row of one record.
async fn apply_one(
    tx: &mut SqliteConnection,
    device: &str,
    batch: u64,
    day: CardDate,
    today: CardDate,
    item: &Judged,
    postings: &mut Postings,
) -> Result<ItemAnswer> {
    let decision = decide(&mut *tx, device, today, item).await?;
    let Decision {
        outcome, detail, ..
    } = decision;
    if decision.posted {
        postings_of(postings, outcome, item);
    }
    let record = json("record", &item.record)?;
    let claim = item.claim.as_ref();
    sqlx::query(
        "INSERT INTO records (device, journal_seq, batch, day, at, mode, operator, outcome, detail,
            hash, body, pan, app, card_seq, sam, terminal_seq, amount, completes, proved,
            claims_card, claims_sam, debit_time, tac, seq_authenticated, posted, setl_id,
            claims_settlement)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
            $19, $20, $21, $22, $23, $24, $25, $26, $27)",
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
    .bind(i64::from(decision.claims_card))
    .bind(i64::from(decision.claims_sam))
    .bind(claim.map(|c| c.time.to_string()))
    .bind(claim.and_then(tac))
    .bind(i64::from(claim.is_some_and(|c| c.seq_authenticated)))
    .bind(i64::from(decision.posted))
    .bind(claim.and_then(|c| c.setl_id.clone()))
    .bind(i64::from(decision.claims_settlement))
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
