//! Time, ticks, queues, shared data, properties, randomness of ids (docs/envoy.md 2.8, 2.9).

use crate::guest::*;
use std::time::Duration;
use tamis_host::{Clock, MetricKind, Stage};
use tamis_traffic::{LogLevel, Outcome, Playback};

#[test]
fn envoy_2_8_ticks_come_each_period_of_virtual_time() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (call $tick (i32.const 100))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (drop (call $now (i32.const 16)))
          (call $num (i32.wrap_i64 (i64.div_u (i64.load (i32.const 16)) (i64.const 1000000)))))"#;
    let mut stage = builder(body).clock(Clock::Fixed(0)).build().unwrap();
    let mut playback = Playback::default();
    stage.advance(Duration::from_millis(350), &mut playback);
    assert_eq!(logs(&playback), ["100", "200", "300"]);
}

#[test]
fn a_paused_stream_is_woken_by_a_tick() {
    let body = r#"(global $s (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $s (local.get 0)) (drop (call $tick (i32.const 1000))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $tick (i32.const 0)))
          (call $num (call $effective (global.get $s))) (call $num (call $continue (i32.const 0))))"#;
    let playback = check(body, &post(&["abc"]), &["0", "0"]);
    assert_eq!(
        (playback.outcome, &playback.upstream.get().unwrap().body.bytes[..]),
        (Outcome::Forwarded, &b"abc"[..])
    );
}

#[test]
fn the_recorded_clock_jumps_forward_and_never_back() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (drop (call $now (i32.const 16)))
          (call $num (i32.wrap_i64 (i64.load (i32.const 16)))) (i32.const 0))"#;
    let mut stage = stage(body);
    let mut at = |nanos| {
        let exchange = tamis_traffic::Exchange { started: Some(nanos), ..get() };
        logs(&play(&mut stage, &exchange)).concat()
    };
    assert_eq!((at(5_000).as_str(), at(4_000).as_str(), at(6_000).as_str()), ("5000", "5000", "6000"));
}

#[test]
fn filters_count_as_started_five_seconds_before_the_first_recorded_exchange() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (call $tick (i32.const 2000))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (call $say 'tick'))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $say 'request') (i32.const 0))"#;
    let exchange = tamis_traffic::Exchange { started: Some(1_790_000_000_000_000_000), ..get() };
    check(body, &exchange, &["tick", "tick", "request"]);
}

#[test]
fn a_stage_without_filters_forwards_what_was_recorded() {
    let mut stage = Stage::builder(&engine()).build().unwrap();
    let exchange = post(&["ab", "c"]);
    let playback = play(&mut stage, &exchange);
    let (sent, reply) = (playback.upstream.get().unwrap(), playback.reply.get().unwrap());
    assert_eq!(sent, exchange.request.get().unwrap());
    assert_eq!(reply.body.bytes, b"ok");
    assert_eq!((playback.outcome, playback.faults.len()), (Outcome::Forwarded, 0));
}

#[test]
fn envoy_2_8_one_ready_event_for_each_message_after_the_callback() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (call $register 'q' (i32.const 0))) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $num (call $enqueue (i32.const 1) 'm')) (call $num (call $enqueue (i32.const 1) 'n'))
          (call $num (call $enqueue (i32.const 2) 'n')) (i32.const 0))
        (func (export "proxy_on_queue_ready") (param i32 i32) (call $say 'ready') (call $num (local.get 1)))"#;
    check(body, &get(), &["0", "0", "1", "ready", "1", "ready", "1"]);
}

#[test]
fn envoy_2_8_shared_data_with_cas() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $shared 'k')
        (call $num (call $set_shared 'k' 'v' (i32.const 99)))
        (call $shared 'k') (call $num (i32.load (i32.const 8)))
        (call $num (call $set_shared 'k' 'w' (i32.const 99)))
        (call $num (call $set_shared 'k' '' (i32.const 1)))
        (call $shared 'k') (i32.const 0))"#;
    check(body, &get(), &["1", "0", "0 v", "1", "8", "0", "0 "]);
}

#[test]
fn envoy_2_9_some_properties_by_phase() {
    let ask = "(call $property 'request.path') (call $property 'plugin_name') (call $property 'response.code') (call $property 'request') (call $property 'cluster_name')";
    let ask = ask.replace('.', "\0");
    let body = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {ask}
             (call $num (call $set_property 'mine' 'v')) (call $property 'mine') (i32.const 0))
           (func (export "proxy_on_tick") (param i32) (call $num (call $set_property 'mine' 'v')))
           (func (export "proxy_on_log") (param i32) (call $property 'request{}path') (call $property 'mine'))"#,
        '\0'
    );
    check(&body, &get(), &["0 /", "0 a", "1", "3", "1", "0", "0 v", "0 /", "0 v"]);
}

#[test]
fn log_lines_below_the_level_are_dropped() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $num (call $log (i32.const 0) 'trace')) (call $num (call $log (i32.const 4) 'error'))
        (call $num (call $log (i32.const 6) 'none')) (call $num (call $log (i32.const 4) (i32.const -1) (i32.const 2)))
        (i32.const 0))"#;
    check(body, &get(), &["0", "error", "0", "2", "6"]);
    let mut stage = builder(body).log_level(LogLevel::Error).build().unwrap();
    assert_eq!(logs(&play(&mut stage, &get())), ["error"]);
}

#[test]
fn the_same_replay_is_the_same_twice() {
    let body =
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let wat = format!(
        r#"(module {body} (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
              (drop (call $random (i32.const 64) (i32.const 16)))
              (drop (call $log (i32.const 2) (i32.const 64) (i32.const 16))) (i32.const 0)))"#
    );
    let engine = engine();
    let module = tamis_host::Module::load(&engine, &wat::parse_str(wat).unwrap()).unwrap();
    let run = |seed| {
        let spec = tamis_host::FilterSpec::new("r", module.clone());
        let mut stage = Stage::builder(&engine).filter(spec).seed(seed).build().unwrap();
        [play(&mut stage, &get()).logs, play(&mut stage, &get()).logs]
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
    assert_ne!(first[0], first[1]);
}

#[test]
fn envoy_2_8_metrics_live_in_the_stage() {
    let wat = r#"(module
        (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_increment_metric" (func $inc (param i32 i64) (result i32)))
        (memory (export "memory") 1) (data (i32.const 64) "hits")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $define (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0)))
          (drop (call $inc (i32.load (i32.const 0)) (i64.const 2))) (i32.const 0)))"#;
    let engine = engine();
    let module = tamis_host::Module::load(&engine, &wat::parse_str(wat).unwrap()).unwrap();
    let mut stage = Stage::builder(&engine).filter(tamis_host::FilterSpec::new("m", module)).build().unwrap();
    play(&mut stage, &get());
    play(&mut stage, &get());
    let metrics = stage.metrics();
    assert_eq!(
        (metrics[0].name.as_str(), metrics[0].kind, metrics[0].value),
        ("hits", MetricKind::Counter, 4)
    );
}
