//! The host of a real filter, and the only file that names the proxy-wasm crate.
//!
//! From the crate come the exported callbacks with their dispatcher, the allocator export and the ABI marker:
//! linking it exports them anyway. The dispatcher leads to [`doors`], which `tamis build` puts in its place. Its
//! wrappers of host functions panic on statuses they do not expect and on bytes that are not UTF-8, so those
//! functions are imported here again and give statuses. The one wrapper in use is `dispatch_http_call`, since
//! only it tells the dispatcher about a token. See docs/decisions/0001-one-async-function.md and
//! 0004-own-dispatcher.md.

use crate::filter::Make;
use crate::streams;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};
use std::cell::Cell;
use std::time::Duration;
use tamis_abi::{BufferType, LogLevel, MapType, Status, StreamType, pairs};

mod doors;
mod kept;
mod kinds;
#[cfg(all(feature = "allocator", not(target_feature = "atomics")))]
mod memory;
mod panic;
mod services;
mod wants;

use doors::Call;
pub(crate) use kept::*;
pub(crate) use kinds::{close_stream, mark_connection, mark_http, mark_log, mark_upstream_data};
pub(crate) use services::*;

type Result<T> = std::result::Result<T, Status>;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, len: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_add_header_map_value(map: u32, k: *const u8, kl: usize, v: *const u8, vl: usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, k: *const u8, kl: usize, v: *const u8, vl: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, k: *const u8, kl: usize) -> u32;
    fn proxy_get_buffer_status(buffer: u32, len: *mut usize, flags: *mut u32) -> u32;
    fn proxy_get_buffer_bytes(b: u32, start: usize, max: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, size: usize, data: *const u8, len: usize) -> u32;
    fn proxy_send_local_response(
        code: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(ms: u32) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn random_get(data: *mut u8, len: usize) -> u32;
}

// Exported by the proxy-wasm crate, linked into this module.
unsafe extern "C" {
    fn proxy_on_queue_ready(root: u32, token: u32);
}

#[cfg(target_os = "wasi")]
unsafe extern "C" {
    fn __wasm_call_ctors();
}

fn done(status: u32) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Takes over bytes that the host put into memory of ours.
fn take(status: u32, data: *mut u8, len: usize) -> Result<Vec<u8>> {
    done(status)?;
    if data.is_null() || len == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the host got `data` from the allocator that the proxy-wasm crate exports, which makes a boxed
    // slice of exactly `len` bytes; it wrote all of them and gave them away.
    Ok(unsafe { Vec::from_raw_parts(data, len, len) })
}

// SAFETY of all calls below: pointers and lengths come from live slices or locals, the host reads or writes
// those ranges during the call and keeps none of them; the types are those of `tamis_abi::FUNCTIONS`.

pub(crate) fn log(level: LogLevel, text: &str) {
    // SAFETY: see above.
    unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

pub(crate) fn log_level() -> LogLevel {
    let mut level = 0;
    // SAFETY: see above.
    let status = unsafe { proxy_get_log_level(&mut level) };
    done(status).ok().and_then(|()| LogLevel::from_u32(level)).unwrap_or(LogLevel::Trace)
}

pub(crate) fn header_pairs(map: MapType) -> Result<Vec<u8>> {
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: see above.
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &mut data, &mut len) };
    take(status, data, len)
}

pub(crate) fn header_add(map: MapType, name: &[u8], value: &[u8]) -> Result<()> {
    // SAFETY: see above.
    done(unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(crate) fn header_replace(map: MapType, name: &[u8], value: &[u8]) -> Result<()> {
    // SAFETY: see above.
    done(unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(crate) fn header_remove(map: MapType, name: &[u8]) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

pub(crate) fn buffer_size(buffer: BufferType) -> Result<usize> {
    let (mut len, mut flags) = (0, 0);
    // SAFETY: see above.
    done(unsafe { proxy_get_buffer_status(buffer as u32, &mut len, &mut flags) })?;
    Ok(len)
}

pub(crate) fn buffer(buffer: BufferType, size: usize) -> Result<Vec<u8>> {
    if size == 0 {
        return Ok(Vec::new());
    }
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: see above.
    let status = unsafe { proxy_get_buffer_bytes(buffer as u32, 0, size, &mut data, &mut len) };
    take(status, data, len)
}

pub(crate) fn set_buffer(buffer: BufferType, old: usize, new: &[u8]) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_set_buffer_bytes(buffer as u32, 0, old, new.as_ptr(), new.len()) })
}

pub(crate) fn send_reply(code: u32, details: &[u8], body: &[u8], headers: &[u8], grpc: i32) -> Result<()> {
    // SAFETY: see above.
    done(unsafe {
        proxy_send_local_response(
            code,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc,
        )
    })
}

pub(crate) fn continue_stream(stream: StreamType) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_continue_stream(stream as u32) })
}

