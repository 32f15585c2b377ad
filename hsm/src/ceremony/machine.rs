//! The state machine of a ceremony: who enters what, when the keys are formed, who confirms.

use card_spec::{SuiteId, time::CardTime};
use zeroize::Zeroizing;

use super::{
    CeremonyError, CheckValue, Dealing, Form, Formed, KeyLine, Part, PartLine, Subject, Transcript,
};
use crate::{Officers, officers::person, shamir};

/// What a ceremony is to form, and from whose parts.
#[derive(Debug, Clone)]
pub struct Plan {
    form: Form,
    subjects: Vec<Subject>,
    custodians: Vec<String>,
    dealing: Option<Dealing>,
}

impl Plan {
    /// The three provincial roots.
    pub fn roots(form: Form, custodians: &[&str]) -> Result<Self, CeremonyError> {
        let subjects = SuiteId::ALL.map(Subject::Root);
        Self::of(form, &subjects, custodians)
    }

    /// One key: a transport key, or that of a backup.
    pub fn single(
        subject: Subject,
        form: Form,
        custodians: &[&str],
    ) -> Result<Self, CeremonyError> {
        Self::of(form, &[subject], custodians)
    }

    fn of(form: Form, subjects: &[Subject], names: &[&str]) -> Result<Self, CeremonyError> {
        Ok(Self {
            form,
            subjects: subjects.to_vec(),
            custodians: super::custodians(form, names)?,
            dealing: None,
        })
    }

    /// With the record of the dealing, a share that was replaced is named when it is entered.
    #[must_use]
    pub fn checked_by(mut self, dealing: Dealing) -> Self {
        self.dealing = Some(dealing);
        self
    }

    /// Components or shares.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The keys, in the order in which each custodian enters their parts.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }
}

/// What the ceremony waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A custodian enters a part.
    Part {
        /// Of which key.
        subject: Subject,
        /// How many custodians have entered everything.
        entered: usize,
        /// How many it takes.
        needed: usize,
        /// Who may enter it: one, or with shares all who have not yet.
        custodians: Vec<String>,
    },
    /// An officer compares the check values of the keys and confirms them.
    Confirm {
        /// Which keys were formed, with their check values.
        formed: Vec<(Subject, CheckValue)>,
        /// Who has not confirmed yet.
        officers: Vec<String>,
    },
    /// Both confirmed: call [`Ceremony::finish`].
    Complete,
}

/// What one custodian entered so far.
#[cfg_attr(test, derive(Clone))]
struct Entered {
    custodian: usize,
    parts: Vec<Part>,
}

/// A ceremony under way.
#[cfg_attr(test, derive(Clone))]
pub struct Ceremony {
    plan: Plan,
    transcript: Transcript,
    entered: Vec<Entered>,
    /// Keys whose last part is entered; given out only when all are, and confirmed.
    formed: Vec<(Subject, Zeroizing<Vec<u8>>, CheckValue)>,
}

impl Ceremony {
    /// Begins, with two officers present.
    pub fn new(plan: Plan, officers: &Officers, at: CardTime) -> Self {
        let line = |subject: &Subject| KeyLine {
            subject: *subject,
            parts: Vec::new(),
            kcv: None,
            kcv_kind: subject.kcv_kind(),
        };
        Self {
            transcript: Transcript {
                at,
                form: plan.form,
                officers: officers.names().map(str::to_owned),
                custodians: plan.custodians.clone(),
                keys: plan.subjects.iter().map(line).collect(),
                confirmed: Vec::new(),
                aborted: None,
            },
            plan,
            entered: Vec::new(),
            formed: Vec::new(),
        }
    }

    /// Components or shares.
    pub const fn form(&self) -> Form {
        self.plan.form
    }

    /// What comes next.
    pub fn next(&self) -> Step {
        let needed = usize::from(self.plan.form.needed());
        if self.formed.len() == self.plan.subjects.len() {
            let confirmed = &self.transcript.confirmed;
            let mut officers = self.transcript.officers.to_vec();
            officers.retain(|o| !confirmed.contains(o));
            if officers.is_empty() {
                return Step::Complete;
            }
            let formed = self.formed.iter().map(|(s, _, check)| (*s, *check));
            return Step::Confirm {
                formed: formed.collect(),
                officers,
            };
        }
        let begun = self.begun();
        let subject = begun.map_or(0, |e| e.parts.len());
        let names = |i: usize| self.plan.custodians.get(i).cloned();
        let custodians = match (begun, self.plan.form) {
            (Some(entered), _) => names(entered.custodian).into_iter().collect(),
            (None, Form::Components(_)) => names(self.entered.len()).into_iter().collect(),
            (None, Form::Shares(_)) => {
                let free = |i: &usize| self.entered.iter().all(|e| e.custodian != *i);
                let all = 0..self.plan.custodians.len();
                all.filter(free).filter_map(names).collect()
            }
        };
        match self.plan.subjects.get(subject) {
            Some(subject) => Step::Part {
                subject: *subject,
                entered: self.complete(),
                needed,
                custodians,
            },
            None => Step::Complete,
        }
    }

