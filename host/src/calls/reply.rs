//! `proxy_send_local_response` (docs/envoy.md 2.5).

use super::{Answer, Call};
use crate::chain::Reply;
use crate::headermap::{self, MapKind};
use crate::stage::{Action, Desk};
use tamis_abi::pairs;
use tamis_traffic::FaultKind;

/// Always 0; the first of two wins; on a root context nothing happens, but the callback stops all the same. Where
/// Envoy crashes it is a fault.
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
    desk.at.stops = true;
    let at = desk.at.effective;
    if !at.stream || desk.stream.tcp {
        return Ok(());
    }
    let at_request = desk.at.phase.starts_with("proxy_on_request");
    if at_the_end(desk, "a local reply") {
        return Ok(());
    }
    // Every white space becomes `_`.
    let details = String::from_utf8_lossy(details).replace(|c: char| c.is_ascii_whitespace(), "_");
    if let Some(first) = replied(desk) {
        if at_request {
            first.details = details;
        }
        return Ok(());
    }
    let mut reply = Reply { code, body: body.to_vec(), grpc: grpc as i32, details, ..Reply::default() };
    if let Ok(pairs) = pairs::decode(headers) {
        for (name, value) in pairs {
            headermap::add(&mut reply.headers, MapKind::ResponseHeaders, name, value)?;
        }
    }
    desk.actions.push(Action::Reply { filter: at.filter, reply: Box::new(reply) });
    Ok(())
}

/// The reply that there was in this callback already: the first counts, with the details of the last as long as no
/// response has begun; past the filters Envoy sends both (docs/envoy.md 2.15).
fn replied(desk: &mut Desk) -> Option<&mut Reply> {
    let filter = desk.at.effective.filter;
    let own = |action: &Action| matches!(action, Action::Reply { filter: by, .. } if *by == filter);
    let at = desk.actions.iter().position(own)?;
    if desk.at.phase == "proxy_on_response_headers" {
        let text = "replied twice in one callback: Envoy resets the stream, logs it twice and may crash";
        desk.fault(FaultKind::WouldCrash, Some(desk.at.effective.filter), text);
    }
    match &mut desk.actions[at] {
        Action::Reply { reply, .. } => Some(reply),
        _ => None,
    }
}

/// A stream that replied in its request headers and is closed in the same callback: Envoy begins the reply with contexts
/// that it has deleted (docs/envoy.md 2.15).
pub(super) fn beside_close(desk: &mut Desk, filter: usize) {
    let own = |action: &Action| matches!(action, Action::Reply { filter: by, .. } if *by == filter);
    if desk.at.phase == "proxy_on_request_headers" && desk.actions.iter().any(own) {
        let text = "replied and closed the stream: Envoy calls response callbacks of deleted contexts";
        desk.fault(FaultKind::WouldCrash, Some(filter), text);
    }
}

/// In log, done, delete and response metadata of a stream this crashes Envoy (docs/envoy.md 2.4, 2.5): then it is a fault and not done.
pub(super) fn at_the_end(desk: &mut Desk, what: &str) -> bool {
    let phase = desk.at.phase;
    let ends =
        matches!(phase, "proxy_on_log" | "proxy_on_done" | "proxy_on_delete" | "proxy_on_response_metadata");
    if ends {
        let text = format!("{what} in `{phase}` crashes Envoy");
        desk.keep(text.len());
        desk.fault(FaultKind::WouldCrash, Some(desk.at.effective.filter), text);
    }
    ends
}
