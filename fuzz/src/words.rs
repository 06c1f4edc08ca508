//! Words that mean something to the host: what a fuzzer would not guess.

/// A key that opens nothing, made for this place.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4k07VDgFenYSRz8V
nl82lf4iuCsO9WFvT1mDLl1KQ9yhRANCAAR1db6dsn9h83+kn1KN+gidnMyrDX8g
bDUnn3MVZFJNYDtS1/LOs39Axm20PkHHP9rrHl6EIe+/qjXdDlvqg5EW
-----END PRIVATE KEY-----
";

/// Its public half.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdXW+nbJ/YfN/pJ9SjfoInZzMqw1/
IGw1J59zFWRSTWA7UtfyzrN/QMZttD5Bxz/a6x5ehCHvv6o13Q5b6oORFg==
-----END PUBLIC KEY-----
";

/// Fields and their values, names of functions and clusters, paths, expressions; the first ones are short.
const PLAIN: &[&str] = &[
    "",
    "a",
    "x-a",
    ":path",
    ":method",
    ":authority",
    ":status",
    ":scheme",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "cookie",
    "X-In",
    "grpc-status",
    "/b?c=d",
    "204",
    "12",
    "bad\r\nvalue",
    "grpc",
    "other",
    "name.svc",
    "10.0.0.1",
    "::1",
    "compress",
    "uncompress",
    "verify_signature",
    "sign",
    "declare_property",
    "set_envoy_filter_state",
    "expr_create",
    "expr_evaluate",
    "expr_delete",
    "clear_route_cache",
    "request",
    "request\0path",
    "request\0headers\0x-in",
    "response\0code",
    "response\0trailers",
    "source\0address",
    "connection\0mtls",
    "metadata\0filter_metadata\0a\0b",
    "xds\0node\0metadata",
    "xds\0cluster_name",
    "filter_state",
    "plugin_root_id",
    "wasm\0a",
    "envoy.tcp_proxy.cluster",
    "request.path == '/' && request.headers['x-in'] != ''",
    "[1, 2, 3].map(x, x * 2)",
    "request",
    "timestamp('2026-11-23T07:03:24Z') - request.time",
    "xds.node.metadata.a[0]",
    "\0\0\0\0",
    "\x01\0\0\0",
];

/// All of them, at most 96.
pub(crate) fn words() -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = PLAIN.iter().map(|word| word.as_bytes().to_vec()).collect();
    let request: &[(&[u8], &[u8])] = &[(b":path", b"/"), (b":method", b"POST"), (b":authority", b"up")];
    let fields: &[(&[u8], &[u8])] =
        &[(b"x-a", b"1"), (b"X-A", b"2"), (b"content-length", b"3"), (b"host", b"h")];
    let binary: &[(&[u8], &[u8])] = &[(b"a-bin", b"\0\xff"), (b"grpc-timeout", b"1S")];
    words.extend([request, fields, binary, &[]].map(pairs));
    words.extend([
        // `GrpcService`s: a cluster, with an authority and metadata, of Google's client.
        b"\x0a\x06\x0a\x04grpc".to_vec(),
        b"\x0a\x09\x0a\x02up\x12\x03own\x2a\x08\x0a\x03X-a\x12\x01b".to_vec(),
        b"\x12\x04\x0a\x02up".to_vec(),
        // Arguments of foreign functions.
        message(&[(1, b"sha256"), (3, b"text"), (4, PRIVATE_KEY.as_bytes())]),
        message(&[(1, b"sha256"), (3, b"signature"), (4, b"text"), (5, PUBLIC_KEY.as_bytes())]),
        message(&[(1, b"sha1"), (2, b"\x30\x03\x02\x01\x01"), (4, b"text")]),
        [message(&[(1, b"x-a"), (4, b"a schema")]), vec![0x10, 1, 0x18, 1]].concat(),
        [message(&[(1, b"wasm\0a"), (4, b"type.googleapis.com/google.protobuf.Struct")]), vec![0x18, 3]]
            .concat(),
        message(&[(1, b"envoy.tcp_proxy.cluster"), (2, b"up")]),
        message(&[(1, b"envoy.network.upstream_server_name"), (2, b"shop")]),
        // `a` in a zlib stream.
        b"\x78\x9c\x4b\x04\x00\x00\x62\x00\x62".to_vec(),
        // Two pieces for `fd_write`, which name what lies in front of the heap.
        [[0, 0, 0, 0, 9, 0, 0, 0], [64, 0, 0, 0, 64, 0, 0, 0]].concat(),
        vec![b'l'; 3_000],
    ]);
    words
}

/// Fields of bytes of a protobuf message.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in fields {
        out.push(number << 3 | 2);
        if bytes.len() > 0x7f {
            out.push(bytes.len() as u8 & 0x7f | 0x80);
            out.push((bytes.len() >> 7) as u8);
        } else {
            out.push(bytes.len() as u8);
        }
        out.extend_from_slice(bytes);
    }
    out
}

fn pairs(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let iter = || fields.iter().copied();
    let mut out = vec![0; tamis_abi::pairs::encoded_len(iter())];
    tamis_abi::pairs::encode(iter(), &mut out);
    out
}
