//! One request and its response, as recorded.

use crate::{Blank, Connection, Event, Headers, Party, Slot};

/// One request and its response, or one TCP connection. Either half may be missing: a tap that sits behind the filter which
/// answered has no request, a client that left has no response.
///
/// Made to be filled again and again: [`Exchange::clear`] keeps the memory.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Exchange {
    /// The capture's own name for it: `x-request-id`, else the trace id, else empty.
    pub id: String,
    /// Where it stands in the capture.
    pub place: Place,
    /// The request as the proxy's filters saw it.
    pub request: Slot<Message>,
    /// The response as the upstream gave it (or as the proxy answered).
    pub response: Slot<Message>,
    /// Protocol towards the client.
    pub protocol: Protocol,
    /// Start, nanoseconds since the Unix epoch.
    pub started: Option<u64>,
    /// From the first request byte to the last response byte, nanoseconds.
    pub duration: Option<u64>,
    /// The downstream peer.
    pub source: Option<Peer>,
    /// The proxy's side of the downstream connection.
    pub destination: Option<Peer>,
    /// The host that was asked.
    pub upstream: Option<Peer>,
    /// Which side of the mesh hop the recording proxy stood on.
    pub side: Side,
    /// What else the recording knows and a filter may ask for as a property.
    pub attributes: Attributes,
    /// How much of this was seen and how much was made up.
    pub provenance: Provenance,
    /// What is known to be missing.
    pub gaps: Vec<Gap>,
    /// What either side sent, when this is a TCP connection: [`Exchange::connect`].
    pub events: Option<Vec<Event>>,
}

impl Exchange {
    /// Empties it and keeps what memory can be kept.
    pub fn clear(&mut self) {
        self.id.clear();
        self.request.clear();
        self.response.clear();
        self.gaps.clear();
        *self = Self {
            id: std::mem::take(&mut self.id),
            request: std::mem::take(&mut self.request),
            response: std::mem::take(&mut self.response),
            gaps: std::mem::take(&mut self.gaps),
            ..Self::default()
        };
    }

    /// Makes it a TCP connection. The halves have no headers then; their bodies are all that the client and the
    /// upstream sent.
    pub fn connect(&mut self, events: Vec<Event>) {
        for (from, slot) in [(Party::Client, &mut self.request), (Party::Upstream, &mut self.response)] {
            let body = &mut slot.fill().body;
            for event in events.iter().filter(|event| event.from == from && !event.bytes.is_empty()) {
                body.bytes.extend_from_slice(&event.bytes);
                body.chunks.push(u32::try_from(event.bytes.len()).unwrap_or(u32::MAX));
            }
        }
        self.events = Some(events);
    }

    /// The TCP connection, when it is one.
    pub fn connection(&self) -> Option<Connection> {
        let events = self.events.as_ref()?;
        let last = events.last().map_or(0, |event| event.at);
        Some(Connection {
            id: self.id.clone(),
            started: self.started,
            duration: self.duration.unwrap_or(last).max(last),
            events: events.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            upstream: self.upstream.clone(),
            attributes: self.attributes.clone(),
        })
    }

    /// The response status, when the response half is there and names one.
    pub fn status(&self) -> Option<u16> {
        self.response.get()?.headers.text(":status")?.parse().ok()
    }
}

/// Headers, body and trailers of one direction.
#[derive(Debug, Default, PartialEq)]
pub struct Message {
    /// With pseudo headers, in recorded order, names in lower case.
    pub headers: Headers,
    /// The body as recorded.
    pub body: Body,
    /// The trailers. Envoy tells absent ones from empty ones.
    pub trailers: Slot<Headers>,
}

impl Blank for Message {
    fn blank(&mut self) {
        self.headers.clear();
        self.body.blank();
        self.trailers.clear();
    }
}

impl Clone for Message {
    fn clone(&self) -> Self {
        Self { headers: self.headers.clone(), body: self.body.clone(), trailers: self.trailers.clone() }
    }

    fn clone_from(&mut self, from: &Self) {
        self.headers.clone_from(&from.headers);
        self.body.clone_from(&from.body);
        self.trailers.clone_from(&from.trailers);
    }
}

