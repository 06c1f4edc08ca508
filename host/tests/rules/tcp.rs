//! TCP connections (docs/envoy.md 2.13).

use crate::guest::*;
use tamis_host::{Clock, FailurePolicy, Stage};
use tamis_traffic::{Connection, Event, Outcome, Party, Playback};

const CLIENT: Party = Party::Client;
const UPSTREAM: Party = Party::Upstream;

/// One event each 10 ms.
fn connection(events: &[(Party, &str, bool)]) -> Connection {
    let event = |(&(from, text, end), at): (&(Party, &str, bool), u64)| Event {
        at: at * 10_000_000,
        from,
        bytes: text.as_bytes().to_vec(),
        end,
    };
    let events: Vec<Event> = events.iter().zip(1..).map(event).collect();
    Connection { duration: (events.len() as u64 + 1) * 10_000_000, events, ..Connection::default() }
}

fn play_tcp(stage: &mut Stage, connection: &Connection) -> Playback {
    let mut playback = Playback::default();
    stage.play_connection(connection, &mut playback);
    playback
}

/// What reached the upstream and the client.
fn ends(playback: &Playback) -> (&[u8], &[u8]) {
    (
        playback.upstream.get().map_or(&[][..], |m| &m.body.bytes),
        playback.reply.get().map_or(&[][..], |m| &m.body.bytes),
    )
}

/// A data callback that logs size and end, does something and returns something.
fn data(side: &str, extra: &str, result: &str) -> String {
    format!(
        r#"(func (export "proxy_on_{side}_data") (param $id i32) (param $size i32) (param $eos i32) (result i32)
             (call $num (local.get $size)) (call $num (local.get $eos)) {extra} {result})"#
    )
}

/// Logs the callbacks that open and close a connection.
fn life(name: &str) -> String {
    let log = |callback: &str, params: &str, result: &str, value: &str| {
        let ty = if result.is_empty() { "" } else { "(result i32)" };
        format!(
            "(func (export \"proxy_on_{callback}\") (param {params}) {ty} (call $say '{name}.{callback}') {value} {result})\n"
        )
    };
    log("new_connection", "i32", "(i32.const 0)", "")
        + &log("downstream_connection_close", "i32 i32", "", "(call $num (local.get 1))")
        + &log("upstream_connection_close", "i32 i32", "", "(call $num (local.get 1))")
        + &log("done", "i32", "(i32.const 0)", "")
        + &log("log", "i32", "", "")
        + &log("delete", "i32", "", "")
}

const GO: &str = "(i32.const 0)";
const HOLD: &str = "(i32.const 1)";

#[test]
fn envoy_2_13_a_connection_ends_with_close_done_log_delete_filter_by_filter() {
    let mut stage = chain(&[&life("a"), &life("b")]);
    let playback = play_tcp(&mut stage, &connection(&[(CLIENT, "abc", false), (UPSTREAM, "xyz", false)]));
    assert_eq!(ends(&playback), (&b"abc"[..], &b"xyz"[..]));
    assert_eq!((playback.outcome, faults(&playback)), (Outcome::Forwarded, vec![]));
    let mut want = vec!["a.new_connection", "b.new_connection"];
    // The recording says no end: the client leaves first, the upstream last, and Envoy closes.
    want.extend(["b.upstream_connection_close", "0", "a.upstream_connection_close", "0"]);
    for filter in ["a", "b"] {
        let close =
            if filter == "a" { "a.downstream_connection_close" } else { "b.downstream_connection_close" };
        want.extend([close, "1"]);
        want.extend(if filter == "a" {
            ["a.done", "a.log", "a.delete"]
        } else {
            ["b.done", "b.log", "b.delete"]
        });
    }
    assert_eq!(logs(&playback), want);
    let ended = connection(&[(UPSTREAM, "", true), (CLIENT, "", true)]);
    let playback = play_tcp(&mut chain(&[&life("a")]), &ended);
    assert_eq!(logs(&playback)[3..5], ["a.downstream_connection_close", "2"], "the client was the last");
}

#[test]
fn envoy_2_13_held_data_adds_up_and_the_end_shows_all_of_it() {
    let hold = data("downstream", "", "(i32.eqz (local.get $eos))");
    let events = [(CLIENT, "abc", false), (CLIENT, "def", false), (CLIENT, "g", true)];
    let playback = play_tcp(&mut chain(&[&hold, &data("downstream", "", GO)]), &connection(&events));
    assert_eq!(logs(&playback), ["3", "0", "6", "0", "7", "1", "7", "1"]);
    assert_eq!(ends(&playback).0, b"abcdefg");
    assert_eq!(playback.upstream.get().unwrap().body.chunks, [7]);
}

