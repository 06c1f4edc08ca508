//! The referee itself: filters in Envoy see what was recorded, and each way in which a stream can end is told
//! apart as the test host tells it. The scripted guest says what it saw.

use anyhow::{Context, Result};
use std::sync::LazyLock;
use std::time::Duration;
use tamis_host::{Answer, Answers, Engine, EngineOptions, FilterSpec, Module, Stage};
use tamis_referee::{Chain, Filter, Referee, alike};
use tamis_tests::artifact::{self, PLAIN};
use tamis_traffic::expect::RuleAnswer;
use tamis_traffic::redact::Secrets;
use tamis_traffic::{
    Body, Callout, Exchange, FaultKind, Headers, Message, Outcome, Playback, Protocol, Slot,
};

static GUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = artifact::module("tamis-guest", PLAIN).expect("the guest builds");
    std::fs::read(path).expect("the guest can be read")
});

/// The one cluster of callouts answers so.
fn rule(callout: &Callout) -> Option<RuleAnswer> {
    let body = Body { bytes: b"allowed".to_vec(), ..Body::default() };
    let headers = [(":status", "200"), ("x-seen", callout.request.headers.text("x-ask").unwrap_or("-"))];
    let message = Message { headers: headers.into_iter().collect(), body, trailers: Slot::none() };
    Some(RuleAnswer::Reply { message, delay: Duration::ZERO })
}

struct Rules;

impl Answers for Rules {
    fn answer(&mut self, callout: &Callout) -> Answer {
        match rule(callout) {
            Some(RuleAnswer::Reply { message, delay }) => Answer::Reply { message, after: delay },
            _ => Answer::UnknownCluster,
        }
    }
}

struct Both {
    stage: Stage,
    referee: Referee,
}

impl Both {
    /// A chain of scripted guests.
    fn start(names: &[&str]) -> Result<Self> {
        let engine = Engine::new(&EngineOptions::default())?;
        let module = Module::load(&engine, &GUEST)?;
        let mut builder = Stage::builder(&engine).answers(Box::new(Rules));
        let mut filters = Vec::new();
        for name in names {
            let mut spec = FilterSpec::new(*name, module.clone());
            spec.config = name.as_bytes().to_vec();
            spec.vm_id = format!("vm-{name}");
            filters.push(Filter {
                name: spec.name.clone(),
                vm_id: spec.vm_id.clone(),
                wasm: GUEST.clone(),
                config: spec.config.clone(),
                ..Filter::default()
            });
            builder = builder.filter(spec);
        }
        let mut chain = Chain::new(filters);
        chain.clusters = vec!["idp".to_owned()];
        chain.answers = Box::new(rule);
        chain.idle = Duration::from_secs(1);
        Ok(Self { stage: builder.build()?, referee: Referee::start(chain)? })
    }

    /// Plays one by both; what differs, and Envoy's playback.
    fn play(&mut self, exchange: &Exchange) -> Result<(Vec<String>, Playback)> {
        let (mut ours, mut theirs) = (Playback::default(), Playback::default());
        self.referee.play(exchange, &mut theirs)?;
        let mut lived = exchange.clone();
        self.referee.relive(&mut lived);
        self.stage.play(&lived, &mut ours);
        let mut lines = alike::compare(&ours, &theirs).lines(Secrets::Show);
        let (mine, envoys) = (logs(&ours), logs(&theirs));
        if let Some(at) = (0..mine.len().max(envoys.len())).find(|i| mine.get(*i) != envoys.get(*i)) {
            let [mine, envoys] = [&mine, &envoys].map(|l| l.get(at).map_or("", |l| l).to_owned());
            // What is common to long lines says nothing.
            let same =
                mine.bytes().zip(envoys.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(60);
            let [mine, envoys] =
                [mine, envoys].map(|l| String::from_utf8_lossy(&l.as_bytes()[same..]).into_owned());
            lines.push(format!("log line {at}: {mine} -> {envoys}"));
        }
        Ok((lines, theirs))
    }
}

/// Without the numbers of streams, which differ once a VM was started anew.
fn logs(playback: &Playback) -> Vec<String> {
    let line = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        match text.split_once('/') {
            Some((name, rest)) => format!("{name}/{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
            None => text,
        }
    };
    playback.logs.iter().map(|log| line(&log.text)).collect()
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(n, v)| (*n, *v)).collect()
}

/// A request as Envoy records it, with a script for the guests.
fn exchange(protocol: Protocol, script: &str, body: &[&str]) -> Exchange {
    let mut head = headers(&[
        (":authority", "shop.test"),
        (":path", "/a?b=%20c"),
        (":method", if body.is_empty() { "GET" } else { "POST" }),
        (":scheme", "https"),
        ("x-script", script),
        ("x-forwarded-proto", "https"),
    ]);
    if protocol == Protocol::Http2 {
        head.push(b"te", b"trailers");
    }
    let pieces = |parts: &[&str]| Body {
        bytes: parts.concat().into_bytes(),
        chunks: parts.iter().map(|p| p.len() as u32).collect(),
        truncated: false,
        length: None,
    };
    let answer =
        headers(&[(":status", "200"), ("date", "Mon, 23 Nov 2026 07:03:32 GMT"), ("x-from", "shop")]);
    Exchange {
        request: Slot::some(Message { headers: head, body: pieces(body), trailers: Slot::none() }),
        response: Slot::some(Message {
            headers: answer,
            body: pieces(&["from the shop"]),
            trailers: Slot::none(),
        }),
        protocol,
        ..Exchange::default()
    }
}

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
    let mut playback = Playback::default();
    both.referee.play(&exchange(Protocol::Http11, "", &[]), &mut playback)?;
    assert_eq!((playback.outcome, playback.faults.len()), (Outcome::Forwarded, 0), "{playback:?}");
    Ok(())
}
