//! What clusters accept, written down from the products' own definitions: fields, types, limits, and the rules that
//! hold between fields. A field that is not here is dropped by a cluster, or refused.
//!
//! Istio: `istio/api` of July 2026; Envoy Gateway 1.9; Higress of April 2026; Consul's operator of August 2026, and its
//! extension `builtin/wasm`, which knows its arguments by name without minding their case.

use serde_json::Value;

/// What a value may be.
enum Kind {
    /// A text, by its length in characters and a rule with a name.
    Text(usize, usize, Rule),
    OneOf(&'static [&'static str]),
    Whole(i64, i64),
    Flag,
    /// An object with any fields.
    Free,
    Any,
    Object(Vec<Field>),
    List(usize, Box<Kind>),
    Map(usize, Box<Kind>),
}

type Rule = Option<(&'static str, fn(&str) -> bool)>;
type Field = (&'static str, bool, Kind);

const NONE: Rule = None;
const LABEL_VALUE: Rule = Some(("no wildcard", |t| !t.contains('*')));
const HEX: Rule = Some(("64 hex digits", |t| {
    t.is_empty() || t.len() == 64 && t.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}));
const GROUP: Rule = Some(("a DNS name", |t| {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let part = |p: &str| !p.is_empty() && !p.starts_with('-') && !p.ends_with('-') && p.bytes().all(inner);
    t.is_empty() || t.split('.').all(part)
}));
const KIND: Rule = Some(("a kind", |t| {
    t.starts_with(|c: char| c.is_ascii_alphabetic())
        && !t.ends_with('-')
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}));
const EMPTY: Rule = Some(("empty", str::is_empty));
const ADDRESS: Rule = Some(("a known scheme", |t| match t.split_once("://") {
    Some((scheme, rest)) => ["http", "https", "file", "oci"].contains(&scheme) && !rest.is_empty(),
    None => true,
}));
const EXTENSION: Rule = Some(("builtin/wasm", |t| t == "builtin/wasm"));
const HTTP: Rule = Some(("http or tcp", |t| t == "http" || t == "tcp"));
const INBOUND: Rule = Some(("inbound: nothing happens on the other listeners", |t| t == "inbound"));
const RUNTIME: Rule = Some(("a runtime", |t| ["v8", "wasmtime", "wamr", "wavm"].contains(&t)));

const WHATEVER: usize = usize::MAX;

fn text(shortest: usize, longest: usize, rule: Rule) -> Kind {
    Kind::Text(shortest, longest, rule)
}

fn plain() -> Kind {
    text(0, WHATEVER, NONE)
}

fn int32() -> Kind {
    Kind::Whole(i32::MIN.into(), i32::MAX.into())
}

fn may(name: &'static str, kind: Kind) -> Field {
    (name, false, kind)
}

fn must(name: &'static str, kind: Kind) -> Field {
    (name, true, kind)
}

fn object(fields: impl IntoIterator<Item = Field>) -> Kind {
    Kind::Object(fields.into_iter().collect())
}

fn list(longest: usize, kind: Kind) -> Kind {
    Kind::List(longest, Box::new(kind))
}

fn map(most: usize, kind: Kind) -> Kind {
    Kind::Map(most, Box::new(kind))
}

const PULL: &[&str] = &["UNSPECIFIED_POLICY", "IfNotPresent", "Always"];

fn istio_wasm() -> Vec<Field> {
    let variable = object([
        must("name", text(1, 256, NONE)),
        may("value", text(0, 2048, NONE)),
        may("valueFrom", Kind::OneOf(&["INLINE", "HOST"])),
    ]);
    vec![
        must("url", text(1, WHATEVER, ADDRESS)),
        may("sha256", text(0, WHATEVER, HEX)),
        may("imagePullPolicy", Kind::OneOf(PULL)),
        may("imagePullSecret", text(1, 253, NONE)),
        may("verificationKey", plain()),
        may("pluginConfig", Kind::Free),
        may("pluginName", text(1, 256, NONE)),
        may("failStrategy", Kind::OneOf(&["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"])),
        may("vmConfig", object([may("env", list(256, variable))])),
        may("type", Kind::OneOf(&["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"])),
    ]
}

fn istio_targets() -> Field {
    let target = object([
        must("kind", text(1, 63, KIND)),
        must("name", text(1, 253, NONE)),
        may("group", text(0, 253, GROUP)),
        may("namespace", text(0, WHATEVER, EMPTY)),
    ]);
    may("targetRefs", list(16, target))
}

fn istio_order(phases: &'static [&'static str]) -> Vec<Field> {
    let port = object([must("number", Kind::Whole(1, 65535))]);
    let matched = object([
        may("mode", Kind::OneOf(&["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"])),
        may("ports", list(WHATEVER, port)),
    ]);
    vec![
        may("phase", Kind::OneOf(phases)),
        may("priority", int32()),
        may("match", list(WHATEVER, matched)),
        may("selector", object([may("matchLabels", map(4096, text(0, 63, LABEL_VALUE)))])),
        istio_targets(),
    ]
}

fn envoy_filter() -> Kind {
    let filter = || object([may("name", plain()), may("subFilter", object([may("name", plain())]))]);
    let port = || Kind::Whole(0, u32::MAX.into());
    let chain = object([
        may("name", plain()),
        may("sni", plain()),
        may("transportProtocol", plain()),
        may("applicationProtocols", plain()),
        may("destinationPort", port()),
        may("filter", filter()),
    ]);
    let listener = object([
        may("name", plain()),
        may("portName", plain()),
        may("portNumber", port()),
        may("listenerFilter", plain()),
        may("filterChain", chain),
    ]);
    let waypoint = object([
        may("portNumber", Kind::Whole(1, 65535)),
        may("filter", filter()),
        may("route", object([may("name", plain())])),
    ]);
    let matched = object([
        may("context", Kind::OneOf(&["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"])),
        may("listener", listener),
        may("waypoint", waypoint),
        may("proxy", object([may("proxyVersion", plain()), may("metadata", map(WHATEVER, plain()))])),
    ]);
    let patch = object([
        may(
            "operation",
            Kind::OneOf(&["MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"]),
        ),
        may("value", Kind::Free),
        may("filterClass", Kind::OneOf(&["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"])),
    ]);
    let one = object([
        may(
            "applyTo",
            Kind::OneOf(&["HTTP_FILTER", "NETWORK_FILTER", "EXTENSION_CONFIG", "LISTENER", "CLUSTER"]),
        ),
        may("match", matched),
        may("patch", patch),
    ]);
    object([
        may("workloadSelector", object([may("labels", map(256, text(0, 63, LABEL_VALUE)))])),
        istio_targets(),
        may("configPatches", list(WHATEVER, one)),
        may("priority", int32()),
    ])
}

fn gateway_policy() -> Kind {
    let name = || text(1, 253, NONE);
    let reference = |more: Field| {
        object([
            may("group", text(0, 253, GROUP)),
            may("kind", text(1, 63, KIND)),
            must("name", name()),
            more,
        ])
    };
    let target = object([
        must("group", text(0, 253, GROUP)),
        must("kind", text(1, 63, KIND)),
        must("name", name()),
        may("sectionName", text(1, 253, GROUP)),
    ]);
    let secret = reference(may("namespace", text(1, 63, GROUP)));
    let image =
        object([must("url", plain()), may("sha256", text(64, 64, HEX)), may("pullSecretRef", secret)]);
    let code = object([
        must("type", Kind::OneOf(&["HTTP", "Image"])),
        may("image", image),
        may("http", object([must("url", plain()), may("sha256", text(64, 64, HEX))])),
        may("pullPolicy", Kind::OneOf(&["IfNotPresent", "Always"])),
    ]);
    let wasm = object([
        may("name", plain()),
        may("rootID", plain()),
        must("code", code),
        may("config", Kind::Any),
        may("failOpen", Kind::Flag),
        may("env", object([may("hostKeys", list(WHATEVER, plain()))])),
    ]);
    object([may("targetRefs", list(WHATEVER, target)), may("wasm", list(16, wasm))])
}

fn higress() -> Kind {
    let variable = object([
        may("name", plain()),
        may("value", plain()),
        may("valueFrom", Kind::OneOf(&["INLINE", "HOST"])),
    ]);
    let names = || list(WHATEVER, plain());
    let rule = object([
        may("ingress", names()),
        may("domain", names()),
        may("service", names()),
        may("config", Kind::Free),
        may("configDisable", Kind::Flag),
        may("routeType", Kind::OneOf(&["HTTP", "GRPC"])),
    ]);
    object([
        may("url", plain()),
        may("sha256", text(0, WHATEVER, HEX)),
        may("imagePullPolicy", Kind::OneOf(PULL)),
        may("imagePullSecret", plain()),
        may("verificationKey", plain()),
        may("pluginConfig", Kind::Free),
        may("pluginName", plain()),
        may("phase", Kind::OneOf(&["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"])),
        may("priority", int32()),
        may("failStrategy", Kind::OneOf(&["FAIL_CLOSE", "FAIL_OPEN"])),
        may("vmConfig", object([may("env", list(WHATEVER, variable))])),
        may("defaultConfig", Kind::Free),
        may("defaultConfigDisable", Kind::Flag),
        may("matchRules", list(WHATEVER, rule)),
    ])
}

fn consul(protocol: bool) -> Kind {
    let service =
        object([must("name", text(1, WHATEVER, NONE)), may("namespace", plain()), may("partition", plain())]);
    let http =
        object([must("service", service), must("uri", text(1, WHATEVER, ADDRESS)), may("timeout", plain())]);
    let code = object([
        may("local", object([must("filename", text(1, WHATEVER, NONE))])),
        may("remote", object([must("httpuri", http), must("sha256", text(64, 64, HEX))])),
    ]);
    let environment =
        object([may("hostenvkeys", list(WHATEVER, plain())), may("keyvalues", map(WHATEVER, plain()))]);
    let vm = object([
        may("vmid", plain()),
        may("runtime", text(0, WHATEVER, RUNTIME)),
        must("code", code),
        may("configuration", plain()),
        may("environmentvariables", environment),
    ]);
    let plugin = object([
        may("name", plain()),
        may("rootid", plain()),
        must("vmconfig", vm),
        may("configuration", plain()),
    ]);
    let arguments = object([
        must("protocol", text(0, WHATEVER, HTTP)),
        must("listenertype", text(0, WHATEVER, INBOUND)),
        may("proxytype", Kind::OneOf(&["connect-proxy"])),
        must("pluginconfig", plugin),
    ]);
    let extension = object([
        must("name", text(1, WHATEVER, EXTENSION)),
        may("required", Kind::Flag),
        must("arguments", arguments),
    ]);
    let mut fields = vec![must("envoyextensions", list(WHATEVER, extension))];
    if protocol {
        fields.push(may("protocol", Kind::OneOf(&["http", "http2", "grpc"])));
    }
    Kind::Object(fields)
}

/// Every breach of what a cluster accepts.
pub(crate) fn breaches(resource: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let kind =
        (resource["apiVersion"].as_str().unwrap_or_default(), resource["kind"].as_str().unwrap_or_default());
    let spec = match kind {
        ("extensions.istio.io/v1alpha1", "WasmPlugin") => {
            let phases = &["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"];
            object(istio_wasm().into_iter().chain(istio_order(phases)))
        }
        ("extensions.istio.io/v1alpha1", "TrafficExtension") => {
            let phases = &["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"];
            object(istio_order(phases).into_iter().chain([must("wasm", object(istio_wasm()))]))
        }
        ("networking.istio.io/v1alpha3", "EnvoyFilter") => envoy_filter(),
        ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy") => gateway_policy(),
        ("extensions.higress.io/v1alpha1", "WasmPlugin") => higress(),
        ("consul.hashicorp.com/v1alpha1", "ServiceDefaults") => consul(true),
        ("consul.hashicorp.com/v1alpha1", "ProxyDefaults") => consul(false),
        other => return vec![format!("nobody knows {other:?}")],
    };
    let head = object([must("name", text(1, 253, GROUP)), may("namespace", text(1, 63, GROUP))]);
    let all = object([
        must("apiVersion", plain()),
        must("kind", plain()),
        must("metadata", head),
        must("spec", spec),
    ]);
    let lowered = kind.0.starts_with("consul").then(|| {
        let mut lowered = resource.clone();
        lowered["spec"] = lower(&resource["spec"]);
        lowered
    });
    check("", lowered.as_ref().unwrap_or(resource), &all, &mut found);
    between(kind.1, &resource["spec"], &mut found);
    if kind.1 == "ProxyDefaults" && resource["metadata"]["name"] != "global" {
        found.push("proxy defaults have one name".into());
    }
    found
}

/// Names of fields without their case; what users name stays.
pub(crate) fn lower(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let field = |(key, value): (&String, &Value)| {
                let name = key.to_lowercase();
                let inner = if name == "keyvalues" { value.clone() } else { lower(value) };
                (name, inner)
            };
            map.iter().map(field).collect()
        }
        Value::Array(list) => list.iter().map(lower).collect(),
        other => other.clone(),
    }
}

