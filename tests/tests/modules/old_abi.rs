//! A module of ABI 0.1.0 (row 79).

use super::both::Case;
use anyhow::Result;

#[test]
fn envoy_1_2_abi_0_1_0_has_headers_callbacks_without_end_and_empty_absent_headers() -> Result<()> {
    let wat = r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_configuration" (func $conf (param i32 i32) (result i32)))
        (import "env" "proxy_continue_request" (func $go (result i32)))
        (import "env" "proxy_clear_route_cache" (func $clear (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "x-absent")
        (data (i32.const 16) "~absent ? at ? long ?")
        (data (i32.const 48) "~request ? with ?")
        (data (i32.const 80) "~response ? with ?")
        (func (export "proxy_abi_version_0_1_0"))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func $digit (param $at i32) (param $n i32)
            (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $n))))
        (func (export "proxy_on_request_headers") (param $id i32) (param $n i32) (result i32)
            (i32.store (i32.const 512) (i32.const 7))
            (i32.store (i32.const 516) (i32.const 7))
            (call $digit (i32.const 24)
                (call $get (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 512) (i32.const 516)))
            (call $digit (i32.const 29) (i32.load (i32.const 512)))
            (call $digit (i32.const 36) (i32.load (i32.const 516)))
            (drop (call $log (i32.const 3) (i32.const 16) (i32.const 21)))
            (call $digit (i32.const 57) (call $clear))
            (call $digit (i32.const 64) (local.get $n))
            (drop (call $log (i32.const 3) (i32.const 48) (i32.const 17)))
            (i32.const 0))
        (func (export "proxy_on_response_headers") (param $id i32) (param $n i32) (result i32)
            (call $digit (i32.const 90) (call $conf (i32.const 512) (i32.const 516)))
            (call $digit (i32.const 97) (local.get $n))
            (drop (call $log (i32.const 3) (i32.const 80) (i32.const 18)))
            (i32.const 0)))"#;
    let (real, ours) = Case::new("old", wat).lines("response 0 with 2")?;
    assert_eq!(ours, real, "ours, Envoy's");
    assert_eq!(real.first().map(String::as_str), Some("absent 0 at 0 long 0"));
    Ok(())
}
