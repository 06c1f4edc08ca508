//! From an answer to what a gRPC client makes of it, as Envoy's client does (docs/envoy.md 2.7).

use super::http::nanos;
use super::{Answer, Event};
use tamis_traffic::grpc::frames;
use tamis_traffic::{GrpcEnd, GrpcReply, Headers, Message};

/// What Envoy appends to the message of a status that came over the wire.
const VIA_UPSTREAM: &[u8] = b"via_upstream";
/// A call that timed out: message and detail.
const TIMEOUT: [&[u8]; 2] = [b"upstream request timeout", b"response_timeout"];
/// A reset before the response, with one of its usual reasons.
const RESET: [&[u8]; 2] = [
    b"upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset",
    b"upstream_reset_before_response_started{remote_refused_stream_reset}",
];
/// A reset after it began.
pub(super) const RESET_LATE: &[u8] = b"upstream_reset_after_response_started{remote_reset}";
/// A cluster without hosts.
const NO_HOSTS: [&[u8]; 2] = [b"no healthy upstream", b"no_healthy_upstream"];

const UNKNOWN: u32 = 2;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
/// The largest status that gRPC knows.
const LAST_STATUS: u32 = 16;
/// What Envoy says for a status that is no number or above it: -1.
const INVALID: u32 = u32::MAX;

/// Events and when they come, nanoseconds from the call.
pub(super) type Timed = Vec<(u64, Event)>;

/// What a stream gets; none for answers that are not of this kind.
pub(super) fn stream(answer: Answer) -> Option<Timed> {
    Some(match answer {
        Answer::Grpc(reply) => parts(&reply, 0, true).0,
        Answer::Reply { message, after } => {
            message_events(message).into_iter().map(|event| (nanos(after), event)).collect()
        }
        Answer::Reset { after } => own_reply(RESET).into_iter().map(|event| (nanos(after), event)).collect(),
        Answer::ResetMidBody { after } => {
            parts(&GrpcReply { after, end: GrpcEnd::Reset, ..GrpcReply::default() }, 0, true).0
        }
        Answer::Timeout => Timed::new(),
        Answer::NoHosts | Answer::UnknownCluster | Answer::Unanswered | Answer::Addresses { .. } => {
            return None;
        }
    })
}

/// What a call gets of it: its last message after a success, else its end; nothing while it is open.
pub(super) fn call(events: Timed) -> Option<(u64, Event)> {
    let mut last = None;
    for (at, event) in events {
        match event {
            Event::Received(message) => last = Some(message),
            Event::Closed { status: 0, .. } => {
                let none = Event::Closed { status: INTERNAL, text: Vec::new() };
                return Some((at, last.map_or(none, Event::Received)));
            }
            closed @ Event::Closed { .. } => return Some((at, closed)),
            _ => {}
        }
    }
    None
}

/// A call without an answer in time.
pub(super) fn timeout() -> Event {
    closed(UNAVAILABLE, &with_detail(TIMEOUT))
}

/// What comes of a cluster without hosts, all at once.
pub(super) fn no_hosts() -> [Event; 3] {
    own_reply(NO_HOSTS)
}

/// What comes of an encoded service with an unknown cluster.
pub(super) fn no_cluster() -> Event {
    closed(UNAVAILABLE, b"Cluster not available")
}

fn closed(status: u32, text: &[u8]) -> Event {
    Event::Closed { status, text: text.to_vec() }
}

/// `message{detail}`; without a message the detail alone.
fn with_detail([message, detail]: [&[u8]; 2]) -> Vec<u8> {
    if message.is_empty() { detail.to_vec() } else { [message, b"{", detail, b"}"].concat() }
}

/// A status that the proxy itself answers with: one block, as gRPC sends an error that comes first.
fn own_reply([message, detail]: [&[u8]; 2]) -> [Event; 3] {
    let block = GrpcReply::error(UNAVAILABLE, message).to_wire().unwrap_or_default().headers;
    let text = with_detail([message, detail]);
    [Event::Initial(Headers::new()), Event::Trailing(block), closed(UNAVAILABLE, &text)]
}

