//! What a newcomer does: new, build, test, replay. Needs a wasm target (`cargo xtask setup`).

use crate::support::{Place, boutique};

/// `new` in an empty folder; the package's own folder.
fn scaffold() -> Place {
    let place = Place::new();
    let ran = place.run(&["new", "hello", "--template", "header", "--set", "header=x-hello"]);
    ran.exit(0).talks("Created");
    assert_eq!(ran.out, "hello\n");
    place
}

#[test]
fn new_build_test_replay() {
    let place = scaffold();
    let hello = place.path().join("hello");
    let run = |args: &[&str]| {
        let output = place.command(args).current_dir(&hello).env_remove("CARGO_TARGET_DIR").output().unwrap();
        crate::support::Ran::of(args, output)
    };

    let built = run(&["build"]);
    built.exit(0).talks("Building hello v0.1.0 for wasm32-wasip1").talks("Envoy would load it");
    let wasm = built.out.trim();
    assert!(wasm.ends_with("target/tamis/hello.wasm"), "{wasm}");
    run(&["inspect", wasm]).exit(0).says("hello v0.1.0").says("Proxy-Wasm 0.2.1");
    let schema = run(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.exit(0).out).unwrap();
    assert_eq!(schema["properties"]["header"]["description"], "The request header to set.", "{schema}");
    assert_eq!(schema["additionalProperties"], false);
    run(&["inspect", wasm]).exit(0).says("header, value");
    assert!(hello.join("target/tamis/hello.names").is_file(), "names are set aside");
    run(&["config", "check", "config.json"]).exit(0).says("`hello` takes it");
    std::fs::write(hello.join("bad.json"), "{ \"header\": \"x-a\",\n  \"valeu\": 7 }").unwrap();
    run(&["config", "check", "bad.json", "--filter", wasm])
        .exit(5)
        .talks("error[config-refused]")
        .talks("unknown field `valeu`")
        .talks("line 2 column 3")
        .talks("did you mean `value`?");
    let timed = run(&["build", "--timings", "--format", "json"]).exit(0).event("built");
    let steps: Vec<_> = timed["timings"].as_array().unwrap().iter().map(|s| s["step"].clone()).collect();
    assert_eq!(steps, ["cargo", "schema", "link", "check", "write"]);
    assert!(timed["bytes_before"].as_u64() > timed["bytes"].as_u64(), "{timed}");
    run(&["build", "--max-size", "1KiB"]).exit(3).talks("error[too-large]");

    run(&["test"]).exit(0).says("PASS").says("1 traffic test").says("0 failed");

    let replayed = run(&["replay", &boutique(), "--limit", "100", "--format", "json"]);
    let summary = replayed.exit(0).event("replayed");
    assert_eq!(summary["filters"][0]["name"], "hello");
    assert_eq!(summary["verdicts"]["changed"], 100, "{summary}");
    run(&["replay", "tests/captures/shop.jsonl", "--config", r#"{"header":"x-other","value":"v"}"#])
        .exit(0)
        .says("request header x-other added: v");
    run(&["replay", "tests/captures/shop.jsonl", "--config", r#"{"heder":"x-other","value":"v"}"#])
        .exit(5)
        .talks("error[config-refused]")
        .talks("heder");

    // An expectation that does not hold is a finding.
    let test = hello.join("tests/shop.yaml");
    let text =
        std::fs::read_to_string(&test).unwrap().replace("x-filtered-by: hello", "x-filtered-by: nobody");
    std::fs::write(&test, text).unwrap();
    run(&["test", "--report", "junit=r.xml"]).exit(1).says("FAIL").says("nobody").says("shop.jsonl:1");
    assert!(std::fs::read_to_string(hello.join("r.xml")).unwrap().contains("<failure"));

    std::fs::write(hello.join("src/lib.rs"), "fn broken( {").unwrap();
    run(&["build"]).exit(3).talks("error[build-failed]");
}

#[test]
fn new_never_writes_into_what_is_there() {
    let place = scaffold();
    place.run(&["new", "hello"]).exit(2).talks("error[folder-in-use]");
    place.run(&["new", "hello", "--dir", "elsewhere"]).exit(0);
    assert!(place.path().join("elsewhere/vendor/tamis-sdk/Cargo.toml").is_file());
}

#[test]
fn an_sdk_of_ones_own() {
    let place = Place::new();
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk");
    place.run(&["new", "hello", "--sdk", sdk]).exit(0);
    let manifest = std::fs::read_to_string(place.path().join("hello/Cargo.toml")).unwrap();
    assert!(manifest.contains("sdk\" }"), "{manifest}");
    assert!(!place.path().join("hello/vendor").exists());
    place.run(&["new", "other", "--sdk", "."]).exit(5);
}

#[test]
fn off_a_terminal_nothing_is_asked() {
    let place = Place::new();
    place.run(&["new"]).exit(2).talks("a name for the package is missing").talks("tamis new NAME");
}
