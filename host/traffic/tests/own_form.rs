//! Our own capture form: what is written reads back equal, and the schema says what is written.

mod common;

use common::{read_all, read_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tamis_traffic::write::JsonLines;
use tamis_traffic::{
    Attributes, Body, Event, Exchange, Gap, Headers, Message, Metadata, Party, Peer, Place, Protocol,
    Provenance, Side, Skip, Slot, schema,
};

fn write(all: &[Exchange]) -> Vec<u8> {
    let mut out = JsonLines::new(Vec::new());
    for exchange in all {
        out.write(exchange).unwrap();
    }
    out.finish().unwrap()
}

fn strip(mut all: Vec<Exchange>) -> Vec<Exchange> {
    for exchange in &mut all {
        exchange.place = Place::default();
    }
    all
}

/// Every bundled capture goes through the own form without a loss, and each line holds to the schema.
#[test]
fn real_captures_come_back_equal_and_hold_to_the_schema() {
    let schema = schema::capture();
    for name in [
        "boutique-streaming.json",
        "boutique-segments.json",
        "web-static-as-string.json",
        "oddities-first.json.gz",
        "oddities-last-segments.json.gz",
        "oddities-last",
        "access-outbound.json.log",
    ] {
        let all = strip(read_all(name).0);
        let text = write(&all);
        for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            assert!(line.starts_with(b"{\"tamis\":1"), "the version comes first");
            let line: Value = serde_json::from_slice(line).unwrap();
            holds(&schema, &schema, &line).unwrap_or_else(|why| panic!("{name}: {why} in {line}"));
        }
        let (back, tally) = read_bytes(&text);
        assert_eq!(tally.skipped_total(), 0, "{name}");
        assert!(strip(back) == all, "{name}");
    }
}

/// The bundled capture in the own form reads, and holds to the schema.
#[test]
fn the_bundled_own_form_holds_to_the_schema() {
    let schema = schema::capture();
    let bytes = common::bytes_of("oddities.tamis.jsonl");
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
    for line in &lines {
        holds(&schema, &schema, &serde_json::from_slice(line).unwrap()).unwrap();
    }
    let (all, tally) = read_all("oddities.tamis.jsonl");
    assert_eq!((all.len(), tally.skipped_total()), (lines.len(), 0));
    assert_eq!(all[0].place.line, Some(1));
}

/// The schema refuses what the reader refuses.
#[test]
fn wrong_lines_fail_the_schema_and_the_reader() {
    let schema = schema::capture();
    for wrong in [
        r#"{"tamis":1,"request":{"body":"x"}, "colour":"red"}"#,
        r#"{"tamis":1,"side":"left"}"#,
        r#"{"tamis":1,"gaps":["hole"]}"#,
        r#"{"tamis":1,"request":{"headers":[["a"]]}}"#,
        r#"{"tamis":1,"request":{"headers":[],"body":{"hex":"00"}}}"#,
        r#"{"tamis":1,"connection":[{"from":"server"}]}"#,
        r#"{"tamis":1,"connection":[{"bytes":"a"}]}"#,
    ] {
        assert!(holds(&schema, &schema, &serde_json::from_str(wrong).unwrap()).is_err(), "{wrong}");
        let (all, tally) = read_bytes(format!("{wrong}\n").as_bytes());
        assert!(all.is_empty());
        assert_eq!(tally.skipped[&Skip::Malformed].count, 1, "{wrong}");
    }
}

/// What a connection can not have been, beyond what a schema can say.
#[test]
fn connections_that_contradict_themselves_are_malformed() {
    for wrong in [
        r#"{"tamis":1,"connection":[{"at_ns":2,"from":"client"},{"at_ns":1,"from":"client"}]}"#,
        r#"{"tamis":1,"connection":[{"from":"client","end":true},{"from":"client","bytes":"a"}]}"#,
        r#"{"tamis":1,"connection":[],"request":{"headers":[]}}"#,
    ] {
        let (all, tally) = read_bytes(format!("{wrong}\n").as_bytes());
        assert!(all.is_empty());
        assert_eq!(tally.skipped[&Skip::Malformed].count, 1, "{wrong}");
    }
    let (all, _) = read_bytes(br#"{"tamis":1,"connection":[{"at_ns":5,"from":"client","bytes":"a"}]}"#);
    let connection = all[0].connection().expect("a connection");
    assert_eq!((connection.events.len(), connection.duration), (1, 5));
}

/// Lines of a newer version are counted, not guessed at.
#[test]
fn lines_of_another_version_are_skipped() {
    let (all, tally) = read_bytes(b"{\"tamis\":1}\n{\"tamis\":2,\"new\":true}\n{\"tamis\":2}\n{\"tamis\":1}");
    assert_eq!(all.len(), 2);
    let unknown = &tally.skipped[&Skip::UnknownVersion];
    assert_eq!((unknown.count, unknown.first.line), (2, Some(2)));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), ".{0,20}".prop_map(String::into_bytes)]
}

fn headers() -> impl Strategy<Value = Headers> {
    vec((bytes(), bytes()), 0..6).prop_map(|fields| fields.into_iter().collect())
}

