//! Each function by its measured answer.

use super::*;
use wasmtime::{Engine, Instance, Module, Store};

#[derive(Default)]
struct Fake {
    memory: Option<Memory>,
    env: Vec<(String, String)>,
    lines: Vec<(LogLevel, Vec<u8>)>,
}

impl Host for Fake {
    fn enter(&mut self, _: &'static str) -> Result<()> {
        Ok(())
    }
    fn memory(&self) -> Option<Memory> {
        self.memory
    }
    fn env(&self) -> &[(String, String)] {
        &self.env
    }
    fn wall(&self) -> u64 {
        0x1122_3344_5566_7788
    }
    fn monotonic(&self) -> u64 {
        7
    }
    fn random(&mut self, out: &mut [u8]) {
        out.fill(0xAB);
    }
    fn polls(&self) -> bool {
        true
    }
    fn log(&mut self, level: LogLevel, line: &[u8]) {
        if level > LogLevel::Trace {
            self.lines.push((level, line.to_vec()));
        }
    }
}

/// A module that imports one function and passes it on as `f`.
struct Guest {
    store: Store<Fake>,
    instance: Instance,
}

impl Guest {
    fn new(name: &str, signature: &str, env: &[(&str, &str)]) -> Self {
        let text = format!(
            r#"(module (import "wasi_unstable" "{name}" (func $f {signature})) (export "f" (func $f)) (memory (export "memory") 1))"#
        );
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut linker = Linker::new(&engine);
        link::<Fake>(&mut linker, |_| true).unwrap();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut store = Store::new(&engine, Fake { env, ..Fake::default() });
        let instance = linker.instantiate(&mut store, &module).unwrap();
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        Self { store, instance }
    }

    fn call<P: wasmtime::WasmParams>(&mut self, params: P) -> u32 {
        let f = self.instance.get_typed_func::<P, u32>(&mut self.store, "f").unwrap();
        f.call(&mut self.store, params).unwrap()
    }

    fn bytes(&mut self) -> &mut [u8] {
        let memory = self.store.data().memory.unwrap();
        memory.data_mut(&mut self.store)
    }
}

const END: u32 = 0xffff_ff00;

