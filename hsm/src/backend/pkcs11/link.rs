//! The connection to one token: sessions, login, and what happens when the token goes away.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cryptoki::{
    context::{Function, Pkcs11},
    error::{Error, RvError},
    object::ObjectHandle,
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use hsm_client::{HsmError, Result};

use super::{
    Token,
    module::{Module, State},
};
use crate::backend::News;

/// Sessions kept for reuse; more may be open at once.
const SESSIONS_KEPT: usize = 32;

/// A token, opened by its PIN.
pub(super) struct Link {
    module: Arc<Module>,
    path: PathBuf,
    label: String,
    pin: AuthPin,
    login: Mutex<Option<Login>>,
    seats: Mutex<Vec<Seat>>,
    /// Counts destroyed keys: sessions of before may hold copies of them.
    epoch: AtomicU64,
    health: Mutex<Health>,
}

/// The session that stays open so that the login does: closing the last one would log out.
struct Login {
    generation: u64,
    slot: Slot,
    session: Session,
}

/// A session for one thread at a time, and the session objects it made.
pub(super) struct Seat {
    generation: u64,
    epoch: u64,
    pub(super) slot: Slot,
    pub(super) session: Session,
    /// Copies of token objects, by the tail of their id.
    pub(super) copies: HashMap<[u8; 4], ObjectHandle>,
}

#[derive(Default)]
struct Health {
    lost: bool,
    news: Vec<News>,
}

/// Why one attempt failed.
pub(super) enum Fault {
    /// Another attempt would fail the same way.
    Final(HsmError),
    /// The token or its module may be gone.
    Lost(Error),
}

