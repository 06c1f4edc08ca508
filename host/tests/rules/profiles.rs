//! Versions of Envoy, their limits, and capability restriction (docs/envoy.md 2.10, 2.11, 2.14).

use crate::guest::*;
use tamis_host::{FilterSpec, Module, Profile, Stage};
use tamis_traffic::{Playback, PropertyValue};

/// What a filter that asks this in the request's headers logs under a profile.
fn asks(profile: &str, ops: &str) -> Playback {
    let body = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {ops} (i32.const 0))"#
    );
    let mut stage = builder(&body).profile(Profile::parse(profile).unwrap()).build().unwrap();
    play(&mut stage, &get())
}

#[test]
fn envoy_2_14_sign_exists_since_1_37() {
    for profile in Profile::names() {
        let want = if profile < "envoy-1.37" { "1" } else { "2" };
        assert_eq!(logs(&asks(profile, "(call $foreign 'sign' '')")), [want], "{profile}");
    }
}

#[test]
fn envoy_2_14_a_vm_that_breaks_in_a_request_hangs_an_envoy_before_1_35() {
    for profile in Profile::names() {
        let codes = |ops| {
            let played = asks(profile, ops);
            played.faults.iter().map(|fault| fault.kind.code().to_owned()).collect::<Vec<_>>()
        };
        let trapped = codes("(unreachable)");
        let hangs = trapped.iter().any(|code| code == "would-hang-envoy");
        assert_eq!(hangs, profile < "envoy-1.35", "{profile}: {trapped:?}");
        assert!(codes("").is_empty(), "{profile}");
    }
}

#[test]
fn envoy_2_14_keys_in_pem_are_verified_since_1_37() {
    // Neither key: two keys or none are bad arguments once there are two ways to give one.
    let ops = "(call $foreign 'verify_signature' '\n\u{6}sha256') (call $foreign 'verify_signature' '')";
    for profile in Profile::names() {
        let old = ["0 \u{12}#Failed to initialize digest verify.", "0 \u{12}\u{12} is not supported."];
        let want = if profile < "envoy-1.37" { old } else { ["2", "2"] };
        assert_eq!(logs(&asks(profile, ops)), want, "{profile}");
    }
}

#[test]
fn envoy_2_14_kinds_of_filter_state_came_one_after_the_other() {
    let set = |name: &str| {
        let args = format!("\n{}{name}\u{12}\u{1}1", char::from(name.len() as u8));
        format!("(call $foreign 'set_envoy_filter_state' '{args}')")
    };
    for (name, since) in [
        ("envoy.string", "envoy-1.33"),
        ("envoy.network.network_namespace", "envoy-1.37"),
        ("envoy.hashable_string", "envoy-1.38"),
        ("envoy.bool", "envoy-1.40"),
    ] {
        for profile in Profile::names() {
            let want = if profile < since { "1" } else { "0 " };
            assert_eq!(logs(&asks(profile, &set(name))), [want], "{profile} {name}");
        }
    }
    let read = "(call $property 'filter_state\0envoy.network.upstream_subject_alt_names')";
    let ops = set("envoy.network.upstream_subject_alt_names") + read;
    for profile in Profile::names() {
        let want = if profile < "envoy-1.38" { "1" } else { "0 1" };
        assert_eq!(logs(&asks(profile, &ops))[1], want, "{profile}");
    }
}

#[test]
fn envoy_2_14_the_size_of_the_headers_is_told_since_1_37() {
    for profile in Profile::names() {
        for path in ["request\0headers_bytes", "response\0headers_bytes"] {
            let said = logs(&asks(profile, &format!("(call $property '{path}')")));
            assert_eq!(said == ["1"], profile < "envoy-1.37", "{profile} {path}: {said:?}");
        }
    }
}

#[test]
fn envoy_2_14_an_envoy_before_1_39_has_eighteen_functions_of_wasi_and_cannot_wait() {
    let newer = r#"(module (import "wasi_unstable" "clock_res_get" (func (param i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 8)))"#;
    let engine = engine();
    let spec = FilterSpec::new("a", Module::load(&engine, &wat::parse_str(newer).unwrap()).unwrap());
    let waits = "(call $num (call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))";
    for name in Profile::names() {
        let old = name < "envoy-1.39";
        let profile = Profile::parse(name).unwrap();
        let stage = Stage::builder(&engine).profile(profile).filter(spec.clone()).build();
        let refused = stage.err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), old, "{name}: {refused:?}");
        if let Some(text) = refused {
            assert!(text.ends_with("does not have `wasi_unstable.clock_res_get`, which 1.39 has"), "{text}");
        }
        assert_eq!(logs(&asks(name, waits)), [if old { "52" } else { "0" }], "{name}");
    }
}

