//! One seed makes a whole day of one-card life: who lives in the province, what they do, what goes
//! wrong, and the wiring of the real parts that serve them.
//!
//! Used by `onecard demo`, by the system tests and by benches. Nothing here stands in for a part:
//! key service, issuance, cards, terminals and clearing house are the production crates.
#![forbid(unsafe_code)]

pub mod chance;
mod checks;
mod day;
mod faults;
mod fleet;
mod issue;
pub mod network;
pub mod persons;
pub mod plan;
pub mod readers;
pub mod report;
mod setup;
mod tally;

pub use day::{Day, run};
pub use readers::Bench;
pub use setup::{House, Options};

/// Shows how far a run is. Nothing is shown by `()`.
pub trait Progress {
    /// A stage of `total` steps begins.
    fn begin(&self, stage: &str, total: u64);
    /// One step is done.
    fn step(&self);
    /// The stage is done.
    fn end(&self);
}

impl Progress for () {
    fn begin(&self, _: &str, _: u64) {}
    fn step(&self) {}
    fn end(&self) {}
}

/// Why a day did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A part refused or failed.
    #[error("{doing}: {why}")]
    Failed {
        /// What was being done.
        doing: String,
        /// What the part said.
        why: String,
    },
    /// The PC/SC bench.
    #[error(transparent)]
    Bench(#[from] readers::BenchError),
    /// The user interrupted.
    #[error("interrupted: nothing was left behind")]
    Interrupted,
}

impl WorldError {
    /// Maps any error: `.map_err(WorldError::at("closing the day"))`.
    pub(crate) fn at<E: core::fmt::Display>(doing: &str) -> impl FnOnce(E) -> Self + '_ {
        move |error| Self::Failed {
            doing: doing.to_owned(),
            why: error.to_string(),
        }
    }
}

pub(crate) type Result<T, E = WorldError> = core::result::Result<T, E>;
