//! How Envoy is set up to play: as little of its own as it can add, and a witness at every cut of the chain.
//!
//! - Filters see the recorded header lists: the witnesses at both ends put them in place, byte for byte and
//!   in order, after the connection manager and the codecs have had their say.
//! - `use_downstream_protocol_config`: the upstream speaks the client's protocol, as the test host has it, so
//!   that bodies end alike in both directions (docs/envoy.md 2.2).
//! - One request on each connection: what one exchange breaks, the next does not see.
//! - Trailers pass in HTTP/1 too; limits on headers are far above what captures hold.

use crate::chain::{Chain, Cluster, Filter, Policy};
use crate::envoy::{address, cluster};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The listener and the cluster of the exchanges.
pub(crate) const REPLAY: &str = "tamis";
/// The listener that only writes a log line: what was logged before it is complete.
pub(crate) const BARRIER: &str = "tamis-barrier";
/// What the barrier logs.
pub(crate) const BARRIER_LINE: &str = "tamis barrier";

/// Longest header list that Envoy takes, KiB; 8 MiB is the most that it can be told.
const HEADERS_KIB: u32 = 8192;
/// Most header fields.
const FIELDS: u32 = 100_000;

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";

/// Listeners of the bootstrap. Modules lie in `folder`, numbered.
pub(crate) fn listeners(chain: &Chain, folder: &Path) -> Vec<Value> {
    let last = chain.filters.len();
    let mut filters = vec![witness(0, last)];
    for (index, filter) in chain.filters.iter().enumerate() {
        filters.push(wasm(filter, &folder.join(format!("{index}.wasm"))));
        filters.push(witness(index + 1, last));
    }
    filters.push(router());
    // Whatever path the filters leave (`*` too): which routes there are is the mesh's affair.
    let route =
        json!({ "match": { "prefix": "" }, "route": { "cluster": chain.proxy.cluster(), "timeout": "0s" } });
    let mut replay = manager(REPLAY, filters, &route, chain.idle);
    replay["access_log"] = json!([{ "name": "stdout", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": { "text_format_source": { "inline_string":
            "%RESPONSE_FLAGS%|%DOWNSTREAM_REMOTE_ADDRESS%|%DOWNSTREAM_LOCAL_ADDRESS%|%UPSTREAM_HOST%|%RESPONSE_CODE_DETAILS%\n" } },
    }}]);
    let note = format!("function envoy_on_request(handle) handle:logInfo(\"{BARRIER_LINE}\") end");
    let direct = json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200 } });
    let barrier = manager(BARRIER, vec![lua(&note), router()], &direct, chain.idle);
    let mut replay = listener(REPLAY, &replay, chain);
    chain.proxy.dress_listener(&mut replay);
    vec![replay, listener(BARRIER, &barrier, chain)]
}

/// Clusters of the bootstrap: where the upstream listens, and each of the chain's clusters that has a host.
pub(crate) fn clusters(chain: &Chain, upstream: SocketAddr, hosts: &[Option<SocketAddr>]) -> Vec<Value> {
    let mut replay = cluster(chain.proxy.cluster(), Some(upstream));
    chain.proxy.dress_cluster(&mut replay);
    replay["per_connection_buffer_limit_bytes"] = json!(chain.buffer_limit);
    let own = json!({ "http_protocol_options": http1(), "http2_protocol_options": {} });
    replay["typed_extension_protocol_options"] = protocol("use_downstream_protocol_config", &own);
    let callout = |(Cluster { name, http2, .. }, at): (&Cluster, &Option<SocketAddr>)| {
        let mut callout = cluster(name, *at);
        let own = match http2 {
            true => json!({ "http2_protocol_options": {} }),
            false => json!({ "http_protocol_options": http1() }),
        };
        callout["typed_extension_protocol_options"] = protocol("explicit_http_config", &own);
        callout
    };
    std::iter::once(replay).chain(chain.clusters.iter().zip(hosts).map(callout)).collect()
}

