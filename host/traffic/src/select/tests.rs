//! Expressions over one exchange.

use super::*;
use crate::{Message, Peer, Protocol, Slot};
use proptest::prelude::*;

fn exchange() -> Exchange {
    let request = [
        (":method", "GET"),
        (":path", "/cart/checkout?step=2"),
        (":authority", "shop.example"),
        ("user-agent", "curl/8"),
        ("accept", "text/html"),
        ("accept", "*/*"),
    ];
    let mut request = Message { headers: request.into_iter().collect(), ..Message::default() };
    request.headers.push(b"x-odd", b"Z\xfcrich");
    request.body.bytes = b"abc".to_vec();
    let mut response = Message { headers: [(":status", "200")].into_iter().collect(), ..Message::default() };
    response.trailers = Slot::some([("grpc-status", "16")].into_iter().collect());
    Exchange {
        request: Slot::some(request),
        response: Slot::some(response),
        protocol: Protocol::Http2,
        started: Some(1_767_225_600_000_000_000),
        duration: Some(20_000_000),
        source: Some(Peer {
            address: "10.0.0.1:4711".into(),
            identity: Some("spiffe://cluster.local/ns/shop/sa/frontend".into()),
        }),
        destination: Some(Peer { address: "[::1]:8080".into(), identity: None }),
        attributes: crate::Attributes {
            route_name: Some("checkout".into()),
            response_flags: Some("UF,URX".into()),
            mtls: Some(true),
            ..crate::Attributes::default()
        },
        ..Exchange::default()
    }
}

