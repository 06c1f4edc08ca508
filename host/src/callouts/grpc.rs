//! gRPC calls and streams: how they start, what the filter may do with them, and how they end (docs/envoy.md 2.7).

use super::http::note_time;
use super::pending::Live;
use super::{Answer, Delivery, Event, Refused, Service, google, wire};
use crate::headermap::{self, MapKind, settle};
use crate::stage::{Action, Desk};
use crate::world::LimitReached;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use tamis_abi::Status;
use tamis_traffic::grpc::append_frame;
use tamis_traffic::{Callout, CalloutKind, FaultKind, GrpcReply, Headers};

/// A gRPC call or stream that a filter wants to start.
pub(crate) struct Order {
    pub(crate) kind: CalloutKind,
    pub(crate) service: Service,
    /// Full name of the service, for instance `package.Name`.
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) metadata: Headers,
    /// The message of a call.
    pub(crate) message: Vec<u8>,
    /// Of a call, milliseconds.
    pub(crate) timeout: u32,
}

/// What became of an order.
pub(crate) struct Started {
    pub(crate) result: Result<u32, Refused>,
    /// The token that was used up, and what the filter is told before the host function returns.
    pub(crate) inline: Option<(u32, [Event; 2])>,
}

impl From<Refused> for Started {
    fn from(why: Refused) -> Self {
        Self { result: Err(why), inline: None }
    }
}

impl Desk {
    /// Starts a call or a stream for the effective context's filter and asks what will come of it.
    pub(crate) fn start_grpc(&mut self, order: Order) -> Started {
        let mut callout = match self.request(&order) {
            Ok(callout) => callout,
            Err(limit) => return Refused::TooMany(limit).into(),
        };
        // What is on its way has a copy.
        self.keep_call(&callout);
        self.keep_call(&callout);
        if let Err(why) = self.callouts.room() {
            return why.into();
        }
        if order.service.google {
            return self.start_google(&order, callout);
        }
        // Whoever answers a stream knows it by its token later.
        callout.token = self.callouts.next_number(self.at.vm, order.kind);
        let answer = self.answers.answer(&callout);
        if answer == Answer::UnknownCluster && !order.service.encoded {
            self.made.push(Callout { token: 0, ..callout });
            return Refused::NoService.into();
        }
        let token = self.callouts.number(self.at.vm, order.kind);
        let (vm, root) = (self.at.vm, self.plugins.get(callout.filter).map_or(0, |p| p.root));
        let delivery =
            |event| Delivery { filter: callout.filter, vm, root, token, due: self.clock.wall(), event };
        let mut inline = None;
        let refused = match answer {
            Answer::UnknownCluster => Some(wire::no_cluster()),
            Answer::NoHosts => {
                let [initial, trailing, closed] = wire::no_hosts();
                inline = (order.kind == CalloutKind::GrpcStream).then_some((token, [initial, trailing]));
                Some(closed)
            }
            _ => None,
        };
        if let Some(closed) = refused {
            // The end comes all the same, after the callback, with a token that the filter never got.
            let action = Action::Deliver(Box::new(delivery(closed)));
            self.actions.push(action);
            if inline.is_some() {
                // Until the function returns the filter can name it.
                let now = self.clock.wall();
                let live = Live { ended: true, inside: true, ..Live::new(callout.clone(), vm, root, now) };
                self.callouts.live.push(live);
            }
            self.callouts.failed |= inline.is_none();
            self.made.push(Callout { token: 0, ..callout });
            return Started { result: Err(Refused::CannotStart), inline };
        }
        if matches!(answer, Answer::Unanswered | Answer::Addresses { .. }) {
            self.unanswered(&callout);
        }
        let mut live = Live::new(callout.clone(), vm, root, self.clock.wall());
        self.schedule(&mut live, answer);
        self.callouts.live.push(live);
        self.made.push(callout);
        Started { result: Ok(token), inline: None }
    }

    /// Starts a call or a stream of Envoy's other client: it always starts, and what fails is told later.
    fn start_google(&mut self, order: &Order, mut callout: Callout) -> Started {
        let token = self.callouts.number(self.at.vm, order.kind);
        callout.token = token;
        // A call without any time fails at once.
        let in_time = order.kind == CalloutKind::GrpcStream || order.timeout > 0;
        let answer = match google::headers(order).filter(|_| in_time) {
            Some(headers) => {
                callout.request.headers = headers;
                self.answers.answer(&callout)
            }
            None => Answer::NoHosts,
        };
        if matches!(answer, Answer::Unanswered | Answer::Addresses { .. }) {
            self.unanswered(&callout);
        }
        let nobody = matches!(answer, Answer::NoHosts | Answer::UnknownCluster);
        let (vm, root) = (self.at.vm, self.plugins.get(callout.filter).map_or(0, |p| p.root));
        let mut live = Live { google: true, ..Live::new(callout.clone(), vm, root, self.clock.wall()) };
        self.schedule(&mut live, answer);
        self.callouts.live.push(live);
        self.made.push(Callout { token: if nobody { 0 } else { token }, ..callout });
        Started { result: Ok(token), inline: None }
    }

