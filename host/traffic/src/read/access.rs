//! Istio's access log as JSON (docs/captures.md 2): requests made from log lines.
//!
//! Lines that match are taken, all others counted. A request made from a line holds the pseudo headers and the
//! five headers that Istio logs; `:scheme` is `http`, as between sidecars. Bodies are absent and their
//! length is known.

use super::finish::push_text;
use super::lines::{self, Line};
use super::wrap::Unwrap;
use super::{Context, Source, input::Input};
use crate::encode::nanos;
use crate::{Exchange, Gap, Peer, Place, Protocol, Provenance, Side, Skip};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::io;

/// Reads a JSON access log.
#[derive(Default)]
pub(super) struct AccessLog {
    line: u64,
    unwrap: Unwrap,
}

/// A line, maybe behind a prefix, that holds a JSON object of Istio's default access log.
pub(super) fn looks_like(line: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'{', line) else { return false };
    let object = &line[open..];
    // Without the quotes, which Docker's form escapes.
    let has = |key: &[u8]| memchr::memmem::find(object, key).is_some();
    let bare = has(b"\"response_code\"") || has(b"\\\"response_code\\\"");
    bare && (has(b"start_time") || has(b"path") || has(b"method"))
}

/// A value of a log: null, a number or text.
#[derive(Default)]
enum Loose<'a> {
    #[default]
    None,
    Number(u64),
    Text(Cow<'a, str>),
}

impl Loose<'_> {
    /// The text; none when null, empty or `-`.
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Text(text) if text.is_empty() || text == "-" => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    fn owned(&self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Loose::Number(number))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Loose::None)
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(if number >= 0.0 { Loose::Number(number as u64) } else { Loose::None })
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Loose::None)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Loose::None)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::None)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose::None)
            }
        }
        from.deserialize_any(Any)
    }
}

/// The keys of Istio's default format. What `omitEmptyValues` leaves out is as null.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    authority: Loose<'a>,
    #[serde(borrow)]
    bytes_received: Loose<'a>,
    #[serde(borrow)]
    bytes_sent: Loose<'a>,
    #[serde(borrow)]
    downstream_local_address: Loose<'a>,
    #[serde(borrow)]
    downstream_remote_address: Loose<'a>,
    #[serde(borrow)]
    duration: Loose<'a>,
    #[serde(borrow)]
    method: Loose<'a>,
    #[serde(borrow)]
    path: Loose<'a>,
    #[serde(borrow)]
    protocol: Loose<'a>,
    #[serde(borrow)]
    request_id: Loose<'a>,
    #[serde(borrow)]
    requested_server_name: Loose<'a>,
    #[serde(borrow)]
    response_code: Loose<'a>,
    #[serde(borrow)]
    response_code_details: Loose<'a>,
    #[serde(borrow)]
    response_flags: Loose<'a>,
    #[serde(borrow)]
    route_name: Loose<'a>,
    #[serde(borrow)]
    start_time: Loose<'a>,
    #[serde(borrow)]
    upstream_cluster: Loose<'a>,
    #[serde(borrow)]
    upstream_host: Loose<'a>,
    #[serde(borrow)]
    upstream_service_time: Loose<'a>,
    #[serde(borrow)]
    user_agent: Loose<'a>,
    #[serde(borrow)]
    x_forwarded_for: Loose<'a>,
}

