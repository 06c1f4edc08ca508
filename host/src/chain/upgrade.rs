//! Streams that became a WebSocket: two bodies without an end, which begin after the 101 (docs/envoy.md 2.2).

use super::{Dir, Play, RESPONSE_HEADERS};
use crate::headermap::{self, MapKind};
use tamis_traffic::{Body, Exchange, Message};

/// The recorded response says that the upstream agreed, and so that the proxy had let the request through.
#[inline]
pub(super) fn agreed(exchange: &Exchange) -> bool {
    let first = exchange.response.get().and_then(|response| response.headers.iter().next());
    first.is_some_and(|(_, value)| value == b"101")
}

impl Play<'_> {
    /// The request's headers do not end it, and one empty piece follows them at once.
    #[cold]
    pub(super) fn ask_upgrade(&mut self) {
        self.desk.stream.upgrade = true;
        self.headers(Dir::Request, 0, false);
        self.piece(Dir::Request, &[], false);
    }

    /// So do the response's; then the pieces of both sides, in turns: the recording does not say which came first.
    #[cold]
    pub(super) fn answer_upgrade(&mut self, request: &Message, response: &Message) {
        let stream = &mut self.desk.stream;
        stream.response_begun = true;
        let map = &mut stream.maps[RESPONSE_HEADERS];
        headermap::import(&response.headers, MapKind::ResponseHeaders, &mut map.headers);
        map.present = true;
        self.headers(Dir::Response, 0, false);
        self.piece(Dir::Response, &[], false);
        let (mut asked, mut answered) = (pieces(&request.body), pieces(&response.body));
        loop {
            let (ask, answer) = (asked.next(), answered.next());
            if ask.is_none() && answer.is_none() {
                return;
            }
            ask.into_iter().for_each(|piece| self.piece(Dir::Request, piece, false));
            answer.into_iter().for_each(|piece| self.piece(Dir::Response, piece, false));
        }
    }
}

fn pieces(body: &Body) -> impl Iterator<Item = &[u8]> {
    let mut rest = &body.bytes[..];
    let mut chunks = body.chunks.iter();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A list of pieces that is too short leaves the rest as one.
        let len = chunks.next().map_or(rest.len(), |len| (*len as usize).min(rest.len()));
        let (piece, more) = rest.split_at(len);
        rest = more;
        Some(piece)
    })
}
