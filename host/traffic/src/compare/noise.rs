//! Response fields whose differences say nothing about a filter.

/// A response header that differs for reasons of its own. Another value never counts; `added` and `removed`
/// say whether it may also come and go.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// The name, in lower case.
    pub name: &'static str,
    /// Its coming does not count either.
    pub added: bool,
    /// Its going does not count either.
    pub removed: bool,
    /// Why.
    pub reason: &'static str,
}

const TRACING: &str = "names the trace of one run";
const HOP: &str = "belongs to one connection; Envoy writes it anew after the filters (docs/envoy.md 2.1.3)";

const fn value_only(name: &'static str, reason: &'static str) -> Noise {
    Noise { name, added: false, removed: false, reason }
}

const fn always(name: &'static str, reason: &'static str) -> Noise {
    Noise { name, added: true, removed: true, reason }
}

/// All noise fields. A field that a filter may well set itself (`x-request-id`) is only ignored when both sides
/// have it.
pub const NOISE: &[Noise] = &[
    always("date", "the time of the reply; Envoy adds it where it is missing"),
    always("server", "Envoy overwrites it after the filters (docs/envoy.md 2.1.3)"),
    always("connection", HOP),
    always("keep-alive", HOP),
    always("proxy-connection", HOP),
    always("transfer-encoding", HOP),
    Noise {
        name: "x-envoy-upstream-service-time",
        added: true,
        removed: false,
        reason: "milliseconds of one run, added by Envoy before the filters (docs/envoy.md 2.1.3)",
    },
    value_only("x-request-id", "made for each request"),
    value_only("traceparent", TRACING),
    value_only("tracestate", TRACING),
    value_only("b3", TRACING),
    value_only("x-b3-traceid", TRACING),
    value_only("x-b3-spanid", TRACING),
    value_only("x-b3-parentspanid", TRACING),
    value_only("x-b3-sampled", TRACING),
    value_only("x-cloud-trace-context", TRACING),
    value_only("x-amzn-trace-id", TRACING),
    value_only("x-ot-span-context", TRACING),
    value_only("grpc-trace-bin", TRACING),
];

/// True when this difference of a response header does not count.
pub(super) fn ignores(name: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> bool {
    NOISE.iter().any(|noise| {
        noise.name.as_bytes() == name && (old.is_some() || noise.added) && (new.is_some() || noise.removed)
    })
}
