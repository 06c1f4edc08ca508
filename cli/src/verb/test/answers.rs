//! The `callouts:` of a traffic test as answers of the host.

use std::net::{IpAddr, SocketAddr};
use tamis_host::{Answer, Answers};
use tamis_traffic::Callout;
use tamis_traffic::expect::{RuleAnswer, TrafficTest};

/// How long an address counts, seconds; a test has no reason to say another.
const TIME_TO_LIVE: u32 = 60;

/// Answers by the rules of a test; a call without a rule is a fault of the test.
pub(super) struct Rules(pub(super) TrafficTest);

impl Answers for Rules {
    fn answer(&mut self, callout: &Callout) -> Answer {
        match self.0.answer(callout).map(|rule| &rule.answer) {
            Some(RuleAnswer::Reply { message, delay }) => {
                Answer::Reply { message: message.clone(), after: *delay }
            }
            Some(RuleAnswer::Grpc(reply)) => Answer::Grpc(reply.clone()),
            Some(RuleAnswer::Addresses { addresses, delay }) => {
                let address = |ip: &IpAddr| (SocketAddr::new(*ip, 0), TIME_TO_LIVE);
                Answer::Addresses { addresses: addresses.iter().map(address).collect(), after: *delay }
            }
            Some(RuleAnswer::Reset { delay }) => Answer::Reset { after: *delay },
            Some(RuleAnswer::Timeout) => Answer::Timeout,
            None => Answer::Unanswered,
        }
    }
}
