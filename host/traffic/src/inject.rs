//! Faults to inject into a replay: how they are written, and those that change an exchange before it is played.
//!
//! Two kinds. [`Exchanges`] changes what is played: odd bytes, doubled fields, other pieces. The others act
//! while a filter runs (a trap, no memory, a callout that fails, a client that leaves); the host does those.

mod callouts;
mod dice;
mod exchanges;
mod parse;
mod planned;

pub use callouts::Failing;
pub use dice::Dice;
pub use exchanges::Exchanges;
pub use parse::InjectError;
pub use planned::{Leavers, Planned, Struck};

use std::fmt;

/// One fault to inject, as `--inject` takes it. [`Injection::GRAMMAR`] is its grammar; `Display` gives the text
/// as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    text: String,
    /// What happens.
    pub what: What,
    /// How many of the occasions it takes.
    pub share: Share,
    /// Only to the filter of this name.
    pub filter: Option<String>,
}

/// What one injection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The filter traps when it is entered here, before any of its code runs.
    Trap(Entry),
    /// From this entry on there is no memory: it does not grow, and the allocator that hands it out to the host traps.
    OutOfMemory(Entry),
    /// The answer to a callout takes longer than the call's timeout.
    SlowCallout,
    /// A callout is answered with 503.
    Callout503,
    /// The connection of a callout is reset in the middle of the answer.
    CalloutReset,
    /// A field of the request gets a value that is no UTF-8.
    OddHeaderBytes,
    /// A field of the request comes twice, with another value.
    DupHeader,
    /// Bodies arrive in other pieces.
    SplitChunks,
    /// The client goes away.
    ClientAbort(Moment),
}

/// An entry into a callback of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The export, for instance `proxy_on_request_headers`.
    pub phase: &'static str,
    /// Which entry, from 1, counted over the whole replay.
    pub number: u64,
}

/// When a client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the headers of its request, before any of its body.
    RequestHeaders,
    /// After the first piece of its body.
    RequestBody,
    /// Its request is complete and nothing of the response has come.
    Waiting,
    /// After the headers of the response.
    ResponseHeaders,
    /// After the first piece of the response's body.
    ResponseBody,
}

/// A share of occasions, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// Every occasion.
    pub const ALL: Share = Share(1_000_000);

    /// In millionths, 1 to 1,000,000.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl Injection {
    /// The grammar, for help and errors.
    pub const GRAMMAR: &str = "KIND[@PHASE[:N]][:RATE%][/FILTER]";

    /// True when it changes the exchange before it is played; else it acts in the host.
    pub fn changes_exchanges(&self) -> bool {
        matches!(self.what, What::OddHeaderBytes | What::DupHeader | What::SplitChunks)
    }

    /// True when it strikes one filter, so that a chain of several has to be told which.
    pub fn needs_filter(&self) -> bool {
        matches!(self.what, What::Trap(_) | What::OutOfMemory(_))
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The phases in which a filter can be made to trap: the ABI's callbacks without those of the start, at which
/// Envoy would not take the filter at all (docs/envoy.md 1.4, 2.12).
pub const PHASES: &[&str] = &[
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_queue_ready",
    "proxy_on_tick",
    "proxy_on_log",
    "proxy_on_done",
    "proxy_on_delete",
];

/// The words of the kinds, in the order of the help.
pub const KINDS: &[(&str, &str)] = &[
    ("trap@PHASE:N", "the filter traps at the Nth entry of the phase (N: 1)"),
    ("oom@PHASE:N", "no memory from that entry on (request_headers:1)"),
    ("slow-callout", "the answer comes after the call's timeout"),
    ("callout-503", "the answer is 503"),
    ("callout-reset", "reset in the middle of the answer"),
    ("odd-header-bytes", "a request header that is no UTF-8"),
    ("dup-header", "a request header twice, with two values"),
    ("split-chunks", "bodies in other pieces"),
    (
        "client-abort@PHASE",
        "the client leaves after request_headers, request_body, response_headers or response_body; without a phase while it waits for the response",
    ),
];

#[cfg(test)]
mod tests;
