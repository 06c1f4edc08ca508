//! `tamis inspect` and `tamis doctor`.

use crate::guests;
use crate::support::Place;

#[test]
fn inspect_tells_what_a_filter_needs() {
    let place = Place::new();
    place.wasm("adds.wasm", &guests::adds());
    place
        .run(&["inspect", "adds.wasm"])
        .exit(0)
        .says("Proxy-Wasm 0.2.1")
        .says("would load it")
        .says("env.proxy_add_header_map_value")
        .says("proxy_on_memory_allocate");
    let module = place.run(&["inspect", "adds.wasm", "--format", "json"]).exit(0).event("module");
    assert_eq!(module["loads"], true);
    assert_eq!(module["imports"][0]["name"], "proxy_add_header_map_value");
}

#[test]
fn the_doctor_finds_an_envoy_that_does_not_run() {
    let place = Place::new();
    let output =
        place.command(&["doctor", "--format", "json"]).env("TAMIS_ENVOY", "/no/such/envoy").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let finding = text.lines().find(|l| l.contains("\"envoy\"")).unwrap();
    assert!(
        finding.contains("\"bad\"") && finding.contains("`/no/such/envoy` is no Envoy that runs"),
        "{finding}"
    );
}

#[test]
fn the_doctor_finds_a_setting_that_nobody_knows() {
    let place = Place::new();
    place.file("Cargo.toml", "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[package.metadata.tamis]\nconfg = \"x\"\n[workspace]\n");
    place.file("src/lib.rs", "");
    place.run(&["doctor"]).exit(1).says("unknown key `confg`");
    place.run(&["build"]).exit(2).talks("error[unknown-setting]").talks("did you mean `config`?");
}
