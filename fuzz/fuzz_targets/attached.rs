//! What is attached to an image.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::attached(data));
