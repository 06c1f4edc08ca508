//! Writes captures in our own form: JSON lines, see [`crate::schema`].

use crate::encode::{base64, rfc3339};
use crate::own::{self, GAPS, PARTIES, PROTOCOLS, PROVENANCES, SIDES, VERSION};
use crate::{Attributes, Body, Event, Exchange, Headers, Message, Metadata, Peer};
use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};
use std::io::{self, Write};

/// Writes exchanges as lines of JSON. Reading them back gives equal exchanges, but for [`Exchange::place`],
/// which says where they were read.
///
/// Each line is an object whose first field is the version, `"tamis":1`. Fields with default values are left
/// out. Bytes are a string when they are UTF-8, else `{"base64": …}`.
pub struct JsonLines<W: Write> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Appends one exchange.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&mut self, exchange: &Exchange) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &Line::of(exchange))?;
        self.out.write_all(b"\n")
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    /// When `out` cannot be flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    tamis: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PeerOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<PeerOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<PeerOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<AttributesOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<MessageOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<MessageOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Vec<EventOut<'a>>>,
}

#[derive(Serialize)]
struct EventOut<'a> {
    at_ns: u64,
    from: &'static str,
    #[serde(skip_serializing_if = "Bytes::is_empty")]
    bytes: Bytes<'a>,
    #[serde(skip_serializing_if = "is_false")]
    end: bool,
}

#[derive(Serialize)]
struct PeerOut<'a> {
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
}

#[derive(Serialize)]
struct AttributesOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    route_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_flags: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code_details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls: Option<bool>,
}

#[derive(Serialize)]
struct MessageOut<'a> {
    headers: Fields<'a>,
    #[serde(skip_serializing_if = "Bytes::is_empty")]
    body: Bytes<'a>,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    chunks: &'a [u32],
    #[serde(skip_serializing_if = "is_false")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<MetadataOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailers: Option<Fields<'a>>,
}

#[derive(Serialize)]
struct MetadataOut<'a> {
    after: u32,
    fields: Fields<'a>,
}

struct Fields<'a>(&'a Headers);
struct Bytes<'a>(&'a [u8]);

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Bytes<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => to.collect_map([("base64", base64(self.0))]),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            list.serialize_element(&[Bytes(name), Bytes(value)])?;
        }
        list.end()
    }
}

impl<'a> Line<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        // Those of a connection are its events once more.
        let messages = exchange.events.is_none().then_some(());
        Self {
            tamis: VERSION,
            id: &exchange.id,
            started: exchange.started.map(rfc3339),
            duration_ns: exchange.duration,
            protocol: own::name(&PROTOCOLS, &exchange.protocol),
            side: own::name(&SIDES, &exchange.side),
            provenance: own::name(&PROVENANCES, &exchange.provenance),
            gaps: exchange.gaps.iter().filter_map(|gap| own::name(&GAPS, gap)).collect(),
            source: exchange.source.as_ref().map(PeerOut::of),
            destination: exchange.destination.as_ref().map(PeerOut::of),
            upstream: exchange.upstream.as_ref().map(PeerOut::of),
            attributes: AttributesOut::of(&exchange.attributes),
            request: messages.and(exchange.request.get()).map(MessageOut::of),
            response: messages.and(exchange.response.get()).map(MessageOut::of),
            connection: exchange.events.as_deref().map(|events| events.iter().map(EventOut::of).collect()),
        }
    }
}

impl<'a> EventOut<'a> {
    fn of(event: &'a Event) -> Self {
        let from = own::name(&PARTIES, &event.from).unwrap_or_default();
        Self { at_ns: event.at, from, bytes: Bytes(&event.bytes), end: event.end }
    }
}

impl<'a> PeerOut<'a> {
    fn of(peer: &'a Peer) -> Self {
        Self { address: &peer.address, identity: peer.identity.as_deref() }
    }
}

impl<'a> AttributesOut<'a> {
    fn of(known: &'a Attributes) -> Option<Self> {
        (*known != Attributes::default()).then_some(Self {
            route_name: known.route_name.as_deref(),
            cluster_name: known.cluster_name.as_deref(),
            response_flags: known.response_flags.as_deref(),
            response_code_details: known.response_code_details.as_deref(),
            requested_server_name: known.requested_server_name.as_deref(),
            mtls: known.mtls,
        })
    }
}

impl<'a> MessageOut<'a> {
    fn of(message: &'a Message) -> Self {
        let Body { bytes, chunks, truncated, length, metadata } = &message.body;
        let frame = |frame: &'a Metadata| MetadataOut { after: frame.after, fields: Fields(&frame.fields) };
        Self {
            headers: Fields(&message.headers),
            body: Bytes(bytes),
            chunks,
            truncated: *truncated,
            length: *length,
            metadata: metadata.iter().map(frame).collect(),
            trailers: message.trailers.get().map(Fields),
        }
    }
}
