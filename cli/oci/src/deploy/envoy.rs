//! The filter in Envoy's own words.

use super::check::{Lint, Notes, not_there};
use super::istio::string_value;
use super::{Code, Deployment, OnFailure};
use serde_json::{Value, json};

/// Where the bootstrap listens, where it sends what it lets through, and where it answers questions about itself:
/// this machine alone, to be changed.
const LISTEN: (&str, u16) = ("127.0.0.1", 10_000);
const UPSTREAM: (&str, u16) = ("127.0.0.1", 8_080);
const ADMIN: (&str, u16) = ("127.0.0.1", 9_901);

/// Where the listener's metadata says what was deployed. Envoy makes nothing of it and shows it to whoever asks.
pub(crate) const METADATA: &str = "tamis";

/// A bootstrap that runs: one listener, the filter, what comes behind it, one cluster.
pub(super) fn bootstrap(d: &Deployment, code: &Code) -> Value {
    let address =
        |(host, port): (&str, u16)| json!({"socket_address": {"address": host, "port_value": port}});
    let filters = if d.network { connections(d, code) } else { requests(d, code) };
    let deployed = json!({
        "filter": d.name, "image": format!("oci://{}@{}", d.image.place(), d.digest), "wasm": d.wasm,
    });
    let endpoint = json!({"endpoint": {"address": address(UPSTREAM)}});
    json!({
        "admin": {"address": address(ADMIN)},
        "static_resources": {
            "listeners": [{
                "name": "ingress", "address": address(LISTEN), "filter_chains": [{"filters": filters}],
                "metadata": {"filter_metadata": {METADATA: deployed}},
            }],
            "clusters": [{"name": "upstream", "type": "STATIC", "load_assignment": {
                "cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}],
            }}],
        },
    })
}

fn requests(d: &Deployment, code: &Code) -> Value {
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
    json!([{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}])
}

fn connections(d: &Deployment, code: &Code) -> Value {
    let proxy = json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "ingress", "cluster": "upstream",
    }});
    json!([wasm_filter(d, code), proxy])
}

/// The filter with this code.
pub(super) fn wasm_filter(d: &Deployment, code: &Code) -> Value {
    let source = match code {
        Code::File(path) => json!({"local": {"filename": path}}),
        Code::Url { url, cluster } => json!({"remote": {
            "http_uri": {"uri": url, "cluster": cluster, "timeout": "30s"}, "sha256": d.wasm.hex(),
        }}),
    };
    json!({"name": d.name, "typed_config": plugin(d, &source)})
}

/// `envoy.extensions.filters.http.wasm.v3.Wasm`, or its sister for connections.
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
    let layer = if d.network { "network" } else { "http" };
    let kind = format!("type.googleapis.com/envoy.extensions.filters.{layer}.wasm.v3.Wasm");
    json!({"@type": kind, "config": config})
}

/// Its rules.
pub(super) fn check(d: &Deployment, notes: &mut Notes) {
    match &d.code {
        None => notes.breaks(Lint::CodeElsewhere, "nothing says where Envoy finds the module"),
        Some(Code::Url { .. }) => {
            notes.breaks(Lint::NotInProduct, "the bootstrap has no cluster to fetch through")
        }
        Some(Code::File(_)) => {}
    }
    let absent = [
        (d.phase.is_some(), "a phase"),
        (d.priority.is_some(), "a priority"),
        (d.pull_secret.is_some(), "a pull secret"),
        (d.namespace.is_some(), "a namespace"),
    ];
    not_there("Envoy", absent, notes);
}
