//! libFuzzer driver of [`hsm_fuzz::hsm_frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hsm_fuzz::hsm_frame::run(data));
