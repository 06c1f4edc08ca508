//! gRPC calls and streams, and names (docs/envoy.md 1.2, 2.7). What Envoy shows on the wire is in the conformance rows.

use crate::guest::*;
use std::time::Duration;
use tamis_host::{Answer, Answers, Clock, Recorded, Stage};
use tamis_traffic::grpc::{append_frame, frames};
use tamis_traffic::{
    Callout, CalloutKind, Exchange, GrpcMessage, GrpcReply, Headers, Message, Outcome, Playback, Slot,
};

const MS: Duration = Duration::from_millis(1);

/// Every gRPC callback says its name's end, the number it got, and what it can read.
const TELLS: &str = r#"
    (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32)
      (call $say 'initial') (call $num (local.get 2)) (call $get (i32.const 4) 'x-a'))
    (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
      (call $say 'message') (call $buffer (i32.const 5) (i32.const 0) (i32.const 99)))
    (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32)
      (call $say 'trailing') (call $num (local.get 2)))
    (func (export "proxy_on_grpc_close") (param i32 i32 i32)
      (call $say 'closed') (call $num (local.get 2)) (call $status))"#;

/// A guest that does something in the request's headers and tells what comes.
fn asks(what: &str) -> String {
    format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {what} (i32.const 0)) {TELLS}"#
    )
}

fn stage_with(body: &str, answers: impl Answers + 'static) -> Stage {
    builder(body).answers(Box::new(answers)).clock(Clock::Fixed(0)).build().unwrap()
}

/// What one request and then some time bring.
fn told(what: &str, answers: impl Answers + 'static) -> Vec<String> {
    let mut stage = stage_with(&asks(what), answers);
    let mut all = logs(&play(&mut stage, &get()));
    let mut later = Playback::default();
    stage.advance(Duration::from_secs(10), &mut later);
    all.extend(logs(&later));
    all
}

const CALL: &str = "(call $grpc_call 'grpc' 'ping' (i32.const 100))";
const STREAM: &str = "(call $grpc_stream 'grpc')";

/// A response on the wire.
fn wire(headers: &[(&str, &str)], body: &[u8], trailers: Option<&[(&str, &str)]>) -> Answer {
    let mut message = Message { headers: self::headers(headers), ..Message::default() };
    message.body.bytes = body.to_vec();
    message.trailers = trailers.map_or_else(Slot::none, |t| Slot::some(self::headers(t)));
    Answer::Reply { message, after: MS }
}

#[test]
fn envoy_2_7_a_closure_answers_a_call_and_sees_its_frame() {
    let answers = |callout: &Callout| {
        assert_eq!((callout.kind, callout.cluster.as_str()), (CalloutKind::GrpcCall, "grpc"));
        let sent: Vec<_> = frames(&callout.request.body.bytes).map(|f| f.message).collect();
        Answer::Grpc(GrpcReply::message([sent.concat(), b"-pong".to_vec()].concat()))
    };
    assert_eq!(told(CALL, answers), ["0", "5", "message", "0 ping-pong"]);
}

#[test]
fn envoy_2_7_a_recorded_response_answers_as_it_is_on_the_wire() {
    let mut body = Vec::new();
    append_frame(b"one", &mut body);
    append_frame(b"two", &mut body);
    let ok = [(":status", "200"), ("x-a", "1")];
    let answer = wire(&ok, &body, Some(&[("grpc-status", "0")]));
    let again = answer.clone();
    // A call takes the last message.
    assert_eq!(told(CALL, move |_: &Callout| answer.clone()), ["0", "5", "message", "0 two"]);
    let all = told(STREAM, move |_: &Callout| again.clone());
    let want = [
        "initial", "2", "0 1", "message", "0 one", "message", "0 two", "trailing", "1", "closed", "0", "0",
        "0",
    ];
    assert_eq!(all[2..], [&want[..], &["0 via_upstream"]].concat());
}

