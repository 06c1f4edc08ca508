//! Traffic tests as text, and what the checker finds in playbacks.

use super::*;
use crate::PropertyValue;
use crate::answers::{Answer, Answers};
use crate::{
    Callout, Exchange, Fault, FaultKind, FilterTrace, Headers, Log, LogLevel, Message, Outcome, Playback,
};
use crate::{Protocol, Slot};
use std::path::Path;
use std::time::Duration;

mod checks;

fn parse(text: &str) -> Result<TrafficTest, TestError> {
    TrafficTest::parse(Path::new("tests/a.yaml"), text)
}

#[track_caller]
fn good(text: &str) -> TrafficTest {
    parse(text).unwrap_or_else(|error| panic!("{error}\nhint: {:?}", error.hint))
}

/// The example that the documentation shows.
const CHECKOUT: &str = r#"
filter: .                                  # a package, a .wasm, or oci://…
config: { cluster: idp, required: true }   # or a file
capture: captures/boutique.jsonl           # any format we read
host: { profile: envoy-1.40, clock: 2026-01-01T00:00:00Z, seed: 7, chunks: recorded }
callouts:
  - cluster: idp
    path: /introspect
    answer: { status: 403, delay: 20ms }
expect:
  - name: nothing breaks
    faults: none
    cost: { fuel: "< 20000" }
  - name: checkout needs a token
    where: request.path.startsWith("/cart/checkout") && !("authorization" in request.headers)
    count: ">= 10"
    reply: { status: 401, headers: { www-authenticate: { prefix: Bearer } } }
    upstream: none
  - name: the rest is untouched
    where: others
    upstream: recorded
    reply: recorded
send:                                      # not in the capture
  - request: { method: GET, path: /, headers: { x-odd: "\xff" } }
    expect: { reply: { status: 200 } }
"#;

