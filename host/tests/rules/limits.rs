//! What a filter may make the host keep: an end of the playback with a name, never of the process.

use crate::guest::*;
use tamis_traffic::Playback;

/// A filter that makes one call again and again, each time with other bytes at address 0, until it is ended.
#[track_caller]
fn fills(call: &str, exchange: &tamis_traffic::Exchange, store: &str) -> Playback {
    let body = format!(
        r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (drop (call $grpc_stream_ 'up' (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 500000)))
          (loop $more
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
            (drop (call {call})) (br $more))
          (i32.const 0))"#
    );
    let closed = |_: &tamis_traffic::Callout| tamis_host::Answer::Timeout;
    let mut stage = builder(&body).answers(Box::new(closed)).build().unwrap();
    let playback = play(&mut stage, exchange);
    assert_eq!(faults(&playback), ["out-of-memory"]);
    let want = format!("the filter filled the {store} beyond ");
    assert!(playback.faults[0].text.starts_with(&want), "{}", playback.faults[0].text);
    playback
}

const KEPT: &str = "memory of one playback";

#[test]
fn lines_without_end() {
    let playback = fills("$log (i32.const 2) (i32.const 0) (i32.const 65536)", &post(&["a"]), KEPT);
    assert!(playback.logs.len() > 4_000, "it is far more than a filter says");
}

#[test]
fn a_body_without_end() {
    fills(
        "$set_buffer (i32.const 0) (i32.const 1000000000) (i32.const 0) (i32.const 0) (i32.const 65536)",
        &post(&["a"]),
        KEPT,
    );
}

#[test]
fn a_body_that_is_replaced_stays_small() {
    // As often as in `a_body_without_end`, without growing.
    let body = r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (local $n i32)
        (loop $more
          (drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0) (i32.const 65536)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $n) (i32.const 5000))))
        (i32.const 0))"#;
    let playback = play(&mut stage(body), &post(&["a"]));
    assert!(playback.faults.is_empty(), "{:?}", playback.faults);
    // Twice, since an empty piece ends the body.
    assert_eq!(playback.upstream.get().unwrap().body.bytes.len(), 2 * 65_536);
}

#[test]
fn calls_that_are_refused_without_end() {
    fills(
        "$http_call_ 'up' (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0) (i32.const 0)
            (i32.const 9) (i32.const 500000)",
        &post(&["a"]),
        KEPT,
    );
}

#[test]
fn messages_of_a_stream_without_end() {
    fills(
        "$grpc_send (i32.load (i32.const 500000)) (i32.const 0) (i32.const 65536) (i32.const 0)",
        &post(&["a"]),
        KEPT,
    );
}

#[test]
fn names_of_metrics_and_queues_without_end() {
    fills(
        "$metric (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 500000)",
        &post(&["a"]),
        "names of metrics",
    );
    fills("$register (i32.const 0) (i32.const 65536) (i32.const 500000)", &post(&["a"]), "shared queues");
}

#[test]
fn what_happens_after_the_callback_without_end() {
    fills("$continue (i32.const 0)", &post(&["a"]), KEPT);
    let body = r#"(func (export "proxy_on_log") (param i32) (loop $more (drop (call $close (i32.const 0))) (br $more)))"#;
    let playback = play(&mut stage(body), &post(&["a"]));
    assert_eq!(faults(&playback).last(), Some(&"out-of-memory"));
}

#[test]
fn a_filter_behind_one_that_filled_memory_goes_on() {
    let greedy = r#"(func (export "proxy_on_log") (param i32)
        (loop $more (drop (call $log (i32.const 2) (i32.const 0) (i32.const 65536))) (br $more)))"#;
    let modest = r#"(func (export "proxy_on_log") (param i32) (call $say 'seen'))"#;
    let playback = play(&mut chain(&[modest, greedy, modest]), &get());
    assert_eq!(faults(&playback), ["out-of-memory"]);
    assert_eq!(playback.logs.iter().filter(|l| l.text == b"seen").count(), 2);
}

#[test]
fn several_memories_and_tables_share_a_limit() {
    let body = r#"(memory $b 1) (memory $c 1)
        (table $t 1 funcref) (table $u 1 funcref)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $num (i32.ne (i32.const -1) (memory.grow $b (i32.const 10))))
          (call $num (i32.ne (i32.const -1) (memory.grow $c (i32.const 10))))
          (call $num (i32.ne (i32.const -1) (table.grow $t (ref.null func) (i32.const 6000000))))
          (call $num (i32.ne (i32.const -1) (table.grow $u (ref.null func) (i32.const 6000000))))
          (i32.const 0))"#;
    // The prelude's memory has 16 pages.
    let mut stage = builder(body).memory_limit(30 << 16).build().unwrap();
    assert_eq!(logs(&play(&mut stage, &get())), ["1", "0", "1", "0"]);
}

#[test]
fn a_name_in_a_trap_is_one_line() {
    let body = r#"(func $"a\nb" unreachable)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $"a\nb") (i32.const 0))"#;
    let playback = play(&mut stage(body), &get());
    assert!(playback.faults[0].text.ends_with(r" in `a\nb`"), "{}", playback.faults[0].text);
}

#[test]
fn what_a_filter_made_up_is_one_short_line_of_a_fault() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (i32.store8 (i32.const 300000) (i32.const 10))
        (call $resolve (i32.const 300000) (i32.const 100000)) (i32.const 0))"#;
    let playback = play(&mut stage(body), &get());
    assert_eq!(faults(&playback), ["unanswered-callout"]);
    let text = &playback.faults[0].text;
    assert!(!text.contains('\n') && text.len() < 2_000, "{text}");
}
