//! Card or SAM say something else than they should, at every exchange of every flow: nothing, too
//! little, too much, another status, a changed bit, anything. Whatever it is, no device panics, no gate
//! opens without a proved debit, no fen is taken that the journal does not know, a card stops no device,
//! and the same card, honest again, is served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod liar;
mod meddle;
mod person;
mod reading;
mod ride;
