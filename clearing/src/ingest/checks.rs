//! The checks of one record, in the order of the outcome numbers: format, operator, terminal and
//! SAM, card, proof, (duplicate and sequence: the store, which alone sees other records), hotlist,
//! price or settlement. Functions of values.
//!
//! Known limit of a proof of life: the key table gives IRK to card and SSSE SAM alike, so whoever
//! holds such a SAM can compute the cryptogram without the card. What stands against it here: only
//! devices of an agency are heard, their key signs the upload, the challenge binds device, journal
//! sequence and time, and a time after the receipt is refused.

use super::rating::{Rated, rate};
use super::{card_of, tac_of};
use crate::clock::{millis, next_day};
use crate::store::{Claim, Facts, Judged};
use crate::tariffs::Timeline;
use card_spec::{
    Fen, SuiteId,
    id::{DeviceNo, Pan},
    keys::class,
    purse::TxType,
    time::{CardDate, CardTime},
};
use clearing_api::{
    Outcome, Record,
    record::{
        CardFacts, Debit, Event, LossReport, ProofOfLife, Purchase, Service, Visit, loss_challenge,
        presence_challenge,
    },
    registry::OperatorKind,
};
use hsm_client::{CardRef, HsmError, ProofCheck};

/// What the HSM said of a proof; `None` when there was nothing to prove.
pub(crate) type Verified = Option<Result<bool, HsmError>>;

type Found = (Outcome, String);

/// How far a device's clock may be ahead of the clearing house's.
const CLOCK_AHEAD_MS: i64 = 15 * 60 * 1_000;
/// How old a record may be when it is admitted: longer than any device is away.
const OLDEST_MS: i64 = 2 * 366 * 86_400_000;
/// Days after the end of the grace (the day after a listing) within which a debit of a listed card
/// may still come in with a time that excuses it. The device chooses that time, and the list version
/// it claims to hold; only the admission is the clearing house's own. Later, the debit is in dispute
/// whatever its time: the money waits in suspense for staff.
const DELIVERY_DAYS: u8 = 2;

fn found(outcome: Outcome, detail: impl Into<String>) -> Result<(), Found> {
    Err((outcome, detail.into()))
}

fn card_ref(card: &CardFacts) -> CardRef {
    CardRef {
        pan: card.pan,
        generation: card.generation,
        region: card.region,
    }
}

/// The proof to verify, when the record carries one and the card is known. A record that an earlier
/// check refuses is proved all the same: the money may have left the card.
pub(crate) fn proof(device: DeviceNo, record: &Record, facts: &Facts) -> Option<ProofCheck> {
    check_card(card_of(&record.event), facts).ok()?;
    match &record.event {
        Event::Purchase(p) => {
            let Debit::Done { tac } = p.debit else {
                return None;
            };
            check_purchase_form(p).ok()?;
            Some(ProofCheck::Purchase {
                card: card_ref(&p.card),
                suite: p.card.suite,
                version: p.card.key_version,
                amount: p.amount,
                tx: p.tx,
                terminal: p.sam,
                terminal_seq: p.terminal_seq,
                time: p.time,
                seq: p.seq,
                balance_after: p.balance_after,
                context: p.context,
                tac,
            })
        }
        Event::Visit(v) => {
            let Debit::Done { tac } = v.debit else {
                return None;
            };
            check_visit_form(v).ok()?;
            Some(ProofCheck::Visit {
                card: card_ref(&v.card),
                suite: v.card.suite,
                version: v.card.key_version,
                split: v.split,
                terminal: v.sam,
                terminal_seq: v.terminal_seq,
                time: v.time,
                seq: v.seq,
                balance_after: v.balance_after,
                tac,
            })
        }
        Event::ProofOfLife(p) => Some(ProofCheck::Presence {
            card: card_ref(&p.card),
            suite: p.card.suite,
            version: p.card.key_version,
            challenge: presence_challenge(device, record.journal_seq, record.at),
            cryptogram: p.cryptogram,
        }),
        Event::LossReport(report) => Some(ProofCheck::Presence {
            card: card_ref(&report.card),
            suite: report.card.suite,
            version: report.card.key_version,
            challenge: loss_challenge(device, record.journal_seq, record.at),
            cryptogram: report.cryptogram,
        }),
        Event::CardLocked { .. } => None,
    }
}

