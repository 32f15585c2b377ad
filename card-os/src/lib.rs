//! The card: files, applications, secure messaging, transactional NVM.
//!
//! The same operating system serves user cards and SAMs; the applications that were personalised
//! decide which it is. Everything that outlives a power cut goes through [`Nvm`], everything
//! random through [`Entropy`]; the library itself has no globals, no heap and no I/O.
//!
//! Rules that hold for every command:
//! * all-or-nothing: what a command writes is committed in one step before its answer leaves, or
//!   not at all (`store`);
//! * security counters are the exception: they are counted and committed *before* the secret is
//!   compared, so that pulling the card out cannot buy a free guess (`counter`, `pin`);
//! * an application holds a view of its own area and keys and nothing else (`store::Area`);
//! * a permission is a value that only the check which grants it can make (`pin::Verified`,
//!   `ssse::Grants`).
#![no_std]
#![forbid(unsafe_code)]

mod apdu;
mod card;
mod channels;
mod counter;
mod directory;
mod error;
mod file;
mod health;
mod instruction;
mod isd;
mod keystore;
mod layout;
mod medical;
mod nvm;
mod pin;
#[cfg(feature = "pki")]
mod pki;
mod purse;
mod sam;
mod select;
mod ssse;
mod store;
mod transaction;
mod transport;

pub use card::Interface;
pub use layout::{Blank, IMAGE_VERSION, NotAnImage, STAGING_SIZE, V1_SIZE, is_older, upgrade};
pub use nvm::{Entropy, NVM_SIZE, Nvm, NvmError, PAGE, PAGES, WORD};
pub use transport::Card;
