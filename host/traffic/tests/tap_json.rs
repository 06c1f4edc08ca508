//! JSON Envoy taps, read from real recordings and held against other recordings of the same traffic.

mod common;

use common::{bytes_of, of_case, read_all, read_bytes, read_with, request, response};
use std::collections::HashMap;
use tamis_traffic::read::{ReadOptions, Restore};
use tamis_traffic::{Exchange, Gap, Protocol, Provenance, Side, Skip};

/// The admin stream is a cut of the demo capture's run: joined on the id, both tell the same.
#[test]
fn json_and_binary_of_the_same_traffic_agree() {
    let (json, tally) = read_all("boutique-streaming.json");
    assert_eq!((json.len(), tally.skipped_total()), (24, 0));
    let binary: HashMap<String, Exchange> =
        read_all("boutique.pb_length_delimited.gz").0.into_iter().map(|e| (e.id.clone(), e)).collect();
    for exchange in &json {
        let other = &binary[&exchange.id];
        assert_eq!(request(exchange), request(other));
        assert_eq!(exchange.response, other.response);
        assert_eq!(exchange.protocol, Protocol::Http2);
    }
}

/// 90 segments of 20 streams with 52 switches between them (docs/captures.md 1).
#[test]
fn interleaved_segments_come_together() {
    let (all, tally) = read_all("boutique-segments.json");
    assert_eq!((all.len(), tally.skipped_total()), (20, 0));
    let whole: Vec<_> = all.iter().filter(|e| e.gaps.is_empty()).collect();
    assert_eq!(whole.len(), 17, "the other three had not ended when the cut was made");
    for exchange in &whole {
        let status = response(exchange).trailers.get().and_then(|t| t.text("grpc-status"));
        assert!(status.is_some(), "a gRPC call ends with its status");
    }
    assert_eq!(tally.gaps[&Gap::Unfinished], 3);
    // A streamed tap names no time.
    assert!(all.iter().all(|e| e.started.is_none()));
}

/// Facts of captures, 0.3: bodies as strings are not always UTF-8; the file is read all the same.
#[test]
fn bodies_as_strings_need_not_be_text() {
    let bytes = bytes_of("web-static-as-string.json");
    assert!(std::str::from_utf8(&bytes).is_err(), "the capture holds raw bytes");
    let (all, tally) = read_all("web-static-as-string.json");
    assert_eq!((all.len(), tally.skipped_total()), (12, 0));
    let raw = all.iter().filter(|e| std::str::from_utf8(&response(e).body.bytes).is_err());
    assert_eq!(raw.count(), 8);
}

/// Envoy drops bytes that are no text from such bodies: those that are shorter than announced are marked.
#[test]
fn bodies_that_lost_bytes_as_strings_are_marked_as_cut() {
    let (all, _) = read_all("web-static-as-string.json");
    for exchange in &all {
        let body = &response(exchange).body;
        if !body.bytes.is_empty() && body.length.is_some_and(|n| n > body.bytes.len() as u64) {
            assert!(body.truncated && exchange.gaps.contains(&Gap::ResponseBodyCut));
        }
    }
}

/// Posts of the web traffic: bearer tokens and start times are there.
#[test]
fn times_and_tokens_of_the_posts_are_kept() {
    let (all, tally) = read_all("web-posts.json");
    assert_eq!((all.len(), tally.skipped_total()), (26, 0));
    let tokens = all.iter().filter(|e| request(e).headers.get(b"authorization").is_some());
    assert_eq!(tokens.count(), 18);
    let day = 1_795_392_000_000_000_000..1_795_478_400_000_000_000; // 2026-11-23
    let stamped = all.iter().filter(|e| e.started.is_some_and(|t| day.contains(&t))).count();
    assert_eq!(stamped, all.iter().filter(|e| e.started.is_some()).count());
}

/// Facts of captures, 1: connections, pseudo headers and both sides of the XFCC header.
#[test]
fn peers_come_from_connections_and_client_certificates() {
    let (all, tally) = read_all("oddities-first.json.gz");
    assert_eq!((all.len(), tally.skipped_total()), (127, 0));
    let exchange = of_case(&all, "resp-206-multipart");
    assert_eq!(exchange.status(), Some(206));
    assert_eq!(exchange.side, Side::Inbound);
    assert_eq!(exchange.started, Some(1_795_417_407_335_099_000));
    assert_eq!(exchange.attributes.mtls, Some(true));
    let (source, destination) = (exchange.source.as_ref().unwrap(), exchange.destination.as_ref().unwrap());
    assert_eq!(source.identity.as_deref(), Some("spiffe://cluster.local/ns/boutique/sa/frontend"));
    assert_eq!(destination.identity.as_deref(), Some("spiffe://cluster.local/ns/boutique/sa/boutique-apps"));
    assert_eq!(destination.address, "127.0.0.1:23006");
    assert!(source.address.starts_with("127.0.0.1:"));
    assert_eq!(response(exchange).body.length, Some(315));
    assert_eq!(response(exchange).body.bytes.len(), 315);
}

