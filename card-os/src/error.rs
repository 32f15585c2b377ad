//! The errors inside; they become a status word only at the wire.

use crate::nvm::NvmError;
use card_spec::{FormatError, Sw};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Error {
    /// The memory failed; nothing was changed.
    Memory,
    /// Length of data or APDU.
    Length,
    /// No such logical channel, or it is not open.
    Channel,
    /// Secure messaging in a form that is not offered.
    SmForm,
    /// Another command inside a chain.
    ChainOpen,
    /// Command chaining under secure messaging.
    Chaining,
    /// Areas of the image are damaged and this command needs them.
    Damaged,
    /// Not in this life-cycle state.
    State,
    /// File structure does not match the command.
    Incompatible,
    /// PIN, authentication or secure channel missing.
    Security,
    /// PIN, key or function blocked.
    Blocked,
    /// Wrong, tries left.
    Tries(u8),
    /// GET CHALLENGE first.
    NoChallenge,
    /// Not now (no transaction open, limits, order of commands).
    Conditions,
    /// No file selected.
    NoCurrentFile,
    /// MAC field missing.
    SmMissing,
    /// Secure-messaging MAC or padding wrong.
    SmWrong,
    /// Data field wrong.
    Data,
    /// Application or function locked.
    Locked,
    /// File or application not found.
    NotFound,
    /// Record not found.
    Record,
    /// Does not fit.
    Space,
    /// P1 or P2.
    Parameters,
    /// Key or PIN reference not found.
    Reference,
    /// Offset outside the file.
    Offset,
    /// Instruction.
    Instruction,
    /// Class.
    Class,
    /// Balance too low.
    Insufficient,
    /// Transaction MAC wrong.
    Mac,
    /// Permanently locked.
    Permanent,
    /// Counter at its end or above its ceiling.
    Counter,
    /// No key with this index.
    KeyIndex,
    /// Nothing to prove.
    NoProve,
}

impl Error {
    pub(crate) const fn sw(self) -> Sw {
        match self {
            Self::Memory => Sw::MEMORY,
            Self::Length => Sw::WRONG_LENGTH,
            Self::Channel => Sw::CHANNEL,
            Self::SmForm => Sw::SM_UNSUPPORTED,
            Self::ChainOpen => Sw::CHAIN_OPEN,
            Self::Chaining => Sw::CHAINING,
            Self::Damaged => Sw::MUTE,
            Self::State => Sw::NOT_ALLOWED_STATE,
            Self::Incompatible => Sw::INCOMPATIBLE,
            Self::Security => Sw::SECURITY,
            Self::Blocked => Sw::AUTH_BLOCKED,
            Self::Tries(n) => Sw::tries_left(n),
            Self::NoChallenge => Sw::NO_CHALLENGE,
            Self::Conditions => Sw::CONDITIONS,
            Self::NoCurrentFile => Sw::NO_CURRENT_FILE,
            Self::SmMissing => Sw::SM_MISSING,
            Self::SmWrong => Sw::SM_WRONG,
            Self::Data => Sw::WRONG_DATA,
            Self::Locked => Sw::LOCKED,
            Self::NotFound => Sw::NOT_FOUND,
            Self::Record => Sw::RECORD_NOT_FOUND,
            Self::Space => Sw::NO_SPACE,
            Self::Parameters => Sw::WRONG_P1P2,
            Self::Reference => Sw::KEY_NOT_FOUND,
            Self::Offset => Sw::OFFSET,
            Self::Instruction => Sw::INS,
            Self::Class => Sw::CLA,
            Self::Insufficient => Sw::INSUFFICIENT,
            Self::Mac => Sw::MAC_WRONG,
            Self::Permanent => Sw::PERMANENTLY_LOCKED,
            Self::Counter => Sw::COUNTER_MAX,
            Self::KeyIndex => Sw::KEY_INDEX,
            Self::NoProve => Sw::NO_PROVE,
        }
    }
}

impl From<NvmError> for Error {
    fn from(_: NvmError) -> Self {
        Self::Memory
    }
}

/// A data field that does not parse. Lengths have their own status word.
impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Length => Self::Length,
            FormatError::Digit | FormatError::CheckDigit | FormatError::Range => Self::Data,
        }
    }
}
