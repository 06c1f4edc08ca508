//! Other services, as callouts meet them.

use super::{Called, Message, Played, Proxy, ROOT};
use crate::events::{self, GrpcEvent, HttpEvent};
use crate::host::{CallKind, Pairs, SentCall, settled, world};
use tamis_abi::{BufferType, MapType};

/// How often callouts and queues may follow one another within one exchange, so that a filter that calls for ever ends.
const ROUNDS: usize = 1000;

/// What a callout meets.
///
/// ```
/// use tamis_sdk::testing::{Answer, Message};
///
/// /// A service for `Proxy::service`: well, late, and nobody there.
/// fn service(cluster: &str, asked: &Message) -> Answer {
///     match (cluster, asked.text("x-user")) {
///         ("idp", Some(_)) => Answer::Reply(Message::response(200)),
///         ("idp", None) => Answer::Timeout,
///         _ => Answer::Unreachable,
///     }
/// }
/// # let _ = service;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An answer of the service, whatever its status.
    Reply(Message),
    /// The connection breaks in the middle.
    Reset,
    /// The proxy waits as long as it was told to and answers 504 itself.
    Timeout,
    /// The proxy cannot connect and answers 503 itself.
    Unreachable,
    /// Nothing comes.
    Silence,
    /// What a gRPC service says to a call, or to a message of a stream.
    Grpc(GrpcAnswer),
}

/// See [`Answer::Grpc`]. A unary call gets the last message when the status is 0, as in Envoy. A stream whose filter
/// said that it is finished ends with 0 unless a status was given before.
///
/// ```
/// use tamis_sdk::testing::{Answer, GrpcAnswer};
///
/// /// 7 is `PERMISSION_DENIED`.
/// fn authz(allowed: bool) -> Answer {
///     Answer::Grpc(if allowed { GrpcAnswer::message([8, 1]) } else { GrpcAnswer::status(7, "no") })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrpcAnswer {
    /// The messages, in order.
    pub messages: Vec<Vec<u8>>,
    /// The status and `grpc-message`. On a stream `None` leaves it open; for a call it is 0.
    pub status: Option<(u32, String)>,
}

impl GrpcAnswer {
    /// One message.
    pub fn message(bytes: impl Into<Vec<u8>>) -> Self {
        Self { messages: vec![bytes.into()], status: None }
    }

    /// A status and nothing else.
    pub fn status(code: u32, text: &str) -> Self {
        Self { messages: Vec::new(), status: Some((code, text.to_owned())) }
    }
}

/// An answer that Envoy makes itself (docs/envoy.md 2.6).
fn own(status: u16, body: &str) -> Message {
    Message::response(status)
        .header("content-length", body.len().to_string())
        .header("content-type", "text/plain")
        .body(body)
}

impl Proxy {
    /// Answers callouts and tells of queues until nothing is left to do.
    pub(super) fn answer_callouts(&mut self, played: &mut Played) {
        for _ in 0..ROUNDS {
            let (calls, ready) = world(|w| (std::mem::take(&mut w.calls), std::mem::take(&mut w.ready)));
            if calls.is_empty() && ready.is_empty() {
                return;
            }
            for queue in ready {
                events::queue(ROOT, queue);
            }
            for call in calls {
                self.answer_callout(call, played);
            }
        }
    }

    fn answer_callout(&mut self, call: SentCall, played: &mut Played) {
        let SentCall { token, kind, cluster, headers, body, timeout } = call;
        if kind == CallKind::Finish {
            return finish(token, 0, "");
        }
        let message = Message { headers, body, trailers: Vec::new() };
        let answer = (self.service)(&cluster, &message);
        played.callouts.push(Called { cluster, message, timeout });
        match (kind, answer) {
            (_, Answer::Silence) => {}
            (CallKind::Http, Answer::Reset | Answer::Grpc(_)) => {
                events::http(ROOT, token, HttpEvent::Answer { headers: 0, body: 0, trailers: 0 })
            }
            (CallKind::Http, Answer::Timeout) => reply(token, own(504, "upstream request timeout")),
            (CallKind::Http, Answer::Unreachable) => reply(
                token,
                own(
                    503,
                    "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                ),
            ),
            // Envoy appends it to what came over the wire.
            (CallKind::Http, Answer::Reply(answer)) => {
                reply(token, answer.header("x-envoy-upstream-service-time", "1"));
            }
            (_, Answer::Timeout) => finish(token, 14, "upstream request timeout{response_timeout}"),
            (_, Answer::Grpc(answer)) => grpc(token, kind, answer),
            // What is no gRPC, and what breaks (docs/envoy.md 2.7).
            (_, Answer::Reply(_)) => finish(token, 2, "via_upstream"),
            (_, Answer::Reset | Answer::Unreachable) => finish(
                token,
                14,
                "upstream connect error or disconnect/reset before headers. reset reason: connection \
                 termination{upstream_reset_before_response_started{connection_termination}}",
            ),
        }
    }
}

fn reply(token: u32, reply: Message) {
    let fields = settled(MapType::HttpCallResponseHeaders, reply.headers);
    let (headers, size) = (fields.len(), reply.body.len());
    world(|w| {
        w.maps.insert(MapType::HttpCallResponseHeaders, fields);
        w.maps.insert(MapType::HttpCallResponseTrailers, Pairs::new());
        w.buffers.insert(BufferType::HttpCallResponseBody, reply.body);
    });
    events::http(ROOT, token, HttpEvent::Answer { headers, body: size, trailers: 0 });
    world(|w| {
        w.maps.remove(&MapType::HttpCallResponseHeaders);
        w.maps.remove(&MapType::HttpCallResponseTrailers);
        w.buffers.remove(&BufferType::HttpCallResponseBody);
    });
}

fn grpc(token: u32, kind: CallKind, answer: GrpcAnswer) {
    let (code, text) = answer.status.clone().unwrap_or_default();
    let text = if text.is_empty() { "via_upstream".to_owned() } else { format!("{text}{{via_upstream}}") };
    if kind == CallKind::Unary {
        match answer.messages.last() {
            Some(message) if code == 0 => received(token, message),
            None if code == 0 => finish(token, 13, ""),
            _ => finish(token, code, &text),
        }
        return;
    }
    events::grpc(ROOT, token, GrpcEvent::Initial);
    for message in &answer.messages {
        received(token, message);
    }
    if answer.status.is_some() {
        events::grpc(ROOT, token, GrpcEvent::Trailing);
        finish(token, code, &text);
    }
}

fn received(token: u32, message: &[u8]) {
    world(|w| w.buffers.insert(BufferType::GrpcReceiveBuffer, message.to_vec()));
    events::grpc(ROOT, token, GrpcEvent::Message(message.len()));
    world(|w| w.buffers.remove(&BufferType::GrpcReceiveBuffer));
}

fn finish(token: u32, code: u32, text: &str) {
    world(|w| {
        w.status = (code, text.as_bytes().to_vec());
        w.streams.remove(&token);
    });
    events::grpc(ROOT, token, GrpcEvent::Close(code));
}
