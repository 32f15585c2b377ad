//! The authorised state: two different officers, one purpose, a limited time.
//!
//! An officer asks for a challenge and signs it, with reason and duration, by the key of the
//! certificate. A challenge counts once, whatever comes of it, and dies with the process: an
//! approval cannot be kept for later or sent twice. The second officer opens the state; it ends by
//! itself. Only an open state yields an [`Authorised`], and calls under dual control take one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ed25519_dalek::{Signature, VerifyingKey};
use hsm_client::{Approval, Approved, HsmError, MINUTES_MAX, REASON_MAX, Result};

use crate::{Officers, caller::Caller, sessions::malformed};

/// How long an officer may take to sign a challenge.
const CHALLENGE_LIFE: Duration = Duration::from_secs(120);
/// How long a first approval waits for the second.
const FIRST_LIFE: Duration = Duration::from_secs(600);
/// Unanswered challenges kept; the officer of the oldest must ask again.
const CHALLENGES_MAX: usize = 32;
/// How long the officers of a key ceremony stay authorised after it.
pub(crate) const CEREMONY_LIFE: Duration = Duration::from_secs(900);

/// Two officers have approved what happens now. Only the HSM makes this value, in its authorised
/// state; it names them.
#[derive(Debug)]
pub struct Authorised(Officers);

impl core::ops::Deref for Authorised {
    type Target = Officers;

    fn deref(&self) -> &Officers {
        &self.0
    }
}

struct Challenge {
    value: [u8; 32],
    officer: [u8; 32],
    until: Instant,
}

struct First {
    officer: Caller,
    reason: String,
    minutes: u8,
    until: Instant,
}

/// Challenges, the first approval, the open state.
#[derive(Default)]
pub(crate) struct Authority {
    challenges: BTreeMap<u64, Challenge>,
    drawn: u64,
    first: Option<First>,
    open: Option<(Officers, Instant)>,
}

impl Authority {
    /// Open from the start, for the officers of the ceremony that has just ended.
    pub(crate) fn after_ceremony(officers: Officers, now: Instant) -> Self {
        Self {
            open: Some((officers, now + CEREMONY_LIFE)),
            ..Self::default()
        }
    }