/// A Consul entry as `consul config write` takes it.
pub(crate) fn entry_breaches(entry: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut fields = lower(entry);
    let kind = fields["kind"].as_str().unwrap_or_default().to_owned();
    let name = fields["name"].as_str().unwrap_or_default().to_owned();
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|key, _| key != "kind" && key != "name");
    }
    let service = kind == "service-defaults";
    if !service && (kind != "proxy-defaults" || name != "global") || name.is_empty() {
        found.push(format!("no entry `{kind}` with the name `{name}`"));
    }
    check("", &fields, &consul(service), &mut found);
    found
}

fn check(at: &str, value: &Value, kind: &Kind, found: &mut Vec<String>) {
    let mut wrong = |what: &str| found.push(format!("{at}: {what}: {value}"));
    match kind {
        Kind::Any => {}
        Kind::Free => {
            if !value.is_object() {
                wrong("no object");
            }
        }
        Kind::Flag => {
            if !value.is_boolean() {
                wrong("neither true nor false");
            }
        }
        Kind::Whole(least, most) => {
            if !value.as_i64().is_some_and(|n| (*least..=*most).contains(&n)) {
                wrong("no number in the range");
            }
        }
        Kind::OneOf(words) => {
            if !value.as_str().is_some_and(|t| words.contains(&t)) {
                wrong("none of the words");
            }
        }
        Kind::Text(least, most, rule) => match value.as_str() {
            None => wrong("no text"),
            Some(t) if !(*least..=*most).contains(&t.chars().count()) => wrong("too short or too long"),
            Some(t) => match rule {
                Some((name, holds)) if !holds(t) => wrong(name),
                _ => {}
            },
        },
        Kind::Object(fields) => {
            let Some(object) = value.as_object() else { return wrong("no object") };
            for (name, _, _) in
                fields.iter().filter(|(name, needed, _)| *needed && !object.contains_key(*name))
            {
                found.push(format!("{at}: no `{name}`"));
            }
            for (name, value) in object {
                match fields.iter().find(|(known, _, _)| known == name) {
                    Some((_, _, kind)) => check(&format!("{at}.{name}"), value, kind, found),
                    None => found.push(format!("{at}: nobody knows `{name}`")),
                }
            }
        }
        Kind::List(longest, kind) => {
            let Some(list) = value.as_array() else { return wrong("no list") };
            if list.len() > *longest {
                wrong("too long a list");
            }
            for (index, value) in list.iter().enumerate() {
                check(&format!("{at}[{index}]"), value, kind, found);
            }
        }
        Kind::Map(most, kind) => {
            let Some(object) = value.as_object() else { return wrong("no map") };
            if object.len() > *most {
                wrong("too many keys");
            }
            for (name, value) in object {
                check(&format!("{at}.{name}"), value, kind, found);
            }
        }
    }
}

