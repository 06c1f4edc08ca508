//! Exchanges that do not simply go to their end: clients that leave, upgrades, filters that are held to limits.

use crate::both::{Both, Setup, exchange, logs};
use anyhow::{Context, Result};
use serde_json::json;
use tamis_traffic::{Exchange, FaultKind, Outcome, Protocol};

/// docs/envoy.md 1.5: nothing of the stream is called any more but log, done and delete.
#[test]
fn a_client_that_leaves_ends_the_stream_alike_at_every_moment() -> Result<()> {
    let log = "log: get 0 :path; get 2 x-from; prop response.code_details; prop response.code";
    let scripts = [
        "",
        "rqh: ret 1",
        "rqb: ret 1",
        "rsh: add 2 x-new 1",
        "rsh: ret 1",
        "rsb: ret 1",
        "rqh: reply 403 no - -",
    ];
    for protocol in [Protocol::Http11, Protocol::Http2] {
        for script in scripts {
            let mut both = Both::start(&["a", "b"])?;
            for moment in ["@request_headers", "@request_body", "@response_headers", "@response_body"] {
                let mut played = exchange(protocol, &format!("{script} | {log}"), &["one", "two"]);
                let response = played.response.get_mut().context("a response")?;
                response.body.chunks = vec![4, 9];
                let (lines, playback) = both.play_until_left(&played, moment)?;
                assert_eq!(lines, Vec::<String>::new(), "{protocol:?} `{script}` {moment}");
                // What holds the request keeps it from the later moments.
                let held = script.starts_with("rq") && script.contains("ret") && moment.contains("response");
                let left = playback.faults.iter().any(|f| f.kind == FaultKind::ClientAbort);
                assert_eq!(left, !held && !script.contains("reply"), "{protocol:?} `{script}` {moment}");
            }
            // A filter that holds it is waited for as long as the stream may stand still.
            if !script.contains("ret") {
                let played = exchange(protocol, &format!("{script} | {log}"), &["one", "two"]);
                let (lines, _) = both.play_until_left(&played, "")?;
                assert_eq!(lines, Vec::<String>::new(), "{protocol:?} `{script}`");
            }
        }
    }
    Ok(())
}

#[test]
fn a_moment_that_never_comes_lets_the_client_stay() -> Result<()> {
    let mut both = Both::start(&["a"])?;
    let bodiless = exchange(Protocol::Http11, "log: get 2 x-from", &[]);
    let (lines, playback) = both.play_until_left(&bodiless, "@request_body")?;
    assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Forwarded));
    Ok(())
}

fn web_socket(script: &str, asked: &[&str], answered: &[&str]) -> Result<Exchange> {
    let mut exchange = exchange(Protocol::Http11, script, asked);
    let request = exchange.request.get_mut().context("a request")?;
    request.headers.set_value(2, b"GET");
    let response = exchange.response.get_mut().context("a response")?;
    response.headers.set_value(0, b"101");
    for headers in [&mut request.headers, &mut response.headers] {
        headers.push(b"connection", b"Upgrade");
        headers.push(b"upgrade", b"chat/2");
    }
    response.body.bytes = answered.concat().into_bytes();
    response.body.chunks = answered.iter().map(|piece| piece.len() as u32).collect();
    Ok(exchange)
}

/// docs/envoy.md 2.2: two bodies without an end, which begin after the 101.
#[test]
fn an_upgrade_is_played_in_turns_and_its_bytes_arrive() -> Result<()> {
    let mut both = Both::start(&["a", "b"])?;
    let see = "rqh: pairs 0 | rqb: buf 0 0 99 | rsh: pairs 2 | rsb: buf 1 0 99 | log: prop response.code";
    let change = "rqb2: setbuf 0 0 9 changed | rsb2: setbuf 1 0 9 other";
    let cases = [
        (see, &["ping", "more"][..], &["pong", "last"][..], ["pingmore", "ponglast"]),
        (see, &["one", "two", "three"], &[], ["onetwothree", ""]),
        (see, &[], &["hello", "again"], ["", "helloagain"]),
        (change, &["ping"], &["pong"], ["changed", "other"]),
    ];
    for (script, asked, answered, [there, here]) in cases {
        let (lines, playback) = both.play(&web_socket(script, asked, answered)?)?;
        assert_eq!(lines, Vec::<String>::new(), "`{script}` {asked:?}");
        assert_eq!(playback.outcome, Outcome::Forwarded);
        let bytes = [&playback.upstream, &playback.reply].map(|m| m.get().map(|m| m.body.bytes.clone()));
        assert_eq!(bytes, [Some(there.into()), Some(here.into())], "`{script}`");
        assert!(
            logs(&playback).iter().any(|line| !line.contains("pairs 0") || line.contains("upgrade=chat/2"))
        );
    }
    let (lines, playback) = both.play(&web_socket("rqh: reply 403 no - -", &["x"], &["y"])?)?;
    assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Answered(0)));
    Ok(())
}

