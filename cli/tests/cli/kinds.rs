//! Filters chosen by `root_id`, and connections in captures and traffic tests.

use crate::support::Place;

/// Starts only as `gate`, and stops what the client sends for ever.
const GATE: &str = r#"(module
    (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "plugin_root_id")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $get (i32.const 0) (i32.const 14) (i32.const 100) (i32.const 104)))
      (i32.and
        (i32.eq (i32.load (i32.const 104)) (i32.const 4))
        (i32.eq (i32.load (i32.load (i32.const 100))) (i32.const 0x65746167))))
    (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
      (i32.eq (local.get 1) (i32.const 4))))"#;

const CONNECTION: &str =
    r#"{"tamis":1,"connection":[{"from":"client","bytes":"PING\n"},{"from":"upstream","bytes":"+PONG\n"}]}"#;

fn place() -> Place {
    let place = Place::new();
    place.wasm("gate.wasm", GATE).file("c.jsonl", CONNECTION);
    place
}

#[test]
fn a_replay_says_which_filter_of_a_module() {
    let place = place();
    let replay = |args: &[&str]| place.run(&[&["replay", "c.jsonl", "--filter", "gate.wasm"], args].concat());
    replay(&["--root-id", "gate"]).exit(0).says("TCP").says("1 forwarded");
    replay(&["--root-id", "gats"]).exit(5).talks("error[config-refused]");
    replay(&[]).exit(5).talks("error[config-refused]");
    let several = replay(&["--filter", "gate.wasm", "--root-id", "gate"]);
    several.exit(2).talks("`--root-id` is for one filter").talks("--chain");
}

#[test]
fn a_traffic_test_plays_connections() {
    let place = place();
    let test = "
filter: gate.wasm
root_id: gate
capture: c.jsonl
expect: { name: as recorded, upstream: recorded, reply: recorded, closed: false, faults: none }
send:
  - name: held
    connection: [{ client: four }]
    expect: { faults: stuck, upstream: { body: '' } }
  - name: passes
    connection: [{ client: more than four }, { upstream: back }, upstream_ends, client_ends]
    expect: { faults: none, upstream: { body: more than four }, reply: { body: back } }
";
    place.file("t.yaml", test);
    place.run(&["test", "t.yaml"]).exit(0).says("0 failed");
    place.file("t.yaml", test.replace("body: back", "body: front"));
    place.run(&["test", "t.yaml"]).exit(1).says("reply body");
    place.file("t.yaml", test.replace("root_id: gate", "root_id: other"));
    place.run(&["test", "t.yaml"]).exit(5).says("refused to start");
}

#[test]
fn a_capture_with_connections_is_shown() {
    let place = place();
    place.run(&["capture", "show", "c.jsonl"]).exit(0).says("body of 5 bytes").says("body of 6 bytes");
    let shown = place.run(&["capture", "show", "c.jsonl", "--format", "json"]);
    assert_eq!(shown.exit(0).out.trim(), CONNECTION.replace("{\"from\"", "{\"at_ns\":0,\"from\""));
}
