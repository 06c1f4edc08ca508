//! Consul's entries, with its extension `builtin/wasm`.
//!
//! The extension reads its arguments without minding the case of their names. It acts on the inbound listener of
//! sidecars, before the router.

use super::check::{Lint, Notes, config_text, is_label, not_there};
use super::{Code, Deployment, OnFailure, Whole, object, set};
use serde_json::{Map, Value, json};

/// The one name that Consul takes for the settings of all proxies.
const ALL: &str = "global";

/// Consul waits 1 s for a module unless told otherwise.
const TIMEOUT: &str = "30s";

/// As the Kubernetes operator reads it.
pub(super) fn resource(d: &Deployment) -> Value {
    let mut spec = Map::new();
    let required = d.on_failure != OnFailure::Open;
    let extension = json!({"name": "builtin/wasm", "required": required, "arguments": arguments(d)});
    let (kind, name) = match d.scope.targets.first() {
        Some(target) => {
            // The filter joins a listener for HTTP only.
            set(&mut spec, "protocol", "http");
            ("ServiceDefaults", target.name.as_str())
        }
        None => ("ProxyDefaults", ALL),
    };
    set(&mut spec, "envoyExtensions", vec![extension]);
    object("consul.hashicorp.com/v1alpha1", kind, &Deployment { name: name.to_owned(), ..d.clone() }, spec)
}

/// As `consul config write` reads it.
pub(super) fn entry(d: &Deployment) -> Value {
    let required = d.on_failure != OnFailure::Open;
    let extensions =
        json!([{"Name": "builtin/wasm", "Required": required, "Arguments": capital(arguments(d))}]);
    match d.scope.targets.first() {
        Some(target) => json!({
            "Kind": "service-defaults", "Name": target.name, "Protocol": "http", "EnvoyExtensions": extensions,
        }),
        None => json!({"Kind": "proxy-defaults", "Name": ALL, "EnvoyExtensions": extensions}),
    }
}

fn arguments(d: &Deployment) -> Value {
    let code = match &d.code {
        Some(Code::Url { url, cluster }) => json!({"remote": {
            "httpURI": {"service": {"name": cluster}, "uri": url, "timeout": TIMEOUT}, "sha256": d.wasm.hex(),
        }}),
        Some(Code::File(path)) => json!({"local": {"filename": path}}),
        None => json!({}),
    };
    let mut vm = json!({"vmID": d.name, "runtime": "v8", "code": code});
    if !d.env.is_empty() {
        let values: Map<_, _> = d.env.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        vm["environmentVariables"] = json!({ "keyValues": values });
    }
    let mut plugin = json!({"name": d.name, "rootID": d.root_id, "vmConfig": vm});
    if let Some(config) = &d.config {
        plugin["configuration"] = config_text(config).into();
    }
    json!({"protocol": "http", "listenerType": "inbound", "pluginConfig": plugin})
}

/// Names of fields as entries have them; what the user named stays as it is.
fn capital(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let field = |(key, value): (String, Value)| {
        let inner = if key == "keyValues" { value } else { capital(value) };
        let key = match key.as_str() {
            "uri" | "sha256" => key.to_uppercase(),
            _ => key[..1].to_uppercase() + &key[1..],
        };
        (key, inner)
    };
    Value::Object(map.into_iter().map(field).collect())
}

/// Its rules.
pub(super) fn check(d: &Deployment, notes: &mut Notes) {
    match (d.scope.targets.as_slice(), d.scope.whole) {
        ([one], None) if one.kind == "Service" => {
            if !is_label(&one.name) {
                notes.breaks(Lint::ResourceName, format!("the service is `{}`", one.name.escape_debug()));
            }
        }
        ([], Some(Whole::Mesh)) => {}
        ([], None) => notes.breaks(Lint::ScopeNotSaid, "name one service, or the whole mesh"),
        ([], Some(Whole::Namespace)) => {
            notes.breaks(Lint::NotInProduct, "Consul has no entry for a namespace");
        }
        (_, Some(_)) => notes.breaks(Lint::TwoScopes, "more than one thing says where the filter acts"),
        (many, None) => {
            notes.breaks(Lint::TargetKind, format!("{} targets in place of one service", many.len()))
        }
    }
    if d.code.is_none() {
        notes.breaks(Lint::CodeElsewhere, "Consul fetches no images either");
    }
    let absent = [
        (!d.scope.selector.is_empty(), "labels of workloads"),
        (d.phase.is_some(), "a phase"),
        (d.priority.is_some(), "a priority"),
        (d.pull_secret.is_some(), "a pull secret"),
        (d.on_failure == OnFailure::Reload, "reloading a broken filter"),
        (d.context.is_some(), "a context"),
    ];
    not_there("Consul", absent, notes);
    notes.warn(Lint::ConsulWholeEntry, "the entry's list of extensions is replaced");
}
