//! Higress's plugin.
//!
//! The fields of Istio's, without those that say where; the controller of Higress puts the rules into the
//! configuration itself, under `_rules_`, and leaves it as it is where there are none.

use super::{Deployment, OnFailure, object, set};
use serde_json::{Map, Value, json};

/// Kinds of places that a rule names, and the rule's field for them.
pub(super) const PLACES: [(&str, &str); 3] =
    [("Ingress", "ingress"), ("Service", "service"), ("Domain", "domain")];

pub(super) fn wasm_plugin(d: &Deployment) -> Value {
    let mut spec = Map::new();
    set(&mut spec, "url", format!("oci://{}@{}", d.image.place(), d.digest));
    set(&mut spec, "sha256", d.digest.hex());
    set(&mut spec, "imagePullPolicy", "IfNotPresent");
    if let Some(secret) = &d.pull_secret {
        set(&mut spec, "imagePullSecret", secret.as_str());
    }
    if !d.root_id.is_empty() {
        set(&mut spec, "pluginName", d.root_id.as_str());
    }
    set(&mut spec, "failStrategy", if d.on_failure == OnFailure::Open { "FAIL_OPEN" } else { "FAIL_CLOSE" });
    if let Some(phase) = d.phase {
        set(&mut spec, "phase", phase.name());
    }
    if let Some(priority) = d.priority {
        set(&mut spec, "priority", priority);
    }
    if !d.env.is_empty() {
        let env: Vec<_> = d.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        set(&mut spec, "vmConfig", json!({ "env": env }));
    }
    let config = d.config.clone().unwrap_or_else(|| json!({}));
    if d.scope.targets.is_empty() {
        set(&mut spec, "defaultConfig", config);
    } else {
        set(&mut spec, "defaultConfigDisable", true);
        set(&mut spec, "matchRules", rules(d, &config));
    }
    object("extensions.higress.io/v1alpha1", "WasmPlugin", d, spec)
}

/// One rule for each kind of place: the plugins' own sdk takes no rule with two kinds.
fn rules(d: &Deployment, config: &Value) -> Vec<Value> {
    let names = |kind: &str| {
        let named = d.scope.targets.iter().filter(|t| t.kind == kind);
        named.map(|t| t.name.clone()).collect::<Vec<_>>()
    };
    let rule = |(kind, field): (&str, &str)| {
        let names = names(kind);
        (!names.is_empty()).then(|| json!({field: names, "config": config, "configDisable": false}))
    };
    PLACES.into_iter().filter_map(rule).collect()
}
