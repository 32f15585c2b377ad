//! Parameters and tariffs that come down to a device: signed, versioned, staged on the disk until
//! they start, taken back when they do not work.
//!
//! The whole state is one small file that is replaced at once ([`Storage::replace`]): after a power
//! cut there is the state before a step or after it, and either goes on from where it was.

pub mod clock;
mod content;

pub use content::{Content, ContentError};

use card_spec::time::CardTime;
use clearing_api::parameters::{Bundle, Refused, SignedBundle, SignedError};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::{journal::Storage, profile::Limits};

/// Why a bundle was not taken or the state not kept. What is in effect stays.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// The public key is not one.
    #[error("the parameter key must be 32 bytes of hex: check `parameters_key` in the profile")]
    Key,
    /// Not from this clearing house, or in a form that this device does not know.
    #[error("parameters: {0}")]
    Signed(#[from] SignedError),
    /// Known already, refused already or older.
    #[error("parameters of version {got} are not newer than version {known}")]
    Older {
        /// Version offered.
        got: u64,
        /// Newest version known.
        known: u64,
    },
    /// Not usable here. Refused for good and told with the next question.
    #[error("parameters of version {version} are refused: {why}")]
    Refused {
        /// Version.
        version: u64,
        /// Why.
        why: ContentError,
    },
    /// The state could not be read or kept.
    #[error("parameters: {0}; check the disk")]
    Io(#[from] std::io::Error),
    /// The state on the disk is not one.
    #[error("the kept parameters are damaged ({0}): the profile's are used until new ones come")]
    Damaged(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    current: Option<SignedBundle>,
    previous: Option<SignedBundle>,
    staged: Option<SignedBundle>,
    /// The current one was switched to and has not been taken over by the device yet.
    on_trial: bool,
    refused: Option<Refused>,
}

/// The HSM's parameter key from its hex form.
pub fn key_from_hex(text: &str) -> Result<VerifyingKey, ParametersError> {
    let bytes: [u8; 32] = hex::decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(ParametersError::Key)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| ParametersError::Key)
}

/// What came of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switched {
    /// This version is in effect.
    To(u64),
    /// The new version did not work; the one before is in effect again.
    Back {
        /// What is in effect; 0: the profile.
        to: u64,
        /// What failed.
        refused: Refused,
    },
}

/// The parameters of one device.
#[derive(Debug)]
pub struct Parameters<S> {
    storage: S,
    key: VerifyingKey,
    limits: Limits,
    state: State,
    /// Version in effect, version and start of the waiting bundle: looked at far more often than they
    /// change.
    held: u64,
    waiting: Option<(u64, CardTime)>,
}

impl<S: Storage> Parameters<S> {
    /// Opens the state kept in `storage`. `limits` are the profile's. A damaged state is told and begun
    /// anew.
    pub fn open(
        mut storage: S,
        key: VerifyingKey,
        limits: Limits,
    ) -> Result<(Self, Option<ParametersError>), ParametersError> {
        let bytes = storage.load()?;
        let read = match bytes.is_empty() {
            true => Ok(State::default()),
            false => serde_json::from_slice(&bytes)
                .map_err(|why| ParametersError::Damaged(why.to_string())),
        };
        let sound = read.and_then(|state: State| {
            for bundle in [&state.current, &state.previous, &state.staged] {
                bundle.as_ref().map(|b| b.open(&key)).transpose()?;
            }
            Ok(state)
        });
        let (state, fault) = match sound {
            Ok(state) => (state, None),
            Err(fault) => (State::default(), Some(fault)),
        };
        let mut parameters = Self {
            storage,
            key,
            limits,
            state,
            held: 0,
            waiting: None,
        };
        parameters.note_versions();
        Ok((parameters, fault))
    }

    fn keep(&mut self, state: State) -> Result<(), ParametersError> {
        let bytes = serde_json::to_vec(&state).map_err(std::io::Error::other)?;
        self.storage.replace(&bytes)?;
        self.state = state;
        self.note_versions();
        Ok(())
    }

    fn note_versions(&mut self) {
        let current = self.bundle(self.state.current.as_ref());
        self.held = current.map_or(0, |bundle| bundle.version);
        let staged = self.bundle(self.state.staged.as_ref());
        self.waiting = staged.map(|bundle| (bundle.version, bundle.starts));
    }

    /// The key that signs them.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The bundle that waits for its start: its version, and when that is.
    pub const fn waiting(&self) -> Option<(u64, CardTime)> {
        self.waiting
    }

    /// A bundle of the state: [`Self::open`] and [`Self::stage`] verified it.
    fn bundle(&self, signed: Option<&SignedBundle>) -> Option<Bundle> {
        signed.and_then(|signed| signed.open(&self.key).ok())
    }