/// Result of one attempt.
pub(super) type Attempt<T> = core::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Logs in.
    pub(super) fn open(token: Token) -> Result<Self> {
        let link = Self {
            module: Module::of(&token.module),
            path: token.module,
            label: token.label,
            pin: AuthPin::from(token.pin.as_str()),
            login: Mutex::default(),
            seats: Mutex::default(),
            epoch: AtomicU64::new(0),
            health: Mutex::default(),
        };
        link.run(|_, _| Ok(()))?;
        Ok(link)
    }

    /// Runs an operation on a session of its own; once more after a restart of the module when the
    /// token may have gone.
    pub(super) fn run<T>(&self, operation: impl Fn(&Pkcs11, &mut Seat) -> Attempt<T>) -> Result<T> {
        let (generation, first) = self.attempt(&operation);
        let second = match first {
            Err(Fault::Lost(_)) => match self.module.restart(generation) {
                Ok(()) => self.attempt(&operation).1,
                Err(error) => Err(Fault::Lost(error)),
            },
            result => result,
        };
        match second {
            Ok(value) => {
                self.found();
                Ok(value)
            }
            Err(Fault::Final(error)) => Err(error),
            Err(Fault::Lost(error)) => Err(self.lost(&error)),
        }
    }

    fn attempt<T>(
        &self,
        operation: impl Fn(&Pkcs11, &mut Seat) -> Attempt<T>,
    ) -> (u64, Attempt<T>) {
        let state = self.module.enter();
        let Some(library) = &state.loaded else {
            let not_loaded = Error::Pkcs11(RvError::CryptokiNotInitialized, Function::OpenSession);
            return (state.generation, Err(not_loaded.into()));
        };
        let result = self.seat(&state, library).and_then(|mut seat| {
            let result = operation(library, &mut seat);
            if result.is_ok() {
                let mut seats = locked(&self.seats);
                if seats.len() < SESSIONS_KEPT && seat.epoch == self.epoch() {
                    seats.push(seat);
                    return result;
                }
            }
            // After an error the session may be inside an operation: it is not used again.
            let _ = seat.session.close();
            result
        });
        (state.generation, result)
    }

    /// A session that no other thread uses.
    fn seat(&self, state: &State, library: &Pkcs11) -> Attempt<Seat> {
        let slot = self.log_in(state, library)?;
        {
            let mut seats = locked(&self.seats);
            seats.retain(|seat| seat.generation == state.generation);
            while let Some(seat) = seats.pop() {
                if seat.epoch == self.epoch() {
                    return Ok(seat);
                }
                let _ = seat.session.close();
            }
        }
        Ok(Seat {
            generation: state.generation,
            epoch: self.epoch(),
            slot,
            session: library.open_rw_session_no_drop(slot)?,
            copies: HashMap::new(),
        })
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Ends every session that may hold a copy of a key that was destroyed; one in use ends with its
    /// call.
    pub(super) fn forget_copies(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The slot of the token, logged in since the last restart.
    fn log_in(&self, state: &State, library: &Pkcs11) -> Attempt<Slot> {
        let mut login = locked(&self.login);
        if let Some(login) = login.as_ref().filter(|l| l.generation == state.generation) {
            return Ok(login.slot);
        }
        *login = None;
        let slot = self.find_slot(library)?;
        let session = library.open_rw_session_no_drop(slot)?;
        match session.login(UserType::User, Some(&self.pin)) {
            // The login is the process's: another HSM in it may have been first.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => {
                let _ = session.close();
                return Err(match refusal(&error) {
                    Some(why) => Fault::Final(self.error(why)),
                    None => Fault::Lost(error),
                });
            }
        }
        *login = Some(Login {
            generation: state.generation,
            slot,
            session,
        });
        Ok(slot)
    }

    fn find_slot(&self, library: &Pkcs11) -> Attempt<Slot> {
        for slot in library.get_slots_with_token()? {
            let info = library.get_token_info(slot)?;
            if info.token_initialized() && info.label() == self.label {
                return Ok(slot);
            }
        }
        Err(Error::Pkcs11(RvError::TokenNotPresent, Function::GetSlotList).into())
    }

    fn found(&self) {
        let mut health = locked(&self.health);
        if core::mem::take(&mut health.lost) {
            health.news.push(News::Recovered);
        }
    }

    /// The numbered error of a lost token; news when it was there before.
    fn lost(&self, error: &Error) -> HsmError {
        let why = match error {
            Error::LibraryLoading(why) => {
                format!("its module cannot be loaded ({why}): check the path")
            }
            Error::Pkcs11(RvError::TokenNotPresent, _) => {
                "no token of this label is there: plug it in, or check the label".to_owned()
            }
            error => format!("{error}: check the token; the next call tries again"),
        };
        let mut health = locked(&self.health);
        if !core::mem::replace(&mut health.lost, true) {
            health.news.push(News::Lost(why.clone()));
        }
        self.error(&why)
    }

    /// What happened to the token since the last question.
    pub(super) fn news(&self) -> Vec<News> {
        core::mem::take(&mut locked(&self.health).news)
    }

    /// An error of this token.
    pub(super) fn error(&self, why: &str) -> HsmError {
        HsmError::Backend {
            backend: self.to_string(),
            why: why.to_owned(),
        }
    }
}

impl core::fmt::Display for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "token {:?} of {}", self.label, self.path.display())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let state = self.module.enter();
        let seats = core::mem::take(&mut *locked(&self.seats));
        let seats = seats.into_iter().map(|s| (s.generation, s.session));
        let login = locked(&self.login).take();
        let login = login.map(|l| (l.generation, l.session));
        for (generation, session) in seats.chain(login) {
            if generation == state.generation {
                let _ = session.close();
            }
        }
    }
}

/// A refusal of the login that trying again would only make worse.
fn refusal(error: &Error) -> Option<&'static str> {
    let Error::Pkcs11(error, _) = error else {
        return None;
    };
    match error {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
            Some("the PIN is wrong: check it; a token locks after a few wrong ones")
        }
        RvError::PinLocked => Some("the PIN is locked: the token's security officer unlocks it"),
        RvError::PinExpired => Some("the PIN has expired: set a new one with the token's tools"),
        RvError::UserPinNotInitialized => {
            Some("no user PIN was set: set one with the token's tools")
        }
        _ => None,
    }
}
