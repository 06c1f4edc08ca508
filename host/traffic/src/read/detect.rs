//! Tells formats apart by content, never by name (docs/captures.md 10.1).

use super::wire::varint;
use std::fmt;

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Envoy tap, each message behind its length.
    TapLengthDelimited,
    /// Envoy tap, one message, or the segments of one stream.
    TapBinary,
    /// Envoy tap, JSON objects one after another.
    TapJson,
    /// Our own JSON lines.
    Own,
    /// Istio's access log as JSON, maybe between other lines.
    AccessLog,
}

/// Formats that are recognised but not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Known {
    /// HTTP archive.
    Har,
    /// Packets.
    Pcap,
    /// Packets, new form.
    PcapNg,
    /// A zip archive, for instance of a HAR with its bodies.
    Zip,
    /// An access log as text.
    TextLog,
    /// Envoy tap as protobuf text.
    TapText,
    /// Messages of Envoy's access log service.
    AccessLogService,
    /// mitmproxy's own recordings.
    Mitm,
    /// GoReplay.
    GoReplay,
    /// Spans.
    Spans,
}

impl Known {
    /// Which recording of the same traffic can be read.
    pub const fn instead(self) -> &'static str {
        match self {
            Self::TextLog => "set `accessLogEncoding: JSON` in the mesh configuration and record again",
            Self::TapText => "record with `format: JSON_BODY_AS_BYTES` or `PROTO_BINARY_LENGTH_DELIMITED`",
            Self::Zip => "unpack it first",
            _ => "record with Envoy's tap filter, or take Istio's JSON access log of the same traffic",
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Har => "an HTTP archive (HAR)",
            Self::Pcap => "a packet capture (pcap)",
            Self::PcapNg => "a packet capture (pcapng)",
            Self::Zip => "a zip archive",
            Self::TextLog => "an access log in text form",
            Self::TapText => "an Envoy tap in protobuf text form",
            Self::AccessLogService => "a stream of Envoy's access log service",
            Self::Mitm => "a mitmproxy recording",
            Self::GoReplay => "a GoReplay recording",
            Self::Spans => "a file of tracing spans",
        })
    }
}

/// What the start of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// A format with a reader.
    Read(Format),
    /// A format without one.
    NotRead(Known),
    /// No byte at all.
    Empty,
    /// Nothing known.
    Unknown,
}

/// Tells the format from the first bytes; `whole` when they are the whole file.
pub(super) fn sniff(start: &[u8], whole: bool) -> Sniffed {
    if start.is_empty() {
        return Sniffed::Empty;
    }
    if let Some(known) = magic(start) {
        return Sniffed::NotRead(known);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if let Some(found) = json(text) {
        return found;
    }
    binary(start, whole).or_else(|| lines(text)).unwrap_or(Sniffed::Unknown)
}

fn magic(start: &[u8]) -> Option<Known> {
    let four = start.first_chunk::<4>()?;
    match four {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0xa1, 0xb2, 0xc3, 0xd4] => Some(Known::Pcap),
        [0x4d, 0x3c, 0xb2, 0xa1] | [0xa1, 0xb2, 0x3c, 0x4d] => Some(Known::Pcap),
        [0x0a, 0x0d, 0x0d, 0x0a] => Some(Known::PcapNg),
        [b'P', b'K', 3, 4] => Some(Known::Zip),
        _ => {
            let text = start.trim_ascii_start();
            let tap_text = [&b"http_buffered_trace"[..], b"http_streamed_trace", b"socket_buffered_trace"];
            if tap_text.iter().any(|name| text.starts_with(name))
                || text.starts_with(b"socket_streamed_trace")
            {
                return Some(Known::TapText);
            }
            // A tnetstring: a length, a colon, then the first key of a flow in the same form.
            let number = |text: &[u8]| {
                let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
                (digits > 0 && text.get(digits) == Some(&b':')).then_some(digits + 1)
            };
            if number(start).and_then(|at| number(&start[at..])).is_some() {
                return Some(Known::Mitm);
            }
            let gor = matches!(four, [b'1' | b'2', b' ', id, _] if id.is_ascii_hexdigit());
            (gor && start.contains(&b'\n')).then_some(Known::GoReplay)
        }
    }
}

