//! Envoy's attributes, computed from an exchange when they are asked for.

use super::flags;
use super::headers::{Map, joined, text};
use super::patterns::{self, Pattern};
use crate::{Exchange, Headers, Message, Peer, Protocol};
use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelDuration, CelInt, CelString, CelTimestamp, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use std::borrow::Cow;
use std::sync::Arc;

/// An attribute that expressions may use.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Its full name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// What it is.
    pub about: &'static str,
}

/// Types of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of CEL's types")]
pub enum Kind {
    String,
    Int,
    Bool,
    Map,
    Timestamp,
    Duration,
}

const fn a(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute { name, kind, about }
}

/// All attributes. Names and types are Envoy's (docs/envoy.md 2.9), but for `source.identity`, `source.namespace` and
/// `source.workload` and their `destination` twins, which Envoy does not have.
pub const ATTRIBUTES: &[Attribute] = &[
    a("request.path", Kind::String, "`:path` with its query"),
    a("request.url_path", Kind::String, "`:path` without its query"),
    a("request.query", Kind::String, "what follows the `?`; empty without one"),
    a("request.host", Kind::String, "`:authority`"),
    a("request.scheme", Kind::String, "`:scheme`"),
    a("request.method", Kind::String, "`:method`"),
    a("request.headers", Kind::Map, "lower-case name to value, several values joined by a comma"),
    a("request.referer", Kind::String, "the `referer` header"),
    a("request.useragent", Kind::String, "the `user-agent` header"),
    a("request.id", Kind::String, "the `x-request-id` header"),
    a("request.protocol", Kind::String, "`HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`"),
    a("request.time", Kind::Timestamp, "the start"),
    a("request.duration", Kind::Duration, "from the first request byte to the last response byte"),
    a("request.size", Kind::Int, "bytes of the body"),
    a("request.total_size", Kind::Int, "bytes of headers, body and trailers"),
    a("response.code", Kind::Int, "`:status`"),
    a("response.code_details", Kind::String, "why the proxy gave this code"),
    a("response.flags", Kind::Int, "Envoy's response flags as bits"),
    a(
        "response.grpc_status",
        Kind::Int,
        "from trailers or headers; else made from the HTTP status, as Envoy does",
    ),
    a("response.headers", Kind::Map, "as `request.headers`"),
    a("response.trailers", Kind::Map, "as `request.headers`"),
    a("response.size", Kind::Int, "bytes of the body"),
    a("response.total_size", Kind::Int, "bytes of headers, body and trailers"),
    a("source.address", Kind::String, "`ip:port` of the client"),
    a("source.port", Kind::Int, "port of the client"),
    a("source.identity", Kind::String, "SPIFFE identity of the client"),
    a("source.namespace", Kind::String, "namespace in that identity"),
    a("source.workload", Kind::String, "service account in that identity"),
    a("destination.address", Kind::String, "`ip:port` of the proxy's side"),
    a("destination.port", Kind::Int, "port of the proxy's side"),
    a("destination.identity", Kind::String, "SPIFFE identity of the server"),
    a("destination.namespace", Kind::String, "namespace in that identity"),
    a("destination.workload", Kind::String, "service account in that identity"),
    a("upstream.address", Kind::String, "`ip:port` of the host that was asked"),
    a("upstream.port", Kind::Int, "port of the host that was asked"),
    a("connection.mtls", Kind::Bool, "the client showed a certificate"),
    a("connection.requested_server_name", Kind::String, "SNI"),
    a("connection.uri_san_peer_certificate", Kind::String, "same as `source.identity`"),
    a("xds.route_name", Kind::String, "name of the route"),
    a("xds.cluster_name", Kind::String, "name of the cluster"),
];

pub(super) fn find(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.name == name)
}

/// True for the part before the dot: `request`, `xds`, …
pub(super) fn is_group(name: &str) -> bool {
    ATTRIBUTES.iter().any(|a| a.name.split_once('.').is_some_and(|(group, _)| group == name))
}

