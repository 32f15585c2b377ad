//! The engine as its users see it: published vectors, rules one by one, data files, invariants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod data_files;
mod invariants;
mod published;
mod rules;
