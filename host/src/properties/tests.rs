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

static NO_STATE: LazyLock<FilterState> = LazyLock::new(FilterState::default);
static PROFILE: Profile = Profile::envoy_1_40();
static NO_PROXY: PropertyValue = PropertyValue::Map(Vec::new());

/// Stands for what ends the playback.
const NOT_SUPPORTED: u32 = 1000;

fn base() -> View<'static> {
    View {
        stream: true,
        request_headers: None,
        response_headers: None,
        response_trailers: None,
        sent: false,
        over: false,
        response_code: None,
        code_details: None,
        local: false,
        flags: 0,
        lost: false,
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
        state: &NO_STATE,
        profile: &PROFILE,
        proxy: &NO_PROXY,
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
    View { request_headers: Some(&REQUEST), request_bytes: 7, response_bytes: 11, over: true, ..rsh() }
}

#[track_caller]
fn check(view: &View<'static>, path: &str, want: Result<&[u8], u32>) {
    let got = lookup(path.replace('.', "\0").as_bytes(), view);
    let got = got.as_deref().map_err(|missing| match missing {
        Missing::Status(status) => status.0,
        Missing::NotSupported(_) => NOT_SUPPORTED,
    });
    assert_eq!(got, want, "{path}");
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
    number(&View { local: true, flags: flag("NR"), ..rsh() }, "response.flags", 1 << 8);
    number(&View { local: true, flags: flag("NR"), ..log() }, "response.flags", 1 << 8);
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
    check(&rqh(), "xds.virtual_host_name", Err(1));
    check(&View { attributes: &NOTHING, ..rqh() }, "xds.route_name", Ok(b""));
    number(&View { side: Side::Unknown, ..rqh() }, "xds.listener_direction", 0);
    let lost = View { lost: true, ..rqh() };
    for path in ["xds.route_name", "xds.route_metadata", "xds.cluster_name", "xds.cluster_metadata"] {
        check(&lost, path, Err(1));
    }
    check(&lost, "xds.virtual_host_metadata", Ok(b""));
    check(&rqh(), "xds.route_metadata", Ok(b""));
    check(&rqh(), "xds.route_metadata.filter_metadata", Ok(&[0; 4]));
    check(&rqh(), "xds.upstream_host_metadata", Err(1));
    check(&rqb(), "xds.upstream_host_metadata", Err(3));
    check(&rqh(), "cluster_name", Err(1));
    check(&rqh(), "plugin_name", Ok(b"p"));
    let root = View { stream: false, ..rqh() };
    check(&root, "plugin_root_id", Ok(b"r"));
    check(&root, "plugin_vm_id", Ok(b""));
    for path in ["request.path", "request", "source.address", "connection_id", "metadata", "xds.cluster_name"]
    {
        check(&root, path, Err(1));
    }
    check(&root, "xds", Err(3));
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
    check(&rqh(), "response.headers", Ok(&[0; 4]));
    let bytes = lookup(b"response\0headers", &rsh()).unwrap();
    let pairs: Vec<_> = tamis_abi::pairs::decode(&bytes).unwrap().collect();
    assert_eq!(pairs, [(&b":status"[..], &b"200"[..]), (b"x-a", b"b")]);
}

#[test]
fn envoy_2_9_a_map_of_headers_has_each_name_once() {
    let bytes = lookup(b"request\0headers", &rqh()).unwrap();
    let pairs: Vec<_> = tamis_abi::pairs::decode(&bytes).unwrap().collect();
    assert_eq!(pairs.len(), REQUEST.len() - 1);
    assert!(pairs.contains(&(b"x-two", b"1,2")));
}

