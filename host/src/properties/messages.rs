//! `request.*` and `response.*`.

use super::value::Value;
use super::{View, flags};
use crate::headermap::{self, MapKind};
use crate::profile::since;
use std::borrow::Cow;
use tamis_traffic::{Headers, Protocol};

pub(super) fn request<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let headers = view.request_headers;
    let field = |name: &[u8]| headers.and_then(|h| h.get(name)).map(Value::slice);
    // Empty where a filter has taken it away, though `request.path` is not there then.
    let path = || headers.map(|h| h.get(b":path").unwrap_or_default());
    let headers_bytes = headers.map_or(0, |h| h.byte_len() as u64);
    match name {
        b"path" => field(b":path"),
        b"url_path" => path().map(|p| Value::slice(split_query(p).0)),
        b"query" => path().map(|p| Value::slice(without_fragment(split_query(p).1))),
        b"host" => field(b":authority"),
        b"scheme" => field(b":scheme"),
        b"method" => field(b":method"),
        b"referer" => field(b"referer"),
        b"useragent" => field(b"user-agent"),
        b"id" => field(b"x-request-id"),
        b"headers" => Some(Value::Headers(MapKind::RequestHeaders, headers)),
        b"time" => Some(Value::Timestamp(i64::try_from(view.started).unwrap_or(i64::MAX))),
        b"duration" => {
            let duration = view.duration.filter(|_| view.over)?;
            Some(Value::Duration(i64::try_from(duration).unwrap_or(i64::MAX)))
        }
        b"protocol" => Some(Value::text(protocol(view.protocol))),
        b"size" => match headers.and_then(|h| h.text("content-length")) {
            Some(length) => length.parse().ok().map(Value::Int),
            None => Some(Value::int(view.request_bytes)),
        },
        b"headers_bytes" => view.profile.has(since::HEADERS_BYTES).then_some(Value::int(headers_bytes)),
        // Without trailers.
        b"total_size" => Some(Value::int(view.request_bytes + headers_bytes)),
        _ => None,
    }
}

pub(super) fn response<'a>(name: &[u8], view: &View<'a>) -> Option<Value<'a>> {
    let headers = view.response_headers;
    let headers_bytes = headers.map_or(0, |h| h.byte_len() as u64);
    let sent = view.response_bytes;
    match name {
        b"code" => view.response_code.map(|code| Value::Int(code.into())),
        b"code_details" => {
            // A stream that was closed, or whose client left, has details and no code (rows 74, 110).
            view.code_details.or(view.response_code.map(|_| "via_upstream")).map(Value::text)
        }
        b"flags" => Some(Value::int(flags::bits(view))),
        b"grpc_status" => view.response_code.map(|code| Value::Int(grpc_status(code, view))),
        b"headers" => Some(Value::Headers(MapKind::ResponseHeaders, headers)),
        b"trailers" => Some(Value::Headers(MapKind::ResponseTrailers, view.response_trailers)),
        b"size" => Some(Value::int(sent)),
        b"headers_bytes" => view.profile.has(since::HEADERS_BYTES).then_some(Value::int(headers_bytes)),
        b"total_size" => {
            let trailers = view.response_trailers.map_or(0, Headers::byte_len) as u64;
            Some(Value::int(sent + headers_bytes + trailers))
        }
        _ => None,
    }
}

/// One header by name in any case; several values are joined with a comma.
pub(super) fn header<'a>(kind: MapKind, headers: &'a Headers, name: &[u8]) -> Option<Value<'a>> {
    joined(kind, headers, name).map(Value::Text)
}

pub(super) fn joined<'a>(kind: MapKind, headers: &'a Headers, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let name = headermap::key(kind, name);
    let mut values = headers.iter().filter(|(n, _)| *n == name.as_ref()).map(|(_, v)| v);
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    let mut all = [first, b",", second].concat();
    for value in values {
        all.push(b',');
        all.extend_from_slice(value);
    }
    Some(Cow::Owned(all))
}

fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|b| *b == b'?') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b""),
    }
}

fn without_fragment(query: &[u8]) -> &[u8] {
    query.split(|b| *b == b'#').next().unwrap_or_default()
}

/// What is not recorded is played as HTTP/1.1.
fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http10 => "HTTP/1.0",
        Protocol::Http11 | Protocol::Unknown => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
        Protocol::Http3 => "HTTP/3",
    }
}

/// The trailers', else the headers', else made from the HTTP status: 2 on a plain 200. What is no number up to 16
/// is -1, and an empty one is none (row 171 of the conformance table).
fn grpc_status(code: u32, view: &View<'_>) -> i64 {
    let said = |headers: Option<&Headers>| {
        let text = headers?.get(b"grpc-status").filter(|text| !text.is_empty())?;
        let number = std::str::from_utf8(text).ok().and_then(|text| text.trim_ascii().parse().ok());
        Some(number.filter(|number| *number <= 16).map_or(-1, |number: u64| number as i64))
    };
    said(view.response_trailers).or_else(|| said(view.response_headers)).unwrap_or(match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    })
}
