//! The key ceremony 密钥仪式: keys formed from parts that different people carry.
//!
//! [`Ceremony`] does no I/O: the caller shows what [`Ceremony::next`] asks for and hands in what
//! was typed or read from a card. A key comes from XOR [components](Form::Components), all of them,
//! or from [shares](Form::Shares), any M of N. Each custodian enters a part of every key, then the
//! next one does; when enough did, the keys are formed, their check values shown, and both officers
//! confirm them. Nothing but check values and names is in the [`Transcript`].
//!
//! A ceremony is held in one piece: it cannot be saved, copied or taken up again. Ending it, either
//! way, consumes it, and its secrets are wiped when it goes.
//!
//! Roots are not kept: after `SoftHsm::create` only the application masters remain. A new version
//! of the masters takes the custodians and their parts again.

mod components;
pub mod envelope;
mod machine;
mod medium;
mod officer_card;
mod part;
mod record;
mod transcript;

pub use components::from_components;
pub use machine::{Ceremony, Plan, Step};
pub use medium::{Medium, MediumError};
pub use officer_card::OfficerCard;
pub(crate) use part::divide;
pub use part::{CheckValue, Form, PART_MAX, Part, Sheet, Subject, deal};
pub use record::Record;
pub use transcript::{Dealing, DealtPart, KeyLine, PartLine, Transcript};

use card_spec::{SuiteId, suite::Key, time::CardTime};
use hsm_client::HsmError;
use zeroize::Zeroizing;

use crate::{Entropy, Officers, SHARES_MAX, officers::person, service::Key256};

/// Fewest components of a key.
pub const COMPONENTS_MIN: u8 = 3;
/// Most components of a key.
pub const COMPONENTS_MAX: u8 = 9;