    /// The custodian who has entered some parts and not all.
    fn begun(&self) -> Option<&Entered> {
        let last = self.entered.last();
        last.filter(|e| e.parts.len() < self.plan.subjects.len())
    }

    /// One component as it is written on paper: its value and, beside it, its check value.
    pub fn enter_component(
        &mut self,
        custodian: &str,
        value: Zeroizing<Vec<u8>>,
        expected: CheckValue,
    ) -> Result<(), CeremonyError> {
        let Step::Part { subject, .. } = self.next() else {
            return Err(ALL_ENTERED);
        };
        let Form::Components(of) = self.plan.form else {
            return Err(CeremonyError::Order(
                "this ceremony takes shares: enter one from its card or envelope",
            ));
        };
        if value.len() != subject.length() {
            return Err(CeremonyError::NoPart);
        }
        // Paper without an envelope states neither set nor number: they are this ceremony's.
        let first = self.entered.first().and_then(|e| e.parts.first());
        let part = Part {
            form: Form::Components(of),
            set: first.map_or([0; 4], |part| part.set),
            subject,
            number: self.part_number(),
            check: expected,
            value,
        };
        self.enter(custodian, &part)
    }

    /// How many custodians have entered everything.
    fn complete(&self) -> usize {
        self.entered.len() - usize::from(self.begun().is_some())
    }

    fn part_number(&self) -> u8 {
        u8::try_from(self.complete() + 1).unwrap_or(u8::MAX)
    }

    /// One part. On an error the ceremony stands where it was.
    pub fn enter(&mut self, custodian: &str, part: &Part) -> Result<(), CeremonyError> {
        let Step::Part {
            subject,
            needed,
            custodians,
            ..
        } = self.next()
        else {
            return Err(ALL_ENTERED);
        };
        let (who, name) = self.turn(custodian, &custodians)?;
        self.belongs(part, subject, &name)?;
        let last = self.complete() + 1 == needed;
        let formed = if last {
            Some(self.join(part, subject, &name)?)
        } else {
            None
        };
        self.note(part, subject, name);
        match self.entered.last_mut() {
            Some(entered) if entered.custodian == who => entered.parts.push(part.clone()),
            _ => self.entered.push(Entered {
                custodian: who,
                parts: vec![part.clone()],
            }),
        }
        if let Some((value, check)) = formed {
            if let Some(line) = self.line(subject) {
                line.kcv = Some(hex::encode_upper(check));
            }
            self.formed.push((subject, value, check));
            if self.formed.len() == self.plan.subjects.len() {
                self.entered.clear();
            }
        }
        Ok(())
    }

    /// Whether it is this custodian's turn; who it is.
    fn turn(&self, name: &str, turn: &[String]) -> Result<(usize, String), CeremonyError> {
        let name = person(name)?;
        let all = &self.plan.custodians;
        let Some(who) = all.iter().position(|c| *c == name) else {
            return Err(CeremonyError::Stranger(name));
        };
        if turn.contains(&name) {
            return Ok((who, name));
        }
        let begun = self.begun().map(|e| e.custodian);
        if begun != Some(who) && self.entered.iter().any(|e| e.custodian == who) {
            return Err(CeremonyError::Entered(name));
        }
        Err(CeremonyError::Turn {
            expected: turn.join(" / "),
            got: name,
        })
    }

    /// Whether a part is of this key, this dealing and this form, and not one that is here already.
    fn belongs(&self, part: &Part, subject: Subject, custodian: &str) -> Result<(), CeremonyError> {
        let foreign = |found: String, wanted: String| Err(CeremonyError::Foreign { found, wanted });
        if part.subject != subject {
            return foreign(format!("of {}", part.subject), format!("one of {subject}"));
        }
        if part.form != self.plan.form {
            let say = |form| match form {
                Form::Components(of) => format!("one of {of} components"),
                Form::Shares(q) => format!("one of {} shares, {} needed", q.of(), q.needed()),
            };
            return foreign(say(part.form), say(self.plan.form));
        }
        let set = self.entered.first().and_then(|e| e.parts.first());
        if let Some(first) = set.filter(|first| first.set != part.set) {
            return foreign(
                format!("of dealing {}", hex::encode_upper(part.set)),
                format!("one of dealing {}", hex::encode_upper(first.set)),
            );
        }
        // A component on paper says nothing of its set; its own check value stands beside it.
        if let (Some(dealing), Form::Shares(_)) = (&self.plan.dealing, part.form)
            && !dealing.lists(part)
        {
            return Err(CeremonyError::Forged {
                number: part.number,
                custodian: custodian.to_owned(),
            });
        }
        match part.form {
            Form::Components(_) => self.fits_components(part),
            Form::Shares(_) => self.fits_shares(part),
        }
    }

