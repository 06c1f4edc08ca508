//! Values shared by all workers, with compare-and-swap.
//!
//! Nothing is ever deleted (docs/envoy.md 2.8): use a fixed set of keys, never keys that clients choose. For what
//! clients choose there is [`Slots`], a table that does not grow.
//!
//! ```
//! use tamis_sdk::shared::{SharedCell, SharedError};
//!
//! /// Counts over all workers, exactly.
//! fn count() -> Result<u64, SharedError> {
//!     let seen = SharedCell::<u64>::new("my-filter/seen");
//!     Ok(seen.update(|seen| Some(seen.unwrap_or(0) + 1))?.unwrap_or(0))
//! }
//! ```

use crate::HostError;
use crate::error::told;
use crate::host;
use std::fmt;
use tamis_abi::Status;

mod cell;
mod lease;
mod queue;
mod slots;

pub use cell::{Json, SharedCell, Value};
pub use lease::Lease;
pub use queue::Queue;
pub use slots::{Slots, Updated};

/// How often a write that another worker was faster than is tried again, unless said; without a bound a worker could
/// spin for ever.
pub const TRIES: u32 = 32;

/// The version that no value has: with it a write makes a key that is not there, and no other (docs/envoy.md 2.8: on
/// a new key hosts do not look at the version).
const CREATE: u32 = u32::MAX;

/// A value and its version.
///
/// ```
/// use tamis_sdk::{HostError, shared};
///
/// /// Takes the lead when nobody has it.
/// fn lead(me: &[u8]) -> Result<bool, HostError> {
///     match shared::get("my-filter/leader")? {
///         Some(now) if now.value.is_empty() => shared::set_if("my-filter/leader", me, now.version),
///         Some(_) => Ok(false),
///         None => shared::create("my-filter/leader", me),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes.
    pub value: Vec<u8>,
    /// Rises with each change; never 0.
    pub version: u32,
}

/// Why a value was not changed.
///
/// ```
/// use tamis_sdk::shared::{SharedCell, SharedError};
///
/// /// A count that may miss some when many workers write at once.
/// fn count() -> Result<(), SharedError> {
///     let seen = SharedCell::<u64>::new("my-filter/seen");
///     match seen.update(|seen| Some(seen.unwrap_or(0) + 1)) {
///         Ok(_) | Err(SharedError::Contended) => Ok(()),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedError {
    /// Another worker changed it first, each time.
    Contended,
    /// The bytes are not of this type; another filter, or another version of this one, wrote them.
    Foreign,
    /// The host refused.
    Host(HostError),
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contended => f.write_str("the shared value changed each time it was tried"),
            Self::Foreign => f.write_str("the shared value is of another type"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SharedError {}

impl From<HostError> for SharedError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// The value of a key, when it was ever set.
///
/// # Errors
/// When the host refuses.
pub fn get(key: &str) -> Result<Option<Versioned>, HostError> {
    match host::shared_get(key.as_bytes()) {
        Ok((value, version)) => Ok(Some(Versioned { value, version })),
        Err(Status::NotFound) => Ok(None),
        Err(status) => Err(HostError { what: "read shared data", status }),
    }
}

/// Sets a value whatever was there.
///
/// # Errors
/// When the host refuses.
pub fn set(key: &str, value: &[u8]) -> Result<(), HostError> {
    told("write shared data", host::shared_set(key.as_bytes(), value, 0))
}

/// Sets a value unless it changed since `version`: false then.
///
/// # Errors
/// When the host refuses.
pub fn set_if(key: &str, value: &[u8], version: u32) -> Result<bool, HostError> {
    match host::shared_set(key.as_bytes(), value, version) {
        Ok(()) => Ok(true),
        Err(Status::CasMismatch) => Ok(false),
        Err(status) => Err(HostError { what: "write shared data", status }),
    }
}

/// Makes a key that is not there; false when it is.
///
/// # Errors
/// When the host refuses.
pub fn create(key: &str, value: &[u8]) -> Result<bool, HostError> {
    set_if(key, value, CREATE)
}

/// Changes a value exactly: `change` sees what is there and gives what shall be there, or `None` to leave it.
/// It runs again when another worker was faster, at most `tries` times. True when it was written.
///
/// # Errors
/// [`SharedError::Contended`] when all tries lost.
pub fn update(
    key: &str,
    tries: u32,
    mut change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>>,
) -> Result<bool, SharedError> {
    for _ in 0..tries {
        let before = get(key)?;
        let Some(after) = change(before.as_ref().map(|v| v.value.as_slice())) else { return Ok(false) };
        if set_if(key, &after, before.map_or(CREATE, |v| v.version))? {
            return Ok(true);
        }
    }
    Err(SharedError::Contended)
}
