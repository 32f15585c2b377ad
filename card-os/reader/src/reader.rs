//! Readers: list, wait for a card, connect.

use crate::{channel::PcscChannel, error::ReaderError};
use pcsc::{Context, Error, ReaderState, Scope, State};
use std::{
    ffi::CString,
    time::{Duration, Instant},
};

/// The names of the readers, in PC/SC's order.
pub fn list() -> Result<Vec<String>, ReaderError> {
    let context = Context::establish(Scope::System)?;
    names(&context)
}

fn names(context: &Context) -> Result<Vec<String>, ReaderError> {
    match context.list_readers_owned() {
        Ok(names) => Ok(names
            .iter()
            .map(|n| n.to_string_lossy().into_owned())
            .collect()),
        Err(Error::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// One reader of this machine.
pub struct PcscReader {
    context: Context,
    name: CString,
}

impl PcscReader {
    /// Opens a reader by its PC/SC name.
    pub fn open(name: &str) -> Result<Self, ReaderError> {
        let context = Context::establish(Scope::System)?;
        let known = names(&context)?;
        match CString::new(name) {
            Ok(cname) if known.iter().any(|k| k == name) => Ok(Self {
                context,
                name: cname,
            }),
            _ if known.is_empty() => Err(ReaderError::NoReader),
            _ => Err(ReaderError::UnknownReader {
                name: name.to_owned(),
                known: known.join(", "),
            }),
        }
    }

    /// The reader's name.
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Whether a card is in the reader.
    pub fn has_card(&self) -> Result<bool, ReaderError> {
        let mut states = [ReaderState::new(self.name.clone(), State::UNAWARE)];
        self.context
            .get_status_change(Duration::ZERO, &mut states)?;
        Ok(states
            .iter()
            .all(|state| state.event_state().contains(State::PRESENT)))
    }

    /// Waits until a card is in the reader.
    pub fn wait_for_card(&self, timeout: Duration) -> Result<(), ReaderError> {
        if self.wait(true, timeout)? {
            return Ok(());
        }
        Err(ReaderError::NoCard {
            reader: self.name(),
            seconds: timeout.as_secs(),
        })
    }

    /// Waits until the reader is empty.
    pub fn wait_for_removal(&self, timeout: Duration) -> Result<(), ReaderError> {
        if self.wait(false, timeout)? {
            return Ok(());
        }
        Err(ReaderError::NotRemoved {
            reader: self.name(),
            seconds: timeout.as_secs(),
        })
    }

    /// Waits until the card that was in the reader is gone and another one is in. (Right after a
    /// swap PC/SC still reports the old card, so waiting for a card alone would not do.)
    pub fn wait_for_swap(&self, timeout: Duration) -> Result<(), ReaderError> {
        let start = Instant::now();
        self.wait_for_removal(timeout)?;
        self.wait_for_card(timeout.saturating_sub(start.elapsed()))
    }

    fn wait(&self, present: bool, timeout: Duration) -> Result<bool, ReaderError> {
        let deadline = Instant::now() + timeout;
        let mut states = [ReaderState::new(self.name.clone(), State::UNAWARE)];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.context.get_status_change(left, &mut states) {
                Ok(()) => {}
                Err(Error::Timeout) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            for state in &mut states {
                let event = state.event_state();
                if event.intersects(State::UNKNOWN | State::UNAVAILABLE) {
                    return Err(ReaderError::Channel(card_spec::ChannelError::ReaderLost));
                }
                let inside = event.contains(State::PRESENT) && !event.contains(State::MUTE);
                if inside == present && (present || event.contains(State::EMPTY)) {
                    return Ok(true);
                }
                state.sync_current_state();
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Connects to the card in the reader: T=1 or whatever the card offers, shared with other
    /// programs.
    pub fn connect(&self) -> Result<PcscChannel, ReaderError> {
        PcscChannel::connect(self.context.clone(), self.name.clone())
    }
}
