//! The desk as the property table sees it.

use super::Desk;
use crate::chain::RESPONSE_HEADERS;
use crate::properties::{View, lookup};
use std::borrow::Cow;
use tamis_abi::Status;
use tamis_traffic::Headers;

/// The value of a property for the effective context (docs/envoy.md 2.9).
///
/// # Errors
/// 1 for what is unknown or not known now, 3 for what has no byte form.
pub(crate) fn property<'a>(desk: &'a Desk, path: &[u8]) -> Result<Cow<'a, [u8]>, Status> {
    let at = desk.at.effective;
    let plugin = desk.plugins.get(at.filter).ok_or(Status::NotFound)?;
    let (stream, known) = (&desk.stream, &desk.known);
    let seat = stream.seats.get(at.filter).filter(|_| at.stream);
    let log = seat.is_some_and(|s| s.logging);
    let map = |number: usize| -> Option<&'a Headers> {
        let open = seat.is_some_and(|s| s.open[number] || (log && number != 1));
        (open && stream.maps[number].present).then_some(&stream.maps[number].headers)
    };
    let status = &stream.maps[RESPONSE_HEADERS].headers;
    let [request, response] = &stream.lanes;
    let view = View {
        stream: at.stream,
        request_headers: map(0),
        request_trailers: map(1),
        response_headers: map(2),
        response_trailers: map(3),
        sent: request.headers_out,
        log,
        response_code: status.text(":status").filter(|_| stream.response_begun).and_then(|s| s.parse().ok()),
        code_details: &stream.details,
        request_bytes: request.bytes_in,
        response_bytes: if log { response.bytes_in } else { 0 },
        protocol: known.protocol,
        started: known.started,
        duration: known.duration.filter(|_| log),
        source: known.source.as_ref(),
        destination: known.destination.as_ref(),
        upstream: known.upstream.as_ref(),
        side: known.side,
        attributes: &known.attributes,
        connection_id: CONNECTION,
        plugin_name: &plugin.name,
        root_id: &plugin.root_id,
        vm_id: &plugin.vm_id,
        state: &desk.properties,
    };
    lookup(path, &view)
}

/// A recording does not say which exchanges shared a connection.
const CONNECTION: u64 = 1;