/// Rules between fields, as the definitions have them in CEL, and what is checked once more when it is read.
fn between(kind: &str, spec: &Value, found: &mut Vec<String>) {
    let has = |name: &str| spec.get(name).is_some();
    let mut wrong = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    let labels = [&spec["selector"]["matchLabels"], &spec["workloadSelector"]["labels"]];
    let keys = labels.into_iter().filter_map(Value::as_object).flat_map(|map| map.keys());
    wrong(
        keys.into_iter().all(|k| !k.is_empty() && !k.contains('*')),
        "a label without a key, or with a wildcard",
    );
    let ways = ["selector", "workloadSelector", "targetRef", "targetRefs"];
    wrong(ways.into_iter().filter(|way| has(way)).count() <= 1, "more than one of selector and targets");
    let wasm = if kind == "TrafficExtension" { &spec["wasm"] } else { spec };
    if let Some(env) = wasm["vmConfig"]["env"].as_array() {
        let mut names: Vec<_> = env.iter().filter_map(|v| v["name"].as_str()).collect();
        names.sort_unstable();
        wrong(names.windows(2).all(|w| w[0] != w[1]), "a variable twice");
        wrong(
            env.iter().all(|v| v["valueFrom"] != "HOST" || v.get("value").is_none()),
            "a value of the host's",
        );
    }
    if kind == "EnvoyFilter" {
        for one in spec["configPatches"].as_array().into_iter().flatten() {
            let matched = &one["match"];
            let waypoint = matched.get("waypoint").is_some();
            wrong(waypoint == (matched["context"] == "WAYPOINT"), "a waypoint is matched by its own fields");
            wrong(!(waypoint && matched.get("listener").is_some()), "two things are matched");
            wrong(
                one["patch"]["operation"] == "REMOVE" || one["patch"].get("value").is_some(),
                "nothing to patch in",
            );
        }
    }
    if kind == "EnvoyExtensionPolicy" {
        let kinds = ["Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute"];
        let targets = spec["targetRefs"].as_array();
        wrong(targets.is_some(), "no targets");
        for target in targets.into_iter().flatten() {
            wrong(target["group"] == "gateway.networking.k8s.io", "a target of another group");
            wrong(kinds.iter().any(|k| target["kind"] == *k), "a target of another kind");
        }
        for wasm in spec["wasm"].as_array().into_iter().flatten() {
            let code = &wasm["code"];
            wrong((code["type"] == "HTTP") == code.get("http").is_some(), "code by HTTP");
            wrong((code["type"] == "Image") == code.get("image").is_some(), "code in an image");
            let secret = &code["image"]["pullSecretRef"];
            wrong(secret.is_null() || secret["kind"] == "Secret", "a secret of another kind");
        }
    }
    let mut rules = spec["matchRules"].as_array().into_iter().flatten();
    let places = ["ingress", "domain", "service"];
    let one = |rule: &Value| {
        places.into_iter().filter(|p| rule[*p].as_array().is_some_and(|l| !l.is_empty())).count()
    };
    wrong(rules.all(|rule| one(rule) == 1), "a rule without a place, or with two kinds of them");
}

