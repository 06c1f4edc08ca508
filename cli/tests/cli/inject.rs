//! `tamis replay --inject`: what clients get, and what comes after.

use crate::guests;
use crate::support::{Place, Ran, boutique, real};
use serde_json::Value;

/// The row of one fault in the last line.
fn row(ran: &Ran, fault: usize) -> Value {
    ran.event("replayed")["injected"][fault].clone()
}

fn passing() -> Place {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    place
}

const TRAP: &str = "trap@request_headers:3";

#[test]
fn fail_closed_is_seen_before_production() {
    let place = passing();
    let args = ["replay", &boutique(), "--filter", "pass.wasm", "--inject", TRAP];
    let ran = place.run(&[&args[..], &["--format", "json"]].concat());
    let summary = ran.exit(0).event("replayed");
    // gRPC calls: Envoy's 503 is a 200 with a gRPC status.
    assert_eq!(summary["verdicts"]["unclear"], 1236, "{summary}");
    assert_eq!(summary["verdicts"]["broke"], 0, "an injected trap is not the filter's");
    let row = row(&ran, 0);
    assert_eq!(
        (&row["fault"], &row["exchanges"], &row["same"]),
        (&TRAP.into(), &1.into(), &0.into()),
        "{row}"
    );
    assert_eq!(row["other"]["200 with grpc-status 14"], 1, "{row}");
    assert_eq!(row["killed"]["filter"], "pass");
    assert_eq!((&row["killed"]["refused"], &row["killed"]["skipped"]), (&1235.into(), &0.into()), "{row}");
    let struck: Vec<Value> = ran.json().into_iter().filter(|l| !l["injected"].is_null()).collect();
    assert_eq!((struck.len(), &struck[0]["injected"][0]), (2, &TRAP.into()), "the exchange and the summary");
    assert_eq!(struck[0]["faults"][0]["kind"], "injected-trap");
    assert_eq!(struck[0]["faults"][0]["blame"], "injection");

    place
        .run(&args)
        .exit(0)
        .says("injected faults")
        .says("clients got 200 with grpc-status 14 ×1")
        .says("`pass` was dead afterwards (policy closed): 1,235 exchanges answered by its dead VM")
        .says("injected-dead-vm ×1,235");
}

#[test]
fn fail_open_and_reload_end_otherwise() {
    let place = passing();
    let run = |policy: &str| {
        let args = [
            "replay",
            &boutique(),
            "--filter",
            "pass.wasm",
            "--inject",
            TRAP,
            "--format",
            "json",
            "--policy",
            policy,
        ];
        let ran = place.run(&args);
        ran.exit(0);
        (row(&ran, 0)["killed"].clone(), ran.event("replayed")["verdicts"].clone())
    };
    let (killed, verdicts) = run("open");
    assert_eq!(
        (&killed["skipped"], &killed["refused"], &killed["policy"]),
        (&1235.into(), &0.into(), &"open".into())
    );
    assert_eq!((&verdicts["forwarded"], &verdicts["unclear"]), (&1237.into(), &1.into()));
    let (killed, verdicts) = run("reload");
    assert_eq!((&killed["revived"], &killed["policy"]), (&true.into(), &"reload".into()));
    assert!(verdicts["forwarded"].as_u64().unwrap() > 1000, "{verdicts}");
}

#[test]
fn a_client_that_leaves_gets_nothing_and_the_filter_serves_on() {
    let place = passing();
    let ran = place.run(&[
        "replay",
        &boutique(),
        "--filter",
        "pass.wasm",
        "--inject",
        "client-abort@response_headers:20%",
        "--inject",
        "split-chunks:50%",
        "--format",
        "json",
    ]);
    ran.exit(0);
    let (left, split) = (row(&ran, 0), row(&ran, 1));
    assert_eq!(left["exchanges"], left["nothing"]);
    let count = left["exchanges"].as_u64().unwrap();
    assert!((150..350).contains(&count), "{left}");
    assert!(split["exchanges"].as_u64().unwrap() > 400, "{split}");
    assert!(left["killed"].is_null() && split["killed"].is_null());
    let again = place.run(&[
        "replay",
        &boutique(),
        "--filter",
        "pass.wasm",
        "--inject",
        "client-abort@response_headers:20%",
        "--inject",
        "split-chunks:50%",
        "--format",
        "json",
    ]);
    assert_eq!((row(&again, 0), row(&again, 1)), (left, split));
}

/// Traps when the last byte of `x-user` is no ASCII.
fn fragile() -> String {
    guests::guest(
        r#"(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (data (i32.const 100) "x-user")"#,
        "(drop (call $get (i32.const 0) (i32.const 100) (i32.const 6) (i32.const 0) (i32.const 4)))
         (if (i32.ge_u (i32.load8_u (i32.sub (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.const 1)))
                       (i32.const 128)) (then unreachable))
         i32.const 0",
    )
}

