//! `proxy_send_local_response` (docs/envoy.md 2.5).

use super::{Answer, Call};
use crate::chain::Reply;
use crate::stage::Action;
use tamis_abi::pairs;
use tamis_traffic::FaultKind;

/// Always 0; the first of two wins; on a root context nothing happens. Where Envoy crashes it is a fault.
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(super) fn send(
    call: &mut Call<'_, '_>,
    code: u32,
    details: u32,
    dlen: u32,
    body: u32,
    blen: u32,
    headers: u32,
    hlen: u32,
    grpc: u32,
) -> Answer {
    let (view, desk) = call.split()?;
    let details = view.read(details, dlen)?;
    let body = view.read(body, blen)?;
    let headers = view.read(headers, hlen)?;
    let at = desk.at.effective;
    if !at.stream {
        return Ok(());
    }
    if matches!(desk.at.phase, "proxy_on_log" | "proxy_on_done" | "proxy_on_delete") {
        desk.fault(
            FaultKind::WouldCrash,
            Some(at.filter),
            "a local reply at the end of a stream crashes Envoy",
        );
        return Ok(());
    }
    let Some(seat) = desk.stream.seats.get_mut(at.filter) else { return Ok(()) };
    if std::mem::replace(&mut seat.replied, true) {
        return Ok(());
    }
    let mut reply = Reply { code, body: body.to_vec(), grpc: grpc as i32, ..Reply::default() };
    // Every white space becomes `_`.
    reply.details = String::from_utf8_lossy(details).replace(|c: char| c.is_ascii_whitespace(), "_");
    if let Ok(pairs) = pairs::decode(headers) {
        for (name, value) in pairs {
            reply.headers.push(&name.to_ascii_lowercase(), value);
        }
    }
    desk.actions.push(Action::Reply { filter: at.filter, reply: Box::new(reply) });
    Ok(())
}
