//! Buffers: bodies, configurations, answers to callouts (docs/envoy.md 1.2, 2.3).

use super::{Answer, Call, Stop};
use crate::chain::{BodyView, Dir};
use crate::stage::Desk;
use tamis_abi::Status;
use tamis_traffic::FaultKind;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const UPSTREAM_DATA: u32 = 3;
const CALL_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const VM_CONFIG: u32 = 6;
const PLUGIN_CONFIG: u32 = 7;
const CALL_DATA: u32 = 8;

/// The bytes of a buffer as the effective context sees them.
///
/// 1 for what does not exist now (4 outside its callback, 7 outside configure), 2 above 8; a body in the wrong
/// phase is empty.
fn bytes(desk: &Desk, kind: u32) -> Answer<&[u8]> {
    let at = desk.at.effective;
    match kind {
        REQUEST_BODY..=UPSTREAM_DATA => Ok(body(desk, kind)),
        // A call that broke has no body, not an empty one (row 14 of the conformance table).
        CALL_BODY => {
            let open = desk.callouts.open.http.as_ref().filter(|a| !a.headers.is_empty());
            open.map(|a| &a.body.bytes[..]).ok_or(Stop::Tell(Status::NotFound))
        }
        GRPC_MESSAGE => Ok(desk.callouts.open.received.as_deref().unwrap_or_default()),
        CALL_DATA if !at.stream => Ok(desk.callouts.open.resolved.as_deref().unwrap_or_default()),
        VM_CONFIG => Ok(desk.plugins.get(at.filter).map_or(&[][..], |p| &p.vm_config)),
        PLUGIN_CONFIG
            if desk.at.phase == "proxy_on_configure" || desk.at.phase == "proxy_validate_configuration" =>
        {
            Ok(desk.plugins.get(at.filter).map_or(&[][..], |p| &p.config))
        }
        PLUGIN_CONFIG => Err(Stop::Tell(Status::NotFound)),
        CALL_DATA => Ok(&[]),
        _ => Err(Stop::Tell(Status::BadArgument)),
    }
}

fn body(desk: &Desk, kind: u32) -> &[u8] {
    let at = desk.at.effective;
    // Bodies of a stream are 0 and 1, data of a connection 2 and 3.
    let (dir, stream) = (kind as usize & 1, &desk.stream);
    match stream.seats.get(at.filter) {
        Some(seat) if at.stream && (kind > 1) == stream.tcp => {
            stream.lanes[dir].bytes(seat.sides[dir].seen())
        }
        _ => &[],
    }
}

/// The bytes of buffer 8 are in the place where a context keeps the buffer that it looked at last (docs/envoy.md 2.3).
fn look(desk: &mut Desk, kind: u32) {
    let at = desk.at.effective;
    if kind <= RESPONSE_BODY
        && at.stream
        && let Some(seat) = desk.stream.seats.get(at.filter)
        && seat.sides[kind as usize].seen() == BodyView::Gone
    {
        gone(desk);
    }
    if kind < CALL_DATA && kind != CALL_BODY && !desk.at.effective.stream {
        desk.callouts.open.resolved = None;
    }
}

/// The end of a body that its callback held without keeping the bytes: later Envoy reads freed memory
/// (docs/envoy.md 2.15).
#[cold]
fn gone(desk: &mut Desk) {
    let text =
        "looks at the body of an earlier callback that returned 2 or 3 at the end: Envoy reads freed memory";
    desk.fault(FaultKind::WouldCrash, Some(desk.at.effective.filter), text);
}

pub(super) fn status(call: &mut Call<'_, '_>, kind: u32, len: u32, flags: u32) -> Answer {
    look(call.desk(), kind);
    let size = bytes(call.desk(), kind)?.len() as u32;
    call.put(len, size)?;
    call.put(flags, 0)
}

/// Clamps what is asked for; a start beyond the end is empty (docs/envoy.md 2.3).
pub(super) fn get(call: &mut Call<'_, '_>, kind: u32, start: u32, max: u32, at: u32, len: u32) -> Answer {
    look(call.desk(), kind);
    let all = bytes(call.desk(), kind)?.len();
    let start = (start as usize).min(all);
    let size = (max as usize).min(all - start);
    call.give(size, at, len, |desk, out| {
        if let Ok(all) = bytes(desk, kind) {
            out.copy_from_slice(&all[start..start + size]);
        }
    })
}

/// start 0: drop `size` bytes from the front, then put the new ones there; at or beyond the end: append;
/// in the middle: 2 (docs/envoy.md 2.3).
pub(super) fn set(call: &mut Call<'_, '_>, kind: u32, start: u32, size: u32, data: u32, dlen: u32) -> Answer {
    look(call.desk(), kind);
    let (view, desk) = call.split()?;
    let new = view.read(data, dlen)?;
    let at = desk.at.effective;
    match kind {
        REQUEST_BODY..=UPSTREAM_DATA => {}
        CALL_BODY | PLUGIN_CONFIG => {
            bytes(desk, kind)?;
            return Err(Stop::Tell(Status::BadArgument));
        }
        GRPC_MESSAGE => return set_message(desk, start, size, new),
        _ => return Err(Stop::Tell(Status::BadArgument)),
    }
    desk.keep(new.len().saturating_sub(size as usize));
    let dir = if kind & 1 == 0 { Dir::Request } else { Dir::Response };
    let stream = &mut desk.stream;
    let which = match stream.seats.get(at.filter) {
        Some(seat) if at.stream && (kind > 1) == stream.tcp => seat.sides[dir as usize].seen(),
        _ => BodyView::Nothing,
    };
    let Some(body) = stream.lanes[dir as usize].bytes_mut(which) else {
        return Err(Stop::Tell(Status::BadArgument));
    };
    let changed = splice(body, start, size, new)?;
    if changed {
        stream.body_changed(at.filter, dir);
    }
    Ok(())
}

/// Writes into a buffer; says whether that changed anything.
fn splice(body: &mut Vec<u8>, start: u32, size: u32, new: &[u8]) -> Answer<bool> {
    let (start, size) = (start as usize, (size as usize).min(body.len()));
    if start == 0 {
        let changed = body[..size] != *new;
        body.splice(..size, new.iter().copied());
        Ok(changed)
    } else if start >= body.len() {
        body.extend_from_slice(new);
        Ok(!new.is_empty())
    } else {
        Err(Stop::Tell(Status::BadArgument))
    }
}

/// A message that came may be changed, for what reads it later in the same callback (docs/envoy.md 2.7).
#[cold]
fn set_message(desk: &mut Desk, start: u32, size: u32, new: &[u8]) -> Answer {
    desk.keep(new.len().saturating_sub(size as usize));
    let Some(message) = &mut desk.callouts.open.received else { return Err(Stop::Tell(Status::BadArgument)) };
    splice(message, start, size, new).map(|_| ())
}

/// ABI 0.1.0: the configuration of the filter in its own call.
pub(super) fn configuration(call: &mut Call<'_, '_>, at: u32, len: u32) -> Answer {
    let filter = call.desk().at.effective.filter;
    let size = call.desk().plugins.get(filter).map_or(0, |p| p.config.len());
    call.give(size, at, len, |desk, out| out.copy_from_slice(&desk.plugins[filter].config))
}