    fn fits_components(&self, part: &Part) -> Result<(), CeremonyError> {
        if part.number != self.part_number() {
            return Err(CeremonyError::Foreign {
                found: format!("component {}", part.number),
                wanted: format!("component {}", self.part_number()),
            });
        }
        if part.subject.check_value(&part.value) != Some(part.check) {
            return Err(CeremonyError::CheckValue {
                expected: hex::encode_upper(part.check),
            });
        }
        let zero = part.value.iter().all(|b| *b == 0);
        if zero || self.others(part.subject).any(|o| o.value == part.value) {
            return Err(CeremonyError::Weak);
        }
        Ok(())
    }

    fn fits_shares(&self, part: &Part) -> Result<(), CeremonyError> {
        let same = |e: &&Entered| {
            let mut parts = e.parts.iter();
            parts.any(|p| p.subject == part.subject && p.number == part.number)
        };
        if let Some(other) = self.entered.iter().find(same) {
            let by = self.plan.custodians.get(other.custodian);
            return Err(CeremonyError::SameShare {
                number: part.number,
                by: by.cloned().unwrap_or_default(),
            });
        }
        if let Some(other) = self.others(part.subject).find(|o| o.check != part.check) {
            return Err(CeremonyError::Foreign {
                found: format!("of the key {}", hex::encode_upper(part.check)),
                wanted: format!("one of the key {}", hex::encode_upper(other.check)),
            });
        }
        Ok(())
    }

    fn others(&self, subject: Subject) -> impl Iterator<Item = &Part> {
        let parts = self.entered.iter().flat_map(|e| &e.parts);
        parts.filter(move |p| p.subject == subject)
    }

    /// The key from the parts before and this last one.
    fn join(
        &self,
        last: &Part,
        subject: Subject,
        custodian: &str,
    ) -> Result<(Zeroizing<Vec<u8>>, CheckValue), CeremonyError> {
        let parts = self.others(subject).chain([last]);
        let value = match self.plan.form {
            Form::Components(_) => {
                let mut sum = Zeroizing::new(vec![0; subject.length()]);
                for part in parts {
                    for (byte, p) in sum.iter_mut().zip(part.value.iter()) {
                        *byte ^= p;
                    }
                }
                sum
            }
            Form::Shares(_) => {
                let shares: Vec<_> = parts.map(|p| (p.number, p.value.as_slice())).collect();
                shamir::recover(&shares)
            }
        };
        if value.iter().all(|b| *b == 0) {
            return Err(CeremonyError::Weak);
        }
        let check = subject.check_value(&value).ok_or(CeremonyError::NoPart)?;
        if matches!(self.plan.form, Form::Shares(_)) && check != last.check {
            let before = self
                .entered
                .iter()
                .map(|e| self.plan.custodians.get(e.custodian));
            let mut names: Vec<&str> = before.flatten().map(String::as_str).collect();
            if !names.contains(&custodian) {
                names.push(custodian);
            }
            return Err(CeremonyError::Mismatch {
                subject,
                custodians: names.join(" / "),
            });
        }
        Ok((value, check))
    }

    fn line(&mut self, subject: Subject) -> Option<&mut KeyLine> {
        let mut lines = self.transcript.keys.iter_mut();
        lines.find(|line| line.subject == subject)
    }

    fn note(&mut self, part: &Part, subject: Subject, custodian: String) {
        let check = match part.form {
            Form::Components(_) => hex::encode_upper(part.check),
            Form::Shares(_) => {
                let [a, b, c, d, ..] = part.fingerprint();
                hex::encode_upper([a, b, c, d])
            }
        };
        let number = part.number;
        if let Some(line) = self.line(subject) {
            line.parts.push(PartLine {
                number,
                custodian,
                check,
            });
        }
    }

    /// An officer has compared the check values of the formed keys.
    pub fn confirm(&mut self, officer: &str) -> Result<(), CeremonyError> {
        let officer = person(officer)?;
        match self.next() {
            Step::Part { .. } => Err(MISSING),
            Step::Confirm { officers, .. } if officers.contains(&officer) => {
                self.transcript.confirmed.push(officer);
                Ok(())
            }
            Step::Confirm { .. } | Step::Complete => Err(CeremonyError::Officer(officer)),
        }
    }

    /// Ends without keys; everything entered is wiped.
    pub fn abort(mut self, by: &str) -> Transcript {
        self.transcript.aborted = Some(by.trim().to_owned());
        self.transcript
    }

    /// The keys and the transcript.
    pub fn finish(self) -> Result<(Formed, Transcript), CeremonyError> {
        match self.next() {
            Step::Part { .. } => Err(MISSING),
            Step::Confirm { .. } => Err(CeremonyError::Order(
                "both officers must confirm the check values before the keys are used",
            )),
            Step::Complete => {
                let keys = self.formed.into_iter();
                let keys = keys.map(|(subject, value, _)| (subject, value));
                Ok((Formed(keys.collect()), self.transcript))
            }
        }
    }
}

const ALL_ENTERED: CeremonyError =
    CeremonyError::Order("every part is entered: confirm the check values, or abort");
const MISSING: CeremonyError =
    CeremonyError::Order("parts are missing: enter them, or abort the ceremony");

#[cfg(test)]
#[path = "model.rs"]
mod model;
