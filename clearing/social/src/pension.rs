//! The pension: application, payment, proof of life, suspension, resumption with back-pay.

use card_spec::{Fen, id::CitizenId, time::CardDate};
use serde::{Deserialize, Serialize};

use crate::error::SocialError;
use crate::month::Month;
use crate::policy::SocialPolicy;

/// The largest monthly pension; keeps every sum of back-pay inside `i64`.
const MAX_MONTHLY: Fen = Fen::yuan(1_000_000);

/// How somebody proved to be alive 认证方式.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofMethod {
    /// The card, authenticated at a terminal, and its PIN.
    CardAtTerminal,
    /// Face recognition.
    Face,
    /// A visit of staff at home 上门认证.
    Visit,
}

/// One person's pension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PensionRecord {
    /// Whose pension.
    pub person: CitizenId,
    /// Paid a month.
    pub monthly: Fen,
    /// Where the workflow stands.
    pub state: PensionState,
}

/// Where the workflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PensionState {
    /// Applied for, not decided.
    Applied {
        /// Date of the application.
        on: CardDate,
    },
    /// Approved and covered by a proof of life.
    InPayment {
        /// The month to be closed next.
        next: Month,
        /// The latest proof of life.
        last_proof: CardDate,
        /// The last month that proof covers.
        valid_through: Month,
        /// Months missed and not paid yet.
        arrears: Option<Arrears>,
    },
    /// The proof of life was missed.
    Suspended {
        /// The month to be closed next.
        next: Month,
        /// The latest proof of life.
        last_proof: CardDate,
        /// The first month not paid.
        unpaid_from: Month,
    },
}

/// Months missed, to be paid with the month of resumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrears {
    /// The first month not paid.
    pub from: Month,
    /// The month whose payment brings everything.
    pub resume: Month,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The application was taken.
    Applied {
        /// Its date.
        on: CardDate,
    },
    /// The pension was approved.
    Approved {
        /// The first month paid.
        first_month: Month,
    },
    /// A proof of life was accepted.
    ProofAccepted {
        /// Its date.
        date: CardDate,
        /// How it was given.
        method: ProofMethod,
        /// The last month it covers.
        valid_through: Month,
    },
    /// The proof of life was missed; payments stop.
    Suspended {
        /// The first month not paid.
        from: Month,
    },
    /// The proof was made up; payments go on.
    ResumptionScheduled {
        /// The month whose payment brings the missed ones.
        month: Month,
        /// The first month missed.
        back_pay_from: Month,
    },
    /// Money due to the card's bank account.
    Paid(Payment),
}

/// One payment to the card's bank account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// To whom.
    pub person: CitizenId,
    /// The month it is paid for; with back-pay, the last of its months.
    pub month: Month,
    /// The first month it pays for.
    pub first_month: Month,
    /// The whole amount, back-pay included.
    pub amount: Fen,
    /// Of it, for months before `month`.
    pub back_pay: Fen,
}

type Stepped = Result<(PensionRecord, Vec<Event>), SocialError>;

/// Takes an application.
pub fn apply(person: CitizenId, monthly: Fen, on: CardDate) -> Stepped {
    let record = PensionRecord {
        person,
        monthly,
        state: PensionState::Applied { on },
    };
    check_monthly(&record)?;
    Ok((record, vec![Event::Applied { on }]))
}

/// Approves an application. The person was seen when applying, so the approval counts as the
/// first proof of life; the first month paid is the one after it.
pub fn approve(record: &PensionRecord, policy: &SocialPolicy, on: CardDate) -> Stepped {
    let PensionState::Applied { on: applied } = record.state else {
        return Err(SocialError::AlreadyApproved);
    };
    if on < applied {
        return Err(SocialError::ApprovedBeforeApplication { on, applied });
    }
    let first_month = Month::of(on).next().ok_or(SocialError::Calendar)?;
    let state = PensionState::InPayment {
        next: first_month,
        last_proof: on,
        valid_through: covered(policy, on)?,
        arrears: None,
    };
    Ok((with(record, state), vec![Event::Approved { first_month }]))
}

