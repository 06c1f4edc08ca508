//! Higress's plugin.
//!
//! The fields of Istio's, without those that say where; the controller of Higress puts the rules into the
//! configuration itself, under `_rules_`, and leaves it as it is where there are none.

use super::check::{Lint, Notes, env, not_there};
use super::{Deployment, OnFailure, Remark, Whole, object, set};
use serde_json::{Map, Value, json};

/// Its namespace unless set otherwise.
const HIGRESS: &str = "higress-system";

/// Kinds of places that a rule names, and the rule's field for them.
const PLACES: [(&str, &str); 3] = [("Ingress", "ingress"), ("Service", "service"), ("Domain", "domain")];

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

/// Its rules.
pub(super) fn check(d: &Deployment, notes: &mut Notes) {
    if d.namespace.as_deref() != Some(HIGRESS) {
        notes.warn(Lint::HigressNamespace, format!("the namespace is not `{HIGRESS}`"));
    }
    match (d.scope.whole, d.scope.targets.is_empty()) {
        (None, true) => notes.breaks(Lint::ScopeNotSaid, "nothing says where the filter acts"),
        (Some(_), false) => notes.breaks(Lint::TwoScopes, "more than one thing says where the filter acts"),
        (Some(Whole::Namespace), true) => {
            notes.breaks(Lint::NotInProduct, "the whole gateway is meant by `--scope mesh`")
        }
        _ => {}
    }
    for target in &d.scope.targets {
        if !PLACES.iter().any(|(kind, _)| *kind == target.kind) {
            notes.breaks(Lint::TargetKind, format!("`{}`", target.kind.escape_debug()));
        } else if target.name.is_empty() {
            notes.breaks(Lint::ResourceName, "a target has no name");
        }
    }
    if !d.scope.targets.is_empty() {
        let strict = d.schema.as_ref().is_some_and(|schema| {
            schema["additionalProperties"] == false && schema["properties"].get("_rules_").is_none()
        });
        let text = "the configuration of single places arrives under `_rules_`";
        notes.add(Remark { lint: Lint::HigressRules, text: text.to_owned(), breaks: strict });
    }
    if d.config.as_ref().is_some_and(|c| !c.is_object()) {
        notes.breaks(Lint::ConfigNotObject, "the configuration is no object");
    }
    let absent = [
        (!d.scope.selector.is_empty(), "labels of workloads"),
        (d.on_failure == OnFailure::Reload, "reloading a broken filter"),
        (d.code.is_some(), "code that Envoy gets itself"),
        (d.context.is_some(), "a context"),
    ];
    not_there("Higress", absent, notes);
    env(d, notes);
}
