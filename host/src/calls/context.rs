//! Contexts, time, and what goes on after the callback.

use super::{Answer, Call, Stop};
use crate::stage::Action;
use tamis_abi::Status;

/// 2 for an unknown or deleted context; other filters' contexts of the same VM are fine (docs/envoy.md 1.2).
pub(super) fn set_effective(call: &mut Call<'_, '_>, id: u32) -> Answer {
    let desk = call.desk();
    if id == 0 {
        // Nobody: the running context is the effective one again (row 78 of the conformance table).
        desk.at.effective = desk.at.current;
        return Ok(());
    }
    desk.at.effective = desk.find(id).ok_or(Status::BadArgument)?;
    Ok(())
}

/// 1 unless the context waits for it.
pub(super) fn done(call: &mut Call<'_, '_>) -> Answer {
    let desk = call.desk();
    let at = desk.at.effective;
    match desk.plugins.get_mut(at.filter) {
        Some(plugin) if !at.stream && plugin.leaving => {
            plugin.leaving = false;
            Ok(())
        }
        _ => Err(Stop::Tell(Status::NotFound)),
    }
}

/// Code and message of the last callout; the code stays for later callbacks (docs/envoy.md 2.6).
pub(super) fn get_status(call: &mut Call<'_, '_>, code: u32, at: u32, len: u32) -> Answer {
    let filter = call.desk().at.effective.filter;
    let (number, size) = call.desk().plugins.get(filter).map_or((0, 0), |p| (p.status.0, p.status.1.len()));
    call.put(code, number)?;
    call.give(size, at, len, |desk, out| out.copy_from_slice(&desk.plugins[filter].status.1))
}

/// Acts on the root context of the effective one; 0 disables (docs/envoy.md 2.8).
pub(super) fn set_tick_period(call: &mut Call<'_, '_>, ms: u32) -> Answer {
    let desk = call.desk();
    let now = desk.clock.wall();
    if let Some(plugin) = desk.plugins.get_mut(desk.at.effective.filter) {
        plugin.tick = u64::from(ms) * 1_000_000;
        plugin.tick_at = now.saturating_add(plugin.tick);
    }
    Ok(())
}

pub(super) fn now(call: &mut Call<'_, '_>, ret: u32) -> Answer {
    let (mut view, desk) = call.split()?;
    let now = desk.clock.wall();
    Ok(view.write_u64(ret, now)?)
}

/// 0 for 0, 1 and 2; 12 for 3; 2 above. On a root context nothing happens (docs/envoy.md 2.4).
pub(super) fn continue_stream(call: &mut Call<'_, '_>, stream: u32) -> Answer {
    match stream {
        0..=2 => {}
        3 => return Err(Stop::Tell(Status::Unimplemented)),
        _ => return Err(Stop::Tell(Status::BadArgument)),
    }
    let desk = call.desk();
    let at = desk.at.effective;
    if !at.stream {
        return Ok(());
    }
    // Always the request's maps, whatever is continued; never the response's.
    if let Some(seat) = desk.stream.seats.get_mut(at.filter).filter(|_| !desk.stream.tcp) {
        seat.open[0] = false;
        seat.open[1] = false;
        // What it holds back stays in reach, what just came does not (row 120 of the conformance table).
        seat.sides[0].body = crate::chain::BodyView::Nothing;
    }
    // A TCP connection has type 2, an HTTP stream 0 and 1; the others name nothing.
    if (stream < 2) != desk.stream.tcp {
        desk.keep(0);
        desk.actions.push(Action::Continue { filter: at.filter, stream });
    }
    Ok(())
}

pub(super) fn continue_request(call: &mut Call<'_, '_>) -> Answer {
    continue_stream(call, 0)
}

pub(super) fn continue_response(call: &mut Call<'_, '_>) -> Answer {
    continue_stream(call, 1)
}

/// 0 for 0 to 3; resets the stream after the callback (docs/envoy.md 2.4).
pub(super) fn close_stream(call: &mut Call<'_, '_>, stream: u32) -> Answer {
    if stream > 3 {
        return Err(Stop::Tell(Status::BadArgument));
    }
    let desk = call.desk();
    let at = desk.at.effective;
    if at.stream && (stream < 2) != desk.stream.tcp {
        if !desk.stream.tcp && super::reply::at_the_end(desk, "closing the stream") {
            return Ok(());
        }
        desk.keep(0);
        let stream = &mut desk.stream;
        if stream.details.is_empty() && !stream.response_begun && !stream.tcp {
            // At once, unlike the reset.
            stream.details.push_str("wasm_close_stream");
            stream.explained = true;
        }
        super::reply::beside_close(desk, at.filter);
        desk.actions.push(Action::Close { filter: at.filter });
    }
    Ok(())
}

/// Nothing to clear: the recording says where the request went.
pub(super) fn clear_route_cache(_: &mut Call<'_, '_>) -> Answer {
    Ok(())
}
