//! Host functions of module `env`, one file per capability. This file is the only one with wasm signatures.
//!
//! A function either tells the filter a status or ends the playback with a fault: two channels, never mixed.

mod answer;
mod buffers;
mod callout;
mod context;
mod foreign;
mod grpc;
mod headers;
mod logging;
mod measure;
mod property;
mod queue;
mod reply;
mod shared;
mod unsupported;

pub(crate) use answer::{Answer, Call, Stop, answer};

use crate::vm::{Allowed, Guest};
use tamis_abi::AbiVersion;
use wasmtime::{Caller, Linker, Result};

/// Links one function if this ABI version has it, for instance
/// `linker.func_wrap("env", "proxy_done", |mut caller: Caller<'_, Guest>| -> Result<u32> { answer(context::done(&mut Call::enter(&mut caller, "proxy_done")?)) })`.
macro_rules! table {
    ($linker:ident, $abi:ident, $allowed:ident, $($name:literal => $($module:ident)::+ ($($p:ident: $ty:ty),*);)*) => {$(
        if tamis_abi::function($name).is_none_or(|f| !f.linked_for($abi)) {
        } else if !$allowed.has($name) {
            $linker.func_wrap("env", $name, |mut caller: Caller<'_, Guest>, $($p: $ty),*| -> Result<u32> {
                $(let _ = $p;)*
                answer(unsupported::not_allowed(&mut Call::enter(&mut caller, $name)?, $name))
            })?;
        } else {
            $linker.func_wrap("env", $name, |mut caller: Caller<'_, Guest>, $($p: $ty),*| -> Result<u32> {
                let mut call = Call::enter(&mut caller, $name)?;
                answer($($module)::+(&mut call, $($p),*))
            })?;
        }
    )*};
}

/// Links what this ABI version has (docs/envoy.md 1.2), and what Envoy links for every version. What the VM may not
/// use is there too, and says so.
pub(crate) fn link(linker: &mut Linker<Guest>, abi: AbiVersion, allowed: &Allowed) -> Result<()> {
    table! { linker, abi, allowed,
        "proxy_log" => logging::log(level: u32, at: u32, len: u32);
        "proxy_get_log_level" => logging::get_log_level(ret: u32);
        "proxy_get_status" => context::get_status(code: u32, at: u32, len: u32);
        "proxy_set_property" => property::set(key: u32, klen: u32, val: u32, vlen: u32);
        "proxy_get_property" => property::get(path: u32, plen: u32, at: u32, len: u32);
        "proxy_send_local_response" => reply::send(code: u32, details: u32, dlen: u32, body: u32, blen: u32, pairs: u32, plen: u32, grpc: u32);
        "proxy_get_shared_data" => shared::get(key: u32, klen: u32, at: u32, len: u32, cas: u32);
        "proxy_set_shared_data" => shared::set(key: u32, klen: u32, val: u32, vlen: u32, cas: u32);
        "proxy_register_shared_queue" => queue::register(name: u32, nlen: u32, token: u32);
        "proxy_resolve_shared_queue" => queue::resolve(vm: u32, vlen: u32, name: u32, nlen: u32, token: u32);
        "proxy_dequeue_shared_queue" => queue::dequeue(token: u32, at: u32, len: u32);
        "proxy_enqueue_shared_queue" => queue::enqueue(token: u32, data: u32, dlen: u32);
        "proxy_get_header_map_value" => headers::get(map: u32, key: u32, klen: u32, at: u32, len: u32);
        "proxy_add_header_map_value" => headers::add(map: u32, key: u32, klen: u32, val: u32, vlen: u32);
        "proxy_replace_header_map_value" => headers::replace(map: u32, key: u32, klen: u32, val: u32, vlen: u32);
        "proxy_remove_header_map_value" => headers::remove(map: u32, key: u32, klen: u32);
        "proxy_get_header_map_pairs" => headers::get_pairs(map: u32, at: u32, len: u32);
        "proxy_set_header_map_pairs" => headers::set_pairs(map: u32, pairs: u32, plen: u32);
        "proxy_get_header_map_size" => headers::size(map: u32, ret: u32);
        "proxy_get_buffer_status" => buffers::status(kind: u32, len: u32, flags: u32);
        "proxy_get_buffer_bytes" => buffers::get(kind: u32, start: u32, max: u32, at: u32, len: u32);
        "proxy_set_buffer_bytes" => buffers::set(kind: u32, start: u32, size: u32, data: u32, dlen: u32);
        "proxy_http_call" => callout::http_call(upstream: u32, ulen: u32, pairs: u32, plen: u32, body: u32, blen: u32, trailers: u32, tlen: u32, timeout: u32, token: u32);
        "proxy_grpc_call" => grpc::grpc_call(service: u32, slen: u32, name: u32, nlen: u32, method: u32, mlen: u32, metadata: u32, mdlen: u32, message: u32, msglen: u32, timeout: u32, token: u32);
        "proxy_grpc_stream" => grpc::grpc_stream(service: u32, slen: u32, name: u32, nlen: u32, method: u32, mlen: u32, metadata: u32, mdlen: u32, token: u32);
        "proxy_grpc_send" => grpc::grpc_send(token: u32, data: u32, dlen: u32, end: u32);
        "proxy_grpc_close" => grpc::grpc_close(token: u32);
        "proxy_grpc_cancel" => grpc::grpc_cancel(token: u32);
        "proxy_set_tick_period_milliseconds" => context::set_tick_period(ms: u32);
        "proxy_get_current_time_nanoseconds" => context::now(ret: u32);
        "proxy_define_metric" => measure::define(kind: u32, name: u32, nlen: u32, ret: u32);
        "proxy_increment_metric" => measure::increment(id: u32, offset: i64);
        "proxy_record_metric" => measure::record(id: u32, value: i64);
        "proxy_get_metric" => measure::get(id: u32, ret: u32);
        "proxy_set_effective_context" => context::set_effective(id: u32);
        "proxy_done" => context::done();
        "proxy_call_foreign_function" => foreign::call(name: u32, nlen: u32, args: u32, alen: u32, at: u32, len: u32);
        "proxy_continue_stream" => context::continue_stream(stream: u32);
        "proxy_close_stream" => context::close_stream(stream: u32);
        "proxy_get_configuration" => buffers::configuration(at: u32, len: u32);
        "proxy_continue_request" => context::continue_request();
        "proxy_continue_response" => context::continue_response();
        "proxy_clear_route_cache" => context::clear_route_cache();
        "envoy_resolve_dns" => grpc::resolve_dns(name: u32, nlen: u32, token: u32);
    }
    linker.func_wrap("env", "pthread_equal", |a: u32, b: u32| -> u32 { u32::from(a == b) })?;
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_: u32| {})?;
    Ok(())
}