    /// The filter was told inside of the host function; from now on the stream is unknown to it.
    pub(crate) fn forget_grpc(&mut self, token: u32) {
        let vm = self.at.vm;
        self.callouts.live.retain(|l| l.vm != vm || l.token != token);
        self.callouts.failed = true;
    }

    /// Puts what will come on its way.
    fn schedule(&mut self, live: &mut Live, answer: Answer) {
        let now = self.clock.wall();
        let events =
            if live.google { google::stream(answer) } else { wire::stream(answer).unwrap_or_default() };
        if live.callout.kind == CalloutKind::GrpcStream {
            return self.send_events(live, events, now);
        }
        let limit = u64::from(live.callout.timeout_ms) * 1_000_000;
        let event = wire::call(events).filter(|(at, _)| limit == 0 || *at < limit);
        let late = (limit > 0).then(|| (limit, if live.google { google::failed() } else { wire::timeout() }));
        self.send_events(live, event.or(late).into_iter().collect(), now);
    }

    fn send_events(&mut self, live: &mut Live, events: wire::Timed, from: u64) {
        live.headed |= !events.is_empty();
        for (at, mut event) in events {
            match &mut event {
                Event::Initial(map) | Event::Alone(map) => settle(map, MapKind::ResponseHeaders),
                Event::Trailing(map) => settle(map, MapKind::ResponseTrailers),
                _ => {}
            }
            let due = from.saturating_add(at);
            live.last_due = live.last_due.max(due);
            let (filter, vm, root, token) = (live.filter, live.vm, live.root, live.token);
            self.callouts.add(Delivery { filter, vm, root, token, due, event });
        }
    }

    /// The request as Envoy's client sends it.
    fn request(&self, order: &Order) -> Result<Callout, LimitReached> {
        let filter = self.at.effective.filter;
        let service = &order.service;
        let mut callout =
            Callout { kind: order.kind, filter, cluster: service.cluster.clone(), ..Callout::default() };
        let headers = &mut callout.request.headers;
        let authority = if service.authority.is_empty() { &service.cluster } else { &service.authority };
        headers.push(b":method", b"POST");
        headers.push(b":path", format!("/{}/{}", order.name, order.method).as_bytes());
        headers.push(b":authority", authority.as_bytes());
        headers.push(b"te", b"trailers");
        if order.kind == CalloutKind::GrpcCall {
            headers.push(b"grpc-timeout", grpc_timeout(order.timeout).as_bytes());
            callout.timeout_ms = order.timeout;
            append_frame(&order.message, &mut callout.request.body.bytes);
        }
        headers.push(b"content-type", b"application/grpc");
        for (name, value) in &service.metadata {
            headermap::replace(headers, MapKind::RequestHeaders, name.as_bytes(), value)?;
        }
        for (name, value) in order.metadata.iter() {
            headermap::add(headers, MapKind::RequestHeaders, name, value)?;
        }
        encode_binary(headers);
        Ok(callout)
    }

    /// Where the call or stream stands in the list; other roots' are unknown to this one.
    fn live(&self, token: u32) -> Result<usize, Status> {
        let (vm, filter) = (self.at.vm, self.at.effective.filter);
        let own = |l: &Live| l.vm == vm && l.filter == filter && l.token == token;
        let found = self.callouts.live.iter().position(own);
        found.ok_or(Status::NotFound)
    }

    /// `proxy_grpc_send`: 2 for a token of another kind, 1 for an unknown stream; 0 also when nobody listens.
    pub(crate) fn grpc_send(&mut self, token: u32, message: &[u8], end: bool) -> Result<(), Status> {
        if token & 3 != STREAM {
            return Err(Status::BadArgument);
        }
        let at = self.live(token)?;
        self.keep(message.len());
        self.sent(at, Some(message), end);
        Ok(())
    }

    /// Notes what a stream sends and asks what its peer does about it.
    fn sent(&mut self, at: usize, message: Option<&[u8]>, end: bool) {
        let live = &mut self.callouts.live[at];
        if live.ended || live.closed_there {
            return;
        }
        live.ended = end;
        let (filter, token) = (live.filter, live.token);
        if let Some(message) = message {
            let known =
                |c: &Callout| c.kind == CalloutKind::GrpcStream && c.token == token && c.filter == filter;
            let at = match self.made.iter().rposition(known) {
                Some(at) => at,
                None => {
                    // As large as what the filter gave when it started it, in another playback.
                    self.made.push(live.callout.clone());
                    self.made.len() - 1
                }
            };
            append_frame(message, &mut self.made[at].request.body.bytes);
        }
        if let Some(reply) = self.answers.sent(&live.callout, message, end) {
            self.react(at, &reply);
        }
    }