/// Facts of captures, 0.1: outbound, the buffered tap shows the rewritten path; the streamed one shows what the
/// filters saw. Restored, the first is as the second.
#[test]
fn a_rewritten_path_is_put_back_to_what_the_streamed_tap_saw() {
    let (streamed, _) = read_all("oddities-outbound-streamed.json");
    let streamed = of_case(&streamed, "rewrite-shop");
    assert_eq!(request(streamed).headers.text(":path"), Some("/shop/cart?id=9"));
    assert!(!streamed.gaps.contains(&Gap::LateHeaders));

    let rewritten = rewritten_outbound();
    let (all, _) = read_bytes(&rewritten);
    let restored = of_case(&all, "rewrite-shop");
    assert_eq!(request(restored).headers.text(":path"), Some("/shop/cart?id=9"));
    assert_eq!(restored.provenance, Provenance::Derived);
    assert!(restored.gaps.contains(&Gap::LateHeaders));
    for late in ["x-envoy-original-path", "x-envoy-attempt-count", "x-envoy-decorator-operation"] {
        assert!(request(restored).headers.text(late).is_none(), "{late} came after the filters");
    }
}

/// The buffered outbound trace of `rewrite-shop`: the streamed one's headers, changed as docs/envoy.md 0.1 shows.
fn rewritten_outbound() -> Vec<u8> {
    let (streamed, _) = read_all("oddities-outbound-streamed.json");
    let mut headers = request(of_case(&streamed, "rewrite-shop")).headers.clone();
    let path = headers.position(b":path").unwrap();
    headers.set_value(path, b"/anything/cart?id=9");
    headers.push(b"x-envoy-decorator-operation", b"httpbin.boutique.svc.cluster.local:8000/*");
    headers.push(b"x-shop-route", b"v2");
    headers.push(b"x-envoy-original-path", b"/shop/cart?id=9");
    headers.push(b"x-envoy-attempt-count", b"1");
    let list: Vec<_> = headers
        .iter()
        .map(|(k, v)| serde_json::json!({"key": String::from_utf8_lossy(k), "value": String::from_utf8_lossy(v)}))
        .collect();
    serde_json::json!({"http_buffered_trace": {"request": {"headers": list}}}).to_string().into_bytes()
}

/// The same rewrite seen inbound came over the wire: filters there really saw the new path.
#[test]
fn a_path_rewritten_by_the_other_proxy_stays_unless_asked_for() {
    let path = |restore| {
        let mut options = ReadOptions::default();
        options.restore = restore;
        let (all, _) = read_with("oddities-first.json.gz", &options);
        let exchange = of_case(&all, "rewrite-shop");
        let late = exchange.gaps.contains(&Gap::LateHeaders);
        (request(exchange).headers.text(":path").unwrap().to_owned(), late)
    };
    assert_eq!(path(Restore::Late), ("/anything/cart?id=9".into(), false));
    assert_eq!(path(Restore::Never), ("/anything/cart?id=9".into(), false));
    assert_eq!(path(Restore::Always), ("/shop/cart?id=9".into(), true));
}

/// Headers of the router in a real outbound tap are taken out, or kept and flagged.
#[test]
fn late_headers_are_dropped_or_kept_as_asked() {
    let count = |all: &[Exchange]| {
        let late = |e: &&Exchange| {
            e.request.get().is_some_and(|m| m.headers.get(b"x-envoy-attempt-count").is_some())
        };
        all.iter().filter(late).count()
    };
    let (dropped, tally) = read_all("oddities-outbound.json.gz");
    assert_eq!((dropped.len(), count(&dropped)), (70, 0));
    assert_eq!((tally.gaps[&Gap::LateHeaders], tally.derived), (63, 63));
    let mut options = ReadOptions::default();
    options.drop_late = false;
    let (kept, tally) = read_with("oddities-outbound.json.gz", &options);
    assert_eq!(count(&kept), 62, "one request ended before the router sent it on");
    assert_eq!((tally.gaps[&Gap::LateHeaders], tally.derived), (63, 1), "one path is put back all the same");
}

