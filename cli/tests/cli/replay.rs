//! `tamis replay` of filters that work.

use crate::guests;
use crate::support::{Place, boutique};

#[test]
fn a_filter_that_does_nothing_leaves_every_exchange_as_it_was() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    let ran = place.run(&["replay", &boutique(), "--filter", "pass.wasm", "--format", "json"]);
    ran.exit(0);
    let lines = ran.json();
    assert_eq!(lines[0]["tamis"], 1, "the first line names the version");
    assert_eq!(lines[1]["event"], "start");
    assert_eq!(lines.iter().filter(|l| l["event"] == "exchange").count(), 1238);
    let summary = ran.event("replayed");
    assert_eq!(summary["verdicts"]["forwarded"], 1238, "{summary}");
    assert_eq!(summary["capture"]["taken"], 1238);
    assert_eq!(summary["capture"]["incomplete"], 5);
    assert_eq!(summary["faults"].as_array().unwrap().len(), 0, "{summary}");
}

#[test]
fn an_added_header_is_shown_by_route_and_as_a_difference() {
    let place = Place::new();
    place.wasm("adds.wasm", &guests::adds());
    let ran = place.run(&["replay", &boutique(), "--filter", "adds.wasm"]);
    ran.exit(0)
        .says("filter adds")
        .says("/hipstershop.CurrencyService/Convert")
        .says("request header x-new added: value")
        .says("1,238 played: 1,238 changed")
        .says("1,238 taken, 5 incomplete")
        .says("exchanges/s");
    place.run(&["replay", &boutique(), "--filter", "adds.wasm", "--fail-on", "answered,changed"]).exit(1);
}

#[test]
fn a_chain_is_told_apart_by_filter() {
    let place = Place::new();
    place
        .wasm("adds.wasm", &guests::adds())
        .wasm("denies.wasm", &guests::denies())
        .wasm("pass.wasm", &guests::pass());
    place.file(
        "chain.yaml",
        "filters:\n- {filter: adds.wasm, name: first}\n- filter: denies.wasm\n- filter: pass.wasm\n",
    );
    let ran =
        place.run(&["replay", &boutique(), "--chain", "chain.yaml", "--limit", "20", "--format", "json"]);
    ran.exit(0);
    let summary = ran.event("replayed");
    let filters = summary["filters"].as_array().unwrap();
    assert_eq!(filters[0]["name"], "first");
    assert_eq!(filters[0]["counts"]["changed"], 20, "{summary}");
    assert_eq!(filters[1]["counts"]["answered"], 20, "{summary}");
    assert_eq!(summary["verdicts"]["answered"], 20);
    let exchange = ran.event("exchange");
    assert_eq!(exchange["answered"]["by"], "denies");
    assert!(filters[0]["fuel"].as_u64().unwrap() > 0);
    let twice = place.run(&[
        "replay",
        &boutique(),
        "--filter",
        "adds.wasm",
        "--filter",
        "denies.wasm",
        "--limit",
        "20",
    ]);
    twice.exit(0).says("adds → denies");
}

#[test]
fn where_and_limit_choose() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    let condition = r#"request.path == "/hipstershop.PaymentService/Charge""#;
    let ran = place.run(&[
        "replay",
        &boutique(),
        "--filter",
        "pass.wasm",
        "--where",
        condition,
        "--format",
        "json",
    ]);
    assert_eq!(ran.exit(0).event("replayed")["exchanges"], 14);
    let ran =
        place.run(&["replay", &boutique(), "--filter", "pass.wasm", "--where", "request.path == '/none'"]);
    ran.exit(4).talks("error[nothing-ran]").talks("--where");
    let ran = place.run(&["replay", &boutique(), "--filter", "pass.wasm", "--where", "request.pth == 'x'"]);
    ran.exit(2).talks("error[bad-expression]").talks("request.path");
}

