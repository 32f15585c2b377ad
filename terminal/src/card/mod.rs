//! Sessions with a presented card: the purse, the social-security application, the medical purse.

pub mod medical;
pub mod memory;
pub mod purse;
pub mod ssse;

use card_spec::{Channel, ChannelError, FormatError, Reply, Sw, channel::exchange};

/// Why a step with the card did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The exchange itself failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The card refused a step.
    #[error("the card refused {step}: {sw} ({})", sw.meaning())]
    Status {
        /// What was asked.
        step: &'static str,
        /// Its status word.
        sw: Sw,
    },
    /// The answer has the wrong form.
    #[error("the card answered {step} in a wrong form: {error}; have the card checked")]
    Format {
        /// What was asked.
        step: &'static str,
        /// What is wrong.
        error: FormatError,
    },
}

impl CardError {
    /// The status word, when the card gave one.
    pub const fn sw(&self) -> Option<Sw> {
        match self {
            Self::Status { sw, .. } => Some(*sw),
            Self::Channel(_) | Self::Format { .. } => None,
        }
    }
}

pub(crate) fn format(step: &'static str) -> impl FnOnce(FormatError) -> CardError {
    move |error| CardError::Format { step, error }
}

pub(crate) fn ask<C: Channel + ?Sized>(
    channel: &mut C,
    step: &'static str,
    command: &[u8],
) -> Result<Reply, CardError> {
    let reply = exchange(channel, command)?;
    if reply.sw.is_ok() {
        Ok(reply)
    } else {
        Err(CardError::Status { step, sw: reply.sw })
    }
}

/// A PIN as it goes to the card, two digits a byte. Wiped from no log because it enters none:
/// `Debug` and errors hide it, nothing serialises it.
#[derive(Clone, Copy)]
pub struct Pin([u8; 3]);

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin")
    }
}

impl<'de> serde::Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own errors would repeat what was given.
        let not_six = || serde::de::Error::custom("a PIN is a text of six digits");
        let text = String::deserialize(deserializer).map_err(|_| not_six())?;
        Self::from_digits(&text).map_err(|_| not_six())
    }
}

impl Pin {
    /// From six digits.
    pub fn from_digits(text: &str) -> Result<Self, FormatError> {
        card_spec::bcd::pack_digits(text).map(Self)
    }

    /// The packed bytes.
    pub const fn bytes(&self) -> &[u8; 3] {
        &self.0
    }
}

/// Verifies the holder's PIN in the application that is selected.
pub fn verify_pin<C: Channel + ?Sized>(channel: &mut C, pin: Pin) -> Result<(), CardError> {
    let command = card_spec::apdu::verify(card_spec::perso::pin::HOLDER, pin.bytes());
    ask(channel, "VERIFY PIN", &command).map(|_| ())
}
