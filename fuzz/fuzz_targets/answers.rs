//! What a registry answers, over HTTP.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::answers(data));
