//! Envoy Gateway's policy.

use super::check::{Lint, Notes, not_there, scope};
use super::istio::targets;
use super::{Deployment, OnFailure, object, set};
use serde_json::{Map, Value, json};

pub(super) fn policy(d: &Deployment) -> Value {
    // Documented without a scheme.
    let mut image = json!({"url": format!("{}@{}", d.image.place(), d.digest), "sha256": d.digest.hex()});
    if let Some(secret) = &d.pull_secret {
        image["pullSecretRef"] = json!({"kind": "Secret", "name": secret});
    }
    let mut wasm = Map::new();
    set(&mut wasm, "name", d.name.as_str());
    if !d.root_id.is_empty() {
        set(&mut wasm, "rootID", d.root_id.as_str());
    }
    set(&mut wasm, "code", json!({"type": "Image", "image": image, "pullPolicy": "IfNotPresent"}));
    if let Some(config) = &d.config {
        set(&mut wasm, "config", config.clone());
    }
    set(&mut wasm, "failOpen", d.on_failure == OnFailure::Open);
    let mut spec = Map::new();
    set(&mut spec, "targetRefs", targets(d));
    set(&mut spec, "wasm", vec![Value::Object(wasm)]);
    object("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy", d, spec)
}

/// Its rules.
pub(super) fn check(d: &Deployment, notes: &mut Notes) {
    if d.scope.targets.is_empty() {
        notes.breaks(Lint::ScopeNotSaid, "Envoy Gateway wants targets");
    } else {
        scope(d, false, notes);
    }
    let absent = [
        (d.phase.is_some(), "a phase"),
        (d.priority.is_some(), "a priority"),
        (!d.env.is_empty(), "values of environment variables"),
        (!d.scope.selector.is_empty(), "labels of workloads"),
        (d.on_failure == OnFailure::Reload, "reloading a broken filter"),
        (d.code.is_some(), "code that Envoy gets itself"),
        (d.context.is_some(), "a context"),
    ];
    not_there("Envoy Gateway", absent, notes);
}
