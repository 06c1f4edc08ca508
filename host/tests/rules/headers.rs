//! Header maps (docs/envoy.md 2.1).

use crate::guest::*;
use tamis_traffic::Outcome;

#[test]
fn a_header_filter_plays_end_to_end() {
    let playback = check(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $num (local.get 1)) (call $num (local.get 2))
             (call $get (i32.const 0) 'x-in')
             (drop (call $add (i32.const 0) 'X-Added' 'yes'))
             (drop (call $remove (i32.const 0) 'x-in'))
             (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
             (drop (call $replace (i32.const 2) 'server' 'tamis'))
             (i32.const 0))"#,
        &get(),
        &["5", "1", "0 1"],
    );
    let upstream = playback.upstream.get().unwrap();
    assert_eq!(upstream.headers.get(b"x-added"), Some(&b"yes"[..]));
    assert_eq!(upstream.headers.get(b"x-in"), None);
    assert_eq!(playback.reply.get().unwrap().headers.text("server"), Some("tamis"));
    assert_eq!((playback.outcome, faults(&playback).len()), (Outcome::Forwarded, 0));
    let trace = &playback.filters[0];
    assert!(
        trace.reached && trace.request_changed && trace.response_changed && !trace.broke && !trace.answered
    );
    assert!(trace.cost.fuel > 0 && trace.cost.host_calls == 7, "{:?}", trace.cost);
}

#[test]
fn envoy_2_1_12_request_headers_are_gone_in_the_response_phase_and_back_in_log() {
    check(
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
             (call $get (i32.const 0) 'x-in') (call $pairs (i32.const 0))
             (call $num (call $add (i32.const 0) 'a' 'b'))
             (call $property 'request.path')
             (i32.const 0))
           (func (export "proxy_on_log") (param i32)
             (call $get (i32.const 0) 'x-in')
             (call $get (i32.const 1) 'x-in')
             (call $num (call $add (i32.const 0) 'a' 'b')))"#,
        &get(),
        &["2", "0", "0", "2", "1", "0 1", "1", "2"],
    );
}

#[test]
fn envoy_1_2_absent_is_1_in_0_2_1_and_empty_in_0_1_0() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 PARAM) (result i32)
        (call $get (i32.const 0) 'x-none') (i32.const 0))"#;
    check(&body.replace("PARAM", "i32"), &get(), &["1"]);
    let engine = engine();
    let wasm = wasm("0.1.0", &body.replace("PARAM", ""));
    let spec = tamis_host::FilterSpec::new("old", tamis_host::Module::load(&engine, &wasm).unwrap());
    let mut stage = tamis_host::Stage::builder(&engine).filter(spec).build().unwrap();
    assert_eq!(logs(&play(&mut stage, &get())), ["0 "]);
}

#[test]
fn envoy_1_3_undecodable_pairs_wipe_the_map_and_2_1_9_the_router_refuses_it() {
    let playback = check(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $num (call $set_pairs (i32.const 0) 'garbage')) (i32.const 0))"#,
        &get(),
        &["0"],
    );
    assert_eq!(reply_status(&playback), Some("404"));
    assert_eq!(faults(&playback), ["bad-headers"]);
    assert!(playback.upstream.is_none());
}

#[test]
fn envoy_2_1_8_and_2_1_9_what_router_and_codec_refuse() {
    for (call, want) in [
        ("(call $remove (i32.const 0) ':method')", Some("503")),
        ("(call $remove (i32.const 0) ':path')", Some("404")),
        ("(call $remove (i32.const 0) ':authority')", Some("200")),
        ("(call $add (i32.const 0) 'a b' 'c')", Some("503")),
        ("(call $add (i32.const 0) 'a' 'b\nc')", Some("503")),
        ("(call $add (i32.const 0) 'a' '\u{e9}')", Some("200")),
    ] {
        let body = format!(
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $num {call}) (i32.const 0))"#
        );
        let playback = check(&body, &get(), &["0"]);
        assert_eq!(reply_status(&playback), want, "{call}");
        assert_eq!(faults(&playback).is_empty(), want == Some("200"), "{call}");
    }
    let playback = check(
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
             (call $num (call $remove (i32.const 2) ':status')) (i32.const 0))"#,
        &get(),
        &["0"],
    );
    assert_eq!((reply_status(&playback), playback.outcome), (Some("502"), Outcome::Failed));
}

#[test]
fn a_filter_that_takes_back_what_it_wrote_changed_nothing() {
    let playback = check(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (drop (call $add (i32.const 0) 'x-a' '1'))
             (drop (call $remove (i32.const 0) 'x-a'))
             (i32.const 0))"#,
        &get(),
        &[],
    );
    assert!(!playback.filters[0].request_changed);
}
