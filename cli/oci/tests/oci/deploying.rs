//! Resources for meshes: what is written, and what is refused before a cluster would.

use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_oci::deploy::{Code, Deployment, Lint, OnFailure, Phase, Resource, Scope, Target, Whole, render};
use tamis_oci::{Digest, Reference};

const ALL: [Resource; 5] = [
    Resource::WasmPlugin,
    Resource::TrafficExtension,
    Resource::EnvoyFilter,
    Resource::EnvoyExtensionPolicy,
    Resource::Envoy,
];

fn target(kind: &str, group: &str) -> Target {
    Target { kind: kind.into(), group: group.into(), name: "edge".into() }
}

fn deployment() -> Deployment {
    let image: Reference = "oci://r.example/team/hello:v1".parse().unwrap();
    Deployment {
        name: "hello".into(),
        namespace: Some("shop".into()),
        image,
        digest: Digest::of(b"manifest"),
        wasm: Digest::of(b"wasm"),
        code: None,
        root_id: String::new(),
        config: Some(json!({"header": "x-hello"})),
        scope: Scope { selector: [("app".to_owned(), "cart".to_owned())].into(), ..Scope::default() },
        phase: None,
        priority: None,
        on_failure: OnFailure::Closed,
        pull_secret: None,
        env: Vec::new(),
        context: None,
        istio: None,
    }
}

fn on_gateway() -> Deployment {
    let targets = vec![target("Gateway", "gateway.networking.k8s.io")];
    Deployment { scope: Scope { targets, ..Scope::default() }, ..deployment() }
}

#[track_caller]
fn written(resource: Resource, d: &Deployment) -> Value {
    render(resource, d).unwrap_or_else(|e| panic!("{e:?}")).0
}

/// Names of the rules that break.
#[track_caller]
fn broken(resource: Resource, d: &Deployment) -> Vec<Lint> {
    let remarks = render(resource, d).expect_err("something breaks");
    remarks.iter().filter(|r| r.breaks).map(|r| r.lint).collect()
}

#[test]
fn istios_own_resources_7() {
    let d = Deployment {
        phase: Some(Phase::Authn),
        priority: Some(-5),
        pull_secret: Some("login".into()),
        env: vec![("MODE".into(), "shadow".into())],
        root_id: "auth".into(),
        ..deployment()
    };
    let (url, hex) = (format!("oci://r.example/team/hello@{}", d.digest), d.digest.hex());
    let wasm = json!({
        "url": url, "sha256": hex, "imagePullPolicy": "IfNotPresent", "imagePullSecret": "login",
        "pluginName": "auth", "pluginConfig": {"header": "x-hello"}, "failStrategy": "FAIL_CLOSE",
        "vmConfig": {"env": [{"name": "MODE", "value": "shadow"}]},
    });
    let order = json!({"phase": "AUTHN", "priority": -5, "selector": {"matchLabels": {"app": "cart"}}});
    let head = |kind: &str, spec: Value| {
        json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": kind,
            "metadata": {"name": "hello", "namespace": "shop"}, "spec": spec})
    };
    let mut plugin = wasm.clone();
    plugin.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
    assert_eq!(written(Resource::WasmPlugin, &d), head("WasmPlugin", plugin));
    let mut extension = order;
    extension["wasm"] = wasm;
    assert_eq!(written(Resource::TrafficExtension, &d), head("TrafficExtension", extension));
}

