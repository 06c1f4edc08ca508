//! Injected faults: whose they are, what clients get, and what comes after (docs/envoy.md 2.6, 2.12).

use crate::callouts::{RESUME, Script, caller};
use crate::guest::*;
use std::time::Duration;
use tamis_host::{Answer, Answers, Clock, FailurePolicy, FilterSpec, Module, Stage, StageBuilder};
use tamis_traffic::{
    Blame, Callout, CalloutKind, Exchange, GrpcEnd, GrpcMessage, GrpcReply, GrpcStatus, Outcome, Playback,
};

/// Logs every callback; takes a header from the host in the request's.
fn talkative() -> String {
    let mut guest = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 0) 'x-before' '1'))
        (call $get (i32.const 0) 'x-in') (i32.const 0))"#
        .to_owned();
    guest += &say("on_request_body", 3, true);
    guest += &say("on_response_headers", 3, true);
    guest += &say("on_response_body", 3, true);
    guest += &say("on_log", 1, false);
    guest += &say("on_done", 1, true);
    guest += &say("on_delete", 1, false);
    guest
}

fn injected(builder: StageBuilder, specs: &[&str]) -> Stage {
    let add = |b: StageBuilder, (n, spec): (usize, &&str)| b.inject(n, spec.parse().unwrap(), None);
    specs.iter().enumerate().fold(builder, add).build().unwrap()
}

fn with_policy(policy: FailurePolicy, specs: &[&str]) -> Stage {
    let engine = engine();
    let mut spec = filter(&engine, "a", &talkative());
    spec.policy = policy;
    injected(Stage::builder(&engine).filter(spec).clock(Clock::Fixed(0)), specs)
}

#[track_caller]
fn check_end(playback: &Playback, status: Option<&str>, codes: &[&str], injected: &[usize]) {
    assert_eq!(reply_status(playback), status, "{:?}", playback.faults);
    assert_eq!(faults(playback), codes);
    assert_eq!(playback.injected, injected);
    assert!(playback.filters.iter().all(|f| !f.broke), "nothing of it is the filter's doing");
}

#[test]
fn envoy_2_12_an_injected_trap_strikes_once_and_closed_answers_from_then_on() {
    let mut stage = with_policy(FailurePolicy::Closed, &["trap@request_headers:2"]);
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    let struck = play(&mut stage, &get());
    check_end(&struck, Some("503"), &["injected-trap"], &[0]);
    assert_eq!(struck.faults[0].kind.blame(), Blame::Injection);
    assert_eq!((struck.faults[0].phase, struck.outcome), ("proxy_on_request_headers", Outcome::Failed));
    assert!(struck.filters[0].injected && logs(&struck).is_empty(), "none of its code ran");
    let next = play(&mut stage, &get());
    check_end(&next, Some("503"), &["injected-dead-vm"], &[]);
    assert!(next.filters[0].injected && !next.filters[0].skipped);
}

#[test]
fn envoy_2_12_open_skips_the_filter_after_an_injected_trap() {
    let mut stage = with_policy(FailurePolicy::Open, &["trap@request_headers"]);
    check_end(&play(&mut stage, &get()), Some("503"), &["injected-trap"], &[0]);
    let next = play(&mut stage, &get());
    check_end(&next, Some("200"), &[], &[]);
    assert!(next.filters[0].skipped && !next.filters[0].reached);
}

#[test]
fn envoy_2_12_a_reloaded_vm_serves_again_and_is_not_struck_again() {
    let mut stage = with_policy(FailurePolicy::Reload, &["trap@request_headers"]);
    let mut playback = Playback::default();
    check_end(&play(&mut stage, &get()), Some("503"), &["injected-trap"], &[0]);
    check_end(&play(&mut stage, &get()), Some("503"), &["injected-dead-vm"], &[]);
    stage.advance(Duration::from_secs(1), &mut playback);
    for _ in 0..2 {
        check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    }
}

#[test]
fn a_trap_in_a_later_phase_ends_as_there() {
    for (spec, status, outcome) in [
        ("trap@response_headers", Some("503"), Outcome::Failed),
        ("trap@response_body", Some("200"), Outcome::Reset),
        ("trap@log", Some("200"), Outcome::Forwarded),
        ("trap@context_create", Some("503"), Outcome::Failed),
        ("trap@delete", Some("200"), Outcome::Forwarded),
    ] {
        let mut guest = talkative();
        guest += "(func (export \"proxy_on_context_create\") (param i32 i32))";
        let mut stage = injected(builder(&guest), &[spec]);
        let playback = play(&mut stage, &post(&["one"]));
        check_end(&playback, status, &["injected-trap"], &[0]);
        assert_eq!(playback.outcome, outcome, "{spec}");
    }
}