    /// Whether the state is open.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.open.as_ref().is_some_and(|(_, until)| now < *until)
    }

    /// The proof that it is.
    pub(crate) fn authorised(&self, now: Instant) -> Result<Authorised> {
        match &self.open {
            Some((officers, until)) if now < *until => Ok(Authorised(officers.clone())),
            _ => Err(HsmError::WrongState {
                state: "operational".to_owned(),
                needs: "the authorised state: two officers run `onecard hsm approve`".to_owned(),
            }),
        }
    }

    /// Keeps a freshly drawn challenge for an officer.
    pub(crate) fn challenge(
        &mut self,
        now: Instant,
        officer: [u8; 32],
        value: [u8; 32],
    ) -> [u8; 32] {
        self.challenges
            .retain(|_, c| now < c.until && c.officer != officer);
        if self.challenges.len() >= CHALLENGES_MAX {
            self.challenges.pop_first();
        }
        self.drawn += 1;
        let challenge = Challenge {
            value,
            officer,
            until: now + CHALLENGE_LIFE,
        };
        self.challenges.insert(self.drawn, challenge);
        value
    }

    /// Takes one approval.
    pub(crate) fn approve(
        &mut self,
        now: Instant,
        officer: &Caller,
        approval: &Approval,
    ) -> Result<Approved> {
        let key = officer.officer()?;
        let reason = approval.reason.trim();
        if !(1..=MINUTES_MAX).contains(&approval.minutes)
            || reason.is_empty()
            || reason.len() > REASON_MAX
            || reason.chars().any(char::is_control)
        {
            return Err(malformed(
                "an approval has a reason of 1 to 200 printable bytes and lasts 1 to 60 minutes",
            ));
        }
        self.take_challenge(now, key, &approval.challenge)?;
        let signed =
            Approval::signing_bytes(&approval.challenge, approval.minutes, &approval.reason);
        let authentic = VerifyingKey::from_bytes(&key).is_ok_and(|key| {
            Signature::from_slice(&approval.signature)
                .is_ok_and(|signature| key.verify_strict(&signed, &signature).is_ok())
        });
        if !authentic {
            return Err(HsmError::NotAuthentic {
                what: format!("the approval of {}", officer.name),
            });
        }
        if self.is_open(now) {
            return Err(refused(
                "the HSM is authorised already: end that with `onecard hsm approve --end` first",
            ));
        }
        match self.first.take().filter(|first| now < first.until) {
            None => {
                self.first = Some(First {
                    officer: officer.clone(),
                    reason: reason.to_owned(),
                    minutes: approval.minutes,
                    until: now + FIRST_LIFE,
                });
                Ok(Approved::First {
                    seconds: FIRST_LIFE.as_secs() as u32,
                })
            }
            Some(first) => {
                let second = self.second(&first, officer, reason, approval.minutes);
                let Ok(officers) = second else {
                    // The first still waits for the right second.
                    self.first = Some(first);
                    return second.map(|_| Approved::First { seconds: 0 });
                };
                let lasts = Duration::from_secs(60 * u64::from(approval.minutes));
                self.open = Some((officers, now + lasts));
                Ok(Approved::Authorised {
                    seconds: lasts.as_secs() as u32,
                })
            }
        }
    }

    /// Whether this officer is the second that the first waits for.
    fn second(
        &self,
        first: &First,
        officer: &Caller,
        reason: &str,
        minutes: u8,
    ) -> Result<Officers> {
        if first.officer.certified == officer.certified {
            return Err(refused(
                "this officer has approved already: the second must be another person",
            ));
        }
        if first.reason != reason || first.minutes != minutes {
            return Err(refused(&format!(
                "{} approved \"{}\" for {} minutes: the second officer approves the same, or ends that first",
                first.officer.name, first.reason, first.minutes
            )));
        }
        Officers::new(&first.officer.name, &officer.name)
    }

    fn take_challenge(&mut self, now: Instant, officer: [u8; 32], value: &[u8; 32]) -> Result<()> {
        let at = self
            .challenges
            .iter()
            .find(|(_, c)| c.value == *value && c.officer == officer)
            .map(|(at, _)| *at);
        at.and_then(|at| self.challenges.remove(&at))
            .filter(|challenge| now < challenge.until)
            .map(|_| ())
            .ok_or_else(|| {
                refused("this approval was used before, is too old or answers no challenge of this HSM: ask for a new one")
            })
    }

    /// Takes a first approval back; an open state stays.
    pub(crate) fn withdraw(&mut self) {
        self.first = None;
    }

    /// Back to operational.
    pub(crate) fn end(&mut self) {
        self.first = None;
        self.open = None;
    }
}