#[test]
fn envoy_2_9_what_was_said_of_the_proxy() {
    static PROXY: LazyLock<PropertyValue> = LazyLock::new(|| {
        let json = r#"{
            "xds": {
                "node": {"id": "n", "metadata": {"N": 7, "NONE": null, "L": ["a", 2], "M": {"k": true}}},
                "route_name": "never", "virtual_host_name": "v",
                "route_metadata": {"filter_metadata": {"ns": {"k": 5}}}
            },
            "upstream": {"num_endpoints": 3, "local_address": "127.0.0.1:9"},
            "connection": {"tls_version": "TLSv1.3"},
            "metadata": {"filter_metadata": {"jwt": {"sub": "me"}}}
        }"#;
        PropertyValue::from(&serde_json::from_str::<serde_json::Value>(json).unwrap())
    });
    let view = |view: View<'static>| View { proxy: &PROXY, ..view };
    let (rqh, rqb, root) = (view(rqh()), view(rqb()), View { stream: false, ..view(rqb()) });
    let double = |n: f64| n.to_le_bytes();
    for view in [&rqh, &root] {
        check(view, "xds.node.id", Ok(b"n"));
        check(view, "xds.node.cluster", Ok(b""));
        check(view, "xds.node.locality.zone", Ok(b""));
        check(view, "xds.node.metadata.N", Ok(&double(7.0)));
        check(view, "xds.node.metadata.NONE", Err(3));
        check(view, "xds.node.metadata.L.0", Ok(b"a"));
        check(view, "xds.node.metadata.L.2", Err(1));
        check(view, "xds.node.metadata.L.x", Err(1));
        check(view, "xds.node.metadata.M.k", Ok(&[1]));
        assert!(lookup(b"xds\0node", view).unwrap().starts_with(b"\x0a\x01n"));
    }
    check(&rqh, "xds.route_name", Ok(b"r"));
    check(&rqh, "xds.virtual_host_name", Ok(b"v"));
    check(&root, "xds.virtual_host_name", Err(1));
    check(&rqh, "xds.route_metadata.filter_metadata.ns.k", Ok(&double(5.0)));
    check(&rqh, "xds.route_metadata", Ok(b"\n\x16\n\x02ns\x12\x10\n\x0e\n\x01k\x12\t\x11\0\0\0\0\0\0\x14@"));
    check(&rqh, "metadata.filter_metadata.jwt.sub", Ok(b"me"));
    check(&rqh, "connection.tls_version", Ok(b"TLSv1.3"));
    check(&rqh, "upstream.local_address", Err(1));
    check(&rqb, "upstream.local_address", Ok(b"127.0.0.1:9"));
    let list = lookup(b"xds\0node\0metadata\0L", &rqh).unwrap();
    let pairs: Vec<_> = tamis_abi::pairs::decode(&list).unwrap().collect();
    assert_eq!(pairs, [(&b"a"[..], &b""[..]), (&double(2.0), b"")]);
}

#[test]
fn envoy_2_9_filter_state() {
    static STATE: LazyLock<FilterState> = LazyLock::new(|| {
        let mut state = FilterState::default();
        for (key, value) in
            [("mine", "1"), ("request", "never"), ("request\0path", "never"), ("a\0b", "never")]
        {
            state.set(key.as_bytes(), value.as_bytes(), None).unwrap();
        }
        let once = Declared { key: b"once".to_vec(), ty: Type::Text, read_only: true };
        state.set(b"once", b"1", Some(&once)).unwrap();
        assert_eq!(state.set(b"once", b"2", Some(&once)), Err(Status::BadArgument));
        let proto = Declared {
            key: b"proto".to_vec(),
            ty: Type::Proto("type.googleapis.com/x.Y".into()),
            read_only: false,
        };
        state.set(b"proto", b"\x08\x01", Some(&proto)).unwrap();
        state.set_envoy(&PROFILE, "envoy.string", "text").unwrap();
        state.set_envoy(&PROFILE, "envoy.network.ip", "::1").unwrap();
        state.set_envoy(&PROFILE, "envoy.filters.listener.original_dst.local_ip", "[::1]:80").unwrap();
        assert_eq!(state.set_envoy(&PROFILE, "envoy.network.ip", "x"), Err(Status::BadArgument));
        assert_eq!(state.set_envoy(&PROFILE, "mine", "x"), Err(Status::NotFound));
        state
    });
    let view = View { state: &STATE, ..rqh() };
    check(&view, "mine", Ok(b"1"));
    check(&view, "once", Ok(b"1"));
    assert_eq!(lookup(b"filter_state\0wasm.mine", &view).as_deref(), Ok(&b"1"[..]));
    assert_eq!(lookup(b"filter_state\0mine", &view), Err(Status::NotFound.into()));
    assert_eq!(lookup(b"filter_state\0envoy.string", &view).as_deref(), Ok(&b"text"[..]));
    assert_eq!(lookup(b"filter_state\0envoy.network.ip", &view).as_deref(), Ok(&b"[::1]:0"[..]));
    let ip = b"filter_state\0envoy.filters.listener.original_dst.local_ip\0ip";
    assert_eq!(lookup(ip, &view).as_deref(), Ok(&b"::1"[..]));
    check(&view, "mine.deeper", Err(1));
    check(&view, "proto", Ok(b"\x08\x01"));
    check(&view, "proto.field", Err(1));
    check(&view, "request", Err(3));
    check(&view, "request.path", Ok(b"/a?b=c?d"));
    check(&view, "a.b", Err(1));
}
