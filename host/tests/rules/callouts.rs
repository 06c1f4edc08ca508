//! HTTP calls of filters (docs/envoy.md 2.6).

use crate::guest::*;
use std::time::Duration;
use tamis_host::{Answer, Answers, Clock, Stage};
use tamis_traffic::{Callout, Message, Outcome, Playback};

/// Gives each call what its cluster's name says.
pub(crate) struct Script;

impl Answers for Script {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let after = Duration::from_millis(20);
        match callout.cluster.as_str() {
            "ok" => {
                let mut message = Message::default();
                message.headers.push(b":status", b"200");
                message.headers.push(b"x-from", b"peer");
                message.body.bytes.extend_from_slice(b"body");
                Answer::Reply { message, after }
            }
            "slow" => Answer::Timeout,
            "reset" => Answer::Reset { after },
            "torn" => Answer::ResetMidBody { after },
            "empty" => Answer::NoHosts,
            "lost" => Answer::Unanswered,
            _ => Answer::UnknownCluster,
        }
    }
}

/// The encoded headers of a call, at 4096: `:method GET`, `:path /`, `:authority x`.
pub(crate) const HEADERS: &str = r#"(data (i32.const 4096)
    "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00x\00")"#;
pub(crate) const BLOCK: &str = "(i32.const 4096) (i32.const 61)";

/// Calls `cluster` in the request's headers and pauses; on the answer logs what it got and then runs `then`.
pub(crate) fn caller(cluster: &str, timeout: u32, then: &str) -> String {
    format!(
        r#"{HEADERS}
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0))
          (call $http_call '{cluster}' {BLOCK} (i32.const {timeout}))
          (i32.load (i32.const 12)))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (call $num (local.get 0)) (call $num (local.get 1)) (call $num (local.get 2)) (call $num (local.get 3))
          (call $get (i32.const 6) ':status')
          (call $buffer (i32.const 4) (i32.const 0) (i32.const 24))
          {then})"#
    )
}

fn scripted(body: &str) -> Stage {
    builder(body).answers(Box::new(Script)).clock(Clock::Fixed(0)).build().unwrap()
}

pub(crate) const RESUME: &str =
    "(call $num (call $effective (global.get $stream))) (call $num (call $continue (i32.const 0)))";

#[test]
fn envoy_2_6_the_answer_comes_to_the_root_and_resumes_the_stream() {
    let edit = format!(
        "(call $num (call $effective (global.get $stream))) (call $num (call $add (i32.const 0) 'x-a' '1')) (call $get (i32.const 6) 'x-from') {RESUME}"
    );
    let mut stage = scripted(&caller("ok", 1000, &edit));
    let playback = play(&mut stage, &get());
    assert_eq!(
        logs(&playback),
        ["0", "4", "1", "4", "3", "4", "0 200", "0 body", "0", "0", "0 peer", "0", "0"]
    );
    assert_eq!(playback.outcome, Outcome::Forwarded);
    assert_eq!(playback.upstream.get().unwrap().headers.text("x-a"), Some("1"));
    let call = &playback.callouts[0];
    assert_eq!((call.cluster.as_str(), call.token, call.timeout_ms), ("ok", 4, 1000));
    assert_eq!(call.request.headers.text(":authority"), Some("x"));
    assert_eq!(logs(&play(&mut stage, &get()))[1], "8", "tokens go up by four");
}

#[test]
fn envoy_2_6_a_timeout_looks_like_a_504_and_a_reset_like_a_503() {
    let playback = play(&mut scripted(&caller("slow", 50, RESUME)), &get());
    assert_eq!(logs(&playback)[2..], ["1", "4", "3", "24", "0 504", "0 upstream request timeout", "0", "0"]);
    let playback = play(&mut scripted(&caller("reset", 50, RESUME)), &get());
    assert_eq!(logs(&playback)[6..8], ["0 503", "0 upstream connect error o"]);
    // An answer after the timeout is a timeout.
    let playback = play(&mut scripted(&caller("ok", 10, RESUME)), &get());
    assert_eq!(logs(&playback)[6], "0 504");
}

#[test]
fn envoy_2_6_a_torn_answer_is_0_0_0_and_status_11_that_sticks() {
    let again = "(call $status)";
    let body = caller("torn", 0, &format!("{again} {RESUME}"))
        + &format!(r#"(func (export "proxy_on_log") (param i32) {again})"#);
    let playback = play(&mut scripted(&body), &get());
    let want = ["0", "4", "1", "4", "0", "0", "2", "1", "0", "11", "0 reset", "0", "0", "0", "11", "0 "];
    assert_eq!(logs(&playback), want);
}

#[test]
fn envoy_2_6_calls_that_do_not_start() {
    for (cluster, timeout, want) in [("nobody", "9", "2"), ("empty", "9", "10"), ("ok", "-1", "2")] {
        let body = caller("CLUSTER", 7, "")
            .replace("CLUSTER", cluster)
            .replace("(i32.const 7)", &format!("(i32.const {timeout})"));
        let playback = play(&mut scripted(&body), &get());
        assert_eq!(logs(&playback), [want, "0"], "{cluster}");
    }
    let bare = caller("ok", 9, "").replace(BLOCK, "(i32.const 0) (i32.const 0)");
    assert_eq!(logs(&play(&mut scripted(&bare), &get())), ["2", "0"], "no :path");
}

#[test]
fn envoy_2_6_without_the_stream_as_effective_context_it_stays_paused() {
    let playback =
        play(&mut scripted(&caller("ok", 9000, "(call $num (call $continue (i32.const 0)))")), &get());
    assert_eq!((playback.outcome, logs(&playback).last().unwrap().as_str()), (Outcome::Stuck, "0"));
}

#[test]
fn envoy_2_6_the_answer_comes_even_when_the_stream_is_gone() {
    let body = caller("ok", 9000, RESUME).replace("(i32.load (i32.const 12)))", "(i32.const 0))");
    let mut stage = scripted(&body);
    let playback = play(&mut stage, &get());
    assert_eq!((logs(&playback).len(), playback.outcome), (2, Outcome::Forwarded));
    let mut later = Playback::default();
    stage.advance(Duration::from_millis(20), &mut later);
    assert_eq!(logs(&later)[..6], ["1", "4", "3", "4", "0 200", "0 body"]);
    assert_eq!(logs(&later)[6], "2", "the stream is no context any more");
}

#[test]
fn a_reply_from_the_callback_answers_the_paused_request() {
    let deny = "(drop (call $effective (global.get $stream))) (call $reply (i32.const 401) 'no')";
    let playback = play(&mut scripted(&caller("ok", 9000, deny)), &post(&["x"]));
    assert_eq!((reply_status(&playback), playback.outcome), (Some("401"), Outcome::Answered(0)));
    assert!(playback.upstream.is_none());
}

#[test]
fn a_call_that_nobody_answers_is_a_fault_of_the_expectation() {
    let playback = play(&mut scripted(&caller("lost", 0, "")), &get());
    assert_eq!(faults(&playback), ["unanswered-callout", "stuck"]);
}
