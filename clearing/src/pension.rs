//! Pension state: computed anew from the day it began and the proofs of life since, so that late and
//! unordered uploads end in the same state.

use crate::error::{ClearingError, Result};
use crate::store::PensionTrail;
use card_spec::time::CardDate;
use clearing_api::pension::{Pension, PensionStatus};
use social::{Month, PensionRecord, PensionState, ProofMethod, SocialError, SocialPolicy};

/// The state on `today`.
pub(crate) fn state(
    policy: &SocialPolicy,
    psn_no: &str,
    trail: &PensionTrail,
    today: CardDate,
) -> Result<Pension> {
    let record = replay(policy, trail, today).map_err(|why| ClearingError::Damaged {
        what: "pension",
        why: why.to_string(),
    })?;
    let (status, last_proof, valid_until) = match record.state {
        PensionState::InPayment {
            last_proof,
            valid_through,
            ..
        } => (
            PensionStatus::InPayment,
            Some(last_proof),
            last_day(valid_through),
        ),
        PensionState::Suspended { last_proof, .. } => {
            (PensionStatus::Suspended, Some(last_proof), None)
        }
        PensionState::Applied { .. } => (PensionStatus::Suspended, None, None),
    };
    Ok(Pension {
        psn_no: psn_no.to_owned(),
        monthly: trail.monthly,
        status,
        last_proof,
        valid_until,
    })
}

fn replay(
    policy: &SocialPolicy,
    trail: &PensionTrail,
    today: CardDate,
) -> core::result::Result<PensionRecord, SocialError> {
    let (record, _) = social::apply(trail.certno, trail.monthly, trail.since)?;
    let (mut record, _) = social::approve(&record, policy, trail.since)?;
    let mut month = Month::of(trail.since);
    // A day that has not come yet proves nothing.
    let counts = |day: &&CardDate| (trail.since..=today).contains(*day);
    for proof in trail.proofs.iter().filter(counts) {
        record = close_until(record, &mut month, Month::of(*proof))?;
        (record, _) = social::apply_proof(&record, policy, *proof, ProofMethod::CardAtTerminal)?;
    }
    close_until(record, &mut month, Month::of(today))
}

/// Closes every month before `end`.
fn close_until(
    mut record: PensionRecord,
    month: &mut Month,
    end: Month,
) -> core::result::Result<PensionRecord, SocialError> {
    while *month < end {
        (record, _) = social::month_end(&record, *month)?;
        let Some(next) = month.next() else {
            break;
        };
        *month = next;
    }
    Ok(record)
}

fn last_day(month: Month) -> Option<CardDate> {
    let (year, number) = (
        u16::try_from(month.year()).ok()?,
        u8::try_from(month.month()).ok()?,
    );
    [31, 30, 29, 28]
        .into_iter()
        .find_map(|day| CardDate::new(year, number, day).ok())
}
