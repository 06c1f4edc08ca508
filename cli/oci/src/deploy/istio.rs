//! Istio's resources.

use super::check::{WAYPOINT, config_text};
use super::envoy::{plugin, wasm_filter};
use super::{Deployment, OnFailure, object, set};
use serde_json::{Map, Value, json};

/// Group and version of both of Istio's own resources.
const EXTENSIONS: &str = "extensions.istio.io/v1alpha1";

pub(super) fn wasm_plugin(d: &Deployment) -> Value {
    let mut spec = wasm(d);
    order(d, &mut spec);
    object(EXTENSIONS, "WasmPlugin", d, spec)
}

pub(super) fn traffic_extension(d: &Deployment) -> Value {
    let mut spec = Map::new();
    set(&mut spec, "wasm", wasm(d));
    order(d, &mut spec);
    object(EXTENSIONS, "TrafficExtension", d, spec)
}

/// What both say about the module.
fn wasm(d: &Deployment) -> Map<String, Value> {
    let mut spec = Map::new();
    set(&mut spec, "url", format!("oci://{}@{}", d.image.place(), d.digest));
    set(&mut spec, "sha256", d.digest.hex());
    // The address is pinned: what is there never changes.
    set(&mut spec, "imagePullPolicy", "IfNotPresent");
    if !d.root_id.is_empty() {
        set(&mut spec, "pluginName", d.root_id.as_str());
    }
    if let Some(config) = &d.config {
        set(&mut spec, "pluginConfig", config.clone());
    }
    if let Some(secret) = &d.pull_secret {
        set(&mut spec, "imagePullSecret", secret.as_str());
    }
    let strategy = match d.on_failure {
        OnFailure::Closed => "FAIL_CLOSE",
        OnFailure::Open => "FAIL_OPEN",
        OnFailure::Reload => "FAIL_RELOAD",
    };
    set(&mut spec, "failStrategy", strategy);
    if d.network {
        set(&mut spec, "type", "NETWORK");
    }
    if !d.env.is_empty() {
        let env: Vec<_> = d.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        set(&mut spec, "vmConfig", json!({ "env": env }));
    }
    spec
}

/// Where and when.
fn order(d: &Deployment, spec: &mut Map<String, Value>) {
    if let Some(phase) = d.phase {
        set(spec, "phase", phase.name());
    }
    if let Some(priority) = d.priority {
        set(spec, "priority", priority);
    }
    if !d.scope.selector.is_empty() {
        set(spec, "selector", json!({ "matchLabels": d.scope.selector }));
    }
    if !d.scope.targets.is_empty() {
        set(spec, "targetRefs", targets(d));
    }
}

pub(super) fn targets(d: &Deployment) -> Vec<Value> {
    let target = |t: &super::Target| json!({"group": t.group, "kind": t.kind, "name": t.name});
    d.scope.targets.iter().map(target).collect()
}

/// Two forms: the image through the agent, which takes any address of a remote source in an extension
/// configuration; or code that Envoy gets itself, in the filter.
pub(super) fn envoy_filter(d: &Deployment) -> Value {
    let mut spec = Map::new();
    if !d.scope.selector.is_empty() {
        set(&mut spec, "workloadSelector", json!({ "labels": d.scope.selector }));
    }
    if !d.scope.targets.is_empty() {
        set(&mut spec, "targetRefs", targets(d));
    }
    if let Some(priority) = d.priority {
        // Here lower numbers come first: each is put right before the router, behind those that were put there.
        set(&mut spec, "priority", priority.saturating_neg());
    }
    let mut place = Map::new();
    let router = json!({"filter": {
        "name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": "envoy.filters.http.router"},
    }});
    let mut listener = Map::new();
    let context = d.context.as_deref();
    if let Some(context) = context {
        set(&mut listener, "context", context);
    }
    if context == Some(WAYPOINT) {
        set(&mut listener, "waypoint", router);
    } else {
        // Of a waypoint the schema wants a match of its listener, which an extension has none of.
        place.clone_from(&listener);
        set(&mut listener, "listener", json!({ "filterChain": router }));
    }
    let filter = |value: Value| {
        json!({
            "applyTo": "HTTP_FILTER", "match": listener, "patch": {"operation": "INSERT_BEFORE", "value": value},
        })
    };
    let patches = match &d.code {
        Some(code) => vec![filter(wasm_filter(d, code))],
        None => {
            let found = json!({
                "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
                // The agent puts an RBAC filter in the place of a module that it cannot fetch.
                "type_urls": [
                    "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                    "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                ],
            });
            // The agent fetches: the cluster is needed by the schema alone.
            let remote = json!({"remote": {
                "http_uri": {
                    "uri": format!("oci://{}@{}", d.image.place(), d.digest), "cluster": "_", "timeout": "30s",
                },
                "sha256": d.digest.hex(),
            }});
            let extension = json!({
                "applyTo": "EXTENSION_CONFIG", "match": place,
                "patch": {"operation": "ADD", "value": {"name": d.name, "typed_config": plugin(d, &remote)}},
            });
            vec![filter(json!({"name": d.name, "config_discovery": found})), extension]
        }
    };
    set(&mut spec, "configPatches", patches);
    object("networking.istio.io/v1alpha3", "EnvoyFilter", d, spec)
}

/// The configuration in Envoy's wrapping.
pub(super) fn string_value(config: &Value) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": config_text(config)})
}
