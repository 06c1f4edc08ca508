//! Istio's JSON access log, alone and between other lines.

mod common;

use common::{bytes_of, read_all, read_bytes, request, response};
use std::collections::HashMap;
use tamis_traffic::{Exchange, Gap, Protocol, Provenance, Side, Skip};

/// The access log of the demo capture's traffic: every line is an exchange of the tap, joined on the id.
#[test]
fn log_and_tap_of_the_same_traffic_agree() {
    let (log, tally) = read_all("access-boutique.json.log.gz");
    assert_eq!((log.len(), tally.synthesised, tally.skipped_total()), (1238, 1238, 0));
    let tap: HashMap<String, Exchange> =
        read_all("boutique.pb_length_delimited.gz").0.into_iter().map(|e| (e.id.clone(), e)).collect();
    for line in &log {
        let seen = &tap[&line.id];
        for name in [":authority", ":path", ":method", ":scheme", "user-agent", "x-request-id"] {
            assert_eq!(request(line).headers.text(name), request(seen).headers.text(name), "{name}");
        }
        assert_eq!(line.status(), seen.status());
        assert_eq!((line.side, line.protocol), (Side::Inbound, Protocol::Http2));
        assert_eq!(line.provenance, Provenance::Synthesised);
        let body = &request(line).body;
        assert!(body.bytes.is_empty() && body.truncated && body.length >= Some(5));
        assert_eq!(line.gaps.contains(&Gap::NoResponse), seen.response.is_none());
    }
}

/// Facts of captures, 2: what a line knows beside the request.
#[test]
fn a_line_gives_addresses_times_and_attributes() {
    let (all, _) = read_all("access-boutique.json.log.gz");
    let first = &all[0];
    assert_eq!(first.place.line, Some(1));
    assert_eq!(first.started, Some(1_795_416_712_814_000_000));
    assert_eq!(first.duration, Some(3_000_000));
    assert_eq!(first.source.as_ref().unwrap().address, "127.0.0.1:40058");
    assert_eq!(first.destination.as_ref().unwrap().address, "127.0.0.1:23006");
    assert_eq!(first.upstream.as_ref().unwrap().address, "127.0.0.1:23010");
    let known = &first.attributes;
    assert_eq!(known.cluster_name.as_deref(), Some("inbound|7000||"));
    assert_eq!(known.route_name.as_deref(), Some("default"));
    assert_eq!(known.response_code_details.as_deref(), Some("via_upstream"));
    assert_eq!(known.response_flags, None);
    let sni = "outbound_.7000_._.currencyservice.boutique.svc.cluster.local";
    assert_eq!(known.requested_server_name.as_deref(), Some(sni));
    assert_eq!(response(first).headers.text("x-envoy-upstream-service-time"), Some("1"));
    assert_eq!(response(first).body.length, Some(170));
}

/// Facts of captures, 2: a request that the codec refused (`DPE`) leaves nothing to replay.
#[test]
fn refused_requests_are_counted_and_outbound_is_told_by_the_cluster() {
    let text = bytes_of("access-outbound.json.log");
    let refused = text.split(|b| *b == b'\n').filter(|l| l.windows(5).any(|w| w == b"\"DPE\"")).count();
    assert_eq!(refused, 6);
    let (all, tally) = read_all("access-outbound.json.log");
    assert_eq!(tally.skipped[&Skip::Nothing].count, 6);
    assert_eq!(tally.skipped_total(), 6);
    assert!(all.iter().any(|e| e.side == Side::Outbound));
}

/// The same 25 lines between 86 others, as `kubectl logs --prefix` gives them, and as a node keeps them, where
/// one more line lies in pieces.
#[test]
fn lines_are_found_behind_prefixes_and_between_others() {
    let (kubectl, tally) = read_all("access-mixed-kubectl.log");
    assert_eq!((kubectl.len(), tally.skipped[&Skip::ForeignLine].count), (25, 86));
    assert_eq!(tally.skipped[&Skip::ForeignLine].first.line, Some(1));
    let (cri, tally) = read_all("access-mixed-cri.log");
    assert_eq!((cri.len(), tally.skipped[&Skip::ForeignLine].count), (26, 86));
    for (one, other) in kubectl.iter().zip(&cri) {
        assert_eq!(one.request, other.request);
    }
    let long = request(&cri[25]).headers.text(":path").unwrap();
    assert!(long.len() > 5000, "put together from five pieces");
}

/// Facts of captures, 2: keys may be absent (`omitEmptyValues`), null, numbers or strings; a custom format
/// without the default keys is foreign; a last line may be torn.
#[test]
fn odd_lines_are_taken_or_counted_and_never_fail() {
    let text = concat!(
        r#"{"method":"GET","path":"/a","response_code":"200","start_time":"2026-11-23T06:51:52.814Z"}"#,
        "\n",
        r#"{"method":"GET","path":"/b","response_code":0,"response_flags":"DC","authority":null,"duration":1.5}"#,
        "\n",
        r#"{"verb":"GET","uri":"/c"}"#,
        "\n\n[2026-11-23T07:03:24.485Z] \"GET /d HTTP/1.1\" 200 -\n",
        r#"{"method":"GET","path":"/e","response_code":20"#,
    );
    let (all, tally) = read_bytes(text.as_bytes());
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].status(), Some(200));
    assert_eq!(all[1].gaps, [Gap::NoResponse]);
    assert_eq!(all[1].attributes.response_flags.as_deref(), Some("DC"));
    assert_eq!(tally.skipped[&Skip::ForeignLine].count, 2);
    assert_eq!(tally.skipped[&Skip::Torn].first.line, Some(6));
}
