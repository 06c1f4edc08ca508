//! A body's way through the filter.

use super::Message;
use crate::exchange::Exchange;
use crate::host::world;
use crate::streams;
use tamis_abi::{Action, BufferType, MapType};

/// One direction of bodies.
pub(super) struct Direction {
    buffer: BufferType,
    map: MapType,
    body: fn(&Exchange, usize, bool) -> Action,
    trailers: fn(&Exchange) -> Action,
}

pub(super) const REQUEST: Direction = Direction {
    buffer: BufferType::HttpRequestBody,
    map: MapType::HttpRequestTrailers,
    body: Exchange::request_body,
    trailers: Exchange::request_trailers,
};

pub(super) const RESPONSE: Direction = Direction {
    buffer: BufferType::HttpResponseBody,
    map: MapType::HttpResponseTrailers,
    body: Exchange::response_body,
    trailers: Exchange::response_trailers,
};

/// A body's way through: one piece, then the empty last one of HTTP/1 (docs/envoy.md 2.2) or trailers.
pub(super) fn pour(id: u32, direction: &Direction, message: &mut Message) {
    let trailers = !message.trailers.is_empty();
    let body = std::mem::take(&mut message.body);
    if body.is_empty() && !trailers {
        return;
    }
    let mut out = Vec::new();
    let mut held = body;
    for last in [false, true] {
        let size = held.len();
        world(|w| w.buffers.insert(direction.buffer, std::mem::take(&mut held)));
        let action = match (last, trailers) {
            (true, true) => {
                world(|w| w.maps.insert(direction.map, std::mem::take(&mut message.trailers)));
                let action = streams::tell(id, |exchange| (direction.trailers)(exchange));
                message.trailers = world(|w| w.maps.remove(&direction.map)).unwrap_or_default();
                action
            }
            _ => streams::tell(id, |exchange| (direction.body)(exchange, size, last)),
        };
        let after = world(|w| w.buffers.remove(&direction.buffer)).unwrap_or_default();
        if action == Action::Continue {
            out.extend(after);
        } else {
            held = after;
        }
    }
    message.body = out;
}
