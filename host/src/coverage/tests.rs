//! Tests of the counters; lines of real filters are tested where a compiler is at hand.

use super::code::Module;
use super::*;
use crate::{Engine, EngineOptions};

const WAT: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "run") (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.const 7)) (else (i32.const 8)))
    (if (i32.eqz (local.get 0)) (then unreachable))))"#;

/// Counters in every stretch that does something.
fn with_all(wasm: &[u8]) -> (Vec<u8>, usize) {
    let module = Module::read(wasm).unwrap();
    let mut total = 0;
    let mut number = |start: usize| {
        total += 1;
        (start, total - 1)
    };
    let at: Vec<Vec<_>> = module
        .bodies
        .iter()
        .map(|b| {
            let blocks = b.blocks(wasm).unwrap();
            blocks.iter().filter(|b| !b.operators.is_empty()).map(|b| number(b.start)).collect()
        })
        .collect();
    (module.with_counters(wasm, &at, total), total)
}

#[test]
fn counters_count_and_change_nothing() {
    for more in ["", "(global (export \"own\") (mut i32) (i32.const 5))"] {
        let text = WAT.replace("(memory", &format!("{more} (memory"));
        let wasm = wat::parse_str(text).unwrap();
        let (counted, total) = with_all(&wasm);
        let engine = Engine::new(&EngineOptions { count_fuel: false, cache: None }).unwrap();
        let run = |wasm: &[u8], with: i32| -> (Option<i32>, Vec<i64>) {
            let module = wasmtime::Module::new(engine.wasmtime(), wasm).unwrap();
            let mut store = wasmtime::Store::new(engine.wasmtime(), ());
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
            let result = run.call(&mut store, with).ok();
            let count = |i| {
                instance
                    .get_global(&mut store, &format!("{COUNTER}{i}"))
                    .map(|g| g.get(&mut store).unwrap_i64())
            };
            (result, (0..).map_while(count).collect())
        };
        for with in [0, 1] {
            let ((plain, none), (result, counts)) = (run(&wasm, with), run(&counted, with));
            assert_eq!((plain, none.len()), (result, 0));
            assert_eq!(counts.len(), total);
            // In order: the allocator, the condition, then, else, the second condition, the trap.
            let want = if with == 1 { [0, 1, 1, 0, 1, 0] } else { [0, 1, 0, 1, 1, 1] };
            assert_eq!(counts, want, "{with}");
        }
    }
}

#[test]
fn a_module_without_lines_says_so_and_no_damage_panics() {
    let wasm = wat::parse_str(WAT).unwrap();
    assert_eq!(Covered::new(&wasm, &|_| true).unwrap_err(), CoverageError::NoDebugInfo);
    for end in 0..wasm.len() {
        Covered::new(&wasm[..end], &|_| true).unwrap_err();
    }
    // Sections that only look like DWARF.
    let mut odd = wasm.clone();
    for name in [".debug_line", ".debug_info", ".debug_abbrev"] {
        odd.extend_from_slice(&[0, name.len() as u8 + 9, name.len() as u8]);
        odd.extend_from_slice(name.as_bytes());
        odd.extend_from_slice(&[4, 0, 0, 0, 5, 0, 1, 4]);
    }
    assert!(matches!(
        Covered::new(&odd, &|_| true).unwrap_err(),
        CoverageError::Dwarf { .. } | CoverageError::NoOwnSources { .. }
    ));
}

#[test]
fn counts_of_several_vms_add_up() {
    let counters = Counters::new();
    counters.add(1, &[1, 2]);
    counters.clone().add(1, &[1, 0, 5]);
    assert_eq!((counters.of(1), counters.of(0)), (vec![2, 2, 5], vec![]));
}

#[test]
fn an_error_is_one_line_whatever_the_module_says() {
    let error = Covered::new(b"\x07\xed\x03\0", &|_| true).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot read the module: magic header not detected: ") && !text.contains('\n'),
        "{text}"
    );
    let error = CoverageError::NoOwnSources { seen: Some("a\nb".into()) };
    assert!(error.to_string().ends_with(r"`a\nb`"), "{error}");
}
