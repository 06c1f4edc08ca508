//! What is asked wrongly, and help.

use crate::guests;
use crate::support::{Place, Ran, boutique};

#[test]
fn usage_errors_end_with_2_and_touch_nothing() {
    let place = Place::new();
    for args in [
        &["frobnicate"][..],
        &["push"],
        &["push", "UPPER/case"],
        &["push", "r.example/f@sha256:00"],
        &["push", "localhost:1/f", "--cert-file", "x"],
        &["push", "localhost:1/f", "--password-stdin"],
        &["push", "localhost:1/f", "--also", "zip"],
        &["pull", "r.example/f:"],
        &["inspect", "oci://"],
        &["replay"],
        &["replay", "x", "--report", "html=x"],
        &["replay", "x", "--clock", "yesterday"],
        &["replay", "x", "--memory-limit", "lots"],
        &["replay", "x", "--chain", "a", "--filter", "b"],
        &["replay", "x", "--config", "1", "--filter", "a", "--filter", "b"],
        &["new", "../up"],
        &["new", "hello", "--template", "none"],
        &["new", "hello", "--set", "colour=red"],
        &["explain", "no-such-code"],
        &["build", "--target", "riscv"],
    ] {
        let ran = place.run(args);
        ran.exit(2).talks("error");
        assert_eq!(ran.out, "");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn help_and_version_are_data() {
    let place = Place::new();
    for args in [&["--help"][..], &["--version"], &["replay", "--help"], &["capture", "show", "--help"]] {
        let ran = place.run(args);
        ran.exit(0).says("tamis");
        assert_eq!(ran.err, "");
    }
    place.run(&["--help"]).says("exit codes: 0 ok").says("130 interrupted");
}

#[test]
fn cargo_tamis_is_the_same_program() {
    let place = Place::new();
    let args = ["tamis", "explain", "trap"];
    let output = place.program(env!("CARGO_BIN_EXE_cargo-tamis"), &args).output().unwrap();
    Ran::of(&args, output).exit(0).says("whose fault: the filter's");
}

#[test]
fn every_code_is_explained() {
    let place = Place::new();
    let list = place.run(&["explain", "--format", "json"]);
    let codes = list.exit(0).json();
    assert!(codes.len() > 30);
    for code in codes.iter().skip(1) {
        place.run(&["explain", code["code"].as_str().unwrap()]).exit(0);
    }
    place.run(&["explain", "exit-codes"]).says("130  interrupted");
    place.run(&["explain", "trapp"]).exit(2).talks("run `tamis explain trap`");
}

#[test]
fn errors_are_data_under_format_json() {
    let place = Place::new();
    let ran = place.run(&["inspect", "none.wasm", "--format", "json"]);
    let error = ran.exit(5).event("error");
    assert_eq!(error["code"], "no-such-file");
    assert_eq!(error["exit"], 5);
    assert_eq!(ran.json()[0]["tamis"], 1);
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        place.run(&["completions", shell]).exit(0).says("replay").says("inspect");
    }
}

#[test]
fn a_folder_without_a_package_says_what_to_do() {
    let place = Place::new();
    place.run(&["build"]).exit(2).talks("error[no-package]").talks("hint:");
    place.run(&["replay", &boutique()]).exit(2).talks("--filter");
    place.run(&["demo"]).exit(5).talks("error[no-filters]").talks("cargo xtask demo");
}

#[test]
fn no_test_is_no_success() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("tests")).unwrap();
    place.run(&["test", "tests"]).exit(4).talks("error[nothing-ran]");
    place.run(&["test", "none"]).exit(5);
}

#[test]
fn a_traffic_test_with_a_mistake_says_where() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    place.file("t.yaml", "filter: pass.wasm\ncaptur: x\n");
    place.run(&["test", "t.yaml"]).exit(5).talks("error[bad-test]: t.yaml:2:1").talks("hint:");
}

#[test]
fn ctrl_c_writes_what_is_done() {
    let place = Place::new();
    place.wasm("loops.wasm", &guests::loops());
    let capture = boutique();
    // Under `reload` each exchange burns its fuel: minutes of work to interrupt.
    let args = [
        "replay",
        &capture,
        "--filter",
        "loops.wasm",
        "--policy",
        "reload",
        "--fuel-limit",
        "400000000",
        "--format",
        "json",
    ];
    let child = place
        .command(&args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut child, id) = {
        let id = child.id();
        (child, id)
    };
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // Once the first exchange is told, the loop is on its way.
    while !line.contains("\"exchange\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stdout, &mut line).unwrap() > 0);
    }
    let killed = std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last: serde_json::Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "replayed", "{last}");
    assert_eq!(last["interrupted"], true);
    assert!(last["exchanges"].as_u64().unwrap() < 1238);
}
