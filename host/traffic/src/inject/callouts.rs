//! Callouts that do not end as their answers would have it.

use super::{Dice, Planned, Struck, What};
use crate::answers::{Answer, Answers};
use crate::{Callout, CalloutKind, GrpcReply, Message};
use std::collections::VecDeque;
use std::time::Duration;

/// Body of the 503 of an upstream that has no room.
const UNAVAILABLE: &[u8] = b"service unavailable";

/// Answers that some calls do not get.
pub struct Failing<A: ?Sized> {
    inner: Box<A>,
    faults: Vec<(Planned, Dice)>,
    struck: Struck,
    /// Filter and token of the gRPC streams that were struck last: their peers say nothing more.
    silent: VecDeque<(usize, u32)>,
}

/// Most streams that [`Failing`] remembers; no more can be open at once.
const SILENT_LIMIT: usize = 10_000;

impl<A: Answers + ?Sized> Failing<A> {
    /// Puts the faults of `all` that are about callouts before the answers; `struck` notes them. The answers come
    /// back as they are when there is no such fault.
    ///
    /// # Errors
    /// The answers.
    pub fn new(all: &[Planned], seed: u64, inner: Box<A>, struck: &Struck) -> Result<Self, Box<A>> {
        let mine =
            |p: &&Planned| matches!(p.fault.what, What::SlowCallout | What::Callout503 | What::CalloutReset);
        let faults: Vec<_> =
            all.iter().filter(mine).map(|p| (p.clone(), Dice::new(seed, p.number))).collect();
        match faults.is_empty() {
            true => Err(inner),
            false => Ok(Self { inner, faults, struck: struck.clone(), silent: VecDeque::new() }),
        }
    }
}

impl<A: Answers + ?Sized> Answers for Failing<A> {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let answer = self.inner.answer(callout);
        // A call that does not start has nobody who could fail it.
        if matches!(answer, Answer::UnknownCluster | Answer::NoHosts) {
            return answer;
        }
        // A fresh VM counts its tokens from the start.
        self.silent.retain(|stream| *stream != (callout.filter, callout.token));
        let mut injected = None;
        for (planned, dice) in &mut self.faults {
            let meant = planned.filter.is_none_or(|filter| filter == callout.filter);
            if meant && dice.takes(planned.fault.share) && injected.is_none() {
                self.struck.add(planned.number);
                injected = Some(match planned.fault.what {
                    What::Callout503 => unavailable(),
                    What::CalloutReset => Answer::ResetMidBody { after: Duration::ZERO },
                    _ => Answer::Timeout,
                });
            }
        }
        if injected.is_some() && callout.kind == CalloutKind::GrpcStream {
            self.silent.truncate(SILENT_LIMIT - 1);
            self.silent.push_front((callout.filter, callout.token));
        }
        injected.unwrap_or(answer)
    }

    fn sent(&mut self, callout: &Callout, message: Option<&[u8]>, end: bool) -> Option<GrpcReply> {
        let silent = self.silent.contains(&(callout.filter, callout.token));
        if silent { None } else { self.inner.sent(callout, message, end) }
    }
}

fn unavailable() -> Answer {
    let mut message = Message::default();
    message.headers.push(b":status", b"503");
    message.headers.push(b"content-length", UNAVAILABLE.len().to_string().as_bytes());
    message.headers.push(b"content-type", b"text/plain");
    message.body.bytes.extend_from_slice(UNAVAILABLE);
    Answer::Reply { message, after: Duration::ZERO }
}
