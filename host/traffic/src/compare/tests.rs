//! What `compare` says of playbacks that differ in one thing.

use super::*;
use crate::{FaultKind, FilterTrace, Slot};
use proptest::prelude::*;

fn message(headers: &[(&str, &str)], body: &str, trailers: Option<&[(&str, &str)]>) -> Message {
    let mut message = Message { headers: headers.iter().copied().collect(), ..Message::default() };
    message.body.bytes = body.into();
    if let Some(trailers) = trailers {
        message.trailers = Slot::some(trailers.iter().copied().collect());
    }
    message
}

fn exchange() -> Exchange {
    let request = [(":method", "GET"), (":path", "/a?token=s3cret"), ("cookie", "a=1"), ("cookie", "b=2")];
    Exchange {
        request: Slot::some(message(&request, "question", None)),
        response: Slot::some(message(&[(":status", "200"), ("date", "now"), ("x", "1")], "answer", None)),
        ..Exchange::default()
    }
}

/// The playback of filters that do nothing.
fn identity(exchange: &Exchange) -> Playback {
    let outcome = if exchange.response.is_some() { Outcome::Forwarded } else { Outcome::Open };
    Playback {
        upstream: exchange.request.clone(),
        reply: exchange.response.clone(),
        outcome,
        filters: vec![FilterTrace { reached: true, ..FilterTrace::default() }],
        ..Playback::default()
    }
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, filter: Some(0), phase: "proxy_on_request_headers", text: "unreachable executed".into() }
}

#[test]
fn changes_read_well() {
    #[track_caller]
    fn check(edit: impl Fn(&mut Message, &mut Message), want: &[&str]) {
        let exchange = exchange();
        let mut playback = identity(&exchange);
        edit(playback.upstream.get_or_fill(), playback.reply.get_or_fill());
        let verdict = compare(&exchange, &playback);
        assert_eq!(verdict.changes.iter().map(|c| c.to_string()).collect::<Vec<_>>(), want);
        assert_eq!(verdict.kind, if want.is_empty() { Kind::Forwarded } else { Kind::Changed });
    }
    check(|_, _| {}, &[]);
    check(|rq, _| rq.headers.push(b"x-new", b"v\xff"), &["request header x-new added: v\\xff"]);
    check(|rq, _| rq.headers.set_value(1, b"/b"), &["request path: /a?token=[redacted, 6 bytes] -> /b"]);
    check(|rq, _| rq.headers.set_value(0, b"PUT"), &["request method: GET -> PUT"]);
    check(|rq, _| rq.headers.remove_at(3), &["request header cookie removed: b=[redacted, 1 bytes]"]);
    check(|_, rs| rs.headers.set_value(0, b"404"), &["response status: 200 -> 404"]);
    check(|_, rs| rs.headers.set_value(2, b""), &["response header x: 1 -> \"\""]);
    check(|_, rs| rs.body.bytes.extend(b"ed"), &["response body: 6 -> 8 bytes, differs from byte 6"]);
    check(|_, rs| rs.body.bytes[2] = b'z', &["response body: 6 bytes, differs from byte 2"]);
    check(|_, rs| rs.trailers.fill().clear(), &["response trailers added, empty"]);
    check(|_, rs| rs.trailers.fill().push(b"t", b"1"), &["response trailer t added: 1"]);
    // 2.1.6: a replaced field moves to the end; with the same value nothing has changed.
    check(
        |rq, _| {
            rq.headers.remove(b":path");
            rq.headers.push(b":path", b"/a?token=s3cret");
        },
        &[],
    );
    check(
        |rq, _| {
            rq.headers.remove(b":method");
            rq.headers.push(b"n", b"1");
            rq.headers.push(b":method", b"PUT");
        },
        &["request method: GET -> PUT", "request header n added: 1"],
    );
    // Noise is noise in the response only.
    check(|_, rs| rs.headers.set_value(1, b"later"), &[]);
    check(|_, rs| rs.headers.push(b"server", b"envoy"), &[]);
    check(|_, rs| rs.headers.push(b"x-request-id", b"1"), &["response header x-request-id added: 1"]);
    check(|rq, _| rq.headers.push(b"date", b"now"), &["request header date added: now"]);
}

