//! `manifest`: from an image to what a mesh applies.

use crate::guests;
use crate::support::{Place, Ran};
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

/// The bootstrap is taken by a real Envoy, module and all.
#[test]
fn a_real_envoy_takes_the_bootstrap_7() {
    let place = place();
    let file = place.path().join("f.wasm");
    let file = file.to_str().unwrap();
    let ran = manifest(
        &place,
        &["--kind", "envoy", "--code-file", file, "--env", "A=b", "--config", "\"yes: no\""],
    );
    place.file("envoy.yaml", &ran.exit(0).out);
    let envoy = tamis_referee::find::binary().expect("an Envoy");
    let validate = |name: &str| {
        Command::new(&envoy).args(["--mode", "validate", "-c"]).arg(place.path().join(name)).output().unwrap()
    };
    let output = validate("envoy.yaml");
    assert!(output.status.success(), "{}\n{}", ran.out, String::from_utf8_lossy(&output.stderr));
    // It would say so if it did not.
    place.file("other.yaml", ran.out.replace("root_id", "roots"));
    assert!(!validate("other.yaml").status.success());
}
