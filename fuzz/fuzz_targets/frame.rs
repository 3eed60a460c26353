#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tanist_fuzz::frame(data));
