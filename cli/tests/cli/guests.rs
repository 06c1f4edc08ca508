//! Tiny filters, written as text.

/// A filter whose `proxy_on_request_headers` has this body; `more` is put in before, imports among it.
pub(crate) fn guest(imports: &str, on_request_headers: &str) -> String {
    with(imports, "i32.const 1", on_request_headers)
}

/// As [`guest`], with the body of `proxy_on_configure`.
pub(crate) fn with(imports: &str, on_configure: &str, on_request_headers: &str) -> String {
    format!(
        r#"(module
  {imports}
  (memory (export "memory") 1)
  (data (i32.const 16) "x-new")
  (data (i32.const 32) "value")
  (data (i32.const 48) "too odd for me")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) {on_configure})
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {on_request_headers}))"#
    )
}

/// Lets everything pass.
pub(crate) fn pass() -> String {
    guest("", "i32.const 0")
}

/// Adds `x-new: value` to each request.
pub(crate) fn adds() -> String {
    guest(
        r#"(import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        "(call $add (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 5)) drop i32.const 0",
    )
}

/// Answers 403 to each request.
pub(crate) fn denies() -> String {
    guest(
        r#"(import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        "(call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)) drop i32.const 1",
    )
}

/// Panics.
pub(crate) fn traps() -> String {
    guest("", "unreachable")
}

/// Never comes back.
pub(crate) fn loops() -> String {
    guest("", "(loop $again br $again) unreachable")
}

/// Takes memory until there is none, then gives up, as an allocator does.
pub(crate) fn hoards() -> String {
    guest("", "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable")
}

/// Says no to its configuration, and why.
pub(crate) fn refuses() -> String {
    with(
        r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#,
        "(call $log (i32.const 4) (i32.const 48) (i32.const 14)) drop i32.const 0",
        "i32.const 0",
    )
}

/// Asks a gRPC service that the boutique recorded, for each request.
pub(crate) fn calls() -> String {
    guest(
        r#"(import "env" "proxy_grpc_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (data (i32.const 64) "shop") (data (i32.const 80) "hipstershop.CurrencyService") (data (i32.const 112) "Convert")"#,
        "(call $call (i32.const 64) (i32.const 4) (i32.const 80) (i32.const 27) (i32.const 112) (i32.const 7)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 500) (i32.const 8)) drop i32.const 0",
    )
}

/// Asks the cluster `idp` for each request and waits: `x-new` is the answer's status; a torn answer is 403.
pub(crate) fn asks() -> String {
    guest(
        r#"(import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $at (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (global $stream (mut i32) (i32.const 0))
  (data (i32.const 64) "idp")
  (data (i32.const 128) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\04\00\00\00\0a\00\00\00\03\00\00\00:method\00GET\00:path\00/ask\00:authority\00idp\00")
  (data (i32.const 256) ":status")
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (drop (call $at (global.get $stream)))
    (if (i32.eqz (local.get 2))
      (then (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))) return))
    (drop (call $get (i32.const 6) (i32.const 256) (i32.const 7) (i32.const 272) (i32.const 276)))
    (drop (call $add (i32.const 0) (i32.const 16) (i32.const 5) (i32.load (i32.const 272)) (i32.load (i32.const 276))))
    (drop (call $continue (i32.const 0))))"#,
        "(global.set $stream (local.get 0))
  (drop (call $call (i32.const 64) (i32.const 3) (i32.const 128) (i32.const 66) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 300) (i32.const 8)))
  i32.const 1",
    )
}
