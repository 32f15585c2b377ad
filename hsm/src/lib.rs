//! The HSM in software: key hierarchy, key ceremony, encrypted store, audit log and server.
//!
//! A key value exists in clear only inside this crate: masters come from the provincial roots of a
//! [`ceremony`], rest encrypted on disk and leave only diversified and wrapped under a card's DEK.
//! [`SoftHsm`] implements [`hsm_client::Hsm`]; [`server`] serves it to other processes.
//!
//! Clock and randomness are arguments ([`Clock`], [`Entropy`]): with a seed, everything repeats.
#![forbid(unsafe_code)]

pub mod audit;
mod authority;
mod backend;
pub mod backup;
pub mod bench;
mod caller;
pub mod ceremony;
mod certificates;
mod chain;
mod commands;
mod comparison;
mod draft;
mod entropy;
pub mod exchange;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod hierarchy;
pub mod keyblock;
mod keywrap;
mod lifecycle;
mod lives;
mod loads;
mod manufacturer;
pub mod memory;
mod officers;
mod pin_block;
mod proofs;
mod reconcile;
mod recovery;
mod refusals;
mod registry;
mod rotation;
pub mod server;
mod service;
mod sessions;
mod shamir;
mod signing;
mod soft;
mod store;
pub mod usage;
mod vault;
mod wrapping;

pub use authority::Authorised;
pub use backend::Token;
pub use ceremony::Roots;
pub use comparison::{Compared, Comparison, Stand};
pub use entropy::Entropy;
pub use hierarchy::catalog;
pub use hsm_client::Rotation;
pub use loads::{AccountLimits, LoadLimits};
pub use manufacturer::Manufacturer;
pub use officers::Officers;
pub use shamir::{Quorum, SHARES_MAX};
pub use soft::{BlockKek, Clock, Config, Imported, Kek, SoftHsm};
pub use store::KdfCost;
pub use zeroize::Zeroizing;
