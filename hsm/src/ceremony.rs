//! The key ceremony 密钥仪式: provincial roots formed from components that different people carry.
//!
//! [`Ceremony`] does no I/O: the caller shows what [`Ceremony::next`] asks for and hands in what
//! was typed. Each component is typed with its key check value; a root is the XOR of its
//! components, and its own check value is what the officers write down. Nothing but check values
//! and names is in the [`Transcript`].
//!
//! Roots are not kept: after `SoftHsm::create` only the application masters remain. A new version
//! of the masters takes the custodians and their components again.

use card_spec::{
    SuiteId,
    keys::{KcvKind, kcv},
    perso::kcv_kind,
    suite::Key,
    time::CardTime,
};
use hsm_client::HsmError;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::{Entropy, Officers, officers::person};

/// Fewest components of a root.
pub const COMPONENTS_MIN: usize = 3;
/// Most components of a root.
pub const COMPONENTS_MAX: usize = 9;

/// Why a step of the ceremony was refused. The ceremony stands where it was: repeat the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// Too few or too many custodians.
    #[error(
        "a root needs {COMPONENTS_MIN} to {COMPONENTS_MAX} components, each from another custodian; {0} were named"
    )]
    Custodians(usize),
    /// One person would know two components.
    #[error("{0} is named twice: each component is carried by another person")]
    SameCustodian(String),
    /// Not this custodian's turn.
    #[error("it is {expected}'s turn, not {got}'s")]
    Turn {
        /// Whose turn it is.
        expected: String,
        /// Who came.
        got: String,
    },
    /// The component was mistyped.
    #[error("the component does not have the check value {expected}: type it again")]
    CheckValue {
        /// The check value typed with the component.
        expected: String,
    },
    /// A component that would take another one away, or is no secret at all.
    #[error("this component is all zeros or repeats an earlier one: draw a new one")]
    Weak,
    /// The root is entered, or not yet.
    #[error("{0}")]
    Order(&'static str),
    /// A name that cannot be used, or no randomness.
    #[error(transparent)]
    Hsm(#[from] HsmError),
}

/// What the ceremony waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A custodian types one component and its check value.
    Component {
        /// Root that is being formed.
        suite: SuiteId,
        /// Component number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Who types it.
        custodian: String,
    },
    /// Every root is formed: call [`Ceremony::finish`].
    Complete,
}

/// One component as the transcript shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentLine {
    /// Number, from 1.
    pub number: usize,
    /// Who carried it.
    pub custodian: String,
    /// Check value, hex.
    pub kcv: String,
}

/// One root as the transcript shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootLine {
    /// Suite.
    pub suite: SuiteId,
    /// Its components so far.
    pub components: Vec<ComponentLine>,
    /// Check value of the formed root, hex; absent until it is formed.
    pub kcv: Option<String>,
    /// Kind of every check value of this root.
    pub kcv_kind: KcvKind,
}

/// What is printed and kept: who was there, and check values. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// When.
    pub at: CardTime,
    /// The two officers.
    pub officers: [String; 2],
    /// The custodians, in the order of their components.
    pub custodians: Vec<String>,
    /// The roots.
    pub roots: Vec<RootLine>,
    /// Ended before it was complete.
    pub aborted: bool,
}

/// The formed roots, one a suite. No `Debug`, no serialisation; wiped on drop.
pub struct Roots(pub(crate) Vec<(SuiteId, Key)>);

/// A ceremony under way.
pub struct Ceremony {
    transcript: Transcript,
    formed: Vec<(SuiteId, Key)>,
    entered: Zeroizing<Vec<[u8; 16]>>,
}

impl Ceremony {
    /// Begins, with two officers and one custodian for each component.
    pub fn new(
        officers: &Officers,
        custodians: &[&str],
        at: CardTime,
    ) -> Result<Self, CeremonyError> {
        if !(COMPONENTS_MIN..=COMPONENTS_MAX).contains(&custodians.len()) {
            return Err(CeremonyError::Custodians(custodians.len()));
        }
        let mut names: Vec<String> = Vec::with_capacity(custodians.len());
        for custodian in custodians {
            let name = person(custodian)?;
            if names.contains(&name) {
                return Err(CeremonyError::SameCustodian(name));
            }
            names.push(name);
        }
        Ok(Self {
            transcript: Transcript {
                at,
                officers: officers.names().map(str::to_owned),
                custodians: names,
                roots: Vec::new(),
                aborted: false,
            },
            formed: Vec::new(),
            // Never grows beyond this, so no copy of a component is left behind by a reallocation.
            entered: Zeroizing::new(Vec::with_capacity(COMPONENTS_MAX)),
        })
    }