/// Fills `into` from a line.
fn take(line: &[u8], context: &Context, into: &mut Exchange) -> Result<(), Skip> {
    if !looks_like(line) {
        return Err(Skip::ForeignLine);
    }
    let open = memchr::memchr(b'{', line).ok_or(Skip::ForeignLine)?;
    let entry: Entry<'_> = serde_json::from_slice(&line[open..]).map_err(|_| Skip::Malformed)?;
    into.clear();
    entry.request(into)?;
    entry.response(into);
    into.provenance = Provenance::Synthesised;
    into.started = entry.start_time.text().and_then(|text| nanos(&text));
    into.duration = entry.duration.number().and_then(|ms| ms.checked_mul(1_000_000));
    into.protocol = match entry.protocol.text().as_deref() {
        Some("HTTP/1.0") => Protocol::Http10,
        Some("HTTP/1.1") => Protocol::Http11,
        Some("HTTP/2" | "HTTP/2.0") => Protocol::Http2,
        Some("HTTP/3" | "HTTP/3.0") => Protocol::Http3,
        _ => Protocol::Unknown,
    };
    let peer = |address: &Loose<'_>| address.owned().map(|address| Peer { address, identity: None });
    into.source = peer(&entry.downstream_remote_address);
    into.destination = peer(&entry.downstream_local_address);
    into.upstream = peer(&entry.upstream_host);
    into.side = match entry.upstream_cluster.text().as_deref() {
        Some(name) if name.starts_with("inbound|") || name.starts_with("InboundPassthrough") => Side::Inbound,
        Some(name) if name.starts_with("outbound|") || name == "PassthroughCluster" => Side::Outbound,
        _ => context.options.side,
    };
    let known = &mut into.attributes;
    known.route_name = entry.route_name.owned();
    known.cluster_name = entry.upstream_cluster.owned();
    known.response_flags = entry.response_flags.owned();
    known.response_code_details = entry.response_code_details.owned();
    known.requested_server_name = entry.requested_server_name.owned();
    Ok(())
}

impl Entry<'_> {
    /// The request half. A line without a method is of a request that the codec refused: nothing to replay.
    fn request(&self, into: &mut Exchange) -> Result<(), Skip> {
        let (Some(method), Some(path)) = (self.method.text(), self.path.text()) else {
            return Err(Skip::Nothing);
        };
        let message = into.request.fill();
        let mut push = |name: &str, value: Option<Cow<'_, str>>| {
            if let Some(value) = value {
                message.headers.push(name.as_bytes(), value.as_bytes());
            }
        };
        push(":authority", self.authority.text());
        push(":path", Some(path));
        push(":method", Some(method));
        push(":scheme", Some("http".into()));
        push("user-agent", self.user_agent.text());
        push("x-forwarded-for", self.x_forwarded_for.text());
        push("x-request-id", self.request_id.text());
        message.body.length = self.bytes_received.number();
        if message.body.length > Some(0) {
            message.body.truncated = true;
            into.gaps.push(Gap::RequestBodyCut);
        }
        if let Some(id) = self.request_id.text() {
            push_text(&mut into.id, id.as_bytes());
        }
        Ok(())
    }

    fn response(&self, into: &mut Exchange) {
        let code = self.response_code.number().filter(|code| (100..=999).contains(code));
        let Some(code) = code else {
            into.gaps.push(Gap::NoResponse);
            return;
        };
        let message = into.response.fill();
        message.headers.push(b":status", code.to_string().as_bytes());
        if let Some(time) = self.upstream_service_time.text() {
            message.headers.push(b"x-envoy-upstream-service-time", time.as_bytes());
        }
        message.body.length = self.bytes_sent.number();
        if message.body.length > Some(0) {
            message.body.truncated = true;
            into.gaps.push(Gap::ResponseBodyCut);
        }
    }
}

impl Source for AccessLog {
    fn next(&mut self, input: &mut Input, context: &mut Context, into: &mut Exchange) -> io::Result<bool> {
        loop {
            let mut place = Place { offset: input.offset(), ..Place::default() };
            let (length, whole, ended) = match lines::next(input)? {
                Line::Found { length, whole, ended } => (length, whole, ended),
                Line::TooLong => {
                    self.line += 1;
                    place.line = Some(self.line);
                    context.skip(Skip::TooLong, place);
                    continue;
                }
                Line::End => {
                    for _ in 0..std::mem::take(&mut self.unwrap).unfinished() {
                        place.line = Some(self.line);
                        context.skip(Skip::Torn, place.clone());
                    }
                    return Ok(false);
                }
            };
            self.line += 1;
            place.line = Some(self.line);
            let line = input.window()[..length].trim_ascii_end();
            let taken = match line {
                [] => None,
                line => self.unwrap.line(line, |line| take(line, context, into)),
            };
            input.consume(whole);
            match taken {
                None => {}
                Some(Ok(())) => {
                    into.place = place;
                    return Ok(true);
                }
                Some(Err(Skip::Malformed)) if !ended => context.skip(Skip::Torn, place),
                Some(Err(why)) => context.skip(why, place),
            }
        }
    }
}
