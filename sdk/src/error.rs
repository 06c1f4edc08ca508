//! What can go wrong in a filter.

use crate::Reply;
use std::fmt;
use tamis_abi::Status;

/// The result of most things here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a filter, or an answer that leaves by the same door.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// fn user(request: &Request) -> Result<String> {
///     // A header that is there twice is a failure; one that is missing is the client's fault, and answered.
///     let user = request.headers().text("x-user")?.ok_or_else(|| Reply::new(401))?;
///     if user == "nobody" {
///         return Err(Error::msg("nobody is no user"));
///     }
///     Ok(user.to_owned())
/// }
/// ```
///
/// Every `std::error::Error` converts into it with `?`, and so does a [`Reply`]: that one is no failure, it is
/// sent to the client and neither logged nor counted.
pub struct Error(Kind);

enum Kind {
    Reply(Box<Reply>),
    Message(String),
    Other(Box<dyn std::error::Error>),
}

impl Error {
    /// A failure in words: lower case, one line.
    pub fn msg(text: impl Into<String>) -> Self {
        Self(Kind::Message(text.into()))
    }

    /// The typed error inside, when it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match &self.0 {
            Kind::Other(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The answer inside, or the failure again.
    pub(crate) fn into_reply(self) -> Result<Reply, Self> {
        match self.0 {
            Kind::Reply(reply) => Ok(*reply),
            kind => Err(Self(kind)),
        }
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Kind::Other(Box::new(error)))
    }
}

impl From<Reply> for Error {
    fn from(reply: Reply) -> Self {
        Self(Kind::Reply(Box::new(reply)))
    }
}

/// The whole chain, joined with `: `.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Reply(reply) => write!(f, "reply {}", reply.status()),
            Kind::Message(text) => f.write_str(text),
            Kind::Other(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

/// The host refused a call.
///
/// ```
/// use tamis_sdk::{HostError, Status};
///
/// let error = HostError { what: "read headers", status: Status::BadArgument };
/// assert_eq!(error.to_string(), "the host could not read headers: bad argument (2)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError {
    /// What was asked, for instance `read headers`.
    pub what: &'static str,
    /// What the host said.
    pub status: Status,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host could not {}: {}", self.what, self.status)
    }
}

impl std::error::Error for HostError {}

/// Gives a status of the host its words.
pub(crate) fn told<T>(what: &'static str, result: std::result::Result<T, Status>) -> Result<T, HostError> {
    result.map_err(|status| HostError { what, status })
}
