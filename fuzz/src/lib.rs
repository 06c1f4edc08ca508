//! Oracles of the fuzz targets: what must hold for any bytes.

mod capture;
#[cfg(feature = "host")]
mod guest;
#[cfg(feature = "host")]
mod host;
mod image;
#[cfg(feature = "host")]
mod module;
mod proxy;
mod text;
#[cfg(feature = "host")]
mod words;

pub use capture::{capture, pairs};
#[cfg(feature = "host")]
pub use host::host;
pub use image::{answers, attached, image};
#[cfg(feature = "host")]
pub use module::{coverage, link, load, module};
pub use proxy::proxy;
pub use text::{inject, select, traffic_test};

use tamis_traffic::{Body, Exchange, Headers, Message, Slot};

/// Errors are one line.
fn one_line(error: &impl std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.contains(['\n', '\r']), "{text:?}");
}

/// Pieces of a body sum up to it, or there are none.
fn whole(body: &Body) {
    let sum: u64 = body.chunks.iter().map(|c| u64::from(*c)).sum();
    assert!(body.chunks.is_empty() || sum == body.bytes.len() as u64);
}

/// A request with a body and a response with one, for what needs something to look at.
fn exchange() -> Exchange {
    let message = |fields: &[(&str, &str)], body: &[u8]| {
        let headers: Headers = fields.iter().copied().collect();
        Message { headers, body: Body { bytes: body.to_vec(), ..Body::default() }, ..Message::default() }
    };
    let request = [
        (":authority", "shop"),
        (":path", "/cart?a=1"),
        (":method", "POST"),
        (":scheme", "http"),
        ("x-in", "1"),
        ("cookie", "a=b"),
    ];
    let response = [(":status", "200"), ("server", "up"), ("content-type", "text/plain")];
    Exchange {
        id: "one".into(),
        request: Slot::some(message(&request, b"{\"a\":[1,2]}")),
        response: Slot::some(message(&response, b"hello")),
        started: Some(1_790_000_000_000_000_000),
        duration: Some(3_000_000),
        ..Exchange::default()
    }
}
