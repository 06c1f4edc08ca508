//! Binary Envoy taps, read from real recordings.

mod common;

use common::{bytes_of, capture, read_all, read_bytes, request};
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::{Exchange, Gap, Protocol, Provenance, Side, Skip};

/// The recording's own count is 1,238 exchanges, all gRPC through an inbound sidecar with mTLS.
#[test]
fn the_demo_capture_is_read_whole_and_packed() {
    let (all, tally) = read_all("boutique.pb_length_delimited.gz");
    assert_eq!((all.len(), tally.taken, tally.skipped_total()), (1238, 1238, 0));
    for (index, exchange) in all.iter().enumerate() {
        let request = request(exchange);
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
    // Five clients hung up: the access log of the same traffic says `0 DR` or `0 DC` five times.
    assert_eq!(tally.gaps.get(&Gap::NoResponse), Some(&5));
    assert_eq!(tally.incomplete, 5);
}

/// Facts of captures, 1: a file of format PROTO_BINARY is one message; a folder holds one file a stream.
#[test]
fn a_folder_of_single_messages_is_read_in_order_of_names() {
    let mut reader = read::open(&[capture("oddities-last")], &ReadOptions::default()).unwrap();
    let files: Vec<_> = reader.files().map(|f| f.to_owned()).collect();
    assert!(files.is_sorted() && files.len() == 17, "{files:?}");
    let mut exchange = Exchange::default();
    let mut places = Vec::new();
    while reader.next(&mut exchange).unwrap() {
        places.push((exchange.place.file, exchange.place.number));
    }
    let want: Vec<_> = (0..17).map(|n| (n, u64::from(n) + 1)).collect();
    assert_eq!(places, want);
    // Facts of captures, 0.2: a filter before the tap answered with 401, 403 or 429, so there is no request.
    assert_eq!(reader.tally().gaps.get(&Gap::NoRequest), Some(&8));
}

/// Facts of captures, 0.2 and 5: the streamed form, one file a stream, joined with `cat`.
#[test]
fn streamed_pieces_come_together_by_stream() {
    let (all, tally) = read_all("oddities-last-segments.pb_length_delimited.gz");
    assert_eq!((all.len(), tally.skipped_total()), (127, 0));
    assert_eq!(tally.gaps.get(&Gap::NoRequest), Some(&8));
    for exchange in &all {
        for message in [exchange.request.get(), exchange.response.get()].into_iter().flatten() {
            let sum: usize = message.body.chunks.iter().map(|c| *c as usize).sum();
            assert_eq!(sum, message.body.bytes.len(), "chunks add up to the body");
        }
    }
    assert!(all.iter().any(|e| e.response.get().is_some_and(|m| m.body.chunks.len() > 2)));
}

/// PROTO_BINARY with `streaming`: messages without lengths, as repeated fields (docs/captures.md 1).
#[test]
fn streamed_pieces_without_lengths_read_the_same() {
    let framed = bytes_of("oddities-last-segments.pb_length_delimited.gz");
    let mut bare = Vec::new();
    let mut rest = &framed[..];
    while !rest.is_empty() {
        let (length, used) = varint(rest);
        bare.extend_from_slice(&rest[used..used + length]);
        rest = &rest[used + length..];
    }
    let (with, without) = (read_bytes(&framed).0, read_bytes(&bare).0);
    let strip = |all: &[Exchange]| -> Vec<Exchange> {
        all.iter().map(|e| Exchange { place: tamis_traffic::Place::default(), ..e.clone() }).collect()
    };
    assert_eq!(strip(&with), strip(&without));
}

/// A recording that stops inside a message gives all before it, and says where it broke.
#[test]
fn a_torn_last_message_costs_only_itself() {
    let whole = bytes_of("boutique.pb_length_delimited.gz");
    let (length, used) = varint(&whole);
    let second = length + used;
    let (all, tally) = read_bytes(&whole[..second + 100]);
    assert_eq!(all.len(), 1);
    let torn = &tally.skipped[&Skip::Torn];
    assert_eq!((torn.count, torn.first.offset), (1, second as u64));
}

/// A message whose inside is damaged is skipped: its length still says where the next begins.
#[test]
fn a_damaged_message_is_skipped_and_counted() {
    let mut bytes = bytes_of("boutique.pb_length_delimited.gz");
    let (length, used) = varint(&bytes);
    let second = length + used;
    // The tag of the second message's first inner field becomes a group, which no tap has.
    let (_, head) = varint(&bytes[second..]);
    let (_, inner) = varint(&bytes[second + head + 1..]);
    bytes[second + head + 1 + inner] = 0x0b;
    let (all, tally) = read_bytes(&bytes);
    assert_eq!(all.len(), 1237);
    assert_eq!(tally.skipped[&Skip::Malformed].first.offset, second as u64);
}

/// A gzip file without its end: what can be unpacked is read.
#[test]
fn a_torn_gzip_file_gives_what_it_has() {
    let packed = std::fs::read(capture("boutique.pb_length_delimited.gz")).unwrap();
    let (all, tally) = read_bytes(&packed[..packed.len() / 2]);
    assert!((300..1238).contains(&all.len()), "{}", all.len());
    assert_eq!(tally.skipped[&Skip::TornGzip].count, 1);
}

fn varint(bytes: &[u8]) -> (usize, usize) {
    let used = bytes.iter().position(|b| b & 0x80 == 0).unwrap() + 1;
    let value = bytes[..used].iter().rev().fold(0, |sum, b| (sum << 7) | usize::from(b & 0x7f));
    (value, used)
}
