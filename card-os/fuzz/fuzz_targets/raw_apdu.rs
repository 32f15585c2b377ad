//! libFuzzer driver of [`card_fuzz::raw_apdu`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| card_fuzz::raw_apdu::run(data));
