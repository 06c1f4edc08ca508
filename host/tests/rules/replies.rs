//! Local replies, resuming and closing (docs/envoy.md 2.4, 2.5).

use crate::guest::*;
use tamis_traffic::Outcome;

fn on(phase: &str, body: &str) -> String {
    let params = if phase.ends_with("trailers") { "i32 i32" } else { "i32 i32 i32" };
    format!(r#"(func (export "proxy_on_{phase}") (param {params}) (result i32) {body} (i32.const 0))"#)
}

#[test]
fn envoy_2_5_a_reply_runs_the_response_callbacks_of_reached_filters_in_reverse() {
    let seen = |name: &str| {
        on(
            "response_headers",
            &format!("(call $say '{name}') (drop (call $add (i32.const 2) 'x-{name}' '1'))"),
        ) + &on("response_body", "(call $num (local.get 1)) (call $num (local.get 2))")
            + &format!(r#"(func (export "proxy_on_log") (param i32) (call $say 'log-{name}'))"#)
    };
    let answers = on("request_headers", "(call $reply (i32.const 403) 'no')") + &seen("b");
    let mut stage = chain(&[&seen("a"), &answers, &seen("c")]);
    let playback = play(&mut stage, &get());
    assert_eq!(logs(&playback), ["0", "b", "a", "2", "1", "2", "1", "log-a", "log-b", "log-c"]);
    assert_eq!(playback.outcome, Outcome::Answered(1));
    let reply = playback.reply.get().unwrap();
    let want = headers(&[
        (":status", "403"),
        ("content-length", "2"),
        ("content-type", "text/plain"),
        ("x-b", "1"),
        ("x-a", "1"),
    ]);
    assert_eq!((&reply.headers, &reply.body.bytes[..]), (&want, &b"no"[..]));
    let reached: Vec<_> = playback.filters.iter().map(|f| (f.reached, f.answered)).collect();
    assert_eq!(reached, [(true, false), (true, true), (false, false)]);
    assert!(playback.upstream.is_none());
}

#[test]
fn envoy_2_5_a_reply_from_the_response_phase_passes_all_filters_by() {
    let a = on("response_headers", "(call $say 'a')");
    let b = on("response_headers", "(call $reply (i32.const 500) 'b')");
    let playback = play(&mut chain(&[&a, &b]), &get());
    assert_eq!(logs(&playback), ["0"]);
    assert_eq!((reply_status(&playback), playback.outcome), (Some("500"), Outcome::Answered(1)));
}

#[test]
fn envoy_2_5_a_reply_in_the_response_body_resets_the_stream() {
    let playback = check(&on("response_body", "(call $reply (i32.const 500) 'b')"), &post(&["x"]), &["0"]);
    assert_eq!((playback.outcome, faults(&playback)), (Outcome::Reset, vec!["late-reply"]));
    assert_eq!(playback.faults[0].filter, Some(0));
}

#[test]
fn envoy_2_5_the_first_of_two_replies_wins_and_codes_are_not_checked() {
    let two =
        on("request_headers", "(call $reply (i32.const 1000) 'one') (call $reply (i32.const 401) 'two')");
    let playback = check(&two, &get(), &["0", "0"]);
    assert_eq!(reply_status(&playback), Some("1000"));
}

#[test]
fn envoy_2_5_details_headers_and_an_empty_body() {
    // One pair: `content-type: a`, encoded by hand.
    let pairs = "(i32.const 2048) (i32.const 27)";
    let data = r#"(data (i32.const 2048) "\01\00\00\00\0c\00\00\00\01\00\00\00content-type\00a\00")"#;
    let send = |body: &str| {
        let call =
            format!("(call $num (call $reply_ (i32.const 429) 'too many' {body} {pairs} (i32.const -1)))");
        format!("{} {data}", on("request_headers", &call))
    };
    let playback = check(&send("'slow'"), &get(), &["0"]);
    let want = headers(&[(":status", "429"), ("content-type", "a"), ("content-length", "4")]);
    assert_eq!(playback.reply.get().unwrap().headers, want);
    assert_eq!(playback.details, "too_many");
    let playback = check(&send("(i32.const 0) (i32.const 0)"), &get(), &["0"]);
    // Without a body there is no type of one, not even the filter's own.
    assert_eq!(playback.reply.get().unwrap().headers, headers(&[(":status", "429")]));
}

#[test]
fn envoy_2_5_grpc_web_is_not_grpc() {
    for (content, status) in [("application/grpc-web", "403"), ("application/grpc+proto", "200")] {
        let mut exchange = get();
        exchange.request.get_mut().unwrap().headers.push(b"content-type", content.as_bytes());
        let replies = on("request_headers", "(call $reply (i32.const 403) 'no')");
        let playback = play(&mut chain(&[&replies]), &exchange);
        assert_eq!(reply_status(&playback), Some(status), "{content}");
    }
}

#[test]
fn envoy_2_5_grpc_requests_get_trailers_only() {
    let mut exchange = get();
    exchange.request.get_mut().unwrap().headers.push(b"content-type", b"application/grpc");
    let playback = check(&on("request_headers", "(call $reply (i32.const 403) 'no way')"), &exchange, &["0"]);
    let reply = &playback.reply.get().unwrap().headers;
    assert_eq!(
        (reply.text(":status"), reply.text("grpc-status"), reply.text("grpc-message")),
        (Some("200"), Some("7"), Some("no way"))
    );
}

#[test]
fn envoy_2_5_a_reply_from_a_tick_does_nothing_and_in_log_it_is_a_finding() {
    let start = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (call $tick (i32.const 10))) (i32.const 1))"#;
    let tick = r#"(func (export "proxy_on_tick") (param i32) (call $reply (i32.const 500) 'x'))"#;
    let mut stage = stage(&format!("{start} {tick}"));
    let mut playback = tamis_traffic::Playback::default();
    stage.advance(std::time::Duration::from_millis(25), &mut playback);
    assert_eq!(logs(&playback), ["0", "0"]);
    let playback = check(
        r#"(func (export "proxy_on_log") (param i32) (call $reply (i32.const 500) 'x'))"#,
        &get(),
        &["0"],
    );
    assert_eq!((faults(&playback), reply_status(&playback)), (vec!["would-crash-envoy"], Some("200")));
}

