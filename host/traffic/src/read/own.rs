//! Our own form: JSON lines, written by [`crate::write::JsonLines`].

use super::limits::MAX_FIELDS;
use super::lines::{self, Line};
use super::{Context, Source, input::Input};
use crate::encode::{nanos, push_base64};
use crate::own::{self, GAPS, PARTIES, PROTOCOLS, PROVENANCES, SIDES, VERSION};
use crate::{Event, Exchange, Headers, Place, Skip};
use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::io;

/// Reads our own form.
#[derive(Default)]
pub(super) struct Own {
    line: u64,
}

#[derive(Deserialize)]
struct Version {
    tamis: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    #[serde(rename = "tamis")]
    _tamis: u64,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    started: Option<Cow<'a, str>>,
    duration_ns: Option<u64>,
    #[serde(borrow)]
    protocol: Option<Cow<'a, str>>,
    #[serde(borrow)]
    side: Option<Cow<'a, str>>,
    #[serde(borrow)]
    provenance: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    gaps: Vec<Cow<'a, str>>,
    source: Option<Peer>,
    destination: Option<Peer>,
    upstream: Option<Peer>,
    attributes: Option<Attributes>,
    #[serde(borrow)]
    request: Option<Message<'a>>,
    #[serde(borrow)]
    response: Option<Message<'a>>,
    #[serde(borrow)]
    connection: Option<Vec<Read<'a>>>,
}

/// One read of the proxy from one side of a connection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(default)]
    at_ns: u64,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow, default)]
    bytes: Bytes<'a>,
    #[serde(default)]
    end: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    #[serde(default)]
    address: String,
    identity: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attributes {
    route_name: Option<String>,
    cluster_name: Option<String>,
    response_flags: Option<String>,
    response_code_details: Option<String>,
    requested_server_name: Option<String>,
    mtls: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow, default)]
    headers: Vec<(Bytes<'a>, Bytes<'a>)>,
    #[serde(borrow, default)]
    body: Bytes<'a>,
    #[serde(default)]
    chunks: Vec<u32>,
    #[serde(default)]
    truncated: bool,
    length: Option<u64>,
    #[serde(borrow, default)]
    metadata: Vec<Metadata<'a>>,
    #[serde(borrow)]
    trailers: Option<Vec<(Bytes<'a>, Bytes<'a>)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata<'a> {
    #[serde(default)]
    after: u32,
    #[serde(borrow)]
    fields: Vec<(Bytes<'a>, Bytes<'a>)>,
}

/// A string, or `{"base64": …}`.
#[derive(Default)]
struct Bytes<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Bytes<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or {\"base64\": …}")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Borrowed(text.as_bytes())))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Owned(text.as_bytes().to_vec())))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let Some(("base64", text)) = map.next_entry::<&str, Cow<'de, str>>()? else {
                    return Err(A::Error::custom("expected `base64`"));
                };
                let mut bytes = Vec::new();
                if !push_base64(text.as_bytes(), &mut bytes) {
                    return Err(A::Error::custom("no base64"));
                }
                match map.next_key::<&str>()? {
                    None => Ok(Bytes(Cow::Owned(bytes))),
                    Some(_) => Err(A::Error::custom("expected `base64` alone")),
                }
            }
        }
        from.deserialize_any(Either)
    }
}

fn list(from: &[(Bytes<'_>, Bytes<'_>)], into: &mut Headers) -> Result<(), Skip> {
    if from.len() > MAX_FIELDS {
        return Err(Skip::TooManyHeaders);
    }
    for (name, value) in from {
        into.push(&name.0, &value.0);
    }
    Ok(())
}

impl Message<'_> {
    fn fill(&self, into: &mut crate::Message) -> Result<(), Skip> {
        list(&self.headers, &mut into.headers)?;
        if let Some(trailers) = &self.trailers {
            list(trailers, into.trailers.fill())?;
        }
        into.body.bytes.extend_from_slice(&self.body.0);
        let sum: u64 = self.chunks.iter().map(|c| u64::from(*c)).sum();
        if !self.chunks.is_empty() && sum != self.body.0.len() as u64 {
            return Err(Skip::Malformed);
        }
        into.body.chunks.extend_from_slice(&self.chunks);
        into.body.truncated = self.truncated;
        into.body.length = self.length;
        if self.metadata.len() > MAX_FIELDS {
            return Err(Skip::TooManyHeaders);
        }
        for frame in &self.metadata {
            let last = into.body.metadata.last().map_or(0, |last| last.after);
            if frame.after < last || frame.after as usize > self.chunks.len().max(1) {
                return Err(Skip::Malformed);
            }
            let mut fields = Headers::new();
            list(&frame.fields, &mut fields)?;
            into.body.metadata.push(crate::Metadata { after: frame.after, fields });
        }
        Ok(())
    }
}

