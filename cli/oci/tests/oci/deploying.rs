//! Resources for meshes: what is written, and what is refused before a cluster would.

use crate::schemas::{breaches, entry_breaches};
use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_oci::deploy::{Code, Deployment, Lint, OnFailure, Phase, Resource, Scope, Target, Whole, render};
use tamis_oci::{Digest, Reference};

/// What clusters read.
pub(crate) const ALL: [Resource; 6] = [
    Resource::WasmPlugin,
    Resource::TrafficExtension,
    Resource::EnvoyFilter,
    Resource::EnvoyExtensionPolicy,
    Resource::HigressWasmPlugin,
    Resource::Consul,
];

pub(crate) fn target(kind: &str, group: &str) -> Target {
    Target { kind: kind.into(), group: group.into(), name: "edge".into() }
}

pub(crate) fn deployment() -> Deployment {
    let image: Reference = "oci://r.example/team/hello:v1".parse().unwrap();
    Deployment {
        name: "hello".into(),
        namespace: Some("shop".into()),
        image,
        digest: Digest::of(b"manifest"),
        wasm: Digest::of(b"wasm"),
        code: None,
        network: false,
        schema: None,
        shadow: false,
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

/// What is written, once a cluster would take it.
#[track_caller]
pub(crate) fn written(resource: Resource, d: &Deployment) -> Value {
    let value = render(resource, d).unwrap_or_else(|e| panic!("{e:?}")).0;
    let found = match resource {
        Resource::Envoy => Vec::new(),
        Resource::ConsulEntry => entry_breaches(&value),
        _ => breaches(&value),
    };
    assert_eq!(found, Vec::<String>::new(), "{value:#}");
    value
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
                "url": format!("r.example/team/hello@{}", d.digest), "sha256": d.digest.hex(),
                "pullSecretRef": {"kind": "Secret", "name": "login"},
            },
        }}],
    });
    assert_eq!(written(Resource::EnvoyExtensionPolicy, &d)["spec"], want);
}

