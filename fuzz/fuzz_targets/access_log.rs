//! Istio's access log as JSON.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::capture(LINE, data));

const LINE: &[u8] = b"{\"authority\":\"a\",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"response_code\":200,\"start_time\":\"2026-11-23T07:03:24.485Z\"}\n";
