//! Bodies, trailers, pause and resume (docs/envoy.md 2.2, 2.3).

use crate::guest::*;
use tamis_host::Stage;
use tamis_traffic::{Exchange, Outcome, Protocol, Slot};

/// Logs size and end of each request body callback and returns what the third argument says.
fn body_callback(kind: &str, extra: &str, result: &str) -> String {
    format!(
        r#"(func (export "proxy_on_{kind}_body") (param $id i32) (param $size i32) (param $eos i32) (result i32)
             (call $num (local.get $size)) (call $num (local.get $eos)) {extra} {result})"#
    )
}

const GO: &str = "(i32.const 0)";

#[test]
fn envoy_2_2_an_http_1_body_ends_with_one_more_empty_call() {
    check(&body_callback("request", "", GO), &post(&["hello"]), &["5", "0", "0", "1"]);
    check(&body_callback("request", "", GO), &post(&["ab", "c"]), &["2", "0", "1", "0", "0", "1"]);
    check(&body_callback("response", "", GO), &post(&["x"]), &["2", "0", "0", "1"]);
}

#[test]
fn envoy_2_2_the_last_http_2_piece_carries_the_end() {
    let exchange = Exchange { protocol: Protocol::Http2, ..post(&["hel", "lo"]) };
    check(&body_callback("request", "", GO), &exchange, &["3", "0", "2", "1"]);
}

#[test]
fn envoy_2_2_a_request_without_body_ends_in_its_headers() {
    let eos = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $num (local.get 2)) (i32.const 0))"#;
    check(eos, &get(), &["1"]);
    check(eos, &post(&["x"]), &["0"]);
    let mut empty = get();
    empty.request.get_mut().unwrap().body.chunks = vec![0];
    let both = format!("{eos} {}", body_callback("request", "", GO));
    check(&both, &empty, &["0", "0", "1"]);
}

#[test]
fn envoy_2_2_head_204_and_304_end_in_their_headers() {
    let eos = r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $num (local.get 2)) (i32.const 0))"#;
    check(eos, &post(&["x"]), &["0"]);
    let mut head = get();
    head.request.get_mut().unwrap().headers.set_value(2, b"HEAD");
    head.response.get_mut().unwrap().headers.push(b"content-length", b"7");
    check(eos, &head, &["1"]);
    let mut none = post(&["x"]);
    none.response.get_mut().unwrap().headers.set_value(0, b"304");
    check(eos, &none, &["1"]);
}

#[test]
fn envoy_2_2_with_trailers_no_body_call_carries_the_end() {
    let mut exchange = post(&["ab"]);
    exchange.request.get_mut().unwrap().trailers = Slot::some(headers(&[("grpc-x", "1")]));
    let trailers = r#"(func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
        (call $get (i32.const 1) 'grpc-x') (drop (call $add (i32.const 1) 'more' '2')) (i32.const 0))"#;
    let body = format!("{} {trailers}", body_callback("request", "", GO));
    let playback = check(&body, &exchange, &["2", "0", "0 1"]);
    let sent = playback.upstream.get().unwrap();
    assert_eq!(sent.trailers.get().unwrap().text("more"), Some("2"));
}

#[test]
fn envoy_2_3_returning_1_shows_everything_again_and_lets_it_be_replaced() {
    let rewrite = r#"(if (local.get $eos) (then
        (call $num (call $set_buffer (i32.const 0) (i32.const 0) (local.get $size) 'rewritten'))))"#;
    let body = body_callback("request", rewrite, "(i32.eqz (local.get $eos))");
    let playback = check(&body, &post(&["ab", "cd", "e"]), &["2", "0", "4", "0", "5", "0", "5", "1", "0"]);
    let sent = playback.upstream.get().unwrap();
    assert_eq!((&sent.body.bytes[..], playback.outcome), (&b"rewritten"[..], Outcome::Forwarded));
}

#[test]
fn envoy_2_3_returning_2_keeps_a_piece_and_3_drops_it() {
    let body = |action: &str| {
        body_callback("request", "", &format!("(select (i32.const 0) (i32.const {action}) (local.get $eos))"))
    };
    let kept = check(&body("2"), &post(&["ab", "c"]), &["2", "0", "1", "0", "0", "1"]);
    assert_eq!(kept.upstream.get().unwrap().body.bytes, b"abc");
    assert!(!kept.filters[0].request_changed);
    let dropped = check(&body("3"), &post(&["ab", "c"]), &["2", "0", "1", "0", "0", "1"]);
    assert_eq!(dropped.upstream.get().unwrap().body.bytes, b"");
    assert!(dropped.filters[0].request_changed);
}

