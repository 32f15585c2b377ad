//! libFuzzer driver of [`card_fuzz::scp03_unwrap`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| card_fuzz::scp03_unwrap::run(data));
