//! Envoy taps as JSON.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::capture(b"{\"http_buffered_trace\":{}}\n", data));
