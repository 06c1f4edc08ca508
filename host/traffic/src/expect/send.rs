//! Messages written in a test: exchanges to send, answers to give.

use super::check::{self, SENT_CHECK_KEYS};
use super::error::Problem;
use super::fields::{Fields, named};
use super::node::{Node, Value};
use super::test::Sent;
use crate::{Event, Exchange, Headers, Message, Party, Protocol, Provenance, Slot};

pub(super) const SEND_KEYS: &[&str] = &["name", "request", "response", "connection", "expect"];
pub(super) const EVENT_KEYS: &[&str] = &["client", "upstream"];
/// Time between two steps of a connection, nanoseconds: callouts that are answered at once come between.
const STEP_NANOS: u64 = 1_000_000;
pub(super) const REQUEST_KEYS: &[&str] =
    &["method", "path", "authority", "scheme", "protocol", "headers", "body", "trailers"];
pub(super) const RESPONSE_KEYS: &[&str] = &["status", "headers", "trailers", "body"];

pub(super) fn read_all(node: &Node, file: &str) -> Result<Vec<Sent>, Problem> {
    node.items().iter().enumerate().map(|(i, node)| read(node, i as u64 + 1, file)).collect()
}

fn read(node: &Node, number: u64, file: &str) -> Result<Sent, Problem> {
    let fields = Fields::of(node, "an exchange of `send`", SEND_KEYS)?;
    if let Some(events) = fields.get("connection") {
        return connection(node, &fields, events, number, file);
    }
    let (request, protocol) = request(fields.need("request", "an exchange of `send`")?, file)?;
    let response = match fields.get("response") {
        Some(node) => response(&Fields::of(node, "`response`", RESPONSE_KEYS)?, file)?,
        None => Message { headers: [(":status", "200")].into_iter().collect(), ..Message::default() },
    };
    let line = |name| request.headers.get(name).map(String::from_utf8_lossy).unwrap_or_default();
    let name = format!("send {number}: {} {}", line(b":method"), line(b":path"));
    let name = fields.read("name", |node| node.as_text("a name").map(str::to_owned))?.unwrap_or(name);
    let check = check::read(fields.need("expect", "an exchange of `send`")?, name, SENT_CHECK_KEYS, file)?;
    let mut exchange = Exchange {
        request: Slot::some(request),
        response: Slot::some(response),
        protocol,
        provenance: Provenance::Synthesised,
        ..Exchange::default()
    };
    // It has no number in any capture; the line is that of the test.
    exchange.place.line = Some(node.at.line.into());
    Ok(Sent { exchange, check })
}

/// The steps of a connection, a millisecond apart.
fn connection(
    node: &Node,
    fields: &Fields<'_>,
    events: &Node,
    number: u64,
    file: &str,
) -> Result<Sent, Problem> {
    if let Some(other) = fields.get("request").or(fields.get("response")) {
        return Err(Problem::new(other.at, "`connection` stands alone, without `request` and `response`"));
    }
    let name = fields.read("name", |node| node.as_text("a name").map(str::to_owned))?;
    let name = name.unwrap_or(format!("send {number}: a connection"));
    let check = check::read(fields.need("expect", "an exchange of `send`")?, name, SENT_CHECK_KEYS, file)?;
    let event = |(index, node)| event(node, index as u64 * STEP_NANOS, file);
    let events = events.items().iter().enumerate().map(event).collect::<Result<_, _>>()?;
    let mut exchange = Exchange { provenance: Provenance::Synthesised, ..Exchange::default() };
    exchange.connect(events);
    exchange.place.line = Some(node.at.line.into());
    Ok(Sent { exchange, check })
}

/// `client: TEXT`, `upstream: TEXT`, `client_ends` or `upstream_ends`.
fn event(node: &Node, at: u64, file: &str) -> Result<Event, Problem> {
    if matches!(node.value, Value::Text(_)) {
        let words = [("client_ends", Party::Client), ("upstream_ends", Party::Upstream)];
        let from = super::fields::word(node, &words)?;
        return Ok(Event { at, from, bytes: Vec::new(), end: true });
    }
    let fields = Fields::of(node, "a step of `connection`", EVENT_KEYS)?;
    let bytes = |key| fields.read(key, |node| node.bytes(file, "text"));
    match (bytes("client")?, bytes("upstream")?) {
        (Some(bytes), None) => Ok(Event { at, from: Party::Client, bytes, end: false }),
        (None, Some(bytes)) => Ok(Event { at, from: Party::Upstream, bytes, end: false }),
        _ => Err(Problem::new(node.at, "a step of `connection` has exactly one of `client` and `upstream`")),
    }
}

