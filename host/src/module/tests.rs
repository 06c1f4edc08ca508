//! The gate against small modules written as text.

use super::*;
use crate::EngineOptions;

const BASE: &str = r#"(memory (export "memory") 1)
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0)"#;

fn wasm(marker: &str, imports: &str, rest: &str) -> Vec<u8> {
    let marker = match marker {
        "" => String::new(),
        marker => format!(r#"(func (export "proxy_abi_version_{marker}"))"#),
    };
    wat::parse_str(format!("(module {imports} {marker} {rest})")).unwrap()
}

#[track_caller]
fn check(marker: &str, imports: &str, rest: &str, want: &str) {
    let facts = inspect(&wasm(marker, imports, &format!("{BASE} {rest}")));
    let got = facts.map_or_else(|e| e.to_string(), |_| "loads".to_owned());
    assert_eq!(got, want);
}

#[test]
fn envoy_1_2_imports_are_gated_by_the_marker() {
    let level = r#"(import "env" "proxy_get_log_level" (func (param i32) (result i32)))"#;
    let clear = r#"(import "env" "proxy_clear_route_cache" (func (result i32)))"#;
    let resume = r#"(import "env" "proxy_continue_stream" (func (param i32) (result i32)))"#;
    check("0_2_1", level, "", "loads");
    check("0_2_0", level, "", "missing import: abi 0.2.0 has no `env.proxy_get_log_level`");
    check("0_1_0", clear, "", "loads");
    check("0_2_1", clear, "", "missing import: abi 0.2.1 has no `env.proxy_clear_route_cache`");
    check("0_2_0", resume, "", "loads");
    check("0_1_0", resume, "", "missing import: abi 0.1.0 has no `env.proxy_continue_stream`");
    let error = inspect(&wasm("0_2_0", level, BASE)).unwrap_err();
    assert_eq!(error.hint().unwrap(), "that function belongs to ABI 0.2.1: export its marker instead");
}

#[test]
fn envoy_1_2_extra_imports_memory_and_table_are_linked_and_globals_are_not() {
    check("0_2_1", r#"(import "env" "pthread_equal" (func (param i32 i32) (result i32)))"#, "", "loads");
    check("0_2_1", r#"(import "env" "emscripten_notify_memory_growth" (func (param i32)))"#, "", "loads");
    check(
        "0_2_1",
        r#"(import "env" "envoy_resolve_dns" (func (param i32 i32 i32) (result i32)))"#,
        "",
        "loads",
    );
    check("0_2_1", r#"(import "env" "table" (table 1 funcref))"#, "", "loads");
    check("0_2_1", r#"(import "env" "g" (global i32))"#, "", "imported global `env.g`: the host has none");
    let wrong = r#"(import "env" "proxy_log" (func (param i32 i32) (result i32)))"#;
    let want = "import `env.proxy_log` has type (i32, i32) -> i32, the host's is (i32, i32, i32) -> i32";
    check("0_2_1", wrong, "", want);
    let void = r#"(import "env" "proxy_log" (func (param i32 i32 i32)))"#;
    check(
        "0_1_0",
        void,
        "",
        "import `env.proxy_log` has type (i32, i32, i32), the host's is (i32, i32, i32) -> i32",
    );
}

#[test]
fn envoy_2_11_wasi_is_45_functions_under_two_names() {
    assert_eq!(tables::WASI.len(), 45);
    for module in tables::WASI_MODULES {
        check("0_2_1", &format!(r#"(import "{module}" "sched_yield" (func (result i32)))"#), "", "loads");
        let raise = format!(r#"(import "{module}" "proc_raise" (func (param i32) (result i32)))"#);
        check("0_2_1", &raise, "", &format!("missing import: abi 0.2.1 has no `{module}.proc_raise`"));
    }
    let standard =
        r#"(import "wasi_snapshot_preview1" "path_symlink" (func (param i32 i32 i32 i32 i32) (result i32)))"#;
    let error = inspect(&wasm("0_2_1", standard, BASE)).unwrap_err();
    assert!(matches!(error, LoadError::ImportType { .. }), "{error}");
    assert!(error.hint().unwrap().contains("one parameter fewer"));
    check(
        "0_2_1",
        r#"(import "wasi" "sched_yield" (func (result i32)))"#,
        "",
        "missing import: abi 0.2.1 has no `wasi.sched_yield`",
    );
}

#[test]
fn envoy_1_4_the_first_known_marker_wins() {
    check("", "", "", "no exported function names the proxy-wasm abi version");
    check("0_3_0", "", "", "unknown proxy-wasm abi version `proxy_abi_version_0_3_0`");
    let two = r#"(func (export "proxy_abi_version_0_2_0")) (func (export "proxy_abi_version_0_1_0"))"#;
    let facts = inspect(&wasm("", "", &format!("{BASE} {two}"))).unwrap();
    assert_eq!(facts.abi, AbiVersion::V0_2_0);
    let global = r#"(global (export "proxy_abi_version_0_2_1") i32 (i32.const 0))"#;
    check("", "", global, "no exported function names the proxy-wasm abi version");
}

#[test]
fn envoy_1_4_callbacks_have_the_signature_of_their_version() {
    let log = r#"(func (export "proxy_on_log") (param i32) (result i32) i32.const 0)"#;
    check("0_2_1", "", log, "bad function signature: `proxy_on_log` is (i32) -> i32, the abi says (i32)");
    let two = r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32) i32.const 0)"#;
    check("0_1_0", "", two, "loads");
    let want = "bad function signature: `proxy_on_request_headers` is (i32, i32) -> i32, the abi says (i32, i32, i32) -> i32";
    check("0_2_0", "", two, want);
    let foreign = r#"(func (export "proxy_on_foreign_function"))"#;
    check("0_1_0", "", foreign, "loads");
    check(
        "0_2_1",
        "",
        r#"(func (export "_initialize") (param i32))"#,
        "bad function signature: `_initialize` is (i32), the abi says ()",
    );
    check("0_2_1", "", r#"(func (export "_initialize")) (func (export "_start") (param i32))"#, "loads");
}

#[test]
fn envoy_1_4_malloc_comes_first_and_one_allocator_is_needed() {
    let malloc = r#"(func (export "malloc") (param i32) (result i32) i32.const 0)"#;
    let both = inspect(&wasm("0_2_1", "", &format!("{BASE} {malloc}"))).unwrap();
    assert_eq!(both.allocator, "malloc");
    let memory = r#"(memory (export "memory") 1)"#;
    assert_eq!(inspect(&wasm("0_2_1", "", memory)), Err(LoadError::NoAllocator));
    let imported = r#"(import "env" "memory" (memory 1))"#;
    let facts = inspect(&wasm("0_2_1", imported, malloc)).unwrap();
    assert_eq!(facts.memory, MemorySource::Imported("env".into(), "memory".into()));
    assert_eq!(inspect(&wasm("0_2_1", "", malloc)), Err(LoadError::NoMemory));
}

#[test]
fn other_files_are_named_for_what_they_are() {
    assert_eq!(inspect(b""), Err(LoadError::NotWasm));
    assert_eq!(inspect(b"\x7fELF"), Err(LoadError::NotWasm));
    assert_eq!(inspect(&wat::parse_str("(component)").unwrap()), Err(LoadError::Component));
    assert!(matches!(inspect(&vec![0; MODULE_LIMIT + 1]), Err(LoadError::TooLarge { .. })));
    let whole = wasm("0_2_1", "", BASE);
    for cut in 4..whole.len() {
        let error = inspect(&whole[..cut]).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn names_of_any_kind_stay_on_one_line() {
    check(
        "0_2_1",
        r#"(import "env" "a\nb\1b" (func))"#,
        "",
        "missing import: abi 0.2.1 has no `env.a\\nb\\u{1b}`",
    );
    let long = format!(r#"(import "{0}" "{0}" (func))"#, "x".repeat(100_000));
    let error = inspect(&wasm("0_2_1", &long, BASE)).unwrap_err().to_string();
    assert!(error.chars().count() < 500 && error.contains('…'), "{error}");
}

#[test]
fn a_body_that_is_not_valid_is_found_by_load() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let bad = wasm("0_2_1", "", &format!("{BASE} (func (result i32))"));
    assert!(inspect(&bad).is_ok());
    let error = Module::load(&engine, &bad).unwrap_err();
    assert!(matches!(error, LoadError::Compile { .. }), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn load_keeps_what_the_module_says() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let log = r#"(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))"#;
    let bytes = wasm("0_2_1", log, &format!("{BASE} (@custom \"tamis\" \"abc\")"));
    let module = Module::load(&engine, &bytes).unwrap();
    let facts = module.facts();
    assert_eq!(facts.imports[0].ty, "(i32, i32, i32) -> i32");
    assert_eq!(
        facts.exports.last().unwrap(),
        &Export { name: "proxy_on_memory_allocate".into(), ty: "(i32) -> i32".into() }
    );
    assert_eq!(facts.custom_sections, [("tamis".to_owned(), b"abc".to_vec())]);
    assert_eq!(facts.size, bytes.len());
}
