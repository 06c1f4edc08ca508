//! `source.*`, `destination.*`, `connection.*`, `upstream.*`, `xds.*`.

use super::value::Value;
use super::{View, flags};
use tamis_traffic::{Peer, Side};

pub(super) fn peer<'a>(name: &[u8], peer: &'a Peer) -> Option<Value<'a>> {
    match name {
        b"address" => Some(Value::text(&peer.address)),
        b"port" => {
            let (_, port) = peer.address.rsplit_once(':')?;
            port.parse::<u16>().ok().map(|port| Value::number(port.into()))
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
    match name {
        b"id" => Some(Value::number(view.connection_id)),
        b"mtls" => known.mtls.map(Value::bool),
        b"requested_server_name" => match &known.requested_server_name {
            Some(name) => Some(Value::text(name)),
            // Without TLS there is none, and Envoy says so with an empty string.
            None => (known.mtls == Some(false)).then(|| Value::text("")),
        },
        b"uri_san_peer_certificate" => identity(view.source),
        b"uri_san_local_certificate" => identity(view.destination),
        _ => None,
    }
}

pub(super) fn upstream<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    match name {
        // One attempt: a replay does not retry.
        b"request_attempt_count" => Some(Value::number(view.sent.into())),
        b"address" | b"port" => peer(name, view.upstream.filter(|_| view.sent)?),
        b"transport_failure_reason" => (view.sent && !flags::upstream_failed(view)).then(|| Value::text("")),
        _ => None,
    }
}

pub(super) fn xds<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    match name {
        b"cluster_name" => view.attributes.cluster_name.as_deref().map(Value::text),
        b"route_name" => view.attributes.route_name.as_deref().map(Value::text),
        b"listener_direction" => match view.side {
            Side::Inbound => Some(Value::number(1)),
            Side::Outbound => Some(Value::number(2)),
            Side::Unknown | Side::Gateway => None,
        },
        _ => None,
    }
}
