//! Calls on their way, in virtual time.

use super::Answer;
use crate::stage::Desk;
use crate::world::LimitReached;
use tamis_traffic::{Callout, FaultKind, Headers, Message, Slot};

/// Calls that may be on their way at once. A filter that calls in every tick and is never answered would
/// fill memory; beyond it the playback ends with a fault.
const PENDING_LIMIT: usize = 10_000;

/// Envoy's body of a callout that timed out.
const TIMEOUT_BODY: &[u8] = b"upstream request timeout";
/// Envoy's body of a callout whose connection failed, with its most usual reason.
const RESET_BODY: &[u8] =
    b"upstream connect error or disconnect/reset before headers. reset reason: connection termination";

/// Why a call did not start.
#[derive(Debug)]
pub(crate) enum Refused {
    BadArgument,
    CannotStart,
    TooMany(LimitReached),
}

/// What a callback gets.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) filter: usize,
    /// The VM that called.
    pub(crate) vm: usize,
    /// Its root context then: a fresh VM is not told of calls of the dead one.
    pub(crate) root: u32,
    pub(crate) token: u32,
    pub(crate) due: u64,
    /// Reset in the middle of the body: no headers, status 11.
    pub(crate) broken: bool,
    pub(crate) message: Message,
}

/// What maps 6 and 7 and buffer 4 show inside the callback.
#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Slot<Headers>,
}

/// All calls of a stage.
#[derive(Debug, Default)]
pub(crate) struct Callouts {
    pending: Vec<Delivery>,
    open: Option<Open>,
    /// The last number given to each VM.
    numbers: Vec<u32>,
}

impl Callouts {
    /// The answer that is being delivered.
    pub(crate) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    pub(crate) fn show(&mut self, message: Message) {
        self.open =
            Some(Open { headers: message.headers, body: message.body.bytes, trailers: message.trailers });
    }

    pub(crate) fn hide(&mut self) {
        self.open = None;
    }

    /// When the next answer is due, wall nanoseconds.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.pending.iter().map(|d| d.due).min()
    }

    /// The next answer that is due by `now`, in order of time and then of the calls.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<Delivery> {
        let due = self.next_due().filter(|due| *due <= now)?;
        let at = self.pending.iter().position(|d| d.due == due)?;
        Some(self.pending.remove(at))
    }

    /// Moves all that is due by nanoseconds.
    pub(crate) fn shift(&mut self, by: u64) {
        self.pending.iter_mut().for_each(|d| d.due = d.due.saturating_add(by));
    }

    /// A VM died: its calls are cancelled (docs/envoy.md 2.6).
    pub(crate) fn cancel(&mut self, vm: usize) {
        self.pending.retain(|d| d.vm != vm);
    }

    /// 4, 8, 12, … for each VM; a failed start burns a number (docs/envoy.md 2.6).
    fn number(&mut self, vm: usize) -> u32 {
        if self.numbers.len() <= vm {
            self.numbers.resize(vm + 1, 0);
        }
        self.numbers[vm] = self.numbers[vm].wrapping_add(4).max(4);
        self.numbers[vm]
    }

    /// A fresh VM counts from the start.
    pub(crate) fn forget_numbers(&mut self, vm: usize) {
        if let Some(number) = self.numbers.get_mut(vm) {
            *number = 0;
        }
    }
}

impl Desk {
    /// Starts a call for the effective context's filter and asks what will come of it.
    pub(crate) fn start_callout(&mut self, mut callout: Callout) -> Result<u32, Refused> {
        let headers = &callout.request.headers;
        let required: [&[u8]; 3] = [b":path", b":method", b":authority"];
        if callout.timeout_ms > i32::MAX as u32 || required.iter().any(|name| headers.get(name).is_none()) {
            self.made.push(callout);
            return Err(Refused::BadArgument);
        }
        if self.callouts.pending.len() >= PENDING_LIMIT {
            let limit =
                LimitReached { what: "list of pending callouts", limit: PENDING_LIMIT, unit: "calls" };
            return Err(Refused::TooMany(limit));
        }
        let answer = self.answers.answer(&callout);
        let token = match answer {
            Answer::UnknownCluster => None,
            _ => Some(self.callouts.number(self.at.vm)),
        };
        if matches!(answer, Answer::UnknownCluster | Answer::NoHosts) {
            self.made.push(callout);
            return Err(if token.is_none() { Refused::BadArgument } else { Refused::CannotStart });
        }
        let token = token.unwrap_or_default();
        callout.token = token;
        if !callout.request.body.bytes.is_empty() {
            let length = callout.request.body.bytes.len().to_string();
            callout.request.headers.remove(b"content-length");
            callout.request.headers.push(b"content-length", length.as_bytes());
        }
        if let Some(mut delivery) = self.outcome(answer, &callout) {
            delivery.filter = callout.filter;
            delivery.vm = self.at.vm;
            delivery.root = self.plugins.get(callout.filter).map_or(0, |p| p.root);
            delivery.token = token;
            self.callouts.pending.push(delivery);
        }
        self.made.push(callout);
        Ok(token)
    }

    /// What will arrive and when; none when nothing ever will.
    fn outcome(&mut self, answer: Answer, callout: &Callout) -> Option<Delivery> {
        let now = self.clock.wall();
        let limit = u64::from(callout.timeout_ms) * 1_000_000;
        let after = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let (wait, message, broken) = match answer {
            Answer::Reply { mut message, after: time } => {
                let long = message.body.bytes.len() as u64 > self.profile.callout_response_limit;
                // Envoy's client appends it to every answer that came over the wire.
                let took = time.as_millis().to_string();
                message.headers.push(b"x-envoy-upstream-service-time", took.as_bytes());
                (after(time), if long { Message::default() } else { message }, long)
            }
            Answer::Reset { after: time } => (after(time), plain("503", RESET_BODY), false),
            Answer::ResetMidBody { after: time } => (after(time), Message::default(), true),
            Answer::Unanswered => {
                let text = format!("nobody answers the call to cluster `{}`", callout.cluster);
                self.fault(FaultKind::UnansweredCallout, Some(callout.filter), text);
                (u64::MAX, Message::default(), false)
            }
            Answer::Timeout | Answer::UnknownCluster | Answer::NoHosts => {
                (u64::MAX, Message::default(), false)
            }
        };
        if limit > 0 && wait >= limit {
            let message = plain("504", TIMEOUT_BODY);
            return Some(Delivery { due: now.saturating_add(limit), message, ..Delivery::default() });
        }
        let due = now.saturating_add(wait);
        (wait < u64::MAX).then(|| Delivery { due, broken, message, ..Delivery::default() })
    }
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
