//! `proxy_http_call` (docs/envoy.md 2.6).

use super::{Answer, Call, Stop};
use crate::callouts::Refused;
use tamis_abi::{Status, pairs};
use tamis_traffic::{Callout, Headers};

/// 2 unknown cluster, missing `:path`, `:method` or `:authority`, negative timeout; 10 cannot start.
/// On failure the token word is 0.
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(super) fn http_call(
    call: &mut Call<'_, '_>,
    upstream: u32,
    ulen: u32,
    headers: u32,
    hlen: u32,
    body: u32,
    blen: u32,
    trailers: u32,
    tlen: u32,
    timeout: u32,
    token: u32,
) -> Answer {
    let (mut view, desk) = call.split()?;
    let filter = desk.at.effective.filter;
    let mut made = Callout { filter, timeout_ms: timeout, ..Callout::default() };
    made.cluster = String::from_utf8_lossy(view.read(upstream, ulen)?).into_owned();
    decode(view.read(headers, hlen)?, &mut made.request.headers);
    made.request.body.bytes.extend_from_slice(view.read(body, blen)?);
    let trailing = view.read(trailers, tlen)?;
    if tlen > 0 {
        decode(trailing, made.request.trailers.fill());
    }
    // Must be writable before anything starts.
    view.write_u32(token, 0)?;
    let number = match desk.start_callout(made) {
        Ok(number) => number,
        Err(Refused::BadArgument | Refused::NoService) => return Err(Stop::Tell(Status::BadArgument)),
        Err(Refused::CannotStart) => return Err(Stop::Tell(Status::InternalFailure)),
        Err(Refused::TooMany(limit)) => return Err(limit.into()),
    };
    call.put(token, number)
}

/// Undecodable bytes are no headers at all (docs/envoy.md 1.3); names in lower case, `host` is `:authority`.
pub(super) fn decode(bytes: &[u8], into: &mut Headers) {
    let Ok(pairs) = pairs::decode(bytes) else { return };
    for (name, value) in pairs {
        let name = name.to_ascii_lowercase();
        into.push(if name == b"host" { b":authority" } else { &name }, value);
    }
}
