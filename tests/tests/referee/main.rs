//! The referee itself: filters in Envoy see what was recorded, and each way in which a stream can end is told
//! apart as the test host tells it. The scripted guest says what it saw.

mod both;
mod callouts;
mod ways;

use anyhow::{Context, Result};
use both::{Both, exchange, headers, logs};
use tamis_traffic::{FaultKind, Outcome, Protocol, Slot};

#[test]
fn filters_see_the_recorded_lists_in_bytes_and_order() -> Result<()> {
    let mut both = Both::start(&["a"])?;
    let script = "rqh: pairs 0 | rqt: pairs 1 | rsh: pairs 2 | rst: pairs 3";
    for protocol in [Protocol::Http11, Protocol::Http2] {
        let mut odd = exchange(protocol, script, &["x"]);
        let request = odd.request.get_mut().context("a request")?;
        let fields: [(&str, &[u8]); 11] = [
            ("x_under_score", b"1"),
            ("x-dup", b"1"),
            ("x-dup", b"2"),
            ("x-empty", b""),
            ("x-latin", b"Z\xfcrich"),
            ("x-envoy-internal", b"true"),
            ("x-envoy-expected-rq-timeout-ms", b"15000"),
            ("x-request-id", b"not-a-uuid"),
            ("x-forwarded-for", b"10.0.0.1,10.0.0.2"),
            ("x-forwarded-client-cert", b"By=spiffe://a;Hash=00"),
            ("x-long", &[b'%'; 20_000]),
        ];
        fields.iter().for_each(|(name, value)| request.headers.push(name.as_bytes(), value));
        request.trailers = Slot::some(headers(&[("x-end", "1")]));
        let response = odd.response.get_mut().context("a response")?;
        for (name, value) in [("server", "shop"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-e", "")] {
            response.headers.push(name.as_bytes(), value.as_bytes());
        }
        response.trailers = Slot::some(headers(&[("grpc-status", "0"), ("x-end", "2")]));
        let (lines, playback) = both.play(&odd)?;
        assert_eq!(lines, Vec::<String>::new(), "{protocol:?}");
        assert_eq!(playback.outcome, Outcome::Forwarded);
        let sent = playback.upstream.get().context("nothing reached the upstream")?;
        let recorded = odd.request.get().context("a request")?;
        assert!(sent.headers.iter().eq(recorded.headers.iter()), "{protocol:?}: {:?}", sent.headers);
        let said = logs(&playback).join("\n");
        assert!(said.contains("x-latin=Z\\xfcrich, x-envoy-internal=true"), "{said}");
    }
    Ok(())
}

#[test]
fn each_way_of_ending_is_told_apart() -> Result<()> {
    let mut both = Both::start(&["a", "b", "c"])?;
    let cases = [
        ("rqh: add 0 x-new 1 | rsh: add 2 x-new 2", &["one"][..], Outcome::Forwarded),
        ("rqb1: setbuf 0 0 100 other", &["one"], Outcome::Forwarded),
        ("rqh: reply 403 no%20way some%20detail x-why=1", &[], Outcome::Answered(0)),
        ("rsh: reply 500 late - -", &[], Outcome::Answered(2)),
        ("rqh: close 0", &[], Outcome::Reset),
        ("rsb: reply 500 late - -", &[], Outcome::Reset),
        ("rqh: rm 0 :path", &[], Outcome::Failed),
        ("rqh: rep 0 x-bad a%0Ab", &[], Outcome::Failed),
        ("rsh: rm 2 :status", &[], Outcome::Failed),
        ("rqh: ret 1", &["held"], Outcome::Stuck),
        ("rsh: ret 1", &[], Outcome::Stuck),
        (
            "rqh: call idp 500 :method=GET,:path=/ask,:authority=idp,x-ask=1 -; ret 1 | call: eff last; get 6 x-seen; cont 0",
            &[],
            Outcome::Forwarded,
        ),
    ];
    for protocol in [Protocol::Http11, Protocol::Http2] {
        for (script, body, outcome) in &cases {
            let (lines, playback) = both.play(&exchange(protocol, script, body))?;
            assert_eq!(lines, Vec::<String>::new(), "{protocol:?} `{script}`");
            assert_eq!(playback.outcome, *outcome, "{protocol:?} `{script}`: {}", playback.details);
        }
        let mut open = exchange(protocol, "log: get 0 :path", &["x"]);
        open.response.clear();
        let (lines, playback) = both.play(&open)?;
        assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Open), "{protocol:?}");
    }
    Ok(())
}

/// docs/envoy.md 2.5: Envoy decides by the content type of the request, and `application/grpc-web` is none.
#[test]
fn replies_to_grpc_and_to_what_only_looks_like_it() -> Result<()> {
    let mut both = Both::start(&["a"])?;
    for (content, status) in [
        ("application/grpc", "200"),
        ("application/grpc+proto", "200"),
        ("application/grpc-web", "403"),
        ("application/grpc;charset=a", "403"),
    ] {
        let mut call = exchange(Protocol::Http2, "rqh: reply 403 no - -", &["x"]);
        let request = call.request.get_mut().context("a request")?;
        request.headers.push(b"content-type", content.as_bytes());
        let (lines, playback) = both.play(&call)?;
        assert_eq!(lines, Vec::<String>::new(), "{content}");
        let reply = playback.reply.get().context("a reply")?;
        assert_eq!(reply.headers.text(":status"), Some(status), "{content}");
    }
    Ok(())
}

#[test]
fn a_trap_is_put_down_to_its_filter_and_so_is_what_follows() -> Result<()> {
    for phase in ["rqh", "rsh"] {
        let mut both = Both::start(&["a", "b"])?;
        let mut broken = exchange(Protocol::Http11, "", &[]);
        let request = broken.request.get_mut().context("a request")?;
        request.headers.push(b"x-script-b", format!("{phase}: trap").as_bytes());
        for (expected, exchange) in
            [(FaultKind::Trap, &broken), (FaultKind::DeadVm, &exchange(Protocol::Http11, "", &[]))]
        {
            let (lines, playback) = both.play(exchange)?;
            assert_eq!(lines, Vec::<String>::new(), "{phase}");
            let faults: Vec<_> = playback.faults.iter().map(|f| (f.kind, f.filter)).collect();
            assert_eq!(faults, [(expected, Some(1))], "{phase}");
            assert_eq!(playback.outcome, Outcome::Failed, "{phase}");
        }
    }
    Ok(())
}

#[test]
fn a_reply_that_crashes_envoy_is_the_filters_fault_and_the_next_exchange_is_played() -> Result<()> {
    let mut both = Both::start(&["a"])?;
    let (_, playback) = both.play(&exchange(Protocol::Http11, "log: reply 500 late - -", &[]))?;
    let kinds: Vec<_> = playback.faults.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FaultKind::WouldCrash], "{:?}", playback.faults);
    let playback = both.envoy_plays(&exchange(Protocol::Http11, "", &[]))?;
    assert_eq!((playback.outcome, playback.faults.len()), (Outcome::Forwarded, 0), "{playback:?}");
    Ok(())
}