pub(crate) fn set_effective_context(id: u32) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_set_effective_context(id) })
}

/// Makes answers of callouts come to the root, which lives on, instead of to the stream whose callback runs:
/// the crate hands an answer to the context it entered last, and drops it when that one is gone. Entering the
/// root in a callback of ours that does nothing is how to change that. Only in callbacks of streams, since the
/// crate's roots are borrowed in those of roots.
pub(crate) fn route_callouts(root: u32) {
    tamis_route_callouts(root);
}

/// As long as the crate's dispatcher is there, see [`doors`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tamis_route_callouts(root: u32) {
    // SAFETY: a safe function of the crate by its exported name, with its type.
    unsafe { proxy_on_queue_ready(root, 0) };
}

pub(crate) fn http_call(cluster: &str, headers: &[u8], body: &[u8], timeout_ms: u32) -> Result<u32> {
    wants::http_call_response();
    let mut token = 0;
    let status = tamis_http_call(&Call { cluster, headers, body, timeout_ms }, &mut token);
    doors::token(status, token)
}

/// As long as the crate's dispatcher is there, see [`doors`]: it has to know about the token.
#[unsafe(no_mangle)]
#[inline(never)]
fn tamis_http_call(call: &Call<'_>, token: &mut u32) -> u32 {
    let body = if call.body.is_empty() { None } else { Some(call.body) };
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let headers = pairs::decode(call.headers).map(|list| list.map(|(n, v)| (text(n), text(v))).collect());
    let timeout = Duration::from_millis(call.timeout_ms.into());
    match proxy_wasm::hostcalls::dispatch_http_call(
        call.cluster,
        headers.unwrap_or_default(),
        body,
        Vec::new(),
        timeout,
    ) {
        Ok(made) => {
            *token = made;
            0
        }
        Err(status) => status as u32,
    }
}

/// As long as the crate's dispatcher is there, see [`doors`]: it has to know about the token. It takes the target as
/// text only, which a message with a length above 127 is not.
#[unsafe(no_mangle)]
#[inline(never)]
fn tamis_grpc_start(start: &Start<'_>, token: &mut u32) -> u32 {
    let Ok(target) = std::str::from_utf8(start.target) else { return Status::BadArgument.0 };
    let metadata: Vec<(String, Vec<u8>)> = pairs::decode(start.metadata)
        .map(|list| list.map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), v.to_vec())).collect())
        .unwrap_or_default();
    let metadata: Vec<(&str, &[u8])> = metadata.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    let started = match start.message {
        Some((message, timeout_ms)) => proxy_wasm::hostcalls::dispatch_grpc_call(
            target,
            start.service,
            start.method,
            metadata,
            Some(message),
            Duration::from_millis(timeout_ms.into()),
        ),
        None => proxy_wasm::hostcalls::open_grpc_stream(target, start.service, start.method, metadata),
    };
    match started {
        Ok(made) => {
            *token = made;
            0
        }
        Err(status) => status as u32,
    }
}

pub(crate) fn wall_nanos() -> Result<u64> {
    let mut time = 0;
    // SAFETY: see above.
    done(unsafe { proxy_get_current_time_nanoseconds(&mut time) })?;
    Ok(time)
}

pub(crate) fn monotonic_nanos() -> Result<u64> {
    const MONOTONIC: u32 = 1;
    let mut time = 0;
    // SAFETY: see above. A WASI error number is no status, so it becomes one.
    match unsafe { clock_time_get(MONOTONIC, 0, &mut time) } {
        0 => Ok(time),
        _ => Err(crate::clock::NO_CLOCK),
    }
}

pub(crate) fn random(out: &mut [u8]) -> Result<()> {
    // SAFETY: see above.
    match unsafe { random_get(out.as_mut_ptr(), out.len()) } {
        0 => Ok(()),
        _ => Err(Status::InternalFailure),
    }
}

pub(crate) fn set_tick(ms: u32) -> Result<()> {
    wants::tick();
    // SAFETY: see above.
    done(unsafe { proxy_set_tick_period_milliseconds(ms) })
}

/// Says that the filter has a hook for request bodies.
pub(crate) fn mark_request_body() {
    wants::request_body();
    mark_request_trailers();
}