#[test]
fn a_filter_acts_nowhere_unasked() {
    let nowhere = Deployment { scope: Scope::default(), ..deployment() };
    for resource in &ALL[..5] {
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

#[test]
fn waypoints_are_matched_by_their_own_fields() {
    let d = Deployment { context: Some("WAYPOINT".into()), ..on_gateway() };
    let spec = written(Resource::EnvoyFilter, &d)["spec"].clone();
    let matched = &spec["configPatches"][0]["match"];
    assert_eq!(matched["waypoint"]["filter"]["subFilter"]["name"], "envoy.filters.http.router");
    assert!(matched.get("listener").is_none() && spec["configPatches"][1]["match"] == json!({}));
    assert_eq!(
        broken(Resource::EnvoyFilter, &Deployment { istio: Some(28), ..d.clone() }),
        [Lint::NewerIstio]
    );
    let labels = Deployment { context: d.context, ..deployment() };
    assert_eq!(broken(Resource::EnvoyFilter, &labels), [Lint::SelectorOnGateway]);
    assert_eq!(broken(Resource::WasmPlugin, &labels), [Lint::NotInProduct]);
}

/// An EnvoyFilter is put before the router in the order of rising numbers, a WasmPlugin in that of falling ones.
#[test]
fn higher_is_earlier_everywhere() {
    let priority = |resource, n| {
        written(resource, &Deployment { priority: Some(n), ..deployment() })["spec"]["priority"].clone()
    };
    assert_eq!(priority(Resource::WasmPlugin, 10), 10);
    assert_eq!(priority(Resource::EnvoyFilter, 10), -10);
    assert_eq!(priority(Resource::EnvoyFilter, i32::MIN), i32::MAX);
}

#[test]
fn filters_of_connections() {
    let d = Deployment { network: true, ..deployment() };
    assert_eq!(written(Resource::WasmPlugin, &d)["spec"]["type"], "NETWORK");
    assert_eq!(written(Resource::TrafficExtension, &d)["spec"]["wasm"]["type"], "NETWORK");
    assert_eq!(broken(Resource::EnvoyFilter, &d), [Lint::NetworkFilter]);
    let targets = Deployment { network: true, ..on_gateway() };
    assert_eq!(broken(Resource::EnvoyExtensionPolicy, &targets), [Lint::NetworkFilter]);
}

#[test]
fn the_plugin_of_higress_7() {
    let whole = |whole| Scope { whole: Some(whole), ..Scope::default() };
    let namespace = Some("higress-system".to_owned());
    let d = Deployment {
        scope: whole(Whole::Mesh),
        namespace,
        on_failure: OnFailure::Open,
        phase: Some(Phase::Authz),
        env: vec![("A".into(), "b".into())],
        pull_secret: Some("login".into()),
        ..deployment()
    };
    let want = json!({
        "url": format!("oci://r.example/team/hello@{}", d.digest), "sha256": d.digest.hex(),
        "imagePullPolicy": "IfNotPresent", "imagePullSecret": "login", "failStrategy": "FAIL_OPEN",
        "phase": "AUTHZ", "defaultConfig": {"header": "x-hello"},
        "vmConfig": {"env": [{"name": "A", "value": "b"}]},
    });
    assert_eq!(written(Resource::HigressWasmPlugin, &d)["spec"], want);
    let (_, remarks) =
        render(Resource::HigressWasmPlugin, &Deployment { namespace: None, ..d.clone() }).unwrap();
    assert_eq!(remarks[0].lint, Lint::HigressNamespace);

    let place =
        |kind: &str, name: &str| Target { kind: kind.into(), group: String::new(), name: name.into() };
    let targets =
        vec![place("Ingress", "shop/cart"), place("Ingress", "shop/all"), place("Domain", "*.shop.example")];
    let d = Deployment { scope: Scope { targets, ..Scope::default() }, ..d };
    let (value, remarks) = render(Resource::HigressWasmPlugin, &d).unwrap();
    assert!(remarks.iter().any(|r| r.lint == Lint::HigressRules && !r.breaks), "{remarks:?}");
    assert_eq!(breaches(&value), Vec::<String>::new());
    let config = json!({"header": "x-hello"});
    let rules = json!([
        {"ingress": ["shop/cart", "shop/all"], "config": config, "configDisable": false},
        {"domain": ["*.shop.example"], "config": config, "configDisable": false},
    ]);
    assert_eq!(
        (&value["spec"]["matchRules"], &value["spec"]["defaultConfigDisable"]),
        (&rules, &true.into())
    );
    // A filter that refuses what it does not know would refuse its rules.
    let strict = Some(json!({"properties": {"header": {}}, "additionalProperties": false}));
    let d = Deployment { schema: strict, ..d };
    assert_eq!(broken(Resource::HigressWasmPlugin, &d), [Lint::HigressRules]);
    let d = Deployment {
        scope: Scope { targets: vec![target("Gateway", "")], ..Scope::default() },
        ..deployment()
    };
    assert_eq!(broken(Resource::HigressWasmPlugin, &d), [Lint::TargetKind]);
    let d = Deployment { scope: whole(Whole::Namespace), on_failure: OnFailure::Reload, ..deployment() };
    assert_eq!(broken(Resource::HigressWasmPlugin, &d), [Lint::NotInProduct, Lint::NotInProduct]);
}

#[test]
fn the_entries_of_consul_7() {
    let service = Scope { targets: vec![target("Service", "")], ..Scope::default() };
    let code =
        |code| Deployment { code: Some(code), scope: service.clone(), namespace: None, ..deployment() };
    let url = Code::Url { url: "https://files.example/hello.wasm".into(), cluster: "files".into() };
    let d = Deployment { env: vec![("logLevel".into(), "x".into())], ..code(url) };
    let resource = written(Resource::Consul, &d);
    assert_eq!(resource["kind"], "ServiceDefaults");
    assert_eq!(resource["metadata"]["name"], "edge");
    let extension = &resource["spec"]["envoyExtensions"][0];
    assert_eq!(extension["required"], true);
    let want = json!({
        "protocol": "http", "listenerType": "inbound", "pluginConfig": {
            "name": "hello", "rootID": "", "configuration": r#"{"header":"x-hello"}"#,
            "vmConfig": {
                "vmID": "hello", "runtime": "v8", "environmentVariables": {"keyValues": {"logLevel": "x"}},
                "code": {"remote": {
                    "httpURI": {"service": {"name": "files"}, "uri": "https://files.example/hello.wasm", "timeout": "30s"},
                    "sha256": d.wasm.hex(),
                }},
            },
        },
    });
    assert_eq!(extension["arguments"], want);

    // The same in the words of `consul config write`.
    let entry = written(Resource::ConsulEntry, &d);
    assert_eq!(entry["Kind"], "service-defaults");
    let arguments = &entry["EnvoyExtensions"][0]["Arguments"];
    assert_eq!(crate::schemas::lower(arguments), crate::schemas::lower(&want));
    assert_eq!(arguments["PluginConfig"]["VmConfig"]["EnvironmentVariables"]["KeyValues"]["logLevel"], "x");

    let whole = Scope { whole: Some(Whole::Mesh), ..Scope::default() };
    let d = Deployment { scope: whole, on_failure: OnFailure::Open, ..code(Code::File("/f.wasm".into())) };
    let all = written(Resource::Consul, &d);
    assert_eq!((&all["kind"], &all["metadata"]["name"]), (&"ProxyDefaults".into(), &"global".into()));
    assert_eq!(all["spec"]["envoyExtensions"][0]["required"], false);
    written(Resource::ConsulEntry, &d);

    assert_eq!(broken(Resource::Consul, &Deployment { code: None, ..d.clone() }), [Lint::CodeElsewhere]);
    assert_eq!(
        broken(Resource::Consul, &Deployment { scope: Scope::default(), ..d.clone() }),
        [Lint::ScopeNotSaid]
    );
    let url = |url: &str, cluster: &str| Code::Url { url: url.into(), cluster: cluster.into() };
    for odd in
        [Code::File(String::new()), url("ftp://x", "files"), url("https://", "files"), url("https://x", "")]
    {
        let d = Deployment { code: Some(odd), ..d.clone() };
        assert_eq!(broken(Resource::Consul, &d), [Lint::CodeElsewhere]);
    }
    let two = Scope { targets: vec![target("Service", ""), target("Service", "")], ..Scope::default() };
    assert_eq!(broken(Resource::Consul, &Deployment { scope: two, ..d.clone() }), [Lint::TargetKind]);
    let d = Deployment { priority: Some(1), pull_secret: Some("login".into()), ..d };
    assert_eq!(broken(Resource::ConsulEntry, &d), [Lint::NotInProduct, Lint::NotInProduct]);
    assert_eq!(
        render(Resource::Consul, &code(Code::File("/f".into()))).unwrap().1[0].lint,
        Lint::ConsulWholeEntry
    );
}

/// Any deployment at all, sensible or not.
pub(crate) fn any_deployment() -> impl Strategy<Value = Deployment> {
    let name = || prop_oneof![9 => "[a-z]([a-z0-9-]{0,6}[a-z0-9])?", 1 => "[a-zA-Z0-9-]{0,12}"];
    let kinds = prop_oneof![
        Just(("Gateway", "gateway.networking.k8s.io")),
        Just(("HTTPRoute", "gateway.networking.k8s.io")),
        Just(("Service", "")),
        Just(("Ingress", "")),
        Just(("Odd", "x")),
    ];
    let target = (kinds, "[a-z]{1,6}|[a-z/-]{0,8}").prop_map(|((kind, group), name)| Target {
        kind: kind.into(),
        group: group.into(),
        name,
    });
    let whole = prop_oneof![Just(None), Just(Some(Whole::Namespace)), Just(Some(Whole::Mesh))];
    let scope = (
        proptest::collection::btree_map("[a-z./]{1,8}|[a-z*]{0,3}", "[a-z*]{0,64}", 0..2),
        proptest::collection::vec(target, 0..3),
        whole,
    );
    let scope = scope.prop_map(|(selector, targets, whole)| Scope { selector, targets, whole });
    let config = prop_oneof![
        Just(None),
        "\\PC{0,30}".prop_map(|t| Some(json!({"text": t, "mode": "ENFORCE"}))),
        Just(Some(json!("text"))),
        Just(Some(json!([1]))),
    ];
    let code = prop_oneof![
        Just(None),
        "[a-z/]{0,6}".prop_map(|path| Some(Code::File(path))),
        Just(Some(Code::Url { url: "https://files.example/f.wasm".into(), cluster: "files".into() })),
    ];
    let context = prop_oneof![Just(None), Just(Some("WAYPOINT".to_owned())), "[A-Z]{0,3}".prop_map(Some)];
    let one = (
        name(),
        proptest::option::of(name()),
        "\\PC{0,20}",
        config,
        proptest::collection::vec(("[A-Z_]{1,8}|.?", "\\PC{0,20}"), 0..4),
        proptest::option::of(any::<i32>()),
        scope,
        proptest::option::of(name()),
        context,
        code,
    );
    let two = (
        prop_oneof![Just(None), Just(Some(Phase::Authn)), Just(Some(Phase::Authz)), Just(Some(Phase::Stats))],
        prop_oneof![Just(OnFailure::Closed), Just(OnFailure::Open), Just(OnFailure::Reload)],
        proptest::option::of(20u32..40),
        proptest::bool::weighted(0.1),
    );
    (one, two).prop_map(|(one, (phase, on_failure, istio, network))| {
        let (name, namespace, root_id, config, env, priority, scope, pull_secret, context, code) = one;
        Deployment {
            name,
            namespace,
            root_id,
            config,
            env,
            priority,
            scope,
            pull_secret,
            context,
            code,
            phase,
            on_failure,
            istio,
            network,
            ..deployment()
        }
    })
}

/// Takes away what each product has no field for, so that much is accepted.
pub(crate) fn fitting(resource: Resource, mut d: Deployment) -> Deployment {
    let consul = matches!(resource, Resource::Consul | Resource::ConsulEntry);
    let istio = matches!(resource, Resource::WasmPlugin | Resource::TrafficExtension);
    if !consul && resource != Resource::EnvoyFilter {
        d.code = None;
    }
    if resource != Resource::EnvoyFilter {
        d.context = None;
    }
    if resource == Resource::EnvoyFilter || consul {
        (d.pull_secret, d.phase) = (None, None);
    }
    if consul || resource == Resource::EnvoyExtensionPolicy {
        (d.phase, d.priority) = (None, None);
        d.scope.selector.clear();
    }
    if resource == Resource::EnvoyExtensionPolicy {
        d.env.clear();
    }
    if !istio && d.on_failure == OnFailure::Reload {
        d.on_failure = OnFailure::Open;
    }
    d
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_is_accepted_fits_the_schema_40(d in any_deployment()) {
        for resource in ALL.into_iter().chain([Resource::ConsulEntry]) {
            let Ok((value, _)) = render(resource, &fitting(resource, d.clone())) else { continue };
            let found = if resource == Resource::ConsulEntry { entry_breaches(&value) } else { breaches(&value) };
            prop_assert!(found.is_empty(), "{found:?}\n{value:#}");
            prop_assert!(!value.to_string().contains("valueFrom"));
        }
    }
}
