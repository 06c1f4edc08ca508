//! Bundled captures, read whole.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::Read;
use std::path::PathBuf;
use tamis_traffic::read::{self, ReadOptions};
use tamis_traffic::{Exchange, Message, Tally};

/// The path of a bundled capture.
pub(crate) fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures").join(name)
}

/// All exchanges of a bundled capture.
pub(crate) fn read_with(name: &str, options: &ReadOptions) -> (Vec<Exchange>, Tally) {
    let mut reader = read::open(&[capture(name)], options).unwrap();
    let (mut all, mut exchange) = (Vec::new(), Exchange::default());
    while reader.next(&mut exchange).unwrap() {
        all.push(exchange.clone());
    }
    (all, reader.tally().clone())
}

/// The same with default options.
pub(crate) fn read_all(name: &str) -> (Vec<Exchange>, Tally) {
    read_with(name, &ReadOptions::default())
}

/// All exchanges in some bytes.
pub(crate) fn read_bytes(bytes: &[u8]) -> (Vec<Exchange>, Tally) {
    let from = std::io::Cursor::new(bytes.to_vec());
    let mut reader = read::from_reader(from, &ReadOptions::default()).unwrap();
    let (mut all, mut exchange) = (Vec::new(), Exchange::default());
    while reader.next(&mut exchange).unwrap() {
        all.push(exchange.clone());
    }
    (all, reader.tally().clone())
}

/// The bytes of a bundled file, unpacked.
pub(crate) fn bytes_of(name: &str) -> Vec<u8> {
    let bytes = std::fs::read(capture(name)).unwrap();
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    plain
}

/// The name that the recording client gave to an exchange.
pub(crate) fn case(exchange: &Exchange) -> Option<String> {
    Some(exchange.request.get()?.headers.text("x-case")?.to_owned())
}

/// The exchange of a case.
pub(crate) fn of_case<'a>(all: &'a [Exchange], name: &str) -> &'a Exchange {
    all.iter().find(|e| case(e).as_deref() == Some(name)).unwrap_or_else(|| panic!("no case {name}"))
}

/// The request half, which must be there.
pub(crate) fn request(exchange: &Exchange) -> &Message {
    exchange.request.get().expect("a request")
}

/// The response half, which must be there.
pub(crate) fn response(exchange: &Exchange) -> &Message {
    exchange.response.get().expect("a response")
}