/// Judges one record.
pub fn judge(
    record: &Record,
    facts: &Facts,
    verified: Option<Result<bool, HsmError>>,
    tariffs: &Timeline,
) -> Judged {
    let proved = matches!(verified, Some(Ok(true)));
    let mut judged = Judged {
        record: record.clone(),
        outcome: Outcome::Accepted,
        detail: String::new(),
        mode: mode(&record.event, facts),
        operator: operator(&record.event, facts).to_owned(),
        pan: card_of(&record.event).pan,
        app: "social",
        amount: Fen::ZERO,
        proved,
        claim: None,
    };
    let result = match &record.event {
        Event::Purchase(purchase) => {
            judged.app = "purse";
            judged.amount = purchase.amount;
            judged.claim = Some(Claim {
                seq_authenticated: purchase.card.suite == SuiteId::Aes,
                time: purchase.time,
                tac: tac_of(purchase.debit),
                setl_id: None,
                card_seq: purchase.seq,
                sam: purchase.sam,
                terminal_seq: purchase.terminal_seq,
                with_sam: facts.sams.contains_key(&purchase.sam),
            });
            judge_purchase(record, purchase, facts, &verified, tariffs)
        }
        Event::Visit(visit) => {
            judged.app = "medical";
            judged.amount = visit.split.personal;
            judged.claim = Some(Claim {
                seq_authenticated: visit.card.suite == SuiteId::Aes,
                time: visit.time,
                tac: tac_of(visit.debit),
                setl_id: Some(visit.setl_id.clone()),
                card_seq: visit.seq,
                sam: visit.sam,
                terminal_seq: visit.terminal_seq,
                with_sam: facts.sams.contains_key(&visit.sam),
            });
            judge_visit(record, visit, facts, &verified)
        }
        Event::ProofOfLife(proof) => judge_proof_of_life(record, proof, facts, &verified),
        Event::LossReport(report) => judge_loss_report(record, report, facts, &verified),
        Event::CardLocked { card } => check_times(record, record.at, facts)
            .and_then(|()| check_device(None, facts))
            .and_then(|()| check_card(card, facts)),
    };
    if let Err((outcome, detail)) = result {
        judged.outcome = outcome;
        judged.detail = detail;
    }
    judged
}

fn judge_purchase(
    record: &Record,
    purchase: &Purchase,
    facts: &Facts,
    verified: &Verified,
    tariffs: &Timeline,
) -> Result<(), Found> {
    check_purchase_form(purchase)?;
    check_times(record, purchase.time, facts)?;
    check_operator(
        purchase.service.operator(),
        kind_of(&purchase.service),
        facts,
    )?;
    let wanted = purchase.key_index & !class::SPARE;
    check_sam(
        purchase.sam,
        purchase.service.operator(),
        Some(wanted),
        facts,
    )?;
    check_card(&purchase.card, facts)?;
    match purchase.debit {
        Debit::Unknown => return found(Outcome::HeldUnknown, ""),
        Debit::NotDone => return found(Outcome::ClosedTorn, ""),
        Debit::Done { .. } => check_proved(verified)?,
    }
    check_hotlist(&purchase.card, record, purchase.time, facts)?;
    // A price in doubt is in doubt whether or not the debit was torn: naming a torn record must not
    // switch the question off.
    match rate(tariffs.of(purchase), purchase, facts) {
        Rated::Implausible(why) => found(Outcome::PriceImplausible, why),
        Rated::Queried(why) => found(Outcome::PriceQueried, why),
        Rated::Same if record.completes.is_some() => found(Outcome::CompletedTorn, ""),
        Rated::Same => Ok(()),
    }
}

fn judge_proof_of_life(
    record: &Record,
    proof: &ProofOfLife,
    facts: &Facts,
    verified: &Verified,
) -> Result<(), Found> {
    check_times(record, record.at, facts)?;
    if !proof.pin_verified {
        return found(
            Outcome::Malformed,
            "a proof of life needs the cardholder's PIN",
        );
    }
    check_device(Some(OperatorKind::Agency), facts)?;
    check_card(&proof.card, facts)?;
    check_proved(verified)?;
    check_hotlist(&proof.card, record, record.at, facts)
}

/// A card that is listed already may be reported: it stays listed.
fn judge_loss_report(
    record: &Record,
    report: &LossReport,
    facts: &Facts,
    verified: &Verified,
) -> Result<(), Found> {
    check_times(record, record.at, facts)?;
    check_device(Some(OperatorKind::Agency), facts)?;
    check_card(&report.card, facts)?;
    check_proved(verified)
}

