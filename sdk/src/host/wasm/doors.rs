//! The callbacks of the host, answered without the crate's dispatcher.
//!
//! The crate exports its own under the names that hosts look for, and two functions of one name do not link. So
//! these have names of their own, and `tamis build` has the last word: the function exported as `tamis.for.X`
//! takes the place of the one exported as `X`, whoever calls it. A callback for which there is a function
//! `tamis.wants.X` is left out when nothing in the filter calls that: each one that a module exports costs
//! Envoy a crossing. In a module that cargo alone made, the crate's dispatcher leads here.
//! See docs/decisions/0004-own-dispatcher.md.

use crate::events::{self, HttpEvent};
use crate::exchange::Exchange;
use crate::host::wasm::Result;
use crate::streams;
use std::rc::Rc;
use tamis_abi::{Action, Status};

mod services;

pub(super) use services::*;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_http_call(
        cluster: *const u8,
        cluster_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        trailers: *const u8,
        trailers_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
}

/// `StopAllIterationAndWatermark` (docs/envoy.md 1.1): holds the body too, even where the listener has
/// `allow_on_headers_stop_iteration`, so that headers can be held without a callback for bodies.
const HELD: u32 = 4;

/// Goes on; 1 in a callback of a body or of trailers stops.
const ON: u32 = 0;

fn phase(id: u32, stop: u32, told: impl FnOnce(&Rc<Exchange>) -> Action) -> u32 {
    match streams::tell(id, told) {
        Action::Continue => ON,
        _ => stop,
    }
}

// None of these is inlined, so that `tamis build` finds who calls them.

#[unsafe(export_name = "tamis.for.proxy_on_context_create")]
#[inline(never)]
pub(super) extern "C" fn context_create(id: u32, parent: u32) {
    streams::create(id, parent);
}

#[unsafe(export_name = "tamis.for.proxy_on_configure")]
#[inline(never)]
pub(super) extern "C" fn configure(root: u32, size: usize) -> u32 {
    streams::root(root).is_some_and(|root| root.configure(size)).into()
}

#[unsafe(export_name = "tamis.for.proxy_on_tick")]
#[inline(never)]
pub(super) extern "C" fn tick(root: u32) {
    if let Some(root) = streams::root(root) {
        root.tick();
    }
}

#[unsafe(export_name = "tamis.for.proxy_on_http_call_response")]
#[inline(never)]
pub(super) extern "C" fn http_call_response(
    root: u32,
    token: u32,
    headers: usize,
    body: usize,
    trailers: usize,
) {
    events::http(root, token, HttpEvent::Answer { headers, body, trailers });
}

#[unsafe(export_name = "tamis.for.proxy_on_request_headers")]
#[inline(never)]
pub(super) extern "C" fn request_headers(id: u32, _count: usize, end: u32) -> u32 {
    phase(id, HELD, |exchange| exchange.request_headers(end != 0))
}

#[unsafe(export_name = "tamis.for.proxy_on_request_body")]
#[inline(never)]
pub(super) extern "C" fn request_body(id: u32, size: usize, end: u32) -> u32 {
    phase(id, 1, |exchange| exchange.request_body(size, end != 0))
}

#[unsafe(export_name = "tamis.for.proxy_on_request_trailers")]
#[inline(never)]
pub(super) extern "C" fn request_trailers(id: u32, _count: usize) -> u32 {
    phase(id, 1, |exchange| exchange.request_trailers())
}

#[unsafe(export_name = "tamis.for.proxy_on_response_headers")]
#[inline(never)]
pub(super) extern "C" fn response_headers(id: u32, _count: usize, end: u32) -> u32 {
    phase(id, HELD, |exchange| exchange.response_headers(end != 0))
}

#[unsafe(export_name = "tamis.for.proxy_on_response_body")]
#[inline(never)]
pub(super) extern "C" fn response_body(id: u32, size: usize, end: u32) -> u32 {
    phase(id, 1, |exchange| exchange.response_body(size, end != 0))
}

#[unsafe(export_name = "tamis.for.proxy_on_response_trailers")]
#[inline(never)]
pub(super) extern "C" fn response_trailers(id: u32, _count: usize) -> u32 {
    phase(id, 1, |exchange| exchange.response_trailers())
}

#[unsafe(export_name = "tamis.for.proxy_on_done")]
#[inline(never)]
pub(super) extern "C" fn done(id: u32) -> u32 {
    streams::done(id);
    1
}

/// Nothing has to be led home: the host itself gives the answer to the root.
#[unsafe(export_name = "tamis.for.tamis_route_callouts")]
#[inline(never)]
extern "C" fn route_callouts(_root: u32) {}

/// There is no context of the crate's to make, and with it goes all that a context of the crate's can ask of a host.
#[unsafe(export_name = "tamis.for.tamis_connects")]
#[inline(never)]
extern "C" fn connects() {}

/// A callout, as it is asked for.
pub(super) struct Call<'a> {
    pub(super) cluster: &'a str,
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
    pub(super) timeout_ms: u32,
}

/// Starts a callout without telling the crate.
#[unsafe(export_name = "tamis.for.tamis_http_call")]
#[inline(never)]
fn http_call(call: &Call<'_>, token: &mut u32) -> u32 {
    // SAFETY: as in the file above.
    unsafe {
        proxy_http_call(
            call.cluster.as_ptr(),
            call.cluster.len(),
            call.headers.as_ptr(),
            call.headers.len(),
            call.body.as_ptr(),
            call.body.len(),
            std::ptr::null(),
            0,
            call.timeout_ms,
            token,
        )
    }
}

/// A status as a result; here so that both ways of a callout share it.
pub(super) fn token(status: u32, token: u32) -> Result<u32> {
    if status == 0 { Ok(token) } else { Err(Status(status)) }
}