#[track_caller]
fn matches(text: &str) -> bool {
    let condition = Where::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    condition.matches(&exchange()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn conditions_that_hold() {
    for text in [
        r#"request.path == "/cart/checkout?step=2""#,
        r#"request.path.startsWith("/cart/checkout") && !("authorization" in request.headers)"#,
        r#"request.url_path == "/cart/checkout" && request.query == "step=2""#,
        r#"request.host == 'shop.example' && request.method == 'GET' && request.protocol == 'HTTP/2'"#,
        r#"request.headers["user-agent"] == request.useragent"#,
        r#"request.headers["User-Agent"] == "curl/8" && "USER-AGENT" in request.headers"#,
        r#"request.headers.accept == "text/html,*/*""#,
        "request.headers['x-odd'] == 'Z\u{fffd}rich'",
        "size(request.headers) == 6",
        r#"request.headers.exists(name, name == "x-odd")"#,
        "request.headers.all(a, request.headers.exists(b, a == b))",
        "request.size == 3 && request.total_size > 100",
        r#"request.time == timestamp("2026-01-01T00:00:00Z") && request.time.getFullYear() == 2026"#,
        r#"request.duration < duration("1s")"#,
        "response.code == 200 && response.grpc_status == 16",
        "response.trailers['grpc-status'] == '16'",
        "response.flags == 32800",
        "source.port == 4711 && source.address == '10.0.0.1:4711' && destination.port == 8080",
        "source.namespace == 'shop' && source.workload == 'frontend'",
        "connection.mtls && connection.uri_san_peer_certificate == source.identity",
        "xds.route_name == 'checkout'",
        r#"request.path.matches("^/cart/[a-z]+")"#,
        r#"matches(request.host, "^shop[.]") && !request.path.matches("^/orders")"#,
        r#"request.headers.exists(name, name.matches("^x-") && request.headers[name].matches("Z.rich"))"#,
        r#"request.path.matches("/" + "cart")"#,
        "has(request.path) && !has(request.referer) && !has(request.headers.nothing)",
        "request.referer == 'x' || true",
        "type(request.path) == string",
        "request.method in ['GET', 'HEAD'] ? true : false",
    ] {
        assert!(matches(text), "{text}");
    }
}

#[test]
fn what_an_exchange_lacks_does_not_match() {
    for text in [
        "request.referer == ''",
        "request.referer != ''",
        "request.headers['authorization'] != ''",
        "xds.cluster_name.startsWith('in')",
        "!(request.referer == 'x')",
    ] {
        assert!(!matches(text), "{text}");
    }
    let empty = Exchange::default();
    for text in ["request.path == '/'", "response.code == 200", "source.port > 0", "has(request.path)"] {
        assert_eq!(Where::parse(text).unwrap().matches(&empty), Ok(false), "{text}");
    }
}

#[test]
fn a_plain_response_has_the_grpc_status_that_envoy_makes_up() {
    for (status, want) in [("200", 2), ("401", 16), ("503", 14), ("418", 2)] {
        let mut exchange = exchange();
        let response = exchange.response.get_or_fill();
        response.trailers.clear();
        response.headers.set_value(0, status.as_bytes());
        let condition = Where::parse(&format!("response.grpc_status == {want}")).unwrap();
        assert_eq!(condition.matches(&exchange), Ok(true), "{status}");
    }
}

#[track_caller]
fn refused(text: &str, want: &str, hint: Option<&str>) {
    let error = match Where::parse(text) {
        Err(error) => error,
        Ok(condition) => condition.matches(&exchange()).expect_err(text),
    };
    assert_eq!((error.to_string().as_str(), error.hint().as_deref()), (want, hint), "{text}");
}

#[test]
fn errors_say_where_and_what_would_work() {
    refused("", "column 1: expression is empty", None);
    refused(
        "request.pth == '/'",
        "column 1: no attribute `request.pth`",
        Some("did you mean `request.path`?"),
    );
    refused(
        "true &&\n  'é' == request.haeders.x",
        "line 2, column 10: no attribute `request.haeders.x`",
        Some("did you mean `request.headers`?"),
    );
    refused("'é' == user.name", "column 8: no attribute `user.name`", Some(ANY_NAME));
    refused("request.path.size == 3", "column 1: no attribute `request.path.size`", Some(NEAR_PATH));
    refused(
        "request['path'] == '/'",
        "column 1: `request` is a group of attributes, not a value",
        Some("write `request.` and the name of an attribute"),
    );
    refused(
        "request.path.startWith('/')",
        "column 23: no function `startWith`",
        Some("did you mean `startsWith`?"),
    );
    refused("request.path == ", "column 17: ends too early", None);
    refused("'é' == ? 1", "column 8: unexpected '?'", None);
    refused("request.path.matches('(a')", "column 22: not a regular expression: unclosed group", None);
    refused(
        "request.path.matches('(a{1000}){1000}')",
        "column 22: not a regular expression: Compiled regex exceeds size limit of 1048576 bytes.",
        None,
    );
    refused("Foo{a: 1} == 1", "column 4: messages cannot be used here", None);
    refused("request.path", "expression gives a string, not a bool", Some(COMPARE));
    refused("request.path > 3", "expression cannot be evaluated: `>` does not take string and int", None);
    refused("request.size / 0 == 1", "expression cannot be evaluated: division by zero", None);
    refused(
        &format!("request.path == '{}'", "x".repeat(MAX_LENGTH)),
        "expression of 2066 bytes is above the limit of 2048 bytes",
        None,
    );
    refused(
        &format!("{}true{}", "(".repeat(33), ")".repeat(33)),
        "column 33: nested deeper than 32 levels",
        None,
    );
    refused(
        "[1].all(a, [1].all(b, [1].all(c, true)))",
        "column 30: more than 2 loops inside each other",
        None,
    );
}

const ANY_NAME: &str = "attributes are named as in Envoy, for instance `request.path`";
const NEAR_PATH: &str = "did you mean `request.path`?";
const COMPARE: &str = "compare with something, for instance `… == \"value\"`";

#[test]
fn no_secret_of_the_traffic_is_in_an_error() {
    let condition = Where::parse("request.headers['x-odd'] + 1 == ''").unwrap();
    assert!(!condition.matches(&exchange()).unwrap_err().to_string().contains("rich"));
}

/// Runs with the small stack of a thread: what the limits let through must not overflow it.
#[test]
fn long_and_deep_expressions_end() {
    let texts = [
        vec!["1"; 1_000].join("+") + " > 0",
        vec!["true"; 250].join("&&"),
        vec!["true"; 250].join("||"),
        "!".repeat(2_000) + "true",
        "-".repeat(2_000) + "1 > 0",
        "[".repeat(2_000),
        "a.".repeat(1_000) + "b",
        format!("request{} == 1", ".a".repeat(1_000)),
        format!("request.path{} == ''", "[0]".repeat(600)),
        "true ? ".repeat(200) + "true" + &" : true".repeat(200),
        "\"".repeat(2_000),
        "x(".repeat(1_000),
        "has(".repeat(500),
        format!("[{}].all(a, [{}].all(b, a <= b))", vec!["1"; 450].join(","), vec!["1"; 450].join(",")),
    ];
    let run = move || {
        for text in texts {
            if let Ok(condition) = Where::parse(&text) {
                let _ = condition.matches(&exchange());
            }
        }
        assert_eq!(Where::parse(&vec!["true"; 60].join("&&")).unwrap().matches(&exchange()), Ok(true));
        assert_eq!(Where::parse(&vec!["1"; 30].join("+")).map(|_| ()), Ok(()));
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn no_expression_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..24)) {
        let text = words.join(" ");
        if let Ok(condition) = Where::parse(&text) {
            let _ = condition.matches(&exchange());
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,60}") {
        let _ = Where::parse(&text).map(|condition| condition.matches(&exchange()));
    }
}

const WORDS: &[&str] = &[
    "request",
    ".",
    "path",
    "headers",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'a'",
    "\"",
    "1",
    "1u",
    "1.5",
    "-",
    "!",
    "==",
    "<",
    "in",
    "&&",
    "||",
    "?",
    ":",
    ",",
    "has",
    "all",
    "map",
    "x",
    "size",
    "matches",
    "response.code",
    "request.time",
    "request.headers",
    "null",
    "true",
    "b'\\xff'",
    "9223372036854775807",
    "+",
    "*",
    "/",
    "%",
    "int",
    "string",
    "timestamp",
    "duration",
];