#[test]
fn envoy_2_11_fd_write_is_one_log_line() {
    let mut guest = Guest::new("fd_write", "(param i32 i32 i32 i32) (result i32)", &[]);
    // Two vectors at 0: `hi\n` and `you\n`, at 64 and 80; an empty one between.
    for (at, word) in [(0, 64), (4, 3), (8, u32::MAX), (12, 0), (16, 80), (20, 4)] {
        guest.bytes()[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    guest.bytes()[64..67].copy_from_slice(b"hi\n");
    guest.bytes()[80..84].copy_from_slice(b"you\n");
    assert_eq!(guest.call((1, 0, 3, 100)), 0);
    assert_eq!(guest.bytes()[100], 7);
    assert_eq!(guest.call((2, 0, 1, 100)), 0);
    assert_eq!(guest.call((1, 0, 0, 100)), 0);
    assert_eq!(guest.bytes()[100], 0);
    assert_eq!(guest.call((0, 0, 1, 100)), 8);
    assert_eq!(guest.call((1, END, 64, 100)), 21);
    let want = [(LogLevel::Info, b"hi\nyou".to_vec()), (LogLevel::Error, b"hi".to_vec())];
    assert_eq!(guest.store.data().lines, want);
}

#[test]
fn envoy_2_11_clocks() {
    let mut guest = Guest::new("clock_time_get", "(param i32 i64 i32) (result i32)", &[]);
    assert_eq!(guest.call((0, 0u64, 8)), 0);
    assert_eq!(guest.bytes()[8..16], 0x1122_3344_5566_7788u64.to_le_bytes());
    assert_eq!(guest.call((1, 0u64, 8)), 0);
    assert_eq!(guest.bytes()[8], 7);
    assert_eq!(guest.call((2, 0u64, 8)), 58);
    assert_eq!(guest.call((0, 0u64, END)), 21);
    let mut guest = Guest::new("clock_res_get", "(param i32 i32) (result i32)", &[]);
    assert_eq!((guest.call((0, 8)), guest.call((2, 8))), (0, 58));
    assert_eq!(guest.bytes()[8..16], 1u64.to_le_bytes());
}

#[test]
fn envoy_2_11_random_gives_up_to_64_kib() {
    let mut guest = Guest::new("random_get", "(param i32 i32) (result i32)", &[]);
    assert_eq!(guest.call((16, 4)), 0);
    assert_eq!(guest.bytes()[15..21], [0, 0xAB, 0xAB, 0xAB, 0xAB, 0]);
    assert_eq!(guest.call((0, 65536)), 0);
    assert_eq!(guest.call((0, 65537)), 28);
    assert_eq!(guest.call((1, 65536)), 21);
}

#[test]
fn envoy_2_11_environment() {
    let env = [("A", "1"), ("LONG", "")];
    let mut guest = Guest::new("environ_sizes_get", "(param i32 i32) (result i32)", &env);
    assert_eq!(guest.call((0, 4)), 0);
    assert_eq!(guest.bytes()[..8], [2, 0, 0, 0, 10, 0, 0, 0]);
    let mut guest = Guest::new("environ_get", "(param i32 i32) (result i32)", &env);
    assert_eq!(guest.call((0, 32)), 0);
    assert_eq!(guest.bytes()[..8], [32, 0, 0, 0, 36, 0, 0, 0]);
    assert_eq!(&guest.bytes()[32..42], b"A=1\0LONG=\0");
    assert_eq!(guest.call((END, 0)), 21);
}

#[test]
fn envoy_2_11_the_rest_says_no_in_its_own_way() {
    let fd = "(param i32) (result i32)";
    let two = "(param i32 i32) (result i32)";
    for (name, one, other) in [("fd_datasync", 0, 8), ("fd_sync", 0, 8), ("fd_close", 0, 0)] {
        let mut guest = Guest::new(name, fd, &[]);
        assert_eq!((guest.call(1), guest.call(3)), (one, other), "{name}");
    }
    let pairs = [
        ("fd_fdstat_get", 0, 8),
        ("fd_tell", 0, 8),
        ("fd_renumber", 8, 8),
        ("fd_prestat_get", 8, 8),
        ("sock_shutdown", 58, 58),
    ];
    for (name, one, other) in pairs {
        let mut guest = Guest::new(name, two, &[]);
        assert_eq!((guest.call((1, 64)), guest.call((3, 64))), (one, other), "{name}");
    }
    assert_eq!(Guest::new("fd_renumber", two, &[]).call((1, 2)), 58);
    assert_eq!(Guest::new("fd_fdstat_get", two, &[]).call((1, END)), 0);
    assert_eq!(Guest::new("fd_tell", two, &[]).call((1, END)), 21);
    let open = "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)";
    assert_eq!(Guest::new("path_open", open, &[]).call((3, 0, 0, 0, 0, 0u64, 0u64, 0, 0)), 44);
    let dir = "(param i32 i32 i32 i64 i32) (result i32)";
    assert_eq!(Guest::new("fd_readdir", dir, &[]).call((3, 0, 0, 0u64, 0)), 20);
    let read = "(param i32 i32 i32 i32) (result i32)";
    assert_eq!(Guest::new("fd_read", read, &[]).call((0, 0, 0, 0)), 52);
    assert_eq!(Guest::new("poll_oneoff", read, &[]).call((0, 0, 0, 64)), 0);
}

#[test]
fn envoy_2_11_proc_exit_returns() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "f") (result i32) i32.const 1 call $exit i32.const 42))"#;
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut linker = Linker::new(&engine);
    link::<Fake>(&mut linker, |_| true).unwrap();
    let mut store = Store::new(&engine, Fake::default());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), u32>(&mut store, "f").unwrap();
    assert_eq!(f.call(&mut store, ()).unwrap(), 42);
}

#[test]
fn envoy_2_11_what_the_gate_lets_through_is_what_is_linked() {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    link::<Fake>(&mut linker, |_| true).unwrap();
    for module in MODULES {
        for (name, params, results) in crate::module::wasi_functions() {
            let (params, results) = (params.join(" "), results.join(" "));
            let text = format!(
                r#"(module (import "{module}" "{name}" (func (param {params}) (result {results}))))"#
            );
            let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            let mut store = Store::new(&engine, Fake::default());
            assert!(linker.instantiate(&mut store, &module).is_ok(), "{name}");
        }
    }
}
