//! Who answers the calls of filters, for every engine that plays.

mod heard;
mod recorded;

pub use heard::Heard;
pub use recorded::Recorded;

use crate::{Callout, GrpcEnd, GrpcReply, Message};
use std::net::SocketAddr;
use std::time::Duration;

/// Answers the calls of filters. The engine that plays asks when a call starts; time is its own.
///
/// A closure from [`Callout`] to [`Answer`] is one.
pub trait Answers {
    /// What comes back for this call. For a gRPC stream: what its peer sends by itself.
    fn answer(&mut self, callout: &Callout) -> Answer;

    /// What the peer of an open gRPC stream sends because the filter sent `message` (none when it only closed its
    /// half) or ended its half. Nothing by default. `callout` is the stream as it was started.
    fn sent(&mut self, callout: &Callout, message: Option<&[u8]>, end: bool) -> Option<GrpcReply> {
        let _ = (callout, message, end);
        None
    }
}

impl<F: FnMut(&Callout) -> Answer> Answers for F {
    fn answer(&mut self, callout: &Callout) -> Answer {
        self(callout)
    }
}

/// What happens to one callout (docs/envoy.md 2.6, 2.7). Times run on the engine's clock from the call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A response as it is on the wire; that of a gRPC call has frames and trailers. Later than the call's timeout,
    /// it counts as [`Answer::Timeout`].
    Reply {
        /// With `:status`.
        message: Message,
        /// How long it takes.
        after: Duration,
    },
    /// A response in the terms of gRPC. An HTTP call gets it as it is on the wire.
    Grpc(GrpcReply),
    /// The addresses of a name; none when it has none. For other calls the same as [`Answer::Unanswered`].
    Addresses {
        /// In order, each with its time to live in seconds. Port 0 is what a resolver gives.
        addresses: Vec<(SocketAddr, u32)>,
        /// How long it takes.
        after: Duration,
    },
    /// Nothing comes until the call's timeout: the filter sees 504 "upstream request timeout", or gRPC status 14.
    /// Without a timeout the call never ends. A name has no addresses then, at once.
    Timeout,
    /// Refused or reset before a response: the filter sees 503 with Envoy's "upstream connect error" body, or gRPC
    /// status 14.
    Reset {
        /// How long it takes.
        after: Duration,
    },
    /// Reset in the middle of the body: the filter sees (0, 0, 0) and `proxy_get_status` gives 11, or gRPC status 13.
    ResetMidBody {
        /// How long it takes.
        after: Duration,
    },
    /// No such cluster: `proxy_http_call` returns 2 at once, `proxy_grpc_call` 4.
    UnknownCluster,
    /// A cluster without hosts: the call returns 10 at once and no HTTP callback follows.
    NoHosts,
    /// Nobody in this test answers it: a fault of the expectation, and for the filter as [`Answer::Timeout`].
    Unanswered,
}

impl Answer {
    /// The answer as an HTTP call gets it: one in the terms of gRPC is what is on the wire.
    pub fn in_http(self) -> Self {
        let Self::Grpc(reply) = self else { return self };
        let after = reply.messages.iter().fold(reply.after, |sum, m| sum.saturating_add(m.after));
        match (reply.to_wire(), reply.end) {
            (Some(message), _) => Self::Reply { message, after },
            (None, GrpcEnd::Reset) => Self::ResetMidBody { after },
            (None, _) => Self::Timeout,
        }
    }
}

/// Answers no callout.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Answers for Nobody {
    fn answer(&mut self, _: &Callout) -> Answer {
        Answer::Unanswered
    }
}
