//! `tamis replay --coverage`: which lines the traffic reached. Needs a wasm target (`cargo xtask setup`).

use crate::guests;
use crate::support::{Place, Ran, boutique};
use std::collections::BTreeMap;
use std::path::Path;

/// A filter without the sdk, so that it builds in a second. The lines that matter are marked.
const FILTER: &str = r#"//! A filter for the tests of coverage.

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_value(map: u32, key: *const u8, len: usize, at: *mut *const u8, size: *mut usize) -> u32;
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Vec::<u8>::with_capacity(size).leak().as_mut_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    let path = path(); // always
    if path.starts_with(b"/gold") {
        gold(path.len()); // once
    } else if path.starts_with(b"/never") {
        panic_about(path); // never
    }
    0
}

fn path() -> &'static [u8] {
    let (mut at, mut size) = (std::ptr::null(), 0);
    unsafe {
        proxy_get_header_map_value(0, b":path".as_ptr(), 5, &mut at, &mut size);
        std::slice::from_raw_parts(at, size)
    }
}

fn gold(length: usize) -> usize {
    (0..length).map(|n| n + 1).sum() // gold
}

fn panic_about(path: &[u8]) {
    panic!("{}", path.len()); // panic
}
"#;

const MANIFEST: &str = r#"[package]
name = "counted"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[workspace]
"#;