/// One request on each connection, and this choice of protocol.
fn protocol(choice: &str, own: &Value) -> Value {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({ options: {
        "@type": format!("type.googleapis.com/{options}"),
        "common_http_protocol_options": { "max_requests_per_connection": 1, "max_headers_count": FIELDS,
            "max_response_headers_kb": HEADERS_KIB },
        choice: own,
    }})
}

fn listener(name: &str, manager: &Value, chain: &Chain) -> Value {
    json!({
        "name": name,
        "address": address(0),
        "per_connection_buffer_limit_bytes": chain.buffer_limit,
        "filter_chains": [{ "filters": [{ "name": "hcm", "typed_config": manager }] }],
    })
}

fn manager(name: &str, filters: Vec<Value>, route: &Value, idle: Duration) -> Value {
    json!({
        "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "use_remote_address": false,
        "skip_xff_append": true,
        "generate_request_id": false,
        "preserve_external_request_id": true,
        "forward_client_cert_details": "ALWAYS_FORWARD_ONLY",
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": false,
        "merge_slashes": false,
        "stream_error_on_invalid_http_message": true,
        "max_request_headers_kb": HEADERS_KIB,
        "http_protocol_options": http1(),
        "common_http_protocol_options": {
            "max_headers_count": FIELDS, "headers_with_underscores_action": "ALLOW",
        },
        // One type stands for all: the witness puts the recorded one in place.
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        // Else Envoy waits a second for the client to close first.
        "delayed_close_timeout": "0s",
        "stream_idle_timeout": format!("{:.3}s", idle.as_secs_f64()),
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "http_filters": filters,
    })
}

fn http1() -> Value {
    json!({ "enable_trailers": true })
}

fn router() -> Value {
    json!({ "name": "router", "typed_config": {
        "@type": format!("{FILTERS}.http.router.v3.Router"), "suppress_envoy_headers": true,
    }})
}

fn witness(index: usize, last: usize) -> Value {
    let code = include_str!("witness.lua");
    lua(&code.replace("@ME@", &index.to_string()).replace("@LAST@", &last.to_string()))
}

fn lua(code: &str) -> Value {
    json!({ "name": "lua", "typed_config": {
        "@type": format!("{FILTERS}.http.lua.v3.Lua"), "default_source_code": { "inline_string": code },
    }})
}

fn wasm(filter: &Filter, file: &Path) -> Value {
    // `StringValue` is UTF-8 only; both arrive as they are (docs/envoy.md 2.11).
    let bytes = |bytes: &[u8]| {
        json!({
            "@type": "type.googleapis.com/google.protobuf.BytesValue", "value": STANDARD.encode(bytes),
        })
    };
    let env: serde_json::Map<String, Value> =
        filter.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut plugin = json!({
        "name": filter.name,
        "root_id": filter.root_id,
        "configuration": bytes(&filter.config),
        "vm_config": {
            "vm_id": filter.vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": file } },
            "configuration": bytes(&filter.vm_config),
            "environment_variables": { "key_values": env },
        },
        "allow_on_headers_stop_iteration": filter.allow_on_headers_stop_iteration,
    });
    if !filter.allowed_capabilities.is_empty() {
        let allowed: serde_json::Map<String, Value> =
            filter.allowed_capabilities.iter().map(|name| (name.clone(), json!({}))).collect();
        plugin["capability_restriction_config"] = json!({ "allowed_capabilities": allowed });
    }
    match filter.policy {
        Policy::Closed => plugin["failure_policy"] = json!("FAIL_CLOSED"),
        Policy::Open => plugin["failure_policy"] = json!("FAIL_OPEN"),
        Policy::Reload => plugin["failure_policy"] = json!("FAIL_RELOAD"),
        Policy::LegacyOpen => plugin["fail_open"] = json!(true),
    }
    json!({ "name": filter.name, "typed_config": {
        "@type": format!("{FILTERS}.http.wasm.v3.Wasm"), "config": plugin,
    }})
}
