//! Envoy's tap messages as protobuf: `envoy.data.tap.v3.TraceWrapper`, field numbers of Envoy 1.40.

use super::finish::{Noted, address};
use super::limits::MAX_FIELDS;
use super::wire::{Fields, Malformed, Value};
use crate::{Body, Exchange, Headers, Message, Peer, Skip};

impl From<Malformed> for Skip {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// One message of a tap.
pub(super) enum Wrapper<'a> {
    /// A whole exchange.
    Buffered(&'a [u8]),
    /// A piece of one.
    Segment(&'a [u8]),
}

/// Which kind of message this is.
pub(super) fn wrapper(message: &[u8]) -> Result<Wrapper<'_>, Skip> {
    let mut found = Err(Skip::Nothing);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        found = match number {
            1 => Ok(Wrapper::Buffered(value.bytes()?)),
            2 => Ok(Wrapper::Segment(value.bytes()?)),
            3 | 4 => Err(Skip::SocketTap),
            _ => continue,
        };
    }
    found
}

/// Fills `into` from an `HttpBufferedTrace`; gives the notes of both header lists. The memory of its peers is
/// kept; finishing replaces their identities.
pub(super) fn buffered(trace: &[u8], into: &mut Exchange) -> Result<(Noted, Noted), Skip> {
    let kept = [into.source.take(), into.destination.take(), into.upstream.take()];
    into.clear();
    [into.source, into.destination, into.upstream] = kept;
    let (mut downstream, mut upstream) = ([false; 2], false);
    let (mut request, mut response) = (Noted::default(), Noted::default());
    let mut answered = None;
    let mut fields = Fields::of(trace);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => message(value.bytes()?, into.request.fill(), &mut request, &mut into.started)?,
            2 => message(value.bytes()?, into.response.fill(), &mut response, &mut answered)?,
            3 => {
                let mut ends = Fields::of(value.bytes()?);
                while let Some((number, value)) = ends.next()? {
                    match number {
                        1 => downstream[1] |= peer(value.bytes()?, &mut into.destination)?,
                        2 => downstream[0] |= peer(value.bytes()?, &mut into.source)?,
                        _ => {}
                    }
                }
            }
            4 => {
                let mut ends = Fields::of(value.bytes()?);
                while let Some((number, value)) = ends.next()? {
                    if number == 2 {
                        upstream |= peer(value.bytes()?, &mut into.upstream)?;
                    }
                }
            }
            _ => {}
        }
    }
    for (peer, found) in [
        (&mut into.source, downstream[0]),
        (&mut into.destination, downstream[1]),
        (&mut into.upstream, upstream),
    ] {
        if !found {
            *peer = None;
        }
    }
    if let Some(peer) = &mut into.upstream {
        peer.identity = None;
    }
    Ok((request, response))
}

#[inline]
fn message(bytes: &[u8], into: &mut Message, noted: &mut Noted, at: &mut Option<u64>) -> Result<(), Skip> {
    let mut plain = Plain { bytes, at: 0 };
    // Envoy writes all headers first.
    into.headers.extend_within(bytes, |count| {
        let place = plain.next(count)?;
        noted.note(&bytes[place[0]..place[1]], count);
        Some(place)
    });
    let mut fields = Fields::of(&bytes[plain.at..]);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => {
                let (name, value) = header(value.bytes()?)?;
                noted.note(name, into.headers.len());
                push(name, value, &mut into.headers)?;
            }
            2 => {
                body(value.bytes()?, &mut into.body)?;
            }
            3 => {
                let (name, value) = header(value.bytes()?)?;
                push(name, value, into.trailers.get_or_fill())?;
            }
            4 => *at = timestamp(value.bytes()?)?,
            _ => {}
        }
    }
    Ok(())
}

fn push(name: &[u8], value: &[u8], into: &mut Headers) -> Result<(), Skip> {
    if into.len() == MAX_FIELDS {
        return Err(Skip::TooManyHeaders);
    }
    into.push(name, value);
    Ok(())
}

/// The header fields at the start of a message, as long as they are as Envoy writes nearly all: key, value and
/// nothing else, no length above 16,383 bytes. Of whatever else comes the walk over [`Fields`] has to say what
/// it is.
struct Plain<'a> {
    bytes: &'a [u8],
    /// Where the first field begins that was not given.
    at: usize,
}

impl Plain<'_> {
    /// Start and end of the name and of the value; `count` fields are there already.
    #[inline(always)]
    fn next(&mut self, count: usize) -> Option<[usize; 4]> {
        let bytes = self.bytes;
        let (length, key) = short(bytes, self.at, 0x0a)?;
        let end = key + length;
        let (name_length, name) = short(bytes, key, 0x0a)?;
        let name_end = name + name_length;
        // An empty value is not written.
        let empty = (0, end);
        let (value_length, value) = if name_end == end { empty } else { short(bytes, name_end, 0x12)? };
        if value + value_length != end || end > bytes.len() || count >= MAX_FIELDS {
            return None;
        }
        self.at = end;
        Some([name, name_end, value, end])
    }
}

