//! Persons, orders, personalisation, card life cycle.
#![forbid(unsafe_code)]

pub mod intake;
pub mod issue;
pub mod life;
pub mod order;
pub mod pan;
pub mod person;
pub mod personalise;
pub mod plan;
pub mod register;
pub mod service;
pub mod store;

pub use issue::{IssueError, Issued, Line, Office};
pub use service::{Config, Running, StartError, start};