fn judge_visit(
    record: &Record,
    visit: &Visit,
    facts: &Facts,
    verified: &Verified,
) -> Result<(), Found> {
    check_visit_form(visit)?;
    check_times(record, visit.time, facts)?;
    check_operator(&visit.institution, OperatorKind::Hospital, facts)?;
    check_sam(visit.sam, &visit.institution, None, facts)?;
    check_card(&visit.card, facts)?;
    match visit.debit {
        Debit::Unknown => return found(Outcome::HeldUnknown, ""),
        Debit::NotDone => return found(Outcome::ClosedTorn, ""),
        Debit::Done { .. } => check_proved(verified)?,
    }
    check_hotlist(&visit.card, record, visit.time, facts)?;
    check_settlement(visit, facts)?;
    if record.completes.is_some() {
        return found(Outcome::CompletedTorn, "");
    }
    Ok(())
}

/// Amounts that a card can hold, balances that follow, a purchase type.
fn check_purchase_form(p: &Purchase) -> Result<(), Found> {
    let fits = p.amount.to_card().is_ok() && p.balance_before.to_card().is_ok();
    if !fits || !matches!(p.tx, TxType::Purchase | TxType::Capp) {
        return found(
            Outcome::Malformed,
            "amount, balance or transaction type is impossible for a purse debit",
        );
    }
    if p.balance_before.checked_sub(p.amount) != Some(p.balance_after) {
        return found(
            Outcome::Malformed,
            "balance_after is not balance_before minus amount",
        );
    }
    Ok(())
}

fn check_visit_form(v: &Visit) -> Result<(), Found> {
    if v.split.to_bytes().is_err() || v.balance_before.to_card().is_err() {
        return found(Outcome::Malformed, "an amount is impossible for a card");
    }
    if v.balance_before.checked_sub(v.split.personal) != Some(v.balance_after) {
        return found(
            Outcome::Malformed,
            "balance_after is not balance_before minus the personal part",
        );
    }
    Ok(())
}

/// Times that a device can have seen when the batch was admitted.
fn check_times(record: &Record, event: CardTime, facts: &Facts) -> Result<(), Found> {
    let admitted = millis(facts.admitted);
    for time in [record.at, event] {
        let age = admitted.saturating_sub(millis(time));
        if age < -CLOCK_AHEAD_MS {
            return found(
                Outcome::Malformed,
                format!("{time} had not come yet when the record did: set the device's clock"),
            );
        }
        if age > OLDEST_MS {
            return found(
                Outcome::Malformed,
                format!("{time} is more than two years before the record came"),
            );
        }
    }
    Ok(())
}

/// The operator of the device itself, for records that name none.
fn check_device(kind: Option<OperatorKind>, facts: &Facts) -> Result<(), Found> {
    match facts.operators.get(&facts.device_operator) {
        None => found(
            Outcome::UnknownOperator,
            format!(
                "operator {} of the device is not registered",
                facts.device_operator
            ),
        ),
        Some(operator) if kind.is_some_and(|kind| kind != operator.kind) => found(
            Outcome::UnknownOperator,
            format!(
                "operator {} of the device is registered for another kind of service",
                operator.id
            ),
        ),
        Some(_) => Ok(()),
    }
}

fn check_operator(id: &str, kind: OperatorKind, facts: &Facts) -> Result<(), Found> {
    match facts.operators.get(id) {
        None => found(
            Outcome::UnknownOperator,
            format!("operator {id} is not registered"),
        ),
        Some(operator) if operator.kind != kind => found(
            Outcome::UnknownOperator,
            format!("operator {id} is registered for another kind of service"),
        ),
        Some(_) if facts.device_operator != id => found(
            Outcome::UnknownDevice,
            format!(
                "the device belongs to {}, not to {id}",
                facts.device_operator
            ),
        ),
        Some(_) => Ok(()),
    }
}

fn check_sam(
    number: card_spec::id::SamNo,
    operator: &str,
    wanted: Option<u8>,
    facts: &Facts,
) -> Result<(), Found> {
    let Some(sam) = facts.sams.get(&number) else {
        return found(
            Outcome::UnknownSam,
            format!("SAM {number} is not registered"),
        );
    };
    if sam.revoked {
        return found(Outcome::RevokedSam, format!("SAM {number} was revoked"));
    }
    if sam.operator != operator {
        return found(
            Outcome::UnknownSam,
            format!(
                "SAM {number} belongs to {}, not to {operator}",
                sam.operator
            ),
        );
    }
    match wanted {
        Some(class) if sam.class != class => found(
            Outcome::UnknownSam,
            format!(
                "SAM {number} is of class {}, the purchase of class {class}",
                sam.class
            ),
        ),
        _ => Ok(()),
    }
}

fn check_card(card: &CardFacts, facts: &Facts) -> Result<(), Found> {
    if card.pan.is_sample() {
        return found(Outcome::SampleCard, "sample cards are for testing only");
    }
    match facts.cards.get(&card.pan) {
        Some(known) if known.generation == card.generation && known.region == card.region => Ok(()),
        Some(_) => found(
            Outcome::UnknownCard,
            "generation or region are not those of the card that was handed out",
        ),
        None => found(Outcome::UnknownCard, "the card was never handed out"),
    }
}

