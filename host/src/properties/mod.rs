//! Properties: what a filter may ask of its stream by path (docs/envoy.md 2.9).
//!
//! The rule for replays: what the capture says and what this host itself does is told as Envoy would tell
//! it; what nobody recorded (certificates, `xds.node`, dynamic metadata, latencies) is not there. Nothing is
//! made up. The columns of the table in docs/envoy.md 2.9 are fields of [`View`] here.

mod attributes;
mod flags;
mod messages;
mod value;

use std::borrow::Cow;
use tamis_abi::Status;
use tamis_traffic::{Attributes, Headers, Peer, Protocol, Side};
use value::Value;

/// What a lookup sees: one stream as it is now, for one filter.
pub(crate) struct View<'a> {
    /// The filter asks on a stream; a root context knows only `plugin_*`.
    pub(crate) stream: bool,
    /// The maps that the filter can read now (docs/envoy.md 2.1.12).
    pub(crate) request_headers: Option<&'a Headers>,
    pub(crate) request_trailers: Option<&'a Headers>,
    pub(crate) response_headers: Option<&'a Headers>,
    pub(crate) response_trailers: Option<&'a Headers>,
    /// The request went through the whole chain and an upstream was chosen.
    pub(crate) sent: bool,
    /// The filter is in `proxy_on_log`: everything is over and known.
    pub(crate) log: bool,
    /// Status of the response, once there are response headers.
    pub(crate) response_code: Option<u32>,
    /// Why the response came; empty is `via_upstream`.
    pub(crate) code_details: &'a str,
    /// Body bytes that came in from the client so far.
    pub(crate) request_bytes: u64,
    /// Body bytes that went out to the client.
    pub(crate) response_bytes: u64,
    /// As played.
    pub(crate) protocol: Protocol,
    /// Start of the stream, nanoseconds since the Unix epoch.
    pub(crate) started: u64,
    /// From the first request byte to the last response byte, nanoseconds.
    pub(crate) duration: Option<u64>,
    pub(crate) source: Option<&'a Peer>,
    pub(crate) destination: Option<&'a Peer>,
    pub(crate) upstream: Option<&'a Peer>,
    pub(crate) side: Side,
    pub(crate) attributes: &'a Attributes,
    pub(crate) connection_id: u64,
    pub(crate) plugin_name: &'a str,
    pub(crate) root_id: &'a str,
    pub(crate) vm_id: &'a str,
    /// What `proxy_set_property` stored, key and value.
    pub(crate) state: &'a [(Vec<u8>, Vec<u8>)],
}

/// The bytes of a property, as `proxy_get_property` hands them over.
///
/// `path` is segments joined by zero bytes. The first is looked up among Envoy's attributes, then among
/// `plugin_*` and `connection_id`, then in the filter state; deeper ones are keys of maps.
///
/// # Errors
/// `NotFound` for what is unknown or absent, `SerializationFailure` for what has no byte form: partial maps
/// such as `request`, and the empty path.
pub(crate) fn lookup<'a>(path: &[u8], view: &View<'a>) -> Result<Cow<'a, [u8]>, Status> {
    if path.is_empty() {
        return Err(Status::SerializationFailure);
    }
    // A zero byte at the very end opens no segment.
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    let mut segments = path.split(|b| *b == 0);
    let mut value = first(segments.next().unwrap_or_default(), view).ok_or(Status::NotFound)?;
    for segment in segments {
        value = deeper(value, segment, view).ok_or(Status::NotFound)?;
    }
    value.bytes()
}

fn first<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let plugin = match name {
        b"plugin_name" => Some(view.plugin_name),
        b"plugin_root_id" => Some(view.root_id),
        b"plugin_vm_id" => Some(view.vm_id),
        _ => None,
    };
    if let Some(text) = plugin {
        return Some(Value::text(text));
    }
    if !view.stream {
        return None;
    }
    match name {
        b"request" => Some(Value::Request),
        b"response" => Some(Value::Response),
        b"source" => Some(Value::Peer(view.source)),
        b"destination" => Some(Value::Peer(view.destination)),
        b"connection" => Some(Value::Connection),
        b"upstream" => Some(Value::Upstream),
        b"xds" => Some(Value::Xds),
        b"filter_state" => Some(Value::FilterState),
        // Dynamic metadata starts empty, and an empty message has no bytes; nothing here can set any.
        b"metadata" => Some(Value::text("")),
        b"upstream_filter_state" => view.sent.then_some(Value::Nothing),
        b"connection_id" => Some(Value::number(view.connection_id)),
        key => state(key, view),
    }
}

fn deeper<'a>(value: Value<'a>, name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    match value {
        Value::Request => messages::request(name, view),
        Value::Response => messages::response(name, view),
        Value::Headers(kind, headers) => messages::header(kind, headers, name),
        Value::Peer(peer) => attributes::peer(name, peer?),
        Value::Connection => attributes::connection(name, view),
        Value::Upstream => attributes::upstream(name, view),
        Value::Xds => attributes::xds(name, view),
        Value::FilterState => state(name.strip_prefix(b"wasm.")?, view),
        Value::Bytes(_) | Value::Nothing => None,
    }
}

/// A key is taken as it was stored, not split; one with a zero byte can never be asked for.
fn state<'a>(key: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let (_, value) = view.state.iter().find(|(stored, _)| stored == key)?;
    Some(Value::Bytes(Cow::Borrowed(value)))
}

#[cfg(test)]
mod tests;