#[test]
fn envoy_2_7_what_is_no_grpc_is_an_error_of_the_callee() {
    let closed = |answer: Answer| told(CALL, move |_: &Callout| answer.clone())[3].clone();
    let ok: &[(&str, &str)] = &[(":status", "200")];
    for (status, want) in
        [("400", "13"), ("401", "16"), ("403", "7"), ("404", "12"), ("429", "14"), ("500", "2")]
    {
        assert_eq!(closed(wire(&[(":status", status)], b"text", None)), want, "{status}");
    }
    assert_eq!(closed(wire(ok, b"", None)), "2", "no status at all");
    assert_eq!(closed(wire(ok, b"\0\0\0\0\x01a", None)), "2", "a message and no trailers");
    assert_eq!(closed(wire(ok, b"text", None)), "13", "no frame");
    assert_eq!(closed(wire(ok, b"\x01\0\0\0\x01a", Some(&[("grpc-status", "0")]))), "13", "compressed");
    assert_eq!(
        closed(wire(ok, b"\0\0\0\0\x09torn", Some(&[("grpc-status", "0")]))),
        "13",
        "no whole message"
    );
    assert_eq!(closed(wire(ok, b"", Some(&[("grpc-status", "17")]))), "4294967295");
}

#[test]
fn envoy_2_7_an_answer_after_the_timeout_is_status_14_and_without_one_a_call_never_ends() {
    let late = |_: &Callout| Answer::Grpc(GrpcReply { after: 200 * MS, ..GrpcReply::message("late") });
    let text = "0 upstream request timeout{response_timeout}";
    assert_eq!(told(CALL, late), ["0", "5", "closed", "14", "0", "14", text]);
    assert_eq!(told(&CALL.replace("100", "0"), late), ["0", "5", "message", "0 late"]);
    assert_eq!(told(&CALL.replace("100", "0"), |_: &Callout| Answer::Timeout), ["0", "5"]);
}

#[test]
fn a_call_that_nobody_answers_is_a_fault_and_times_out() {
    let mut stage = stage_with(&asks(CALL), |_: &Callout| Answer::Unanswered);
    let playback = play(&mut stage, &get());
    assert_eq!(faults(&playback), ["unanswered-callout"]);
    let mut later = Playback::default();
    stage.advance(Duration::from_secs(1), &mut later);
    assert_eq!(logs(&later)[..2], ["closed", "14"]);
}

/// Gives each message back, and an end for the end.
struct Echo;

impl Answers for Echo {
    fn answer(&mut self, _: &Callout) -> Answer {
        Answer::Grpc(GrpcReply::default())
    }

    fn sent(&mut self, _: &Callout, message: Option<&[u8]>, end: bool) -> Option<GrpcReply> {
        let one = |bytes: &[u8]| GrpcMessage { after: 5 * MS, bytes: bytes.to_vec() };
        let end = if end { GrpcReply::message("bye").end } else { GrpcReply::default().end };
        Some(GrpcReply { messages: message.map(one).into_iter().collect(), end, ..GrpcReply::default() })
    }
}

#[test]
fn a_peer_may_react_to_what_a_stream_sends() {
    let what = format!(
        "{STREAM} (call $num (call $grpc_send (i32.const 6) 'a' (i32.const 0)))
         (call $num (call $grpc_send (i32.const 6) 'b' (i32.const 0)))
         (call $num (call $grpc_close (i32.const 6))) (call $num (call $grpc_send (i32.const 6) 'c' (i32.const 0)))"
    );
    let all = told(&what, Echo);
    assert_eq!(all[..6], ["0", "6", "0", "0", "0", "0"]);
    let want =
        ["initial", "3", "1", "message", "0 a", "message", "0 b", "trailing", "1", "closed", "0", "0", "0"];
    assert_eq!(all[6..], [&want[..], &["0 via_upstream"]].concat(), "each event once, in order");
}

