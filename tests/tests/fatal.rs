//! What ends a real Envoy or its worker: asserted there, and a finding of our host (docs/envoy.md 2.15, rows 41 and 76).

use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use tamis_host::{Engine, EngineOptions, Module};
use tamis_tests::artifact::{self, PLAIN};
use tamis_tests::engine::{Referee, play_on_host};
use tamis_tests::envoy::{self, Envoy};
use tamis_tests::peer::{Upstream, exchange};
use tamis_tests::row::{Row, Step};

/// One request through a filter with this script; the cluster `none` has no hosts.
fn one(script: &str) -> Result<Row> {
    answered(script, "{}")
}

/// One that the upstream answers so.
fn answered(script: &str, answer: &str) -> Result<Row> {
    let chain = format!("[{{ name: a, script: \"{script}\" }}]");
    let exchanges = format!("[{{ answer: {answer} }}]");
    let row = format!("{{ says: x, chain: {chain}, callouts: {{ none: [] }}, exchanges: {exchanges} }}");
    Ok(serde_saphyr::from_str(&row)?)
}

#[test]
fn envoy_2_4_and_2_5_where_envoy_crashes_the_host_reports_it() -> Result<()> {
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let engine = Engine::new(&EngineOptions::default())?;
    let guest = Module::load(&engine, &std::fs::read(&wasm)?)?;
    let upstream = Upstream::start(Vec::new())?;
    for script in [
        "log: reply 403 no d -",
        "done: reply 403 no d -",
        "delete: reply 403 no d -",
        "log: close 0",
        "done: close 1",
        "delete: close 0",
        "rqh: cont 1",
        "rsh: cont 1",
        "rqh: gstream none svc.Name Stream - | ginit: gcancel 6 | gtrail: dns 127.0.0.1",
    ] {
        let filter = envoy::filter("a", "a", &wasm, &format!("a | {script}"), &json!({}));
        let listener = envoy::listener("l", &[filter], "up");
        let clusters = [envoy::cluster("up", Some(upstream.address())), envoy::cluster("none", None)];
        let mut envoy = Envoy::start(&[listener], &clusters)?;
        // The answer may or may not arrive before the crash.
        let _ = exchange(envoy.listener("l")?, &Step::default());
        let ended = envoy.ended(Duration::from_secs(20))?;
        assert!(ended.is_some_and(|status| !status.success()), "{script}: {ended:?}");
        let seen = play_on_host(&engine, &guest, "a", &one(script)?)?;
        assert_eq!(seen.faults, ["would-crash-envoy"], "{script}");
    }
    Ok(())
}

#[test]
fn envoy_2_15_what_a_filter_does_at_the_end_of_a_response_ends_envoy() -> Result<()> {
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let engine = Engine::new(&EngineOptions::default())?;
    let guest = Module::load(&engine, &std::fs::read(&wasm)?)?;
    let with_trailers = "{ chunked: true, body: [one], trailers: [[x-t, '1']] }";
    for (script, answer) in [
        ("rst: cont 1", with_trailers),
        ("rsb2: add 3 x-t 1; cont 1", "{ body: [one] }"),
        // Nothing wakes it; the log comes after the idle timeout.
        ("rsb: ret 2 | log: bufstat 1", "{ body: [one] }"),
        ("rsb: ret 3 | log: buf 1 0 9", "{ body: [one] }"),
        ("rsb: ret 2 | log: setbuf 1 99 0 more", "{ body: [one] }"),
        ("rsb1: ret 1 | rsb: ret 3 | log: bufstat 1", "{ body: [one] }"),
    ] {
        let row = answered(script, answer)?;
        let upstream = Upstream::start(vec![row.exchanges[0].answer.clone()])?;
        let filter = envoy::filter("a", "a", &wasm, &format!("a | {script}"), &json!({}));
        let clusters = [envoy::cluster("up", Some(upstream.address()))];
        let mut envoy = Envoy::start(&[envoy::listener("l", &[filter], "up")], &clusters)?;
        let _ = exchange(envoy.listener("l")?, &row.exchanges[0]);
        let ended = envoy.ended(Duration::from_secs(20))?;
        assert!(ended.is_some_and(|status| !status.success()), "{script}: {ended:?}");
        let seen = play_on_host(&engine, &guest, "a", &row)?;
        assert_eq!(seen.faults.last().map(String::as_str), Some("would-crash-envoy"), "{script}");
    }
    Ok(())
}

#[test]
fn envoy_2_4_after_a_close_in_response_trailers_envoy_calls_deleted_contexts() -> Result<()> {
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let row: Row = serde_saphyr::from_str(
        "{ says: x, chain: [{ name: a }, { name: b, script: 'rst: close 1' }], exchanges: [{ answer: { chunked: true, \
         body: [one], trailers: [[x-t, '1']] } }] }",
    )?;
    let upstream = Upstream::start(vec![row.exchanges[0].answer.clone()])?;
    let filters = [("a", "a"), ("b", "b | rst: close 1")]
        .map(|(name, config)| envoy::filter(name, name, &wasm, config, &json!({})));
    let clusters = [envoy::cluster("up", Some(upstream.address()))];
    let mut envoy = Envoy::start(&[envoy::listener("l", &filters, "up")], &clusters)?;
    // Memory that is gone is used: now and then that ends the process.
    let _ = exchange(envoy.listener("l")?, &row.exchanges[0]);
    let ended = envoy.ended(Duration::from_millis(300))?;
    let lines = envoy.lines();
    let at = |end: &str| lines.iter().position(|l| l.text.contains("~a/") && l.text.contains(end));
    let called = at(" delete").zip(at(" rst")).is_some_and(|(delete, trailers)| delete < trailers);
    assert!(called || ended.is_some(), "{lines:?}");

    let engine = Engine::new(&EngineOptions::default())?;
    let guest = Module::load(&engine, &std::fs::read(&wasm)?)?;
    let seen = play_on_host(&engine, &guest, "a", &row)?;
    assert_eq!(seen.faults, ["would-crash-envoy"]);
    assert!(!seen.log.iter().any(|line| line.starts_with("a/") && line.contains(" rst")), "{:?}", seen.log);
    Ok(())
}

