//! Exit codes and the one error type of the command line.

use std::fmt;

/// Documented exit codes: they are an interface, scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Something failed, or a check of the demo did not hold.
    Failure = 1,
    /// Wrong arguments or configuration.
    Usage = 2,
    /// A file, card, person or key that was asked for is not there.
    NotFound = 3,
    /// Wrong passphrase, token or signature.
    Auth = 4,
    /// Reader or card problem: no pcscd, no reader, card removed.
    Reader = 5,
    /// The card itself refused.
    CardRefused = 6,
    /// Part of a batch failed; the rest was done.
    Partial = 7,
    /// Interrupted by the user.
    Interrupted = 130,
}

/// Why a command stops: what happened and what to do, with its exit code.
#[derive(Debug)]
pub struct Stop {
    /// Exit code.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Stop {
    /// With a code.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    /// Shorthand for mapping an error into a failure: `.map_err(Stop::because("closing the day"))`.
    pub fn because<E: fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self + '_ {
        move |error| Self::new(Code::Failure, format!("{doing}: {error}"))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Result of a command.
pub type Done<T = ()> = Result<T, Stop>;
