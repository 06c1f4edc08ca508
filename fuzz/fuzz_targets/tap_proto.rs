//! Envoy taps as length-delimited protobuf.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::capture(b"\x02\x0a\x00", data));