fn check_proved(verified: &Verified) -> Result<(), Found> {
    match verified {
        Some(Ok(true)) => Ok(()),
        Some(Ok(false)) => found(Outcome::WrongTac, ""),
        Some(Err(why)) => found(Outcome::WrongTac, why.to_string()),
        None => found(Outcome::WrongTac, "the record carries no proof"),
    }
}

/// A device must refuse a card that is on the list it holds, and must hold a list by the end of the
/// day after the listing; a debit that this excuses must have come in by [`DELIVERY_DAYS`] later.
fn check_hotlist(
    card: &CardFacts,
    record: &Record,
    at: CardTime,
    facts: &Facts,
) -> Result<(), Found> {
    match facts.listed.get(&(card.pan, card.generation)) {
        Some(listing)
            if listing.version <= record.hotlist_version
                || at.date() > next_day(listing.on)
                || facts.admitted.date() > last_delivery(listing.on) =>
        {
            found(
                Outcome::Hotlisted,
                format!("listed in version {} on {}", listing.version, listing.on),
            )
        }
        _ => Ok(()),
    }
}

/// The last day on which a device's own time excuses a debit of a card listed on `listed`.
fn last_delivery(listed: CardDate) -> CardDate {
    (0..DELIVERY_DAYS).fold(next_day(listed), |day, _| next_day(day))
}

fn check_settlement(visit: &Visit, facts: &Facts) -> Result<(), Found> {
    let Some(settled) = facts.settlements.get(&visit.setl_id) else {
        return found(
            Outcome::SettlementMismatch,
            format!("there is no settlement {}", visit.setl_id),
        );
    };
    if settled.reversed {
        return found(Outcome::SettlementMismatch, "the settlement was reversed");
    }
    let holder = facts.cards.get(&visit.card.pan).map(|card| &card.psn_no);
    if holder != Some(&settled.psn_no) || settled.institution != visit.institution {
        return found(
            Outcome::SettlementMismatch,
            "the settlement is of another person or institution",
        );
    }
    if settled.split != visit.split {
        let s = settled.split;
        return found(
            Outcome::SettlementMismatch,
            format!(
                "settled: personal {}, self-paid {}, pooled {}",
                s.personal, s.self_paid, s.pooled
            ),
        );
    }
    Ok(())
}

const fn kind_of(service: &Service) -> OperatorKind {
    match service {
        // A pass is sold by whose pass it is.
        Service::Bus { .. } | Service::Pass { .. } => OperatorKind::Bus,
        Service::MetroEntry { .. } | Service::MetroExit { .. } | Service::MetroDesk { .. } => {
            OperatorKind::Metro
        }
        Service::Retail { .. } => OperatorKind::TopUp,
        Service::Taxi { .. } => OperatorKind::Taxi,
        Service::ParkingMeter { .. } | Service::CarPark { .. } => OperatorKind::Parking,
    }
}

/// The mode in reports. A locked card counts with the services of the device that locked it.
fn mode(event: &Event, facts: &Facts) -> &'static str {
    match event {
        Event::Purchase(purchase) => purchase.service.mode(),
        Event::Visit(_) => "medical",
        Event::ProofOfLife(_) => "pension",
        Event::LossReport(_) => "loss",
        Event::CardLocked { .. } => match facts
            .operators
            .get(&facts.device_operator)
            .map(|operator| operator.kind)
        {
            Some(OperatorKind::Metro) => "metro",
            Some(OperatorKind::Taxi) => "taxi",
            Some(OperatorKind::Parking) => "car_park",
            Some(OperatorKind::TopUp) => "top_up",
            Some(OperatorKind::Hospital) => "medical",
            Some(OperatorKind::Agency) => "pension",
            Some(OperatorKind::Bus) | None => "bus",
        },
    }
}

fn operator<'a>(event: &'a Event, facts: &'a Facts) -> &'a str {
    match event {
        Event::Purchase(purchase) => purchase.service.operator(),
        Event::Visit(visit) => &visit.institution,
        Event::ProofOfLife(_) | Event::LossReport(_) | Event::CardLocked { .. } => {
            &facts.device_operator
        }
    }
}

/// The holder's age on a day, from the registry; `None` for cards without a registered person.
pub(crate) fn holder_age(facts: &Facts, pan: Pan, at: CardTime) -> Option<u8> {
    let birth = facts.holders.get(&pan)?.birth().ok()?;
    Some(crate::clock::age_on(birth, at.date()))
}
