//! What each fuzz target does, without libFuzzer: `run(input)` panics when an oracle is broken.
//! The same functions run under the fuzzer (`fuzz_targets/`) and over the committed corpus in a
//! plain `cargo test` (`tests/replay.rs`).
#![forbid(unsafe_code)]

pub mod image_load;
pub mod input;
pub mod raw_apdu;
pub mod scp03_unwrap;
pub mod spec_formats;
pub mod start;
pub mod structured_apdu;

/// A target's body.
pub type Target = fn(&[u8]);

/// Every target, by the name of its driver and of its corpus folder.
pub const TARGETS: [(&str, Target); 5] = [
    ("raw_apdu", raw_apdu::run),
    ("structured_apdu", structured_apdu::run),
    ("spec_formats", spec_formats::run),
    ("scp03_unwrap", scp03_unwrap::run),
    ("image_load", image_load::run),
];
