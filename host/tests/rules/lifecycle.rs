//! Start, contexts, order of the end, shutdown (docs/envoy.md 1.4, 1.5).

use crate::guest::*;
use tamis_host::{FilterSpec, Module, Stage, Start, StartPhase, StartReason};
use tamis_traffic::Playback;

/// Logs a name and the context ids of every callback.
fn ids(name: &str) -> String {
    let mut guest = String::new();
    for (callback, params, result) in [
        ("on_context_create", 2, ""),
        ("on_vm_start", 2, "(i32.const 1)"),
        ("on_configure", 2, "(i32.const 1)"),
        ("on_log", 1, ""),
        ("on_done", 1, "(i32.const 0)"),
        ("on_delete", 1, ""),
    ] {
        let ty = if result.is_empty() { "" } else { "(result i32)" };
        let params = " i32".repeat(params);
        guest += &format!(
            "(func (export \"proxy_{callback}\") (param{params}) {ty} (call $say '{name}.{callback}') (call $num (local.get 0)) {result})\n"
        );
    }
    guest
}

fn pairs(lines: &[String]) -> Vec<String> {
    lines.chunks(2).map(|c| c.join(" ")).collect()
}

#[test]
fn envoy_1_5_log_goes_through_the_chain_then_done_and_delete_filter_by_filter() {
    let mut stage = chain(&[&ids("a"), &ids("b")]);
    let start: Vec<String> =
        stage.start_logs().iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect();
    let root = ["on_context_create 1", "on_vm_start 1", "on_configure 1"];
    let want: Vec<String> = ["a", "b"].iter().flat_map(|f| root.map(|r| format!("{f}.{r}"))).collect();
    assert_eq!(pairs(&start), want);
    let playback = play(&mut stage, &get());
    // Neither has a headers callback, yet both were reached, in order. `on_done` returning false changes nothing.
    let want = [
        "a.on_context_create 2",
        "b.on_context_create 2",
        "a.on_log 2",
        "b.on_log 2",
        "a.on_done 2",
        "a.on_delete 2",
        "b.on_done 2",
        "b.on_delete 2",
    ];
    assert_eq!(pairs(&logs(&playback)), want);
    let again = play(&mut stage, &get());
    assert_eq!(pairs(&logs(&again))[0], "a.on_context_create 3", "ids are never used twice");
}

#[test]
fn envoy_1_5_a_filter_that_was_not_reached_gets_create_log_done_delete() {
    let stop = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $reply (i32.const 401) 'no') (i32.const 0))"#;
    let seen = ids("b") + &say("on_request_headers", 3, true) + &say("on_response_headers", 3, true);
    let playback = play(&mut chain(&[stop, &seen]), &get());
    assert_eq!(logs(&playback)[1..].join(" "), "b.on_context_create 2 b.on_log 2 b.on_done 2 b.on_delete 2");
    assert!(!playback.filters[1].reached);
}

#[test]
fn envoy_1_5_filters_of_one_vm_have_roots_1_and_2() {
    let engine = engine();
    let module = Module::load(&engine, &wasm("0.2.1", &ids("x"))).unwrap();
    let mut stage = Stage::builder(&engine)
        .filter(FilterSpec::new("a", module.clone()))
        .filter(FilterSpec::new("b", module))
        .build()
        .unwrap();
    assert_eq!(
        stage.start_logs().iter().filter(|l| l.text.starts_with(b"x.on_vm_start")).count(),
        2,
        "per root"
    );
    let playback = play(&mut stage, &get());
    assert_eq!(pairs(&logs(&playback))[..2], ["x.on_context_create 3", "x.on_context_create 4"]);
}