#[test]
fn an_envoyfilter_in_both_forms_7() {
    let d = Deployment { context: Some("SIDECAR_INBOUND".into()), ..deployment() };
    let agent = written(Resource::EnvoyFilter, &d);
    let patches = agent["spec"]["configPatches"].as_array().unwrap();
    assert_eq!(patches.len(), 2);
    assert_eq!(patches[0]["patch"]["value"]["name"], patches[1]["patch"]["value"]["name"]);
    assert_eq!(patches[0]["patch"]["value"]["config_discovery"]["type_urls"].as_array().unwrap().len(), 2);
    assert_eq!(patches[1]["match"], json!({"context": "SIDECAR_INBOUND"}));
    let config = &patches[1]["patch"]["value"]["typed_config"]["config"];
    let remote = &config["vm_config"]["code"]["remote"];
    assert!(remote["http_uri"]["uri"].as_str().unwrap().starts_with("oci://r.example/team/hello@sha256:"));
    assert_eq!(remote["sha256"], d.digest.hex());
    assert_eq!(config["configuration"]["value"], r#"{"header":"x-hello"}"#);

    let code = Code::Url { url: "https://files.example/hello.wasm".into(), cluster: "files".into() };
    let inline = written(Resource::EnvoyFilter, &Deployment { code: Some(code), ..d.clone() });
    let patches = inline["spec"]["configPatches"].as_array().unwrap();
    assert_eq!(patches.len(), 1);
    let remote = &patches[0]["patch"]["value"]["typed_config"]["config"]["vm_config"]["code"]["remote"];
    // Two digests that are not to be mixed up: here it is that of the raw module.
    assert_eq!(remote["sha256"], d.wasm.hex());
}

#[test]
fn envoy_gateways_policy_7() {
    let d = Deployment { on_failure: OnFailure::Open, pull_secret: Some("login".into()), ..on_gateway() };
    let want = json!({
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
        "wasm": [{"name": "hello", "failOpen": true, "config": {"header": "x-hello"}, "code": {
            "type": "Image", "pullPolicy": "IfNotPresent", "image": {
                "url": "r.example/team/hello:v1", "sha256": d.digest.hex(),
                "pullSecretRef": {"kind": "Secret", "name": "login"},
            },
        }}],
    });
    assert_eq!(written(Resource::EnvoyExtensionPolicy, &d)["spec"], want);
}

#[test]
fn a_filter_acts_nowhere_unasked() {
    let nowhere = Deployment { scope: Scope::default(), ..deployment() };
    for resource in &ALL[..4] {
        assert_eq!(broken(*resource, &nowhere), [Lint::ScopeNotSaid]);
    }
    let with = |whole, namespace: &str| Deployment {
        scope: Scope { whole: Some(whole), ..Scope::default() },
        namespace: Some(namespace.to_owned()),
        ..deployment()
    };
    let spec = written(Resource::WasmPlugin, &with(Whole::Namespace, "shop"))["spec"].clone();
    assert!(spec.get("selector").is_none() && spec.get("targetRefs").is_none());
    assert_eq!(broken(Resource::WasmPlugin, &with(Whole::Namespace, "istio-system")), [Lint::MeshNamespace]);
    let (_, remarks) = render(Resource::WasmPlugin, &with(Whole::Mesh, "shop")).unwrap();
    assert_eq!(remarks[0].lint, Lint::MeshNamespace);
    let mut both = on_gateway();
    both.scope.selector.insert("app".into(), "cart".into());
    assert_eq!(broken(Resource::WasmPlugin, &both), [Lint::TwoScopes]);
}

#[test]
fn what_a_cluster_would_refuse_is_refused_here() {
    let plugin = |change: fn(&mut Deployment)| {
        let mut d = deployment();
        change(&mut d);
        broken(Resource::WasmPlugin, &d)
    };
    assert_eq!(plugin(|d| d.name = "Hello".into()), [Lint::ResourceName]);
    assert_eq!(plugin(|d| d.pull_secret = Some(String::new())), [Lint::ResourceName]);
    assert_eq!(plugin(|d| d.root_id = "r".repeat(257)), [Lint::RootIdText]);
    assert_eq!(plugin(|d| d.config = Some(json!("text"))), [Lint::ConfigNotObject]);
    assert_eq!(
        plugin(|d| d.env = vec![("A".into(), String::new()), ("A".into(), String::new())]),
        [Lint::EnvLimits]
    );
    assert_eq!(plugin(|d| d.env = vec![("ISTIO_META_X".into(), String::new())]), [Lint::ReservedEnv]);
    assert_eq!(plugin(|d| d.code = Some(Code::File("x".into()))), [Lint::NotInProduct]);
    assert_eq!(plugin(|d| _ = d.scope.selector.insert("a*".into(), "b".into())), [Lint::LabelText]);
    let targeting = |resource, kind: &str, group: &str| {
        let targets = vec![target(kind, group)];
        render(resource, &Deployment { scope: Scope { targets, ..Scope::default() }, ..deployment() }).is_ok()
    };
    assert!(targeting(Resource::WasmPlugin, "Service", ""));
    assert!(targeting(Resource::WasmPlugin, "ServiceEntry", "networking.istio.io"));
    assert!(!targeting(Resource::WasmPlugin, "HTTPRoute", "gateway.networking.k8s.io"));
    assert!(targeting(Resource::EnvoyExtensionPolicy, "HTTPRoute", "gateway.networking.k8s.io"));
    assert!(!targeting(Resource::EnvoyExtensionPolicy, "Service", ""));
    let secret = Deployment { pull_secret: Some("login".into()), ..deployment() };
    assert_eq!(broken(Resource::EnvoyFilter, &secret), [Lint::SecretNotRead]);
    assert_eq!(
        broken(Resource::EnvoyFilter, &Deployment { context: Some("SIDECAR".into()), ..deployment() }),
        [Lint::ContextText]
    );
    assert_eq!(
        broken(Resource::EnvoyExtensionPolicy, &Deployment { priority: Some(1), ..on_gateway() }),
        [Lint::NotInProduct]
    );
    assert_eq!(
        broken(Resource::Envoy, &Deployment { namespace: None, ..deployment() }),
        [Lint::CodeElsewhere]
    );
}

#[test]
fn older_istio_and_open_doors() {
    let on = |minor| Deployment { istio: Some(minor), ..deployment() };
    assert_eq!(broken(Resource::TrafficExtension, &on(29)), [Lint::NewerIstio]);
    written(Resource::TrafficExtension, &on(30));
    assert_eq!(
        broken(Resource::WasmPlugin, &Deployment { on_failure: OnFailure::Reload, ..on(26) }),
        [Lint::NewerIstio]
    );
    written(Resource::WasmPlugin, &Deployment { on_failure: OnFailure::Reload, ..on(27) });
    let open = Deployment { phase: Some(Phase::Authz), on_failure: OnFailure::Open, ..deployment() };
    assert_eq!(render(Resource::WasmPlugin, &open).unwrap().1[0].lint, Lint::AuthFailsOpen);
}

/// Fields of each resource; a cluster drops or refuses any other.
fn known_fields(resource: Resource) -> (&'static [&'static str], &'static [&'static str]) {
    let wasm: &[_] = &[
        "url",
        "sha256",
        "imagePullPolicy",
        "imagePullSecret",
        "pluginConfig",
        "pluginName",
        "failStrategy",
        "vmConfig",
        "type",
    ];
    let order: &[_] = &["phase", "priority", "selector", "targetRefs", "match"];
    match resource {
        Resource::WasmPlugin => (order, wasm),
        Resource::TrafficExtension => (order, &["wasm"]),
        Resource::EnvoyFilter => (&["workloadSelector", "targetRefs", "priority", "configPatches"], &[]),
        _ => (&["targetRefs", "wasm"], &[]),
    }
}

