//! Cards behind PC/SC readers, as a [`card_spec::Channel`].
//!
//! PC/SC is blocking: one thread owns a [`PcscReader`] and its [`PcscChannel`]; a second one, of
//! [`watch()`], waits for what changes in all readers. "The card was removed" is told apart from every
//! other error.
#![forbid(unsafe_code)]

mod channel;
mod error;
pub mod pcscd;
mod reader;
mod watch;

pub use channel::PcscChannel;
pub use error::ReaderError;
pub use reader::{PcscReader, list};
pub use watch::{Seen, Watching, watch};
