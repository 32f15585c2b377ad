//! libFuzzer driver of [`card_fuzz::structured_apdu`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| card_fuzz::structured_apdu::run(data));