/// The request as a filter would see it: pseudo headers in the order of HTTP/1 (docs/envoy.md 2.1.2), then the headers,
/// then what a codec adds for a body.
fn request(node: &Node, file: &str) -> Result<(Message, Protocol), Problem> {
    let fields = Fields::of(node, "`request`", REQUEST_KEYS)?;
    let part = |key, or: &str| match fields.get(key) {
        Some(node) => field_value(node, file),
        None => Ok(or.as_bytes().to_vec()),
    };
    let protocol = fields.read("protocol", protocol)?.unwrap_or(Protocol::Http11);
    let mut message = Message::default();
    let mut given = Headers::new();
    if let Some(node) = fields.get("headers") {
        headers(node, file, &mut given)?;
    }
    let host = given.get(b"host").map(<[u8]>::to_vec);
    given.remove(b"host");
    let authority = match (fields.get("authority"), host) {
        (None, Some(host)) => host,
        (_, _) => part("authority", "tamis.test")?,
    };
    let all = &mut message.headers;
    all.push(b":authority", &authority);
    all.push(b":path", &field_value(fields.need("path", "`request`")?, file)?);
    all.push(b":method", &part("method", "GET")?);
    all.push(b":scheme", &part("scheme", "http")?);
    all.extend(given.iter());
    finish(&mut message, &fields, file)?;
    Ok((message, protocol))
}

/// A response from the keys of [`RESPONSE_KEYS`].
pub(super) fn response(fields: &Fields<'_>, file: &str) -> Result<Message, Problem> {
    let status = fields.read("status", |node| match node.value {
        Value::Int(status @ 100..=599) => Ok(status),
        Value::Int(_) => Err(Problem::new(node.at, "status is not from 100 to 599")),
        _ => Err(node.expected("a number")),
    })?;
    let mut message = Message::default();
    message.headers.push(b":status", status.unwrap_or(200).to_string().as_bytes());
    if let Some(node) = fields.get("headers") {
        headers(node, file, &mut message.headers)?;
    }
    finish(&mut message, fields, file)?;
    Ok(message)
}

/// Body and trailers, and the `content-length` that a body comes with over HTTP/1.
fn finish(message: &mut Message, fields: &Fields<'_>, file: &str) -> Result<(), Problem> {
    if let Some(node) = fields.get("trailers") {
        headers(node, file, message.trailers.fill())?;
    }
    let Some(body) = fields.read("body", |node| node.bytes(file, "text"))? else {
        return Ok(());
    };
    let framed = message.headers.get(b"content-length").or(message.headers.get(b"transfer-encoding"));
    if !body.is_empty() && framed.is_none() && message.trailers.is_none() {
        message.headers.push(b"content-length", body.len().to_string().as_bytes());
    }
    message.body.length = Some(body.len() as u64);
    message.body.bytes = body;
    Ok(())
}

/// Names to a value or a list of values, in order; names in lower case, as on any wire behind Envoy.
pub(super) fn headers(node: &Node, file: &str, into: &mut Headers) -> Result<(), Problem> {
    for (name, node) in named(node, "a mapping of names to values")? {
        let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if !name.strip_prefix(':').unwrap_or(name).bytes().all(token) || name.is_empty() {
            return Err(Problem::new(node.at, format!("`{}` is no header name", name.escape_debug())));
        }
        for node in node.items() {
            into.push(name.to_ascii_lowercase().as_bytes(), &field_value(node, file)?);
        }
    }
    Ok(())
}

pub(super) fn field_value(node: &Node, file: &str) -> Result<Vec<u8>, Problem> {
    let value = node.bytes(file, "a header value")?;
    if value.iter().any(|c| matches!(c, b'\r' | b'\n' | 0)) {
        return Err(Problem::new(node.at, "a header value cannot hold a line break or a zero byte"));
    }
    Ok(value)
}

fn protocol(node: &Node) -> Result<Protocol, Problem> {
    let words = [
        ("HTTP/1.0", Protocol::Http10),
        ("HTTP/1.1", Protocol::Http11),
        ("HTTP/2", Protocol::Http2),
        ("HTTP/3", Protocol::Http3),
    ];
    super::fields::word(node, &words)
}
