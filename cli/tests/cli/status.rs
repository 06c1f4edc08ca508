//! `status`, against a real Envoy with filters in it, and against servers that are none.

use crate::guests;
use crate::proxies::{Proxy, bootstrap, fetched, listener, ok, pretender, resource, wasm};
use crate::support::{Place, Ran, real};
use serde_json::{Value, json};
use std::path::Path;

fn status(place: &Place, proxy: &Proxy, args: &[&str]) -> Ran {
    place.run(&[&["status", &proxy.admin], args].concat())
}

/// The event of a filter.
#[track_caller]
fn filter(ran: &Ran, name: &str) -> Value {
    let found = ran.json().into_iter().find(|e| e["event"] == "filter" && e["name"] == name);
    found.unwrap_or_else(|| panic!("no filter {name}: {}\n{}", ran.out, ran.err))
}

#[test]
fn shipped_filters_are_loaded_and_what_they_counted_is_told() {
    let place = Place::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let mut filters = Vec::new();
    for name in ["header-routing", "auth", "rate-limit"] {
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(demo.join(name).with_extension("json")).unwrap()).unwrap();
        config["mode"] = json!("SHADOW");
        filters.push(wasm(name, &real(name), &config.to_string(), "FAIL_CLOSED"));
    }
    let proxy = Proxy::start(bootstrap(&[listener("in", &filters), listener("other", &filters[..1])]));
    for _ in 0..3 {
        assert_eq!(proxy.get("in"), 200);
    }
    let ran = status(&place, &proxy, &["--filter", "auth", "--filter", "rate-limit"]);
    ran.exit(0).says("envoy 1.40.0, LIVE, 1 workers").says("filter     header-routing\n  state    loaded\n");
    ran.says("mode     SHADOW").says("listener in, 0 of 3 requests got 5xx").says("policy   closed");
    ran.says("rate_limit.session.missing_key 3");
    let json = status(&place, &proxy, &["--format", "json"]);
    json.exit(0);
    assert_eq!(filter(&json, "header-routing")["places"].as_array().unwrap().len(), 2);
    assert_eq!(filter(&json, "auth")["mode"], "SHADOW");
    let metrics = &json.event("counted")["metrics"];
    assert_eq!(metrics["rate_limit.session.missing_key"], 3, "{metrics}");
    assert_eq!(json.event("status")["findings"], json!([]));
    // Keys are in that configuration, and stay there.
    assert!(!json.out.contains("issuer"), "{}", json.out);

    let ran =
        status(&place, &proxy, &["--filter", "none", "--digest", &format!("sha256:{}", "0".repeat(64))]);
    ran.exit(1).says("the proxy has no filter `none`");
    let digest = ["--filter", "auth", "--digest", &format!("sha256:{}", "0".repeat(64))];
    status(&place, &proxy, &digest).exit(1).says("filter `auth` says of no digest which one it has");

    // All that a port for Prometheus shows.
    let page = format!("http://{}/stats/prometheus", proxy.admin);
    let ran = place.run(&["status", &page, "--filter", "rate-limit"]);
    ran.exit(0).says("filter     rate_limit\n  state    loaded").says("rate_limit_session_missing_key 3");
    place.run(&["status", &page, "--filter", "none"]).exit(1).says("no filter `none`");
}

#[test]
fn what_a_broken_filter_leaves_behind() {
    let place = Place::new();
    place.wasm("traps.wasm", &guests::traps());
    let file = place.path().join("traps.wasm");
    let under = |name: &str, policy: &str| listener(name, &[wasm(name, &file, "", policy)]);
    let listeners = [under("shut", "FAIL_CLOSED"), under("ajar", "FAIL_OPEN"), under("anew", "FAIL_RELOAD")];
    let proxy = Proxy::start(bootstrap(&listeners));
    let ran = status(&place, &proxy, &["--format", "json"]);
    ran.exit(0);
    // The second of each tells what the policy does with a dead VM.
    for (name, first, second) in [("shut", 503, 503), ("ajar", 503, 200), ("anew", 503, 503)] {
        assert_eq!((proxy.get(name), proxy.get(name)), (first, second), "{name}");
    }
    let ran = status(&place, &proxy, &["--format", "json"]);
    ran.exit(1);
    for (name, policy, errors, broke) in
        [("shut", "closed", 2, false), ("ajar", "open", 1, false), ("anew", "reload", 2, true)]
    {
        let filter = filter(&ran, name);
        assert_eq!((&filter["policy"], &filter["state"]), (&policy.into(), &"loaded".into()), "{filter}");
        assert_eq!(filter["places"][0]["errors"], errors, "{filter}");
        // Envoy counts dead VMs under one policy only.
        let reloads = &filter["reloads"];
        let count = ["success", "failure", "backoff"].map(|k| reloads[k].as_u64().unwrap());
        assert_eq!(count.iter().sum::<u64>() > 0, broke, "{filter}");
    }
    status(&place, &proxy, &[]).says("2 of 2 requests got 5xx").says("Envoy counts no broken VMs under it");
    status(&place, &proxy, &["--filter", "anew"]).exit(1).says("filter `anew` broke");
    status(&place, &proxy, &["--filter", "shut"]).exit(0);
}

