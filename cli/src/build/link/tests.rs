//! Small modules, linked.

use super::{Linked, link};
use wasmparser::{Parser, Payload};

/// A filter in small: `C` is the crate, `S` the sdk.
const FILTER: &str = r#"(module
    (import "env" "used" (func $used))
    (import "env" "crate_only" (func $crate_only))
    (func $C_headers (export "proxy_on_request_headers") (param i32) (result i32) (call $crate_only) (i32.const 7))
    (func $C_tick (export "proxy_on_tick") (param i32) (call $crate_only))
    (func $C_log (export "proxy_on_log") (param i32) (call $crate_only))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
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
    let out = link(&wasm).expect("linked").wasm;
    wasmparser::Validator::new().validate_all(&out).expect("valid");
    assert_eq!(out, link(&wasm).expect("linked").wasm, "twice the same");
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
    // What stays: headers, allocator, marker, start, call, author's.
    assert_eq!(
        linked(""),
        "proxy_on_request_headers proxy_on_memory_allocate proxy_abi_version_0_2_1 _initialize \
         of_the_author 6 functions custom"
    );
}

#[test]
fn a_wanted_callback_stays() {
    assert_eq!(
        linked("(call $S_wants)"),
        "import used proxy_on_request_headers proxy_on_tick proxy_on_memory_allocate \
         proxy_abi_version_0_2_1 _initialize of_the_author 8 functions custom"
    );
}

#[test]
fn a_module_that_does_not_ask_stays_as_it_is() {
    let wasm = wat::parse_str(r#"(module (func (export "proxy_on_log") (param i32)))"#).expect("a module");
    assert_eq!(link(&wasm).expect("linked"), Linked { wasm, names: None });
    assert!(link(b"\0asm").is_err());
}

#[test]
fn names_are_set_aside() {
    let wasm = wat::parse_str("(module (func $named))").expect("a module");
    let Linked { wasm: out, names } = link(&wasm).expect("linked");
    assert!(names.is_some_and(|names| names.windows(5).any(|w| w == b"named")));
    let bare = wat::parse_str("(module (func))").expect("a module");
    assert_eq!(out, bare);
}

/// A module whose linker says which numbers are addresses: a table of two functions, two pieces of data of 16 bytes at
/// 1024, the second of which holds the number of the second function. The filter takes the addresses of what `taken`
/// names.
fn pointed(taken: &[(u8, u32)]) -> Linked {
    let constants = "(drop (i32.const 0x0fffffff))".repeat(taken.len());
    let text = format!(
        r#"(module
        (import "env" "first" (func)) (import "env" "second" (func))
        (memory (export "memory") 1)
        (table 3 3 funcref)
        (elem (i32.const 1) func $one $two)
        (func $one (call 0)) (func $two (call 1))
        (func (export "run") {constants})
        (data (i32.const 1024) "the first piece.the second piece")
        )"#
    );
    let mut wasm = wat::parse_str(text).expect("a module");
    let (mut code, mut data, mut run) = (0, 0, 0);
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(&wasm) {
        let payload = payload.expect("readable");
        if let Some((id, _)) = payload.as_section() {
            sections.push(id);
        }
        match payload {
            Payload::CodeSectionStart { range, .. } => code = range.start,
            Payload::CodeSectionEntry(body) => run = body.range().start,
            Payload::DataSection(section) => data = section.range().start,
            _ => {}
        }
    }
    let index = |id: u8| sections.iter().position(|known| *known == id).expect("is there") as u8;
    let text = wasm.windows(16).position(|w| w == b"the second piece").expect("is there");
    // Flags 2: local to the file; 0x10: without a definition, and so without a name where it is a function.
    let mut symbols = vec![5];
    symbols.extend([0, 2, 2, 3, b'o', b'n', b'e', 0, 2, 3, 3, b't', b'w', b'o']);
    symbols.extend([1, 2, 1, b'a', 0, 0, 16, 1, 2, 1, b'b', 0, 16, 16, 1, 0x10, 1, b'c']);
    let mut linking = vec![2, 8, symbols.len() as u8];
    linking.extend(symbols);
    append(&mut wasm, "linking", &linking);
    let mut relocations = vec![index(10), taken.len() as u8];
    for (at, (kind, symbol)) in taken.iter().enumerate() {
        // After the body's count of locals: `i32.const`, its five bytes, `drop`.
        let place = run - code + 2 + at * 7;
        relocations.extend([*kind, place as u8, *symbol as u8]);
        relocations.extend((3..=5).contains(kind).then_some(0));
    }
    append(&mut wasm, "reloc.CODE", &relocations);
    append(&mut wasm, "reloc.DATA", &[index(11), 1, 2, (text - data) as u8, 1]);
    let out = link(&wasm).expect("linked");
    wasmparser::Validator::new().validate_all(&out.wasm).expect("valid");
    out
}

fn append(wasm: &mut Vec<u8>, name: &str, content: &[u8]) {
    wasm.extend([0, (1 + name.len() + content.len()) as u8, name.len() as u8]);
    wasm.extend(name.bytes());
    wasm.extend(content);
}

#[test]
fn what_no_address_leads_to_goes() {
    let holds = |linked: &Linked, text: &str| linked.wasm.windows(text.len()).any(|w| w == text.as_bytes());
    let all = ["first", "second", "the first piece.", "the second piece"];
    let table_index = 1;
    let memory_address = 4;
    for (taken, stays) in [
        (&[][..], [false; 4]),
        (&[(table_index, 0)], [true, false, false, false]),
        (&[(memory_address, 2)], [false, false, true, false]),
        // The piece holds a function's number.
        (&[(memory_address, 3)], [false, true, false, true]),
        // One that is nowhere, and what is not an address.
        (&[(memory_address, 4), (7, 0), (table_index, 1)], [false, true, false, false]),
    ] {
        let linked = pointed(taken);
        // "the first piece." names no import.
        let found = all.map(|text| match text {
            "first" | "second" => holds(&linked, &format!("env{}{text}", char::from(text.len() as u8))),
            data => holds(&linked, data),
        });
        assert_eq!(found, stays, "{taken:?}");
    }
}