#[test]
fn a_filter_that_breaks_on_odd_bytes_is_to_blame_itself() {
    let place = Place::new();
    place.wasm("fragile.wasm", &fragile());
    let one = r#"{"tamis":1,"request":{"headers":[[":method","GET"],[":path","/"],[":authority","a"],["x-user","me"]]},"response":{"headers":[[":status","200"]]}}"#;
    place.file("c.jsonl", format!("{one}\n{one}\n{one}\n"));
    let args = ["replay", "c.jsonl", "--filter", "fragile.wasm", "--format", "json"];
    place.run(&args).exit(0);
    let ran = place.run(&[&args[..], &["--inject", "odd-header-bytes"]].concat());
    ran.exit(1);
    let row = row(&ran, 0);
    assert_eq!(
        (&row["exchanges"], &row["broke"], &row["other"]["503"]),
        (&3.into(), &3.into(), &3.into()),
        "{row}"
    );
    assert_eq!(
        (&row["killed"]["filter"], &row["killed"]["refused"]),
        (&"fragile".into(), &2.into()),
        "{row}"
    );
    let human = place.run(&[&args[..4], &["--inject", "odd-header-bytes"]].concat());
    human.exit(1).says("odd-header-bytes: a filter broke by itself in 3 exchanges");
}

#[test]
fn what_struck_nothing_says_so() {
    let place = passing();
    let ran =
        place.run(&["replay", &boutique(), "--filter", "pass.wasm", "--inject", "trap@request_trailers"]);
    ran.exit(0).says("trap@request_trailers: struck nothing, so this replay says nothing about it");
}

#[test]
fn a_mistake_in_a_fault_says_where_and_what_would_do() {
    let place = passing();
    let replay =
        |more: &[&str]| place.run(&[&["replay", &boutique(), "--filter", "pass.wasm"], more].concat());
    replay(&["--inject", "trap@request_header:3"])
        .exit(2)
        .talks("error[bad-injection]")
        .talks("column 6: unknown phase `request_header`")
        .talks("did you mean `request_headers`?");
    replay(&["--inject", "trap@log/past"]).exit(2).talks("no filter `past`").talks("did you mean `pass`?");
    let chain = replay(&["--filter", "pass.wasm", "--inject", "oom"]);
    chain.exit(2).talks("`oom` does not say which filter of the chain").talks("`oom/pass`");
    place.run(&["explain", "bad-injection"]).exit(0).says("KIND[@PHASE[:N]]");
    place.run(&["explain", "injected-trap"]).exit(0).says("no bug of the filter");
    place.run(&["replay", "--help"]).exit(0).says("client-abort@PHASE");
}

#[test]
fn the_shipped_filters_hold_against_what_clients_and_networks_do() {
    let place = Place::new();
    let demo = |name: &str| {
        let config = format!("{}/demo/{name}.json", env!("CARGO_MANIFEST_DIR"));
        format!("- {{filter: {:?}, name: {name}, config: {config:?}}}\n", real(name))
    };
    place.file(
        "chain.yaml",
        format!("filters:\n{}", ["header-routing", "auth", "rate-limit"].map(demo).concat()),
    );
    let faults = ["odd-header-bytes:30%", "dup-header:30%", "split-chunks:50%", "client-abort:5%"];
    let mut args = vec!["replay".to_owned(), boutique(), "--chain".into(), "chain.yaml".into()];
    args.extend(["--format".into(), "json".into()]);
    faults.iter().for_each(|f| args.extend(["--inject".into(), (*f).into()]));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = place.run(&args);
    ran.exit(0);
    for fault in 0..faults.len() {
        let row = row(&ran, fault);
        assert!(
            row["exchanges"].as_u64().unwrap() > 20 && row["broke"] == 0 && row["killed"].is_null(),
            "{row}"
        );
    }
    // A trap of the last filter of the chain, under the policy of each.
    let trap = place.run(&[&args[..4], &["--inject", "trap@request_headers:5/auth"]].concat());
    trap.exit(0).says("`auth` was dead afterwards (policy closed)");
}

#[test]
fn a_traffic_test_holds_with_the_faults_in_it() {
    let place = passing();
    let one = r#"{"tamis":1,"request":{"headers":[[":method","GET"],[":path","/"],[":authority","a"]]},"response":{"headers":[[":status","200"]]}}"#;
    place.file("c.jsonl", format!("{one}\n{one}\n"));
    let test = |inject: &str, expect: &str| {
        format!(
            "filter: pass.wasm\ncapture: c.jsonl\nhost: {{inject: [{inject}]}}\nexpect: [{{name: x, {expect}}}]\n"
        )
    };
    place.file("ok.yaml", test("trap@request_headers/pass", "faults: none, reply: {status: 503}"));
    place.run(&["test", "ok.yaml"]).exit(0).says("1 passed");
    place.file("bad.yaml", test("dup-header", "upstream: {headers: {x-client-note: absent}}"));
    place.run(&["test", "bad.yaml"]).exit(1).says("x-client-note");
    place.file("name.yaml", test("trap@log/past", "faults: none"));
    place.run(&["test", "name.yaml"]).exit(2).says("name.yaml:3").says("did you mean `pass`?");
}