#[test]
fn two_fields_of_one_name_keep_their_order() {
    let exchange = exchange();
    let mut playback = identity(&exchange);
    let headers = &mut playback.upstream.get_or_fill().headers;
    headers.set_value(2, b"b=2");
    headers.set_value(3, b"a=1");
    assert_eq!(compare(&exchange, &playback).changes.len(), 2);
}

#[test]
fn verdicts() {
    #[track_caller]
    fn check(edit: impl Fn(&mut Exchange, &mut Playback), kind: Kind, line: &str) {
        let mut exchange = exchange();
        let mut playback = identity(&exchange);
        edit(&mut exchange, &mut playback);
        let verdict = compare(&exchange, &playback);
        assert_eq!((verdict.kind, verdict.to_string().as_str()), (kind, line));
        let mut reused = compare(&super::tests::exchange(), &Playback::default());
        compare_into(&exchange, &playback, &mut reused);
        assert_eq!(reused, verdict);
    }
    fn answer(playback: &mut Playback, headers: &[(&str, &str)], trailers: Option<&[(&str, &str)]>) {
        playback.upstream.clear();
        playback.outcome = Outcome::Answered(0);
        *playback.reply.get_or_fill() = message(headers, "no", trailers);
    }
    check(|_, _| {}, Kind::Forwarded, "forwarded");
    check(|_, p| answer(p, &[(":status", "403")], None), Kind::Answered, "answered 403");
    check(
        |_, p| {
            answer(p, &[(":status", "200")], Some(&[("grpc-status", "16")]));
            p.details = "no_token".into();
        },
        Kind::Answered,
        "answered 200, grpc-status 16 (no_token)",
    );
    check(
        |_, p| {
            p.outcome = Outcome::Reset;
            p.reply.clear();
            p.filters[0].answered = true;
        },
        Kind::Answered,
        "answered by a reset",
    );
    let trap = "broke: trap in `proxy_on_request_headers`: unreachable executed";
    check(|_, p| p.faults.push(fault(FaultKind::Trap)), Kind::Broke, trap);
    check(
        |_, p| {
            answer(p, &[(":status", "503")], None);
            p.outcome = Outcome::Failed;
            p.faults.push(fault(FaultKind::UnansweredCallout));
            p.faults.push(fault(FaultKind::Trap));
        },
        Kind::Broke,
        trap,
    );
    check(|_, p| p.outcome = Outcome::Stuck, Kind::Broke, "broke: the stream never went on");
    check(|_, p| p.outcome = Outcome::Reset, Kind::Broke, "broke: the connection was reset");
    check(
        |_, p| {
            p.faults.push(fault(FaultKind::NotSupported));
            p.faults.push(fault(FaultKind::Trap));
        },
        Kind::Unclear,
        "unclear: not-supported in `proxy_on_request_headers`: unreachable executed",
    );
    check(
        |e, p| {
            e.response.clear();
            p.reply.clear();
            p.outcome = Outcome::Open;
        },
        Kind::Forwarded,
        "forwarded, no response recorded",
    );
}

#[test]
fn an_answer_is_compared_by_status_only() {
    let exchange = exchange();
    let mut playback = identity(&exchange);
    playback.outcome = Outcome::Answered(1);
    *playback.reply.get_or_fill() = message(&[(":status", "403"), ("y", "2")], "no", None);
    let verdict = compare(&exchange, &playback);
    assert_eq!(
        verdict.changes.iter().map(|c| c.to_string()).collect::<Vec<_>>(),
        ["response status: 200 -> 403"]
    );
    assert_eq!(verdict.answered, Some(Answered { filter: 1, status: Some(403), grpc_status: None }));
}

#[test]
fn two_playbacks() {
    let old = identity(&exchange());
    let mut new = old.clone();
    new.upstream.clear();
    new.reply.get_or_fill().headers.set_value(0, b"403");
    let mut changes = Changes::default();
    compare_playbacks(&old, &new, &mut changes);
    let lines: Vec<_> = changes.iter().map(|c| c.to_string()).collect();
    assert_eq!(lines, ["request no longer reaches the upstream", "response status: 200 -> 403"]);
    changes.clear();
    compare_playbacks(&old, &old, &mut changes);
    assert!(changes.is_empty());
}

