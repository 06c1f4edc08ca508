//! `proxy_send_local_response` (docs/envoy.md 2.5).

use super::{Answer, Call};
use crate::chain::Reply;
use crate::stage::{Action, Desk};
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
    if !at.stream || desk.stream.tcp {
        return Ok(());
    }
    if at_the_end(desk, "a local reply") {
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

/// In log, done and delete of a stream this crashes Envoy (docs/envoy.md 2.4, 2.5): then it is a fault and not done.
pub(super) fn at_the_end(desk: &mut Desk, what: &str) -> bool {
    let ends = matches!(desk.at.phase, "proxy_on_log" | "proxy_on_done" | "proxy_on_delete");
    if ends {
        let text = format!("{what} at the end of a stream crashes Envoy");
        desk.keep(text.len());
        desk.fault(FaultKind::WouldCrash, Some(desk.at.effective.filter), text);
    }
    ends
}