#[test]
fn envoy_2_3_a_bodys_buffer_calls() {
    let calls = r#"(if (i32.eqz (local.get $eos)) (then
        (call $buffer (i32.const 0) (i32.const 1) (i32.const -1))
        (call $buffer (i32.const 0) (i32.const 9) (i32.const 1))
        (call $buffer (i32.const 1) (i32.const 0) (i32.const 9))
        (call $num (call $set_buffer (i32.const 0) (i32.const 2) (i32.const 0) 'x'))
        (call $num (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) '<'))
        (call $num (call $set_buffer (i32.const 0) (i32.const 99) (i32.const 0) '>'))
        (call $num (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) 'x'))
        (call $num (call $set_buffer (i32.const 7) (i32.const 0) (i32.const 0) 'x'))))"#;
    let body = body_callback("request", calls, GO);
    let want = ["5", "0", "0 ello", "0 ", "0 ", "2", "0", "0", "2", "1", "0", "1"];
    let playback = check(&body, &post(&["hello"]), &want);
    assert_eq!(playback.upstream.get().unwrap().body.bytes, b"<hello>");
}

#[test]
fn envoy_2_3_content_length_is_never_repaired_but_reported() {
    let body = body_callback(
        "request",
        "(drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 99) 'longer'))",
        GO,
    );
    let mut exchange = post(&["body"]);
    exchange.request.get_mut().unwrap().headers.push(b"content-length", b"4");
    let mut stage = stage(&body);
    let playback = play(&mut stage, &exchange);
    assert_eq!(faults(&playback), ["body-length"]);
    assert_eq!(playback.upstream.get().unwrap().headers.text("content-length"), Some("4"));
    let unchanged = check(&body_callback("request", "", GO), &exchange, &["4", "0", "0", "1"]);
    assert_eq!(faults(&unchanged).len(), 0);
    // The same for responses, for HTTP/2, and for a length that is only promised by the filter.
    let longer = body_callback(
        "response",
        "(drop (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 99) 'longer'))",
        GO,
    );
    for protocol in [Protocol::Http11, Protocol::Http2] {
        let mut exchange = Exchange { protocol, ..post(&["x"]) };
        exchange.response.get_mut().unwrap().headers.push(b"content-length", b"2");
        assert_eq!(faults(&play(&mut crate::guest::stage(&longer), &exchange)), ["body-length"]);
        exchange.response.get_mut().unwrap().headers.remove(b"content-length");
        assert_eq!(faults(&play(&mut crate::guest::stage(&longer), &exchange)).len(), 0);
    }
    let promise = r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) 'content-length' '9')) (i32.const 0))"#;
    assert_eq!(faults(&play(&mut crate::guest::stage(promise), &post(&["x"]))), ["body-length"]);
}

const PAUSE: &str =
    r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))"#;

#[test]
fn envoy_2_3_headers_paused_means_no_body_callbacks_and_nobody_wakes_it() {
    let body = format!(
        "{PAUSE} {} {}",
        body_callback("request", "", GO),
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $get (i32.const 2) ':status') (i32.const 0))"#
    );
    // The 504 after the idle timeout goes through the response callbacks, since the request was held.
    let playback = check(&body, &post(&["x"]), &["0 504"]);
    assert_eq!((playback.outcome, faults(&playback)), (Outcome::Stuck, vec!["stuck"]));
    assert_eq!(reply_status(&playback), Some("504"));
    assert!(playback.upstream.is_none());
}

#[test]
fn envoy_2_3_a_held_response_is_answered_past_the_filters() {
    let body = r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (call $get (i32.const 2) ':status') (i32.const 1))"#;
    let playback = check(body, &get(), &["0 200"]);
    assert_eq!((playback.outcome, reply_status(&playback)), (Outcome::Stuck, Some("504")));
}

#[test]
fn envoy_2_3_with_the_allow_flag_body_callbacks_run_while_headers_are_held() {
    let edit = r#"(call $num (call $add (i32.const 0) 'x-late' '1'))"#;
    let guest = format!("{PAUSE} {}", body_callback("request", edit, "(i32.eqz (local.get $eos))"));
    let engine = engine();
    let mut spec = filter(&engine, "a", &guest);
    spec.allow_on_headers_stop_iteration = true;
    let mut stage = Stage::builder(&engine).filter(spec).build().unwrap();
    let playback = play(&mut stage, &post(&["ab"]));
    assert_eq!(logs(&playback), ["2", "0", "0", "2", "1", "0"]);
    let sent = playback.upstream.get().unwrap();
    assert_eq!((sent.headers.get_all(b"x-late").count(), &sent.body.bytes[..]), (2, &b"ab"[..]));
}

