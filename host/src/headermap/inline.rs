//! The headers that Envoy 1.40 keeps in one slot, by map (docs/envoy.md 2.1a, measured on the stock binary).

use super::MapKind;

/// True when a second value of this lower-case name joins the first.
pub(super) fn is_inline(kind: MapKind, name: &[u8]) -> bool {
    let table = match kind {
        MapKind::RequestHeaders => REQUEST,
        MapKind::ResponseHeaders => RESPONSE,
        MapKind::RequestTrailers => return false,
        MapKind::ResponseTrailers => RESPONSE_TRAILERS,
    };
    // By length first: most names are told apart by it, without touching the bytes.
    table.binary_search_by(|row| row.len().cmp(&name.len()).then_with(|| row.as_bytes().cmp(name))).is_ok()
}

/// Ordered by length, then by bytes.
const RESPONSE_TRAILERS: &[&str] = &["grpc-status", "grpc-message"];

/// Ordered by length, then by bytes.
const REQUEST: &[&str] = &[
    "te",
    "via",
    ":path",
    "accept",
    "expect",
    "origin",
    "pragma",
    ":method",
    ":scheme",
    "referer",
    "upgrade",
    "cdn-loop",
    "if-match",
    "if-range",
    ":protocol",
    ":authority",
    "connection",
    "keep-alive",
    "user-agent",
    "content-type",
    "grpc-timeout",
    "proxy-status",
    "x-request-id",
    "authorization",
    "cache-control",
    "if-none-match",
    "content-length",
    "accept-encoding",
    "x-envoy-ip-tags",
    "x-forwarded-for",
    "content-encoding",
    "proxy-connection",
    "x-envoy-internal",
    "x-envoy-retry-on",
    "x-forwarded-host",
    "x-forwarded-port",
    "if-modified-since",
    "transfer-encoding",
    "x-client-trace-id",
    "x-forwarded-proto",
    "if-unmodified-since",
    "x-envoy-force-trace",
    "x-envoy-max-retries",
    "grpc-accept-encoding",
    "x-envoy-original-url",
    "x-envoy-attempt-count",
    "x-envoy-original-path",
    "x-envoy-retry-grpc-on",
    "x-forwarded-client-cert",
    "x-envoy-external-address",
    "x-envoy-is-timeout-retry",
    "x-envoy-decorator-operation",
    "access-control-request-method",
    "access-control-request-headers",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-downstream-service-node",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-downstream-service-cluster",
    "x-envoy-upstream-stream-duration-ms",
    "access-control-request-private-network",
    "x-envoy-upstream-rq-per-try-timeout-ms",
];

/// Ordered by length, then by bytes.
const RESPONSE: &[&str] = &[
    "age",
    "via",
    "date",
    "etag",
    "vary",
    "server",
    ":status",
    "upgrade",
    "location",
    "connection",
    "keep-alive",
    "grpc-status",
    "content-type",
    "grpc-message",
    "proxy-status",
    "x-request-id",
    "cache-control",
    "last-modified",
    "content-length",
    "content-encoding",
    "proxy-connection",
    "x-envoy-degraded",
    "transfer-encoding",
    "x-envoy-ratelimited",
    "x-envoy-attempt-count",
    "access-control-max-age",
    "x-envoy-upstream-canary",
    "access-control-allow-origin",
    "x-envoy-decorator-operation",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
    "x-envoy-upstream-service-time",
    "access-control-allow-credentials",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-upstream-healthchecked-cluster",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_ordered_for_the_search() {
        for table in [REQUEST, RESPONSE, RESPONSE_TRAILERS] {
            assert!(table.is_sorted_by(|a, b| (a.len(), a) < (b.len(), b)));
        }
        assert_eq!((REQUEST.len(), RESPONSE.len()), (65, 36));
    }

    #[test]
    fn envoy_2_1a_joined_and_separate_headers() {
        for name in
            [":path", "te", "x-forwarded-for", "x-envoy-upstream-rq-per-try-timeout-ms", "authorization"]
        {
            assert!(is_inline(MapKind::RequestHeaders, name.as_bytes()), "{name}");
        }
        for name in ["cookie", "accept-language", "traceparent", "date", "vary", "x-custom", ""] {
            assert!(!is_inline(MapKind::RequestHeaders, name.as_bytes()), "{name}");
        }
        for name in [":status", "vary", "grpc-message", "access-control-max-age"] {
            assert!(is_inline(MapKind::ResponseHeaders, name.as_bytes()), "{name}");
        }
        for name in ["set-cookie", "www-authenticate", "link", "user-agent", "x-forwarded-for"] {
            assert!(!is_inline(MapKind::ResponseHeaders, name.as_bytes()), "{name}");
        }
        assert!(is_inline(MapKind::ResponseTrailers, b"grpc-status"));
        assert!(!is_inline(MapKind::ResponseTrailers, b"content-type"));
        assert!(!is_inline(MapKind::RequestTrailers, b"grpc-status"));
    }
}
