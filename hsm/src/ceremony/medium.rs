//! What carries a custodian's parts between ceremonies.

use card_spec::{FormatError, Sw, channel::ChannelError};
use hsm_client::HsmError;

use super::{CeremonyError, Part};

/// Something that keeps one custodian's parts: a card, or an envelope.
pub trait Medium {
    /// Keeps the parts; what was there before is no part.
    fn keep(&mut self, parts: &[Part]) -> Result<(), MediumError>;

    /// The parts that it keeps.
    fn parts(&mut self) -> Result<Vec<Part>, MediumError>;
}

/// Why a medium was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// The card does not answer.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The card refused a command.
    #[error(
        "{step} was refused by the card ({sw}): is this a blank officer card, or one of this ceremony?"
    )]
    Status {
        /// Which command.
        step: &'static str,
        /// What it said.
        sw: Sw,
    },
    /// The PIN is wrong, or its tries are used up.
    #[error("wrong PIN ({0}); after 15 wrong ones the card keeps its parts for good")]
    Pin(Sw),
    /// A PIN that could be guessed.
    #[error("a PIN of an officer card has 6 to 64 characters")]
    WeakPin,
    /// Something else is on it.
    #[error("the parts on this medium are damaged: {0}")]
    Part(#[from] CeremonyError),
    /// A command could not be built or an answer not be read.
    #[error("the card's answer is not what an officer card says")]
    Format,
    /// No randomness, or a wrong transport key.
    #[error(transparent)]
    Hsm(#[from] HsmError),
}

impl From<FormatError> for MediumError {
    fn from(_: FormatError) -> Self {
        Self::Format
    }
}
