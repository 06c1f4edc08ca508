//! Envoy tap as JSON: objects one after another, in Envoy's snake_case or the camelCase of other writers.
//!
//! Strings are read as bytes: with `JSON_BODY_AS_STRING` they need not be UTF-8 (docs/captures.md 0.3).

use super::finish::{Noted, address, finish};
use super::limits::MAX_FIELDS;
use super::objects::{self, Object};
use super::streams::{Streams, Target};
use super::tap_pb::Piece;
use super::{Context, Source, input::Input};
use crate::encode::{nanos, push_base64};
use crate::{Exchange, Peer, Place, Skip};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::io;

/// Reads a JSON tap.
#[derive(Default)]
pub(super) struct TapJson {
    streams: Streams,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, alias = "httpBufferedTrace")]
    http_buffered_trace: Option<Trace<'a>>,
    #[serde(borrow, alias = "httpStreamedTraceSegment")]
    http_streamed_trace_segment: Option<Segment<'a>>,
    #[serde(alias = "socketBufferedTrace")]
    socket_buffered_trace: Option<IgnoredAny>,
    #[serde(alias = "socketStreamedTraceSegment")]
    socket_streamed_trace_segment: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Trace<'a> {
    #[serde(borrow)]
    request: Option<Message<'a>>,
    #[serde(borrow)]
    response: Option<Message<'a>>,
    #[serde(borrow, alias = "downstreamConnection")]
    downstream_connection: Option<Connection<'a>>,
    #[serde(borrow, alias = "upstreamConnection")]
    upstream_connection: Option<Connection<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    headers: Option<Vec<Header<'a>>>,
    #[serde(borrow)]
    body: Option<Body<'a>>,
    #[serde(borrow)]
    trailers: Option<Vec<Header<'a>>>,
    #[serde(borrow, alias = "headersReceivedTime")]
    headers_received_time: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow, default, with = "serde_bytes")]
    key: Cow<'a, [u8]>,
    #[serde(borrow, default, with = "serde_bytes")]
    value: Cow<'a, [u8]>,
    #[serde(borrow, default, with = "serde_bytes", alias = "rawValue")]
    raw_value: Cow<'a, [u8]>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default, with = "serde_bytes", alias = "asBytes")]
    as_bytes: Cow<'a, [u8]>,
    #[serde(borrow, default, with = "serde_bytes", alias = "asString")]
    as_string: Cow<'a, [u8]>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Connection<'a> {
    #[serde(borrow, alias = "localAddress")]
    local_address: Option<Address<'a>>,
    #[serde(borrow, alias = "remoteAddress")]
    remote_address: Option<Address<'a>>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow, alias = "socketAddress")]
    socket_address: Option<SocketAddress<'a>>,
    #[serde(borrow)]
    pipe: Option<Pipe<'a>>,
}

#[derive(Deserialize)]
struct SocketAddress<'a> {
    #[serde(borrow, default)]
    address: Cow<'a, str>,
    #[serde(alias = "portValue")]
    port_value: Option<u64>,
}

#[derive(Deserialize)]
struct Pipe<'a> {
    #[serde(borrow, default)]
    path: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Segment<'a> {
    #[serde(alias = "traceId", default)]
    trace_id: Number,
    #[serde(borrow, alias = "requestHeaders")]
    request_headers: Option<List<'a>>,
    #[serde(borrow, alias = "requestBodyChunk")]
    request_body_chunk: Option<Body<'a>>,
    #[serde(borrow, alias = "requestTrailers")]
    request_trailers: Option<List<'a>>,
    #[serde(borrow, alias = "responseHeaders")]
    response_headers: Option<List<'a>>,
    #[serde(borrow, alias = "responseBodyChunk")]
    response_body_chunk: Option<Body<'a>>,
    #[serde(borrow, alias = "responseTrailers")]
    response_trailers: Option<List<'a>>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    headers: Option<Vec<Header<'a>>>,
}

/// A u64, which proto JSON writes as a string.
#[derive(Default)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or its digits")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Number, E> {
                digits.parse().map(Number).map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Header<'_> {
    fn push(&self, into: &mut crate::Headers) -> Result<(), Skip> {
        if into.len() == MAX_FIELDS {
            return Err(Skip::TooManyHeaders);
        }
        if !self.value.is_empty() || self.raw_value.is_empty() {
            into.push(&self.key, &self.value);
            return Ok(());
        }
        let mut raw = Vec::new();
        if !push_base64(&self.raw_value, &mut raw) {
            return Err(Skip::Malformed);
        }
        into.push(&self.key, &raw);
        Ok(())
    }
}

impl Body<'_> {
    fn push(&self, into: &mut crate::Body) -> Result<(), Skip> {
        into.truncated |= self.truncated;
        into.bytes.extend_from_slice(&self.as_string);
        if self.as_bytes.is_empty() || push_base64(&self.as_bytes, &mut into.bytes) {
            return Ok(());
        }
        Err(Skip::Malformed)
    }
}

