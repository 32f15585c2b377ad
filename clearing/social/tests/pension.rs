//! The pension workflow: proof of life missed, suspended; made up, resumed next month with
//! back-pay (medical and social-insurance facts).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use card_spec::Fen;
use card_spec::time::CardDate;
use proptest::prelude::*;
use social::*;

fn policy() -> SocialPolicy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/fujian/social.toml");
    SocialPolicy::load(&path).unwrap()
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn date(text: &str) -> CardDate {
    text.parse().unwrap()
}

const PENSION: Fen = Fen::yuan(2_500);

/// In payment since 2026-06, covered through 2027-05.
fn in_payment() -> PensionRecord {
    let person = "11010519491231002X".parse().unwrap();
    let (record, events) = apply(person, PENSION, date("2026-05-10")).unwrap();
    assert_eq!(
        events,
        [Event::Applied {
            on: date("2026-05-10")
        }]
    );
    let (record, events) = approve(&record, &policy(), date("2026-05-20")).unwrap();
    assert_eq!(
        events,
        [Event::Approved {
            first_month: month("2026-06")
        }]
    );
    record
}

/// Closes months up to and including `last`; the amounts paid, by month.
fn close_until(record: &mut PensionRecord, last: &str) -> Vec<(String, Fen)> {
    let mut paid = Vec::new();
    loop {
        let next = match record.state {
            PensionState::InPayment { next, .. } | PensionState::Suspended { next, .. } => next,
            PensionState::Applied { .. } => panic!("not approved"),
        };
        if next > month(last) {
            return paid;
        }
        let (stepped, events) = month_end(record, next).unwrap();
        *record = stepped;
        for event in events {
            if let Event::Paid(payment) = event {
                assert_eq!(payment.month, next);
                paid.push((next.to_string(), payment.amount));
            }
        }
    }
}

fn proof(record: &PensionRecord, on: &str) -> Result<(PensionRecord, Vec<Event>), SocialError> {
    apply_proof(record, &policy(), date(on), ProofMethod::CardAtTerminal)
}

#[test]
fn a_yearly_proof_keeps_the_pension_in_payment() {
    let mut record = in_payment();
    assert_eq!(close_until(&mut record, "2027-05").len(), 12);
    let (mut record, events) = proof(&record, "2027-05-31").unwrap();
    assert_eq!(
        events,
        [Event::ProofAccepted {
            date: date("2027-05-31"),
            method: ProofMethod::CardAtTerminal,
            valid_through: month("2028-05"),
        }]
    );
    assert_eq!(close_until(&mut record, "2028-05").len(), 12);
}

#[test]
fn missed_suspends_and_made_up_resumes_next_month_with_back_pay() {
    let mut record = in_payment();
    close_until(&mut record, "2027-05");
    let (suspended, events) = month_end(&record, month("2027-06")).unwrap();
    assert_eq!(
        events,
        [Event::Suspended {
            from: month("2027-06")
        }]
    );
    record = suspended;
    assert_eq!(close_until(&mut record, "2027-07"), []);

    let (mut record, events) = proof(&record, "2027-08-15").unwrap();
    assert_eq!(
        events[1],
        Event::ResumptionScheduled {
            month: month("2027-09"),
            back_pay_from: month("2027-06"),
        }
    );
    // June, July and August come with September.
    assert_eq!(
        close_until(&mut record, "2027-10"),
        [
            ("2027-09".to_owned(), Fen(PENSION.0 * 4)),
            ("2027-10".to_owned(), PENSION)
        ]
    );
}

#[test]
fn a_payment_says_what_is_back_pay() {
    let mut record = in_payment();
    close_until(&mut record, "2027-06");
    // Recorded after June was closed: July's close pays both.
    let (record, _) = proof(&record, "2027-06-30").unwrap();
    let (_, events) = month_end(&record, month("2027-07")).unwrap();
    assert_eq!(
        events,
        [Event::Paid(Payment {
            person: record.person,
            month: month("2027-07"),
            first_month: month("2027-06"),
            amount: Fen::yuan(5_000),
            back_pay: Fen::yuan(2_500),
        })]
    );
}

/// A proof of June that reaches the office when July is closed already.
#[test]
fn a_proof_recorded_late_resumes_with_the_next_month_to_close() {
    let mut record = in_payment();
    close_until(&mut record, "2027-07");
    let (mut record, events) = proof(&record, "2027-06-30").unwrap();
    assert_eq!(
        events[1],
        Event::ResumptionScheduled {
            month: month("2027-08"),
            back_pay_from: month("2027-06"),
        }
    );
    assert_eq!(
        close_until(&mut record, "2027-08"),
        [("2027-08".to_owned(), Fen(PENSION.0 * 3))]
    );
}