#[test]
fn an_entry_counts_for_one_filter_of_a_shared_vm_and_kills_both() {
    let engine = engine();
    let module = Module::load(&engine, &wasm("0.2.1", &talkative())).unwrap();
    let shared = |name: &str| FilterSpec { vm_id: "one".into(), ..FilterSpec::new(name, module.clone()) };
    let mut stage = Stage::builder(&engine)
        .filter(shared("a"))
        .filter(shared("b"))
        .inject(5, "trap@request_headers:2/b".parse().unwrap(), Some(1))
        .build()
        .unwrap();
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    let struck = play(&mut stage, &get());
    // The reply goes back through the first filter, whose VM is the same.
    check_end(&struck, Some("503"), &["injected-trap", "injected-dead-vm"], &[5]);
    assert_eq!((struck.faults[0].filter, struck.faults[1].filter), (Some(1), Some(0)));
    check_end(&play(&mut stage, &get()), Some("503"), &["injected-dead-vm"], &[]);
}

#[test]
fn without_memory_the_first_to_want_any_ends_the_callback_and_edits_before_are_lost_with_it() {
    let mut stage = with_policy(FailurePolicy::Closed, &["oom@request_headers:2"]);
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    let struck = play(&mut stage, &get());
    check_end(&struck, Some("503"), &["injected-out-of-memory"], &[0]);
    assert_eq!(struck.faults[0].text, "wanted memory and got none, as asked for");

    let grows = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (i32.const 0))"#;
    let mut stage = injected(builder(grows), &["oom@request_headers:2"]);
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    check_end(&play(&mut stage, &get()), Some("503"), &["injected-out-of-memory"], &[0]);
}

#[test]
fn a_filter_that_wants_no_memory_does_not_miss_it() {
    let mut stage = injected(builder(&say("on_log", 1, false)), &["oom@log"]);
    for _ in 0..3 {
        check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    }
}

fn calling(specs: &[&str]) -> Stage {
    let guest = caller("ok", 100, RESUME);
    injected(builder(&guest).answers(Box::new(Script)).clock(Clock::Fixed(0)), specs)
}

#[test]
fn envoy_2_6_callouts_fail_in_the_ways_of_envoy() {
    for (spec, headers, body, status) in [
        ("callout-503", "3", "19", "0 503"),
        ("slow-callout", "3", "24", "0 504"),
        ("callout-reset", "0", "0", "2"),
    ] {
        let playback = play(&mut calling(&[spec]), &get());
        check_end(&playback, Some("200"), &[], &[0]);
        let logs = logs(&playback);
        // Status of the call, token; root, token, headers, body, status.
        let seen = (&logs[4], &logs[5], &logs[6]);
        let headers = if spec == "callout-503" { "4" } else { headers };
        assert_eq!(seen, (&headers.to_owned(), &body.to_owned(), &status.to_owned()), "{spec}: {logs:?}");
    }
}

#[test]
fn a_callout_fault_for_another_filter_leaves_this_one_alone() {
    let guest = caller("ok", 100, RESUME);
    let stage = builder(&guest).answers(Box::new(Script)).clock(Clock::Fixed(0));
    let mut stage = stage.inject(0, "callout-503/b".parse().unwrap(), Some(1)).build().unwrap();
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
}

#[track_caller]
fn check_left(spec: &str, exchange: &Exchange, lines: &[&str], upstream: bool, reply: Option<&str>) {
    let mut stage = injected(builder(&talkative()), &[spec]);
    let playback = play(&mut stage, exchange);
    check_end(&playback, reply, &["client-abort"], &[0]);
    assert_eq!(
        (playback.outcome, playback.details.as_str()),
        (Outcome::Reset, "downstream_remote_disconnect")
    );
    let logs = logs(&playback);
    assert_eq!(logs.strip_prefix(&["0 1".to_owned()][..]).unwrap(), lines, "{spec}");
    assert_eq!(playback.upstream.is_some(), upstream, "{spec}");
}

const END: &[&str] = &["on_log", "on_done", "on_delete"];

#[test]
fn envoy_1_5_a_client_that_leaves_ends_the_stream_with_log_done_delete() {
    check_left("client-abort", &get(), END, true, None);
    check_left("client-abort@request_headers", &get(), END, true, None);
    let body = &["on_request_body", "on_log", "on_done", "on_delete"];
    check_left("client-abort@request_body", &post(&["one", "two"]), body, true, None);
    let part = ["on_request_body", "on_request_body", "on_response_headers", "on_response_body"];
    let headers = [&part[..3], END].concat();
    check_left("client-abort@response_headers", &post(&["one"]), &headers, true, Some("200"));
    check_left("client-abort@response_body", &post(&["one"]), &[&part, END].concat(), true, Some("200"));
}

