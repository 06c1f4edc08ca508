//! The far ends: what leaves towards the upstream and towards the client, and what they refuse.

use super::{BodyView, Dir, Play, Reply};
use crate::headermap::{self, BadHeader};
use crate::properties::flag;
use tamis_traffic::{FaultKind, Headers, Message, Playback};

impl Play<'_> {
    pub(super) fn headers_out(&mut self, dir: Dir, eos: bool) {
        if self.desk.stream.maps[dir.headers()].suspect
            && let Err(bad) = self.check(dir)
        {
            return self.refused(dir, &bad);
        }
        let map = &self.desk.stream.maps[dir.headers()];
        let message: &mut Message = match dir {
            Dir::Request => self.out.upstream.fill(),
            Dir::Response => self.out.reply.fill(),
        };
        message.headers.clone_from(&map.headers);
        if map.suspect && dir == Dir::Response && !self.desk.stream.http2 {
            plain_status(&mut message.headers);
        }
        if dir == Dir::Response {
            self.desk.stream.code = message.headers.text(":status").and_then(|digits| digits.parse().ok());
            self.desk.stream.early = !self.desk.stream.lanes[0].ended;
        }
        self.desk.stream.lanes[dir as usize].headers_out = true;
        if eos {
            self.ended(dir);
        }
    }

    pub(super) fn data_out(&mut self, dir: Dir, view: BodyView, eos: bool) {
        let Self { out, desk, .. } = self;
        let Some(message) = message(out, dir) else { return };
        // `bytes_mut` of a piece or of what is held is always there.
        let lane = &mut desk.stream.lanes[dir as usize];
        lane.bytes_out += lane.bytes(view).len() as u64;
        let Some(bytes) = lane.bytes_mut(view) else { return };
        let body = &mut message.body;
        if !bytes.is_empty() {
            body.chunks.push(bytes.len() as u32);
        }
        if body.bytes.is_empty() {
            std::mem::swap(&mut body.bytes, bytes);
        } else {
            body.bytes.extend_from_slice(bytes);
        }
        bytes.clear();
        if eos {
            self.ended(dir);
        }
    }

    /// The body of a response that was refused comes behind the one that took its place: then neither arrives.
    #[cold]
    pub(super) fn spoiled(&mut self, view: BodyView) {
        let lane = &mut self.desk.stream.lanes[Dir::Response as usize];
        lane.bytes_out += lane.bytes(view).len() as u64;
        if let Some(reply) = self.out.reply.get_mut() {
            reply.body.bytes.clear();
            reply.body.chunks.clear();
            reply.body.truncated = true;
        }
    }

    pub(super) fn trailers_out(&mut self, dir: Dir) {
        if self.desk.stream.lanes[dir as usize].done {
            return;
        }
        let Self { out, desk, .. } = self;
        let Some(message) = message(out, dir) else { return };
        message.trailers.fill().clone_from(&desk.stream.maps[dir.trailers()].headers);
        self.ended(dir);
    }

    /// A direction is complete at its far end.
    fn ended(&mut self, dir: Dir) {
        let lane = &mut self.desk.stream.lanes[dir as usize];
        lane.done = true;
        let changed = lane.body_changed || self.desk.stream.maps[dir.headers()].changed;
        if changed || (dir == Dir::Response && self.desk.stream.local) {
            self.check_length(dir);
        }
    }

    /// Nobody repairs `content-length` (docs/envoy.md 2.3): longer corrupts the connection, shorter hangs it.
    #[cold]
    pub(super) fn check_length(&mut self, dir: Dir) {
        let (message, recorded) = match dir {
            Dir::Request => (self.out.upstream.get(), self.exchange.and_then(|e| e.request.get())),
            Dir::Response => (self.out.reply.get(), self.exchange.and_then(|e| e.response.get())),
        };
        let Some(message) = message else { return };
        let cut = recorded.is_some_and(|m| {
            m.body.truncated || m.body.length.is_some_and(|l| l != m.body.bytes.len() as u64)
        });
        // Over HTTP/2 nobody takes what follows a 304 for something else, but its length is looked at.
        let follows = !message.body.bytes.is_empty() || message.trailers.get().is_some();
        let shown = self.desk.stream.http2 && !self.desk.stream.head && follows;
        if dir == Dir::Response && !shown && self.bodiless(&message.headers) {
            return self.check_bodiless();
        }
        if cut && !self.desk.stream.local {
            return;
        }
        let Some(said) = message.headers.text("content-length").and_then(|v| v.trim().parse::<u64>().ok())
        else {
            return;
        };
        let real = message.body.bytes.len() as u64;
        if said != real {
            let what = if dir == Dir::Request { "request" } else { "response" };
            let text = format!("content-length of the {what} is {said}, its body has {real} bytes");
            self.fault_at_end(dir, FaultKind::BodyLength, text);
        }
    }

    /// More has left of a response that ends here than its `content-length` says.
    #[cold]
    pub(super) fn check_surplus(&mut self) {
        let Some(reply) = self.out.reply.get() else { return };
        let said = reply.headers.text("content-length").and_then(|said| said.trim().parse().ok());
        if said.is_some_and(|said: u64| (reply.body.bytes.len() as u64) > said) {
            self.check_length(Dir::Response);
        }
    }

    /// Envoy writes the body of a 204 and a 304, too: over HTTP/1 the client takes it for the next response.
    #[cold]
    pub(super) fn check_bodiless(&mut self) {
        let stream = &self.desk.stream;
        let Some(reply) = self.out.reply.get().filter(|_| !stream.head && !stream.http2) else { return };
        let size = reply.body.bytes.len();
        if size > 0 {
            let status = reply.headers.text(":status").unwrap_or_default();
            let text = format!("a {status} has no body, and {size} bytes follow it");
            self.fault_at_end(Dir::Response, FaultKind::BodyLength, text);
        }
    }

    /// Responses whose `content-length` says nothing about bytes that follow.
    pub(super) fn bodiless(&self, headers: &Headers) -> bool {
        self.desk.stream.head || matches!(headers.get(b":status"), Some(b"204" | b"304"))
    }

    /// The fault of the filter that changed this direction last.
    fn fault_at_end(&mut self, dir: Dir, kind: FaultKind, text: String) {
        let filter = (0..self.count())
            .map(|position| self.index(dir, position))
            .rfind(|filter| self.desk.stream.known_change(*filter, dir));
        self.desk.fault(kind, filter, text);
    }

    /// What the router or the codec says to headers that a filter left (docs/envoy.md 2.1.8, 2.1.9).
    #[cold]
    fn check(&mut self, dir: Dir) -> Result<(), BadHeader> {
        if dir == Dir::Response {
            return headermap::check_response(&self.desk.stream.maps[dir.headers()].headers);
        }
        self.look_for_route()?;
        let headers = &mut self.desk.stream.maps[dir.headers()].headers;
        if let Some(scheme) = headermap::scheme_of(headers) {
            match headers.position(b":scheme") {
                Some(at) => headers.set_value(at, scheme.as_bytes()),
                None => headermap::append(headers, b":scheme", scheme.as_bytes()),
            }
        }
        headermap::check_request(headers)
    }

    /// The route that request headers lead to as they are now.
    pub(super) fn look_for_route(&mut self) -> Result<(), BadHeader> {
        let proto = self.recorded_proto();
        let stream = &mut self.desk.stream;
        let found = headermap::check_route(&stream.maps[Dir::Request.headers()].headers, proto);
        stream.lost = found.is_err();
        found
    }

    /// The request came with `x-forwarded-proto`, as every request does that Envoy's connection manager
    /// has seen.
    fn recorded_proto(&self) -> bool {
        let request = self.exchange.and_then(|e| e.request.get());
        request.is_some_and(|m| m.headers.position(FORWARDED_PROTO).is_some())
    }

    #[cold]
    fn refused(&mut self, dir: Dir, bad: &BadHeader) {
        let (code, text) = (bad.status(), bad.to_string());
        self.fault_at_end(dir, FaultKind::BadHeaders, format!("Envoy answers {code}: {text}"));
        let half = if dir == Dir::Request { "request" } else { "response" };
        let details = format!("filter_removed_required_{half}_headers{{{}}}", text.replace(' ', "_"));
        let reply = match code {
            404 => Reply::host(404, "", "route_not_found"),
            _ => Reply::host(u32::from(code), &text, &details),
        };
        let stream = &mut self.desk.stream;
        match code {
            404 => stream.flags |= flag("NR"),
            // It is the codec that says so: an upstream was chosen.
            503 => {
                stream.flags |= flag("DPE");
                stream.lanes[dir as usize].headers_out = true;
            }
            // Outside of the filter chain: no callback sees it.
            _ => stream.response_begun = true,
        }
        self.local_reply(None, reply);
        if dir == Dir::Response {
            // While Envoy reads, the body of the response that it refuses still passes all filters.
            let lives = self.desk.stream.reading && self.desk.stream.lanes[0].ended;
            self.desk.stream.lanes[dir as usize].aborted = !lives;
        }
    }
}

const FORWARDED_PROTO: &[u8] = b"x-forwarded-proto";

/// The status line has the number, whatever the header's digits.
fn plain_status(headers: &mut Headers) {
    let number = headers.text(":status").and_then(|digits| digits.parse::<u64>().ok());
    if let Some(at) = headers.position(b":status")
        && let Some(number) = number
    {
        headers.set_value(at, number.to_string().as_bytes());
    }
}

/// The message on its way out.
fn message(out: &mut Playback, dir: Dir) -> Option<&mut Message> {
    match dir {
        Dir::Request => out.upstream.get_mut(),
        Dir::Response => out.reply.get_mut(),
    }
}