#[test]
fn envoy_2_13_the_buffers_are_2_and_3_and_bodies_are_none() {
    let calls = r#"(if (i32.eqz (local.get $eos)) (then
        (call $buffer (i32.const 2) (i32.const 0) (i32.const 9)) (call $buffer (i32.const 0) (i32.const 0) (i32.const 9))
        (call $num (call $set_buffer (i32.const 3) (i32.const 0) (i32.const 0) 'x'))
        (call $num (call $set_buffer (i32.const 2) (i32.const 1) (i32.const 0) 'x'))
        (call $num (call $set_buffer (i32.const 2) (i32.const 0) (i32.const 1) '<'))))"#;
    let guest = data("downstream", calls, GO)
        + &data("upstream", "(call $buffer (i32.const 3) (i32.const 0) (i32.const 9))", GO);
    let events = [(CLIENT, "abc", false), (UPSTREAM, "xy", false)];
    let playback = play_tcp(&mut stage(&guest), &connection(&events));
    assert_eq!(logs(&playback)[..7], ["3", "0", "0 abc", "0 ", "2", "2", "0"]);
    assert_eq!(logs(&playback)[7..10], ["2", "0", "0 xy"]);
    assert_eq!(ends(&playback), (&b"<bc"[..], &b"xy"[..]));
}

#[test]
fn envoy_2_13_a_held_connection_shows_its_data_only_once_it_goes_on() {
    let guest = data("downstream", "", GO)
        + r#"(func (export "proxy_on_new_connection") (param i32) (result i32) (drop (call $tick (i32.const 15))) (i32.const 1))
             (func (export "proxy_on_tick") (param i32) (drop (call $tick (i32.const 0))) (call $num (call $effective (i32.const 2)))
               (drop (call $continue (i32.const 2))) (call $num (call $continue (i32.const 3))))"#;
    let events = [(CLIENT, "a", false), (CLIENT, "b", false), (CLIENT, "c", true), (UPSTREAM, "", true)];
    let mut first = builder(&guest).clock(Clock::Fixed(0)).build().unwrap();
    let playback = play_tcp(&mut first, &connection(&events));
    assert_eq!(logs(&playback), ["0", "12", "1", "0", "1", "0", "1", "1"]);
    assert_eq!((ends(&playback).0, faults(&playback)), (&b"abc"[..], vec![]));
}

#[test]
fn envoy_2_13_a_connection_that_is_never_let_go_is_a_finding() {
    let held = r#"(func (export "proxy_on_new_connection") (param i32) (result i32) (i32.const 1))"#;
    for guest in [held, &data("downstream", "", HOLD)] {
        let playback = play_tcp(&mut stage(guest), &connection(&[(CLIENT, "a", false)]));
        assert_eq!((faults(&playback), playback.outcome), (vec!["stuck"], Outcome::Stuck));
        assert_eq!((playback.faults[0].filter, ends(&playback).0), (Some(0), &b""[..]));
    }
}

#[test]
fn envoy_2_4_close_stream_2_and_3_close_the_connection_and_0_and_1_do_nothing() {
    let close = |stream: u32| {
        let call = format!("(call $num (call $close (i32.const {stream})))");
        data("downstream", &call, GO) + &life("a")
    };
    let events = connection(&[(CLIENT, "a", false), (CLIENT, "b", false)]);
    for stream in [2, 3] {
        let playback = play_tcp(&mut stage(&close(stream)), &events);
        assert_eq!(
            logs(&playback)[..6],
            ["a.new_connection", "1", "0", "0", "a.downstream_connection_close", "1"]
        );
        assert_eq!((playback.outcome, ends(&playback).0), (Outcome::Reset, &b""[..]));
        assert!(playback.filters[0].answered);
    }
    let playback = play_tcp(&mut stage(&close(0)), &events);
    assert_eq!((playback.outcome, ends(&playback).0), (Outcome::Forwarded, &b"ab"[..]));
}

#[test]
fn envoy_2_12_a_trap_closes_the_connection_and_the_policy_decides_about_the_next() {
    let events = connection(&[(CLIENT, "a", false), (UPSTREAM, "b", false)]);
    for (policy, outcome, codes) in [
        (FailurePolicy::Closed, Outcome::Reset, vec!["dead-vm"]),
        (FailurePolicy::Open, Outcome::Forwarded, vec![]),
    ] {
        let engine = engine();
        let mut spec = filter(&engine, "b", &(data("upstream", "unreachable", GO) + &life("b")));
        spec.policy = policy;
        let first = filter(&engine, "a", &life("a"));
        let mut stage = Stage::builder(&engine).filter(first).filter(spec).build().unwrap();
        let trapped = play_tcp(&mut stage, &events);
        assert_eq!((trapped.outcome, faults(&trapped)), (Outcome::Reset, vec!["trap"]));
        let end = ["a.downstream_connection_close", "1", "a.done", "a.log", "a.delete"];
        assert_eq!(logs(&trapped)[4..], end, "nothing more of the filter that broke");
        let next = play_tcp(&mut stage, &events);
        assert_eq!((next.outcome, faults(&next)), (outcome, codes));
    }
}

#[test]
fn http_exchanges_and_connections_take_turns_on_one_stage() {
    let guest =
        data("downstream", "", GO) + &say("on_request_headers", 3, true) + &say("on_delete", 1, false);
    let mut stage = stage(&guest);
    let tcp = connection(&[(CLIENT, "abc", true), (UPSTREAM, "", true)]);
    assert_eq!(logs(&play(&mut stage, &get())), ["on_request_headers", "on_delete"]);
    assert_eq!(logs(&play_tcp(&mut stage, &tcp)), ["3", "1", "on_delete"]);
    assert_eq!(reply_status(&play(&mut stage, &get())), Some("200"));
}