#[test]
fn the_example_of_the_documentation_is_read() {
    let test = good(CHECKOUT);
    assert_eq!(test.chain.len(), 1);
    assert_eq!(test.chain[0].filter.value, ".");
    assert_eq!(test.chain[0].config, Config::Inline(r#"{"cluster":"idp","required":true}"#.into()));
    assert_eq!(
        test.captures[0],
        Located { value: "captures/boutique.jsonl".into(), at: Spot { line: 4, column: 10 } }
    );
    assert_eq!(test.host.clock, Some(Clock::Fixed(1_767_225_600_000_000_000)));
    assert_eq!((test.host.seed, test.host.chunks), (Some(7), Chunks::Recorded));
    let Answer::Reply { message, after: delay } = &test.callouts[0].answer else { panic!() };
    assert_eq!((message.headers.text(":status"), *delay), (Some("403"), Duration::from_millis(20)));
    let names: Vec<_> = test.expect.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["nothing breaks", "checkout needs a token", "the rest is untouched"]);
    assert_eq!(test.expect[2].scope, Scope::Others);
    let request = test.send[0].exchange.request.get().unwrap();
    assert_eq!(request.headers.get(b"x-odd"), Some(b"\xff".as_slice()));
    assert_eq!(test.send[0].check.name, "send 1: GET /");
}

#[test]
fn what_is_said_of_the_host() {
    let test = good(
        "chain: [{ filter: a.wasm, allowed_capabilities: [proxy_log, fd_write] }]
host:
  buffer_limit: 4096
  allow_on_headers_stop_iteration: true
  properties: { xds: { node: { id: me } }, metadata: { filter_metadata: { a.b: [1, 2.5, null] } } }
send: [{ request: { path: / }, expect: { faults: none } }]",
    );
    assert_eq!(test.chain[0].allowed_capabilities, ["proxy_log", "fd_write"]);
    assert_eq!(test.host.buffer_limit, Some(4096));
    assert!(test.host.allow_on_headers_stop_iteration.unwrap().value);
    let properties = test.host.properties.unwrap();
    let at = |path: &[&str]| path.iter().try_fold(&properties, |at, key| at.get(key.as_bytes()));
    assert_eq!(at(&["xds", "node", "id"]), Some(&PropertyValue::Text("me".into())));
    let list = [PropertyValue::Int(1), PropertyValue::Double(2.5), PropertyValue::Null];
    assert_eq!(at(&["metadata", "filter_metadata", "a.b"]), Some(&PropertyValue::List(list.to_vec())));
    assert_eq!(at(&["xds", "nothing"]), None);
}

#[test]
fn bytes_of_values() {
    #[track_caller]
    fn check(value: &str, want: &[u8]) {
        let test = good(&format!(
            "filter: .\nsend: {{request: {{path: /, headers: {{x: {value}}}}}, expect: {{faults: none}}}}"
        ));
        let got = test.send[0].exchange.request.get().unwrap().headers.get(b"x").unwrap().to_vec();
        assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string(), "{value}");
    }
    check("plain", b"plain");
    check("é", "é".as_bytes());
    check(r#""é""#, "é".as_bytes());
    check(r#""\xe9""#, b"\xe9");
    check(r#""Z\xFCrich""#, b"Z\xfcrich");
    check(r#""\u00e9""#, "é".as_bytes());
    check(r#""\x41""#, b"A");
    check(r#""\\xff""#, br"\xff");
    check(r#"'\xff'"#, br"\xff");
    check("1.10", b"1.10");
    check("007", b"007");
    check("1_000", b"1_000");
    check("true", b"true");
    check("0x1f", b"0x1f");
}

#[test]
fn a_sent_request_is_what_a_filter_would_see() {
    let test = good(
        r#"
filter: .
send:
  - name: upload
    request:
      method: POST
      path: /up
      protocol: HTTP/2
      headers: { Host: shop.example, Accept: [a, b] }
      body: abc
    response: { status: 201, headers: { x: 1 }, trailers: { grpc-status: 0 }, body: done }
    expect: { upstream: recorded }
"#,
    );
    let exchange = &test.send[0].exchange;
    let want = [
        (":authority", "shop.example"),
        (":path", "/up"),
        (":method", "POST"),
        (":scheme", "http"),
        ("accept", "a"),
        ("accept", "b"),
        ("content-length", "3"),
    ];
    assert_eq!(exchange.request.get().unwrap().headers, want.into_iter().collect::<Headers>());
    assert_eq!((exchange.protocol, exchange.status()), (Protocol::Http2, Some(201)));
    let response = exchange.response.get().unwrap();
    assert_eq!(response.headers.get(b"content-length"), None, "trailers follow");
    assert_eq!(response.trailers.get().unwrap().text("grpc-status"), Some("0"));
    assert_eq!(test.send[0].check.name, "upload");
}

#[test]
fn a_chain_has_filters_with_their_own_configuration() {
    let test = good(
        r#"
chain:
  - { name: auth, filter: ../auth, config: auth.json }
  - { filter: "oci://example.test/limit:1", config: [1, {b: 2, a: null}] }
capture: [a.json, b.pb.gz]
host: { clock: recorded, chunks: 16 }
callouts: [{cluster: a, answer: timeout}, {cluster: b, answer: {reset: true, delay: 1.5s}}]
expect: { faults: none }
"#,
    );
    assert_eq!(test.chain[0].name.as_deref(), Some("auth"));
    let Config::File(path) = &test.chain[0].config else { panic!() };
    assert_eq!(path.value, "auth.json");
    assert_eq!(test.chain[1].config, Config::Inline(r#"[1,{"b":2,"a":null}]"#.into()));
    assert_eq!(test.captures.len(), 2);
    assert_eq!(test.host.clock, Some(Clock::Recorded));
    assert_eq!(test.callouts[0].answer, Answer::Timeout);
    assert_eq!(test.callouts[1].answer, Answer::Reset { after: Duration::from_millis(1500) });
    let mut body = crate::Body { bytes: vec![0; 40], ..crate::Body::default() };
    test.host.chunks.apply(&mut body);
    assert_eq!(body.chunks, [16, 16, 8]);
    assert_eq!(test.expect[0].name, "expectation 1");
}

#[test]
fn a_sent_connection_is_what_both_ends_do() {
    let test = good(
        r#"
filter: .
root_id: gate
send:
  - connection: [{ client: one }, { upstream: "\xff" }, client_ends, upstream_ends]
    expect: { upstream: { body: one }, closed: false }
"#,
    );
    assert_eq!(test.chain[0].root_id.as_deref(), Some("gate"));
    let sent = &test.send[0];
    assert_eq!(sent.check.name, "send 1: a connection");
    assert_eq!(sent.check.closed, Some(false));
    let connection = sent.exchange.connection().expect("a connection");
    let told: Vec<_> =
        connection.events.iter().map(|e| (e.at / 1_000_000, e.from, e.bytes.as_slice(), e.end)).collect();
    let (client, upstream) = (crate::Party::Client, crate::Party::Upstream);
    assert_eq!(
        told,
        [
            (0, client, &b"one"[..], false),
            (1, upstream, b"\xff", false),
            (2, client, b"", true),
            (3, upstream, b"", true)
        ]
    );
    assert_eq!(sent.exchange.request.get().expect("what the client sent").body.bytes, b"one");
    let odd = |send: &str| {
        let text = format!("filter: .\nsend: [{{ {send}, expect: {{ faults: none }} }}]");
        TrafficTest::parse(Path::new("t.yaml"), &text).expect_err("is no test").to_string()
    };
    for (send, told) in [
        ("connection: [client_end]", "client_ends"),
        ("connection: [{ client: a, upstream: b }]", "exactly one of `client` and `upstream`"),
        ("connection: [], request: { path: / }", "stands alone"),
        ("response: {}", "request"),
    ] {
        assert!(odd(send).contains(told), "{send}: {}", odd(send));
    }
}

/// The answer of a rule, written as a value of `answer`.
fn answer_of(text: &str) -> Answer {
    let test = good(&format!(
        "filter: .\ncapture: a\nexpect: {{faults: none}}\ncallouts: [{{cluster: a, answer: {text}}}]"
    ));
    test.callouts[0].answer.clone()
}

#[test]
fn a_callout_may_be_answered_in_grpc() {
    let text = r#"{grpc_status: 0, message: [hi, {base64: CgNmb28}, "\xff"], headers: {x-a: 1}, trailers: {x-b: 2}, delay: 5ms}"#;
    let Answer::Grpc(reply) = answer_of(text) else { panic!() };
    let messages: Vec<_> = reply.messages.iter().map(|m| m.bytes.as_slice()).collect();
    assert_eq!(messages, [&b"hi"[..], b"\n\x03foo", b"\xff"]);
    assert_eq!((reply.headers.text("x-a"), reply.after), (Some("1"), Duration::from_millis(5)));
    let crate::GrpcEnd::Status(status) = reply.end else { panic!() };
    assert_eq!((status.code, status.trailers.text("x-b")), (0, Some("2")));
    let error = crate::GrpcReply::error(7, "no entry");
    assert_eq!(answer_of("{grpc_status: 7, grpc_message: no entry}"), Answer::Grpc(error));
    // Success without a message is an empty one.
    assert_eq!(answer_of("{grpc_status: 0}"), Answer::Grpc(crate::GrpcReply::message("")));
}

#[test]
fn a_name_may_have_addresses() {
    let addresses = ["10.0.0.1:0", "[::1]:0"].map(|at| (at.parse().unwrap(), 60)).to_vec();
    let want = Answer::Addresses { addresses, after: Duration::from_secs(1) };
    assert_eq!(answer_of(r#"{addresses: [10.0.0.1, "::1"], delay: 1s}"#), want);
}

#[test]
fn the_first_rule_that_covers_a_callout_answers_it() {
    let mut test = good(
        "filter: .\ncapture: a\nexpect: {faults: none}\ncallouts: [{cluster: a, path: /x, answer: timeout}, {cluster: a, answer: reset}]",
    );
    let callout = |cluster: &str, path: &str| {
        let request = Message { headers: [(":path", path)].into_iter().collect(), ..Message::default() };
        Callout { cluster: cluster.into(), request, ..Callout::default() }
    };
    let mut answer = |cluster, path| test.answer(&callout(cluster, path));
    assert_eq!(answer("a", "/x"), Answer::Timeout);
    assert_eq!(answer("a", "/y"), Answer::Reset { after: Duration::ZERO });
    assert_eq!(answer("b", "/x"), Answer::Unanswered);
}

#[test]
fn an_error_is_one_line_whatever_the_test_says() {
    for text in ["filter: .\n\"a\\nb\": 1", "filter: .\nhost: { inject: \"a\\nb\" }"] {
        let error = parse(text).unwrap_err();
        assert!(error.problem.contains(r"`a\nb`") && !error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn errors_say_where_and_what_would_work() {
    #[track_caller]
    fn check(text: &str, want: &str, hint: Option<&str>) {
        let error = parse(text).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.hint.as_deref()), (want, hint), "{text}");
    }
    /// After a head that is in order.
    #[track_caller]
    fn after(text: &str, want: &str, hint: Option<&str>) {
        check(&format!("filter: .\ncapture: a\n{text}"), want, hint);
    }
    check("", "tests/a.yaml:1:1: expected a traffic test, found nothing", None);
    check("a: [1,", "tests/a.yaml:1:4: unclosed bracket '['", None);
    check("filter: .\nfilter: b", "tests/a.yaml:2:1: duplicate mapping key: filter", None);
    check(
        "filter: .\ncaptures: a",
        "tests/a.yaml:2:1: unknown key `captures` in a traffic test",
        Some("did you mean `capture`?"),
    );
    check("capture: a", "tests/a.yaml:1:1: a traffic test lacks `filter`", Some(OWN_PACKAGE));
    check("filter: .\nchain: []", "tests/a.yaml:2:8: `filter` and `chain` exclude each other", None);
    check("filter: .", "tests/a.yaml:1:1: nothing to play", Some("add `capture` or `send`"));
    check(
        "filter: .\ncapture: a",
        "tests/a.yaml:1:1: nothing is expected of the capture",
        Some("add `expect`"),
    );
    check("filter: [a]", "tests/a.yaml:1:9: expected a path, found a list", None);
    after(
        "expect: [{where: request.pth == '/', faults: none}]",
        "tests/a.yaml:3:18: `where`: no attribute `request.pth`",
        Some("did you mean `request.path`?"),
    );
    after(
        "expect:\n  - where: \"true && request.haeders.x == '1'\"\n    faults: none",
        "tests/a.yaml:4:21: `where`: no attribute `request.haeders.x`",
        Some("did you mean `request.headers`?"),
    );
    after(
        "expect:\n  - where: >-\n      request.pth\n      == '/'\n    faults: none",
        "tests/a.yaml:5:7: `where`: no attribute `request.pth`",
        Some("did you mean `request.path`?"),
    );
    after(
        "expect:\n  - where: request.path == \"a: b\"",
        "tests/a.yaml:4:30: mapping values are not allowed in this context",
        Some("put text that holds `: ` in quotes, or write it as a block with `>-`"),
    );
    after(
        "expect: [{count: many}]",
        "tests/a.yaml:3:18: expected a number or a comparison",
        Some("for instance `10`, `\">= 10\"`, `\"< 20000\"`"),
    );
    after(
        "expect: [{name: x, where: 'true'}]",
        "tests/a.yaml:3:10: expectation expects nothing",
        Some("add one of count, faults, reply, upstream, closed, cost, logs"),
    );
    after(
        "expect: [{faults: trp}]",
        "tests/a.yaml:3:19: no fault has the code `trp`",
        Some("did you mean `trap`?"),
    );
    after(
        "expect: [{reply: recordd}]",
        "tests/a.yaml:3:18: expected `recorded`",
        Some("did you mean `recorded`?"),
    );
    after("expect: [{upstream: 3}]", "tests/a.yaml:3:21: expected `none` or `recorded`", None);
    after(
        "expect: [{reply: {headers: {x: {prefx: a}}}}]",
        "tests/a.yaml:3:33: unknown key `prefx` in a matcher",
        Some("did you mean `prefix`?"),
    );
    after(
        "expect: [{reply: {headers: {x: {prefix: a, suffix: b}}}}]",
        "tests/a.yaml:3:32: a matcher has exactly one key",
        Some("one of exact, prefix, suffix, contains, present, absent"),
    );
    after(
        "host: {clock: yesterday}",
        "tests/a.yaml:3:15: expected a time or `recorded`",
        Some("for instance `2026-01-01T00:00:00Z`"),
    );
    after("callouts: [{cluster: a}]", "tests/a.yaml:3:12: a callout lacks `answer`", None);
    after(
        "callouts: [{cluster: a, answer: {delay: 20}}]",
        "tests/a.yaml:3:41: expected a duration",
        Some("for instance `20ms`, `1.5s`, `500us`"),
    );
    after(
        "callouts: [{cluster: a, answer: {reset: true, status: 200}}]",
        "tests/a.yaml:3:33: a reply, a gRPC reply, `addresses`, `reset` and `timeout` exclude each other",
        None,
    );
    let of_answer = |answer: &str, problem: &str| {
        after(
            &format!("callouts: [{{cluster: a, answer: {answer}}}]"),
            &format!("tests/a.yaml:3:{problem}"),
            None,
        );
    };
    let exclude = "33: a reply, a gRPC reply, `addresses`, `reset` and `timeout` exclude each other";
    of_answer("{grpc_status: 0, body: x}", exclude);
    of_answer("{addresses: [], headers: {a: b}}", exclude);
    of_answer("{grpc_status: 17}", "47: grpc_status is not from 0 to 16");
    of_answer("{message: {base64: '%'}}", "52: this is no base64");
    of_answer("{addresses: [here]}", "46: `here` is no IP address");
    after("send: [{request: {path: /}}]", "tests/a.yaml:3:8: an exchange of `send` lacks `expect`", None);
    after(
        "send: [{request: {path: /, headers: {a b: 1}}, expect: {faults: none}}]",
        "tests/a.yaml:3:43: `a b` is no header name",
        None,
    );
    after(
        "send: [{request: {path: \"/\\xff✓\"}, expect: {faults: none}}]",
        "tests/a.yaml:3:25: characters above U+00FF beside a `\\xff` escape",
        Some("write every byte of the value as an escape, or none"),
    );
    after(
        "send: [{request: {path: /}, expect: {count: 1}}]",
        "tests/a.yaml:3:38: unknown key `count` in an expectation",
        Some("known keys: faults, reply, upstream, closed, cost, logs"),
    );
    let deep = "[".repeat(100_000);
    assert!(parse(&deep).is_err());
    assert!(
        parse(&"x".repeat(MAX_TEST_BYTES + 1)).unwrap_err().problem.starts_with("test file of 1048577 bytes")
    );
}

const OWN_PACKAGE: &str = "`filter: .` tests the package that the test belongs to";

#[test]
fn comparisons() {
    for (text, yes, no) in [
        ("10", 10, 11),
        ("'10'", 10, 11),
        ("'== 1_000'", 1_000, 1),
        ("'!= 3'", 4, 3),
        ("'< 3'", 2, 3),
        ("'<= 3'", 3, 4),
        ("'>3'", 4, 3),
        ("'>= 3'", 3, 2),
    ] {
        let test = good(&format!("filter: .\ncapture: a\nexpect: {{count: {text}}}"));
        let comparison = test.expect[0].count.unwrap();
        assert!(comparison.holds(yes) && !comparison.holds(no), "{text}: {comparison}");
    }
}

/// The schema is written by hand; its keys are held against those that are read.
#[test]
fn the_schema_has_exactly_the_keys_that_are_read() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let keys = |of: &serde_json::Value| {
        assert_eq!(of["additionalProperties"], false);
        let mut keys: Vec<_> = of["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    for (name, known) in [
        ("", read::TOP_KEYS),
        ("filter", read::CHAIN_KEYS),
        ("host", read::HOST_KEYS),
        ("callout", read::CALLOUT_KEYS),
        ("answer", read::ANSWER_KEYS),
        ("binary", answer::MESSAGE_KEYS),
        ("check", check::CHECK_KEYS),
        ("sentCheck", check::SENT_CHECK_KEYS),
        ("reply", check::REPLY_KEYS),
        ("upstream", check::UPSTREAM_KEYS),
        ("cost", check::COST_KEYS),
        ("logs", check::LOGS_KEYS),
        ("matcher", matcher::MATCHER_KEYS),
        ("send", send::SEND_KEYS),
        ("event", send::EVENT_KEYS),
        ("request", send::REQUEST_KEYS),
        ("response", send::RESPONSE_KEYS),
    ] {
        let mut known: Vec<_> = known.to_vec();
        known.sort_unstable();
        let definition = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        assert_eq!(keys(definition), known, "{name}");
    }
    let codes: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(schema["$defs"]["faultCode"]["enum"], serde_json::json!(codes));
    // Every reference has its definition.
    for reference in SCHEMA.match_indices("#/$defs/").map(|(at, mark)| &SCHEMA[at + mark.len()..]) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"].get(name).is_some(), "{name}");
    }
}

#[test]
fn injected_faults_are_read_with_the_place_of_a_mistake() {
    let test = good(
        "filter: .\ncapture: c\nhost: { inject: [\"trap@log:2/a\", split-chunks] }\nexpect: [{name: x, faults: none}]",
    );
    let texts: Vec<_> = test.host.inject.iter().map(|one| one.value.to_string()).collect();
    assert_eq!(texts, ["trap@log:2/a", "split-chunks"]);
    let text = "filter: .\ncapture: c\nhost: { inject: [split-chunk] }\nexpect: [{name: x, faults: none}]";
    let error = TrafficTest::parse(Path::new("t.yaml"), text).unwrap_err();
    assert_eq!((error.at.line, error.hint.as_deref()), (3, Some("did you mean `split-chunks`?")));
    assert!(error.to_string().contains("unknown fault `split-chunk`"), "{error}");
}
