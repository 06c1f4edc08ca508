//! Replies that do not come from the upstream: a filter's, or the host's own (docs/envoy.md 2.5, 2.12).

use super::{BodyView, Dir, Gate, Play, RESPONSE_HEADERS};
use crate::FailurePolicy;
use crate::profile::since;
use tamis_abi::grpc_of_http;
use tamis_traffic::{FaultKind, Headers, Message, Outcome};

/// A local reply.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reply {
    /// Not checked: 0 and 1000 go out as they are.
    pub(crate) code: u32,
    pub(crate) body: Vec<u8>,
    /// Extra headers, names in lower case.
    pub(crate) headers: Headers,
    /// gRPC status; outside 0..=16 it counts as unset.
    pub(crate) grpc: i32,
    pub(crate) details: String,
}

impl Reply {
    /// One that the host makes.
    pub(super) fn host(code: u32, body: &str, details: &str) -> Self {
        Self { code, body: body.into(), grpc: -1, details: details.to_owned(), ..Self::default() }
    }
}

impl Play<'_> {
    /// Sends a reply: through the response callbacks when no response has begun, straight to the client when
    /// its headers are not out yet, else the stream is reset.
    pub(super) fn local_reply(&mut self, filter: Option<usize>, reply: Reply) {
        if !self.desk.stream.alive || self.over() {
            return;
        }
        let stream = &mut self.desk.stream;
        stream.details.clone_from(&reply.details);
        stream.explained = true;
        stream.lanes[Dir::Request as usize].aborted = true;
        if stream.lanes[Dir::Response as usize].headers_out {
            if let Some(filter) = filter {
                self.too_late(filter);
            }
            return self.reset();
        }
        match filter {
            Some(filter) => {
                stream.seats[filter].trace.answered = true;
                if self.out.outcome != Outcome::Stuck {
                    self.out.outcome = Outcome::Answered(filter);
                }
            }
            None if self.out.outcome != Outcome::Stuck => self.out.outcome = Outcome::Failed,
            None => {}
        }
        let through = !self.desk.stream.response_begun;
        let stream = &self.desk.stream;
        if through && stream.maps[0].suspect && !stream.lanes[Dir::Request as usize].headers_out {
            // Envoy looks for the route that it does not have any more since a filter changed the headers.
            let _ = self.look_for_route();
        }
        self.desk.stream.local = true;
        self.desk.stream.code = Some(reply.code);
        self.desk.stream.response_begun = true;
        if through { self.reply_through_filters(&reply) } else { self.reply_directly(&reply) }
    }

    fn reply_through_filters(&mut self, reply: &Reply) {
        let stream = &mut self.desk.stream;
        let body = shape(reply, stream.grpc, stream.head, &mut stream.maps[RESPONSE_HEADERS].headers);
        stream.maps[RESPONSE_HEADERS].present = true;
        let lane = &mut stream.lanes[Dir::Response as usize];
        lane.ended = !body;
        self.headers(Dir::Response, 0, !body);
        let stream = &mut self.desk.stream;
        // Over HTTP/2 the body of a reply that was replaced still comes to its first filter: the stream of a whole
        // request ends once what the client sent has been read.
        let lives = stream.reading && stream.lanes[0].ended && self.out.outcome != Outcome::Reset;
        let lane = &mut stream.lanes[Dir::Response as usize];
        if body && (!lane.aborted || lives) {
            lane.ended = true;
            lane.piece.extend_from_slice(&reply.body);
            lane.bytes_in += reply.body.len() as u64;
            self.data(Dir::Response, 0, BodyView::Piece, true);
            match lives {
                // Its log comes once all is read.
                true => self.see_piece_as(Dir::Response, BodyView::Gone),
                false => self.piece_is_over(Dir::Response, true),
            }
        }
    }

    /// Past all filters.
    fn reply_directly(&mut self, reply: &Reply) {
        let stream = &mut self.desk.stream;
        let message: &mut Message = self.out.reply.fill();
        if shape(reply, stream.grpc, stream.head, &mut message.headers) {
            message.body.bytes.extend_from_slice(&reply.body);
            stream.lanes[Dir::Response as usize].bytes_out += reply.body.len() as u64;
        }
        // `proxy_on_log` sees this reply (row 7 of the conformance table).
        stream.past = Some(message.headers.clone());
        stream.code = message.headers.text(":status").and_then(|digits| digits.parse().ok());
        stream.early = !stream.lanes[0].ended;
        let lane = &mut stream.lanes[Dir::Response as usize];
        (lane.aborted, lane.headers_out, lane.done) = (true, true, true);
        if matches!(reply.code, 204 | 304) {
            self.check_bodiless();
        }
    }

    /// A callback of this filter cannot run: its VM is dead. Its policy decides (docs/envoy.md 2.12).
    ///
    /// `now`: it died in this very callback, which is a fault already.
    pub(super) fn dead_phase(&mut self, filter: usize, now: bool) {
        let plugin = &self.desk.plugins[filter];
        if plugin.policy == FailurePolicy::LegacyOpen {
            return;
        }
        let seat = &mut self.desk.stream.seats[filter];
        if std::mem::replace(&mut seat.failed, true) {
            return;
        }
        let injected = self.slots[self.desk.plugins[filter].vm].vm.ended_by_injection;
        if now && !injected && !self.desk.profile.has(since::ANSWERS_FAILURE) {
            self.never_answered(filter);
        }
        if !now {
            let seat = &mut self.desk.stream.seats[filter];
            // Entering a dead filter is how the request reaches it.
            (seat.trace.broke, seat.trace.injected, seat.trace.reached) = (!injected, injected, true);
            let text = format!(
                "the VM of filter `{}` broke earlier; the policy answers 503",
                self.desk.plugins[filter].name
            );
            let kind = if injected { FaultKind::InjectedDeadVm } else { FaultKind::DeadVm };
            self.desk.fault(kind, Some(filter), text);
        }
        let reply = Reply { grpc: GRPC_UNAVAILABLE, ..Reply::host(503, "", "wasm_fail_stream") };
        self.local_reply(None, reply);
    }

    /// Its VM broke in this callback; in an Envoy that old the reply waits for the filter itself (docs/envoy.md 2.14).
    #[cold]
    fn never_answered(&mut self, filter: usize) {
        if !self.desk.stream.response_begun {
            let text =
                "its VM broke in the request: an Envoy before 1.35 does not answer until the idle timeout";
            self.desk.fault(FaultKind::WouldHang, Some(filter), text);
        }
    }

    /// The reply cannot be sent any more (docs/envoy.md 2.5).
    #[cold]
    fn too_late(&mut self, filter: usize) {
        let text = "replied after the response headers had left: Envoy resets the stream";
        self.desk.fault(FaultKind::LateReply, Some(filter), text);
    }

    /// More is held back than the buffer limit allows (docs/envoy.md 2.3).
    #[cold]
    pub(super) fn too_large(&mut self, dir: Dir) {
        let (held, limit) = (self.desk.stream.lanes[dir as usize].held.len(), self.desk.profile.buffer_limit);
        let holds = |filter: &usize| self.desk.stream.seats[*filter].sides[dir as usize].gate != Gate::Open;
        let filter = (0..self.count()).find(holds);
        let half = if dir == Dir::Request { "request" } else { "response" };
        let text = format!("holds {held} bytes of the {half}, Envoy keeps {limit}");
        self.desk.fault(FaultKind::BufferLimit, filter, text);
        match dir {
            Dir::Request => {
                self.local_reply(None, Reply::host(413, "Payload Too Large", "request_payload_too_large"));
            }
            Dir::Response => {
                self.local_reply(
                    None,
                    Reply::host(500, "Internal Server Error", "response_payload_too_large"),
                );
            }
        }
    }
}