#[test]
fn what_a_stream_sends_in_a_later_playback_is_an_entry_of_its_own() {
    let body = format!(
        r#"(global $n (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (if (i32.eqz (global.get $n)) (then {STREAM}))
          (global.set $n (i32.const 1))
          (call $num (call $grpc_send (i32.const 6) 'm' (i32.const 0))) (i32.const 0))"#
    );
    let mut stage = stage_with(&body, |_: &Callout| Answer::Timeout);
    for _ in 0..2 {
        let playback = play(&mut stage, &get());
        let [callout] = &playback.callouts[..] else { panic!("{:?}", playback.callouts) };
        assert_eq!((callout.kind, callout.token), (CalloutKind::GrpcStream, 6));
        assert_eq!(callout.request.body.bytes, b"\0\0\0\0\x01m");
    }
}

#[test]
fn envoy_2_7_a_service_without_a_target_would_abort_envoy() {
    for service in ["", "users", "inventory"] {
        let playback = play(&mut stage(&asks(&CALL.replace("grpc'", &format!("{service}'")))), &get());
        assert_eq!(
            (faults(&playback), playback.outcome),
            (vec!["would-crash-envoy"], Outcome::Failed),
            "{service}"
        );
    }
}

#[test]
fn envoy_2_6_calls_of_a_root_that_goes_are_cancelled() {
    let mut stage = stage_with(&asks(&format!("{CALL} {STREAM}")), |_: &Callout| Answer::Timeout);
    play(&mut stage, &get());
    let mut end = Playback::default();
    stage.shutdown(&mut end);
    assert_eq!(logs(&end), [""; 0]);
}

#[test]
fn envoy_2_7_another_filter_of_the_vm_does_not_know_the_token() {
    let engine = engine();
    let body = asks(&format!(
        "(if (i32.eq (call $get_ (i32.const 0) 'x-second' (i32.const 0) (i32.const 4)) (i32.const 0))
           (then (call $num (call $grpc_cancel (i32.const 6))))
           (else {STREAM} (drop (call $add (i32.const 0) 'x-second' '1'))))"
    ));
    let spec = filter(&engine, "a", &body);
    let mut second = spec.clone();
    second.name = "b".into();
    let mut stage =
        Stage::builder(&engine).filter(spec).filter(second).answers(Box::new(Echo)).build().unwrap();
    assert_eq!(logs(&play(&mut stage, &get()))[..3], ["0", "6", "1"]);
}

#[test]
fn envoy_2_7_a_call_in_configure_that_cannot_start_still_gets_its_end() {
    let body = format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) {CALL} (i32.const 1)) {TELLS}"#
    );
    let mut stage = stage_with(&body, |_: &Callout| Answer::NoHosts);
    let playback = play(&mut stage, &get());
    let start: Vec<_> =
        stage.start_logs().iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect();
    assert_eq!(start, ["10", "0"]);
    let mut later = Playback::default();
    stage.advance(MS, &mut later);
    let all = [logs(&playback), logs(&later)].concat();
    assert_eq!(all, ["closed", "14", "0", "14", "0 no healthy upstream{no_healthy_upstream}"]);
}

#[test]
fn envoy_2_7_a_stream_without_hosts_inside_an_http_answer_leaves_that_answer_readable() {
    let call = r#"(data (i32.const 4096) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00x\00")
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (call $grpc_stream 'grpc') (call $get (i32.const 6) ':status') (call $get (i32.const 4) 'x-a'))"#;
    let body = asks("(call $http_call 'web' (i32.const 4096) (i32.const 61) (i32.const 0))") + call;
    let mut stage = stage_with(&body, |callout: &Callout| match callout.kind {
        CalloutKind::Http => wire(&[(":status", "200")], b"", None),
        _ => Answer::NoHosts,
    });
    play(&mut stage, &get());
    let mut later = Playback::default();
    stage.advance(MS, &mut later);
    let all = logs(&later);
    // The token word is not written; it still holds the HTTP call's.
    assert_eq!(all[..7], ["initial", "0", "1", "trailing", "4", "10", "4"]);
    assert_eq!(all[7..9], ["0 200", "2"], "the HTTP answer is there, the metadata gone");
}

const NAMES: &str = r#"(func (export "envoy_on_resolve_dns") (param i32 i32 i32)
    (call $say 'resolved') (call $num (local.get 1)) (call $num (local.get 2))
    (call $buffer (i32.const 8) (i32.const 0) (i32.const 1)))"#;

