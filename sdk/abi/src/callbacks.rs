//! The functions that a filter may export for the host to call.
//!
//! All are optional. One with another type keeps the filter from loading in Envoy 1.40.

use crate::AbiVersion;

/// One callback. All parameters and results are `i32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// Name of the export.
    pub name: &'static str,
    /// Number of parameters in ABI 0.2.0 and 0.2.1.
    pub params: usize,
    /// Number of results, 0 or 1.
    pub results: usize,
}

impl Callback {
    /// Number of parameters in this version: the two headers callbacks had no `end_of_stream` in 0.1.0.
    pub fn params_in(&self, abi: AbiVersion) -> usize {
        match (abi, self.name) {
            (AbiVersion::V0_1_0, "proxy_on_request_headers" | "proxy_on_response_headers") => 2,
            _ => self.params,
        }
    }
}

const fn callback(name: &'static str, params: usize, results: usize) -> Callback {
    Callback { name, params, results }
}

/// All callbacks that Envoy 1.40 looks for.
pub static CALLBACKS: &[Callback] = &[
    callback("proxy_on_context_create", 2, 0),
    callback("proxy_on_vm_start", 2, 1),
    callback("proxy_validate_configuration", 2, 1),
    callback("proxy_on_configure", 2, 1),
    callback("proxy_on_tick", 1, 0),
    callback("proxy_on_queue_ready", 2, 0),
    callback("proxy_on_foreign_function", 3, 0),
    callback("proxy_on_request_headers", 3, 1),
    callback("proxy_on_request_body", 3, 1),
    callback("proxy_on_request_trailers", 2, 1),
    callback("proxy_on_request_metadata", 2, 1),
    callback("proxy_on_response_headers", 3, 1),
    callback("proxy_on_response_body", 3, 1),
    callback("proxy_on_response_trailers", 2, 1),
    callback("proxy_on_response_metadata", 2, 1),
    callback("proxy_on_new_connection", 1, 1),
    callback("proxy_on_downstream_data", 3, 1),
    callback("proxy_on_upstream_data", 3, 1),
    callback("proxy_on_downstream_connection_close", 2, 0),
    callback("proxy_on_upstream_connection_close", 2, 0),
    callback("proxy_on_http_call_response", 5, 0),
    callback("proxy_on_grpc_receive_initial_metadata", 3, 0),
    callback("proxy_on_grpc_receive_trailing_metadata", 3, 0),
    callback("proxy_on_grpc_receive", 3, 0),
    callback("proxy_on_grpc_close", 3, 0),
    callback("proxy_on_done", 1, 1),
    callback("proxy_on_log", 1, 0),
    callback("proxy_on_delete", 1, 0),
    callback("envoy_on_resolve_dns", 3, 0),
    callback("envoy_on_stats_update", 2, 0),
];