#[test]
fn a_hostile_number_of_fields_is_compared_in_time_that_grows_with_it() {
    let mut exchange = exchange();
    let headers = &mut exchange.request.get_or_fill().headers;
    for i in 0..200_000 {
        headers.push(b"x", format!("{i}").as_bytes());
    }
    let mut playback = identity(&exchange);
    let headers = &mut playback.upstream.get_or_fill().headers;
    headers.remove_at(4);
    headers.push(b"x", b"last");
    // Told in place: every field after the removed one has another value.
    assert_eq!(compare(&exchange, &playback).changes.len(), 200_000);
}

#[test]
fn a_filter_is_judged_by_its_trace() {
    let trace = FilterTrace::default;
    for (trace, kind) in [
        (trace(), None),
        (FilterTrace { reached: true, ..trace() }, Some(Kind::Forwarded)),
        (FilterTrace { reached: true, response_changed: true, ..trace() }, Some(Kind::Changed)),
        (
            FilterTrace { reached: true, request_changed: true, answered: true, ..trace() },
            Some(Kind::Answered),
        ),
        (FilterTrace { reached: true, injected: true, ..trace() }, Some(Kind::Unclear)),
        (FilterTrace { skipped: true, ..trace() }, None),
        (FilterTrace { reached: true, answered: true, broke: true, ..trace() }, Some(Kind::Broke)),
    ] {
        assert_eq!(Kind::of_filter(&trace), kind);
    }
}

prop_compose! {
    fn any_headers()(fields in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8)) -> Headers {
        fields.into_iter().collect()
    }
}

prop_compose! {
    fn any_message()(
        headers in any_headers(),
        bytes in any::<Vec<u8>>(),
        truncated in any::<bool>(),
        trailers in prop::option::of(any_headers()),
    ) -> Message {
        let body = crate::Body { bytes, truncated, ..Default::default() };
        Message { headers, body, trailers: trailers.map_or_else(Slot::none, Slot::some) }
    }
}

prop_compose! {
    fn any_exchange()(
        request in prop::option::of(any_message()),
        response in prop::option::of(any_message()),
    ) -> Exchange {
        let slot = |message: Option<Message>| message.map_or_else(Slot::none, Slot::some);
        Exchange { request: slot(request), response: slot(response), ..Exchange::default() }
    }
}

/// The same fields in another layout of memory.
fn rebuilt(headers: &Headers) -> Headers {
    let mut other = Headers::new();
    other.push(b"gone", b"gone");
    other.extend(headers.iter());
    other.remove_at(0);
    other
}

proptest! {
    #[test]
    fn the_identity_forwards(exchange in any_exchange()) {
        let mut playback = identity(&exchange);
        prop_assert_eq!(compare(&exchange, &playback).kind, Kind::Forwarded);
        for slot in [&mut playback.upstream, &mut playback.reply] {
            if let Some(message) = slot.get_mut() {
                message.headers = rebuilt(&message.headers);
            }
        }
        prop_assert_eq!(compare(&exchange, &playback).kind, Kind::Forwarded);
    }

    #[test]
    fn an_edit_is_seen(old in any_headers(), at in any::<prop::sample::Index>(), value in any::<Vec<u8>>()) {
        prop_assume!(!old.is_empty());
        let mut new = old.clone();
        let at = at.index(old.len());
        let (name, before) = old.at(at).unwrap();
        new.set_value(at, &value);
        let mut changes = Changes::default();
        fields::diff(Half::Request, Section::Headers, Ignore::Nothing, &old, &new, &mut changes);
        let field = Change::Field {
            half: Half::Request, section: Section::Headers, name, old: Some(before), new: Some(&value),
        };
        let want = if before == value { vec![] } else { vec![field] };
        prop_assert_eq!(changes.iter().collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_is_shown_is_one_harmless_line(bytes in any::<Vec<u8>>()) {
        let line = crate::redact::show(&bytes).to_string();
        prop_assert!(!line.is_empty() && !line.chars().any(char::is_control));
    }
}