/// The events of a connection: times do not go back, and nobody sends after the end.
fn events(reads: Vec<Read<'_>>) -> Result<Vec<Event>, Skip> {
    let (mut events, mut last, mut ended) = (Vec::with_capacity(reads.len()), 0, [false; 2]);
    for read in reads {
        let from = own::value(&PARTIES, &read.from).ok_or(Skip::Malformed)?;
        if read.at_ns < last || ended[from as usize] {
            return Err(Skip::Malformed);
        }
        (last, ended[from as usize]) = (read.at_ns, read.end);
        events.push(Event { at: read.at_ns, from, bytes: read.bytes.0.into_owned(), end: read.end });
    }
    Ok(events)
}

fn named<T: Copy + Default>(names: &[(T, &'static str)], name: Option<&str>) -> Result<T, Skip> {
    name.map_or(Ok(T::default()), |name| own::value(names, name).ok_or(Skip::Malformed))
}

fn peer(from: Option<Peer>) -> Option<crate::Peer> {
    from.map(|Peer { address, identity }| crate::Peer { address, identity })
}

/// Fills `into` from a line.
fn take(line: &[u8], into: &mut Exchange) -> Result<(), Skip> {
    let record: Record<'_> =
        serde_json::from_slice(line).map_err(|_| match serde_json::from_slice::<Version>(line) {
            Ok(version) if version.tamis > VERSION => Skip::UnknownVersion,
            _ => Skip::Malformed,
        })?;
    if record._tamis != VERSION {
        return Err(Skip::UnknownVersion);
    }
    into.clear();
    into.id.push_str(&record.id);
    if let Some(time) = &record.started {
        into.started = Some(nanos(time).ok_or(Skip::Malformed)?);
    }
    into.duration = record.duration_ns;
    into.protocol = named(&PROTOCOLS, record.protocol.as_deref())?;
    into.side = named(&SIDES, record.side.as_deref())?;
    into.provenance = named(&PROVENANCES, record.provenance.as_deref())?;
    for gap in &record.gaps {
        into.gaps.push(own::value(&GAPS, gap).ok_or(Skip::Malformed)?);
    }
    into.source = peer(record.source);
    into.destination = peer(record.destination);
    into.upstream = peer(record.upstream);
    if let Some(known) = record.attributes {
        into.attributes = crate::Attributes {
            route_name: known.route_name,
            cluster_name: known.cluster_name,
            response_flags: known.response_flags,
            response_code_details: known.response_code_details,
            requested_server_name: known.requested_server_name,
            mtls: known.mtls,
        };
    }
    if let Some(message) = &record.request {
        message.fill(into.request.fill())?;
    }
    if let Some(message) = &record.response {
        message.fill(into.response.fill())?;
    }
    if let Some(reads) = record.connection {
        if into.request.is_some() || into.response.is_some() {
            return Err(Skip::Malformed);
        }
        into.connect(events(reads)?);
    }
    Ok(())
}

impl Source for Own {
    fn next(&mut self, input: &mut Input, context: &mut Context, into: &mut Exchange) -> io::Result<bool> {
        loop {
            let mut place = Place { offset: input.offset(), ..Place::default() };
            self.line += 1;
            place.line = Some(self.line);
            match lines::next(input)? {
                Line::Found { length, whole, ended } => {
                    let line = input.window()[..length].trim_ascii();
                    let blank = line.is_empty();
                    let taken = if blank { Ok(()) } else { take(line, into) };
                    input.consume(whole);
                    match taken {
                        Ok(()) if blank => {}
                        Ok(()) => {
                            into.place = place;
                            return Ok(true);
                        }
                        Err(Skip::Malformed) if !ended => context.skip(Skip::Torn, place),
                        Err(why) => context.skip(why, place),
                    }
                }
                Line::TooLong => context.skip(Skip::TooLong, place),
                Line::End => return Ok(false),
            }
        }
    }
}
