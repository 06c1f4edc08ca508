//! The words of the grammar, and what it leaves out.

/// Something that is not generated, and why.
pub struct LeftOut {
    /// What.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

const fn out(what: &'static str, why: &'static str) -> LeftOut {
    LeftOut { what, why }
}

/// All that the grammar leaves out.
pub const LEFT_OUT: &[LeftOut] = &[
    out("local reply and close_stream(0, 1) in log, done and delete", "crashes Envoy (docs/envoy.md 2.15)"),
    out("continue_stream in headers callbacks that go on", "crashes Envoy or doubles the message (2.15)"),
    out("continue_stream(1) in request phases", "crashes Envoy (2.15)"),
    out("close_stream in response trailers that go on", "Envoy calls deleted contexts (2.15)"),
    out("gRPC services that are not an encoded message", "some names abort Envoy (2.7); rows 140 to 155"),
    out(
        "gRPC streams that find no host",
        "their callbacks run inside the host function, and may hang it (2.15)",
    ),
    out("ticks", "a timer of the real world falls between any two callbacks; rows 18 and 69"),
    out(
        "callouts of streams that go on meanwhile",
        "the answer comes before or after the response, as it happens",
    ),
    out("callouts in trailers", "a peer that has its content-length goes its way meanwhile, sooner or later"),
    out("callouts while a body comes in pieces", "some come before the answer, and some behind it"),
    out(
        "a local reply beside a callout",
        "the answer comes after the stream, and the next may have begun; row 17",
    ),
    out("empty names", "a list of pairs forgets them, a single call does not; row 162"),
    out("close_stream beside a local reply", "Envoy calls deleted contexts (2.15)"),
    out("operations in delete", "the line that says that a stream is over would not be its last"),
    out("set_buffer_bytes of buffer 8", "crashes Envoy (2.15)"),
    out("queues that somebody registered", "what is ready is told between any two callbacks; row 59"),
    out(
        "TCP connections, upgrades",
        "the pieces of both sides come as they happen to; rows 42, 73, 127, 128",
    ),
    out("several workers", "which of them gets a request is a matter of chance; `tests/workers.rs`"),
    out(
        "traps",
        "no later stream would see the filter; under FAIL_RELOAD an Envoy with other chains beside dies now and then \
        when it makes the VM anew; rows 10 to 12, 70, 71, 86, 87 and 124",
    ),
    out("informational and out-of-range statuses of local replies", "the client's HTTP library refuses them"),
    out(
        "control characters in values",
        "in a local reply they go out as they are (2.5); the router refuses a request \
        sooner or later, as its connection stands; row 33",
    ),
    out(
        "bytes in names that no name may have",
        "request.headers as a whole crashes Envoy then (2.15); row 33",
    ),
    out(
        "requests without a :method",
        "the router refuses them sooner or later, as its connection stands; row 32",
    ),
    out("referer and origin of clients", "Envoy drops those that are no URL"),
    out("callouts of filters with allow_on_headers_stop_iteration", "the body lets the headers go meanwhile"),
    out(
        "two local replies in one callback of response headers",
        "Envoy logs the stream twice and may crash (2.15)",
    ),
    out("names and values over HTTP/2 that its client refuses", "the client's library ends the stream"),
    out("an upstream that resets", "a recording has no such exchange, so the host has none"),
    out("HTTP/2 metadata", "the clients' library cannot send it; rows 198 and 199"),
    out("fields of a flat buffer", "Envoy crashes on a schema that is none (docs/envoy.md 2.10)"),
    out("times, ports, addresses, connection ids", "no two runs share them (engine/observed.rs)"),
];

/// Names of request headers, for filters and clients alike. Those that join, and those that do not (2.1a).
pub(super) const REQUEST: &[(usize, &str)] = &[
    (8, "x-a"),
    (5, "x-b"),
    (3, "X-Mixed"),
    (3, "accept"),
    (3, "accept-language"),
    (2, "authorization"),
    (2, "cache-control"),
    (2, "content-type"),
    (2, "content-encoding"),
    (3, "cookie"),
    (1, "if-match"),
    (1, "pragma"),
    (1, "traceparent"),
    (2, "user-agent"),
    (3, "via"),
    (1, "warning"),
    (2, "x-request-id"),
    (1, "x_under.score!"),
];

/// Names of request headers that only filters touch: a client that sends them has Envoy act on them first.
pub(super) const REQUEST_FILTER: &[(usize, &str)] = &[
    (4, "host"),
    (4, ":authority"),
    (4, ":path"),
    (2, ":method"),
    (2, ":scheme"),
    (1, ":status"),
    (1, ":protocol"),
    (1, ":odd"),
    (1, "grpc-timeout"),
    (2, "te"),
    (1, "referer"),
    (1, "origin"),
    (2, "x-forwarded-for"),
    (2, "x-forwarded-proto"),
    (1, "x-forwarded-host"),
    (1, "x-envoy-original-path"),
    (1, "x-envoy-internal"),
];

/// Names of response headers, for upstreams and filters.
pub(super) const RESPONSE: &[(usize, &str)] = &[
    (8, "x-a"),
    (5, "x-b"),
    (3, "X-Mixed"),
    (2, "age"),
    (3, "cache-control"),
    (2, "content-type"),
    (1, "content-encoding"),
    (2, "etag"),
    (1, "last-modified"),
    (2, "link"),
    (2, "location"),
    (4, "set-cookie"),
    (3, "vary"),
    (2, "via"),
    (1, "www-authenticate"),
    (2, "server"),
    (1, "grpc-status"),
    (1, "grpc-message"),
    (1, "access-control-allow-origin"),
    (1, "x_under.score!"),
];

/// Names of response headers that only filters touch.
pub(super) const RESPONSE_FILTER: &[(usize, &str)] =
    &[(6, ":status"), (1, ":path"), (1, ":odd"), (1, "x-envoy-upstream-service-time")];

/// Names of trailers.
pub(super) const TRAILERS: &[(usize, &str)] = &[
    (6, "x-t"),
    (3, "x-u"),
    (2, "grpc-status"),
    (2, "grpc-message"),
    (1, "X-Mixed"),
    (1, "via"),
    (1, "cookie"),
];

/// Values that any header may have, on the wire too.
pub(super) const VALUES: &[(usize, &str)] = &[
    (6, "1"),
    (6, "two"),
    (3, "a,b"),
    (2, "-"),
    (2, "MiXed/Value%3bq=0.5"),
    (2, "a%20b"),
    (1, "0"),
    (1, "%22quoted%22"),
    (1, "=%25,%26"),
];

/// Values that only a filter can give: the wire refuses some of them.
pub(super) const ODD_VALUES: &[(usize, &str)] = &[
    (4, "%e9%ff"),
    (2, "%20lead"),
    (2, "trail%20"),
    (1, "tab%09in"),
    (1, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiii"),
];

/// Paths of requests.
pub(super) const PATHS: &[&str] =
    &["/", "/a", "/a/b?c=d", "/?q", "/%2525/x", "/a//b/../c", "/a?b=c&d=%25C3%25A9"];

/// Pieces of bodies, of requests, responses and filters.
pub(super) const PIECES: &[&str] =
    &["hello", "a", "one two three", "{\"k\":1}", "0123456789abcdef0123456789abcdef"];

/// Numbers of buffers, as a filter may have them.
pub(super) const BUFFERS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "9", "99"];

/// Paths of properties whose values both engines know.
pub(super) const PROPERTIES: &[&str] = &[
    "request.path",
    "request.url_path",
    "request.query",
    "request.host",
    "request.scheme",
    "request.method",
    "request.headers.x-a",
    "request.headers.X-B",
    "request.headers",
    "request.referer",
    "request.useragent",
    "request.id",
    "request.protocol",
    "request.size",
    "request.headers_bytes",
    "request.total_size",
    "response.code",
    "response.code_details",
    "response.flags",
    "response.grpc_status",
    "response.headers.x-a",
    "response.headers",
    "response.trailers.x-t",
    "response.trailers",
    "response.size",
    "response.headers_bytes",
    "response.total_size",
    "connection.mtls",
    "connection.requested_server_name",
    "connection.tls_version",
    "upstream.request_attempt_count",
    "upstream.transport_failure_reason",
    "xds.filter_chain_name",
    "xds.route_name",
    "xds.route_metadata",
    "xds.cluster_name",
    "xds.cluster_metadata.filter_metadata",
    "xds.virtual_host_name",
    "xds.virtual_host_metadata",
    "xds.node.id",
    "xds.node.metadata.NAME",
    "xds.node.metadata.NUMBER",
    "xds.node.metadata.LIST",
    "xds.listener_direction",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "metadata",
    "filter_state.wasm%2eown",
    "own",
    "filter_state",
    "request",
    "xds",
    "nothing",
    "-",
    "response.code.x",
];

/// Expressions over what both engines know.
pub(super) const EXPRESSIONS: &[&str] = &[
    "request.path",
    "request.path.startsWith('/a')",
    "request.url_path.matches('^/a.*')",
    "request.query=='q'",
    "request.headers['x-a']",
    "'x-a'%20in%20request.headers",
    "has(request.headers)",
    "request.scheme+'x'",
    "request.size+1",
    "request",
    "response.code==200",
    "response.code+1",
    "string(response.code)",
    "has(response.code)",
    "response.headers['x-a']=='1'%20?%20'y'%20:%20'n'",
    "response.trailers['x-t']",
    "response.flags",
    "response.grpc_status",
    "response.total_size",
    "upstream.request_attempt_count==0u",
    "xds.node.metadata.NAME",
    "xds.route_name",
    "metadata",
    "plugin_name",
    "connection.mtls%7c%7cfalse",
    "own",
    "own==b'1'",
    "filter_state['wasm.own']",
    "[1,2u,'three',4.5,true]",
    "{'a':1}",
    "1/0",
    "1+",
    "nothing",
    "nothing(1)",
];