#[test]
fn envoy_1_2_a_name_has_the_addresses_that_its_answer_gives() {
    let addresses = vec![("10.0.0.1:0".parse().unwrap(), 30), ("[::1]:0".parse().unwrap(), 5)];
    let answers = move |callout: &Callout| {
        assert_eq!((callout.kind, callout.cluster.as_str()), (CalloutKind::Resolve, "db.test"));
        Answer::Addresses { addresses: addresses.clone(), after: 5 * MS }
    };
    let mut stage = stage_with(&(asks("(call $resolve 'db.test')") + NAMES), answers);
    let playback = play(&mut stage, &get());
    assert_eq!(logs(&playback), ["0", "2"]);
    assert_eq!((playback.callouts[0].kind, playback.callouts[0].token), (CalloutKind::Resolve, 2));
    let mut later = Playback::default();
    stage.advance(5 * MS, &mut later);
    assert_eq!(logs(&later), ["resolved", "2", "31", "0 \u{2}"]);
}

#[test]
fn envoy_1_2_a_name_without_an_answer_has_no_addresses() {
    let mut stage =
        stage_with(&(asks("(call $resolve 'db.test')") + NAMES), |_: &Callout| Answer::Unanswered);
    let playback = play(&mut stage, &get());
    assert_eq!(faults(&playback), ["unanswered-callout"]);
    assert!(playback.faults[0].text.contains("`db.test`"), "{}", playback.faults[0].text);
    let mut later = Playback::default();
    stage.advance(MS, &mut later);
    assert_eq!([logs(&playback), logs(&later)].concat()[2..], ["resolved", "2", "4", "0 \0"]);
}

#[test]
fn headers_of_a_reply_are_its_own_and_the_fixed_ones() {
    let mut reply = GrpcReply::message("m");
    reply.headers = [("x-a", "1")].into_iter().collect::<Headers>();
    let all = told(STREAM, move |_: &Callout| Answer::Grpc(reply.clone()));
    assert_eq!(all[2..5], ["initial", "3", "0 1"]);
}

/// A recorded exchange of a service.
fn recorded(authority: &str, path: &str, kind: &str, response: Message) -> Exchange {
    let fields = [(":authority", authority), (":path", path), ("content-type", kind)];
    let request = Message { headers: headers(&fields), ..Message::default() };
    let duration = Some(5_000_000);
    Exchange { request: Slot::some(request), response: Slot::some(response), duration, ..Exchange::default() }
}

#[test]
fn recorded_exchanges_answer_in_their_order_and_the_last_one_stays() {
    let mut answers = Recorded::new();
    for text in ["one", "two"] {
        let response = GrpcReply::message(text).to_wire().unwrap();
        assert!(answers.learn(&recorded("svc.ns:9090", "//", "application/grpc", response)));
    }
    // The authority of a gRPC call is its cluster; the path is enough.
    let three = format!("{CALL} {CALL} {CALL}");
    let all = told(&three, answers);
    assert_eq!(all[6..], ["message", "0 one", "message", "0 two", "message", "0 two"]);
}

#[test]
fn recorded_exchanges_answer_http_calls_of_their_authority_and_path_alone() {
    let response = || Message { headers: headers(&[(":status", "204")]), ..Message::default() };
    let mut answers = Recorded::new();
    answers.learn(&recorded("a", "/x?q", "text/plain", response()));
    let mut halves = recorded("a", "/half", "text/plain", response());
    halves.response.clear();
    assert!(answers.learn(&halves));
    let mut ask = |authority: &str, path: &str| {
        let request =
            Message { headers: headers(&[(":authority", authority), (":path", path)]), ..Message::default() };
        answers.answer(&Callout { cluster: "c".into(), request, ..Callout::default() })
    };
    assert_eq!(ask("a", "/x?q"), Answer::Reply { message: response(), after: 5 * MS });
    for (authority, path) in [("b", "/x?q"), ("a", "/x"), ("a", "/half")] {
        assert_eq!(ask(authority, path), Answer::Unanswered);
    }
}