const GRPC_UNAVAILABLE: i32 = 14;

/// Writes the reply's headers; says whether a body follows (docs/envoy.md 2.5). Extra headers come before what the
/// host adds; where both have a name, the host's value stands in the place of the filter's.
fn shape(reply: &Reply, grpc: bool, head: bool, headers: &mut Headers) -> bool {
    headers.clear();
    headers.push(b":status", reply.code.to_string().as_bytes());
    for (name, value) in reply.headers.iter().filter(|(name, _)| *name != b":status") {
        headers.push(name, value);
    }
    let body = !reply.body.is_empty();
    if grpc {
        set(headers, b":status", b"200");
        set(headers, b"content-type", b"application/grpc");
        // The filter's own wins.
        if headers.get(b"grpc-status").unwrap_or_default().is_empty() {
            let known = (0..=16).contains(&reply.grpc);
            let status = if known { reply.grpc } else { grpc_of_http(reply.code) };
            set(headers, b"grpc-status", status.to_string().as_bytes());
        }
        if body && !head {
            set(headers, b"grpc-message", &percent(&reply.body));
        }
        headers.remove(b"content-length");
        return false;
    }
    if !body {
        headers.remove(b"content-length");
        headers.remove(b"content-type");
        return false;
    }
    set(headers, b"content-length", reply.body.len().to_string().as_bytes());
    if headers.position(b"content-type").is_none() {
        headers.push(b"content-type", b"text/plain");
    }
    !head
}

/// Writes a value where the name stands, else at the end.
fn set(headers: &mut Headers, name: &[u8], value: &[u8]) {
    match headers.position(name) {
        Some(at) => headers.set_value(at, value),
        None => headers.push(name, value),
    }
}

/// `grpc-message` is percent-encoded (gRPC over HTTP/2, "Responses").
fn percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}