impl Message<'_> {
    fn fill(&self, into: &mut crate::Message) -> Result<Noted, Skip> {
        let mut noted = Noted::default();
        for header in self.headers.iter().flatten() {
            noted.note(&header.key, into.headers.len());
            header.push(&mut into.headers)?;
        }
        for header in self.trailers.iter().flatten() {
            header.push(into.trailers.get_or_fill())?;
        }
        if let Some(body) = &self.body {
            body.push(&mut into.body)?;
            // Envoy drops what is no text from `as_string` and does not say so; the announced length does.
            let announced = into.headers.text("content-length").and_then(|n| n.parse::<u64>().ok());
            into.body.truncated |=
                !body.as_string.is_empty() && announced > Some(into.body.bytes.len() as u64);
        }
        Ok(noted)
    }
}

impl Address<'_> {
    fn fill(&self, into: &mut Option<Peer>) {
        if let Some(socket) = &self.socket_address {
            address(into, socket.address.as_bytes(), socket.port_value);
        } else if let Some(pipe) = &self.pipe {
            address(into, pipe.path.as_bytes(), None);
        }
    }
}

impl Trace<'_> {
    fn fill(&self, into: &mut Exchange) -> Result<(Noted, Noted), Skip> {
        let (mut request, mut response) = (Noted::default(), Noted::default());
        if let Some(message) = &self.request {
            request = message.fill(into.request.fill())?;
            into.started = message.headers_received_time.as_deref().and_then(nanos);
        }
        if let Some(message) = &self.response {
            response = message.fill(into.response.fill())?;
        }
        if let Some(connection) = &self.downstream_connection {
            if let Some(local) = &connection.local_address {
                local.fill(&mut into.destination);
            }
            if let Some(remote) = &connection.remote_address {
                remote.fill(&mut into.source);
            }
        }
        if let Some(remote) = self.upstream_connection.as_ref().and_then(|c| c.remote_address.as_ref()) {
            remote.fill(&mut into.upstream);
        }
        Ok((request, response))
    }
}

enum Part<'r, 'a> {
    List(&'r List<'a>),
    Chunk(&'r Body<'a>),
}

fn list<'r, 'a>(piece: Piece, list: &'r Option<List<'a>>) -> Option<(Piece, Part<'r, 'a>)> {
    list.as_ref().map(|list| (piece, Part::List(list)))
}

fn chunk<'r, 'a>(piece: Piece, body: &'r Option<Body<'a>>) -> Option<(Piece, Part<'r, 'a>)> {
    body.as_ref().map(|body| (piece, Part::Chunk(body)))
}

impl<'a> Segment<'a> {
    fn parts(&self) -> impl Iterator<Item = (Piece, Part<'_, 'a>)> {
        [
            list(Piece::RequestHeaders, &self.request_headers),
            chunk(Piece::RequestBody, &self.request_body_chunk),
            list(Piece::RequestTrailers, &self.request_trailers),
            list(Piece::ResponseHeaders, &self.response_headers),
            chunk(Piece::ResponseBody, &self.response_body_chunk),
            list(Piece::ResponseTrailers, &self.response_trailers),
        ]
        .into_iter()
        .flatten()
    }
}

fn put(part: &Part<'_, '_>, target: Target<'_>) -> Result<usize, Skip> {
    match (part, target) {
        (Part::List(list), Target::Headers(into)) => {
            for header in list.headers.iter().flatten() {
                header.push(into)?;
            }
            Ok(into.byte_len())
        }
        (Part::Chunk(chunk), Target::Body(into)) => chunk.push(into).map(|()| into.bytes.len()),
        _ => Err(Skip::Malformed),
    }
}

impl TapJson {
    /// Takes one object; true when `into` holds an exchange.
    fn take(
        &mut self,
        object: &[u8],
        place: &Place,
        context: &mut Context,
        into: &mut Exchange,
    ) -> Result<bool, Skip> {
        let record: Record<'_> = serde_json::from_slice(object).map_err(|_| Skip::Malformed)?;
        if let Some(trace) = &record.http_buffered_trace {
            into.clear();
            let (request, response) = trace.fill(into)?;
            if into.request.is_none() && into.response.is_none() {
                return Err(Skip::Nothing);
            }
            finish(into, request, response, true, context);
            return Ok(true);
        }
        if let Some(segment) = &record.http_streamed_trace_segment {
            for (piece, part) in segment.parts() {
                self.streams.take(segment.trace_id.0, piece, place, context, |to| put(&part, to));
            }
            return Ok(false);
        }
        let socket = record.socket_buffered_trace.is_some() || record.socket_streamed_trace_segment.is_some();
        Err(if socket { Skip::SocketTap } else { Skip::Nothing })
    }
}

impl Source for TapJson {
    fn next(&mut self, input: &mut Input, context: &mut Context, into: &mut Exchange) -> io::Result<bool> {
        loop {
            if self.streams.give(into) {
                return Ok(true);
            }
            let before = input.offset();
            let object = objects::next(input)?;
            let mut place = Place { offset: input.offset(), ..Place::default() };
            match object {
                Object::Found(length) => {
                    let taken = self.take(&input.window()[..length], &place, context, into);
                    input.consume(length);
                    match taken {
                        Ok(true) => {
                            into.place = place;
                            return Ok(true);
                        }
                        Ok(false) => {}
                        Err(why) => context.skip(why, place),
                    }
                }
                Object::Lost(why) => {
                    place.offset = before;
                    context.skip(why, place);
                }
                Object::End => {
                    self.streams.end(context);
                    return Ok(self.streams.give(into));
                }
            }
        }
    }
}
