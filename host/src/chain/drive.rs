//! The way of one exchange: the request in, the recorded response back, and the end.

use super::{BodyView, Dir, Play, RESPONSE_HEADERS, upgrade};
use crate::FailurePolicy;
use crate::headermap::{self, MapKind};
use tamis_traffic::{Exchange, FaultKind, Message, Outcome, Protocol};

impl Play<'_> {
    /// Plays the exchange. Whatever happens is in the playback afterwards.
    pub(crate) fn run(&mut self, exchange: &Exchange) {
        let Some(request) = exchange.request.get() else {
            self.desk.fault(FaultKind::NotPlayable, None, "the recording has no request");
            self.out.outcome = Outcome::Open;
            return;
        };
        self.begin(exchange, request);
        self.desk.stream.reading = self.desk.stream.http2;
        if upgrade::agreed(exchange) {
            self.ask_upgrade();
        } else {
            self.feed(Dir::Request, request);
        }
        self.desk.stream.reading = false;
        self.wait_for(Dir::Request);
        if !self.desk.stream.response_begun && !self.over() {
            self.respond(exchange);
        }
        if self.desk.stream.response_begun && !self.over() {
            self.wait_for(Dir::Response);
        }
        self.finish();
        self.out.details.clone_from(&self.desk.stream.details);
        self.post_ready();
    }

    pub(super) fn begin(&mut self, exchange: &Exchange, request: &Message) {
        let filters = self.count();
        let desk = &mut **self.desk;
        desk.stream.begin(filters);
        desk.properties.clear();
        desk.know(exchange);
        let map = &mut desk.stream.maps[0];
        map.verbatim = headermap::import(&request.headers, MapKind::RequestHeaders, &mut map.headers);
        map.present = true;
        desk.stream.head = request.headers.get(b":method") == Some(b"HEAD");
        let content = request.headers.get(b"content-type").unwrap_or_default();
        desk.stream.grpc = is_grpc(content);
        desk.stream.http2 = http2(exchange.protocol, desk.stream.grpc);
        for filter in 0..filters {
            if !self.slots[self.desk.plugins[filter].vm].vm.dead {
                continue;
            }
            let seat = &mut self.desk.stream.seats[filter];
            match self.desk.plugins[filter].policy {
                FailurePolicy::Open | FailurePolicy::LegacyOpen => {
                    (seat.absent, seat.trace.skipped) = (true, true);
                }
                FailurePolicy::Closed | FailurePolicy::Reload => seat.dead = true,
            }
        }
    }

    /// The upstream answers with what was recorded.
    fn respond(&mut self, exchange: &Exchange) {
        let Some(response) = exchange.response.get() else {
            self.outcome(Outcome::Open);
            return;
        };
        self.upstream_time(exchange);
        if self.desk.stream.response_begun || self.over() {
            return;
        }
        if self.desk.stream.upgrade
            && let Some(request) = exchange.request.get()
        {
            return self.answer_upgrade(request, response);
        }
        if !self.desk.stream.http2 {
            // What a filter wrote into a buffer that was behind it: the codec of HTTP/1 counts it and throws it away
            // (rows 193, 194).
            let lane = &mut self.desk.stream.lanes[0];
            lane.bytes_in += (lane.piece.len() + lane.behind.len()) as u64;
            lane.piece.clear();
            lane.behind.clear();
        }
        self.response_begins(response);
        self.feed(Dir::Response, response);
    }

    pub(super) fn response_begins(&mut self, response: &Message) {
        let stream = &mut self.desk.stream;
        stream.response_begun = true;
        stream.code = response.headers.text(":status").and_then(|digits| digits.parse().ok());
        let map = &mut stream.maps[RESPONSE_HEADERS];
        map.verbatim = headermap::import(&response.headers, MapKind::ResponseHeaders, &mut map.headers);
        map.present = true;
    }

    #[inline]
    pub(super) fn has_body(&self, dir: Dir, message: &Message) -> bool {
        let body = &message.body;
        let bodiless = dir == Dir::Response && self.bodiless(&message.headers);
        !bodiless
            && (!body.bytes.is_empty()
                || !body.chunks.is_empty()
                || body.truncated
                || !body.metadata.is_empty()
                || body.length.is_some_and(|l| l > 0))
    }

    /// Delivers a message piece by piece, in the shapes of docs/envoy.md 2.2.
    pub(super) fn feed(&mut self, dir: Dir, message: &Message) {
        let http2 = self.desk.stream.http2;
        let body = &message.body;
        let trailers = message.trailers.get();
        let has_body = self.has_body(dir, message);
        let d = dir as usize;
        let eos = !has_body && trailers.is_none();
        self.desk.stream.lanes[d].ended = eos;
        self.headers(dir, 0, eos);
        let mut next = 0;
        self.metadata_behind(dir, message, 0, &mut next);
        if has_body {
            // A list of pieces that does not fit the bytes is read as one piece.
            let sum: u64 = body.chunks.iter().map(|c| u64::from(*c)).sum();
            let whole = [u32::try_from(body.bytes.len()).unwrap_or(u32::MAX)];
            let chunks = if sum == body.bytes.len() as u64 && !body.chunks.is_empty() {
                &body.chunks[..]
            } else {
                &whole
            };
            let mut rest = &body.bytes[..];
            let mut first = true;
            for (index, len) in chunks.iter().enumerate() {
                let last = index + 1 == chunks.len();
                let (piece, more) = rest.split_at((*len as usize).min(rest.len()));
                rest = more;
                // A frame behind the last piece means that it was not the end.
                let alone = body.metadata.last().is_none_or(|frame| frame.after as usize <= index);
                let eos = last && trailers.is_none() && ((http2 && alone) || (first && piece.is_empty()));
                self.piece(dir, piece, eos);
                first = false;
                self.metadata_behind(dir, message, index + 1, &mut next);
            }
            if trailers.is_none() && !self.desk.stream.lanes[d].ended {
                self.piece(dir, &[], true);
            }
        }
        if self.cut(dir) && !self.over() {
            // The end of a request counts as its bytes do, though no filter sees it.
            self.desk.stream.lanes[d].ended = true;
        }
        if let Some(trailers) = trailers
            && !self.cut(dir)
        {
            let stream = &mut self.desk.stream;
            stream.lanes[d].ended = true;
            let map = &mut stream.maps[dir.trailers()];
            let kind = if dir == Dir::Request { MapKind::RequestTrailers } else { MapKind::ResponseTrailers };
            headermap::import(trailers, kind, &mut map.headers);
            map.present = true;
            self.trailers(dir, 0);
        }
    }

    #[inline]
    pub(super) fn piece(&mut self, dir: Dir, bytes: &[u8], eos: bool) {
        // What comes while a reply is held counts, though no filter sees it.
        let cut = self.cut(dir);
        if cut && self.over() {
            return;
        }
        let lane = &mut self.desk.stream.lanes[dir as usize];
        lane.ended |= eos;
        lane.bytes_in += bytes.len() as u64;
        if cut {
            return;
        }
        lane.piece.clear();
        lane.piece.extend_from_slice(bytes);
        if lane.stays && eos && bytes.is_empty() {
            self.see_piece_as(dir, BodyView::Behind);
        }
        self.data(dir, 0, BodyView::Piece, eos);
        if self.desk.stream.lanes[dir as usize].kept {
            self.piece_is_over(dir, eos && !(dir == Dir::Request && self.desk.stream.http2));
        }
    }

    /// What arrived has been seen by all that see it; of a stream that it ended, `proxy_on_log` sees it still.
    /// `freed`: the buffer that it came in goes, too.
    #[cold]
    pub(super) fn piece_is_over(&mut self, dir: Dir, freed: bool) {
        if self.cut(dir) {
            return;
        }
        let lane = &mut self.desk.stream.lanes[dir as usize];
        lane.piece.clear();
        (lane.kept, lane.stays) = (false, !freed);
        if freed {
            self.see_piece_as(dir, BodyView::Gone);
        }
    }

    /// What the buffer of a piece is from now on for those who had it in reach.
    #[cold]
    pub(super) fn see_piece_as(&mut self, dir: Dir, view: BodyView) {
        let sides = self.desk.stream.seats.iter_mut().map(|seat| &mut seat.sides[dir as usize]);
        sides.filter(|side| side.body == BodyView::Piece).for_each(|side| side.body = view);
    }
}

/// Exactly `application/grpc`, or with a suffix behind `+`: `application/grpc-web` is none (docs/envoy.md 2.5).
fn is_grpc(content: &[u8]) -> bool {
    matches!(content.strip_prefix(b"application/grpc"), Some([] | [b'+', ..]))
}

/// HTTP/2 bodies end with their last piece, HTTP/1 bodies with one more, empty piece (docs/envoy.md 2.2).
fn http2(protocol: Protocol, grpc: bool) -> bool {
    match protocol {
        Protocol::Http2 | Protocol::Http3 => true,
        Protocol::Http10 | Protocol::Http11 => false,
        Protocol::Unknown => grpc,
    }
}