fn exchange(path: &str) -> String {
    let headers = format!(r#"[[":method","GET"],[":path","{path}"],[":authority","a"]]"#);
    format!(r#"{{"tamis":1,"request":{{"headers":{headers}}},"response":{{"headers":[[":status","200"]]}}}}"#)
}

/// Counts of lines and of functions.
type Counts = (BTreeMap<usize, u64>, BTreeMap<String, u64>);

/// The records of an LCOV file by source file. Holds the file to its grammar.
fn lcov(text: &str) -> BTreeMap<String, Counts> {
    let mut files = BTreeMap::new();
    for record in text.strip_suffix("end_of_record\n").expect("ends with a record").split("end_of_record\n") {
        let (mut lines, mut functions, mut at, mut totals) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut file = None;
        for line in record.lines() {
            let (tag, value) = line.split_once(':').expect("TAG:value");
            let pair = || value.split_once(',').expect("two values");
            match tag {
                "TN" => assert_eq!(value, ""),
                "SF" => {
                    assert!(file.replace(value.to_owned()).is_none() && Path::new(value).is_file(), "{value}")
                }
                "FN" => assert!(at.insert(pair().1.to_owned(), pair().0.parse::<usize>().unwrap()).is_none()),
                "FNDA" => assert!(functions.insert(pair().1.to_owned(), pair().0.parse().unwrap()).is_none()),
                "DA" => assert!(lines.insert(pair().0.parse().unwrap(), pair().1.parse().unwrap()).is_none()),
                "FNF" | "FNH" | "LF" | "LH" => assert!(totals.insert(tag, value.parse().unwrap()).is_none()),
                other => panic!("no tag of LCOV: {other}"),
            }
        }
        let hit = |counts: &mut dyn Iterator<Item = &u64>| counts.filter(|n| **n > 0).count();
        assert!(at.keys().eq(functions.keys()), "each function has a line and a count");
        assert_eq!((totals["FNF"], totals["FNH"]), (functions.len(), hit(&mut functions.values())));
        assert_eq!((totals["LF"], totals["LH"]), (lines.len(), hit(&mut lines.values())));
        files.insert(file.expect("SF"), (lines, functions));
    }
    files
}

/// The number of the line that ends with this remark.
fn line(remark: &str) -> usize {
    1 + FILTER.lines().position(|l| l.ends_with(&format!("// {remark}"))).expect(remark)
}

fn package() -> Place {
    let place = Place::new();
    place.file("counted/Cargo.toml", MANIFEST).file("counted/src/lib.rs", FILTER);
    let paths: String = ["/a", "/gold/1", "/b", "/c"].map(|p| exchange(p) + "\n").concat();
    place.file("c.jsonl", paths);
    place
}

#[test]
fn a_line_that_one_exchange_reached_counts_and_an_unreached_one_is_0() {
    let place = package();
    let run = |more: &[&str]| -> Ran {
        let args = [&["replay", "c.jsonl", "--filter", "counted"], more].concat();
        let output = place.command(&args).env_remove("CARGO_TARGET_DIR").output().unwrap();
        Ran::of(&args, output)
    };
    run(&["--coverage", "cov.info"])
        .exit(0)
        .says("coverage")
        .says("lines reached, written to cov.info")
        .says("fuel says nothing");
    let text = std::fs::read_to_string(place.path().join("cov.info")).unwrap();
    let files = lcov(&text);
    assert_eq!(files.len(), 1, "only the filter's own: {:?}", files.keys());
    let (file, (lines, functions)) = files.iter().next().unwrap();
    assert!(file.ends_with("counted/src/lib.rs"), "{file}");
    let count = |remark: &str| lines.get(&line(remark)).copied();
    assert_eq!(count("once"), Some(1), "{text}");
    assert_eq!(count("never"), Some(0), "{text}");
    assert_eq!(count("always"), Some(4), "{text}");
    assert_eq!(count("panic"), Some(0), "{text}");
    assert!(count("gold") >= Some(1), "{text}");
    let entered = |name: &str| functions.iter().find(|(n, _)| n.ends_with(name)).map(|(_, n)| *n);
    assert_eq!(entered("::path"), Some(4), "{text}");
    assert_eq!(entered("::gold"), Some(1), "{text}");
    assert_eq!(entered("::panic_about"), Some(0), "{text}");
    assert_eq!(entered("proxy_on_request_headers"), Some(4), "{text}");

    // With counters the filter does what it does without, and what is counted once is counted once beside
    // injected faults too.
    let exchanges = |more: &[&str]| -> Vec<serde_json::Value> {
        let ran = run(&[&["--format", "json"], more].concat());
        let mut lines: Vec<_> = ran.exit(0).json().into_iter().filter(|l| l["event"] == "exchange").collect();
        lines.iter_mut().for_each(|l| l["filters"][0]["fuel"] = 0.into());
        lines
    };
    assert_eq!(exchanges(&[]), exchanges(&["--coverage", "again.info"]));
    let again = std::fs::read_to_string(place.path().join("again.info")).unwrap();
    assert_eq!(again, text);
    let chain = ["--filter", "pass.wasm", "--coverage", "chain.info"];
    place.wasm("pass.wasm", &guests::pass());
    run(&chain).exit(0).talks("cannot take coverage of filter `pass.wasm`");
    assert_eq!(std::fs::read_to_string(place.path().join("chain.info")).unwrap(), text);
    let beside = run(&["--format", "json", "--coverage", "third.info", "--inject", "split-chunks"]);
    let summary = beside.exit(0).event("replayed");
    assert_eq!(std::fs::read_to_string(place.path().join("third.info")).unwrap(), text);
    assert_eq!(summary["coverage"]["lines"], lines.len());
    assert_eq!(summary["filters"][0]["fuel"], 0);

    // The test host counts, Envoy plays the module without counters.
    let mut both = place.command(&[
        "replay",
        "c.jsonl",
        "--filter",
        "counted",
        "--coverage",
        "both.info",
        "--engine",
        "both",
    ]);
    both.env_remove("CARGO_TARGET_DIR");
    if let Some(envoy) = std::env::var_os("TAMIS_ENVOY") {
        both.env("TAMIS_ENVOY", envoy);
    }
    Ran::of(&["--engine both"], both.output().unwrap()).exit(0).says("wasmtime and Envoy agree on 4");
    assert_eq!(std::fs::read_to_string(place.path().join("both.info")).unwrap(), text);
    run(&["--coverage", "envoy.info", "--engine", "envoy"])
        .exit(2)
        .talks("a real Envoy does not count coverage")
        .talks("--engine both");
}

#[test]
fn a_module_without_lines_cannot_be_counted() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    place
        .run(&["replay", &boutique(), "--filter", "pass.wasm", "--coverage", "cov.info"])
        .exit(5)
        .talks("error[no-coverage]")
        .talks("no debug information")
        .talks("hint: name the folder of the package");
    assert!(!place.path().join("cov.info").exists());
    place.run(&["explain", "no-coverage"]).exit(0).says("debug = 1");
}
