//! What came out of playing one exchange.

use crate::{Message, Slot};
use std::fmt;

/// What playing one exchange through a chain of filters brought: what each side of the proxy saw, what the
/// filters asked for and said, and what it cost. Filled anew by every play; memory is kept.
#[derive(Debug, Default, Clone)]
pub struct Playback {
    /// What reached the upstream; none when a filter answered or broke before.
    pub upstream: Slot<Message>,
    /// What the client got; none when the connection was reset or the capture has no response to go on with.
    pub reply: Slot<Message>,
    /// How it ended.
    pub outcome: Outcome,
    /// `response.code_details` at the end, when a filter or the host set one.
    pub details: String,
    /// One trace for each filter of the chain, in chain order.
    pub filters: Vec<FilterTrace>,
    /// Calls that filters made, in order of the calls.
    pub callouts: Vec<Callout>,
    /// Log lines, in order.
    pub logs: Vec<Log>,
    /// What went wrong, whoever's fault, in order.
    pub faults: Vec<Fault>,
    /// Numbers of the injected faults that struck in it, in order; one may strike more than once.
    pub injected: Vec<usize>,
}

impl Playback {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.upstream.clear();
        self.reply.clear();
        self.outcome = Outcome::default();
        self.details.clear();
        self.filters.clear();
        self.callouts.clear();
        self.logs.clear();
        self.faults.clear();
        self.injected.clear();
    }
}

/// How a playback ended, seen from the client.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The request went to the upstream and its response came back through the filters.
    #[default]
    Forwarded,
    /// The filter at this index of the chain answered.
    Answered(usize),
    /// The proxy answered (a trap under fail-closed, a bad header at the router, a timeout).
    Failed,
    /// The connection was reset in the middle.
    Reset,
    /// The stream never went on: a filter paused and nothing woke it.
    Stuck,
    /// The capture has no response; the request was forwarded and nothing can be said of the rest.
    Open,
}

/// What one filter did in one playback.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FilterTrace {
    /// The request reached it.
    pub reached: bool,
    /// It changed the request (headers, body or trailers differ between its two sides).
    pub request_changed: bool,
    /// It changed the response.
    pub response_changed: bool,
    /// It sent the reply.
    pub answered: bool,
    /// It broke: trapped, ran out of its limits, or its VM was dead.
    pub broke: bool,
    /// A fault was injected into it, or killed its VM before: what it would have done is not known.
    pub injected: bool,
    /// Its VM was dead and its policy let the exchange pass without it.
    pub skipped: bool,
    /// What its code cost.
    pub cost: Cost,
}

/// What the code of one filter cost in one playback.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// wasmtime fuel: exact and the same in every run. 0 when the stage does not count it.
    pub fuel: u64,
    /// Calls from the filter into the host.
    pub host_calls: u32,
    /// Growth of linear memory, bytes.
    pub memory_grown: u64,
}

/// A call that a filter made to another service.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Callout {
    /// Which function made it.
    pub kind: CalloutKind,
    /// Index of the filter in the chain.
    pub filter: usize,
    /// Envoy cluster; of [`CalloutKind::Resolve`] the name to resolve.
    pub cluster: String,
    /// What was sent, as on the wire: messages of gRPC are in their frames (see [`crate::grpc::frames`]). What a stream
    /// sends in a later playback than that of its start is an entry of its own, with the same token.
    pub request: Message,
    /// Timeout in milliseconds; 0 is none.
    pub timeout_ms: u32,
    /// The token that the filter got; 0 when the call could not start.
    pub token: u32,
}

/// Kinds of calls to other services.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum CalloutKind {
    /// `proxy_http_call`.
    #[default]
    Http,
    /// `proxy_grpc_call`: one message each way.
    GrpcCall,
    /// `proxy_grpc_stream`: any number of messages each way.
    GrpcStream,
    /// `envoy_resolve_dns`: the addresses of a name.
    Resolve,
}

impl CalloutKind {
    /// True for calls and streams of gRPC.
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::GrpcCall | Self::GrpcStream)
    }
}