#[test]
fn a_smaller_buffer_limit_is_the_limit_of_both() -> Result<()> {
    let mut both = Both::with(Setup { buffer_limit: 20_000, ..Setup::default() })?;
    let long = "x".repeat(90_000);
    for (script, faults) in [("rqb: hush; ret 1", 1), ("rqb: hush", 0)] {
        let (lines, playback) = both.play(&exchange(Protocol::Http11, script, &["a", &long]))?;
        assert_eq!(lines, Vec::<String>::new(), "{script}");
        let over = playback.faults.iter().filter(|f| f.kind == FaultKind::BufferLimit).count();
        assert_eq!(over, faults, "{script}: {:?}", playback.faults);
    }
    // The same body is nothing to Envoy's own limit.
    let (lines, playback) =
        Both::start(&["a"])?.play(&exchange(Protocol::Http11, "rqb: hush; ret 1", &["a", &long]))?;
    assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Stuck));
    Ok(())
}

#[test]
fn what_a_filter_is_not_allowed_it_is_not_allowed_in_both() -> Result<()> {
    let allowed = [
        "proxy_log",
        "proxy_on_configure",
        "proxy_on_context_create",
        "proxy_on_request_headers",
        "proxy_get_buffer_bytes",
        "proxy_get_header_map_value",
    ];
    let mut both = Both::with(Setup { allowed: &allowed, ..Setup::default() })?;
    let script = "rqh: get 0 :path; add 0 x-new 1; clock 0 | rsh: add 2 x-never 1";
    let (lines, playback) = both.play(&exchange(Protocol::Http11, script, &[]))?;
    assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Forwarded));
    let said = logs(&playback).join("\n");
    assert!(said.contains("add 0 x-new 1 -> 10") && !said.contains("rsh"), "{said}");
    Ok(())
}

/// docs/envoy.md 2.9: what is said of the proxy is said to both.
#[test]
fn properties_of_the_proxy_are_the_same_in_both() -> Result<()> {
    let shop = json!({ "filter_metadata": { "shop": { "tier": "gold", "n": 7 } } });
    let proxy = json!({
        "xds": {
            "node": { "id": "sidecar~a", "cluster": "cart", "locality": { "region": "here" },
                "metadata": { "NAME": "cart", "LIST": ["a", 2] } },
            "route_name": "default", "virtual_host_name": "shop:80", "filter_chain_name": "inbound",
            "cluster_name": "inbound|8080||", "listener_direction": 1,
            "route_metadata": shop, "virtual_host_metadata": shop, "listener_metadata": shop,
            "cluster_metadata": shop, "upstream_host_metadata": shop,
        },
        "metadata": { "filter_metadata": { "jwt": { "sub": "someone", "aud": ["a"] } } },
    });
    let mut both = Both::with(Setup { proxy, ..Setup::default() })?;
    let mut paths: Vec<String> = ["route", "virtual_host", "listener", "cluster", "upstream_host"]
        .iter()
        .flat_map(|of| ["tier", "n"].map(|key| format!("xds.{of}_metadata.filter_metadata.shop.{key}")))
        .collect();
    let names = "node.id node.cluster node.locality.region node.locality.zone node.metadata.NAME node.metadata.LIST \
        node.metadata.none route_name virtual_host_name filter_chain_name cluster_name listener_direction";
    paths.extend(names.split_whitespace().map(|name| format!("xds.{name}")));
    paths.extend(["sub", "aud", "none"].map(|key| format!("metadata.filter_metadata.jwt.{key}")));
    let ask: String = paths.iter().map(|path| format!("prop {path}; ")).collect();
    let script = format!("rqh: {ask} | rsh: {ask} | log: {ask}");
    let (lines, playback) = both.play(&exchange(Protocol::Http11, &script, &[]))?;
    assert_eq!((lines, playback.outcome), (Vec::new(), Outcome::Forwarded));
    let said = logs(&playback).join("\n");
    for (path, value) in [
        ("xds.cluster_name", "inbound|8080||"),
        ("xds.node.metadata.NAME", "cart"),
        ("metadata.filter_metadata.jwt.sub", "someone"),
        ("xds.route_metadata.filter_metadata.shop.tier", "gold"),
    ] {
        assert!(said.contains(&format!("prop {path} -> 0 \"{value}\"")), "{path}: {said}");
    }
    Ok(())
}
