//! Traps, limits and failure policies (docs/envoy.md 2.12), and what this host does not have.

use crate::guest::*;
use tamis_host::{Clock, FailurePolicy, FilterSpec, Stage};
use tamis_traffic::{Outcome, Playback};

/// Traps when the request has the header `x-trap`, after an edit; logs every other callback.
fn trapping() -> String {
    let mut guest = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 0) 'x-before' '1'))
        (if (i32.eqz (call $get_ (i32.const 0) 'x-trap' (i32.const 0) (i32.const 4))) (then unreachable))
        (i32.const 0))"#
        .to_owned();
    guest += &say("on_response_headers", 3, true);
    guest += &say("on_log", 1, false);
    guest += &say("on_done", 1, true);
    guest += &say("on_delete", 1, false);
    guest
}

fn with_policy(policy: FailurePolicy) -> Stage {
    let engine = engine();
    let mut spec = filter(&engine, "a", &trapping());
    spec.policy = policy;
    Stage::builder(&engine).filter(spec).clock(Clock::Fixed(0)).build().unwrap()
}

fn bomb() -> tamis_traffic::Exchange {
    let mut exchange = get();
    exchange.request.get_mut().unwrap().headers.push(b"x-trap", b"1");
    exchange
}

#[track_caller]
fn check_end(playback: &Playback, status: Option<&str>, codes: &[&str], lines: &[&str]) {
    assert_eq!(reply_status(playback), status, "{:?}", playback.faults);
    assert_eq!(faults(playback), codes);
    assert_eq!(logs(playback), lines);
}

const ALL: &[&str] = &["on_response_headers", "on_log", "on_done", "on_delete"];

#[test]
fn envoy_2_12_closed_answers_503_from_the_trap_on() {
    let mut stage = with_policy(FailurePolicy::Closed);
    check_end(&play(&mut stage, &get()), Some("200"), &[], ALL);
    let trapped = play(&mut stage, &bomb());
    check_end(&trapped, Some("503"), &["trap"], &[]);
    assert_eq!((trapped.outcome, trapped.details.as_str()), (Outcome::Failed, "wasm_fail_stream"));
    assert!(trapped.reply.get().unwrap().body.bytes.is_empty() && trapped.filters[0].broke);
    assert_eq!(trapped.faults[0].phase, "proxy_on_request_headers");
    assert!(trapped.faults[0].text.contains("unreachable"), "{}", trapped.faults[0].text);
    check_end(&play(&mut stage, &get()), Some("503"), &["dead-vm"], &[]);
}

#[test]
fn envoy_2_12_open_skips_the_filter_after_the_request_that_trapped() {
    let mut stage = with_policy(FailurePolicy::Open);
    check_end(&play(&mut stage, &bomb()), Some("503"), &["trap"], &[]);
    let next = play(&mut stage, &get());
    check_end(&next, Some("200"), &[], &[]);
    assert!(!next.filters[0].reached);
}

#[test]
fn envoy_2_12_the_old_fail_open_lets_the_trapping_request_through_with_its_edits() {
    let mut stage = with_policy(FailurePolicy::LegacyOpen);
    let trapped = play(&mut stage, &bomb());
    check_end(&trapped, Some("200"), &["trap"], &[]);
    assert_eq!(trapped.upstream.get().unwrap().headers.text("x-before"), Some("1"));
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
}

#[test]
fn envoy_2_12_reload_waits_for_its_back_off() {
    let mut stage = with_policy(FailurePolicy::Reload);
    let mut playback = Playback::default();
    check_end(&play(&mut stage, &bomb()), Some("503"), &["trap"], &[]);
    check_end(&play(&mut stage, &get()), Some("503"), &["dead-vm"], &[]);
    stage.advance(std::time::Duration::from_millis(1000), &mut playback);
    check_end(&play(&mut stage, &get()), Some("200"), &[], ALL);
}

#[test]
fn envoy_1_5_filters_with_one_vm_id_share_one_vm_and_its_fate() {
    let engine = engine();
    let module = tamis_host::Module::load(&engine, &wasm("0.2.1", &trapping())).unwrap();
    let shared = |name: &str| FilterSpec { vm_id: "one".into(), ..FilterSpec::new(name, module.clone()) };
    let mut stage = Stage::builder(&engine).filter(shared("a")).filter(shared("b")).build().unwrap();
    check_end(&play(&mut stage, &bomb()), Some("503"), &["trap"], &[]);
    let next = play(&mut stage, &get());
    check_end(&next, Some("503"), &["dead-vm"], &[]);
}

#[test]
fn a_trap_of_the_second_filter_leaves_the_first_one_alive() {
    let first = say("on_response_headers", 3, true) + &say("on_log", 1, false);
    let playback = play(&mut chain(&[&first, &trapping()]), &bomb());
    check_end(&playback, Some("503"), &["trap"], &["on_response_headers", "on_log"]);
}

#[test]
fn a_loop_without_end_runs_out_of_fuel() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (loop $l (br $l)) (i32.const 0))"#;
    let mut stage = builder(body).fuel_per_callback(10_000).build().unwrap();
    let playback = play(&mut stage, &get());
    check_end(&playback, Some("503"), &["out-of-fuel"], &[]);
    assert_eq!(playback.filters[0].cost.fuel, 10_000);
}

#[test]
fn envoy_2_12_memory_grows_to_its_limit_and_not_beyond() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $num (memory.grow (i32.const 16)))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (i32.const 0))"#;
    let mut stage = builder(body).memory_limit(2 << 20).build().unwrap();
    let playback = play(&mut stage, &get());
    check_end(&playback, Some("503"), &["out-of-memory"], &["16"]);
    assert_eq!(playback.filters[0].cost.memory_grown, 1 << 20);
}

#[test]
fn envoy_2_12_a_stack_without_end_traps() {
    let body = r#"(func $f (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $f (i32.const 0)))"#;
    let playback = check(body, &get(), &[]);
    check_end(&playback, Some("503"), &["trap"], &[]);
    assert!(playback.faults[0].text.contains("stack"), "{}", playback.faults[0].text);
}

#[test]
fn what_the_host_lacks_ends_the_playback_by_name_and_the_next_one_goes_on() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (i32.eqz (call $get_ (i32.const 0) 'x-trap' (i32.const 0) (i32.const 4)))
          (then (call $foreign 'expr_create' 'envoy.config.core.v3.Node{}')))
        (i32.const 0))"#;
    let mut stage = stage(body);
    let playback = play(&mut stage, &bomb());
    assert_eq!(faults(&playback), ["not-supported"]);
    assert!(playback.faults[0].text.contains("makes a message"), "{}", playback.faults[0].text);
    check_end(&play(&mut stage, &get()), Some("200"), &[], &[]);
}

#[test]
fn a_recording_without_request_is_not_playable() {
    let mut exchange = get();
    exchange.request.clear();
    let playback = play(&mut stage(""), &exchange);
    assert_eq!((faults(&playback), playback.outcome), (vec!["not-playable"], Outcome::Open));
}