/// Buffered and streamed taps, JSON and binary, of the same 127 exchanges: the same requests and statuses.
#[test]
fn four_recordings_of_the_oddities_agree() {
    let (first, _) = read_all("oddities-first.json.gz");
    let (binary, _) = read_all("oddities-last-segments.pb_length_delimited.gz");
    let (json, _) = read_all("oddities-last-segments.json.gz");
    // A retry has the same id and another attempt (docs/captures.md 0.10).
    let attempt = |e: &Exchange| {
        let count = e.request.get()?.headers.text("x-envoy-attempt-count")?;
        Some((e.id.clone(), count.to_owned()))
    };
    let by_attempt: HashMap<_, &Exchange> = binary.iter().filter_map(|e| Some((attempt(e)?, e))).collect();
    let mut compared = 0;
    for exchange in json.iter().filter(|e| attempt(e).is_some()) {
        let Some(other) = by_attempt.get(&attempt(exchange).unwrap()) else { continue };
        assert!(exchange.request == other.request, "{}", exchange.id);
        // The two taps cut bodies at different limits.
        assert!(response_heads(exchange) == response_heads(other), "{}", exchange.id);
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
    let ids: HashMap<&str, &Exchange> = binary.iter().map(|e| (e.id.as_str(), e)).collect();
    let same = first.iter().filter_map(|e| Some((e, ids.get(e.id.as_str())?)));
    let mut statuses = 0;
    for (one, other) in same.filter(|(e, _)| e.request.is_some()) {
        assert_eq!(request(one).headers.text(":method"), request(other).headers.text(":method"));
        statuses += usize::from(one.status() == other.status());
    }
    assert!(statuses > 100, "{statuses}");
}

fn response_heads(exchange: &Exchange) -> Option<&tamis_traffic::Headers> {
    exchange.response.get().map(|m| &m.headers)
}

/// Facts of captures, 1: each chunk of a streamed body is cut on its own, and `content-length` tells the rest.
#[test]
fn chunks_cut_one_by_one_are_never_taken_for_the_body() {
    let (all, _) = read_all("oddities-last-segments.json.gz");
    let mut cut = 0;
    for message in all.iter().flat_map(|e| [e.request.get(), e.response.get()]).flatten() {
        if let Some(length) = message.body.length.filter(|_| message.body.truncated) {
            assert!(length > message.body.bytes.len() as u64);
            cut += 1;
        }
    }
    assert!(cut >= 5, "{cut}");
}

/// Other writers of the same messages use camelCase, numbers for u64 and leave defaults out.
#[test]
fn camel_case_and_bare_numbers_are_read() {
    let text = br#"[{"httpStreamedTraceSegment":{"traceId":7,"requestHeaders":{"headers":[{"key":":method","value":"GET"}]}}},
        {"httpStreamedTraceSegment":{"traceId":"7","responseHeaders":{"headers":[{"key":":status","value":"204"}]}}},
        {"httpBufferedTrace":{"request":{"headers":[{"key":"a","rawValue":"/w=="}],"body":{"asBytes":"aGk"},
            "headersReceivedTime":"1970-01-01T00:00:01Z"},"downstreamConnection":{"remoteAddress":
            {"socketAddress":{"address":"::1","portValue":80}}}}}]"#;
    let (all, tally) = read_bytes(text);
    assert_eq!((all.len(), tally.skipped_total()), (2, 0));
    assert_eq!((all[0].id.as_str(), all[0].status()), ("7", Some(204)));
    assert_eq!(request(&all[1]).headers.get(b"a"), Some(&b"\xff"[..]));
    assert_eq!(request(&all[1]).body.bytes, b"hi");
    assert_eq!(all[1].started, Some(1_000_000_000));
    assert_eq!(all[1].source.as_ref().unwrap().address, "[::1]:80");
}

/// Ctrl-C tears the last object; a tear in the middle costs that object alone.
#[test]
fn torn_objects_cost_only_themselves() {
    let bytes = bytes_of("boutique-streaming.json");
    let at = bytes.len() / 2;
    let (all, tally) = read_bytes(&bytes[..at]);
    assert_eq!(tally.skipped[&Skip::Torn].count, 1);
    let before = all.len();
    let mut joined = bytes[..at].to_vec();
    joined.extend_from_slice(b"\n");
    joined.extend_from_slice(&bytes);
    let (all, tally) = read_bytes(&joined);
    assert_eq!(all.len(), before + 24);
    assert_eq!(tally.skipped[&Skip::Torn].count, 1);
}
