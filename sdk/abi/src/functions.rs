//! The functions of module `env`, their wasm types, and which ABI versions link them in Envoy 1.40.
//!
//! Version gating is by link failure: a filter that marks 0.2.0 and imports `proxy_get_log_level` does not load.

use crate::AbiVersion;
use Wasm::{I32, I64};

/// Value types that the ABI uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Wasm {
    I32,
    I64,
}

/// One function that the host offers in module `env`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Name of the import.
    pub name: &'static str,
    /// Types of the parameters.
    pub params: &'static [Wasm],
    /// Types of the results.
    pub results: &'static [Wasm],
    /// Linked for 0.1.0, 0.2.0, 0.2.1, in this order.
    linked: [bool; 3],
}

impl Function {
    /// True when Envoy links it for filters of this version.
    pub const fn linked_for(&self, abi: AbiVersion) -> bool {
        self.linked[abi as usize]
    }
}

/// The function with this import name, whatever the version.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

const W: [Wasm; 12] = [I32; 12];

const fn all(name: &'static str, params: usize) -> Function {
    words(name, params, [true, true, true])
}

const fn words(name: &'static str, params: usize, linked: [bool; 3]) -> Function {
    let (params, _) = W.split_at(params);
    Function { name, params, results: &[I32], linked }
}

const OLD: [bool; 3] = [true, false, false];
const NEW: [bool; 3] = [false, true, true];
const NEWEST: [bool; 3] = [false, false, true];
const METRIC: &[Wasm] = &[I32, I64];

/// All functions of module `env` that Envoy 1.40 offers.
pub static FUNCTIONS: &[Function] = &[
    all("proxy_log", 3),
    words("proxy_get_log_level", 1, NEWEST),
    all("proxy_get_status", 3),
    all("proxy_set_property", 4),
    all("proxy_get_property", 4),
    all("proxy_send_local_response", 8),
    all("proxy_get_shared_data", 5),
    all("proxy_set_shared_data", 5),
    all("proxy_register_shared_queue", 3),
    all("proxy_resolve_shared_queue", 5),
    all("proxy_dequeue_shared_queue", 3),
    all("proxy_enqueue_shared_queue", 3),
    all("proxy_get_header_map_value", 5),
    all("proxy_add_header_map_value", 5),
    all("proxy_replace_header_map_value", 5),
    all("proxy_remove_header_map_value", 3),
    all("proxy_get_header_map_pairs", 3),
    all("proxy_set_header_map_pairs", 3),
    all("proxy_get_header_map_size", 2),
    all("proxy_get_buffer_status", 3),
    all("proxy_get_buffer_bytes", 5),
    all("proxy_set_buffer_bytes", 5),
    all("proxy_http_call", 10),
    all("proxy_grpc_call", 12),
    all("proxy_grpc_stream", 9),
    all("proxy_grpc_send", 4),
    all("proxy_grpc_close", 1),
    all("proxy_grpc_cancel", 1),
    all("proxy_set_tick_period_milliseconds", 1),
    all("proxy_get_current_time_nanoseconds", 1),
    all("proxy_define_metric", 4),
    Function { name: "proxy_increment_metric", params: METRIC, results: &[I32], linked: [true; 3] },
    Function { name: "proxy_record_metric", params: METRIC, results: &[I32], linked: [true; 3] },
    all("proxy_get_metric", 2),
    all("proxy_set_effective_context", 1),
    all("proxy_done", 0),
    all("proxy_call_foreign_function", 6),
    words("proxy_continue_stream", 1, NEW),
    words("proxy_close_stream", 1, NEW),
    words("proxy_get_configuration", 2, OLD),
    words("proxy_continue_request", 0, OLD),
    words("proxy_continue_response", 0, OLD),
    words("proxy_clear_route_cache", 0, OLD),
    all("pthread_equal", 2),
    Function {
        name: "emscripten_notify_memory_growth",
        params: &[I32],
        results: &[],
        linked: [true, true, true],
    },
    all("envoy_resolve_dns", 3),
];