/// A body with what is known of how it travelled.
#[derive(Debug, Default, PartialEq)]
pub struct Body {
    /// The bytes that were recorded.
    pub bytes: Vec<u8>,
    /// Lengths of the pieces in which `bytes` arrived; empty when the capture does not say (then one piece).
    /// Their sum is the length of `bytes`.
    pub chunks: Vec<u32>,
    /// The recording was cut: there was more than `bytes`, at the end or between pieces.
    pub truncated: bool,
    /// The real length in bytes, when something (content-length, a log's byte count) says it.
    pub length: Option<u64>,
    /// Frames of HTTP/2 metadata between the pieces, in order.
    pub metadata: Vec<Metadata>,
}

/// A frame of HTTP/2 metadata (type 0x4d, an extension that Envoy has with `allow_metadata`).
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Metadata {
    /// How many pieces of the body came before it.
    pub after: u32,
    /// What it says.
    pub fields: Headers,
}

impl Metadata {
    /// How many names it has: Envoy keeps one value of each.
    pub fn names(&self) -> u32 {
        let fresh = |at: usize, name: &[u8]| self.fields.names().take(at).all(|known| known != name);
        self.fields.names().enumerate().filter(|(at, name)| fresh(*at, name)).count() as u32
    }
}

impl Blank for Body {
    fn blank(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
        self.truncated = false;
        self.length = None;
        self.metadata.clear();
    }
}

impl Clone for Body {
    fn clone(&self) -> Self {
        let mut body = Self::default();
        body.clone_from(self);
        body
    }

    fn clone_from(&mut self, from: &Self) {
        self.bytes.clone_from(&from.bytes);
        self.chunks.clone_from(&from.chunks);
        self.truncated = from.truncated;
        self.length = from.length;
        self.metadata.clone_from(&from.metadata);
    }
}

/// Where an exchange stands: which file of the capture, which position.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index into the list of files being read.
    pub file: u32,
    /// Number of the exchange in the replay, from 1.
    pub number: u64,
    /// Line of the file (text formats), from 1.
    pub line: Option<u64>,
    /// Byte offset in the (unpacked) file.
    pub offset: u64,
}

/// The protocol between client and proxy. It decides how the end of a body shows
/// (docs/envoy.md 2.2: HTTP/1 bodies end with one more, empty call).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Not recorded; played as HTTP/1.1, or HTTP/2 for gRPC.
    #[default]
    Unknown,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

/// One end of a connection.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `ip:port`, as the property `source.address` gives it.
    pub address: String,
    /// SPIFFE or other identity of the workload, from mTLS or `x-forwarded-client-cert`.
    pub identity: Option<String>,
}

/// Which proxy of a hop recorded the exchange.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Cannot be told.
    #[default]
    Unknown,
    /// The server's proxy.
    Inbound,
    /// The client's proxy.
    Outbound,
    /// A gateway.
    Gateway,
}

/// What logs and taps know beside the two messages. Each is a property that a filter may read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// `xds.route_name`.
    pub route_name: Option<String>,
    /// `xds.cluster_name`, for instance `inbound|8080||`.
    pub cluster_name: Option<String>,
    /// Response flags in their short form, for instance `UF,URX`; `-` is stored as none.
    pub response_flags: Option<String>,
    /// `response.code_details`.
    pub response_code_details: Option<String>,
    /// `connection.requested_server_name` (SNI).
    pub requested_server_name: Option<String>,
    /// `connection.mtls`; none when unknown.
    pub mtls: Option<bool>,
}

/// How an exchange came to be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Everything was seen on the wire.
    #[default]
    Recorded,
    /// Recorded, with parts restored from other parts (a `:path` from `x-envoy-original-path`).
    Derived,
    /// Made from a log line: headers and bodies that the log lacks are made up or absent.
    Synthesised,
}

/// Something the recording lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// No request half.
    NoRequest,
    /// No response half.
    NoResponse,
    /// The request body was cut.
    RequestBodyCut,
    /// The response body was cut.
    ResponseBodyCut,
    /// The stream had not ended when the recording did.
    Unfinished,
    /// The headers show what later filters and the router made of them (buffered tap).
    LateHeaders,
}