/// Accepts a proof of life. The same proof twice has the effect of one.
///
/// While suspended, payments go on with the month after the proof, together with what was missed.
pub fn apply_proof(
    record: &PensionRecord,
    policy: &SocialPolicy,
    date: CardDate,
    method: ProofMethod,
) -> Stepped {
    let latest = match record.state {
        PensionState::Applied { .. } => return Err(SocialError::NotApproved),
        PensionState::InPayment { last_proof, .. } | PensionState::Suspended { last_proof, .. } => {
            last_proof
        }
    };
    if date < latest {
        return Err(SocialError::ProofOutOfOrder { date, latest });
    }
    if date == latest {
        return Ok((record.clone(), Vec::new()));
    }
    let valid_through = covered(policy, date)?;
    let accepted = Event::ProofAccepted {
        date,
        method,
        valid_through,
    };
    match record.state {
        PensionState::Applied { .. } => Err(SocialError::NotApproved),
        PensionState::InPayment { next, arrears, .. } => {
            let state = PensionState::InPayment {
                next,
                last_proof: date,
                valid_through,
                arrears,
            };
            Ok((with(record, state), vec![accepted]))
        }
        PensionState::Suspended {
            next, unpaid_from, ..
        } => {
            let after = Month::of(date).next().ok_or(SocialError::Calendar)?;
            // A proof recorded late can name a month that is closed; the next one to close pays.
            let resume = after.max(next);
            let state = PensionState::InPayment {
                next,
                last_proof: date,
                valid_through,
                arrears: Some(Arrears {
                    from: unpaid_from,
                    resume,
                }),
            };
            let scheduled = Event::ResumptionScheduled {
                month: resume,
                back_pay_from: unpaid_from,
            };
            Ok((with(record, state), vec![accepted, scheduled]))
        }
    }
}

/// Closes a month: pays it, or suspends when the proof of life no longer covers it. A month closed
/// before, or before the first payment, changes nothing; a month left out is an error.
pub fn month_end(record: &PensionRecord, month: Month) -> Stepped {
    let next = match record.state {
        PensionState::Applied { .. } => return Ok((record.clone(), Vec::new())),
        PensionState::InPayment { next, .. } | PensionState::Suspended { next, .. } => next,
    };
    if month < next {
        return Ok((record.clone(), Vec::new()));
    }
    if month > next {
        return Err(SocialError::MonthSkipped {
            asked: month,
            expected: next,
        });
    }
    let following = month.next().ok_or(SocialError::Calendar)?;
    match record.state {
        PensionState::Applied { .. } => Ok((record.clone(), Vec::new())),
        PensionState::Suspended {
            last_proof,
            unpaid_from,
            ..
        } => {
            let state = PensionState::Suspended {
                next: following,
                last_proof,
                unpaid_from,
            };
            Ok((with(record, state), Vec::new()))
        }
        PensionState::InPayment {
            last_proof,
            valid_through,
            arrears,
            ..
        } => {
            let first_unpaid = arrears.map_or(month, |a| a.from);
            if month > valid_through {
                let state = PensionState::Suspended {
                    next: following,
                    last_proof,
                    unpaid_from: first_unpaid,
                };
                let suspended = Event::Suspended { from: month };
                return Ok((with(record, state), vec![suspended]));
            }
            let waits = arrears.filter(|a| month < a.resume);
            let state = PensionState::InPayment {
                next: following,
                last_proof,
                valid_through,
                arrears: waits,
            };
            let events = if waits.is_some() {
                Vec::new()
            } else {
                vec![Event::Paid(payment(record, first_unpaid, month)?)]
            };
            Ok((with(record, state), events))
        }
    }
}

fn payment(
    record: &PensionRecord,
    first_month: Month,
    month: Month,
) -> Result<Payment, SocialError> {
    // A stored record may have been damaged; the limit also keeps the product in range.
    check_monthly(record)?;
    let months = i64::from(first_month.count_to(month));
    let amount = Fen(record.monthly.0 * months);
    Ok(Payment {
        person: record.person,
        month,
        first_month,
        amount,
        back_pay: amount - record.monthly,
    })
}

fn covered(policy: &SocialPolicy, proof: CardDate) -> Result<Month, SocialError> {
    Month::of(proof)
        .plus(policy.pension.proof_valid_months)
        .ok_or(SocialError::Calendar)
}

fn check_monthly(record: &PensionRecord) -> Result<(), SocialError> {
    if record.monthly <= Fen::ZERO || record.monthly > MAX_MONTHLY {
        return Err(SocialError::Amount(record.monthly));
    }
    Ok(())
}

fn with(record: &PensionRecord, state: PensionState) -> PensionRecord {
    PensionRecord {
        state,
        ..record.clone()
    }
}
