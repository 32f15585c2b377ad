//! What each fuzz target does, without libFuzzer: `run(input)` panics when an oracle is broken.
//! The same functions run under the fuzzer (`fuzz_targets/`) and over the committed corpus in a
//! plain `cargo test` (`tests/replay.rs`).
#![forbid(unsafe_code)]

pub mod hsm_frame;
pub mod hsm_store;

/// A target's body.
pub type Target = fn(&[u8]);

/// Every target, by the name of its driver and of its corpus folder.
pub const TARGETS: [(&str, Target); 2] =
    [("hsm_frame", hsm_frame::run), ("hsm_store", hsm_store::run)];
