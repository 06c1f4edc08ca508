//! Counters of `--coverage`, with the DWARF that they need.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tamis_fuzz::coverage(data));
