//! The last step of `tamis build`.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::link(data));