/// A log line of a filter (or of the host on its behalf).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Index of the filter in the chain.
    pub filter: usize,
    /// Proxy-Wasm level.
    pub level: LogLevel,
    /// As the filter wrote it; bytes, since nothing makes a filter write UTF-8.
    pub text: Vec<u8>,
}

/// Levels of `proxy_log` (ABI 0.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace = 0,
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

/// Something went wrong while an exchange was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which kind; stable names, see [`FaultKind::code`].
    pub kind: FaultKind,
    /// Index of the filter concerned, if one is.
    pub filter: Option<usize>,
    /// The callback during which it happened, for instance `proxy_on_request_headers`.
    pub phase: &'static str,
    /// One lower-case line: what happened, with names and numbers.
    pub text: String,
}

/// Whose fault it is. A replay must never let a bug of ours look like a bug of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The filter's code.
    Filter,
    /// An expectation of a traffic test.
    Expectation,
    /// The recording.
    Capture,
    /// The machine or its settings.
    Environment,
    /// Tamis itself.
    Tool,
    /// Nobody: the user asked for it (`--inject`).
    Injection,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $blame:ident;)*) => {
        /// Kinds of faults. Codes are part of the public interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FaultKind { $($(#[$doc])* $name,)* }

        impl FaultKind {
            /// All kinds, for documentation and tests.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$name,)*];

            /// The stable name, as reports and `tamis explain` spell it.
            pub const fn code(self) -> &'static str {
                match self { $(FaultKind::$name => $code,)* }
            }

            /// Whose fault this kind is.
            pub const fn blame(self) -> Blame {
                match self { $(FaultKind::$name => Blame::$blame,)* }
            }
        }
    };
}

faults! {
    /// The filter trapped: a panic, `unreachable`, an access outside its memory.
    Trap = "trap", Filter;
    /// The filter used up the fuel of one callback: most likely a loop without end.
    OutOfFuel = "out-of-fuel", Filter;
    /// The filter asked for more memory than its limit and then trapped.
    OutOfMemory = "out-of-memory", Filter;
    /// The filter's VM died earlier; policy decided about this exchange.
    DeadVm = "dead-vm", Filter;
    /// A call that crashes Envoy in this phase (a reply in `on_log`).
    WouldCrash = "would-crash-envoy", Filter;
    /// What makes a worker of Envoy loop for ever (a gRPC stream without hosts after a callout that could not start).
    WouldHang = "would-hang-envoy", Filter;
    /// A resume inside its own phase: Envoy duplicates or hangs the stream.
    WouldDuplicate = "would-duplicate", Filter;
    /// Paused and nothing left that could resume the stream: Envoy answers 504 after its idle timeout.
    Stuck = "stuck", Filter;
    /// More body is held back than the buffer limit allows: Envoy answers 413 or 500, or resets the stream.
    BufferLimit = "buffer-limit", Filter;
    /// A reply after the response headers went out: Envoy resets the stream.
    LateReply = "late-reply", Filter;
    /// The body's length and `content-length` differ: corrupts the connection, a request smuggling risk.
    BodyLength = "body-length", Filter;
    /// Headers that the router or codec refuses (a removed `:method`, a newline in a value).
    BadHeaders = "bad-headers", Filter;
    /// A callout that nobody answers in the test.
    UnansweredCallout = "unanswered-callout", Expectation;
    /// A trap that was asked for.
    InjectedTrap = "injected-trap", Injection;
    /// The filter got no memory, because that was asked for.
    InjectedOutOfMemory = "injected-out-of-memory", Injection;
    /// An injected fault killed the filter's VM earlier; policy decided about this exchange.
    InjectedDeadVm = "injected-dead-vm", Injection;
    /// The client went away, because that was asked for.
    ClientAbort = "client-abort", Injection;
    /// The exchange lacks what playing needs (no request half).
    NotPlayable = "not-playable", Capture;
    /// The filter used something this version of the host does not have.
    NotSupported = "not-supported", Tool;
    /// A broken invariant of the host.
    Internal = "internal", Tool;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in `{}`: {}", self.kind.code(), self.phase, self.text)
    }
}