/// Events of a reply in parts from a time on, and the time of the last. `begins`: nothing came of the peer before.
pub(super) fn parts(reply: &GrpcReply, from: u64, begins: bool) -> (Timed, u64) {
    let mut now = from.saturating_add(nanos(reply.after));
    let mut events = Timed::new();
    if begins && reply.trailers_only() {
        let block = reply.to_wire().unwrap_or_default().headers;
        events.push((now, Event::Initial(Headers::new())));
        events.extend(alone(block).map(|event| (now, event)));
        return (events, now);
    }
    if begins {
        events.push((now, Event::Initial(reply.head())));
    }
    for message in &reply.messages {
        now = now.saturating_add(nanos(message.after));
        events.push((now, Event::Received(message.bytes.clone())));
    }
    match &reply.end {
        GrpcEnd::Open => {}
        GrpcEnd::Status(status) => {
            let mut block = Headers::new();
            status.write(&mut block);
            events.extend(trailing(block).map(|event| (now, event)));
        }
        GrpcEnd::Reset => {
            events.push((now, Event::Trailing(Headers::new())));
            events.push((now, closed(INTERNAL, RESET_LATE)));
        }
    }
    (events, now)
}

/// The trailers and the end that they say.
fn trailing(block: Headers) -> impl Iterator<Item = Event> {
    let end = end(&block);
    [Event::Trailing(block), end].into_iter()
}

/// The same where headers and trailers are one block.
fn alone(block: Headers) -> impl Iterator<Item = Event> {
    let end = end(&block);
    [Event::Alone(block), end].into_iter()
}

fn end(block: &Headers) -> Event {
    let status = block.get(b"grpc-status").map_or(UNKNOWN, |text| {
        let number = str::from_utf8(text).ok().and_then(|text| text.trim().parse::<u32>().ok());
        number.filter(|n| *n <= LAST_STATUS).unwrap_or(INVALID)
    });
    let text = with_detail([block.get(b"grpc-message").unwrap_or_default(), VIA_UPSTREAM]);
    Event::Closed { status, text }
}

/// Events of a response as it is on the wire.
fn message_events(message: Message) -> Vec<Event> {
    let Message { headers, body, trailers } = message;
    let ends = body.bytes.is_empty() && trailers.is_none();
    let code = headers.text(":status").and_then(|s| s.parse::<u16>().ok()).unwrap_or_default();
    let failed = |status| [Event::Trailing(Headers::new()), closed(status, VIA_UPSTREAM)];
    if ends && (code == 200 || headers.get(b"grpc-status").is_some()) {
        return [Event::Initial(Headers::new())].into_iter().chain(alone(headers)).collect();
    }
    if code != 200 {
        return [Event::Initial(Headers::new())].into_iter().chain(failed(of_http(code))).collect();
    }
    let mut events = vec![Event::Initial(headers)];
    for frame in frames(&body.bytes) {
        // No compression was agreed on, and other flags do not exist.
        if frame.flag != 0 && !(frame.flag == 1 && frame.message.is_empty()) {
            events.extend(failed(INTERNAL));
            return events;
        }
        events.push(Event::Received(frame.message.to_vec()));
    }
    let whole: usize = frames(&body.bytes).map(|f| f.message.len() + 5).sum();
    match trailers.get() {
        // The decoder looks at the flag of a torn frame too.
        _ if body.bytes.get(whole).is_some_and(|flag| *flag > 1) => events.extend(failed(INTERNAL)),
        Some(block) => events.extend(trailing(block.clone())),
        None => events.extend(failed(UNKNOWN)),
    }
    events
}

/// The status that stands for an HTTP code (gRPC's "HTTP to gRPC Status Code Mapping").
pub(super) fn of_http(code: u16) -> u32 {
    match code {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}
