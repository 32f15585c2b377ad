//! libFuzzer driver of [`card_fuzz::spec_formats`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| card_fuzz::spec_formats::run(data));
