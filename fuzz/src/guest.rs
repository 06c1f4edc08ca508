//! The guest of the target `host`: a filter that calls whatever the tape says.
//!
//! The tape is the VM configuration. Every callback reads on where the last one stopped: a number of calls, then for
//! each call the function and its arguments, then what the callback returns; behind the end nothing is called any
//! more. It is compiled once for each version of the ABI.
//!
//! | first byte of an argument | argument |
//! |---|---|
//! | 00 to 3f | the byte |
//! | 40 to 9f | the address of a word, whose length is kept |
//! | a0 to bf | the address of 0 to 31 bytes that follow on the tape, whose length is kept |
//! | c0 to c3 | the kept length |
//! | c4 to c7 | the kept length, one more or less |
//! | c8 to cf | as a0, with the length in a byte of its own, for c8 to cb four times as long |
//! | d0 to d7 | the address of one of eight slots, for what a function gives |
//! | d8 to df | what is in a slot |
//! | e0 to e7 | ids around the one of the context |
//! | e8 to ef | the four bytes that follow |
//! | f0 to f7 | addresses around the end of memory |
//! | f8 to ff | the largest numbers |

use crate::words::words;
use std::fmt::Write as _;
use tamis_abi::{AbiVersion, CALLBACKS, FUNCTIONS, Wasm};

