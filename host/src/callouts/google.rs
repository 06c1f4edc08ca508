//! The other gRPC client of Envoy, for services with `google_grpc`: it calls an address, past the clusters, and tells the
//! filter in words of its own (docs/envoy.md 2.7).

use super::grpc::{Order, grpc_timeout};
use super::http::nanos;
use super::wire::{self, Timed};
use super::{Answer, Event};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tamis_traffic::grpc::frames;
use tamis_traffic::{CalloutKind, Headers};

/// What the client of Envoy 1.40 calls itself.
const USER_AGENT: &[u8] = b"grpc-c++/1.83.0 grpc-c/56.0.0 (linux; chttp2)";
const RESET: &[u8] = b"Stream removed (RST_STREAM (Received RST_STREAM with error code 7))";
const RESET_LATE: &[u8] = b"Stream removed (RST_STREAM (Received RST_STREAM with error code 2))";
const NO_TRAILERS: &[u8] = b"Stream removed (Data frame with END_STREAM flag received)";

const UNKNOWN: u32 = 2;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

/// Whatever fails before there is an answer: nobody there, no time left, metadata that is not allowed.
pub(super) fn failed() -> Event {
    Event::Closed { status: INTERNAL, text: Vec::new() }
}

/// What a stream gets.
pub(super) fn stream(answer: Answer) -> Timed {
    let none = || Event::Initial(Headers::new());
    let ended = |status, text: &[u8]| {
        [Event::Trailing(Headers::new()), Event::Closed { status, text: text.to_vec() }]
    };
    let at = |after, events: Vec<Event>| events.into_iter().map(|event| (nanos(after), event)).collect();
    let after_nothing = |after, status, text: &[u8]| {
        let mut events = vec![none()];
        events.extend(ended(status, text));
        at(after, events)
    };
    match answer {
        Answer::Reply { mut message, after } => {
            let code = message.headers.text(":status").and_then(|s| s.parse().ok()).unwrap_or_default();
            if code != 200 {
                let text = format!("Received http2 header with status: {code}");
                return after_nothing(after, wire::of_http(code), text.as_bytes());
            }
            if message.trailers.is_none() && !message.body.bytes.is_empty() {
                // What is torn at the end is not looked at.
                let whole: usize = frames(&message.body.bytes).map(|f| f.message.len() + 5).sum();
                message.body.bytes.truncate(whole);
                if whole == 0 {
                    return after_nothing(after, UNKNOWN, NO_TRAILERS);
                }
            }
            wire::stream(Answer::Reply { message, after }).unwrap_or_default().into_iter().map(told).collect()
        }
        Answer::Reset { after } => after_nothing(after, UNAVAILABLE, RESET),
        Answer::ResetMidBody { after } => after_nothing(after, INTERNAL, RESET_LATE),
        Answer::NoHosts | Answer::UnknownCluster => {
            vec![(0, Event::Trailing(Headers::new())), (0, failed())]
        }
        other => wire::stream(other).unwrap_or_default().into_iter().map(told).collect(),
    }
}

/// An event of the usual client in the words of this one: what frames a call is no metadata, a message is as it was
/// meant.
pub(super) fn told((at, event): (u64, Event)) -> (u64, Event) {
    let event = match event {
        Event::Initial(headers) => Event::Initial(metadata(headers)),
        Event::Trailing(headers) => Event::Trailing(metadata(headers)),
        Event::Alone(headers) => Event::Alone(metadata(headers)),
        Event::Closed { status, text } => {
            let text = match text.as_slice() {
                b"via_upstream" if status == UNKNOWN => NO_TRAILERS.to_vec(),
                b"via_upstream" => Vec::new(),
                wire::RESET_LATE => RESET_LATE.to_vec(),
                text => decoded(text.strip_suffix(b"{via_upstream}").unwrap_or(text)),
            };
            Event::Closed { status, text }
        }
        other => other,
    };
    (at, event)
}

fn metadata(mut headers: Headers) -> Headers {
    for name in [":status", "content-type", "grpc-status", "grpc-message", "content-length", "date"] {
        headers.remove(name.as_bytes());
    }
    headers
}

/// `%20` is a blank.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
        let byte = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        out.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// The headers that it sends; none when the metadata is not allowed.
pub(super) fn headers(order: &Order) -> Option<Headers> {
    let mut headers = Headers::new();
    headers.push(b":method", b"POST");
    headers.push(b":path", format!("/{}/{}", order.name, order.method).as_bytes());
    headers.push(b":authority", order.service.cluster.as_bytes());
    headers.push(b"content-type", b"application/grpc");
    headers.push(b"te", b"trailers");
    headers.push(b"grpc-accept-encoding", b"identity, deflate, gzip");
    if order.kind == CalloutKind::GrpcCall {
        headers.push(b"grpc-timeout", grpc_timeout(order.timeout).as_bytes());
    }
    headers.push(b"user-agent", USER_AGENT);
    let own = order.service.metadata.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    for (name, value) in own.chain(order.metadata.iter()) {
        let name = name.to_ascii_lowercase();
        let binary = name.ends_with(b"-bin");
        let good = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(b);
        if name.is_empty()
            || !name.iter().all(good)
            || !(binary || value.iter().all(|b| (0x20..0x7f).contains(b)))
        {
            return None;
        }
        if binary {
            headers.push(&name, STANDARD_NO_PAD.encode(value).as_bytes());
        } else {
            headers.push(&name, value);
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(text: &[u8], status: u32) -> (Vec<u8>, u32) {
        match told((0, Event::Closed { status, text: text.to_vec() })).1 {
            Event::Closed { status, text } => (text, status),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn envoy_2_7_the_other_client_tells_messages_as_they_were_meant() {
        assert_eq!(closed(b"no%20way{via_upstream}", 7), (b"no way".to_vec(), 7));
        assert_eq!(closed(b"via_upstream", 0), (Vec::new(), 0));
        assert_eq!(closed(b"100%{via_upstream}", 7), (b"100%".to_vec(), 7));
        assert_eq!(closed(b"via_upstream", 2).0, NO_TRAILERS);
    }
}