/// The first key of a JSON document, and what it means.
fn json(text: &[u8]) -> Option<Sniffed> {
    if let Some(list) = text.strip_prefix(b"[") {
        let list = list.trim_ascii_start();
        let tap = json(list).filter(|found| *found == Sniffed::Read(Format::TapJson));
        let spans = list.starts_with(b"{") && find(list, b"\"traceId\"");
        return tap.or(spans.then_some(Sniffed::NotRead(Known::Spans)));
    }
    let inner = text.strip_prefix(b"{")?.trim_ascii_start();
    let key = inner.strip_prefix(b"\"")?;
    let key = &key[..memchr::memchr(b'"', key)?];
    match key {
        b"tamis" => Some(Sniffed::Read(Format::Own)),
        b"http_buffered_trace"
        | b"httpBufferedTrace"
        | b"http_streamed_trace_segment"
        | b"httpStreamedTraceSegment"
        | b"socket_buffered_trace"
        | b"socketBufferedTrace"
        | b"socket_streamed_trace_segment"
        | b"socketStreamedTraceSegment" => Some(Sniffed::Read(Format::TapJson)),
        b"log" if find(text, b"\"entries\"") || find(text, b"\"creator\"") => {
            Some(Sniffed::NotRead(Known::Har))
        }
        b"resourceSpans" => Some(Sniffed::NotRead(Known::Spans)),
        _ => None,
    }
}

fn binary(start: &[u8], whole: bool) -> Option<Sniffed> {
    // A length, then a message that is one field of just that length: the four kinds of a tap message.
    if let Some((length, at)) = varint(start)
        && let Some(&tag) = start.get(at)
        && let Some((inner, used)) = start.get(at + 1..).and_then(varint)
        && Some(length) == inner.checked_add(1 + used as u64)
    {
        match tag {
            0x0a | 0x12 | 0x1a | 0x22 => return Some(Sniffed::Read(Format::TapLengthDelimited)),
            _ => {}
        }
    }
    // Without lengths: one such field, up to the end or followed by another.
    if let [0x0a | 0x12 | 0x1a | 0x22, rest @ ..] = start
        && let Some((inner, used)) = varint(rest)
        && let Ok(inner) = usize::try_from(inner)
        && inner > 1
    {
        let message = &rest[used..];
        let kind = message.first().is_some_and(|tag| matches!(tag, 0x08 | 0x0a | 0x12 | 0x1a | 0x22));
        let ends = match message.get(inner) {
            Some(next) => *next == start[0],
            None => inner == message.len() || !whole,
        };
        if kind && ends {
            return Some(Sniffed::Read(Format::TapBinary));
        }
    }
    // The access log service begins with its identifier (1) and node, then log entries (2): a length first.
    let (length, at) = varint(start)?;
    let body = start.get(at..)?;
    let als = body.first() == Some(&0x0a) && length > 2 && find(&body[..body.len().min(4096)], b"\x12");
    (als && (length as usize) < body.len().max(1 << 20) && !start.iter().take(64).all(|b| is_text(*b)))
        .then_some(Sniffed::NotRead(Known::AccessLogService))
}

/// Looks for a line of an access log among others.
fn lines(text: &[u8]) -> Option<Sniffed> {
    let mut text_log = false;
    for line in text.split(|b| *b == b'\n') {
        if super::access::looks_like(line) {
            return Some(Sniffed::Read(Format::AccessLog));
        }
        text_log |= is_text_line(line);
    }
    text_log.then_some(Sniffed::NotRead(Known::TextLog))
}

/// `[2026-…] "GET /`, maybe behind a prefix.
fn is_text_line(line: &[u8]) -> bool {
    memchr::memmem::find_iter(line, b"[20").take(4).any(|at| {
        let rest = &line[at..line.len().min(at + 48)];
        memchr::memmem::find(rest, b"Z] \"").is_some()
    })
}

fn is_text(byte: u8) -> bool {
    byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t')
}

fn find(text: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(text, what).is_some()
}
