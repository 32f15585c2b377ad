//! What the card and the world agree on.
//!
//! Everything byte-level lives here, once: identifiers, file layouts, command
//! formats, key derivations and MAC inputs. The card (`card-os`) and everything
//! that talks to it share these definitions, so a correction touches one place.
//! The crate knows nobody, needs no allocator and does no I/O.
//!
//! Sources: the full texts of LD/T 32, JT/T 978, CJ/T 166 and JR/T 0025 were not
//! at hand. Layouts follow what public readers and terminals do in the field;
//! every inference says so where it stands.
#![no_std]
#![forbid(unsafe_code)]

pub mod activation;
pub mod aid;
pub mod air;
pub mod apdu;
pub mod bcd;
pub mod channel;
pub mod commands;
pub mod health;
pub mod id;
pub mod keys;
pub mod medical;
pub mod money;
pub mod perso;
pub mod pki;
pub mod purse;
pub mod sam;
pub mod scp03;
pub mod sm;
pub mod ssse;
pub mod suite;
pub mod sw;
pub mod time;
pub mod tlv;

pub use apdu::Apdu;
pub use channel::{Channel, ChannelError, Reply};
pub use money::Fen;
pub use suite::SuiteId;
pub use sw::Sw;

/// A value that does not have the form its type promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatError {
    /// The number of bytes or characters is wrong.
    Length,
    /// A nibble or character that the field does not allow.
    Digit,
    /// The check digit does not match.
    CheckDigit,
    /// The value is outside its range (a 13th month, an amount above the limit).
    Range,
}

impl core::fmt::Display for FormatError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Length => "wrong length",
            Self::Digit => "a character that this field does not allow",
            Self::CheckDigit => "the check digit does not match",
            Self::Range => "the value is out of range",
        })
    }
}

impl core::error::Error for FormatError {}