    /// Version in effect; 0: what the profile says.
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// Newest version known: in effect, waiting or refused.
    pub fn known(&self) -> u64 {
        let refused = self.state.refused.as_ref().map_or(0, |r| r.version);
        let staged = self.waiting.map_or(0, |(version, _)| version);
        self.held.max(staged).max(refused)
    }

    /// What was refused or rolled back last.
    pub const fn refused(&self) -> Option<&Refused> {
        self.state.refused.as_ref()
    }

    fn load(&self, bundle: &Bundle) -> Result<Content, ContentError> {
        Content::load(bundle, self.limits)
    }

    /// Takes a bundle that came: verified, newer than all known, and usable as a whole; then it
    /// waits on the disk for its start, in place of one that waited before.
    pub fn stage(&mut self, signed: SignedBundle) -> Result<u64, ParametersError> {
        let bundle = signed.open(&self.key)?;
        let (got, known) = (bundle.version, self.known());
        if got <= known {
            return Err(ParametersError::Older { got, known });
        }
        let mut state = self.state.clone();
        let checked = self.load(&bundle);
        match checked {
            Ok(_) => {
                state.staged = Some(signed);
                self.keep(state)?;
                Ok(got)
            }
            Err(why) => {
                state.refused = Some(Refused {
                    version: got,
                    why: why.to_string(),
                });
                self.keep(state)?;
                Err(ParametersError::Refused { version: got, why })
            }
        }
    }

    /// Whether a waiting bundle has its start behind it, or one is still on trial.
    pub fn is_due(&self, at: CardTime) -> bool {
        self.state.on_trial || self.waiting.is_some_and(|(_, starts)| starts <= at)
    }

    /// Switches to the waiting bundle if it is due; `take_over` makes the device work by it. One that
    /// the disk kept on trial is tried first.
    pub fn switch(
        &mut self,
        at: CardTime,
        take_over: &mut dyn FnMut(&Content) -> Result<(), String>,
    ) -> Result<Option<Switched>, ParametersError> {
        if !self.is_due(at) {
            return Ok(None);
        }
        if !self.state.on_trial {
            let old = self.state.clone();
            self.keep(State {
                current: old.staged,
                previous: old.current,
                staged: None,
                on_trial: true,
                refused: old.refused,
            })?;
        }
        self.begin(at, take_over).map(Some)
    }

    /// A version in effect whose start is still to come waits again: the clock was fast when it began.
    fn wait_again(&mut self, at: CardTime) -> Result<(), ParametersError> {
        let current = self.bundle(self.state.current.as_ref());
        if current.is_none_or(|bundle| bundle.starts <= at) {
            return Ok(());
        }
        let mut state = self.state.clone();
        let current = state.current.take();
        state.staged = state.staged.or(current);
        (state.current, state.on_trial) = (state.previous.take(), false);
        self.keep(state)
    }

    /// Makes a device that starts work by what is in effect; goes back to the version before, and at
    /// last to the profile, when that fails.
    pub fn begin(
        &mut self,
        at: CardTime,
        take_over: &mut dyn FnMut(&Content) -> Result<(), String>,
    ) -> Result<Switched, ParametersError> {
        self.wait_again(at)?;
        let mut failed = None;
        loop {
            let Some(bundle) = self.bundle(self.state.current.as_ref()) else {
                // Nothing but the profile, which the device already started by once.
                let content = Content::of_profile(self.limits);
                let fault = take_over(&content).err();
                return match (failed, fault) {
                    (Some(refused), None) => Ok(Switched::Back { to: 0, refused }),
                    (None, None) => Ok(Switched::To(0)),
                    (_, Some(why)) => Err(ParametersError::Refused {
                        version: 0,
                        why: ContentError::Device(why),
                    }),
                };
            };
            let version = bundle.version;
            let loaded = self.load(&bundle);
            let taken = loaded.and_then(|c| take_over(&c).map_err(ContentError::Device));
            match taken {
                Ok(()) => {
                    if self.state.on_trial {
                        let mut state = self.state.clone();
                        state.on_trial = false;
                        self.keep(state)?;
                    }
                    return Ok(match failed {
                        Some(refused) => Switched::Back {
                            to: version,
                            refused,
                        },
                        None => Switched::To(version),
                    });
                }
                Err(why) => {
                    let why = why.to_string();
                    let refused = Refused { version, why };
                    let mut state = self.state.clone();
                    (state.current, state.on_trial) = (state.previous.take(), false);
                    // The newest refused, or it would be offered again.
                    let known = state.refused.as_ref().map_or(0, |known| known.version);
                    if known <= version {
                        state.refused = Some(refused.clone());
                    }
                    self.keep(state)?;
                    failed.get_or_insert(refused);
                }
            }
        }
    }
}
