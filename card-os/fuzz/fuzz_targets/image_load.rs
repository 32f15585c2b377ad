//! libFuzzer driver of [`card_fuzz::image_load`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| card_fuzz::image_load::run(data));
