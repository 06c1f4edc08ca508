//! Our own JSON lines.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::capture(b"{\"tamis\":1}\n", data));
