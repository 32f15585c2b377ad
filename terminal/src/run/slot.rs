//! A place where cards are presented: a PC/SC reader, or a simulated one.

use std::time::Duration;

use card_reader::{PcscChannel, PcscReader, ReaderError};
use card_spec::Channel;

/// A connected card.
pub trait Card: Channel {}
impl<C: Channel> Card for C {}

/// A reader.
pub trait Slot {
    /// A connected card.
    type Card: Card;
    /// Waits until a card is there (or not there); false when the time is over.
    fn wait(&mut self, present: bool, timeout: Duration) -> Result<bool, ReaderError>;
    /// Connects to the card that is there.
    fn connect(&mut self) -> Result<Self::Card, ReaderError>;
}

impl Slot for PcscReader {
    type Card = PcscChannel;

    fn wait(&mut self, present: bool, timeout: Duration) -> Result<bool, ReaderError> {
        let waited = if present {
            self.wait_for_card(timeout)
        } else {
            self.wait_for_removal(timeout)
        };
        match waited {
            Ok(()) => Ok(true),
            Err(ReaderError::NoCard { .. } | ReaderError::NotRemoved { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn connect(&mut self) -> Result<PcscChannel, ReaderError> {
        Self::connect(self)
    }
}
