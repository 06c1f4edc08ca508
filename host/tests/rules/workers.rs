//! Several workers, and the main thread (docs/envoy.md 1.5, 2.8, 2.12).

use crate::callouts::{BLOCK, HEADERS, Script};
use crate::guest::*;
use std::time::Duration;
use tamis_host::{Clock, Stage, Start};
use tamis_traffic::Playback;

/// Logs how many requests its VM has seen; traps at a request with `x-trap`.
const COUNTS: &str = r#"(global $seen (mut i32) (i32.const 0))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (if (i32.eqz (call $get_ (i32.const 0) 'x-trap' (i32.const 0) (i32.const 4))) (then unreachable))
      (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
      (call $num (global.get $seen)) (i32.const 0))"#;

fn counts(workers: usize, seed: u64) -> Vec<String> {
    let mut stage = builder(COUNTS).workers(workers).seed(seed).build().unwrap();
    (0..24).flat_map(|_| logs(&play(&mut stage, &get()))).collect()
}

#[test]
fn exchanges_are_dealt_to_workers_by_the_seed() {
    let one: Vec<String> = (1..=24).map(|n| n.to_string()).collect();
    assert_eq!(counts(1, 7), one, "one worker sees all of them");
    let three = counts(3, 7);
    assert_eq!(three, counts(3, 7), "the same seed deals the same way");
    assert_ne!(three, counts(3, 8));
    assert_eq!(
        three.iter().filter(|n| *n == "1").count(),
        3,
        "each worker has a VM of its own and its share"
    );
}

#[test]
fn envoy_2_12_each_workers_vm_dies_alone() {
    let mut stage = builder(COUNTS).workers(2).build().unwrap();
    let mut bomb = get();
    bomb.request.get_mut().unwrap().headers.push(b"x-trap", b"1");
    assert_eq!(faults(&play(&mut stage, &bomb)), ["trap"]);
    let ends: Vec<bool> = (0..24).map(|_| faults(&play(&mut stage, &get())).is_empty()).collect();
    assert!(ends.contains(&true) && ends.contains(&false), "{ends:?}");
}

const TICKS: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (call $tick (i32.const 10))) (i32.const 1))
    (func (export "proxy_on_tick") (param i32) (call $say 'tick'))"#;

#[test]
fn envoy_1_5_ticks_come_on_every_worker_and_on_the_main_thread() {
    for (start, workers, want) in
        [(Start::Single, 1, 2), (Start::Single, 3, 6), (Start::LikeEnvoy, 1, 4), (Start::LikeEnvoy, 3, 8)]
    {
        let mut stage = builder(TICKS).start(start).workers(workers).clock(Clock::Fixed(0)).build().unwrap();
        let mut playback = Playback::default();
        stage.advance(Duration::from_millis(25), &mut playback);
        assert_eq!(logs(&playback).len(), want, "{start:?} {workers}");
    }
}

/// Reads shared data, waits for a callout, and writes it back if it is still the same. Workers that serve nothing
/// write it in their ticks.
fn racing() -> String {
    format!(
        r#"{HEADERS}
        (global $stream (mut i32) (i32.const 0))
        (global $cas (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $set_shared 'k' 'start' (i32.const 0)))
          (drop (call $tick (i32.const 10))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (if (i32.eqz (global.get $stream)) (then (drop (call $set_shared 'k' 'other' (i32.const 0))))))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0))
          (call $shared 'k')
          (global.set $cas (i32.load (i32.const 8)))
          (call $http_call 'ok' {BLOCK} (i32.const 1000))
          (i32.const 1))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (call $num (call $effective (global.get $stream)))
          (call $num (call $set_shared 'k' 'mine' (global.get $cas)))
          (drop (call $continue (i32.const 0))))"#
    )
}

fn race(workers: usize) -> Vec<String> {
    let builder = builder(&racing()).answers(Box::new(Script)).workers(workers);
    logs(&play(&mut builder.clock(Clock::Fixed(0)).build().unwrap(), &get()))
}

#[test]
fn envoy_2_8_another_worker_makes_a_cas_fail() {
    assert_eq!(race(1), ["0 start", "0", "4", "0", "0"]);
    assert_eq!(race(2), ["0 start", "0", "4", "0", "8"]);
}

#[test]
fn envoy_2_8_a_queue_belongs_to_the_thread_that_registered_last() {
    let guest = r#"(global $seen (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $register 'q' (i32.const 0))) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $enqueue (i32.const 1) 'm')) (i32.const 0))
        (func (export "proxy_on_queue_ready") (param i32 i32)
          (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
          (call $num (global.get $seen)))"#;
    for start in [Start::Single, Start::LikeEnvoy] {
        let mut stage = builder(guest).start(start).workers(3).build().unwrap();
        let lines: Vec<String> = (0..12).flat_map(|_| logs(&play(&mut stage, &get()))).collect();
        let all: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
        assert_eq!(lines, all, "one VM hears of all messages");
    }
}

#[test]
fn envoy_2_6_an_answer_goes_to_the_worker_that_asked() {
    let guest = format!(
        r#"{HEADERS}
        (global $calls (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          (drop (call $http_call_ 'ok' {BLOCK} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 12)))
          (i32.const 0))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (global.set $calls (i32.sub (global.get $calls) (i32.const 1)))
          (call $num (global.get $calls)))"#
    );
    let mut stage =
        builder(&guest).answers(Box::new(Script)).workers(2).clock(Clock::Fixed(0)).build().unwrap();
    for _ in 0..10 {
        play(&mut stage, &get());
    }
    let mut playback = Playback::default();
    stage.advance(Duration::from_millis(30), &mut playback);
    let lines = logs(&playback);
    assert_eq!((lines.len(), lines.iter().filter(|l| *l == "0").count()), (10, 2), "{lines:?}");
}

#[test]
fn shutdown_ends_the_roots_of_all_threads() {
    let guest = say("on_delete", 1, false);
    let stage: Stage = builder(&guest).workers(3).start(Start::LikeEnvoy).build().unwrap();
    let mut playback = Playback::default();
    stage.shutdown(&mut playback);
    assert_eq!(logs(&playback).len(), 4);
}
