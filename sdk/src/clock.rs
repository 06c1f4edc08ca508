//! Time and randomness, as the proxy gives them.
//!
//! ```
//! use tamis_sdk::clock;
//!
//! fn token() -> Option<[u8; 16]> {
//!     let mut token = [0; 16];
//!     clock::random(&mut token).ok()?;
//!     Some(token)
//! }
//!
//! fn is_over(expires: u64) -> bool {
//!     clock::wall().as_secs() >= expires
//! }
//! ```

use crate::host;
use std::time::Duration;
use tamis_abi::Status;

/// Wall clock: time since 1970-01-01 UTC. It can jump. Zero when the host has none.
pub fn wall() -> Duration {
    Duration::from_nanos(host::wall_nanos().unwrap_or(0))
}

/// A clock that never goes back, from a start of its own. Comparable on one machine only. Uses
/// `wasi_snapshot_preview1.clock_time_get`, which Envoy links for every module; only filters that call this
/// import it.
///
/// # Errors
/// When the host has no such clock.
pub fn monotonic() -> Result<Duration, crate::HostError> {
    crate::error::told("read the monotonic clock", host::monotonic_nanos()).map(Duration::from_nanos)
}

/// Fills `out` with random bytes from the host (`random_get`).
///
/// # Errors
/// When the host has no randomness.
pub fn random(out: &mut [u8]) -> Result<(), crate::HostError> {
    // Envoy gives at most 64 KiB a call (docs/envoy.md 2.11).
    for piece in out.chunks_mut(64 * 1024) {
        crate::error::told("give random bytes", host::random(piece))?;
    }
    Ok(())
}

/// What a clock of WASI says when there is none.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "the native twin always has one"))]
pub(crate) const NO_CLOCK: Status = Status::Unimplemented;
