//! `source.*`, `destination.*`, `connection.*`, `upstream.*`, `xds.*`.

use super::value::{Kind, Message, Value};
use super::{View, flags};
use tamis_traffic::{Peer, PropertyValue, Side};

pub(super) fn peer<'a>(name: &[u8], peer: &'a Peer) -> Option<Value<'a>> {
    match name {
        b"address" => Some(Value::text(&peer.address)),
        b"port" => {
            let (_, port) = peer.address.rsplit_once(':')?;
            port.parse::<u16>().ok().map(|port| Value::Int(port.into()))
        }
        _ => None,
    }
}

pub(super) fn connection<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let known = view.attributes;
    // An identity is the certificate's only where the recording proxy ended mutual TLS itself.
    let identity = |peer: Option<&'a Peer>| {
        let identity = peer?.identity.as_deref().filter(|_| known.mtls == Some(true))?;
        identity.contains("://").then(|| Value::text(identity))
    };
    let recorded = match name {
        b"id" => return Some(Value::Uint(view.connection_id)),
        b"mtls" => known.mtls.map(Value::Bool),
        b"requested_server_name" => match &known.requested_server_name {
            Some(name) => Some(Value::text(name)),
            // Without TLS there is none, and Envoy says so with an empty string.
            None => (known.mtls == Some(false)).then(|| Value::text("")),
        },
        b"uri_san_peer_certificate" => identity(view.source),
        b"uri_san_local_certificate" => identity(view.destination),
        _ => None,
    };
    recorded.or_else(|| said(view, b"connection", name))
}

pub(super) fn upstream<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let recorded = match name {
        // One attempt: a replay does not retry.
        b"request_attempt_count" => return Some(Value::Uint(view.sent.into())),
        b"num_endpoints" if view.lost => return None,
        b"num_endpoints" => return said(view, b"upstream", name),
        _ if !view.sent => return None,
        b"address" | b"port" => view.upstream.and_then(|upstream| peer(name, upstream)),
        b"transport_failure_reason" => (!flags::upstream_failed(view)).then(|| Value::text("")),
        b"locality" => {
            let said = view.proxy.get(b"upstream").and_then(|u| u.get(b"locality"));
            return Some(Value::Message(Message { kind: Kind::Locality, said }));
        }
        _ => None,
    };
    recorded.or_else(|| said(view, b"upstream", name))
}

pub(super) fn xds<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let xds = view.proxy.get(b"xds");
    let own = xds.and_then(|xds| xds.get(name));
    if name == b"node" {
        return own.map(|node| Value::Message(Message { kind: Kind::Node, said: Some(node) }));
    }
    if !view.stream {
        return None;
    }
    let metadata = || Some(Value::Message(Message { kind: Kind::Metadata, said: own }));
    let text = |recorded: &'a Option<String>| recorded.as_deref().map(Value::text);
    let or_said = |value: Option<Value<'a>>| value.or_else(|| own.map(|v| Value::Said(v, false)));
    match name {
        // The virtual host stays.
        b"cluster_name" | b"cluster_metadata" | b"route_name" | b"route_metadata" if view.lost => None,
        b"cluster_name" => or_said(text(&view.attributes.cluster_name)),
        // A route and a filter chain need no name.
        b"route_name" => or_said(text(&view.attributes.route_name)).or_else(|| Some(Value::text(""))),
        b"filter_chain_name" => or_said(None).or_else(|| Some(Value::text(""))),
        b"virtual_host_name" => or_said(None),
        b"listener_direction" => or_said(match view.side {
            Side::Inbound => Some(Value::Int(1)),
            Side::Outbound => Some(Value::Int(2)),
            Side::Unknown | Side::Gateway => None,
        })
        .or(Some(Value::Int(0))),
        b"cluster_metadata" | b"route_metadata" | b"virtual_host_metadata" | b"listener_metadata" => {
            metadata()
        }
        // An endpoint without metadata has not even an empty message.
        b"upstream_host_metadata" | b"upstream_host_locality_metadata" if view.sent => {
            if own.is_some() {
                metadata()
            } else {
                Some(Value::Nothing)
            }
        }
        _ => None,
    }
}

/// What was said of the proxy beside the recording.
fn said<'a>(view: &View<'a>, group: &[u8], name: &[u8]) -> Option<Value<'a>> {
    Some(Value::Said(view.proxy.get(group)?.get(name)?, false))
}

/// A field of a message. Texts that nobody set are empty.
pub(super) fn field<'a>(message: Message<'a>, name: &[u8]) -> Option<Value<'a>> {
    let own: Option<&'a PropertyValue> = message.said.and_then(|said| said.get(name));
    let text = || Some(own.map_or_else(|| Value::text(""), |v| Value::Said(v, false)));
    match (message.kind, name) {
        (Kind::Node, b"id" | b"cluster" | b"user_agent_name" | b"user_agent_version") => text(),
        (Kind::Node, b"locality") => Some(Value::Message(Message { kind: Kind::Locality, said: own })),
        (Kind::Node, b"metadata") => Some(own.map_or(Value::NoMap, |v| Value::Said(v, true))),
        (Kind::Node, _) => own.map(|v| Value::Said(v, false)),
        (Kind::Locality, b"region" | b"zone" | b"sub_zone") => text(),
        (Kind::Metadata, b"filter_metadata") => Some(own.map_or(Value::NoMap, |v| Value::Said(v, true))),
        (Kind::Metadata, b"typed_filter_metadata") => Some(Value::NoMap),
        (Kind::Locality | Kind::Metadata, _) => None,
    }
}
