//! Callouts, with the same answers for both engines: what filters see of them and do with them is alike.

use crate::both::{Both, Setup, exchange, logs};
use anyhow::Result;
use std::time::Duration;
use tamis_host::Answer;
use tamis_referee::Cluster;
use tamis_traffic::{
    Body, Callout, GrpcEnd, GrpcMessage, GrpcReply, GrpcStatus, Headers, Message, Outcome, Protocol, Slot,
};

fn text(status: &str, fields: &[(&str, &str)], body: &str) -> Message {
    let mut headers: Headers = [(":status", status)].into_iter().collect();
    headers.extend(fields.iter().copied());
    let body = Body { bytes: body.as_bytes().into(), ..Body::default() };
    Message { headers, body, trailers: Slot::none() }
}

fn reply(message: Message) -> Answer {
    Answer::Reply { message, after: Duration::ZERO }
}

/// By the path of the call.
fn answer(callout: &Callout) -> Answer {
    let after = Duration::from_millis(20);
    match callout.request.headers.text(":path").unwrap_or_default() {
        "/plain" => reply(text(
            "200",
            &[
                ("x-a", "1"),
                ("x-a", "2"),
                ("vary", "b"),
                ("vary", "c"),
                ("x-envoy-upstream-service-time", "5"),
            ],
            "yes",
        )),
        "/none" => reply(text("204", &[("x-a", "1")], "")),
        "/full" => reply(text("503", &[("content-type", "text/plain"), ("content-length", "4")], "full")),
        "/chunks" => reply(text("200", &[("transfer-encoding", "chunked")], "in chunks")),
        "/bytes" => {
            let mut message = text("200", &[], "");
            message.headers.push(b"x-latin", b"Z\xfcrich");
            message.body.bytes = vec![0, 255, b'\r', b'\n'];
            reply(message)
        }
        "/late" => Answer::Reply { message: text("200", &[], "late"), after },
        "/reset" => Answer::Reset { after },
        "/torn" => Answer::ResetMidBody { after },
        "/never" => Answer::Timeout,
        other => unreachable!("no answer to {other}"),
    }
}

/// `x-envoy-upstream-service-time` is a time.
const SHOW: &str = "call: get 6 :status; get 6 x-a; get 6 vary; get 6 transfer-encoding; get 6 x-latin; size 6; \
    buf 4 0 99; status; eff last; add 0 x-answered 1; cont 0";

#[test]
fn http_calls_are_answered_alike_whatever_the_answer() -> Result<()> {
    let setup = Setup { ours: Box::new(answer), envoys: Box::new(answer), ..Setup::default() };
    let mut both = Both::with(setup)?;
    for path in ["/plain", "/none", "/full", "/chunks", "/bytes", "/late", "/reset", "/torn", "/never"] {
        let call =
            format!("rqh: call idp 150 :method=POST,:path={path},:authority=a,x-ask=1 question; ret 1");
        let (lines, playback) = both.play(&exchange(Protocol::Http11, &format!("{call} | {SHOW}"), &[]))?;
        assert_eq!(lines, Vec::<String>::new(), "{path}");
        assert_eq!(playback.outcome, Outcome::Forwarded, "{path}");
        let callout = &playback.callouts[0];
        assert_eq!((callout.timeout_ms, callout.request.body.bytes.as_slice()), (150, &b"question"[..]));
        assert_eq!(callout.request.headers.text("x-ask"), Some("1"));
    }
    Ok(())
}

#[test]
fn clusters_that_are_unknown_or_empty_do_not_start_a_call() -> Result<()> {
    let ours = |callout: &Callout| match callout.cluster.as_str() {
        "bare" => Answer::NoHosts,
        _ => Answer::UnknownCluster,
    };
    let clusters = vec![Cluster { hosts: false, ..Cluster::new("bare") }];
    let mut both = Both::with(Setup { ours: Box::new(ours), clusters, ..Setup::default() })?;
    let script = "rqh: call bare 99 :method=GET,:path=/q,:authority=a -; call nobody 99 :method=GET,:path=/q,:authority=a -; \
        gcall bare 99 a.B C - x; gcall nobody 99 a.B C - x | gend: status";
    let (lines, playback) = both.play(&exchange(Protocol::Http11, script, &[]))?;
    assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Forwarded));
    let said = logs(&playback).join("\n");
    assert!(said.contains("-> 10") && said.contains("-> 2"), "{said}");
    Ok(())
}

/// Envoy starts a filter on its main thread and on its worker, and a canary before (docs/envoy.md 1.5): what it calls then
/// belongs to no exchange.
#[test]
fn calls_while_filters_start_belong_to_no_exchange() -> Result<()> {
    let script = "conf: call idp 500 :method=GET,:path=/late,:authority=a -";
    let setup = Setup { script, ours: Box::new(answer), envoys: Box::new(answer), ..Setup::default() };
    let mut both = Both::with(setup)?;
    let ask = "rqh: call idp 500 :method=GET,:path=/plain,:authority=a -; ret 1 | call: eff last; cont 0";
    for script in ["", ask] {
        let (lines, playback) = both.play(&exchange(Protocol::Http11, script, &[]))?;
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.starts_with("log line")).collect();
        assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Forwarded));
        assert_eq!(playback.callouts.len(), usize::from(!script.is_empty()), "{:?}", playback.callouts);
    }
    Ok(())
}