#[test]
fn envoy_2_15_where_envoy_calls_what_it_has_deleted_or_itself_without_end() -> Result<()> {
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let engine = Engine::new(&EngineOptions::default())?;
    let guest = Module::load(&engine, &std::fs::read(&wasm)?)?;
    let with = |a: &str, b: &str, answer: &str| -> Result<Row> {
        Ok(serde_saphyr::from_str(&format!(
            "{{ says: x, chain: [{{ name: a, script: '{a}' }}, {{ name: b, script: '{b}' }}], callouts: {{ ok: [{{ after: 200 }}] }}, \
             exchanges: [{{ http2: true, answer: {{ body: [one, two], {answer} }} }}] }}",
        ))?)
    };
    let metadata = "metadata: [{ after: 1, fields: [[k, v]] }]";
    // Each resume brings the trailers again that the other filter made.
    let (makes, endless) = (
        "rsh: rm 2 content-length | rsb: add 3 x-t 1",
        "rsh: call ok 5000 :method=GET,:path=/,:authority=c -; ret 1 | \
                   call: eff last; cont 1 | rst: cont 1; ret 1",
    );
    for (what, row) in [
        ("reply", with("", "rsm: reply 403 x - -", metadata)?),
        ("close", with("", "rsm: close 0", metadata)?),
        ("endless", with(endless, makes, "")?),
    ] {
        let mut envoy = Referee::start(&[("m".into(), row.clone())], &wasm)?;
        // Memory that is gone is used: mostly that ends the process.
        let seen = envoy.play("m", &row)?;
        let mut own = seen.log.iter().filter(|line| line.starts_with("a/"));
        let fault = if what == "endless" {
            // Until the stack of its VM ends.
            assert!(own.filter(|line| line.contains(" rst ")).count() > 500, "{:?}", seen.log);
            "would-duplicate"
        } else {
            let called = own.any(|line| line.ends_with(" delete")) && own.next().is_some();
            assert!(called || envoy.play("m", &row).is_err(), "{what}: {:?}", seen.log);
            "would-crash-envoy"
        };
        let seen = play_on_host(&engine, &guest, "m", &row)?;
        assert_eq!(seen.faults.first().map(String::as_str), Some(fault), "{what}");
    }
    Ok(())
}

#[test]
fn envoy_2_15_where_a_worker_hangs_the_host_reports_it() -> Result<()> {
    let wasm = artifact::module("tamis-guest", PLAIN)?;
    let engine = Engine::new(&EngineOptions::default())?;
    let guest = Module::load(&engine, &std::fs::read(&wasm)?)?;
    let upstream = Upstream::start(Vec::new())?;
    let stream = "gstream none svc.Name Stream -";
    let call = "gcall none 100 svc.Name Call - x";
    let http = "call none 100 :method=GET,:path=/,:authority=a -";
    for (script, fault) in [
        ("rqh: loop".to_owned(), Some("out-of-fuel")),
        (format!("rqh: {stream}; {stream}"), Some("would-hang-envoy")),
        (format!("rqh: {call}; {stream}"), Some("would-hang-envoy")),
        (format!("rqh: {http}; {stream}"), Some("would-hang-envoy")),
        (format!("rqh: {call}; dns 127.0.0.1"), Some("would-hang-envoy")),
        (format!("rqh: {stream} | ginit: {http}"), Some("would-hang-envoy")),
        (format!("rqh: {stream} | gtrail: {call}"), Some("would-hang-envoy")),
        (format!("rqh: dns 127.0.0.1 | dns: {call}"), Some("would-hang-envoy")),
        // What is done once, or in another order, hangs nothing.
        (format!("rqh: {stream}; {call} | rsh: {stream}"), None),
        (format!("rqh: {stream} | ginit: gclose 6 | gtrail: gclose 6; dns 127.0.0.1"), None),
        (format!("rqh: {call}; {http}"), None),
    ] {
        let filter = envoy::filter("a", "a", &wasm, &format!("a | {script}"), &json!({}));
        let listeners = [envoy::listener("l", &[filter], "up"), envoy::listener("other", &[], "up")];
        let clusters = [envoy::cluster("up", Some(upstream.address())), envoy::cluster("none", None)];
        let mut envoy = Envoy::start(&listeners, &clusters)?;
        let want = if fault.is_some() { "no answer in time" } else { "200" };
        // The second listener has no filter, and the same worker.
        for listener in ["l", "other"] {
            let seen = exchange(envoy.listener(listener)?, &Step::default())?;
            assert_eq!(seen.start, want, "{script}: {listener}");
        }
        assert_eq!(envoy.ended(Duration::ZERO)?, None, "{script}");
        let seen = play_on_host(&engine, &guest, "a", &one(&script)?)?;
        assert_eq!(seen.faults.first().map(String::as_str), fault, "{script}: {:?}", seen.faults);
    }
    Ok(())
}