fn refused(why: &str) -> HsmError {
    HsmError::Refused {
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use hsm_client::Role;

    struct Person(Caller, SigningKey);

    fn person(name: &str, n: u8, role: Role) -> Person {
        let key = SigningKey::from_bytes(&[n; 32]);
        let certified = Some((role, key.verifying_key().to_bytes()));
        let name = name.to_owned();
        let serial = None;
        Person(
            Caller {
                name,
                certified,
                serial,
            },
            key,
        )
    }

    fn signed(person: &Person, challenge: [u8; 32], minutes: u8, reason: &str) -> Approval {
        let bytes = Approval::signing_bytes(&challenge, minutes, reason);
        Approval {
            challenge,
            reason: reason.to_owned(),
            minutes,
            signature: person.1.sign(&bytes).to_bytes().to_vec(),
        }
    }

    fn approve(
        authority: &mut Authority,
        now: Instant,
        person: &Person,
        n: u8,
        reason: &str,
    ) -> Result<Approved> {
        let key = person.0.officer().expect("officer");
        let challenge = authority.challenge(now, key, [n; 32]);
        authority.approve(now, &person.0, &signed(person, challenge, 5, reason))
    }

    #[test]
    fn two_officers_open_it_for_their_minutes() {
        let (lin, chen) = (
            person("Lin", 1, Role::Officer),
            person("Chen", 2, Role::Officer),
        );
        let (mut authority, now) = (Authority::default(), Instant::now());
        assert!(authority.authorised(now).is_err());
        let first = approve(&mut authority, now, &lin, 1, "rotate").expect("first");
        assert_eq!(first, Approved::First { seconds: 600 });
        assert!(authority.authorised(now).is_err(), "one is not two");
        let second = approve(&mut authority, now, &chen, 2, "rotate").expect("second");
        assert_eq!(second, Approved::Authorised { seconds: 300 });
        let authorised = authority.authorised(now).expect("open");
        assert_eq!(authorised.names(), ["Lin", "Chen"]);
        assert!(authority.authorised(now + Duration::from_secs(299)).is_ok());
        assert!(
            authority
                .authorised(now + Duration::from_secs(300))
                .is_err()
        );
        authority.end();
        assert!(authority.authorised(now).is_err());
    }

    #[test]
    fn the_second_is_another_person_with_the_same_purpose() {
        let lin = person("Lin", 1, Role::Officer);
        let (mut authority, now) = (Authority::default(), Instant::now());
        approve(&mut authority, now, &lin, 1, "rotate").expect("first");
        assert!(
            approve(&mut authority, now, &lin, 2, "rotate").is_err(),
            "same person"
        );
        let namesake = person("LIN", 3, Role::Officer);
        assert!(
            approve(&mut authority, now, &namesake, 3, "rotate").is_err(),
            "same name"
        );
        let chen = person("Chen", 2, Role::Officer);
        assert!(
            approve(&mut authority, now, &chen, 4, "export").is_err(),
            "another purpose"
        );
        assert!(!authority.is_open(now));
        // None of them displaced the first.
        assert!(approve(&mut authority, now, &chen, 5, "rotate").is_ok());
        assert!(authority.is_open(now));
        assert!(
            approve(&mut authority, now, &lin, 6, "more").is_err(),
            "open already"
        );
        // A first approval that waited too long does not count.
        let mut authority = Authority::default();
        approve(&mut authority, now, &lin, 1, "rotate").expect("first");
        let late = approve(&mut authority, now + FIRST_LIFE, &chen, 2, "rotate");
        assert_eq!(late, Ok(Approved::First { seconds: 600 }));
    }

    #[test]
    fn a_challenge_counts_once_for_its_officer_in_its_time() {
        let (lin, chen) = (
            person("Lin", 1, Role::Officer),
            person("Chen", 2, Role::Officer),
        );
        let (mut authority, now) = (Authority::default(), Instant::now());
        let key = lin.0.officer().expect("officer");
        let challenge = authority.challenge(now, key, [9; 32]);
        let approval = signed(&lin, challenge, 5, "rotate");
        // Somebody else's challenge, though well signed.
        let foreign = signed(&chen, challenge, 5, "rotate");
        assert!(authority.approve(now, &chen.0, &foreign).is_err());
        assert!(authority.approve(now, &lin.0, &approval).is_ok());
        authority.end();
        let replayed = authority.approve(now, &lin.0, &approval);
        assert!(matches!(replayed, Err(HsmError::Refused { why }) if why.contains("used before")));
        // Too late.
        let challenge = authority.challenge(now, key, [8; 32]);
        let approval = signed(&lin, challenge, 5, "rotate");
        assert!(
            authority
                .approve(now + CHALLENGE_LIFE, &lin.0, &approval)
                .is_err()
        );
        // A wrong signature burns the challenge.
        let challenge = authority.challenge(now, key, [7; 32]);
        let right = signed(&lin, challenge, 5, "rotate");
        let mut longer = right.clone();
        longer.minutes = 60;
        let wrong = authority.approve(now, &lin.0, &longer);
        assert!(matches!(wrong, Err(HsmError::NotAuthentic { .. })));
        assert!(authority.approve(now, &lin.0, &right).is_err());
        assert!(authority.first.is_none());
    }

    #[test]
    fn only_officers_and_only_sensible_terms() {
        let (mut authority, now) = (Authority::default(), Instant::now());
        let auditor = person("Wu", 1, Role::Auditor);
        let approval = signed(&auditor, [1; 32], 5, "rotate");
        let refused = authority.approve(now, &auditor.0, &approval);
        assert_eq!(refused.map_err(|e| e.code()), Err(20));
        let lin = person("Lin", 1, Role::Officer);
        let key = lin.0.officer().expect("officer");
        for (minutes, reason) in [(0, "x"), (61, "x"), (5, " "), (5, "a\nb")] {
            let challenge = authority.challenge(now, key, [1; 32]);
            let approval = signed(&lin, challenge, minutes, reason);
            assert!(authority.approve(now, &lin.0, &approval).is_err());
        }
        // Challenges are bounded.
        for n in 0..100 {
            authority.challenge(now, [n; 32], [n; 32]);
        }
        assert_eq!(authority.challenges.len(), CHALLENGES_MAX);
    }
}
