//! Puts the pieces of a streamed tap together, a bounded number of streams at a time.
//!
//! A streamed tap has no end marker (docs/captures.md 1). A stream comes out at its response trailers, or when
//! both bodies have reached their `content-length`; the others come out at the end of the file, in the order in
//! which they began.

use super::Context;
use super::finish::{Noted, finish};
use super::limits::{MAX_BODY, MAX_OPEN_BYTES, MAX_OPEN_STREAMS};
use super::tap_pb::Piece;
use crate::{Body, Exchange, Gap, Headers, Place, Skip};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Streams that have begun, and those that have ended and wait to be given out.
#[derive(Default)]
pub(super) struct Streams {
    open: HashMap<u64, Open>,
    /// Begin of each open stream, oldest first.
    order: BTreeMap<u64, u64>,
    ready: VecDeque<Exchange>,
    spare: Vec<Exchange>,
    begun: u64,
    bytes: usize,
}

struct Open {
    exchange: Exchange,
    begun: u64,
    bytes: usize,
    ended: bool,
}

/// Where a piece goes.
pub(super) enum Target<'a> {
    /// Into this header list.
    Headers(&'a mut Headers),
    /// Onto this body.
    Body(&'a mut Body),
}

impl Streams {
    /// Takes one piece; `fill` writes it where it belongs and says how many bytes it brought.
    pub(super) fn take(
        &mut self,
        stream: u64,
        piece: Piece,
        place: &Place,
        context: &mut Context,
        fill: impl FnOnce(Target<'_>) -> Result<usize, Skip>,
    ) {
        let begins = piece == Piece::RequestHeaders;
        if begins && self.open.contains_key(&stream) {
            self.close(stream, true, context);
        }
        if !self.open.contains_key(&stream) {
            if !begins && piece != Piece::ResponseHeaders {
                return context.skip(Skip::StrayPiece, place.clone());
            }
            self.begin(stream, place, context);
        }
        let Some(open) = self.open.get_mut(&stream) else { return };
        match put(&mut open.exchange, piece, fill) {
            Ok(bytes) => {
                open.bytes += bytes;
                self.bytes += bytes;
            }
            Err(why) => return context.skip(why, place.clone()),
        }
        open.ended |= piece == Piece::ResponseTrailers;
        if open.ended || complete(&open.exchange) {
            return self.close(stream, false, context);
        }
        while self.bytes > MAX_OPEN_BYTES
            && let Some((_, &oldest)) = self.order.first_key_value()
        {
            self.close(oldest, true, context);
        }
    }

    fn begin(&mut self, stream: u64, place: &Place, context: &mut Context) {
        if self.open.len() >= MAX_OPEN_STREAMS
            && let Some((_, &oldest)) = self.order.first_key_value()
        {
            self.close(oldest, true, context);
        }
        let mut exchange = self.spare.pop().unwrap_or_default();
        exchange.clear();
        exchange.place = place.clone();
        self.begun += 1;
        self.order.insert(self.begun, stream);
        self.open.insert(stream, Open { exchange, begun: self.begun, bytes: 0, ended: false });
    }

    /// Moves a stream to those that wait; `early` when more of it may come.
    fn close(&mut self, stream: u64, early: bool, context: &Context) {
        let Some(mut open) = self.open.remove(&stream) else { return };
        self.order.remove(&open.begun);
        self.bytes -= open.bytes;
        let exchange = &mut open.exchange;
        let noted = |m: Option<&crate::Message>| m.map(|m| Noted::of(&m.headers)).unwrap_or_default();
        let (request, response) = (noted(exchange.request.get()), noted(exchange.response.get()));
        if early || (!open.ended && cut(exchange)) {
            exchange.gaps.push(Gap::Unfinished);
        }
        finish(exchange, request, response, false, context);
        if exchange.id.is_empty() {
            exchange.id = stream.to_string();
        }
        self.ready.push_back(open.exchange);
    }

    /// The file has ended: everything comes out.
    pub(super) fn end(&mut self, context: &Context) {
        while let Some((_, &oldest)) = self.order.first_key_value() {
            self.close(oldest, false, context);
        }
    }

    /// Gives out an exchange that is ready.
    pub(super) fn give(&mut self, into: &mut Exchange) -> bool {
        let Some(mut ready) = self.ready.pop_front() else { return false };
        std::mem::swap(into, &mut ready);
        // One set of buffers per stream that is usually open; more would only be held.
        if self.spare.len() < 64 {
            self.spare.push(ready);
        }
        true
    }
}

fn put(
    into: &mut Exchange,
    piece: Piece,
    fill: impl FnOnce(Target<'_>) -> Result<usize, Skip>,
) -> Result<usize, Skip> {
    let message = match piece {
        Piece::RequestHeaders | Piece::RequestBody | Piece::RequestTrailers => &mut into.request,
        _ => &mut into.response,
    };
    match piece {
        Piece::RequestHeaders | Piece::ResponseHeaders => {
            fill(Target::Headers(&mut message.get_or_fill().headers))
        }
        Piece::RequestTrailers | Piece::ResponseTrailers => {
            let message = message.get_mut().ok_or(Skip::StrayPiece)?;
            fill(Target::Headers(message.trailers.get_or_fill()))
        }
        Piece::RequestBody | Piece::ResponseBody => {
            let body = &mut message.get_mut().ok_or(Skip::StrayPiece)?.body;
            let before = body.bytes.len();
            if let Err(why) = fill(Target::Body(&mut *body)) {
                // What a torn piece brought before its tear belongs to no chunk.
                body.bytes.truncate(before);
                return Err(why);
            }
            if body.bytes.len() > MAX_BODY {
                body.bytes.truncate(MAX_BODY.max(before));
                body.truncated = true;
            }
            let brought = body.bytes.len() - before;
            if brought > 0 {
                body.chunks.push(brought as u32);
            }
            Ok(brought)
        }
    }
}

fn announced(message: &crate::Message) -> Option<u64> {
    message.headers.text("content-length")?.trim().parse().ok()
}

/// Nothing more can come: the response is whole by its announced length, and so is the request.
fn complete(exchange: &Exchange) -> bool {
    let Some(response) = exchange.response.get() else { return false };
    let method = exchange.request.get().and_then(|m| m.headers.get(b":method"));
    let no_body = method == Some(b"HEAD") || matches!(exchange.status(), Some(204 | 304));
    let whole = |m: &crate::Message, n: u64| !m.body.truncated && m.body.bytes.len() as u64 >= n;
    let answered = no_body || announced(response).is_some_and(|n| whole(response, n));
    answered
        && exchange.request.get().is_none_or(|request| match announced(request) {
            Some(length) => whole(request, length),
            None => matches!(method, Some(b"GET" | b"HEAD" | b"OPTIONS")),
        })
}

/// A stream that certainly broke off: no response, or gRPC without its status.
fn cut(exchange: &Exchange) -> bool {
    let Some(response) = exchange.response.get() else { return true };
    let grpc = response.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/grpc"));
    grpc && response.headers.get(b"grpc-status").is_none() && response.trailers.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_body_piece_leaves_no_bytes_behind() {
        let mut exchange = Exchange::default();
        exchange.request.fill();
        let torn = put(&mut exchange, Piece::RequestBody, |target| {
            if let Target::Body(body) = target {
                body.bytes.extend_from_slice(b"half");
            }
            Err(Skip::Malformed)
        });
        assert_eq!(torn.err(), Some(Skip::Malformed));
        let body = &exchange.request.get().unwrap().body;
        assert_eq!((body.bytes.len(), body.chunks.len()), (0, 0));
    }
}