    /// What comes next.
    pub fn next(&self) -> Step {
        let number = self.entered.len();
        match (
            SuiteId::ALL.get(self.formed.len()),
            self.transcript.custodians.get(number),
        ) {
            (Some(suite), Some(custodian)) => Step::Component {
                suite: *suite,
                number: number + 1,
                of: self.transcript.custodians.len(),
                custodian: custodian.clone(),
            },
            _ => Step::Complete,
        }
    }

    /// One component, with the check value that its custodian carries beside it. Returns the check
    /// value of the root when this was its last component.
    pub fn enter(
        &mut self,
        custodian: &str,
        mut component: [u8; 16],
        expected: [u8; 3],
    ) -> Result<Option<[u8; 3]>, CeremonyError> {
        let result = self.accept(custodian, &component, expected);
        component.zeroize();
        result
    }

    fn accept(
        &mut self,
        custodian: &str,
        component: &[u8; 16],
        expected: [u8; 3],
    ) -> Result<Option<[u8; 3]>, CeremonyError> {
        let Step::Component {
            suite,
            number,
            of,
            custodian: turn,
        } = self.next()
        else {
            return Err(CeremonyError::Order(
                "every root is formed: finish the ceremony",
            ));
        };
        if custodian.trim() != turn {
            return Err(CeremonyError::Turn {
                expected: turn,
                got: custodian.trim().to_owned(),
            });
        }
        if *component == [0; 16] || self.entered.contains(component) {
            return Err(CeremonyError::Weak);
        }
        let kind = kcv_kind(suite);
        if kcv(&Key::new(*component), suite, kind) != expected {
            return Err(CeremonyError::CheckValue {
                expected: hex::encode_upper(expected),
            });
        }
        let root = (number == of).then(|| {
            let mut value = *component;
            for other in self.entered.iter() {
                for (byte, o) in value.iter_mut().zip(other) {
                    *byte ^= o;
                }
            }
            let root = Key::new(value);
            value.zeroize();
            root
        });
        if root.as_ref().is_some_and(|r| *r.expose() == [0; 16]) {
            return Err(CeremonyError::Weak);
        }
        self.note(suite, number, turn, expected);
        let Some(root) = root else {
            self.entered.push(*component);
            return Ok(None);
        };
        let check = kcv(&root, suite, kind);
        if let Some(line) = self.transcript.roots.last_mut() {
            line.kcv = Some(hex::encode_upper(check));
        }
        self.entered.zeroize();
        self.formed.push((suite, root));
        Ok(Some(check))
    }

    fn note(&mut self, suite: SuiteId, number: usize, custodian: String, kcv: [u8; 3]) {
        if number == 1 {
            self.transcript.roots.push(RootLine {
                suite,
                components: Vec::new(),
                kcv: None,
                kcv_kind: kcv_kind(suite),
            });
        }
        if let Some(line) = self.transcript.roots.last_mut() {
            line.components.push(ComponentLine {
                number,
                custodian,
                kcv: hex::encode_upper(kcv),
            });
        }
    }

    /// Ends without roots; everything entered is wiped.
    pub fn abort(mut self) -> Transcript {
        self.transcript.aborted = true;
        self.transcript
    }

    /// The roots and the transcript.
    pub fn finish(self) -> Result<(Roots, Transcript), CeremonyError> {
        if self.next() != Step::Complete {
            return Err(CeremonyError::Order(
                "components are missing: enter them or abort the ceremony",
            ));
        }
        Ok((Roots(self.formed), self.transcript))
    }
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
    let mut ceremony = Ceremony::new(officers, custodians, at)?;
    while let Step::Component {
        suite,
        number,
        custodian,
        ..
    } = ceremony.next()
    {
        let mut stream = entropy.stream("component", &[suite as u8], number as u64);
        let component = Zeroizing::new(stream.array::<16>()?);
        let check = kcv(&Key::new(*component), suite, kcv_kind(suite));
        ceremony.enter(&custodian, *component, check)?;
    }
    ceremony.finish()
}