/// Says that the filter has a hook for request trailers.
pub(crate) fn mark_request_trailers() {
    wants::request_trailers();
}

/// Says that the filter has a hook for response bodies.
pub(crate) fn mark_response_body() {
    wants::response_body();
    mark_response_trailers();
}

/// Says that the filter has a hook for response trailers.
pub(crate) fn mark_response_trailers() {
    wants::response_trailers();
}

/// What `_initialize` does, `export!` calls it: everything happens in the crate's dispatcher.
pub(crate) fn start(make: Make) {
    start_alone(make);
    proxy_wasm::set_root_context(|id| {
        doors::context_create(id, 0);
        Box::new(Root { id, connect: None })
    });
}

/// What it does when `tamis build` put our own callbacks in the crate's place.
pub(crate) fn start_alone(make: Make) {
    #[cfg(target_os = "wasi")]
    // SAFETY: the linker makes this function; a reactor has to call it once, before anything else.
    unsafe {
        __wasm_call_ctors()
    };
    panic::tamis_set_hook();
    streams::set_make(make);
}

struct Root {
    id: u32,
    /// For a filter of connections.
    connect: Option<Connect>,
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        doors::http_call_response(self.id, token, headers, body, trailers);
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        match status {
            0 => doors::grpc_receive(self.id, token, size),
            status => doors::grpc_close(self.id, token, status),
        }
    }

    fn on_grpc_stream_initial_metadata(&mut self, token: u32, count: u32) {
        doors::grpc_initial(self.id, token, count);
    }

    fn on_grpc_stream_message(&mut self, token: u32, size: usize) {
        doors::grpc_receive(self.id, token, size);
    }

    fn on_grpc_stream_trailing_metadata(&mut self, token: u32, count: u32) {
        doors::grpc_trailing(self.id, token, count);
    }

    fn on_grpc_stream_close(&mut self, token: u32, status: u32) {
        doors::grpc_close(self.id, token, status);
    }

    fn on_done(&mut self) -> bool {
        doors::done(self.id) != 0
    }
}

impl RootContext for Root {
    fn on_queue_ready(&mut self, token: u32) {
        doors::queue_ready(self.id, token);
    }

    fn on_configure(&mut self, size: usize) -> bool {
        let good = doors::configure(self.id, size) != 0;
        self.connect = connect();
        good
    }

    fn on_tick(&mut self) {
        doors::tick(self.id);
    }

    fn on_log(&mut self) {
        kinds::log(self.id);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(if self.connect.is_some() { ContextType::StreamContext } else { ContextType::HttpContext })
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        doors::context_create(id, self.id);
        Some(Box::new(Stream { id }))
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        let connect = self.connect?;
        doors::context_create(id, self.id);
        Some(connect(id))
    }
}

struct Stream {
    id: u32,
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        doors::done(self.id) != 0
    }
}

fn action(stop: u32) -> Action {
    if stop == 0 { Action::Continue } else { Action::Pause }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        action(doors::request_headers(self.id, count, end.into()))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        action(doors::request_body(self.id, size, end.into()))
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        action(doors::request_trailers(self.id, count))
    }

    fn on_http_response_headers(&mut self, count: usize, end: bool) -> Action {
        action(doors::response_headers(self.id, count, end.into()))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        action(doors::response_body(self.id, size, end.into()))
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        action(doors::response_trailers(self.id, count))
    }

    fn on_log(&mut self) {
        kinds::log(self.id);
    }
}

/// How the crate's dispatcher gets a context of a connection.
type Connect = fn(u32) -> Box<dyn StreamContext>;

thread_local! {
    static CONNECT: Cell<Option<Connect>> = const { Cell::new(None) };
}

/// Of the root that was just configured; none when its filter is not for connections. A module without such a filter
/// needs none of the crate's code for them.
fn connect() -> Option<Connect> {
    CONNECT.take()
}

/// Its filter is one for connections. As long as the crate's dispatcher is there, see [`doors`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tamis_connects() {
    CONNECT.set(Some(|id| Box::new(Stream { id })));
}

/// The crate's context of a connection.
impl StreamContext for Stream {
    fn on_new_connection(&mut self) -> Action {
        action(kinds::new_connection(self.id))
    }

    fn on_downstream_data(&mut self, size: usize, end: bool) -> Action {
        action(kinds::downstream_data(self.id, size, end.into()))
    }

    fn on_upstream_data(&mut self, size: usize, end: bool) -> Action {
        action(kinds::upstream_data(self.id, size, end.into()))
    }
}
