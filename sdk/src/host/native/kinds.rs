//! As the rest of this host, for filters that are none for HTTP.

use super::{Result, world};
use tamis_abi::StreamType;

/// Both ends are closed, whichever is named (docs/envoy.md 2.13).
pub(crate) fn close_stream(_stream: StreamType) -> Result<()> {
    world(|w| w.closed = true);
    Ok(())
}

// Only a linked module cares what a filter uses.
pub(crate) fn mark_http() {}
pub(crate) fn mark_connection() {}
pub(crate) fn mark_upstream_data() {}
pub(crate) fn mark_log() {}
