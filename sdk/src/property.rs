//! What the proxy knows besides headers: `source.address`, `xds.route_name` and so on.
//!
//! Many properties exist in some phases only: `request.*` is gone in the response phase (docs/envoy.md 2.9).

use crate::host;
use std::fmt;
use tamis_abi::Status;

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyError {
    /// Unknown, or not here in this phase; hosts do not say which.
    Absent,
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
            Self::Absent => f.write_str("the property is unknown or not here in this phase"),
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
    host::property(path.join("\0").as_bytes()).map_err(error)
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
