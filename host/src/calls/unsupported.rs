//! What Envoy has and this host has not (docs/envoy.md 2.9, 2.10): the playback ends and says so, never a silent wrong
//! answer. And what a VM may not use.

use super::{Answer, Call, Stop};
use crate::vm::Broke;
use tamis_abi::Status;
use tamis_traffic::{FaultKind, LogLevel};

/// Ends the playback: `WHAT is not supported`.
#[cold]
pub(super) fn end(what: &str) -> Stop {
    Stop::End(Broke::new(FaultKind::NotSupported, format!("{what} is not supported")))
}

/// 10 and a line in the log: the capability restriction of the VM leaves it out (docs/envoy.md 2.11).
#[cold]
pub(super) fn not_allowed(call: &mut Call<'_, '_>, name: &str) -> Answer {
    call.desk().log(LogLevel::Error, format!("call of restricted capability `{name}`").as_bytes());
    Err(Stop::Tell(Status::InternalFailure))
}
