//! What Envoy has and this host has not yet: the playback ends and says so, never a silent wrong answer.

use super::{Answer, Call, Stop};
use crate::vm::Broke;
use tamis_traffic::FaultKind;

/// Ends the playback: `WHAT is not supported yet`.
#[cold]
pub(super) fn end(what: &str) -> Stop {
    Stop::End(Broke::new(FaultKind::NotSupported, format!("{what} is not supported yet")))
}

type W = u32;

#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(super) fn grpc_call(
    _: &mut Call<'_, '_>,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
) -> Answer {
    Err(end("`proxy_grpc_call`"))
}

#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(super) fn grpc_stream(
    _: &mut Call<'_, '_>,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
    _: W,
) -> Answer {
    Err(end("`proxy_grpc_stream`"))
}

pub(super) fn resolve_dns(_: &mut Call<'_, '_>, _: W, _: W, _: W) -> Answer {
    Err(end("`envoy_resolve_dns`"))
}
