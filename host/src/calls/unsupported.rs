//! What Envoy has and this host has not yet: the playback ends and says so, never a silent wrong answer.

use super::Stop;
use crate::vm::Broke;
use tamis_traffic::FaultKind;

/// Ends the playback: `WHAT is not supported yet`.
#[cold]
pub(super) fn end(what: &str) -> Stop {
    Stop::End(Broke::new(FaultKind::NotSupported, format!("{what} is not supported yet")))
}
