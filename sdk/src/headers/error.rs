//! What can be wrong with a header.

use crate::error::HostError;
use std::fmt;

/// Why a header can not be read or written.
///
/// ```
/// use tamis_sdk::headers::HeaderError;
/// use tamis_sdk::prelude::*;
///
/// fn token(request: &Request) -> Result<&[u8]> {
///     match request.headers().get_single("x-token") {
///         Ok(Some(token)) => Ok(token),
///         Ok(None) => Err(Reply::new(401).into()),
///         // Which of two would count?
///         Err(HeaderError::Repeated(_)) => Err(Reply::new(400).into()),
///         Err(error) => Err(error.into()),
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// The name is empty or has a byte that RFC 9110 5.1 does not allow.
    BadName(String),
    /// The value has CR, LF or NUL. Envoy takes it and fails the request later, at the router.
    BadValue(String),
    /// The header is there more than once where it should be once.
    Repeated(String),
    /// The value is not UTF-8.
    NotText(String),
    /// The message went on, or another exchange is in hand: there is nothing to change any more.
    Left,
    /// The host refused.
    Host(HostError),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => write!(f, "`{name}` is not a header name"),
            Self::BadValue(name) => write!(f, "the value for header `{name}` has CR, LF or NUL"),
            Self::Repeated(name) => write!(f, "header `{name}` is there more than once"),
            Self::NotText(name) => write!(f, "the value of header `{name}` is not UTF-8"),
            Self::Left => f.write_str("the headers are not in hand any more"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

// By hand, since a derived one is a kilobyte that every filter carries and nobody calls.
impl fmt::Debug for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderError({self})")
    }
}

impl std::error::Error for HeaderError {}

impl From<HostError> for HeaderError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}
