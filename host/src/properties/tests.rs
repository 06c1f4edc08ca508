//! The matrix of docs/envoy.md 2.9, column by column.

use super::*;
use std::sync::LazyLock;

static REQUEST: LazyLock<Headers> = LazyLock::new(|| {
    let fields = [
        (":authority", "shop"),
        (":path", "/a?b=c?d"),
        (":method", "POST"),
        (":scheme", "http"),
        ("user-agent", "ua"),
        ("x-request-id", "id-1"),
        ("content-length", "7"),
        ("x-two", "1"),
        ("x-two", "2"),
        ("empty", ""),
    ];
    fields.into_iter().collect()
});
static RESPONSE: LazyLock<Headers> =
    LazyLock::new(|| [(":status", "200"), ("x-a", "b")].into_iter().collect());
static KNOWN: LazyLock<Attributes> = LazyLock::new(|| Attributes {
    route_name: Some("r".into()),
    cluster_name: Some("inbound|80||".into()),
    response_flags: Some("UF,URX".into()),
    ..Attributes::default()
});
static NOTHING: LazyLock<Attributes> = LazyLock::new(Attributes::default);
static PEER: LazyLock<Peer> =
    LazyLock::new(|| Peer { address: "[::1]:8080".into(), identity: Some("spiffe://td/ns/a".into()) });

fn base() -> View<'static> {
    View {
        stream: true,
        request_headers: None,
        request_trailers: None,
        response_headers: None,
        response_trailers: None,
        sent: false,
        log: false,
        response_code: None,
        code_details: "",
        request_bytes: 0,
        response_bytes: 0,
        protocol: Protocol::Http11,
        started: 5,
        duration: Some(9),
        source: Some(&PEER),
        destination: None,
        upstream: Some(&PEER),
        side: Side::Inbound,
        attributes: &KNOWN,
        connection_id: 3,
        plugin_name: "p",
        root_id: "r",
        vm_id: "",
        state: &[],
    }
}

fn rqh() -> View<'static> {
    View { request_headers: Some(&REQUEST), ..base() }
}

fn rqb() -> View<'static> {
    View { sent: true, request_bytes: 4, ..base() }
}

fn rsh() -> View<'static> {
    View { response_headers: Some(&RESPONSE), response_code: Some(200), ..rqb() }
}

fn log() -> View<'static> {
    View { request_headers: Some(&REQUEST), request_bytes: 7, response_bytes: 11, log: true, ..rsh() }
}

#[track_caller]
fn check(view: &View<'static>, path: &str, want: Result<&[u8], u32>) {
    let got = lookup(path.replace('.', "\0").as_bytes(), view);
    assert_eq!(got.as_deref().map_err(|s| s.0), want, "{path}");
}

#[track_caller]
fn number(view: &View<'static>, path: &str, want: u64) {
    check(view, path, Ok(&want.to_le_bytes()));
}

#[test]
fn envoy_2_9_request_texts_are_there_while_the_map_is() {
    let texts = [
        ("request.path", "/a?b=c?d"),
        ("request.url_path", "/a"),
        ("request.query", "b=c?d"),
        ("request.host", "shop"),
        ("request.scheme", "http"),
        ("request.method", "POST"),
        ("request.useragent", "ua"),
        ("request.id", "id-1"),
        ("request.headers.X-Two", "1,2"),
        ("request.headers.host", "shop"),
        ("request.headers.empty", ""),
    ];
    for (path, text) in texts {
        for view in [rqh(), log()] {
            check(&view, path, Ok(text.as_bytes()));
        }
        for view in [rqb(), rsh()] {
            check(&view, path, Err(1));
        }
    }
    check(&rqh(), "request.referer", Err(1));
    check(&rqh(), "request.headers.absent", Err(1));
    check(&rqh(), "request.path.deeper", Err(1));
}

#[test]
fn envoy_2_9_request_numbers() {
    let headers = REQUEST.byte_len() as u64;
    for (path, want) in [
        ("request.time", [5, 5, 5, 5]),
        ("request.size", [7, 4, 4, 7]),
        ("request.headers_bytes", [headers, 0, 0, headers]),
        ("request.total_size", [headers, 4, 4, headers + 7]),
    ] {
        for (view, want) in [rqh(), rqb(), rsh(), log()].iter().zip(want) {
            number(view, path, want);
        }
    }
    check(&rsh(), "request.duration", Err(1));
    number(&log(), "request.duration", 9);
    check(&rqb(), "request.protocol", Ok(b"HTTP/1.1"));
}

