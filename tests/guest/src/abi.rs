//! The host functions of ABI 0.2.1, as they are: no sdk between the test and the host.

/// Address and length that a host function writes.
pub(crate) type Out = *mut u32;

macro_rules! host {
    ($module:literal; $($name:ident($($arg:ident: $kind:ty),*);)*) => {
        #[link(wasm_import_module = $module)]
        unsafe extern "C" {
            $(pub(crate) fn $name($($arg: $kind),*) -> u32;)*
        }
    };
}

host! { "env";
    proxy_log(level: u32, text: *const u8, len: usize);
    proxy_get_status(code: Out, text: Out, len: Out);
    proxy_get_property(path: *const u8, path_len: usize, value: Out, len: Out);
    proxy_set_property(key: *const u8, key_len: usize, value: *const u8, len: usize);
    proxy_send_local_response(code: u32, details: *const u8, details_len: usize, body: *const u8,
        body_len: usize, headers: *const u8, headers_len: usize, grpc: i32);
    proxy_get_shared_data(key: *const u8, key_len: usize, value: Out, len: Out, cas: Out);
    proxy_set_shared_data(key: *const u8, key_len: usize, value: *const u8, len: usize, cas: u32);
    proxy_get_header_map_value(map: u32, key: *const u8, key_len: usize, value: Out, len: Out);
    proxy_add_header_map_value(map: u32, key: *const u8, key_len: usize, value: *const u8, len: usize);
    proxy_replace_header_map_value(map: u32, key: *const u8, key_len: usize, value: *const u8, len: usize);
    proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize);
    proxy_get_header_map_pairs(map: u32, value: Out, len: Out);
    proxy_set_header_map_pairs(map: u32, value: *const u8, len: usize);
    proxy_get_header_map_size(map: u32, size: Out);
    proxy_get_buffer_status(kind: u32, len: Out, flags: Out);
    proxy_get_buffer_bytes(kind: u32, start: u32, max: u32, value: Out, len: Out);
    proxy_set_buffer_bytes(kind: u32, start: u32, drop: u32, value: *const u8, len: usize);
    proxy_http_call(cluster: *const u8, cluster_len: usize, headers: *const u8, headers_len: usize,
        body: *const u8, body_len: usize, trailers: *const u8, trailers_len: usize, timeout: u32, token: Out);
    proxy_grpc_call(service: *const u8, service_len: usize, name: *const u8, name_len: usize,
        method: *const u8, method_len: usize, metadata: *const u8, metadata_len: usize,
        message: *const u8, message_len: usize, timeout: u32, token: Out);
    proxy_grpc_stream(service: *const u8, service_len: usize, name: *const u8, name_len: usize,
        method: *const u8, method_len: usize, metadata: *const u8, metadata_len: usize, token: Out);
    proxy_grpc_send(token: u32, message: *const u8, len: usize, end: u32);
    proxy_grpc_close(token: u32);
    proxy_grpc_cancel(token: u32);
    envoy_resolve_dns(name: *const u8, len: usize, token: Out);
    proxy_get_log_level(level: Out);
    proxy_set_tick_period_milliseconds(period: u32);
    proxy_define_metric(kind: u32, name: *const u8, len: usize, id: Out);
    proxy_increment_metric(id: u32, by: i64);
    proxy_record_metric(id: u32, value: u64);
    proxy_get_metric(id: u32, value: *mut u64);
    proxy_set_effective_context(id: u32);
    proxy_done();
    proxy_call_foreign_function(name: *const u8, name_len: usize, args: *const u8, len: usize, value: Out, size: Out);
    proxy_continue_stream(kind: u32);
    proxy_close_stream(kind: u32);
    proxy_register_shared_queue(name: *const u8, len: usize, token: Out);
    proxy_resolve_shared_queue(vm: *const u8, vm_len: usize, name: *const u8, len: usize, token: Out);
    proxy_enqueue_shared_queue(token: u32, value: *const u8, len: usize);
    proxy_dequeue_shared_queue(token: u32, value: Out, len: Out);
}

host! { "wasi_snapshot_preview1";
    clock_time_get(id: u32, precision: u64, time: *mut u64);
    clock_res_get(id: u32, time: *mut u64);
    random_get(to: *mut u8, len: usize);
    fd_write(fd: u32, pieces: *const u32, count: u32, written: Out);
    poll_oneoff(wanted: *const u8, events: *mut u8, count: u32, happened: Out);
    sched_yield();
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    /// Returns, in Envoy.
    pub(crate) fn proc_exit(code: u32);
}

/// Bytes that the host put into our memory; empty when it gave none.
///
/// # Safety
/// `at` and `len` are what a host function wrote in this call.
pub(crate) unsafe fn taken(at: u32, len: u32) -> Vec<u8> {
    if at == 0 || len == 0 {
        return Vec::new();
    }
    // SAFETY: the host allocated `len` bytes at `at` through `proxy_on_memory_allocate`, which hands out
    // a vector of exactly that capacity and forgets it.
    unsafe { Vec::from_raw_parts(at as *mut u8, len as usize, len as usize) }
}