/// The variables of one evaluation. The engine asks for the longest name first (`request.path`), and for the
/// group (`request`) only in `has(request.path)`.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    exchange: &'a Exchange,
    patterns: &'a [Pattern],
}

impl<'a> Attributes<'a> {
    pub(super) fn new(exchange: &'a Exchange, patterns: &'a [Pattern]) -> Self {
        Self { exchange, patterns }
    }
}

impl VariableResolver for Attributes<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(name) = ["request", "response", "source", "destination", "upstream", "connection", "xds"]
            .into_iter()
            .find(|group| *group == name)
        {
            return Some(CowVal::owned(Group { name, exchange: self.exchange }));
        }
        if let Some(pattern) = patterns::find(self.patterns, name) {
            return Some(CowVal::Borrowed(pattern));
        }
        value(self.exchange, name)
    }
}

fn value<'a>(exchange: &'a Exchange, name: &str) -> Option<CowVal<'a, 'a>> {
    let (group, field) = name.split_once('.')?;
    let attributes = &exchange.attributes;
    let own = |value: &'a Option<String>| value.as_deref().map(string);
    match (group, field) {
        ("request", "protocol") => protocol(exchange.protocol).map(string),
        ("request", "time") => exchange.started.and_then(timestamp),
        ("request", "duration") => exchange.duration.and_then(duration),
        ("request", _) => request(exchange.request.get()?, field),
        ("response", "code_details") => own(&attributes.response_code_details),
        ("response", "flags") => Some(int(flags::bits(attributes.response_flags.as_deref().unwrap_or("")))),
        ("response", "code") => exchange.status().map(|status| int(status.into())),
        ("response", "grpc_status") => grpc_status(exchange).map(int),
        ("response", _) => response(exchange.response.get()?, field),
        ("source", _) => peer(exchange.source.as_ref()?, field),
        // The proxy's own side has the address, the host behind it the identity.
        ("destination", "address" | "port") => peer(exchange.destination.as_ref()?, field),
        ("destination", _) => {
            let identity = |p: &'a Option<Peer>| p.as_ref().filter(|p| p.identity.is_some());
            peer(identity(&exchange.destination).or_else(|| identity(&exchange.upstream))?, field)
        }
        ("upstream", _) => peer(exchange.upstream.as_ref()?, field),
        ("connection", "mtls") => attributes.mtls.map(|mtls| CowVal::owned(CelBool::from(mtls))),
        ("connection", "requested_server_name") => own(&attributes.requested_server_name),
        ("connection", "uri_san_peer_certificate") => peer(exchange.source.as_ref()?, "identity"),
        ("xds", "route_name") => own(&attributes.route_name),
        ("xds", "cluster_name") => own(&attributes.cluster_name),
        _ => None,
    }
}

fn request<'a>(request: &'a Message, field: &str) -> Option<CowVal<'a, 'a>> {
    let headers = &request.headers;
    let header = |name| joined(headers, name, String::from_utf8_lossy).map(cow);
    match field {
        "path" => header(":path"),
        "url_path" => joined(headers, ":path", String::from_utf8_lossy).map(|path| cow(split_path(path).0)),
        "query" => joined(headers, ":path", String::from_utf8_lossy).map(|path| cow(split_path(path).1)),
        "host" => header(":authority"),
        "scheme" => header(":scheme"),
        "method" => header(":method"),
        "headers" => Some(CowVal::owned(Map::new(headers, String::from_utf8_lossy))),
        "referer" => header("referer"),
        "useragent" => header("user-agent"),
        "id" => header("x-request-id"),
        _ => sizes(request, field),
    }
}

fn response<'a>(response: &'a Message, field: &str) -> Option<CowVal<'a, 'a>> {
    static NONE: Headers = Headers::new();
    match field {
        "headers" => Some(CowVal::owned(Map::new(&response.headers, String::from_utf8_lossy))),
        "trailers" => {
            Some(CowVal::owned(Map::new(response.trailers.get().unwrap_or(&NONE), String::from_utf8_lossy)))
        }
        _ => sizes(response, field),
    }
}