proptest! {
    #[test]
    fn whatever_is_accepted_fits_the_schema_40(
        name in "[a-zA-Z0-9-]{0,12}", root in "\\PC{0,20}", text in "\\PC{0,30}",
        env in proptest::collection::vec(("[A-Z_]{0,8}", "\\PC{0,20}"), 0..4), priority in proptest::option::of(any::<i32>()),
        label in "[a-z.*/]{0,8}", whole in any::<bool>(),
    ) {
        let mut d = deployment();
        d.name = name;
        d.root_id = root;
        d.config = Some(json!({"text": text}));
        d.env = env;
        d.priority = priority;
        d.scope.selector = if whole { Default::default() } else { [(label, "v".to_owned())].into() };
        d.scope.whole = whole.then_some(Whole::Namespace);
        for resource in &ALL[..4] {
            let Ok((value, _)) = render(*resource, &d) else { continue };
            let spec = value["spec"].as_object().unwrap();
            let (one, two) = known_fields(*resource);
            for field in spec.keys() {
                prop_assert!(one.contains(&field.as_str()) || two.contains(&field.as_str()), "{field}");
            }
            prop_assert!(["selector", "targetRefs", "workloadSelector"].iter().filter(|f| spec.contains_key(**f)).count() <= 1);
            let name = value["metadata"]["name"].as_str().unwrap();
            prop_assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!value.to_string().contains("valueFrom"));
        }
    }
}