#[test]
fn envoy_2_4_resuming_inside_the_headers_phase() {
    let resume = |phase: &str, stream: u32, result: u32| {
        format!(
            r#"(func (export "proxy_on_{phase}_headers") (param i32 i32 i32) (result i32)
                 (call $num (call $continue (i32.const {stream}))) (call $get (i32.const {}) ':path') (i32.const {result}))"#,
            stream * 2
        )
    };
    let bodiless = play(&mut stage(&resume("response", 1, 0)), &get());
    assert_eq!(faults(&bodiless), ["would-crash-envoy"]);
    for (exchange, result, want) in [(get(), 0, 1), (get(), 1, 0), (post(&["x"]), 0, 1), (post(&["x"]), 1, 1)]
    {
        // The request's map is gone at once.
        let playback = check(&resume("request", 0, result), &exchange, &["0", "2"]);
        assert_eq!(faults(&playback).len(), want, "{:?}", playback.faults);
        assert_eq!(playback.outcome, Outcome::Forwarded);
        let playback = check(&resume("response", 1, result), &exchange, &["0", "1"]);
        assert_eq!(faults(&playback).len(), want, "{:?}", playback.faults);
    }
}

#[test]
fn envoy_2_4_statuses_of_continue_and_close() {
    let calls = r#"(call $num (call $continue (i32.const 2))) (call $num (call $continue (i32.const 3)))
        (call $num (call $continue (i32.const 4))) (call $num (call $close (i32.const 4)))"#;
    check(&on("request_headers", calls), &get(), &["0", "12", "2", "2"]);
    let playback = check(&on("request_headers", "(call $num (call $close (i32.const 0)))"), &get(), &["0"]);
    assert_eq!((playback.outcome, playback.details.as_str()), (Outcome::Reset, "wasm_close_stream"));
    assert!(playback.reply.is_none());
}

#[test]
fn envoy_2_4_a_response_that_has_not_begun_cannot_be_resumed() {
    for phase in ["request_headers", "request_body"] {
        let playback = check(
            &on(phase, "(call $num (call $continue (i32.const 1)))"),
            &get(),
            &["0"][..usize::from(phase == "request_headers")],
        );
        assert_eq!(playback.outcome, Outcome::Forwarded);
        let want: &[&str] = if phase == "request_headers" { &["would-crash-envoy"] } else { &[] };
        assert_eq!(faults(&playback), want);
    }
}

#[test]
fn envoy_2_4_closing_at_the_end_of_a_stream_is_a_finding_and_resuming_there_is_nothing() {
    for (phase, result) in [("log", ""), ("done", "(i32.const 1)"), ("delete", "")] {
        let ty = if result.is_empty() { "" } else { "(result i32)" };
        let at = |call: &str| {
            format!(
                r#"(func (export "proxy_on_{phase}") (param i32) {ty} (call $num (call {call})) {result})"#
            )
        };
        let closed = check(&at("$close (i32.const 0)"), &get(), &["0"]);
        assert_eq!(
            (faults(&closed), closed.outcome),
            (vec!["would-crash-envoy"], Outcome::Forwarded),
            "{phase}"
        );
        let resumed = check(&at("$continue (i32.const 1)"), &get(), &["0"]);
        assert_eq!((faults(&resumed), resumed.outcome), (vec![], Outcome::Forwarded), "{phase}");
    }
}
