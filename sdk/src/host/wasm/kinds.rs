//! What hosts call and filters ask for when they are none for HTTP: connections and access logs.
//!
//! As in [`super::doors`]: `tamis build` leaves out what no filter of the module wants.

use super::{Result, done, wants};
use crate::others::{Event, tell};
use crate::streams;
use tamis_abi::StreamType;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_close_stream(stream: u32) -> u32;
}

pub(crate) fn close_stream(stream: StreamType) -> Result<()> {
    // SAFETY: numbers only.
    done(unsafe { proxy_close_stream(stream as u32) })
}

fn stops(id: u32, event: Event<'_>) -> u32 {
    (tell(id, event) == Some(tamis_abi::Action::Pause)).into()
}

#[unsafe(export_name = "tamis.for.proxy_on_new_connection")]
#[inline(never)]
pub(super) extern "C" fn new_connection(id: u32) -> u32 {
    stops(id, Event::Opened)
}

#[unsafe(export_name = "tamis.for.proxy_on_downstream_data")]
#[inline(never)]
pub(super) extern "C" fn downstream_data(id: u32, size: usize, end: u32) -> u32 {
    stops(id, Event::Downstream { size, end: end != 0 })
}

#[unsafe(export_name = "tamis.for.proxy_on_upstream_data")]
#[inline(never)]
pub(super) extern "C" fn upstream_data(id: u32, size: usize, end: u32) -> u32 {
    stops(id, Event::Upstream { size, end: end != 0 })
}

#[unsafe(export_name = "tamis.for.proxy_on_log")]
#[inline(never)]
pub(super) extern "C" fn log(id: u32) {
    streams::log(id);
}

/// Says that the module has a filter for HTTP.
pub(crate) fn mark_http() {
    wants::request_headers();
    wants::response_headers();
}

/// Says that it has one for connections.
pub(crate) fn mark_connection() {
    super::tamis_connects();
    wants::new_connection();
    wants::downstream_data();
}

/// Says that it looks at what upstreams send.
pub(crate) fn mark_upstream_data() {
    wants::upstream_data();
}

/// Says that it has an access log.
pub(crate) fn mark_log() {
    wants::log();
}
