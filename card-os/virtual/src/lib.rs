//! card-os in a process: in memory, on an image file, behind pcscd.
//!
//! * [`VirtualCard`]: a card (or SAM) as a [`card_spec::Channel`], with scripted tearing;
//! * [`vpcd`]: the same card in a virtual reader of pcscd, for any PC/SC program;
//! * [`firmware`]: a card on a microcontroller in QEMU, through the same channel;
//! * [`host`]: the issuer's side of SCP03 with static keys, for sample cards and tests;
//! * [`sample`]: personalised sample cards and SAMs with published keys;
//! * [`script`]: conversations with a card as readable text, run on any of them.
//!
//! Chance comes from the seed that the caller gives: same seed, same commands, same bytes.
#![forbid(unsafe_code)]

mod card;
mod certificate;
mod entropy;
pub mod firmware;
pub mod host;
mod nvm;
pub mod sample;
pub mod script;
pub mod vpcd;

pub use card::{Counters, Cut, VirtualCard};
pub use card_os::Interface;
pub use certificate::sign;
pub use entropy::SeededEntropy;
pub use nvm::{CutMode, ImageError, ImageNvm, PowerCut};
