//! libFuzzer driver of [`hsm_fuzz::hsm_store`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hsm_fuzz::hsm_store::run(data));
