//! Which modules start, and which do not (rows 45 to 48).

use super::both::Case;
use anyhow::Result;
use tamis_tests::peer::Upstream;
use tamis_tests::row::Answer;

const LOG: &str = r#"(import "env" "proxy_log" (func $f (param i32 i32 i32) (result i32)))"#;
const METRIC: &str = r#"(import "env" "proxy_define_metric" (func $f (param i32 i32 i32 i32) (result i32)))"#;
const CLOCK: &str =
    r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $f (param i32 i64 i32) (result i32)))"#;

/// A module with this marker, imports and further parts; memory and allocator are there.
fn module(marker: &str, imports: &str, parts: &str) -> String {
    format!(
        r#"(module {imports} (memory (export "memory") 1)
            (func (export "proxy_abi_version_{marker}"))
            (func (export "malloc") (param i32) (result i32) (i32.const 1024)) {parts})"#
    )
}

fn import(module: &str, name: &str, ty: &str) -> String {
    format!(r#"(import "{module}" "{name}" (func {ty}))"#)
}

/// An export that does this.
fn does(export: &str, body: &str) -> String {
    format!(r#"(func (export "{export}") {body})"#)
}

/// One Envoy starts with all of them.
#[test]
fn envoy_1_4_what_starts_in_envoy_starts_here() -> Result<()> {
    let six = "(param i32 i32 i32 i32 i32 i32) (result i32)";
    let call_log = "(drop (call $f (i32.const 3) (i32.const 0) (i32.const 0)))";
    let cases = [
        Case::new("nothing", module("0_2_1", "", "")),
        Case::new("log-in-initialize", module("0_2_1", LOG, &does("_initialize", call_log))),
        Case::new("log-in-start", module("0_2_0", LOG, &does("_start", call_log))),
        Case::new(
            "clock-in-initialize",
            module(
                "0_1_0",
                CLOCK,
                &does("_initialize", "(drop (call $f (i32.const 0) (i64.const 0) (i32.const 0)))"),
            ),
        ),
        Case::new(
            "old-headers",
            module(
                "0_1_0",
                "",
                &does("proxy_on_request_headers", "(param i32 i32) (result i32) (i32.const 0)"),
            ),
        ),
        Case::new("envoy-path-link", module("0_2_1", &import("wasi_unstable", "path_link", six), "")),
        Case::new(
            "get-log-level",
            module("0_2_1", &import("env", "proxy_get_log_level", "(param i32) (result i32)"), ""),
        ),
        Case::new(
            "emscripten",
            module("0_2_1", &import("env", "emscripten_notify_memory_growth", "(param i32)"), ""),
        ),
    ];
    let upstream = Upstream::start(vec![Answer::default()])?;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(error) = case.in_envoy(&upstream) {
            wrong.push(format!("Envoy refuses {}: {error:#}", case.name));
        }
        if let Err(error) = case.on_host() {
            wrong.push(format!("the host refuses {}: {error:#}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn envoy_1_4_what_envoy_refuses_is_refused_here() -> Result<()> {
    let metric = "(drop (call $f (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let seven = "(param i32 i32 i32 i32 i32 i32 i32) (result i32)";
    let refuse = "(param i32 i32) (result i32) (i32.const 0)";
    let cases = [
        Case::new("metric-in-initialize", module("0_2_1", METRIC, &does("_initialize", metric))),
        Case::new("metric-in-start", module("0_2_1", METRIC, &does("_start", metric))),
        Case::new("trap-in-initialize", module("0_2_1", "", &does("_initialize", "unreachable"))),
        Case {
            open: true,
            ..Case::new("configure-says-no", module("0_2_1", "", &does("proxy_on_configure", refuse)))
        },
        Case {
            open: true,
            ..Case::new("start-says-no", module("0_2_1", "", &does("proxy_on_vm_start", refuse)))
        },
        Case::new(
            "configure-traps",
            module("0_2_1", "", &does("proxy_on_configure", "(param i32 i32) (result i32) unreachable")),
        ),
        Case::new(
            "newer-import",
            module("0_2_0", &import("env", "proxy_get_log_level", "(param i32) (result i32)"), ""),
        ),
        Case::new(
            "older-import",
            module("0_2_1", &import("env", "proxy_clear_route_cache", "(result i32)"), ""),
        ),
        Case::new(
            "newer-still",
            module("0_1_0", &import("env", "proxy_continue_stream", "(param i32) (result i32)"), ""),
        ),
        Case::new(
            "unknown-wasi",
            module("0_2_1", &import("wasi_snapshot_preview1", "proc_raise", "(param i32) (result i32)"), ""),
        ),
        Case::new(
            "standard-path-link",
            module("0_2_1", &import("wasi_snapshot_preview1", "path_link", seven), ""),
        ),
        Case::new("wrong-type", module("0_2_1", &import("env", "proxy_log", "(param i32) (result i32)"), "")),
        Case::new("global", module("0_2_1", r#"(import "env" "g" (global i32))"#, "")),
        Case::new(
            "wrong-callback",
            module("0_2_1", "", &does("proxy_on_log", "(param i32) (result i32) (i32.const 0)")),
        ),
        Case::new("unknown-abi", module("0_3_0", "", "")),
        Case::new(
            "no-allocator",
            r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")))"#,
        ),
    ];
    let upstream = Upstream::start(vec![Answer::default()])?;
    let mut wrong = Vec::new();
    for case in &cases {
        if case.in_envoy(&upstream).is_ok() {
            wrong.push(format!("Envoy starts {}", case.name));
        }
        if case.on_host().is_ok() {
            wrong.push(format!("the host starts {}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
