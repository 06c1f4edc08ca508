//! Host functions and callbacks: a filter that calls what the bytes say.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::host(data));
