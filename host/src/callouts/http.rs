//! HTTP calls: how they start and what will come of them (docs/envoy.md 2.6).

use super::{Answer, Delivery, Event, Refused};
use crate::headermap::{MapKind, settle};
use crate::stage::Desk;
use std::time::Duration;
use tamis_traffic::redact::show;
use tamis_traffic::{Callout, CalloutKind, FaultKind, Headers, Message};

/// Envoy's body of a callout that timed out.
const TIMEOUT_BODY: &[u8] = b"upstream request timeout";
/// Envoy's body of a callout whose connection failed, with its most usual reason.
const RESET_BODY: &[u8] =
    b"upstream connect error or disconnect/reset before headers. reset reason: connection termination";

impl Desk {
    /// Starts a call for the effective context's filter and asks what will come of it.
    pub(crate) fn start_callout(&mut self, mut callout: Callout) -> Result<u32, Refused> {
        self.keep_call(&callout);
        let headers = &callout.request.headers;
        let required: [&[u8]; 3] = [b":path", b":method", b":authority"];
        if callout.timeout_ms > i32::MAX as u32 || required.iter().any(|name| headers.get(name).is_none()) {
            self.made.push(callout);
            return Err(Refused::BadArgument);
        }
        self.callouts.room()?;
        let answer = self.answers.answer(&callout);
        let token = match answer {
            Answer::UnknownCluster => None,
            _ => Some(self.callouts.number(self.at.vm, CalloutKind::Http)),
        };
        if matches!(answer, Answer::UnknownCluster | Answer::NoHosts) {
            self.made.push(callout);
            self.callouts.failed |= token.is_some();
            return Err(if token.is_none() { Refused::BadArgument } else { Refused::CannotStart });
        }
        let token = token.unwrap_or_default();
        callout.token = token;
        if !callout.request.body.bytes.is_empty() {
            let length = callout.request.body.bytes.len().to_string();
            callout.request.headers.remove(b"content-length");
            callout.request.headers.push(b"content-length", length.as_bytes());
        }
        if let Some((due, event)) = self.outcome(answer, &callout) {
            let filter = callout.filter;
            let (vm, root) = (self.at.vm, self.plugins.get(filter).map_or(0, |p| p.root));
            self.callouts.add(Delivery { filter, vm, root, token, due, event });
        }
        self.made.push(callout);
        Ok(token)
    }

    /// A call is kept once as it was made.
    pub(super) fn keep_call(&mut self, callout: &Callout) {
        let request = &callout.request;
        let trailers = request.trailers.get().map_or(0, |trailers| trailers.byte_len());
        let message = request.headers.byte_len() + request.body.bytes.len() + trailers;
        self.keep(size_of::<Callout>() + callout.cluster.len() + message);
    }

    /// What will arrive and when; none when nothing ever will.
    fn outcome(&mut self, answer: Answer, callout: &Callout) -> Option<(u64, Event)> {
        let now = self.clock.wall();
        let limit = u64::from(callout.timeout_ms) * 1_000_000;
        let (wait, message, broken) = match answer.in_http() {
            Answer::Reply { mut message, after: time } => {
                let long = message.body.bytes.len() as u64 > self.profile.callout_response_limit;
                settle(&mut message.headers, MapKind::ResponseHeaders);
                if let Some(trailers) = message.trailers.get_mut() {
                    settle(trailers, MapKind::ResponseTrailers);
                }
                note_time(&mut message.headers, time);
                (nanos(time), if long { Message::default() } else { message }, long)
            }
            Answer::Reset { after: time } => (nanos(time), plain("503", RESET_BODY), false),
            Answer::ResetMidBody { after: time } => (nanos(time), Message::default(), true),
            Answer::Unanswered | Answer::Grpc(_) | Answer::Addresses { .. } => {
                self.unanswered(callout);
                (u64::MAX, Message::default(), false)
            }
            Answer::Timeout | Answer::UnknownCluster | Answer::NoHosts => {
                (u64::MAX, Message::default(), false)
            }
        };
        if limit > 0 && wait >= limit {
            let message = plain("504", TIMEOUT_BODY);
            return Some((now.saturating_add(limit), Event::Http { message, broken: false }));
        }
        (wait < u64::MAX).then(|| (now.saturating_add(wait), Event::Http { message, broken }))
    }

    /// A fault of the expectation: nobody answers.
    pub(super) fn unanswered(&mut self, callout: &Callout) {
        let what = match callout.kind {
            CalloutKind::Resolve => "question for the name",
            _ => "call to cluster",
        };
        let text = format!("nobody answers the {what} `{}`", show(callout.cluster.as_bytes()));
        self.keep(text.len());
        self.fault(FaultKind::UnansweredCallout, Some(callout.filter), text);
    }
}

/// Envoy's client says it in every answer that came over the wire, in place of what the peer said of itself.
pub(super) fn note_time(headers: &mut Headers, took: Duration) {
    const NAME: &[u8] = b"x-envoy-upstream-service-time";
    let took = took.as_millis().to_string();
    match headers.position(NAME) {
        Some(at) => headers.set_value(at, took.as_bytes()),
        None => headers.push(NAME, took.as_bytes()),
    }
}

/// Nanoseconds, at most all that fit.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A reply that Envoy's client makes itself: three headers (docs/envoy.md 2.6).
fn plain(status: &str, body: &[u8]) -> Message {
    let mut message = Message::default();
    message.headers.push(b":status", status.as_bytes());
    message.headers.push(b"content-length", body.len().to_string().as_bytes());
    message.headers.push(b"content-type", b"text/plain");
    message.body.bytes.extend_from_slice(body);
    message
}
