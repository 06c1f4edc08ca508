//! The `callouts:` of a traffic test as answers of the host.

use tamis_host::{Answer, Answers};
use tamis_traffic::Callout;
use tamis_traffic::expect::{RuleAnswer, TrafficTest};

/// Answers by the rules of a test; a call without a rule is a fault of the test.
pub(super) struct Rules(pub(super) TrafficTest);

impl Answers for Rules {
    fn answer(&mut self, callout: &Callout) -> Answer {
        match self.0.answer(callout).map(|rule| &rule.answer) {
            Some(RuleAnswer::Reply { message, delay }) => {
                Answer::Reply { message: message.clone(), after: *delay }
            }
            Some(RuleAnswer::Reset { delay }) => Answer::Reset { after: *delay },
            Some(RuleAnswer::Timeout) => Answer::Timeout,
            None => Answer::Unanswered,
        }
    }
}
