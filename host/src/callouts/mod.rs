//! Calls that filters make, and who answers them.

mod pending;

pub(crate) use pending::{Callouts, Delivery, Refused};

use std::time::Duration;
use tamis_traffic::{Callout, Message};

/// Answers the HTTP calls of filters. The stage asks once, when the call starts; time is the stage's own.
pub trait Answers {
    /// What comes back for this call.
    fn answer(&mut self, callout: &Callout) -> Answer;
}

/// What happens to one callout (docs/envoy.md 2.6). Times run on the stage's clock from the call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A response. Later than the call's timeout, it counts as [`Answer::Timeout`].
    Reply {
        /// With `:status`.
        message: Message,
        /// How long it takes.
        after: Duration,
    },
    /// Nothing comes until the call's timeout: the filter sees 504 "upstream request timeout".
    /// Without a timeout the call never ends.
    Timeout,
    /// Refused or reset before a response: the filter sees 503 with Envoy's "upstream connect error" body.
    Reset {
        /// How long it takes.
        after: Duration,
    },
    /// Reset in the middle of the body: the filter sees (0, 0, 0) and `proxy_get_status` gives 11.
    ResetMidBody {
        /// How long it takes.
        after: Duration,
    },
    /// No such cluster: `proxy_http_call` returns 2 at once.
    UnknownCluster,
    /// A cluster without hosts: `proxy_http_call` returns 10 at once and no callback follows.
    NoHosts,
    /// Nobody in this test answers it: a fault of the expectation, and for the filter as [`Answer::Timeout`].
    Unanswered,
}

/// The default of a stage: no callout is answered.
pub(crate) struct Nobody;

impl Answers for Nobody {
    fn answer(&mut self, _: &Callout) -> Answer {
        Answer::Unanswered
    }
}
