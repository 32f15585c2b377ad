//! What can be wrong with a script, and with a card that does not follow it.

use super::value::ValueError;
use crate::host::HostError;
use card_spec::{ChannelError, SuiteId, Sw};

/// A line that is not the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ParseError {
    /// The script.
    pub file: String,
    /// From 1; 0 when the file could not be read.
    pub line: usize,
    /// What was expected there.
    pub message: String,
}

/// Who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The card.
    Card,
    /// The SAM.
    Sam,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Card => "card",
            Self::Sam => "SAM",
        })
    }
}

/// Where and why a script stopped.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line} ({}): {fault}", suite.name())]
pub struct ScriptError {
    /// The script.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The suite it ran in.
    pub suite: SuiteId,
    /// Why.
    pub fault: Fault,
}

impl ScriptError {
    /// Whether the transport failed (card removed, reader gone) rather than the card's answer.
    pub fn channel(&self) -> Option<ChannelError> {
        match &self.fault {
            Fault::Channel { error, .. } | Fault::Session(HostError::Channel(error)) => {
                Some(*error)
            }
            _ => None,
        }
    }
}

/// Why a script stopped.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No answer.
    #[error("{side}: {error}")]
    Channel {
        /// Who was asked.
        side: Side,
        /// What the transport said.
        error: ChannelError,
    },
    /// Another answer than the script's.
    #[error(
        "the {side} answered otherwise\n  sent     {}\n  expected {expected}\n  got      {}",
        hex(sent),
        answer(got)
    )]
    Mismatch {
        /// Who was asked.
        side: Side,
        /// The command.
        sent: Vec<u8>,
        /// The expectation, variables filled in.
        expected: String,
        /// The answer.
        got: Vec<u8>,
    },
    /// A `check` does not hold.
    #[error("not equal\n  left     {}\n  right    {}", hex(left), hex(right))]
    Check {
        /// Left of `=`.
        left: Vec<u8>,
        /// Right of it.
        right: Vec<u8>,
    },
    /// The secure channel did not open, or an answer's protection is wrong.
    #[error("secure channel: {0}")]
    Session(#[source] HostError),
    /// A value cannot be computed.
    #[error("{0}")]
    Value(#[from] ValueError),
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|b| format!("{b:02X}")).collect();
    digits.join(" ")
}

/// Data, status word and what the status word means.
fn answer(bytes: &[u8]) -> String {
    let Some((data, sw)) = bytes.split_last_chunk::<2>() else {
        return hex(bytes);
    };
    let sw = Sw(u16::from_be_bytes(*sw));
    let space = if data.is_empty() { "" } else { " " };
    format!("{}{space}{sw} ({})", hex(data), sw.meaning())
}