/// WASI functions that do more than say no, with the types of their parameters.
const WASI: &[(&str, &str)] = &[
    ("fd_write", "iiii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_tell", "ii"),
    ("fd_fdstat_get", "ii"),
    ("fd_renumber", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_time_get", "iIi"),
    ("clock_res_get", "ii"),
    ("random_get", "ii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("sched_yield", ""),
];

/// Addresses: the slots, the table of the words (an address and a length each) and what they say, the heap.
const SLOTS: u32 = 64;
const TABLE: u32 = 128;
const TEXTS: u32 = TABLE + 96 * 8;
const HEAP: u32 = 1 << 16;

/// What every guest has. `$load` brings the tape, `$calls` makes the calls of one callback.
const FIXED: &str = r#"
(memory (export "memory") 2)
(type $call (func))
(global $top (mut i32) (i32.const 65536))
(global $at (mut i32) (i32.const 0))
(global $end (mut i32) (i32.const 0))
(global $loaded (mut i32) (i32.const 0))
(global $len (mut i32) (i32.const 0))
(global $id (mut i32) (i32.const 0))
(func (export "proxy_abi_version_MARKER"))
(func $load
  (if (global.get $loaded) (then (return)))
  (global.set $loaded (i32.const 1))
  (drop (call $proxy_get_buffer_bytes (i32.const 6) (i32.const 0) (i32.const -1) (i32.const 64) (i32.const 72)))
  (global.set $at (i32.load (i32.const 64)))
  (global.set $end (i32.add (global.get $at) (i32.load (i32.const 72)))))
(func $over (result i32) (i32.ge_u (global.get $at) (global.get $end)))
(func $byte (result i32)
  (if (call $over) (then (return (i32.const 0))))
  (global.set $at (i32.add (global.get $at) (i32.const 1)))
  (i32.load8_u (i32.sub (global.get $at) (i32.const 1))))
(func $inline (param $n i32) (result i32) (local $from i32)
  (local.set $from (global.get $at))
  (if (i32.gt_u (local.get $n) (i32.sub (global.get $end) (local.get $from)))
    (then (local.set $n (i32.sub (global.get $end) (local.get $from)))))
  (global.set $len (local.get $n))
  (global.set $at (i32.add (local.get $from) (local.get $n)))
  (local.get $from))
(func $word (param $n i32) (result i32)
  (local.set $n (i32.add (i32.const 128) (i32.shl (local.get $n) (i32.const 3))))
  (global.set $len (i32.load offset=4 (local.get $n)))
  (i32.load (local.get $n)))
(func $arg (result i32) (local $k i32) (local $low i32)
  (local.set $k (call $byte))
  (local.set $low (i32.and (local.get $k) (i32.const 7)))
  (if (i32.lt_u (local.get $k) (i32.const 0x40)) (then (return (local.get $k))))
  (if (i32.lt_u (local.get $k) (i32.const 0xa0))
    (then (return (call $word (i32.sub (local.get $k) (i32.const 0x40))))))
  (if (i32.lt_u (local.get $k) (i32.const 0xc0))
    (then (return (call $inline (i32.and (local.get $k) (i32.const 31))))))
  (if (i32.lt_u (local.get $k) (i32.const 0xc4)) (then (return (global.get $len))))
  (if (i32.lt_u (local.get $k) (i32.const 0xc8))
    (then (return (i32.add (global.get $len) (i32.sub (i32.shl (local.get $low) (i32.const 1)) (i32.const 11))))))
  (if (i32.lt_u (local.get $k) (i32.const 0xcc))
    (then (return (call $inline (i32.shl (call $byte) (i32.const 2))))))
  (if (i32.lt_u (local.get $k) (i32.const 0xd0)) (then (return (call $inline (call $byte)))))
  (local.set $low (i32.shl (local.get $low) (i32.const 3)))
  (if (i32.lt_u (local.get $k) (i32.const 0xd8)) (then (return (i32.add (i32.const 64) (local.get $low)))))
  (if (i32.lt_u (local.get $k) (i32.const 0xe0)) (then (return (i32.load offset=64 (local.get $low)))))
  (local.set $low (i32.shr_u (local.get $low) (i32.const 3)))
  (if (i32.lt_u (local.get $k) (i32.const 0xe8))
    (then (return (i32.add (global.get $id) (i32.sub (local.get $low) (i32.const 4))))))
  (if (i32.lt_u (local.get $k) (i32.const 0xf0))
    (then (return (i32.or
      (i32.or (call $byte) (i32.shl (call $byte) (i32.const 8)))
      (i32.or (i32.shl (call $byte) (i32.const 16)) (i32.shl (call $byte) (i32.const 24)))))))
  (if (i32.lt_u (local.get $k) (i32.const 0xf8))
    (then (return (i32.sub (i32.shl (memory.size) (i32.const 16)) (local.get $low)))))
  (i32.sub (i32.const -1) (local.get $low)))
(func $arg64 (result i64)
  (i64.or (i64.shl (i64.extend_i32_s (call $arg)) (i64.const 32)) (i64.extend_i32_u (call $arg))))
(func $calls (param $id i32) (local $left i32)
  (global.set $id (local.get $id))
  (call $load)
  (local.set $left (i32.and (call $byte) (i32.const 7)))
  (block $done (loop $more
    (br_if $done (i32.or (i32.eqz (local.get $left)) (call $over)))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (call_indirect (type $call) (i32.rem_u (call $byte) (i32.const COUNT)))
    (br $more))))
(func $returns (param $usual i32) (result i32) (local $k i32)
  (if (call $over) (then (return (local.get $usual))))
  (local.set $k (call $byte))
  (if (i32.lt_u (local.get $k) (i32.const 0x90)) (then (return (local.get $usual))))
  (if (i32.lt_u (local.get $k) (i32.const 0xf0)) (then (return (i32.and (local.get $k) (i32.const 7)))))
  (call $arg))
(func $grow (param $to i32) (result i32) (local $pages i32)
  (local.set $pages (i32.shr_u (i32.add (local.get $to) (i32.const 0xffff)) (i32.const 16)))
  (if (i32.le_u (local.get $pages) (memory.size)) (then (return (i32.const 1))))
  (i32.ne (i32.const -1) (memory.grow (i32.sub (local.get $pages) (memory.size)))))
(func (export "proxy_on_memory_allocate") (param $n i32) (result i32) (local $k i32)
  (local.set $k (call $byte))
  (if (i32.eq (local.get $k) (i32.const 0xf8)) (then (return (i32.const 0))))
  (if (i32.eq (local.get $k) (i32.const 0xf9)) (then (return (i32.const -4))))
  (if (i32.eq (local.get $k) (i32.const 0xfa)) (then unreachable))
  (if (i32.eq (local.get $k) (i32.const 0xfb)) (then (drop (call $proxy_done))))
  (if (i32.eq (local.get $k) (i32.const 0xfc)) (then (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 64)))))
  (if (i32.eq (local.get $k) (i32.const 0xfd)) (then (return (i32.const 64))))
  (if (i32.gt_u (local.get $n) (i32.const 0x1000000)) (then (return (i32.const 0))))
  (if (i32.eqz (call $grow (i32.add (global.get $top) (local.get $n)))) (then (return (i32.const 0))))
  (global.set $top (i32.add (global.get $top) (local.get $n)))
  (i32.sub (global.get $top) (local.get $n)))
