//! Small modules, linked.

use super::link;
use wasmparser::{Parser, Payload};

/// A filter in small: `C` is the crate, `T` its table, `S` the sdk.
const FILTER: &str = r#"(module
    (import "env" "used" (func $used))
    (import "env" "crate_only" (func $crate_only))
    (table 1 1 funcref)
    (elem (i32.const 0) func $T_tick)
    (func $C_headers (export "proxy_on_request_headers") (param i32) (result i32) (call $crate_only) (i32.const 7))
    (func $C_tick (export "proxy_on_tick") (param i32) (call $crate_only))
    (func $C_log (export "proxy_on_log") (param i32) (call $crate_only))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func $T_tick (param i32) (call $S_tick (local.get 0)))
    (func $C_init (export "_initialize") (call $crate_only))
    (func $S_init (export "tamis.for._initialize"))
    (func $S_headers (export "tamis.for.proxy_on_request_headers") (param i32) (result i32)
      (call $P_call) BODY (i32.const 1))
    (func $S_tick (export "tamis.for.proxy_on_tick") (param i32) (call $used))
    (func $S_wants (export "tamis.wants.proxy_on_tick"))
    (func $P_call (export "tamis_call") (call $crate_only))
    (func $S_call (export "tamis.for.tamis_call"))
    (func (export "of_the_author") (result i32) (i32.const 3))
    (@custom "kept" "content")
)"#;

fn linked(body: &str) -> String {
    let wasm = wat::parse_str(FILTER.replace("BODY", body)).expect("a module");
    let out = link(&wasm).expect("linked");
    wasmparser::Validator::new().validate_all(&out).expect("valid");
    assert_eq!(out, link(&wasm).expect("linked"), "twice the same");
    let mut text = String::new();
    for payload in Parser::new(0).parse_all(&out) {
        match payload.expect("readable") {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    text += &format!("import {} ", import.expect("an import").name);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    text += &format!("{} ", export.expect("an export").name);
                }
            }
            Payload::CustomSection(section) if section.name() == "kept" => text += "custom ",
            Payload::CodeSectionStart { count, .. } => text += &format!("{count} functions "),
            _ => {}
        }
    }
    text.trim_end().to_owned()
}

#[test]
fn the_dispatcher_and_unwanted_callbacks_go() {
    // What stays: headers, allocator, marker, the table's function, the stub that it calls, start, call, author's.
    assert_eq!(
        linked(""),
        "proxy_on_request_headers proxy_on_memory_allocate proxy_abi_version_0_2_1 _initialize \
         of_the_author 8 functions custom"
    );
}

#[test]
fn a_wanted_callback_stays() {
    assert_eq!(
        linked("(call $S_wants)"),
        "import used proxy_on_request_headers proxy_on_tick proxy_on_memory_allocate \
         proxy_abi_version_0_2_1 _initialize of_the_author 9 functions custom"
    );
}

#[test]
fn a_module_that_does_not_ask_stays_as_it_is() {
    let wasm = wat::parse_str(r#"(module (func (export "proxy_on_log") (param i32)))"#).expect("a module");
    assert_eq!(link(&wasm).expect("linked"), wasm);
    assert!(link(b"\0asm").is_err());
}