fn sizes<'a>(message: &'a Message, field: &str) -> Option<CowVal<'a, 'a>> {
    let body = message.body.length.unwrap_or(message.body.bytes.len() as u64);
    let trailers = message.trailers.get().map_or(0, Headers::byte_len) as u64;
    let bytes = match field {
        "size" => body,
        "total_size" => body.saturating_add(message.headers.byte_len() as u64 + trailers),
        _ => return None,
    };
    Some(int(i64::try_from(bytes).unwrap_or(i64::MAX)))
}

fn peer<'a>(peer: &'a Peer, field: &str) -> Option<CowVal<'a, 'a>> {
    // `spiffe://trust-domain/ns/NAMESPACE/sa/ACCOUNT`, the form of Istio.
    let part = |key: &str| {
        let mut parts = peer.identity.as_deref()?.strip_prefix("spiffe://")?.split('/').skip(1);
        parts.by_ref().find(|part| *part == key)?;
        parts.next().map(string)
    };
    match field {
        "address" => (!peer.address.is_empty()).then(|| string(&peer.address)),
        "port" => peer.address.rsplit_once(':')?.1.parse().ok().map(int),
        "identity" => peer.identity.as_deref().map(string),
        "namespace" => part("ns"),
        "workload" => part("sa"),
        _ => None,
    }
}

/// Envoy takes it from trailers, else headers, else from the HTTP status (`Grpc::Common::getGrpcStatus`; a
/// plain 200 is 2, docs/envoy.md 2.9).
fn grpc_status(exchange: &Exchange) -> Option<i64> {
    let response = exchange.response.get()?;
    let trailers = response.trailers.get().and_then(|trailers| trailers.text("grpc-status"));
    if let Some(text) = trailers.or_else(|| response.headers.text("grpc-status")) {
        return text.parse().ok();
    }
    Some(match exchange.status()? {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    })
}

fn split_path(path: Cow<'_, str>) -> (Cow<'_, str>, Cow<'_, str>) {
    match path {
        Cow::Borrowed(path) => {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            (path.into(), query.into())
        }
        Cow::Owned(path) => {
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            (path.to_owned().into(), query.to_owned().into())
        }
    }
}

fn protocol(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Unknown => None,
        Protocol::Http10 => Some("HTTP/1.0"),
        Protocol::Http11 => Some("HTTP/1.1"),
        Protocol::Http2 => Some("HTTP/2"),
        Protocol::Http3 => Some("HTTP/3"),
    }
}

fn string<'a>(value: &'a str) -> CowVal<'a, 'a> {
    CowVal::owned(CelString::from(value))
}

fn cow(value: Cow<'_, str>) -> CowVal<'_, '_> {
    CowVal::owned(text(value))
}

fn int<'a>(value: i64) -> CowVal<'a, 'a> {
    CowVal::owned(CelInt::from(value))
}

fn timestamp<'a>(nanos: u64) -> Option<CowVal<'a, 'a>> {
    let time = chrono::DateTime::from_timestamp_nanos(i64::try_from(nanos).ok()?);
    Some(CowVal::owned(CelTimestamp::from(time.fixed_offset())))
}

fn duration<'a>(nanos: u64) -> Option<CowVal<'a, 'a>> {
    let duration = chrono::Duration::nanoseconds(i64::try_from(nanos).ok()?);
    Some(CowVal::owned(CelDuration::from(duration)))
}

/// A group of attributes, for `has(request.referer)`.
#[derive(Debug, Clone)]
struct Group<'a> {
    name: &'static str,
    exchange: &'a Exchange,
}

impl Val for Group<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Group<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let key = key.downcast_ref::<CelString>().map_or("", |key| key.inner());
        match value(self.exchange, &format!("{}.{key}", self.name)) {
            Some(value) => Ok(value),
            None => Err(ExecutionError::NoSuchKey(Arc::new(String::new()))),
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let key = key.downcast_ref::<CelString>().map_or("", |key| key.inner());
        match value(self.exchange, &format!("{}.{key}", self.name)) {
            Some(value) => Ok(value.into_owned()),
            None => Err(ExecutionError::NoSuchKey(Arc::new(String::new()))),
        }
    }
}
