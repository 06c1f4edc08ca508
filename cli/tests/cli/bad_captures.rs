//! Captures that are torn, mixed, odd or no captures at all.

use crate::guests;
use crate::support::{Place, Ran, boutique, captures};
use std::io::Write;

fn replay(place: &Place, capture: &str) -> Ran {
    place.wasm("pass.wasm", &guests::pass());
    place.run(&["replay", capture, "--filter", "pass.wasm", "--format", "json"])
}

fn unpacked() -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(boutique()).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(file), &mut bytes).unwrap();
    bytes
}

fn skipped(ran: &Ran, why: &str) -> u64 {
    let summary = ran.event("replayed");
    let all = summary["capture"]["skipped"].as_array().unwrap().clone();
    all.iter().find(|s| s["why"] == why).map_or(0, |s| s["count"].as_u64().unwrap())
}

#[test]
fn a_torn_file_is_played_up_to_the_tear() {
    let place = Place::new();
    let whole = unpacked();
    place.file("torn.pb", &whole[..whole.len() / 2]);
    let ran = replay(&place, "torn.pb");
    ran.exit(0);
    assert_eq!(skipped(&ran, "torn"), 1, "{}", ran.event("replayed"));
    assert!(ran.event("replayed")["exchanges"].as_u64().unwrap() > 300);
    place
        .run(&["replay", "torn.pb", "--filter", "pass.wasm"])
        .exit(0)
        .says("skipped 1: the file ends inside a record");
}

#[test]
fn a_torn_gzip_too() {
    let place = Place::new();
    let packed = std::fs::read(boutique()).unwrap();
    place.file("torn.gz", &packed[..packed.len() / 2]);
    let ran = replay(&place, "torn.gz");
    ran.exit(0);
    assert_eq!(skipped(&ran, "torn-gzip"), 1, "{}", ran.event("replayed"));
}

#[test]
fn lines_between_log_lines_are_counted_with_the_first_place() {
    let place = Place::new();
    let log = std::fs::read_to_string(captures().join("access-inbound.json.log")).unwrap();
    let lines: Vec<&str> = log.lines().take(4).collect();
    let mixed = format!(
        "{}\n2026-11-24T00:00:00Z info Envoy proxy is ready\n{}\n",
        lines[..2].join("\n"),
        lines[2..].join("\n")
    );
    place.file("mixed.log", mixed);
    let ran = replay(&place, "mixed.log");
    let summary = ran.exit(0).event("replayed");
    assert_eq!(skipped(&ran, "foreign-line"), 1, "{summary}");
    assert!(summary["capture"]["synthesised"].as_u64().unwrap() > 0, "{summary}");
    place
        .run(&["replay", "mixed.log", "--filter", "pass.wasm"])
        .exit(0)
        .says("synthesised from log lines")
        .says("not an access log line, first at mixed.log:3");
}

#[test]
fn bytes_that_are_not_utf_8_come_through() {
    let place = Place::new();
    let line = r#"{"tamis":1,"request":{"headers":[[":method","GET"],[":path","/"],[":authority","x"],["x-odd",{"base64":"/wD+"}]]},"response":{"headers":[[":status","200"]]}}"#;
    place.file("odd.jsonl", format!("{line}\n"));
    let ran = replay(&place, "odd.jsonl");
    assert_eq!(ran.exit(0).event("replayed")["exchanges"], 1);
    place.run(&["capture", "show", "odd.jsonl"]).exit(0).says("\\xff");
}

#[test]
fn missing_halves_are_the_captures_fault_not_the_filters() {
    let place = Place::new();
    let line = r#"{"tamis":1,"gaps":["no-request"],"response":{"headers":[[":status","401"]]}}"#;
    place.file("half.jsonl", format!("{line}\n"));
    let ran = replay(&place, "half.jsonl");
    let summary = ran.exit(0).event("replayed");
    assert_eq!(summary["verdicts"]["unclear"], 1, "{summary}");
    assert_eq!(summary["faults"][0]["kind"], "not-playable", "{summary}");
    assert_eq!(summary["faults"][0]["blame"], "capture", "{summary}");
    place.run(&["replay", "half.jsonl", "--filter", "pass.wasm", "--fail-on", "faults"]).exit(1);
}

#[test]
fn a_line_without_end_is_left_out_in_constant_memory() {
    let place = Place::new();
    let good = r#"{"tamis":1,"request":{"headers":[[":method","GET"],[":path","/"],[":authority","x"]]},"response":{"headers":[[":status","200"]]}}"#;
    // 1 GiB of one line, packed into a megabyte.
    let path = place.path().join("long.jsonl.gz");
    let mut out =
        flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
    writeln!(out, "{good}").unwrap();
    out.write_all(b"{\"tamis\":1,\"id\":\"").unwrap();
    let block = vec![b'a'; 1 << 20];
    for _ in 0..1024 {
        out.write_all(&block).unwrap();
    }
    writeln!(out, "\"}}\n{good}").unwrap();
    out.finish().unwrap();
    let tamis = env!("CARGO_BIN_EXE_tamis");
    let limited = format!("ulimit -v 400000; exec '{tamis}' capture stats long.jsonl.gz --format json");
    let args = ["-c", limited.as_str()];
    let ran = Ran::of(&args, place.program("sh", &args).output().unwrap());
    let stats = ran.exit(0).event("stats");
    assert_eq!(stats["exchanges"], 2, "{stats}");
    assert_eq!(stats["capture"]["skipped"][0]["why"], "too-long", "{stats}");
}

#[test]
fn what_is_no_capture_is_refused_with_what_would_do() {
    let place = Place::new();
    place.file("x.txt", "hello, this is no capture\n").file("empty.json", "");
    replay(&place, "x.txt").exit(5).talks("error[bad-capture]").talks("`x.txt`").talks("hint:");
    replay(&place, "none.pb").exit(5).talks("error[no-such-file]").talks("`none.pb`");
    replay(&place, "empty.json").exit(4).talks("error[nothing-ran]");
}
