//! The filter in Envoy's own words.

use super::istio::string_value;
use super::{Code, Deployment, OnFailure};
use serde_json::{Value, json};

/// Where the bootstrap listens, and where it sends what it lets through: this machine alone, to be changed.
const LISTEN: (&str, u16) = ("127.0.0.1", 10_000);
const UPSTREAM: (&str, u16) = ("127.0.0.1", 8_080);

/// A bootstrap that runs: one listener, the filter, the router, one cluster.
pub(super) fn bootstrap(d: &Deployment, code: &Code) -> Value {
    let address =
        |(host, port): (&str, u16)| json!({"socket_address": {"address": host, "port_value": port}});
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "http_filters": [wasm_filter(d, code), router],
        "route_config": {"virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]},
        ]},
    });
    let chain = json!({"filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
    ]});
    let endpoint = json!({"endpoint": {"address": address(UPSTREAM)}});
    json!({"static_resources": {
        "listeners": [{"name": "ingress", "address": address(LISTEN), "filter_chains": [chain]}],
        "clusters": [{"name": "upstream", "type": "STATIC", "load_assignment": {
            "cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}],
        }}],
    }})
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
