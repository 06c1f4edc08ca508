//! Properties: what a filter may ask of its stream by path (docs/envoy.md 2.9).
//!
//! The rule for replays: what the capture says and what this host itself does is told as Envoy would tell
//! it; then what was said of the proxy ([`View::proxy`]); what nobody knows (certificates, latencies) is not
//! there, or has the value that Envoy gives to what is not set (metadata, locality). Nothing is made up. The
//! columns of the table in docs/envoy.md 2.9 are fields of [`View`] here.

mod attributes;
mod flags;
mod messages;
mod state;
mod value;

pub(crate) use flags::{LEFT, RESET, flag};
pub(crate) use state::{Declared, FilterState, Type};
pub(crate) use value::encode;

use crate::profile::Profile;
use std::borrow::Cow;
use tamis_abi::Status;
use tamis_traffic::select::Found;
use tamis_traffic::{Attributes, Headers, Peer, PropertyValue, Protocol, Side};
use value::{Kind, Message, Value};

/// What a lookup sees: one stream as it is now, for one filter.
pub(crate) struct View<'a> {
    /// The filter asks on a stream; a root context knows only `plugin_*`.
    pub(crate) stream: bool,
    /// The maps that the filter can read now (docs/envoy.md 2.1.12).
    pub(crate) request_headers: Option<&'a Headers>,
    pub(crate) response_headers: Option<&'a Headers>,
    pub(crate) response_trailers: Option<&'a Headers>,
    /// The request went through the whole chain and an upstream was chosen.
    pub(crate) sent: bool,
    /// From `proxy_on_log` on everything is over and known.
    pub(crate) over: bool,
    /// Status of the response, once there are response headers.
    pub(crate) response_code: Option<u32>,
    /// Why the response came; none is `via_upstream`. A reply of a filter may have an empty one (docs/envoy.md 2.5).
    pub(crate) code_details: Option<&'a str>,
    /// The response was made by a filter or by this host.
    pub(crate) local: bool,
    /// Flags of what this host did itself.
    pub(crate) flags: u64,
    /// No route takes the request, as filters changed it.
    pub(crate) lost: bool,
    /// Body bytes that came in from the client so far.
    pub(crate) request_bytes: u64,
    /// Body bytes that went out to the client so far.
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
    pub(crate) state: &'a FilterState,
    pub(crate) profile: &'a Profile,
    /// What was said of the proxy beside the recording: maps whose keys are the segments of paths.
    pub(crate) proxy: &'a PropertyValue,
}

/// There is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The filter is told.
    Status(Status),
    /// Envoy has it, this host does not: the playback ends, with the name of what was asked for.
    NotSupported(String),
}

impl From<Status> for Missing {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// The bytes of a property, as `proxy_get_property` hands them over.
///
/// `path` is segments joined by zero bytes. The first is looked up among Envoy's attributes, then among
/// `plugin_*` and `connection_id`, then in the filter state; deeper ones are keys of maps, fields of messages and
/// positions in lists.
///
/// # Errors
/// `NotFound` for what is unknown or absent, `SerializationFailure` for what has no byte form: partial maps
/// such as `request`, and the empty path; not supported for messages of types that this host does not know.
pub(crate) fn lookup<'a>(path: &[u8], view: &View<'a>) -> Result<Cow<'a, [u8]>, Missing> {
    if path.is_empty() {
        return Err(Status::SerializationFailure.into());
    }
    // A zero byte at the very end opens no segment.
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    walk(path.split(|b| *b == 0), view)?.bytes()
}

/// The value of a name in an expression.
///
/// # Errors
/// What of Envoy's this host does not have, by name.
pub(crate) fn find<'a>(path: &[&str], view: &View<'a>) -> Result<Found<'a>, String> {
    let found = match walk(path.iter().map(|segment| segment.as_bytes()), view) {
        Err(missing) => Err(missing),
        Ok(Value::Headers(_, headers)) => Ok(Found::Headers(headers)),
        Ok(Value::Nothing) => Ok(Found::Value(PropertyValue::Null)),
        Ok(value) if value.is_group() => Ok(Found::Group),
        Ok(value) => value.typed().map(Found::Value),
    };
    match found {
        Ok(found) => Ok(found),
        Err(Missing::Status(_)) => Ok(Found::Missing),
        Err(Missing::NotSupported(what)) => Err(what),
    }
}

fn walk<'a, 's>(mut segments: impl Iterator<Item = &'s [u8]>, view: &View<'a>) -> Result<Value<'a>, Missing> {
    let mut value = first(segments.next().unwrap_or_default(), view).ok_or(Status::NotFound)?;
    for segment in segments {
        if matches!(value, Value::Proto(..) | Value::Unpacked(..)) {
            // A message that is none has no fields.
            value = value.opened().map_err(|missing| match missing {
                Missing::Status(_) => Status::NotFound.into(),
                unsupported => unsupported,
            })?;
        }
        value = deeper(value, segment, view).ok_or(Status::NotFound)?;
    }
    Ok(value)
}

fn first<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    match name {
        b"plugin_name" => return Some(Value::text(view.plugin_name)),
        b"plugin_root_id" => return Some(Value::text(view.root_id)),
        b"plugin_vm_id" => return Some(Value::text(view.vm_id)),
        b"xds" => return Some(Value::Xds),
        _ if !view.stream => return None,
        _ => {}
    }
    match name {
        b"request" => Some(Value::Request),
        b"response" => Some(Value::Response),
        b"source" => Some(Value::Peer(view.source)),
        b"destination" => Some(Value::Peer(view.destination)),
        b"connection" => Some(Value::Connection),
        b"upstream" => Some(Value::Upstream),
        b"filter_state" => Some(Value::FilterState),
        // Dynamic metadata, as native filters before this chain set it.
        b"metadata" => Some(Value::Message(Message { kind: Kind::Metadata, said: view.proxy.get(name) })),
        b"upstream_filter_state" => view.sent.then_some(Value::Nothing),
        b"connection_id" => Some(Value::Uint(view.connection_id)),
        // A key is taken as it was stored, not split; one with a zero byte can never be asked for.
        key => view.state.own(key),
    }
}

fn deeper<'a>(value: Value<'a>, name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    match value {
        Value::Request => messages::request(name, view),
        Value::Response => messages::response(name, view),
        Value::Headers(kind, headers) => messages::header(kind, headers?, name),
        Value::Peer(peer) => attributes::peer(name, peer?),
        Value::Connection => attributes::connection(name, view),
        Value::Upstream => attributes::upstream(name, view),
        Value::Xds => attributes::xds(name, view),
        Value::FilterState => view.state.any(name),
        Value::Message(message) => attributes::field(message, name),
        Value::Said(PropertyValue::List(list), in_struct) => {
            let at: usize = std::str::from_utf8(name).ok()?.parse().ok()?;
            Some(Value::Said(list.get(at)?, in_struct))
        }
        Value::Said(said, in_struct) => Some(Value::Said(said.get(name)?, in_struct)),
        Value::Out(PropertyValue::List(list)) => {
            let at: usize = std::str::from_utf8(name).ok()?.parse().ok()?;
            Some(Value::Out(list.into_iter().nth(at)?))
        }
        Value::Out(PropertyValue::Message(message)) => {
            let field = message.fields.into_iter().find(|(known, _)| known.as_bytes() == name)?;
            Some(Value::Out(field.1))
        }
        Value::Out(map) => Some(Value::Out(map.get(name)?.clone())),
        Value::Address(address) => match name {
            b"ip" => Some(Value::text(address.ip())),
            b"port" => Some(Value::Int(address.port().into())),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
