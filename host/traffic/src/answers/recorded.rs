//! Answers from recorded traffic: what a service answered then is what it answers now.

use super::{Answer, Answers};
use crate::{Callout, Exchange, Message};
use std::collections::HashMap;
use std::time::Duration;

/// Most bytes of headers and bodies that are kept as answers (256 MiB): a capture may be larger than memory.
const ANSWERS_LIMIT: usize = 256 << 20;

/// Answers callouts with the responses of recorded exchanges.
///
/// An exchange fits when `:authority` and `:path` are those of the call. A gRPC call, whose authority usually is a name
/// of this proxy alone, is also answered by an exchange with its path. Exchanges that fit answer in the order of the
/// recording, the last one again and again, each after its recorded duration. A call that none fits is
/// [`Answer::Unanswered`].
#[derive(Debug, Default, Clone)]
pub struct Recorded {
    known: HashMap<Vec<u8>, Answered>,
    used: usize,
}

#[derive(Debug, Default, Clone)]
struct Answered {
    answers: Vec<(Message, Duration)>,
    next: usize,
}

impl Recorded {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an exchange into account; one without both halves says nothing. False when all the room (256 MiB) is taken.
    pub fn learn(&mut self, exchange: &Exchange) -> bool {
        let (Some(request), Some(response)) = (exchange.request.get(), exchange.response.get()) else {
            return true;
        };
        let Some(path) = request.headers.get(b":path") else { return true };
        let size = response.headers.byte_len() + response.body.bytes.len();
        if self.used + size > ANSWERS_LIMIT {
            return false;
        }
        self.used += size;
        let after = Duration::from_nanos(exchange.duration.unwrap_or(0));
        let response = &whole(response, request.headers.get(b":method") == Some(b"HEAD"));
        let authority = request.headers.get(b":authority").unwrap_or_default();
        let grpc = request.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/grpc"));
        if grpc {
            self.add(key(b"", path), response, after);
        }
        self.add(key(authority, path), response, after);
        true
    }

    fn add(&mut self, key: Vec<u8>, response: &Message, after: Duration) {
        self.known.entry(key).or_default().answers.push((response.clone(), after));
    }
}

/// Where the recording of a body was cut, what there is has to be an answer that can be given.
fn whole(response: &Message, head: bool) -> Message {
    let mut whole = response.clone();
    let bodiless = head || matches!(whole.headers.get(b":status"), Some(b"204" | b"304"));
    let said = whole.headers.text("content-length").and_then(|text| text.trim().parse::<u64>().ok());
    if !bodiless && said.is_some_and(|said| said != whole.body.bytes.len() as u64) {
        whole.headers.remove(b"content-length");
    }
    whole
}

/// A zero byte is in neither of them.
fn key(authority: &[u8], path: &[u8]) -> Vec<u8> {
    [authority, b"\0", path].concat()
}

impl Answers for Recorded {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let headers = &callout.request.headers;
        let Some(path) = headers.get(b":path") else { return Answer::Unanswered };
        let mut found = key(headers.get(b":authority").unwrap_or_default(), path);
        if callout.kind.is_grpc() && !self.known.contains_key(&found) {
            found = key(b"", path);
        }
        let Some(known) = self.known.get_mut(&found) else { return Answer::Unanswered };
        let at = known.next.min(known.answers.len() - 1);
        known.next = at + 1;
        let (message, after) = known.answers[at].clone();
        Answer::Reply { message, after }
    }
}
