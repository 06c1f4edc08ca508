//! Modules that are no filters, and filters that break: each a line with its place and a hint, each its exit code.

use crate::guests;
use crate::support::{Place, boutique};

fn replay(wat: &str, args: &[&str]) -> crate::support::Ran {
    let place = Place::new();
    place.wasm("filter.wasm", wat);
    let capture = boutique();
    let mut all = vec!["replay", &capture, "--filter", "filter.wasm"];
    all.extend(args);
    place.run(&all)
}

#[test]
fn a_component_is_named_as_one() {
    let place = Place::new();
    place.file("component.wasm", b"\0asm\x0d\0\x01\0");
    for args in [vec!["inspect", "component.wasm"], vec!["replay", &boutique(), "--filter", "component.wasm"]]
    {
        place
            .run(&args)
            .exit(5)
            .talks("error[bad-module]")
            .talks("component")
            .talks("hint:")
            .talks("wasm32-wasip1");
    }
}

#[test]
fn a_file_that_is_no_wasm() {
    let place = Place::new();
    place.file("x.wasm", "hello").file("empty.wasm", "");
    place.run(&["inspect", "x.wasm"]).exit(5).talks("error[bad-module]: cannot load filter `x.wasm`");
    place.run(&["inspect", "empty.wasm"]).exit(5).talks("error[bad-module]");
    place.run(&["inspect", "none.wasm"]).exit(5).talks("error[no-such-file]: cannot read `none.wasm`");
}

#[test]
fn an_import_that_envoy_lacks_is_named() {
    let wat = guests::guest(r#"(import "env" "proxy_time_travel" (func (param i32)))"#, "i32.const 0");
    let ran = replay(&wat, &[]);
    ran.exit(5).talks("proxy_time_travel").talks("hint:");
}

#[test]
fn a_module_without_marker_is_no_filter() {
    let place = Place::new();
    place.wasm("lib.wasm", r#"(module (memory (export "memory") 1))"#);
    place.run(&["inspect", "lib.wasm"]).exit(5).talks("hint:").talks("proxy_abi_version_0_2_1");
}

#[test]
fn a_refused_configuration_brings_what_the_filter_logged() {
    let ran = replay(&guests::refuses(), &["--config", "{}"]);
    ran.exit(5)
        .talks("error[config-refused]")
        .talks("proxy_on_configure")
        .talks("too odd for me")
        .talks("--config");
}

#[test]
fn a_filter_that_breaks_while_it_starts_is_a_finding() {
    let ran = replay(&guests::with("", "unreachable", "i32.const 0"), &[]);
    ran.exit(1).talks("error[start-fault]").talks("proxy_on_configure");
}

#[test]
fn a_trap_is_counted_once_and_the_dead_vm_for_the_rest() {
    let ran = replay(&guests::traps(), &["--limit", "10", "--format", "json"]);
    ran.exit(1);
    let summary = ran.event("replayed");
    assert_eq!(summary["exchanges"], 10);
    assert_eq!(summary["verdicts"]["broke"], 10);
    let faults = summary["faults"].as_array().unwrap();
    let of =
        |kind: &str| faults.iter().find(|f| f["kind"] == kind).map_or(0, |f| f["count"].as_u64().unwrap());
    assert_eq!(of("trap"), 1, "{faults:?}");
    assert_eq!(of("dead-vm"), 9, "{faults:?}");
    assert_eq!(faults[0]["blame"], "filter");
}

#[test]
fn an_open_policy_lets_the_rest_pass() {
    let ran = replay(&guests::traps(), &["--limit", "10", "--policy", "open", "--format", "json"]);
    ran.exit(1);
    let verdicts = &ran.event("replayed")["verdicts"];
    assert_eq!(
        verdicts["broke"].as_u64().unwrap() + verdicts["forwarded"].as_u64().unwrap(),
        10,
        "{verdicts}"
    );
    assert!(verdicts["forwarded"].as_u64().unwrap() > 0, "{verdicts}");
}

#[test]
fn an_endless_loop_ends_at_the_fuel_limit() {
    let ran = replay(&guests::loops(), &["--limit", "3", "--fuel-limit", "1000000"]);
    ran.exit(1)
        .says("out-of-fuel")
        .says("proxy_on_request_headers")
        .says("boutique.pb_length_delimited.gz@0");
}

#[test]
fn endless_hunger_ends_at_the_memory_limit() {
    let ran = replay(&guests::hoards(), &["--limit", "3", "--memory-limit", "16MiB"]);
    ran.exit(1).says("out-of-memory");
}

#[test]
fn never_to_fail_is_a_choice() {
    replay(&guests::traps(), &["--limit", "1", "--fail-on", "never"]).exit(0).says("trap");
}