#[test]
fn the_same_replay_twice_is_the_same() {
    let place = Place::new();
    place.wasm("adds.wasm", &guests::adds());
    let args = ["replay", &boutique(), "--filter", "adds.wasm", "--limit", "100", "--format", "json"];
    let exchanges =
        || -> Vec<_> { place.run(&args).json().into_iter().filter(|l| l["event"] == "exchange").collect() };
    let first = exchanges();
    assert_eq!(first.len(), 100);
    assert_eq!(first, exchanges());
}

#[test]
fn reports_are_files() {
    let place = Place::new();
    place.wasm("traps.wasm", &guests::traps());
    let capture = boutique();
    let ran = place.run(&[
        "replay",
        &capture,
        "--filter",
        "traps.wasm",
        "--limit",
        "3",
        "--report",
        "junit=r.xml",
        "--report",
        "json=r.jsonl",
    ]);
    ran.exit(1);
    let xml = std::fs::read_to_string(place.path().join("r.xml")).unwrap();
    assert!(xml.starts_with("<?xml") && xml.contains("<failure type=\"broke\""), "{xml}");
    let lines = std::fs::read_to_string(place.path().join("r.jsonl")).unwrap();
    assert!(lines.starts_with("{") && lines.lines().next().unwrap().contains("\"tamis\":1"), "{lines}");
    assert!(lines.lines().last().unwrap().contains("\"replayed\""), "{lines}");
    place
        .run(&["replay", &capture, "--filter", "traps.wasm", "--report", "junit=no/such/folder/r.xml"])
        .exit(70)
        .talks("error[cannot-write]");
}

#[test]
fn nothing_on_stdout_but_data_and_no_colour_in_a_pipe() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    let ran = place.run(&["replay", &boutique(), "--filter", "pass.wasm", "--quiet", "--limit", "1"]);
    ran.exit(0);
    assert_eq!(ran.err, "");
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    let ran =
        place.run(&["replay", &boutique(), "--filter", "pass.wasm", "--limit", "1", "--color", "always"]);
    assert!(ran.out.contains('\u{1b}'), "{}", ran.out);
}

#[test]
fn recorded_services_answer_the_calls_of_filters() {
    let place = Place::new();
    place.wasm("calls.wasm", &guests::calls());
    let base = ["replay", &boutique(), "--filter", "calls.wasm", "--limit", "3", "--format", "json"];
    let ran = place.run(&base);
    let summary = ran.exit(0).event("replayed");
    assert_eq!(summary["callouts"], 3, "{summary}");
    assert_eq!(summary["faults"][0]["kind"], "unanswered-callout", "{summary}");
    let ran = place.run(&[&base[..], &["--callouts", &boutique()]].concat());
    let summary = ran.exit(0).event("replayed");
    assert_eq!(summary["callouts"], 3, "{summary}");
    assert_eq!(summary["faults"].as_array().map(Vec::len), Some(0), "{summary}");
}

#[test]
fn the_host_is_chosen_and_told_of_the_proxy() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    let run = |more: &[&str]| {
        let boutique = boutique();
        let mut args = vec!["replay", boutique.as_str(), "--filter", "pass.wasm", "--limit", "3"];
        args.extend(more);
        place.run(&args)
    };
    run(&["--profile", "envoy-1.36", "--buffer-limit", "32KiB", "--allow-on-headers-stop-iteration"]).exit(0);
    run(&["--profile", "envoy-1.34", "--allow-on-headers-stop-iteration"])
        .exit(1)
        .talks("Envoy 1.34 does not know `allow_on_headers_stop_iteration`");
    run(&["--profile", "envoy-1.32"]).exit(2).talks("supported: envoy-1.33, ").talks("envoy-1.40");
    run(&["--properties", r#"{"xds":{"node":{"id":"me"}}}"#]).exit(0);
    run(&["--properties", "[1]"]).talks("`--properties` is no tree of properties");
}