fn refuse(body: &str) -> tamis_host::StartError {
    match builder(body).build() {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[test]
fn envoy_2_12_a_refused_configuration_is_a_start_failure() {
    let error = refuse(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (call $say 'bad config') (i32.const 0))"#,
    );
    assert_eq!((error.phase, &error.reason, error.filter), (StartPhase::Configure, &StartReason::Refused, 0));
    assert_eq!(error.logs[0].text, b"bad config");
    assert_eq!(error.to_string(), "filter `a` refused to start: `proxy_on_configure` returned false");
    let error = refuse(r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable)"#);
    assert_eq!(error.phase, StartPhase::VmStart);
    assert!(error.to_string().contains("trap in `proxy_on_vm_start`"), "{error}");
}

#[test]
fn envoy_1_4_initialize_may_log_and_nothing_else() {
    let stage = stage(r#"(func (export "_initialize") (call $say 'hello'))"#);
    assert_eq!(stage.start_logs()[0].text, b"hello");
    let error = refuse(r#"(func (export "_initialize") (drop (call $now (i32.const 0))))"#);
    assert_eq!(error.phase, StartPhase::Initialize);
    assert!(error.to_string().contains("proxy_get_current_time_nanoseconds"), "{error}");
    let both = r#"(func (export "_initialize") (call $say 'i')) (func (export "_start") (call $say 's'))"#;
    assert_eq!(stage_logs(both), ["i"], "_start runs only without _initialize");
    assert_eq!(stage_logs(r#"(func (export "_start") (call $say 's'))"#), ["s"]);
}

fn stage_logs(body: &str) -> Vec<String> {
    stage(body).start_logs().iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect()
}

#[test]
fn envoy_1_4_configurations_are_buffers_6_and_7_and_7_only_in_configure() {
    let engine = engine();
    let mut spec = filter(
        &engine,
        "a",
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (call $num (local.get 1)) (call $buffer (i32.const 7) (i32.const 0) (i32.const 99))
             (call $buffer (i32.const 6) (i32.const 0) (i32.const 99)) (i32.const 1))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $buffer (i32.const 7) (i32.const 0) (i32.const 99))
             (call $buffer (i32.const 6) (i32.const 0) (i32.const 99))
             (call $buffer (i32.const 9) (i32.const 0) (i32.const 99)) (i32.const 0))"#,
    );
    (spec.config, spec.vm_config) = (b"{}".to_vec(), b"vm".to_vec());
    let mut stage = Stage::builder(&engine).filter(spec).build().unwrap();
    let start: Vec<_> =
        stage.start_logs().iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect();
    assert_eq!(start, ["2", "0 {}", "0 vm"]);
    assert_eq!(logs(&play(&mut stage, &get())), ["1", "0 vm", "2"]);
}

#[test]
fn envoy_1_5_envoys_own_start_runs_initialize_four_times_and_configure_three_times() {
    let body = r#"(func (export "_initialize") (call $say 'init'))"#.to_owned() + &ids("a");
    let stage = builder(&body).start(Start::LikeEnvoy).build().unwrap();
    let count = |text: &[u8]| stage.start_logs().iter().filter(|l| l.text == text).count();
    assert_eq!((count(b"init"), count(b"a.on_configure")), (4, 3));
}

#[test]
fn envoy_1_5_shutdown_waits_for_proxy_done_when_on_done_said_false() {
    let patient = r#"(func (export "proxy_on_done") (param i32) (result i32)
            (call $say 'wait') (drop (call $tick (i32.const 100))) (i32.const 0))
        (func (export "proxy_on_tick") (param i32) (call $num (call $done)) (call $num (call $done)))
        (func (export "proxy_on_delete") (param i32) (call $say 'gone'))"#;
    let mut playback = Playback::default();
    stage(patient).shutdown(&mut playback);
    assert_eq!(logs(&playback)[..3], ["wait", "0", "1"]);
    assert_eq!(logs(&playback).last().map(String::as_str), Some("gone"));
    let ready =
        say("on_done", 1, true).replace("(i32.const 0))", "(i32.const 1))") + &say("on_delete", 1, false);
    let mut early = Playback::default();
    stage(&ready).shutdown(&mut early);
    assert_eq!(logs(&early), ["on_done", "on_delete"]);
}
