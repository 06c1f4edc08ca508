//! A client that goes away in the middle: no callback of its stream any more but log, done and delete; callouts
//! that are under way go on (docs/envoy.md 1.5, 2.6, rows 17 and 110 to 115). Over
//! HTTP/2 it resets its stream, and the connection stays.

use super::{Dir, Play, upgrade};
use crate::properties::{LEFT, RESET};
use tamis_traffic::inject::Moment;
use tamis_traffic::{Exchange, FaultKind, Message, Outcome, Protocol};

impl Play<'_> {
    /// Plays the exchange until its client leaves. False when there was no such moment, or the client had its
    /// answer before; then it is played to its end.
    #[cold]
    pub(crate) fn run_until_left(&mut self, exchange: &Exchange, moment: Moment) -> bool {
        let (request, response) = (exchange.request.get(), exchange.response.get());
        let possible = match moment {
            Moment::RequestHeaders | Moment::Waiting => request.is_some(),
            Moment::RequestBody => request.is_some_and(|m| !m.body.bytes.is_empty()),
            Moment::ResponseHeaders => response.is_some(),
            Moment::ResponseBody => response.is_some_and(|m| !m.body.bytes.is_empty()),
        };
        // After an upgrade the two sides talk as they like: there is no moment that has a name.
        let Some(request) = request.filter(|_| possible && !upgrade::agreed(exchange)) else {
            self.run(exchange);
            return false;
        };
        self.begin(exchange, request);
        let left = match moment {
            Moment::RequestHeaders | Moment::RequestBody => {
                self.opening(Dir::Request, request, moment == Moment::RequestBody);
                true
            }
            Moment::Waiting => {
                self.feed(Dir::Request, request);
                self.wait_for(Dir::Request);
                true
            }
            Moment::ResponseHeaders | Moment::ResponseBody => {
                self.feed(Dir::Request, request);
                self.wait_for(Dir::Request);
                self.answer_in_part(exchange, response, moment == Moment::ResponseBody)
            }
        };
        let left = left && !self.over();
        if left {
            self.client_left(moment);
        } else if self.desk.stream.response_begun && !self.over() {
            self.wait_for(Dir::Response);
        }
        self.finish();
        self.out.details.clone_from(&self.desk.stream.details);
        self.post_ready();
        left
    }

    /// The first of the upstream's answer. False when no answer of the upstream comes.
    fn answer_in_part(&mut self, exchange: &Exchange, response: Option<&Message>, body: bool) -> bool {
        if self.desk.stream.response_begun || self.over() {
            return false;
        }
        self.upstream_time(exchange);
        let Some(response) = response.filter(|_| !self.desk.stream.response_begun && !self.over()) else {
            return false;
        };
        self.response_begins(response);
        self.opening(Dir::Response, response, body);
        true
    }

    /// Headers, and the first piece of the body if wanted; no end.
    fn opening(&mut self, dir: Dir, message: &Message, with_piece: bool) {
        let eos = !self.has_body(dir, message) && message.trailers.is_none();
        self.desk.stream.lanes[dir as usize].ended = eos;
        self.headers(dir, 0, eos);
        if with_piece && !eos {
            let body = &message.body;
            let first = body.chunks.first().map_or(body.bytes.len(), |len| *len as usize);
            self.piece(dir, &body.bytes[..first.min(body.bytes.len())], false);
        }
    }

    fn client_left(&mut self, moment: Moment) {
        let (phase, text) = match moment {
            Moment::RequestHeaders => {
                ("proxy_on_request_headers", "the client left after its request headers")
            }
            Moment::RequestBody => ("proxy_on_request_body", "the client left in the middle of its request"),
            Moment::Waiting => ("waiting", "the client left while it waited for the response"),
            Moment::ResponseHeaders => {
                ("proxy_on_response_headers", "the client left after the response headers")
            }
            Moment::ResponseBody => {
                ("proxy_on_response_body", "the client left in the middle of the response")
            }
        };
        self.desk.at.phase = phase;
        self.desk.fault(FaultKind::ClientAbort, None, text);
        self.desk.stream.details.clear();
        self.desk.stream.explained = true;
        let reset = matches!(self.desk.known.protocol, Protocol::Http2 | Protocol::Http3);
        self.desk.stream.details.push_str(if reset { RESET } else { LEFT });
        self.reset();
        self.out.outcome = Outcome::Reset;
    }
}