/// The length of at most two bytes behind this tag, and where what it counts begins.
#[inline(always)]
fn short(bytes: &[u8], at: usize, tag: u8) -> Option<(usize, usize)> {
    match *bytes.get(at..)? {
        [found, length @ 0..0x80, ..] if found == tag => Some((usize::from(length), at + 2)),
        [found, low, high @ 0..0x80, ..] if found == tag => {
            Some((usize::from(low & 0x7f) | usize::from(high) << 7, at + 3))
        }
        _ => None,
    }
}

/// `HeaderValue`: key, value, raw_value. The last is empty in all Envoys so far.
fn header(bytes: &[u8]) -> Result<(&[u8], &[u8]), Skip> {
    let (mut name, mut text, mut raw): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.bytes()?,
            2 => text = value.bytes()?,
            3 => raw = value.bytes()?,
            _ => {}
        }
    }
    Ok((name, if text.is_empty() { raw } else { text }))
}

/// Appends a `Body`; gives the number of bytes appended.
fn body(bytes: &[u8], into: &mut Body) -> Result<usize, Skip> {
    let before = into.bytes.len();
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1 | 2, Value::Bytes(bytes)) => into.bytes.extend_from_slice(bytes),
            (3, Value::Number(cut)) => into.truncated |= cut != 0,
            _ => {}
        }
    }
    Ok(into.bytes.len() - before)
}

/// Seconds and nanoseconds since the epoch; none before it or after the year 2554.
fn timestamp(bytes: &[u8]) -> Result<Option<u64>, Skip> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => seconds = value.number()?,
            2 => nanos = value.number()?,
            _ => {}
        }
    }
    Ok(seconds.checked_mul(1_000_000_000).and_then(|n| n.checked_add(nanos)))
}

/// `config.core.v3.Address`: a socket address or a pipe; false when it is neither.
fn peer(bytes: &[u8], into: &mut Option<Peer>) -> Result<bool, Skip> {
    let mut found = false;
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        if !matches!(number, 1 | 2) {
            continue;
        }
        let (mut host, mut port): (&[u8], _) = (b"", None);
        let mut inner = Fields::of(value.bytes()?);
        while let Some((field, value)) = inner.next()? {
            match (number, field) {
                (1, 2) | (2, 1) => host = value.bytes()?,
                (1, 3) => port = Some(value.number()?),
                _ => {}
            }
        }
        address(into, host, port);
        found = true;
    }
    Ok(found)
}

/// A piece of a streamed tap.
pub(super) struct Segment<'a> {
    /// The stream's number.
    pub(super) stream: u64,
    /// What the piece is.
    pub(super) piece: Piece,
    bytes: &'a [u8],
}

/// What a piece of a streamed tap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Request headers.
    RequestHeaders,
    /// A chunk of the request body.
    RequestBody,
    /// Request trailers.
    RequestTrailers,
    /// Response headers.
    ResponseHeaders,
    /// A chunk of the response body.
    ResponseBody,
    /// Response trailers: the end of the stream.
    ResponseTrailers,
}

/// Reads the frame of an `HttpStreamedTraceSegment`; none when it holds no piece, as the first one of a stream
/// that another filter answered.
pub(super) fn segment(bytes: &[u8]) -> Result<Option<Segment<'_>>, Skip> {
    let mut stream = 0;
    let mut found = None;
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        let piece = match number {
            1 => {
                stream = value.number()?;
                continue;
            }
            2 => Piece::RequestHeaders,
            3 => Piece::RequestBody,
            4 => Piece::RequestTrailers,
            5 => Piece::ResponseHeaders,
            6 => Piece::ResponseBody,
            7 => Piece::ResponseTrailers,
            _ => continue,
        };
        found = Some((piece, value.bytes()?));
    }
    Ok(found.map(|(piece, bytes)| Segment { stream, piece, bytes }))
}

impl Segment<'_> {
    /// Appends the headers or trailers of this piece.
    pub(super) fn headers(&self, into: &mut Headers) -> Result<(), Skip> {
        let mut plain = Plain { bytes: self.bytes, at: 0 };
        into.extend_within(self.bytes, |count| plain.next(count));
        let mut fields = Fields::of(&self.bytes[plain.at..]);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                let (name, value) = header(value.bytes()?)?;
                push(name, value, into)?;
            }
        }
        Ok(())
    }

    /// Appends the chunk of this piece; gives its length.
    pub(super) fn body(&self, into: &mut Body) -> Result<usize, Skip> {
        body(self.bytes, into)
    }
}
