//! The desk as the property table sees it.

use super::{Context, Desk};
use crate::chain::RESPONSE_HEADERS;
use crate::properties::{Missing, View, find, lookup};
use std::borrow::Cow;
use std::sync::OnceLock;
use tamis_abi::Status;
use tamis_traffic::Headers;
use tamis_traffic::select::{Found, Lookup};

/// The value of a property for the effective context (docs/envoy.md 2.9).
///
/// # Errors
/// 1 for what is unknown or not known now, 3 for what has no byte form; not supported for what is known in part.
pub(crate) fn property<'a>(desk: &'a Desk, path: &[u8]) -> Result<Cow<'a, [u8]>, Missing> {
    lookup(path, &view(desk, desk.at.effective).ok_or(Status::NotFound)?)
}

/// What a context sees now.
pub(crate) fn view(desk: &Desk, at: Context) -> Option<View<'_>> {
    let plugin = desk.plugins.get(at.filter)?;
    let (stream, known) = (&desk.stream, &desk.known);
    let seat = stream.seats.get(at.filter).filter(|_| at.stream);
    let log = seat.is_some_and(|s| s.logging);
    let map = |number: usize| -> Option<&Headers> {
        let held = seat.is_some_and(|s| s.open[number]);
        if log && !held && number == RESPONSE_HEADERS && stream.past.is_some() {
            return stream.past.as_ref();
        }
        let open = held || (log && number != 1);
        (open && stream.maps[number].present).then_some(&stream.maps[number].headers)
    };
    let [request, response] = &stream.lanes;
    Some(View {
        stream: at.stream,
        request_headers: map(0),
        response_headers: map(2),
        response_trailers: map(3),
        sent: request.headers_out,
        over: seat.is_some_and(|s| s.over),
        response_code: stream.code,
        code_details: Some(stream.details.as_str()).filter(|_| stream.explained),
        local: stream.local,
        flags: stream.flags,
        lost: stream.lost,
        request_bytes: request.bytes_in,
        response_bytes: response.bytes_out,
        protocol: known.protocol,
        started: known.started,
        duration: known.duration,
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
        profile: &desk.profile,
        proxy: &desk.proxy,
    })
}

/// What a context sees, for one evaluation of an expression.
pub(crate) struct Asked<'a> {
    view: View<'a>,
    /// The first thing that was asked for and that this host does not have.
    pub(crate) beyond: OnceLock<String>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(view: View<'a>) -> Self {
        Self { view, beyond: OnceLock::new() }
    }
}

impl Lookup for Asked<'_> {
    fn lookup(&self, path: &[&str]) -> Found<'_> {
        find(path, &self.view).unwrap_or_else(|what| {
            let _ = self.beyond.set(what);
            Found::Missing
        })
    }
}

/// A recording does not say which exchanges shared a connection.
const CONNECTION: u64 = 1;