/// Why a step of the ceremony was refused. The ceremony stands where it was: repeat the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// Too few or too many custodians.
    #[error(
        "a key needs {COMPONENTS_MIN} to {COMPONENTS_MAX} components, or 2 to {SHARES_MAX} shares, each carried by another custodian; {0} were named"
    )]
    Custodians(usize),
    /// One person would know two parts.
    #[error("{0} is named twice: each part is carried by another person")]
    SameCustodian(String),
    /// Not this custodian's turn.
    #[error("it is {expected}'s turn, not {got}'s")]
    Turn {
        /// Whose turn it is.
        expected: String,
        /// Who came.
        got: String,
    },
    /// Not named at the beginning.
    #[error("{0} is no custodian of this ceremony")]
    Stranger(String),
    /// This custodian's sheet is entered.
    #[error("{0} has entered already: another custodian is wanted")]
    Entered(String),
    /// The part was mistyped or misread.
    #[error("this part is not what was written down (its digest differs): enter it again")]
    Mistyped,
    /// No part at all.
    #[error("this is no part of a key: take the envelope or card of this ceremony")]
    NoPart,
    /// The component was mistyped.
    #[error("the component does not have the check value {expected}: enter it again")]
    CheckValue {
        /// The check value given with the component.
        expected: String,
    },
    /// A part of another key, another dealing or another form.
    #[error("this part is {found}; {wanted} is wanted")]
    Foreign {
        /// What it is.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// The same share again.
    #[error("share {number} was entered already, by {by}: two custodians hold the same share")]
    SameShare {
        /// Its number.
        number: u8,
        /// Who entered it first.
        by: String,
    },
    /// A share that the record of the dealing does not list.
    #[error(
        "share {number} is not the one that was dealt: it was changed or replaced. Abort, and take {custodian}'s card or envelope as evidence"
    )]
    Forged {
        /// Its number.
        number: u8,
        /// Who brought it.
        custodian: String,
    },
    /// All shares are well formed, but one is not of this key.
    #[error(
        "the shares do not make the {subject} that they name: one of them, of {custodians}, was replaced. Enter the last one again, or abort and bring the record of the dealing, which tells which it is"
    )]
    Mismatch {
        /// What should have been formed.
        subject: Subject,
        /// Who entered.
        custodians: String,
    },
    /// A component that would take another one away, or is no secret at all.
    #[error(
        "this component is all zeros, repeats an earlier one or makes the key zero: draw a new one"
    )]
    Weak,
    /// Not one of the two officers, or twice the same.
    #[error("{0} cannot confirm: each of the two officers of this ceremony does, once")]
    Officer(String),
    /// Not now.
    #[error("{0}")]
    Order(&'static str),
    /// A name that cannot be used, or no randomness.
    #[error(transparent)]
    Hsm(#[from] HsmError),
}

/// The keys that a ceremony formed. No `Debug`, no serialisation; wiped on drop.
#[derive(Default)]
pub struct Formed(Vec<(Subject, Zeroizing<Vec<u8>>)>);

/// The formed roots, one a suite. No `Debug`, no serialisation; wiped on drop.
pub struct Roots(pub(crate) Vec<(SuiteId, Key)>);

impl Roots {
    /// Roots that nobody carries; `occasion` never comes twice.
    pub(crate) fn drawn(entropy: &crate::Entropy, occasion: &[u8]) -> hsm_client::Result<Self> {
        let mut roots = Vec::with_capacity(SuiteId::ALL.len());
        for (suite, counter) in SuiteId::ALL.into_iter().zip(0..) {
            let mut stream = entropy.stream("drawn-root", occasion, counter);
            roots.push((suite, Key::new(stream.array()?)));
        }
        Ok(Self(roots))
    }
}

/// A formed transport or backup key.
pub struct FormedKey(pub(crate) Key256);

/// A formed 3DES key-encryption key of a partner. No operation wraps under it, no store keeps it.
pub struct LegacyKek(pub(crate) Key);

impl Formed {
    /// All three roots.
    pub fn roots(self) -> Result<Roots, CeremonyError> {
        let mut roots = Vec::with_capacity(SuiteId::ALL.len());
        for suite in SuiteId::ALL {
            let value = self.key(Subject::Root(suite))?;
            let value = value.as_array().ok_or(CeremonyError::NoPart)?;
            roots.push((suite, Key::new(*value)));
        }
        Ok(Roots(roots))
    }

    /// The transport or the backup key.
    pub fn single(self, subject: Subject) -> Result<FormedKey, CeremonyError> {
        let value = self.key(subject)?.as_array().ok_or(CeremonyError::NoPart)?;
        Ok(FormedKey(Key256::new(*value)))
    }

    /// The key-encryption key of a partner with 3DES machines.
    pub fn legacy(self) -> Result<LegacyKek, CeremonyError> {
        let value = self.key(Subject::LegacyTransport)?;
        let value = value.as_array().ok_or(CeremonyError::NoPart)?;
        Ok(LegacyKek(Key::new(*value)))
    }

    fn key(&self, subject: Subject) -> Result<&[u8], CeremonyError> {
        let mut all = self.0.iter();
        all.find(|(s, _)| *s == subject)
            .map(|(_, value)| value.as_slice())
            .ok_or(CeremonyError::Order(
                "this ceremony formed other keys: hold one for what is wanted",
            ))
    }
}

/// The custodians of a form: one a part, all different.
pub(crate) fn custodians(form: Form, names: &[&str]) -> Result<Vec<String>, CeremonyError> {
    let enough = match form {
        Form::Components(of) => (COMPONENTS_MIN..=COMPONENTS_MAX).contains(&of),
        Form::Shares(_) => true,
    };
    if !enough || names.len() != usize::from(form.of()) {
        return Err(CeremonyError::Custodians(names.len()));
    }
    let mut all: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let name = person(name)?;
        if all.iter().any(|n| n.to_lowercase() == name.to_lowercase()) {
            return Err(CeremonyError::SameCustodian(name));
        }
        all.push(name);
    }
    Ok(all)
}

/// A whole ceremony whose components are drawn here instead of carried: for demonstrations (with a
/// seed) and trial installations. Nobody holds the components afterwards: the store and its backup
/// are all there is.
pub fn run(
    entropy: &Entropy,
    officers: &Officers,
    custodians: &[&str],
    at: CardTime,
) -> Result<(Roots, Transcript), CeremonyError> {
    let of =
        u8::try_from(custodians.len()).map_err(|_| CeremonyError::Custodians(custodians.len()))?;
    let plan = Plan::roots(Form::Components(of), custodians)?;
    let sheets = deal(entropy, plan.form(), plan.subjects(), custodians)?;
    let mut ceremony = Ceremony::new(plan, officers, at);
    for sheet in sheets {
        for part in &sheet.parts {
            ceremony.enter(&sheet.custodian, part)?;
        }
    }
    for officer in officers.names() {
        ceremony.confirm(officer)?;
    }
    let (formed, transcript) = ceremony.finish()?;
    Ok((formed.roots()?, transcript))
}