    /// Puts a reaction on its way, after all that the peer said before.
    fn react(&mut self, at: usize, reply: &GrpcReply) {
        let now = self.clock.wall();
        let mut live = self.callouts.live.remove(at);
        let from = live.last_due.max(now) - now;
        let (mut events, _) = wire::parts(reply, from, !live.headed);
        if live.google {
            events = events.into_iter().map(google::told).collect();
        }
        self.send_events(&mut live, events, now);
        self.callouts.live.insert(at, live);
    }

    /// `proxy_grpc_close`: ends the filter's half of a stream, cancels a call.
    pub(crate) fn grpc_close(&mut self, token: u32) -> Result<(), Status> {
        if token & 3 != STREAM {
            return self.grpc_cancel(token);
        }
        let at = self.live(token)?;
        self.sent(at, None, true);
        let live = &mut self.callouts.live[at];
        live.closed_here = true;
        if live.closed_there {
            self.callouts.live.remove(at);
        }
        Ok(())
    }

    /// `proxy_grpc_cancel`: nothing more comes.
    pub(crate) fn grpc_cancel(&mut self, token: u32) -> Result<(), Status> {
        if !matches!(token & 3, CALL | STREAM) {
            return Err(Status::BadArgument);
        }
        let at = self.live(token)?;
        if self.callouts.live[at].inside {
            let text = "cancelled a gRPC stream inside the host function that starts it: Envoy goes on with memory that is gone";
            let filter = self.at.effective.filter;
            self.fault(FaultKind::WouldCrash, Some(filter), text);
            return Ok(());
        }
        let live = self.callouts.live.remove(at);
        // Names have tokens of their own.
        let own =
            |d: &Delivery| d.vm == live.vm && d.token == token && !matches!(d.event, Event::Resolved(_));
        self.callouts.pending.retain(|d| !own(d));
        Ok(())
    }

    /// Before the callback of an event: what changes by it.
    pub(crate) fn before_grpc(&mut self, delivery: &mut Delivery) {
        let own = |l: &&mut Live| l.vm == delivery.vm && l.token == delivery.token;
        let found = self.callouts.live.iter_mut().find(own);
        let Some(live) = found else { return };
        match &mut delivery.event {
            // The router adds it once the request is complete.
            Event::Initial(headers) if !headers.is_empty() && live.ended && !live.google => {
                note_time(headers, Duration::ZERO)
            }
            Event::Alone(headers) if live.ended && !live.google => note_time(headers, Duration::ZERO),
            Event::Closed { .. } => live.closed_there = true,
            _ => {}
        }
    }

    /// After the callback of an event: a call is over with any, a stream when both halves are.
    pub(crate) fn after_grpc(&mut self, vm: usize, token: u32, closed: bool) {
        let over = |l: &Live| token & 3 == CALL || (closed && l.closed_here);
        self.callouts.live.retain(|l| l.vm != vm || l.token != token || !over(l));
    }
}

/// Kinds of tokens, in the low two bits (docs/envoy.md 2.6).
const CALL: u32 = 1;
const STREAM: u32 = 2;

/// `grpc-timeout`: at most eight digits, in the smallest unit that fits.
pub(super) fn grpc_timeout(milliseconds: u32) -> String {
    let mut value = milliseconds;
    for (unit, next) in [('m', 1000), ('S', 60)] {
        if value <= 99_999_999 {
            return format!("{value}{unit}");
        }
        value /= next;
    }
    format!("{value}M")
}

/// Metadata with a name in `-bin` goes in base64, behind all other fields.
fn encode_binary(headers: &mut Headers) {
    let mut binary: Vec<(Vec<u8>, String)> = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| name.ends_with(b"-bin")) {
        // Of several with one name Envoy keeps the first.
        if binary.iter().all(|(known, _)| known != name) {
            binary.push((name.to_vec(), STANDARD.encode(value)));
        }
    }
    for (name, value) in binary {
        headers.remove(&name);
        headers.push(&name, value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_2_7_a_timeout_has_at_most_eight_digits() {
        assert_eq!(grpc_timeout(0), "0m");
        assert_eq!(grpc_timeout(99_999_999), "99999999m");
        assert_eq!(grpc_timeout(u32::MAX), "4294967S");
    }

    #[test]
    fn envoy_2_7_binary_metadata_goes_last_in_base64() {
        let mut headers: Headers = [("a-bin", "\0"), ("b", "c"), ("a-bin", "x")].into_iter().collect();
        encode_binary(&mut headers);
        let all: Vec<_> = headers.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(all, [(b"b".to_vec(), b"c".to_vec()), (b"a-bin".to_vec(), b"AA==".to_vec())]);
    }
}
