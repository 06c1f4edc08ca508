//! Input that somebody shaped to hurt: no panic, no hang, no memory that grows with it.

mod common;

use common::{bytes_of, capture, read_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{Cursor, Read};
use tamis_traffic::read::{self, Known, MAX_FIELDS, MAX_OPEN_STREAMS, MAX_RECORD, ReadError, ReadOptions};
use tamis_traffic::{Exchange, Gap, Skip, Tally};

/// Reads all, whatever comes; an error is an answer.
fn survive(bytes: &[u8]) -> Option<Tally> {
    let mut reader = read::from_reader(Cursor::new(bytes.to_vec()), &ReadOptions::default()).ok()?;
    let mut exchange = Exchange::default();
    while reader.next(&mut exchange).ok()? {}
    Some(reader.tally().clone())
}

fn stream(from: impl Read + Send + 'static) -> Tally {
    let mut reader = read::from_reader(from, &ReadOptions::default()).unwrap();
    let mut exchange = Exchange::default();
    while reader.next(&mut exchange).unwrap() {}
    reader.tally().clone()
}

const STARTS: [&[u8]; 6] = [
    b"",
    b"{\"http_buffered_trace\":",
    b"{\"http_streamed_trace_segment\":{\"trace_id\":\"1\",",
    b"{\"tamis\":1,",
    b"{\"method\":\"GET\",\"path\":\"/\",\"response_code\":200}\n",
    b"\x1f\x8b\x08\x00",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Arbitrary bytes behind the start of each format.
    #[test]
    fn arbitrary_bytes_never_panic(start in 0..STARTS.len(), bytes in vec(any::<u8>(), 0..400)) {
        survive(&[STARTS[start], &bytes].concat());
    }

    /// Real captures with some bytes changed and the end cut off.
    #[test]
    fn damaged_captures_never_panic(
        which in 0..4_usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        end in any::<prop::sample::Index>(),
    ) {
        let names = ["oddities-outbound-streamed.json", "web-static-as-string.json", "access-mixed-cri.log",
            "oddities-last/tap_7499218515888448859.pb"];
        let mut bytes = bytes_of(names[which]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        survive(&bytes);
    }

    /// Length-delimited messages of arbitrary fields.
    #[test]
    fn arbitrary_fields_never_panic(fields in vec((1..8_u8, vec(any::<u8>(), 0..60)), 0..12)) {
        let mut trace = Vec::new();
        for (number, bytes) in fields {
            trace.extend_from_slice(&[number << 3 | 2, bytes.len() as u8]);
            trace.extend(bytes);
        }
        for kind in [0x0a, 0x12] {
            let mut framed = Vec::new();
            let inner = [&[kind], &varint(trace.len())[..], &trace].concat();
            framed.extend(varint(inner.len()));
            framed.extend(inner);
            survive(&framed);
        }
    }
}

/// A line of 1 GiB in a log, from a stream that never holds it: skipped, counted, and the next line is read.
#[test]
fn a_gigabyte_line_is_skipped_without_being_held() {
    let line = b"{\"method\":\"GET\",\"path\":\"/\",\"response_code\":200}\n";
    let long = std::io::repeat(b'x').take(1 << 30);
    let tally = stream(Cursor::new(line).chain(long).chain(Cursor::new(b"\n")).chain(Cursor::new(line)));
    assert_eq!(tally.taken, 2);
    let skipped = &tally.skipped[&Skip::TooLong];
    assert_eq!((skipped.count, skipped.first.line), (1, Some(2)));
}

/// The same for a JSON object and for a length in a binary tap.
#[test]
fn records_above_the_limit_are_skipped_and_counted() {
    let object = b"{\"http_buffered_trace\":{\"request\":{\"headers\":[]}}}\n";
    let head = b"{\"http_buffered_trace\":{\"request\":{\"body\":{\"as_string\":\"";
    let long = std::io::repeat(b'x').take(MAX_RECORD as u64 + 10);
    let tally = stream(
        Cursor::new(object)
            .chain(Cursor::new(head))
            .chain(long)
            .chain(Cursor::new(b"\"}}}}\n{\"http_buffered_trace\":{\"request\":{\"headers\":[]}}}\n")),
    );
    assert_eq!((tally.taken, tally.skipped[&Skip::TooLong].count), (2, 1));

    let message = [&[0x04_u8, 0x0a, 0x02, 0x0a, 0x00][..]].concat();
    let length = MAX_RECORD + 1;
    let long = std::io::repeat(0).take(length as u64);
    let tally = stream(
        Cursor::new([message.clone(), varint(length)].concat()).chain(long).chain(Cursor::new(message)),
    );
    assert_eq!((tally.taken, tally.skipped[&Skip::TooLong].count), (2, 1));
}

/// A header list above the limit.
#[test]
fn too_many_headers_are_counted() {
    let list = "{\"key\":\"a\",\"value\":\"b\"},".repeat(MAX_FIELDS + 1);
    let text = format!(
        "{{\"http_buffered_trace\":{{\"request\":{{\"headers\":[{}]}}}}}}",
        list.trim_end_matches(',')
    );
    let (all, tally) = read_bytes(text.as_bytes());
    assert!(all.is_empty());
    assert_eq!(tally.skipped[&Skip::TooManyHeaders].count, 1);
}

/// More streams than may be open at once: the oldest come out, marked, and nothing is lost.
#[test]
fn open_streams_are_bounded() {
    let count = MAX_OPEN_STREAMS + 100;
    let mut text = String::new();
    for id in 0..count {
        text += &format!(
            "{{\"http_streamed_trace_segment\":{{\"trace_id\":\"{id}\",\"request_headers\":{{\"headers\":[]}}}}}}\n"
        );
    }
    let (all, tally) = read_bytes(text.as_bytes());
    assert_eq!(all.len(), count);
    assert_eq!(all[0].id, "0");
    assert_eq!(tally.gaps[&Gap::Unfinished], count as u64);
}

/// JSON nested deeper than any tap: nothing in it is known.
#[test]
fn deep_nesting_is_skipped_and_no_stack_is_lost() {
    let deep = format!(
        "{{\"http_buffered_trace\":{}{}}}",
        "{\"a\":".repeat(100_000),
        "1".to_owned() + &"}".repeat(100_000)
    );
    let (all, tally) = read_bytes(deep.as_bytes());
    assert!(all.is_empty());
    assert_eq!(tally.skipped[&Skip::Nothing].count, 1);
}

/// Formats that are not read are named, and the error says what is (docs/captures.md 10.1).
#[test]
fn formats_that_are_not_read_are_named() {
    let all: [(&[u8], Known); 9] = [
        (b"{\"log\":{\"version\":\"1.2\",\"creator\":{},\"entries\":[]}}", Known::Har),
        (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", Known::Pcap),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", Known::PcapNg),
        (b"PK\x03\x04rest", Known::Zip),
        (b"http_buffered_trace {\n  request {\n", Known::TapText),
        (b"[2026-11-23T07:03:24.485Z] \"GET / HTTP/1.1\" 200 - via_upstream\n", Known::TextLog),
        (b"3675:9:websocket;0:~8:response;", Known::Mitm),
        (b"1 f45590522cd1838b4a0d5c5aab80b77929dea3b3 1231 0\nGET / HTTP/1.1\r\n", Known::GoReplay),
        (b"[{\"traceId\":\"a\",\"id\":\"b\"}]", Known::Spans),
    ];
    for (bytes, want) in all {
        let error = read::from_reader(Cursor::new(bytes), &ReadOptions::default()).err().expect("not read");
        assert!(matches!(error, ReadError::NotRead { format, .. } if format == want), "{error}");
        assert!(error.to_string().contains("not read yet") && !error.hint().is_empty());
    }
    let error = read::from_reader(Cursor::new(b"hello\n"), &ReadOptions::default()).err().expect("unknown");
    assert!(matches!(error, ReadError::Unknown { .. }));
}

/// Paths that are not there, folders without files, empty files, and foreign files in a folder.
#[test]
fn paths_that_hold_nothing_are_told_apart() {
    let options = ReadOptions::default();
    let folder = tempfile::tempdir().unwrap();
    let missing = read::open(&[folder.path().join("none.json")], &options).err().unwrap();
    assert!(matches!(missing, ReadError::Io { .. }) && std::error::Error::source(&missing).is_some());
    let nothing = read::open(&[folder.path().to_owned()], &options).err().unwrap();
    assert!(matches!(nothing, ReadError::Nothing { path: Some(_) }));
    std::fs::write(folder.path().join("a-empty"), b"").unwrap();
    std::fs::write(folder.path().join("b-notes.txt"), b"these are my notes\n").unwrap();
    std::fs::copy(capture("oddities-outbound-streamed.json"), folder.path().join("c")).unwrap();
    let mut reader = read::open(&[folder.path().to_owned()], &options).unwrap();
    let mut exchange = Exchange::default();
    assert!(reader.next(&mut exchange).unwrap());
    assert_eq!(exchange.place.file, 2);
    assert!(!reader.next(&mut exchange).unwrap());
    assert_eq!(reader.tally().skipped[&Skip::EmptyFile].count, 1);
    assert_eq!(reader.tally().skipped[&Skip::ForeignFile].first.file, 1);
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
