//! The recorded traffic of the bench: a length-delimited tap, made in memory.

use std::io::{self, Read};
use std::sync::Arc;

/// Request headers as a browser behind a gateway sends them.
pub(crate) const REQUEST: [(&str, &str); 15] = [
    (":authority", "shop.example.com"),
    (":path", "/api/v1/items?id=42"),
    (":method", "GET"),
    (":scheme", "https"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "5a1d5c0e-0e55-4b5c-8a0e-7f1c6b1f2d3e"),
    ("x-tenant", "acme-eu"),
    ("x-remove-me", "yes"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
];

/// What the service answers.
pub(crate) const RESPONSE: [(&str, &str); 6] = [
    (":status", "200"),
    ("content-type", "application/json"),
    ("content-length", "128"),
    ("date", "Mon, 23 Nov 2026 06:00:00 GMT"),
    ("server", "envoy"),
    ("x-envoy-upstream-service-time", "3"),
];

/// Its body.
pub(crate) const BODY: &[u8] = &[b'x'; 128];

/// One exchange as a tap message behind its length.
pub(crate) fn record() -> Vec<u8> {
    let request = message(&REQUEST, b"");
    let response = message(&RESPONSE, BODY);
    let trace = [field(1, &request), field(2, &response)].concat();
    let wrapper = field(1, &trace);
    let mut out = Vec::new();
    varint(wrapper.len(), &mut out);
    out.extend(wrapper);
    out
}

fn message(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.extend(field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
    }
    if !body.is_empty() {
        out.extend(field(2, &field(1, body)));
    }
    out
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint(bytes.len(), &mut out);
    out.extend_from_slice(bytes);
    out
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The same bytes many times over, without holding them many times.
pub(crate) struct Repeat {
    block: Arc<[u8]>,
    at: usize,
    left: usize,
}

impl Repeat {
    pub(crate) fn new(block: &Arc<[u8]>, times: usize) -> Self {
        Self { block: Arc::clone(block), at: 0, left: times }
    }
}

impl Read for Repeat {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let taken = (&self.block[self.at..]).read(out)?;
        self.at += taken;
        if self.at == self.block.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(taken)
    }
}