/// What both engines are told of a service must be the same; where it is not, that is found.
#[test]
fn another_answer_on_one_side_is_a_disagreement() -> Result<()> {
    let envoys = |callout: &Callout| {
        let mut answer = answer(callout);
        if let Answer::Reply { message, .. } = &mut answer {
            message.headers.set_value(0, b"403");
        }
        answer
    };
    let mut both =
        Both::with(Setup { ours: Box::new(answer), envoys: Box::new(envoys), ..Setup::default() })?;
    let script = "rqh: call idp 500 :method=GET,:path=/plain,:authority=a -; ret 1 | call: get 6 :status; eff last; cont 0";
    let (lines, _) = both.play(&exchange(Protocol::Http11, script, &[]))?;
    assert!(lines.len() == 1 && lines[0].contains("200") && lines[0].contains("403"), "{lines:?}");
    Ok(())
}

fn message(text: &str) -> GrpcMessage {
    GrpcMessage { after: Duration::from_millis(5), bytes: text.into() }
}

/// By the method of the call.
fn in_grpc(callout: &Callout) -> Answer {
    let fields = |name: &str| -> Headers { [(name, "1"), (name, "2")].into_iter().collect() };
    let status = GrpcStatus { trailers: fields("x-trailing"), ..GrpcStatus::default() };
    let all = GrpcReply {
        headers: fields("x-initial"),
        messages: ["one", "", "three"].map(message).into(),
        end: GrpcEnd::Status(status),
        ..GrpcReply::default()
    };
    match callout.request.headers.text(":path").unwrap_or_default() {
        "/a.B/All" => Answer::Grpc(all),
        "/a.B/Error" => Answer::Grpc(GrpcReply::error(7, "no entry")),
        "/a.B/Torn" => Answer::Grpc(GrpcReply { end: GrpcEnd::Reset, ..all }),
        "/a.B/Reset" => Answer::Reset { after: Duration::ZERO },
        "/a.B/Middle" => Answer::ResetMidBody { after: Duration::ZERO },
        "/a.B/Never" => Answer::Timeout,
        "/a.B/Plain" => reply(text("503", &[("content-type", "text/plain")], "no gRPC")),
        "/a.B/Wire" => reply(GrpcReply::message("recorded").to_wire().unwrap_or_default()),
        other => unreachable!("no answer to {other}"),
    }
}

const METHODS: [&str; 8] = ["All", "Error", "Torn", "Reset", "Middle", "Plain", "Wire", "Never"];

fn with_grpc() -> Result<Both> {
    let clusters = vec![Cluster { http2: true, ..Cluster::new("authz") }];
    let (ours, envoys) = (Box::new(in_grpc), Box::new(in_grpc));
    Both::with(Setup { clusters, ours, envoys, ..Setup::default() })
}

#[test]
fn grpc_calls_are_answered_alike_whatever_the_answer() -> Result<()> {
    let mut both = with_grpc()?;
    for method in METHODS {
        let script = format!(
            "rqh: gcall authz 150 a.B {method} x-md=1 ping; ret 1 | gmsg: buf 5 0 99; eff last; add 0 x-answered 1; cont 0 | \
            gend: status; eff last; cont 0"
        );
        let (lines, playback) = both.play(&exchange(Protocol::Http2, &script, &[]))?;
        assert_eq!(lines, Vec::<String>::new(), "{method}");
        assert_eq!(playback.outcome, Outcome::Forwarded, "{method}");
        assert_eq!(playback.callouts[0].request.body.bytes, b"\0\0\0\0\x04ping", "{method}");
    }
    Ok(())
}

#[test]
fn grpc_streams_are_answered_alike_whatever_the_answer() -> Result<()> {
    let mut both = with_grpc()?;
    for method in METHODS.into_iter().filter(|method| *method != "Never") {
        let script = format!(
            "rqh: gstream authz a.B {method} x-md=1; gsend LAST hello 0; gsend LAST bye 1; ret 1 | ginit: get 4 x-initial | \
            gmsg: buf 5 0 99 | gtrail: get 5 grpc-status; get 5 grpc-message; size 5 | gend: status; eff last; cont 0"
        );
        // Tokens of streams are 6, 10, and so on.
        let place = METHODS.iter().position(|other| *other == method).unwrap_or_default();
        let script = script.replace("LAST", &(6 + 4 * place).to_string());
        let (lines, playback) = both.play(&exchange(Protocol::Http11, &script, &[]))?;
        assert_eq!(lines, Vec::<String>::new(), "{method}");
        assert_eq!(playback.outcome, Outcome::Forwarded, "{method}");
    }
    Ok(())
}
