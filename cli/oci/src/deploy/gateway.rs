//! Envoy Gateway's policy.

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