(func $trap unreachable)
(func $forever (loop $l (br $l)))
(func $bigger (drop (memory.grow (call $arg))))
(func $poke (i32.store (call $arg) (call $arg)))
"#;

/// The module.
pub(crate) fn wasm(abi: AbiVersion) -> Vec<u8> {
    let (mut imports, mut functions) = (String::new(), String::new());
    let mut table = vec!["$trap".to_owned(), "$forever".into(), "$bigger".into(), "$poke".into()];
    let env = FUNCTIONS.iter().filter(|f| f.linked_for(abi)).map(|f| {
        let letters = f.params.iter().map(|p| if *p == Wasm::I32 { 'i' } else { 'I' }).collect::<String>();
        ("env", f.name, letters, !f.results.is_empty())
    });
    let wasi = WASI
        .iter()
        .map(|(name, letters)| ("wasi_snapshot_preview1", *name, (*letters).into(), *name != "proc_exit"));
    for (module, name, letters, gives) in env.chain(wasi) {
        let params: String = letters.chars().map(|l| if l == 'i' { " i32" } else { " i64" }).collect();
        let args: String =
            letters.chars().map(|l| if l == 'i' { "(call $arg)" } else { "(call $arg64)" }).collect();
        let (result, drop) = if gives { ("(result i32)", "drop") } else { ("", "block") };
        let _ = writeln!(imports, r#"(import "{module}" "{name}" (func ${name} (param{params}) {result}))"#);
        let _ = writeln!(functions, "(func $do_{name} ({drop} (call ${name} {args})))");
        table.push(format!("$do_{name}"));
    }
    for callback in CALLBACKS {
        let (name, params) = (callback.name, " i32".repeat(callback.params_in(abi)));
        let usual = u32::from(matches!(name, "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_done"));
        // A timer that nobody listens to any more would only take time.
        let more = if name == "proxy_on_tick" {
            "(if (call $over) (then (drop (call $proxy_set_tick_period_milliseconds (i32.const 0)))))"
        } else {
            ""
        };
        let (result, value) = match callback.results {
            0 => ("", String::new()),
            _ => ("(result i32)", format!("(call $returns (i32.const {usual}))")),
        };
        let _ = writeln!(
            functions,
            r#"(func (export "{name}") (param{params}) {result} (call $calls (local.get 0)) {more} {value})"#
        );
    }
    let fixed = FIXED
        .replace("MARKER", &format!("{abi}").replace('.', "_"))
        .replace("COUNT", &table.len().to_string());
    let text = format!(
        "(module {imports} {fixed} {functions} (table {} funcref) (elem (i32.const 0) func {}) {})",
        table.len(),
        table.join(" "),
        data()
    );
    wat::parse_str(text).expect("the guest is WAT")
}

/// The words and the table of their places.
fn data() -> String {
    let (mut table, mut texts) = (Vec::new(), Vec::new());
    let words = words();
    for at in 0..96 {
        let word = words.get(at % words.len()).map_or(&[][..], Vec::as_slice);
        table.extend((TEXTS + texts.len() as u32).to_le_bytes());
        table.extend((word.len() as u32).to_le_bytes());
        texts.extend_from_slice(word);
    }
    assert!(SLOTS + 64 <= TABLE && TEXTS + texts.len() as u32 <= HEAP, "the words leave the heap alone");
    let escaped = |bytes: &[u8]| bytes.iter().map(|b| format!("\\{b:02x}")).collect::<String>();
    format!("(data (i32.const {TABLE}) \"{}{}\")", escaped(&table), escaped(&texts))
}
