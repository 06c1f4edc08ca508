//! `manifest`: from an image to what a mesh applies.

use crate::guests;
use crate::support::{Place, Ran};
use serde_json::{Value, json};
use std::process::Command;

/// A folder with images of a filter in an OCI image layout: `v1`, and `v1-wasm` for wkg.
fn place() -> Place {
    let place = Place::new();
    place.wasm("f.wasm", &guests::pass());
    let name = "r.example/team/hello:v1";
    place.run(&["push", name, "--filter", "f.wasm", "--layout", "out", "--also", "cncf"]).exit(0);
    place
}

fn manifest(place: &Place, args: &[&str]) -> Ran {
    place.run(&[&["manifest", "r.example/team/hello:v1", "--layout", "out"], args].concat())
}

#[test]
fn a_wasmplugin_is_pinned_by_digest_7() {
    let place = place();
    let ran = manifest(
        &place,
        &["--selector", "app=cart", "--namespace", "shop", "--config", r#"{"mode":"shadow"}"#],
    );
    ran.exit(0)
        .says("kind: WasmPlugin\n")
        .says("apiVersion: extensions.istio.io/v1alpha1\n")
        .says("failStrategy: FAIL_CLOSE\n");
    ran.says("mode: shadow\n").says("namespace: shop\n");
    let pulled = place.run(&["pull", "r.example/team/hello:v1", "--layout", "out", "--format", "json"]);
    let pinned = pulled.exit(0).event("pulled")["pinned"].as_str().unwrap().to_owned();
    ran.says(&format!("url: {pinned}\n"));
}

#[test]
fn every_kind_is_written_and_says_what_to_mind_7() {
    let place = place();
    let selector = &["--selector", "app=cart"][..];
    let target = &["--target-ref", "Gateway/edge"][..];
    for (kind, scope, api) in [
        ("traffic-extension", selector, "TrafficExtension"),
        ("envoy-filter", selector, "EnvoyFilter"),
        ("envoy-extension-policy", target, "EnvoyExtensionPolicy"),
        ("wasm-plugin", target, "WasmPlugin"),
        ("higress-wasm-plugin", &["--scope", "mesh", "--namespace", "higress-system"], "WasmPlugin"),
        ("consul", &["--target-ref", "Service/cart", "--code-file", "/f.wasm"], "ServiceDefaults"),
        ("consul", &["--scope", "mesh", "--code-file", "/f.wasm"], "ProxyDefaults"),
    ] {
        let ran = manifest(&place, &[scope, &["--kind", kind, "--format", "json"]].concat());
        assert_eq!(ran.exit(0).event("manifest")["resource"]["kind"], api);
    }
    // What Consul's own command reads is JSON.
    let entry = ["--kind", "consul-entry", "--target-ref", "Service/cart", "--code-file", "/f.wasm"];
    let entry: serde_json::Value = serde_json::from_str(&manifest(&place, &entry).exit(0).out).unwrap();
    assert_eq!((&entry["Kind"], &entry["Name"]), (&"service-defaults".into(), &"cart".into()));
    let ran = manifest(&place, &["--selector", "app=cart", "--phase", "authz", "--policy", "open"]);
    ran.exit(0).talks("[auth-fails-open]");
}

#[test]
fn what_a_cluster_would_refuse_is_named() {
    let place = place();
    for (args, rule) in [
        (&[][..], "scope-not-said"),
        (&["--selector", "a=b", "--scope", "namespace"], "two-scopes"),
        (&["--scope", "mesh", "--name", "Hello"], "resource-name"),
        (&["--selector", "a=b", "--target", "istio@1.29", "--kind", "traffic-extension"], "newer-istio"),
        (&["--target-ref", "HTTPRoute/all"], "target-kind"),
        (&["--selector", "a=b", "--config", "[1]"], "config-not-object"),
        (&["--selector", "a=b", "--env", "ISTIO_META_X=1"], "reserved-env"),
        (&["--kind", "envoy"], "code-elsewhere"),
    ] {
        let ran = manifest(&place, args);
        ran.exit(2).talks("error[bad-deployment]").talks(&format!("run `tamis explain {rule}`"));
        assert_eq!(ran.out, "");
        place.run(&["explain", rule]).exit(0).says("tamis manifest");
    }
    manifest(&place, &["--selector", "a=b", "--target", "wkg"]).exit(2).talks("`istio`");
    let wkg = ["manifest", "r.example/team/hello:v1-wasm", "--layout", "out", "--selector", "a=b"];
    place.run(&wkg).exit(1).talks("error[image-not-loadable]").talks("[cncf-layout]");
}

/// What breaks when it is started takes traffic down; what this host has not is said, and no obstacle.
#[test]
fn the_filter_is_started_before_anything_is_written() {
    let place = Place::new();
    let unknown = r#"(import "env" "proxy_of_tomorrow" (func $new (param i32) (result i32)))"#;
    place.wasm("breaks.wasm", &guests::with("", "unreachable", "i32.const 0"));
    place.wasm("new.wasm", &guests::with(unknown, "(call $new (i32.const 0))", "i32.const 0"));
    let manifest = |name: &str| {
        let image = format!("r.example/{name}:v1");
        place.run(&["push", &image, "--filter", &format!("{name}.wasm"), "--layout", name]).exit(0);
        place.run(&["manifest", &image, "--layout", name, "--selector", "a=b"])
    };
    let breaks = manifest("breaks");
    breaks.exit(1).talks("error[start-fault]");
    assert_eq!(breaks.out, "");
    manifest("new").exit(0).says("kind: WasmPlugin").talks("was not tried").talks("proxy_of_tomorrow");
}

/// Whether a real Envoy takes a configuration, and what it says.
fn validate(place: &Place, name: &str, config: &str) -> (bool, String) {
    place.file(name, config);
    let envoy = tamis_referee::find::binary().expect("an Envoy");
    let output =
        Command::new(envoy).args(["--mode", "validate", "-c"]).arg(place.path().join(name)).output().unwrap();
    (output.status.success(), format!("{config}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
fn taken(place: &Place, config: &str) {
    let (fine, said) = validate(place, "envoy.yaml", config);
    assert!(fine, "{said}");
}

/// A module whose exports are those of a filter of connections.
fn connections() -> String {
    let request = r#""proxy_on_request_headers") (param i32 i32 i32)"#;
    let connection = r#""proxy_on_downstream_data") (param i32 i32 i32)"#;
    guests::pass().replace(request, connection)
}

/// The bootstrap is taken by a real Envoy, module and all.
#[test]
fn a_real_envoy_takes_the_bootstrap_7() {
    let place = place();
    let file = place.path().join("f.wasm");
    let file = file.to_str().unwrap();
    for policy in ["closed", "open", "reload"] {
        let args = [
            "--kind",
            "envoy",
            "--code-file",
            file,
            "--env",
            "A=b",
            "--config",
            "\"yes: no\"",
            "--policy",
            policy,
        ];
        let ran = manifest(&place, &args);
        taken(&place, &ran.exit(0).out);
        // It would say so if it did not.
        assert!(!validate(&place, "other.yaml", &ran.out.replace("root_id", "roots")).0);
    }
    place.wasm("tcp.wasm", &connections());
    place.run(&["push", "r.example/team/tcp:v1", "--filter", "tcp.wasm", "--layout", "tcp"]).exit(0);
    let file = place.path().join("tcp.wasm");
    let tcp = |args: &[&str]| {
        place.run(&[&["manifest", "r.example/team/tcp:v1", "--layout", "tcp"], args].concat())
    };
    let ran = tcp(&["--kind", "envoy", "--code-file", file.to_str().unwrap()]);
    ran.exit(0).says("filters.network.wasm.v3.Wasm").says("TcpProxy");
    taken(&place, &ran.out);
    tcp(&["--selector", "a=b"]).exit(0).says("type: NETWORK\n");
    tcp(&["--selector", "a=b", "--kind", "envoy-filter"]).exit(2).talks("tamis explain network-filter");
}

/// What an EnvoyFilter puts into a chain is put into one, and a real Envoy takes it.
#[test]
fn a_real_envoy_takes_what_an_envoyfilter_patches_in_7() {
    let place = place();
    let file = place.path().join("f.wasm");
    let file = file.to_str().unwrap();
    let read = |ran: &Ran| -> Value { serde_saphyr::from_str(&ran.exit(0).out).unwrap() };
    let bootstrap = read(&manifest(&place, &["--kind", "envoy", "--code-file", file]));
    // A chain with this filter, the clusters that filters here name, and somebody to fetch configurations from.
    let chain = |filter: &Value| {
        let mut all = bootstrap.clone();
        let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0";
        *all.pointer_mut(filters).unwrap() = filter.clone();
        let clusters = all["static_resources"]["clusters"].as_array_mut().unwrap();
        for name in ["files", "_", "istiod"] {
            let mut cluster = clusters[0].clone();
            cluster["name"] = name.into();
            cluster["load_assignment"]["cluster_name"] = name.into();
            clusters.push(cluster);
        }
        let http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        clusters.last_mut().unwrap()["typed_extension_protocol_options"] = json!({http2: {
            "@type": format!("type.googleapis.com/{http2}"), "explicit_http_config": {"http2_protocol_options": {}},
        }});
        all["dynamic_resources"] = json!({"ads_config": {
            "api_type": "GRPC", "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "istiod"}}],
        }});
        all["node"] = json!({"id": "n", "cluster": "c"});
        all.to_string()
    };
    let scope =
        ["--kind", "envoy-filter", "--selector", "app=cart", "--config", r#"{"a":1}"#, "--env", "A=b"];
    for (code, patches) in [
        (&["--code-file", file][..], 1),
        (&["--code-url", "https://files.example/f.wasm", "--code-cluster", "files"], 1),
        (&[], 2),
    ] {
        for policy in ["closed", "open", "reload"] {
            let filter = read(&manifest(&place, &[&scope[..], code, &["--policy", policy]].concat()));
            let all = filter["spec"]["configPatches"].as_array().unwrap();
            assert_eq!(all.len(), patches);
            for patch in all {
                taken(&place, &chain(&patch["patch"]["value"]));
            }
        }
    }
}
