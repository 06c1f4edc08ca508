//! The filter in Envoy's own words.

use super::istio::string_value;
use super::{Code, Deployment, OnFailure};
use serde_json::{Value, json};

/// The HTTP filter, for `http_filters` before the router.
pub(super) fn filter(d: &Deployment) -> Value {
    match &d.code {
        Some(code) => wasm_filter(d, code),
        None => Value::Null,
    }
}

/// The HTTP filter with this code.
pub(super) fn wasm_filter(d: &Deployment, code: &Code) -> Value {
    let source = match code {
        Code::File(path) => json!({"local": {"filename": path}}),
        Code::Url { url, cluster } => json!({"remote": {
            "http_uri": {"uri": url, "cluster": cluster, "timeout": "30s"}, "sha256": d.wasm.hex(),
        }}),
    };
    json!({"name": d.name, "typed_config": plugin(d, &source)})
}

/// `envoy.extensions.filters.http.wasm.v3.Wasm`
pub(super) fn plugin(d: &Deployment, code: &Value) -> Value {
    let policy = match d.on_failure {
        OnFailure::Closed => "FAIL_CLOSED",
        OnFailure::Open => "FAIL_OPEN",
        OnFailure::Reload => "FAIL_RELOAD",
    };
    let mut vm = json!({"vm_id": d.name, "runtime": "envoy.wasm.runtime.v8", "code": code});
    if !d.env.is_empty() {
        let values: serde_json::Map<_, _> =
            d.env.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        vm["environment_variables"] = json!({ "key_values": values });
    }
    let mut config = json!({"name": d.name, "root_id": d.root_id, "vm_config": vm, "failure_policy": policy});
    if let Some(given) = &d.config {
        config["configuration"] = string_value(given);
    }
    json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config})
}