#[test]
fn filters_that_are_fetched_by_themselves() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass()).wasm("refuses.wasm", &guests::refuses());
    // As Istio's agent names it: after the digest of the image.
    let digest = "ab".repeat(32);
    let held = format!("{}/{digest}.wasm", "cd".repeat(32));
    place.file(&held, std::fs::read(place.path().join("pass.wasm")).unwrap());
    let path = |name: &str| place.path().join(name);
    let put = |name: &str, resource: Value| {
        place.file(name, resource.to_string());
        path(name)
    };
    let istio = "extensions.istio.io/wasmplugin/shop.hello";
    let good = wasm("shop.hello", &path(&held), r#"{"mode":"ENFORCE"}"#, "FAIL_OPEN");
    let good = put("good.json", resource(istio, &good["typed_config"]));
    let bad = wasm("bad", &path("refuses.wasm"), "", "FAIL_CLOSED");
    let bad = put("bad.json", resource("bad", &bad["typed_config"]));
    let rbac = |rules: Value| {
        let mut rbac = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"});
        if !rules.is_null() {
            rbac["rules"] = rules;
        }
        rbac
    };
    let shut = "extensions.istio.io/trafficextension/shop.shut~x";
    let denied = put("denied.json", resource(shut, &rbac(json!({}))));
    let allowed = put("allowed.json", resource("own", &rbac(Value::Null)));
    let absent = put("absent.json", json!({"resources": []}));
    let late = "extensions.istio.io/wasmplugin/shop.late";
    let filters = [
        fetched(istio, &good),
        fetched("bad", &bad),
        fetched(shut, &denied),
        fetched("own", &allowed),
        fetched(late, &absent),
    ];
    let proxy = Proxy::start(bootstrap(&[listener("in", &filters)]));
    proxy.wait("extension_config_discovery.http_filter.bad.update_rejected", 1);

    let ran = status(
        &place,
        &proxy,
        &["--filter", "hello", "--digest", &format!("oci://r.example/hello@sha256:{digest}")],
    );
    ran.exit(0).says("filter     extensions.istio.io/wasmplugin/shop.hello\n  state    loaded\n");
    ran.says(&format!("digest   sha256:{digest} (the name of its file)")).says("mode     ENFORCE");
    ran.says("policy   open");
    let json = status(&place, &proxy, &["--format", "json"]);
    let why = |name: &str| {
        let filter = filter(&json, name);
        assert_eq!(filter["state"], "not-loaded", "{filter}");
        filter["why"].as_str().unwrap().to_owned()
    };
    assert!(why("bad").contains("refused its configuration"), "{}", why("bad"));
    assert!(why(shut).contains("lets nobody through"), "{}", why(shut));
    assert!(why(late).contains("has not arrived"), "{}", why(late));
    // Somebody's own RBAC is nobody's business, unless it is asked for by the name of a filter.
    assert!(!json.out.contains(r#""name":"own""#));
    for (name, text) in
        [("own", "lets everybody through"), ("shut", "lets nobody through"), ("shop.late", "not arrived")]
    {
        status(&place, &proxy, &["--filter", name]).exit(1).says(text);
    }
    let other = format!("sha256:{}", "0".repeat(64));
    status(&place, &proxy, &["--filter", "shop.hello", "--digest", &other]).exit(1).says("another digest");

    // An update that the proxy refuses: what it shows from then on is not what it runs.
    let next = wasm("shop.hello", &path("refuses.wasm"), "", "FAIL_OPEN");
    let next = put("next.json", resource(istio, &next["typed_config"]));
    std::fs::rename(next, good).unwrap();
    proxy.wait(&format!("extension_config_discovery.http_filter.{istio}.update_rejected"), 1);
    status(&place, &proxy, &["--filter", "hello"])
        .exit(1)
        .says("unsure: the proxy refused 1 of its configurations");
}

#[test]
fn a_configuration_that_was_refused_and_a_module_that_does_not_come() {
    let place = Place::new();
    place.wasm("pass.wasm", &guests::pass());
    let mut far = wasm("far", Path::new("x"), "", "FAIL_CLOSED");
    let uri = json!({"uri": "http://127.0.0.1:1/far.wasm", "cluster": "nowhere", "timeout": "1s"});
    far["typed_config"]["config"]["vm_config"]["code"] =
        json!({"remote": {"http_uri": uri, "sha256": "a".repeat(64)}});
    let mut inline = wasm("inline", Path::new("x"), "", "FAIL_CLOSED");
    let bytes = std::fs::read(place.path().join("pass.wasm")).unwrap();
    // Envoy wants the bytes in base64.
    let text =
        std::process::Command::new("base64").arg("-w0").arg(place.path().join("pass.wasm")).output().unwrap();
    inline["typed_config"]["config"]["vm_config"]["code"] =
        json!({"local": {"inline_bytes": String::from_utf8(text.stdout).unwrap()}});
    let broken = listener("dynamic", &[wasm("broken", Path::new("/none.wasm"), "", "FAIL_CLOSED")]);
    let mut broken = broken;
    broken["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    place.file("lds.json", json!({"resources": [broken]}).to_string());
    let mut all = bootstrap(&[listener("in", &[far, inline])]);
    let end = json!({"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}});
    all["static_resources"]["clusters"] = json!([{"name": "nowhere", "type": "STATIC", "load_assignment": {
        "cluster_name": "nowhere", "endpoints": [{"lb_endpoints": [end]}],
    }}]);
    let source =
        json!({"path_config_source": {"path": place.path().join("lds.json")}, "resource_api_version": "V3"});
    all["dynamic_resources"] = json!({"lds_config": source});
    let proxy = Proxy::start(all);
    proxy.wait("listener_manager.lds.update_rejected", 1);

    let ran = status(&place, &proxy, &["--format", "json"]);
    let findings = ran.exit(1).event("status")["findings"].to_string();
    assert!(findings.contains("refused a configuration") && findings.contains("/none.wasm"), "{findings}");
    assert!(findings.contains("`far` is not loaded: fetching its module failed"), "{findings}");
    let far = filter(&ran, "far");
    assert_eq!(far["digests"][0]["digest"], format!("sha256:{}", "a".repeat(64)));
    assert_eq!(
        (&far["digests"][0]["of"], &far["code"]),
        (&"module".into(), &"http://127.0.0.1:1/far.wasm".into())
    );
    let inline = filter(&ran, "inline");
    assert_eq!(inline["state"], "loaded");
    assert_eq!(inline["digests"][0]["digest"], tamis_oci::Digest::of(&bytes).to_string());
}

#[test]
fn servers_that_are_no_envoy() {
    let place = Place::new();
    let info = || ok(br#"{"version":"c/1.40.0/Clean/RELEASE/x","state":"LIVE"}"#);
    let ask = |answers: Vec<(&'static str, Vec<u8>)>| place.run(&["status", &pretender(answers)]);
    ask(vec![]).exit(6).talks("error[bad-proxy-answer]").talks("15000");
    ask(vec![("server_info", b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec())])
        .exit(6)
        .talks("answers 503");
    ask(vec![("server_info", b"SSH-2.0-OpenSSH_9\r\n".to_vec())]).exit(6).talks("error[proxy-unreachable]");
    ask(vec![("server_info", ok(b"<html>"))]).exit(6).talks("error[bad-proxy-answer]");
    ask(vec![("server_info", ok(&vec![b' '; (1 << 20) + 1]))]).exit(6).talks("longer than 1048576 bytes");
    let redirect =
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec();
    ask(vec![("server_info", redirect)]).exit(6).talks("answers 302");
    for dump in [&br#"{"configs":1}"#[..], br#"{"configs":[{"listener":7}]}"#, br#"{"configs":["#, b"\xff"] {
        let ran = ask(vec![("server_info", info()), ("config_dump", ok(dump)), ("stats", ok(b""))]);
        ran.exit(6).talks("error[bad-proxy-answer]");
    }
    let deep = [br#"{"configs":[{"x":"#.to_vec(), b"[".repeat(100_000)].concat();
    ask(vec![("server_info", info()), ("config_dump", ok(&deep)), ("stats", ok(b""))]).exit(6);
    let line = vec![b'x'; 1 << 17];
    ask(vec![("server_info", info()), ("stats", ok(&line))]).exit(6).talks("longer than 65536 bytes");
    // What is said is shown so that a terminal stays what it was.
    let odd = ok(b"wasmcustom.\x1b[2Jx: 1\nwasm.a.vm_reload_success: 0\n");
    let ran = ask(vec![("server_info", info()), ("stats", odd)]);
    ran.exit(1).says("no Wasm filter");
    assert!(!ran.out.contains('\x1b'), "{:?}", ran.out);
    place.run(&["status", "127.0.0.1:1"]).exit(6).talks("error[proxy-unreachable]").talks("port-forward");
    for bad in ["nonsense", "https://127.0.0.1:1", "127.0.0.1:1/quitquitquit"] {
        place.run(&["status", bad]).exit(2).talks("error[bad-proxy-address]");
    }
    place.run(&["status", "127.0.0.1:1", "--digest", "abc"]).exit(2);
}
