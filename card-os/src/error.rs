//! The errors inside. Each is its status word, in two bytes, so that a `Result` of one fits a
//! register.

use crate::nvm::NvmError;
use card_spec::{FormatError, Sw};
use core::num::NonZeroU16;

/// Why a command was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error(NonZeroU16);

impl Error {
    /// The memory failed; nothing was changed.
    pub(crate) const MEMORY: Self = Self::of(Sw::MEMORY);
    /// Length of data or APDU.
    pub(crate) const LENGTH: Self = Self::of(Sw::WRONG_LENGTH);
    /// No such logical channel, or it is not open.
    pub(crate) const CHANNEL: Self = Self::of(Sw::CHANNEL);
    /// Secure messaging in a form that is not offered.
    pub(crate) const SM_FORM: Self = Self::of(Sw::SM_UNSUPPORTED);
    /// Another command inside a chain.
    pub(crate) const CHAIN_OPEN: Self = Self::of(Sw::CHAIN_OPEN);
    /// Command chaining under secure messaging.
    pub(crate) const CHAINING: Self = Self::of(Sw::CHAINING);
    /// Areas of the image are damaged and this command needs them.
    pub(crate) const DAMAGED: Self = Self::of(Sw::MUTE);
    /// Not in this life-cycle state.
    pub(crate) const STATE: Self = Self::of(Sw::NOT_ALLOWED_STATE);
    /// File structure does not match the command.
    pub(crate) const INCOMPATIBLE: Self = Self::of(Sw::INCOMPATIBLE);
    /// PIN, authentication or secure channel missing.
    pub(crate) const SECURITY: Self = Self::of(Sw::SECURITY);
    /// PIN, key or function blocked.
    pub(crate) const BLOCKED: Self = Self::of(Sw::AUTH_BLOCKED);
    /// GET CHALLENGE first.
    pub(crate) const NO_CHALLENGE: Self = Self::of(Sw::NO_CHALLENGE);
    /// Not now (no transaction open, limits, order of commands).
    pub(crate) const CONDITIONS: Self = Self::of(Sw::CONDITIONS);
    /// No file selected.
    pub(crate) const NO_CURRENT_FILE: Self = Self::of(Sw::NO_CURRENT_FILE);
    /// MAC field missing.
    pub(crate) const SM_MISSING: Self = Self::of(Sw::SM_MISSING);
    /// Secure-messaging MAC or padding wrong.
    pub(crate) const SM_WRONG: Self = Self::of(Sw::SM_WRONG);
    /// Data field wrong.
    pub(crate) const DATA: Self = Self::of(Sw::WRONG_DATA);
    /// Application or function locked.
    pub(crate) const LOCKED: Self = Self::of(Sw::LOCKED);
    /// File or application not found.
    pub(crate) const NOT_FOUND: Self = Self::of(Sw::NOT_FOUND);
    /// Record not found.
    pub(crate) const RECORD: Self = Self::of(Sw::RECORD_NOT_FOUND);
    /// Does not fit.
    pub(crate) const SPACE: Self = Self::of(Sw::NO_SPACE);
    /// P1 or P2.
    pub(crate) const PARAMETERS: Self = Self::of(Sw::WRONG_P1P2);
    /// Key or PIN reference not found.
    pub(crate) const REFERENCE: Self = Self::of(Sw::KEY_NOT_FOUND);
    /// Offset outside the file.
    pub(crate) const OFFSET: Self = Self::of(Sw::OFFSET);
    /// Instruction.
    pub(crate) const INSTRUCTION: Self = Self::of(Sw::INS);
    /// Class.
    pub(crate) const CLASS: Self = Self::of(Sw::CLA);
    /// Balance too low.
    pub(crate) const INSUFFICIENT: Self = Self::of(Sw::INSUFFICIENT);
    /// Transaction MAC wrong.
    pub(crate) const MAC: Self = Self::of(Sw::MAC_WRONG);
    /// Permanently locked.
    pub(crate) const PERMANENT: Self = Self::of(Sw::PERMANENTLY_LOCKED);
    /// Counter at its end or above its ceiling.
    pub(crate) const COUNTER: Self = Self::of(Sw::COUNTER_MAX);
    /// No key with this index.
    pub(crate) const KEY_INDEX: Self = Self::of(Sw::KEY_INDEX);
    /// Nothing to prove.
    pub(crate) const NO_PROVE: Self = Self::of(Sw::NO_PROVE);

    /// Wrong, with tries left.
    pub(crate) const fn tries(n: u8) -> Self {
        Self::of(Sw::tries_left(n))
    }

    const fn of(sw: Sw) -> Self {
        match NonZeroU16::new(sw.0) {
            Some(sw) => Self(sw),
            None => Self(NonZeroU16::MIN),
        }
    }

    pub(crate) const fn sw(self) -> Sw {
        Sw(self.0.get())
    }
}

impl From<NvmError> for Error {
    fn from(_: NvmError) -> Self {
        Self::MEMORY
    }
}

/// A data field that does not parse. Lengths have their own status word.
impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Length => Self::LENGTH,
            FormatError::Digit | FormatError::CheckDigit | FormatError::Range => Self::DATA,
        }
    }
}
