//! `tamis test --watch`: a change of a file is another run.

use crate::support::Place;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const GUEST: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_context_create") (param i32 i32))
)"#;

fn test(status: u16) -> String {
    format!(
        "filter: guest.wasm\nsend:\n  - request: {{ method: GET, path: / }}\n    expect: {{ reply: {{ status: {status} }} }}\n"
    )
}

#[test]
fn each_change_is_a_run() {
    let place = Place::new();
    place.wasm("guest.wasm", GUEST).file("tests/first.yaml", test(200).replace("guest", "../guest"));
    let mut child = place
        .command(&["test", "--watch", "tests", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The summary of a run; the change is made only when the tool says that it waits for one.
    let mut run = || {
        let mut summary = None;
        for line in lines.by_ref() {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            match event["event"].as_str() {
                Some("tested") => summary = Some((event["passed"].clone(), event["failed"].clone())),
                Some("watching") => return summary,
                _ => {}
            }
        }
        panic!("it ended");
    };
    assert_eq!(run(), Some((1.into(), 0.into())));
    place.file("tests/first.yaml", test(404).replace("guest", "../guest"));
    assert_eq!(run(), Some((0.into(), 1.into())));
    // What cannot be read is told, and waited for.
    place.file("tests/first.yaml", "filter: [");
    assert_eq!(run(), None);
    place.file("tests/first.yaml", test(200).replace("guest", "../guest"));
    assert_eq!(run(), Some((1.into(), 0.into())));
    child.kill().unwrap();
    child.wait().unwrap();
}
