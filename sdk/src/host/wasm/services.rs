//! gRPC, queues and foreign functions: host functions that only few filters import.

use super::{Result, done, doors, take, wants};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_grpc_call(
        target: *const u8,
        target_len: usize,
        service: *const u8,
        service_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        message: *const u8,
        message_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_grpc_stream(
        target: *const u8,
        target_len: usize,
        service: *const u8,
        service_len: usize,
        method: *const u8,
        method_len: usize,
        metadata: *const u8,
        metadata_len: usize,
        token: *mut u32,
    ) -> u32;
    fn proxy_grpc_send(token: u32, message: *const u8, len: usize, end: u32) -> u32;
    fn proxy_grpc_close(token: u32) -> u32;
    fn proxy_grpc_cancel(token: u32) -> u32;
    fn proxy_get_status(code: *mut u32, text: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_register_shared_queue(name: *const u8, len: usize, token: *mut u32) -> u32;
    fn proxy_resolve_shared_queue(
        vm: *const u8,
        vl: usize,
        name: *const u8,
        nl: usize,
        token: *mut u32,
    ) -> u32;
    fn proxy_dequeue_shared_queue(token: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_enqueue_shared_queue(token: u32, data: *const u8, len: usize) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        arguments: *const u8,
        arguments_len: usize,
        result: *mut *mut u8,
        result_len: *mut usize,
    ) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
}

// SAFETY of all calls: as in the file above this one.

/// What a call or stream is told.
pub(super) struct Start<'a> {
    pub(super) target: &'a [u8],
    pub(super) service: &'a str,
    pub(super) method: &'a str,
    pub(super) metadata: &'a [u8],
    /// Of a unary call, with the time it may take.
    pub(super) message: Option<(&'a [u8], u32)>,
}

pub(crate) fn grpc_call(
    target: &[u8],
    service: &str,
    method: &str,
    metadata: &[u8],
    message: &[u8],
    timeout_ms: u32,
) -> Result<u32> {
    wants::grpc();
    start(&Start { target, service, method, metadata, message: Some((message, timeout_ms)) })
}

pub(crate) fn grpc_stream(target: &[u8], service: &str, method: &str, metadata: &[u8]) -> Result<u32> {
    wants::grpc_stream();
    start(&Start { target, service, method, metadata, message: None })
}

fn start(start: &Start<'_>) -> Result<u32> {
    let mut token = 0;
    let status = super::tamis_grpc_start(start, &mut token);
    doors::token(status, token)
}

/// Starts one without telling the crate.
#[unsafe(export_name = "tamis.for.tamis_grpc_start")]
#[inline(never)]
fn grpc_start(start: &Start<'_>, token: &mut u32) -> u32 {
    let Start { target, service, method, metadata, message } = start;
    match message {
        // SAFETY: see above.
        Some((message, timeout_ms)) => unsafe {
            proxy_grpc_call(
                target.as_ptr(),
                target.len(),
                service.as_ptr(),
                service.len(),
                method.as_ptr(),
                method.len(),
                metadata.as_ptr(),
                metadata.len(),
                message.as_ptr(),
                message.len(),
                *timeout_ms,
                token,
            )
        },
        // SAFETY: see above.
        None => unsafe {
            proxy_grpc_stream(
                target.as_ptr(),
                target.len(),
                service.as_ptr(),
                service.len(),
                method.as_ptr(),
                method.len(),
                metadata.as_ptr(),
                metadata.len(),
                token,
            )
        },
    }
}

pub(crate) fn grpc_send(token: u32, message: &[u8], end: bool) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_grpc_send(token, message.as_ptr(), message.len(), end.into()) })
}

pub(crate) fn grpc_close(token: u32) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_grpc_close(token) })
}

pub(crate) fn grpc_cancel(token: u32) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_grpc_cancel(token) })
}

/// How the last call ended: a number and what the host says about it.
pub(crate) fn call_status() -> Result<(u32, Vec<u8>)> {
    let (mut code, mut data, mut len) = (0, std::ptr::null_mut(), 0);
    // SAFETY: see above.
    let status = unsafe { proxy_get_status(&mut code, &mut data, &mut len) };
    Ok((code, take(status, data, len)?))
}

pub(crate) fn queue_register(name: &str) -> Result<u32> {
    let mut token = 0;
    // SAFETY: see above.
    done(unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &mut token) })?;
    Ok(token)
}

pub(crate) fn queue_resolve(vm: &str, name: &str) -> Result<u32> {
    let mut token = 0;
    // SAFETY: see above.
    done(unsafe {
        proxy_resolve_shared_queue(vm.as_ptr(), vm.len(), name.as_ptr(), name.len(), &mut token)
    })?;
    Ok(token)
}

pub(crate) fn queue_pop(token: u32) -> Result<Vec<u8>> {
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: see above.
    let status = unsafe { proxy_dequeue_shared_queue(token, &mut data, &mut len) };
    take(status, data, len)
}

pub(crate) fn queue_push(token: u32, item: &[u8]) -> Result<()> {
    // SAFETY: see above.
    done(unsafe { proxy_enqueue_shared_queue(token, item.as_ptr(), item.len()) })
}

/// Says that the filter waits for a queue.
pub(crate) fn mark_queue() {
    wants::queue_ready();
}

pub(crate) fn foreign(name: &str, arguments: &[u8]) -> Result<Vec<u8>> {
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: see above.
    let status = unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &mut data,
            &mut len,
        )
    };
    take(status, data, len)
}

pub(crate) fn metric_value(id: u32) -> Result<u64> {
    let mut value = 0;
    // SAFETY: see above.
    done(unsafe { proxy_get_metric(id, &mut value) })?;
    Ok(value)
}