#[test]
fn the_schemas_say_no() {
    let plugin = |spec: Value| {
        breaches(&serde_json::json!({
            "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "a"}, "spec": spec,
        }))
    };
    let fine = serde_json::json!({"url": "oci://r.example/a"});
    assert_eq!(plugin(fine.clone()), Vec::<String>::new());
    for (field, value) in [
        ("url", serde_json::json!("")),
        ("url", serde_json::json!("ftp://x")),
        ("sha256", serde_json::json!("00")),
        ("phase", serde_json::json!("UNSPECIFIED")),
        ("priority", serde_json::json!(1u64 << 31)),
        ("pluginConfig", serde_json::json!([])),
        ("context", serde_json::json!("ANY")),
        ("selector", serde_json::json!({"matchLabels": {"a*": "b"}})),
        ("selector", serde_json::json!({"matchLabels": {"a": "b".repeat(64)}})),
        ("targetRefs", serde_json::json!([{"kind": "Gateway"}])),
        ("vmConfig", serde_json::json!({"env": [{"name": "A", "value": "1", "valueFrom": "HOST"}]})),
    ] {
        let mut spec = fine.clone();
        spec[field] = value;
        assert_eq!(plugin(spec.clone()).len(), 1, "{spec}");
    }
    assert_eq!(plugin(serde_json::json!({})).len(), 1);
}