#[test]
fn envoy_2_14_foreign_functions_act_on_the_effective_context_since_1_37() {
    let args = "\n\u{c}envoy.string\u{12}\u{1}s";
    let ops = format!(
        "(call $num (call $effective (i32.const 1))) (call $foreign 'set_envoy_filter_state' '{args}')"
    );
    for profile in Profile::names() {
        let want = if profile < "envoy-1.37" { ["0", "0 "] } else { ["0", "1"] };
        assert_eq!(logs(&asks(profile, &ops)), want, "{profile}");
    }
}

#[test]
fn envoy_2_14_an_envoy_before_1_35_refuses_the_setting_that_it_does_not_know() {
    for profile in Profile::names() {
        let engine = engine();
        let mut spec = filter(&engine, "a", "");
        spec.allow_on_headers_stop_iteration = true;
        let stage = Stage::builder(&engine).profile(Profile::parse(profile).unwrap()).filter(spec).build();
        let refused = stage.err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), profile < "envoy-1.35", "{profile}: {refused:?}");
        if let Some(text) = refused {
            assert!(text.ends_with("does not know `allow_on_headers_stop_iteration`"), "{text}");
        }
    }
}

#[test]
fn envoy_2_3_the_buffer_limit_of_the_profile_holds() {
    let body = r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 1))"#;
    let mut profile = Profile::default();
    profile.buffer_limit = 4;
    let mut stage = builder(body).profile(profile).build().unwrap();
    assert_eq!(reply_status(&play(&mut stage, &post(&["abc", "de"]))), Some("413"));
}

#[test]
fn envoy_2_11_a_vm_uses_what_it_is_allowed_to() {
    let engine = engine();
    let body = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $num (call $add (i32.const 0) 'x-a' 'b'))
            (call $num (call $set_property 'a' 'b')) (i32.const 0)) {}"#,
        say("on_log", 1, false)
    );
    let mut spec = filter(&engine, "a", &body);
    spec.allowed_capabilities =
        ["proxy_log", "proxy_on_request_headers", "proxy_set_property"].map(String::from).to_vec();
    let mut stage = Stage::builder(&engine).filter(spec.clone()).build().unwrap();
    let playback = play(&mut stage, &get());
    assert_eq!(logs(&playback), ["call of restricted capability `proxy_add_header_map_value`", "10", "0"]);
    assert!(playback.upstream.get().unwrap().headers.get(b"x-a").is_none());
    spec.allowed_capabilities.clear();
    let mut free = Stage::builder(&engine).filter(spec).build().unwrap();
    assert_eq!(logs(&play(&mut free, &get())), ["0", "0", "on_log"]);
}

#[test]
fn envoy_2_10_an_expression_lives_until_it_is_deleted() {
    let ops = "(call $foreign 'expr_create' 'request.method') (call $foreign 'expr_evaluate' '\0\0\0\0')
        (call $foreign 'expr_delete' '\0\0\0\0') (call $foreign 'expr_evaluate' '\0\0\0\0')";
    assert_eq!(logs(&asks("envoy-1.40", ops)), ["0 \0\0\0\0", "0 GET", "0 ", "1"]);
}

#[test]
fn envoy_2_10_an_expression_that_this_host_cannot_have_ends_the_playback_by_name() {
    let loops = (0..5).fold("true".to_owned(), |inner, n| format!("[1].all(x{n},{inner})"));
    for (expression, kind, name) in [
        ("envoy.config.core.v3.Node{}", "not-supported", "makes a message"),
        (loops.as_str(), "out-of-fuel", "loops"),
    ] {
        let playback = asks("envoy-1.40", &format!("(call $foreign 'expr_create' '{expression}')"));
        assert_eq!(faults(&playback), [kind]);
        assert!(playback.faults[0].text.contains(name), "{}", playback.faults[0].text);
    }
}

#[test]
fn envoy_2_9_what_was_said_of_the_proxy_is_read_on_roots_and_streams() {
    let body = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (call $property 'node' ) (i32.const 1))"#;
    let text = |text: &str| PropertyValue::Text(text.into());
    let map = |key: &str, value| PropertyValue::Map(vec![(text(key), value)]);
    let proxy = map("xds", map("node", map("id", text("me"))));
    let body = body.replace("'node'", "'xds\0node\0id'");
    let stage = builder(&body).proxy(proxy).build().unwrap();
    let lines: Vec<&[u8]> = stage.start_logs().iter().map(|l| l.text.as_slice()).collect();
    assert_eq!(lines, [b"0 me"]);
}