#[test]
fn envoy_2_1_13_trailers_are_made_at_the_end_of_a_body() {
    let make = "(if (local.get $eos) (then (call $size (i32.const 1)) (call $pairs (i32.const 1))))";
    let playback =
        check(&body_callback("request", make, GO), &post(&["ab"]), &["2", "0", "0", "1", "0", "0", "0"]);
    assert!(playback.upstream.get().unwrap().trailers.get().unwrap().is_empty());
    let read = "(if (local.get $eos) (then (call $pairs (i32.const 1)) (call $get (i32.const 1) 'a')))";
    let playback =
        check(&body_callback("request", read, GO), &post(&["ab"]), &["2", "0", "0", "1", "0", "0", "2"]);
    assert!(playback.upstream.get().unwrap().trailers.is_none());
}

#[test]
fn envoy_2_3_a_held_body_is_readable_in_the_trailers_callback() {
    let mut exchange = post(&["ab", "cd"]);
    exchange.request.get_mut().unwrap().trailers = Slot::some(headers(&[("t", "1")]));
    let trailers = r#"(func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
        (call $buffer (i32.const 0) (i32.const 0) (i32.const 99))
        (call $num (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 99) 'new')) (i32.const 0))"#;
    let guest = format!("{} {trailers}", body_callback("request", "", "(i32.const 1)"));
    let playback = check(&guest, &exchange, &["2", "0", "4", "0", "0 abcd", "0"]);
    assert_eq!(playback.upstream.get().unwrap().body.bytes, b"new");
}

#[test]
fn envoy_2_3_more_than_the_buffer_limit_is_413_and_500() {
    let large = "x".repeat((1 << 20) + 1);
    let hold = |kind: &str| {
        format!(r#"(func (export "proxy_on_{kind}_body") (param i32 i32 i32) (result i32) (i32.const 1))"#)
    };
    let playback = check(&hold("request"), &post(&[&large]), &[]);
    assert_eq!((reply_status(&playback), playback.outcome), (Some("413"), Outcome::Failed));
    assert_eq!((faults(&playback), playback.faults[0].filter), (vec!["buffer-limit"], Some(0)));
    // Headers held for flow control only: no limit bites.
    assert_eq!(check(PAUSE, &post(&[&large]), &[]).outcome, Outcome::Stuck);
    let mut exchange = get();
    exchange.response.get_mut().unwrap().body.bytes = large.into_bytes();
    let playback = check(&hold("response"), &exchange, &[]);
    assert_eq!(playback.outcome, Outcome::Reset, "headers are out: the stream is reset");
    assert_eq!((faults(&playback), playback.faults[0].filter), (vec!["buffer-limit"], Some(0)));
}

#[test]
fn two_filters_that_hold_and_rewrite_see_each_others_work() {
    let rewrite = |text: &str| {
        let call = format!(
            "(if (local.get $eos) (then (drop (call $set_buffer (i32.const 0) (i32.const -1) (i32.const 0) '{text}'))))"
        );
        body_callback("request", &call, "(i32.eqz (local.get $eos))")
    };
    let (a, b) = (rewrite("A"), rewrite("B"));
    let playback = play(&mut chain(&[&a, &b]), &post(&["1", "2"]));
    assert_eq!(playback.upstream.get().unwrap().body.bytes, b"12AB");
    assert_eq!(logs(&playback), ["1", "0", "2", "0", "2", "1", "3", "1"]);
}

#[test]
fn envoy_2_2_an_upgrade_has_two_bodies_without_an_end() {
    let mut exchange = post(&["ping", "more"]);
    let response = exchange.response.get_mut().unwrap();
    response.headers.set_value(0, b"101");
    (response.body.bytes, response.body.chunks) = (b"pong".to_vec(), vec![4]);
    let eos = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $num (local.get 2)) (i32.const 0))"#;
    let guest = format!("{eos} {} {}", body_callback("request", "", GO), body_callback("response", "", GO));
    let want = ["0", "0", "0", "0", "0", "4", "0", "4", "0", "4", "0"];
    let playback = check(&guest, &exchange, &want);
    assert_eq!((playback.outcome, faults(&playback)), (Outcome::Forwarded, vec![]));
    assert_eq!(playback.upstream.get().unwrap().body.bytes, b"pingmore");
    assert_eq!(playback.reply.get().unwrap().body.bytes, b"pong");
    // A filter that never lets the request go is stuck as ever.
    assert_eq!(faults(&play(&mut stage(PAUSE), &exchange)), ["stuck"]);
}