#[test]
fn envoy_2_9_response() {
    for path in ["response.code", "response.code_details", "response.grpc_status"] {
        check(&rqh(), path, Err(1));
        check(&rqb(), path, Err(1));
    }
    number(&rsh(), "response.code", 200);
    number(&rsh(), "response.grpc_status", 2);
    number(&View { response_code: Some(403), ..rsh() }, "response.grpc_status", 7);
    check(&rsh(), "response.code_details", Ok(b"via_upstream"));
    check(&rsh(), "response.headers.x-a", Ok(b"b"));
    check(&View { response_headers: None, ..rsh() }, "response.headers.x-a", Err(1));
    check(&rsh(), "response.trailers.x", Err(1));
    number(&rqh(), "response.headers_bytes", 0);
    number(&rsh(), "response.headers_bytes", RESPONSE.byte_len() as u64);
    for (view, want) in [(rqh(), 0), (rsh(), 0), (log(), 11)] {
        number(&view, "response.size", want);
    }
    number(&log(), "response.total_size", 11 + RESPONSE.byte_len() as u64);
    number(&rsh(), "response.flags", 0);
    number(&log(), "response.flags", 1 << 5 | 1 << 15);
    check(&log(), "response.backend_latency", Err(1));
}

#[test]
fn envoy_2_9_addresses_and_upstream() {
    check(&rqh(), "source.address", Ok(b"[::1]:8080"));
    number(&rqh(), "source.port", 8080);
    check(&rqh(), "destination.address", Err(1));
    check(&rqh(), "upstream.address", Err(1));
    check(&rqb(), "upstream.address", Ok(b"[::1]:8080"));
    number(&rqh(), "upstream.request_attempt_count", 0);
    number(&rqb(), "upstream.request_attempt_count", 1);
    check(&rqb(), "upstream.transport_failure_reason", Err(1));
    check(&View { attributes: &NOTHING, ..rqb() }, "upstream.transport_failure_reason", Ok(b""));
}

#[test]
fn envoy_2_9_connection_tells_only_what_was_recorded() {
    static MUTUAL: LazyLock<Attributes> = LazyLock::new(|| Attributes {
        mtls: Some(true),
        requested_server_name: Some("sni".into()),
        ..Attributes::default()
    });
    static PLAIN: LazyLock<Attributes> =
        LazyLock::new(|| Attributes { mtls: Some(false), ..Attributes::default() });
    let (mutual, plain) = (View { attributes: &MUTUAL, ..rqh() }, View { attributes: &PLAIN, ..rqh() });
    number(&rqh(), "connection.id", 3);
    number(&rqh(), "connection_id", 3);
    check(&rqh(), "connection.mtls", Err(1));
    check(&rqh(), "connection.requested_server_name", Err(1));
    check(&plain, "connection.mtls", Ok(&[0]));
    check(&plain, "connection.requested_server_name", Ok(b""));
    check(&plain, "connection.uri_san_peer_certificate", Err(1));
    check(&mutual, "connection.mtls", Ok(&[1]));
    check(&mutual, "connection.requested_server_name", Ok(b"sni"));
    check(&mutual, "connection.uri_san_peer_certificate", Ok(b"spiffe://td/ns/a"));
    check(&mutual, "connection.tls_version", Err(1));
}

#[test]
fn envoy_2_9_xds_and_plugin() {
    check(&rqh(), "xds.cluster_name", Ok(b"inbound|80||"));
    check(&rqh(), "xds.route_name", Ok(b"r"));
    number(&rqh(), "xds.listener_direction", 1);
    check(&rqh(), "xds.node.id", Err(1));
    check(&rqh(), "cluster_name", Err(1));
    check(&rqh(), "plugin_name", Ok(b"p"));
    let root = View { stream: false, ..rqh() };
    check(&root, "plugin_root_id", Ok(b"r"));
    check(&root, "plugin_vm_id", Ok(b""));
    for path in ["request.path", "request", "source.address", "connection_id", "metadata", "xds.cluster_name"]
    {
        check(&root, path, Err(1));
    }
}

#[test]
fn envoy_2_9_what_has_no_byte_form_and_what_is_a_map() {
    for path in ["request", "response", "connection", "upstream", "xds", "filter_state", ""] {
        check(&rqh(), path, Err(3));
    }
    check(&rqh(), "upstream_filter_state", Err(1));
    check(&rqb(), "upstream_filter_state", Err(3));
    check(&rqh(), "metadata", Ok(b""));
    check(&rqh(), "nonsense", Err(1));
    check(&rqh(), "response.headers", Err(1));
    let bytes = lookup(b"response\0headers", &rsh()).unwrap();
    let pairs: Vec<_> = tamis_abi::pairs::decode(&bytes).unwrap().collect();
    assert_eq!(pairs, [(&b":status"[..], &b"200"[..]), (b"x-a", b"b")]);
}

#[test]
fn envoy_2_9_filter_state() {
    static STATE: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
        let state = [("mine", "1"), ("request", "never"), ("request\0path", "never"), ("a\0b", "never")];
        state.map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).to_vec()
    });
    let view = View { state: &STATE, ..rqh() };
    check(&view, "mine", Ok(b"1"));
    assert_eq!(lookup(b"filter_state\0wasm.mine", &view).as_deref(), Ok(&b"1"[..]));
    assert_eq!(lookup(b"filter_state\0mine", &view), Err(Status::NotFound));
    check(&view, "mine.deeper", Err(1));
    check(&view, "request", Err(3));
    check(&view, "request.path", Ok(b"/a?b=c?d"));
    check(&view, "a.b", Err(1));
}
