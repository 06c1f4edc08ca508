//! What the proxy knows besides headers: `source.address`, `xds.route_name` and so on.
//!
//! Many properties exist in some phases only: `request.*` is gone in the response phase (docs/envoy.md 2.9). Hosts
//! answer "not found" then, as for what does not exist; here the two are told apart by asking for something that is
//! always there when that phase has it.
//!
//! ```
//! use tamis_sdk::property::{self, PropertyError, known};
//!
//! fn client() -> Option<String> {
//!     match known::SOURCE_ADDRESS.get() {
//!         Ok(address) => Some(address),
//!         Err(PropertyError::NotHere) => None,
//!         Err(error) => {
//!             tamis_sdk::log::warn!("no address: {error}");
//!             None
//!         }
//!     }
//! }
//!
//! // What has no name here has a path.
//! let mesh_id = property::text(&["xds", "node", "metadata", "MESH_ID"]);
//! # let _ = (mesh_id, client());
//! ```

use crate::host;
use std::fmt;
use tamis_abi::Status;

pub mod known;

/// Why there is no value.
///
/// ```
/// use tamis_sdk::property::{PropertyError, known};
///
/// fn route() -> Result<Option<String>, PropertyError> {
///     match known::ROUTE_NAME.get() {
///         Ok(name) => Ok(Some(name)),
///         // A request that no route takes.
///         Err(PropertyError::Absent) => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyError {
    /// There is no such property, or this message or connection has none.
    Absent,
    /// It is not here in this phase: too early, or too late.
    NotHere,
    /// It exists and has no byte form.
    NoBytes,
    /// The bytes are not of the type asked for.
    WrongType,
    /// The path or name has a NUL byte or is empty.
    BadName,
    /// The host refused.
    Host(Status),
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no such property"),
            Self::NotHere => f.write_str("the property is not here in this phase"),
            Self::NoBytes => f.write_str("the property has no byte form"),
            Self::WrongType => f.write_str("the property is of another type"),
            Self::BadName => f.write_str("not a property name"),
            Self::Host(status) => write!(f, "the host could not read the property: {status}"),
        }
    }
}

impl std::error::Error for PropertyError {}

fn error(status: Status) -> PropertyError {
    match status {
        Status::NotFound => PropertyError::Absent,
        Status::SerializationFailure => PropertyError::NoBytes,
        other => PropertyError::Host(other),
    }
}

/// The raw bytes, for instance of `["source", "address"]`.
///
/// # Errors
/// When there are none.
pub fn bytes(path: &[&str]) -> Result<Vec<u8>, PropertyError> {
    if path.is_empty() || path.iter().any(|segment| segment.is_empty() || segment.contains('\0')) {
        return Err(PropertyError::BadName);
    }
    match host::property(path.join("\0").as_bytes()) {
        Err(Status::NotFound) => Err(missing(path)),
        other => other.map_err(error),
    }
}

/// Why a property was not found.
fn missing(path: &[&str]) -> PropertyError {
    // What each of these has from its first moment to its last.
    let witness: &[u8] = match path {
        // Known at the end only.
        ["request", "duration"] | ["response", "backend_latency"] => return PropertyError::NotHere,
        ["request", ..] => b"request\0method",
        ["response", ..] => b"response\0code",
        ["upstream", ..] | ["xds", "upstream_host_metadata" | "upstream_host_locality_metadata", ..] => {
            b"upstream\0address"
        }
        _ => return PropertyError::Absent,
    };
    match host::property(witness) {
        Err(Status::NotFound) => PropertyError::NotHere,
        _ => PropertyError::Absent,
    }
}

/// A text.
///
/// # Errors
/// As [`bytes`], and when it is not UTF-8.
pub fn text(path: &[&str]) -> Result<String, PropertyError> {
    String::from_utf8(bytes(path)?).map_err(|_| PropertyError::WrongType)
}

/// A whole number, a duration or a time (both in nanoseconds).
///
/// # Errors
/// As [`bytes`], and when it is not eight bytes.
pub fn number(path: &[&str]) -> Result<i64, PropertyError> {
    let bytes: [u8; 8] = bytes(path)?.try_into().map_err(|_| PropertyError::WrongType)?;
    Ok(i64::from_le_bytes(bytes))
}

/// A yes or no.
///
/// # Errors
/// As [`bytes`], and when it is not one byte.
pub fn flag(path: &[&str]) -> Result<bool, PropertyError> {
    match bytes(path)?[..] {
        [value] => Ok(value != 0),
        _ => Err(PropertyError::WrongType),
    }
}

/// What a filter set by [`set`], this one or one before it.
///
/// # Errors
/// As [`bytes`].
pub fn filter_state(name: &str) -> Result<Vec<u8>, PropertyError> {
    bytes(&["filter_state", &format!("wasm.{name}")])
}

/// Sets filter state `wasm.NAME`. One segment: Envoy joins several into a key that can not be read back.
///
/// # Errors
/// When the host refuses, for instance outside a stream.
pub fn set(name: &str, value: &[u8]) -> Result<(), PropertyError> {
    if name.is_empty() || name.contains('\0') {
        return Err(PropertyError::BadName);
    }
    host::set_property(name.as_bytes(), value).map_err(error)
}