#[test]
fn a_client_that_has_its_answer_or_nothing_to_leave_in_is_not_struck() {
    let mut stage = injected(builder(&talkative()), &["client-abort@request_body"]);
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    // A response without a body is complete with its headers.
    let mut stage = injected(builder(&talkative()), &["client-abort@response_headers"]);
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
    let denies = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $reply (i32.const 403) 'no') (i32.const 1))"#;
    let mut stage = injected(builder(denies), &["client-abort"]);
    check_end(&play(&mut stage, &get()), Some("403"), &[], &[]);
}

#[test]
fn envoy_row_17_the_answer_for_a_client_that_left_comes_on_the_root() {
    let mut stage = calling(&["client-abort@request_headers"]);
    let playback = play(&mut stage, &get());
    check_end(&playback, None, &["client-abort"], &[0]);
    let mut later = Playback::default();
    stage.advance(Duration::from_millis(100), &mut later);
    let logs = logs(&later);
    assert_eq!(logs.last().map(String::as_str), Some("0"), "continuing does nothing: {logs:?}");
    assert!(logs.contains(&"2".to_owned()), "the context is gone: {logs:?}");
}

#[test]
fn a_replay_with_faults_is_the_same_twice() {
    let run = || -> Vec<(Vec<usize>, Outcome)> {
        let mut stage =
            injected(builder(&talkative()), &["client-abort:30%", "client-abort@response_headers:30%"]);
        (0..200).map(|_| play(&mut stage, &post(&["one"]))).map(|p| (p.injected.clone(), p.outcome)).collect()
    };
    let first = run();
    assert!(first.iter().any(|(i, _)| i == &[0]) && first.iter().any(|(i, _)| i == &[1]));
    assert_eq!(first, run());
}

/// What a gRPC call, or a stream that says something, gets under a fault: the callbacks, and the status at the end.
fn in_grpc(asks: &str, spec: &str) -> Vec<String> {
    let tells = r#"
        (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32) (call $say 'initial'))
        (func (export "proxy_on_grpc_receive") (param i32 i32 i32) (call $say 'message'))
        (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32) (call $say 'trailing'))
        (func (export "proxy_on_grpc_close") (param i32 i32 i32) (call $say 'closed') (call $num (local.get 2)))"#;
    let guest = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {asks} (i32.const 0)) {tells}"#
    );
    let stage = builder(&guest).answers(Box::new(Echo)).clock(Clock::Fixed(0));
    let specs: &[&str] = if spec.is_empty() { &[] } else { &[spec] };
    let mut stage = injected(stage, specs);
    let mut all = logs(&play(&mut stage, &get()));
    let mut later = Playback::default();
    stage.advance(Duration::from_secs(10), &mut later);
    all.extend(logs(&later));
    all.retain(|line| !line.starts_with("0"));
    all
}

/// A peer that answers each message with one, and ends when the filter does.
struct Echo;

impl Answers for Echo {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let open = callout.kind == CalloutKind::GrpcStream;
        let message = GrpcMessage { bytes: b"m".to_vec(), ..GrpcMessage::default() };
        let messages = if open { Vec::new() } else { vec![message] };
        let end = if open { GrpcEnd::Open } else { GrpcEnd::Status(GrpcStatus::default()) };
        Answer::Grpc(GrpcReply { messages, end, ..GrpcReply::default() })
    }

    fn sent(&mut self, _: &Callout, message: Option<&[u8]>, _: bool) -> Option<GrpcReply> {
        let bytes = message?.to_vec();
        let messages = vec![GrpcMessage { bytes, ..GrpcMessage::default() }];
        Some(GrpcReply { messages, end: GrpcEnd::Open, ..GrpcReply::default() })
    }
}

#[test]
fn envoy_2_7_grpc_callouts_fail_in_the_ways_of_envoy() {
    let call = "(call $grpc_call 'grpc' 'ping' (i32.const 100))";
    let stream = "(call $grpc_stream 'grpc') (drop (call $grpc_send (i32.const 6) (i32.const 0) (i32.const 1) (i32.const 0)))";
    // The token is in the log too.
    for (spec, of_call, of_stream) in [
        ("", &["5", "message"][..], &["6", "initial", "message"][..]),
        ("callout-503", &["5", "closed", "14"], &["6", "initial", "trailing", "closed", "14"]),
        ("callout-reset", &["5", "closed", "13"], &["6", "initial", "trailing", "closed", "13"]),
        ("slow-callout", &["5", "closed", "14"], &["6"]),
    ] {
        assert_eq!(in_grpc(call, spec), of_call, "{spec}");
        assert_eq!(in_grpc(stream, spec), of_stream, "{spec}");
    }
}