fn message() -> impl Strategy<Value = Message> {
    let body = (vec(bytes(), 0..4), any::<(bool, Option<u64>)>(), vec(headers(), 0..3)).prop_map(
        |(pieces, known, metadata)| Body {
            chunks: pieces.iter().map(|p| p.len() as u32).collect(),
            bytes: pieces.concat(),
            truncated: known.0,
            length: known.1,
            metadata: metadata
                .into_iter()
                .zip(0..)
                .map(|(fields, n)| Metadata { after: n.min(1), fields })
                .collect(),
        },
    );
    (headers(), body, proptest::option::of(headers())).prop_map(|(headers, body, trailers)| Message {
        headers,
        body,
        trailers: trailers.map_or_else(Slot::none, Slot::some),
    })
}

fn peer() -> impl Strategy<Value = Option<Peer>> {
    proptest::option::of((".{0,20}", proptest::option::of(".{0,20}")))
        .prop_map(|peer| peer.map(|(address, identity)| Peer { address, identity }))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let text = || proptest::option::of(".{0,12}");
    (text(), text(), text(), text(), text(), any::<Option<bool>>()).prop_map(|(a, b, c, d, e, mtls)| {
        Attributes {
            route_name: a,
            cluster_name: b,
            response_flags: c,
            response_code_details: d,
            requested_server_name: e,
            mtls,
        }
    })
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let gaps = proptest::sample::subsequence(
        vec![
            Gap::NoRequest,
            Gap::NoResponse,
            Gap::RequestBodyCut,
            Gap::ResponseBodyCut,
            Gap::Unfinished,
            Gap::LateHeaders,
        ],
        0..=6,
    );
    let protocol = proptest::sample::select(vec![
        Protocol::Unknown,
        Protocol::Http10,
        Protocol::Http11,
        Protocol::Http2,
        Protocol::Http3,
    ]);
    let side = proptest::sample::select(vec![Side::Unknown, Side::Inbound, Side::Outbound, Side::Gateway]);
    let provenance =
        proptest::sample::select(vec![Provenance::Recorded, Provenance::Derived, Provenance::Synthesised]);
    let halves = (proptest::option::of(message()), proptest::option::of(message()));
    let times = any::<(Option<u64>, Option<u64>)>();
    ((".{0,20}", times, halves), (protocol, side, provenance, gaps), (peer(), peer(), peer(), attributes()))
        .prop_map(
            |(
                (id, times, halves),
                (protocol, side, provenance, gaps),
                (source, destination, upstream, attributes),
            )| {
                Exchange {
                    id,
                    place: Place::default(),
                    request: halves.0.map_or_else(Slot::none, Slot::some),
                    response: halves.1.map_or_else(Slot::none, Slot::some),
                    protocol,
                    started: times.0,
                    duration: times.1,
                    source,
                    destination,
                    upstream,
                    side,
                    attributes,
                    provenance,
                    gaps,
                    events: None,
                }
            },
        )
}

/// Reads of either side, until both have ended.
fn connection() -> impl Strategy<Value = Exchange> {
    let read = (0..5_u64, any::<bool>(), bytes(), any::<bool>());
    (exchange(), vec(read, 0..6)).prop_map(|(mut exchange, reads)| {
        exchange.request.clear();
        exchange.response.clear();
        let (mut at, mut ended, mut events) = (0, [false; 2], Vec::new());
        for (later, client, bytes, end) in reads {
            let from = if client { Party::Client } else { Party::Upstream };
            at += later;
            if !ended[from as usize] {
                ended[from as usize] = end;
                events.push(Event { at, from, bytes, end });
            }
        }
        exchange.connect(events);
        exchange
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever an exchange holds, it comes back.
    #[test]
    fn what_is_written_reads_back_equal(all in vec(prop_oneof![exchange(), connection()], 1..4)) {
        let text = write(&all);
        let schema = schema::capture();
        for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            prop_assert!(holds(&schema, &schema, &line).is_ok(), "{line}");
        }
        prop_assert_eq!(strip(read_bytes(&text).0), all);
    }
}

/// Checks the keywords of JSON Schema that our schema uses.
fn holds(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(path) = schema["$ref"].as_str() {
        return holds(root, root.pointer(path.trim_start_matches('#')).expect("a definition"), value);
    }
    let wrong = |what: &str| Err(format!("{value} is not {what}"));
    if let Some(list) = schema["oneOf"].as_array()
        && list.iter().filter(|one| holds(root, one, value).is_ok()).count() != 1
    {
        return wrong("one of the choices");
    }
    if schema.get("const").is_some_and(|want| want != value) {
        return wrong("the constant");
    }
    if schema["enum"].as_array().is_some_and(|names| !names.contains(value)) {
        return wrong("one of the names");
    }
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !right {
        return wrong("of the type");
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().expect("a name")) {
                return wrong("complete");
            }
        }
        for (name, field) in fields {
            match schema["properties"].get(name) {
                Some(inner) => holds(root, inner, field)?,
                None if schema["additionalProperties"] == Value::Bool(false) => {
                    return wrong("of known fields");
                }
                None => {}
            }
        }
    }
    if let Some(items) = value.as_array() {
        let count = items.len() as u64;
        if schema["minItems"].as_u64() > Some(count) || schema["maxItems"].as_u64().is_some_and(|n| n < count)
        {
            return wrong("of the right length");
        }
        for item in items {
            holds(root, &schema["items"], item)?;
        }
    }
    Ok(())
}
