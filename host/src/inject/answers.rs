//! Callouts that do not end as their answers would have it.

use super::{Planned, Struck};
use crate::callouts::{Answer, Answers, Nobody};
use std::time::Duration;
use tamis_traffic::inject::{Dice, What};
use tamis_traffic::{Callout, Message};

/// Body of the 503 of an upstream that has no room.
const UNAVAILABLE: &[u8] = b"service unavailable";

/// Answers that some calls do not get.
pub(super) struct Meddling {
    inner: Box<dyn Answers>,
    faults: Vec<(Planned, Dice)>,
    struck: Struck,
}

impl Meddling {
    /// Puts itself before the answers when any fault is about callouts; says whether it did.
    pub(super) fn wrap(all: &[Planned], seed: u64, answers: &mut Box<dyn Answers>, struck: &Struck) -> bool {
        let mine =
            |p: &&Planned| matches!(p.fault.what, What::SlowCallout | What::Callout503 | What::CalloutReset);
        let faults: Vec<_> =
            all.iter().filter(mine).map(|p| (p.clone(), Dice::new(seed, p.number))).collect();
        if faults.is_empty() {
            return false;
        }
        let inner = std::mem::replace(answers, Box::new(Nobody));
        *answers = Box::new(Self { inner, faults, struck: struck.clone() });
        true
    }
}

impl Answers for Meddling {
    fn answer(&mut self, callout: &Callout) -> Answer {
        let answer = self.inner.answer(callout);
        // A call that does not start has nobody who could fail it.
        if matches!(answer, Answer::UnknownCluster | Answer::NoHosts) {
            return answer;
        }
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
        injected.unwrap_or(answer)
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
