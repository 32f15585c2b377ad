//! Errors, each with what the user can do.

use card_spec::ChannelError;
use pcsc::Error;

/// Why a reader or card is not available.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The smart-card service is not running.
    #[error(
        "the smart-card service pcscd is not running: start it (systemctl start pcscd, or pcscd --foreground as root)"
    )]
    NoService,
    /// No reader is connected.
    #[error(
        "no card reader found: connect one; for the virtual reader install vsmartcard-vpcd and restart pcscd"
    )]
    NoReader,
    /// No reader of this name.
    #[error("no card reader named \"{name}\"; readers: {known}")]
    UnknownReader {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No card came in time.
    #[error("no card in reader \"{reader}\" after {seconds} s: insert or present a card")]
    NoCard {
        /// The reader.
        reader: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The card stayed in.
    #[error("the card was not removed from reader \"{reader}\" within {seconds} s")]
    NotRemoved {
        /// The reader.
        reader: String,
        /// How long was waited.
        seconds: u64,
    },
    /// There is a card whose reset is not answered, or not as ISO 7816 says.
    #[error(
        "the card gives no answer that is understood: turn it the other way round (chip first, facing up), or use another card"
    )]
    Mute,
    /// Nobody may start pcscd here.
    #[error(
        "pcscd is not running and only root can start it: run as root, start pcscd, or use --readers memory"
    )]
    NotRoot,
    /// pcscd is not installed or did not come up.
    #[error(
        "pcscd could not be started: {why}; install it (apt-get install pcscd vsmartcard-vpcd)"
    )]
    Start {
        /// What happened.
        why: String,
    },
    /// pcscd runs without the virtual readers.
    #[error(
        "pcscd is running but offers no virtual reader: install vsmartcard-vpcd and restart pcscd"
    )]
    NoVirtualReader,
    /// Another run on this machine uses the virtual readers.
    #[error(
        "another program of this project uses the virtual readers (lock {path}): wait for it to end"
    )]
    InUse {
        /// The lock file.
        path: String,
    },
    /// The card or reader failed while being used.
    #[error("{0}")]
    Channel(#[from] ChannelError),
}

impl ReaderError {
    /// Whether reader or pcscd are not there, as far as this connection to pcscd knows.
    pub const fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::NoService
                | Self::NoReader
                | Self::UnknownReader { .. }
                | Self::Channel(ChannelError::ReaderLost)
        )
    }
}

/// PC/SC's error as the channel's.
pub(crate) const fn channel_error(error: Error) -> ChannelError {
    match error {
        Error::RemovedCard
        | Error::NoSmartcard
        | Error::ResetCard
        | Error::UnpoweredCard
        | Error::UnresponsiveCard => ChannelError::CardRemoved,
        // A handle or context dies with the pcscd that gave it.
        Error::InvalidHandle
        | Error::ReaderUnavailable
        | Error::UnknownReader
        | Error::NoService
        | Error::ServiceStopped
        | Error::NoReadersAvailable
        | Error::CommError
        | Error::CommDataLost => ChannelError::ReaderLost,
        Error::SharingViolation => ChannelError::Busy,
        Error::InsufficientBuffer => ChannelError::Malformed,
        other => ChannelError::Transport(other as u32),
    }
}

impl From<Error> for ReaderError {
    fn from(error: Error) -> Self {
        match error {
            Error::NoService | Error::ServiceStopped => Self::NoService,
            Error::NoReadersAvailable => Self::NoReader,
            Error::UnpoweredCard
            | Error::UnresponsiveCard
            | Error::UnsupportedCard
            | Error::ProtoMismatch => Self::Mute,
            other => Self::Channel(channel_error(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_is_told_apart() {
        for error in [Error::RemovedCard, Error::NoSmartcard, Error::ResetCard] {
            assert_eq!(channel_error(error), ChannelError::CardRemoved);
        }
        assert_eq!(channel_error(Error::SharingViolation), ChannelError::Busy);
        assert_eq!(
            channel_error(Error::ReaderUnavailable),
            ChannelError::ReaderLost
        );
        // What a pcscd leaves behind that was stopped.
        assert!(ReaderError::from(Error::InvalidHandle).is_lost());
        assert!(ReaderError::from(Error::ServiceStopped).is_lost());
        // In the slot, but without an answer: no card that was removed.
        assert!(matches!(
            ReaderError::from(Error::UnresponsiveCard),
            ReaderError::Mute
        ));
        // SCARD_E_PROTO_MISMATCH keeps its code for the report.
        assert_eq!(
            channel_error(Error::ProtoMismatch),
            ChannelError::Transport(0x8010_000F)
        );
    }
}
