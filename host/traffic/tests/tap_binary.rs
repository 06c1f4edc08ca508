//! Binary Envoy taps, read from real recordings.

use std::path::PathBuf;
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::{Exchange, Gap, Protocol, Provenance, Side, Tally};

fn captures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

fn read_all(name: &str) -> (Vec<Exchange>, Tally) {
    let mut reader = read::open(&[captures().join(name)], &ReadOptions::default()).unwrap();
    let (mut all, mut exchange) = (Vec::new(), Exchange::default());
    while reader.next(&mut exchange).unwrap() {
        all.push(exchange.clone());
    }
    (all, reader.tally().clone())
}

/// The recording's own count is 1,238 exchanges, all gRPC through an inbound sidecar with mTLS.
#[test]
fn the_demo_capture_is_read_whole_and_packed() {
    let (all, tally) = read_all("boutique.pb_length_delimited.gz");
    assert_eq!(all.len(), 1238);
    assert_eq!(tally.taken, 1238);
    assert_eq!(tally.skipped_total(), 0);
    for (index, exchange) in all.iter().enumerate() {
        let request = exchange.request.get().expect("a request");
        assert_eq!(request.headers.get(b":method"), Some(&b"POST"[..]));
        assert_eq!(exchange.id.as_bytes(), request.headers.get(b"x-request-id").unwrap());
        assert_eq!(exchange.protocol, Protocol::Http2);
        assert_eq!(exchange.side, Side::Inbound);
        assert_eq!(exchange.provenance, Provenance::Recorded);
        assert_eq!(exchange.attributes.mtls, Some(true));
        assert_eq!(exchange.place.number, index as u64 + 1);
        let source = exchange.source.as_ref().expect("a client");
        assert_eq!(source.identity.as_deref(), Some("spiffe://cluster.local/ns/boutique/sa/frontend"));
    }
    let answered = all.iter().filter(|e| e.response.get().is_some_and(|m| m.trailers.is_some()));
    assert!(answered.count() > 1000, "gRPC responses end with trailers");
    // A few clients hung up (the recording's notes); those have no response.
    assert_eq!(tally.gaps.get(&Gap::NoResponse).copied().unwrap_or(0), tally.incomplete);
}