#[test]
fn a_step_repeated_has_the_effect_of_one() {
    let record = in_payment();
    let (paid, events) = month_end(&record, month("2026-06")).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(
        month_end(&paid, month("2026-06")),
        Ok((paid.clone(), Vec::new()))
    );
    let (proved, _) = proof(&paid, "2026-07-01").unwrap();
    assert_eq!(
        proof(&proved, "2026-07-01"),
        Ok((proved.clone(), Vec::new()))
    );
}

#[test]
fn steps_out_of_turn_are_refused() {
    let person = "11010519491231002X".parse().unwrap();
    assert_eq!(
        apply(person, Fen::ZERO, date("2026-05-10")),
        Err(SocialError::Amount(Fen::ZERO))
    );
    let (applied, _) = apply(person, PENSION, date("2026-05-10")).unwrap();
    assert_eq!(proof(&applied, "2026-05-11"), Err(SocialError::NotApproved));
    assert_eq!(
        month_end(&applied, month("2026-05")),
        Ok((applied.clone(), Vec::new()))
    );
    assert!(matches!(
        approve(&applied, &policy(), date("2026-05-09")),
        Err(SocialError::ApprovedBeforeApplication { .. })
    ));
    let record = in_payment();
    assert_eq!(
        approve(&record, &policy(), date("2026-06-01")),
        Err(SocialError::AlreadyApproved)
    );
    assert_eq!(
        month_end(&record, month("2026-07")),
        Err(SocialError::MonthSkipped {
            asked: month("2026-07"),
            expected: month("2026-06")
        })
    );
    assert_eq!(
        proof(&record, "2026-05-19"),
        Err(SocialError::ProofOutOfOrder {
            date: date("2026-05-19"),
            latest: date("2026-05-20")
        })
    );
    assert_eq!(proof(&record, "9999-12-31"), Err(SocialError::Calendar));
}

#[test]
fn a_record_survives_storage() {
    let mut record = in_payment();
    close_until(&mut record, "2027-06");
    let text = serde_json::to_string(&record).unwrap();
    assert!(text.contains(r#""unpaid_from":"2027-06""#), "{text}");
    assert_eq!(
        serde_json::from_str::<PensionRecord>(&text).unwrap(),
        record
    );
}

#[test]
fn a_wrong_policy_names_its_field() {
    let good = "source = \"s\"\ndated = \"2026-03\"\nverified = false\n[pension]\nproof_valid_months = 12\n";
    assert!(SocialPolicy::parse(good, "s.toml").is_ok());
    for (from, to, field) in [
        ("= 12", "= 0", "pension.proof_valid_months"),
        ("= 12", "= 12\ngrace = 1", "grace"),
        ("\"s\"", "\"\"", "source"),
        ("2026-03", "2026-3", "2026-3"),
        ("verified = false\n", "", "verified"),
    ] {
        let text = SocialPolicy::parse(&good.replacen(from, to, 1), "s.toml")
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("s.toml") && text.contains(field), "{text}");
    }
    let policy = policy();
    assert!(!policy.verified && policy.dated == month("2026-03"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever proofs come when: each month is paid exactly once or still owed, never both, and
    /// no month is paid that a proof of life does not follow or cover.
    #[test]
    fn no_month_is_lost_or_paid_twice(proofs in proptest::collection::vec(any::<bool>(), 1..80)) {
        let mut record = in_payment();
        let mut now = month("2026-06");
        let mut paid = Fen::ZERO;
        let mut last_proof = month("2026-05");
        for (closed, proves) in (1i64..).zip(proofs) {
            if proves {
                let day = format!("{now}-15");
                record = proof(&record, &day).unwrap().0;
                last_proof = now;
            }
            let (stepped, events) = month_end(&record, now).unwrap();
            record = stepped;
            for event in events {
                if let Event::Paid(payment) = event {
                    paid += payment.amount;
                    prop_assert!(now <= last_proof.plus(12).unwrap());
                }
            }
            let owed_from = match record.state {
                PensionState::InPayment { arrears, .. } => arrears.map(|a| a.from),
                PensionState::Suspended { unpaid_from, .. } => Some(unpaid_from),
                PensionState::Applied { .. } => panic!("approved above"),
            };
            let owed = owed_from.map_or(0, |from| {
                let index = |m: Month| i64::from(m.year() * 12 + m.month());
                index(now) - index(from) + 1
            });
            prop_assert_eq!(paid.0 + owed * PENSION.0, closed * PENSION.0);
            now = now.next().unwrap();
        }
    }
}
