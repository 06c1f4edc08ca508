//! How a gRPC call may end.

use std::fmt;
use tamis_abi::Status;

/// Why there is no answer.
///
/// ```
/// use tamis_sdk::grpc::GrpcError;
/// use tamis_sdk::prelude::*;
///
/// fn answer(error: GrpcError) -> Error {
///     match error {
///         // 7 is `PERMISSION_DENIED`.
///         GrpcError::Failed(failure) if failure.code == 7 => Reply::new(403).into(),
///         error => error.into(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcError {
    /// The proxy has no such cluster, or it has no healthy host. Envoy does not say which.
    NotStarted(String),
    /// Metadata, a name or a message that can not be sent.
    BadCall(String),
    /// The call ended with a status that is not `OK`.
    Failed(Failure),
    /// The filter's half of the stream is closed, or the stream is over.
    Closed,
    /// More came than the stream keeps for somebody who does not receive; it was cancelled.
    TooMuch,
    /// The filter is being taken down.
    Gone,
    /// The host refused.
    Host(Status),
}

/// A status that is not `OK`.
///
/// ```
/// use tamis_sdk::grpc::Failure;
///
/// /// What the service says itself is not worth another try.
/// fn is_worth_it(failure: &Failure) -> bool {
///     failure.is_timeout() || !failure.is_from_service()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC code, 1 to 16 unless the peer sent another number; above that when it sent none (docs/envoy.md 2.7).
    pub code: u32,
    /// `grpc-message` as it came, percent signs and all, or the proxy's own words.
    pub message: String,
    /// What the proxy says about it, `via_upstream` or `response_timeout` for instance. Empty when it says nothing.
    pub details: String,
}

impl Failure {
    /// The code and the message that a host keeps: `MESSAGE{DETAILS}`, or the details alone.
    pub(super) fn new(code: u32, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let (message, details) = match text.strip_suffix('}').and_then(|text| text.split_once('{')) {
            Some((message, details)) => (message, details),
            None if *text == *VIA_UPSTREAM => ("", &*text),
            None => (&*text, ""),
        };
        // The last group is the proxy's; what the service wrote may have braces too.
        let (message, details) = match text.strip_suffix("{via_upstream}") {
            Some(message) => (message, VIA_UPSTREAM),
            None => (message, details),
        };
        Self { code, message: message.to_owned(), details: details.to_owned() }
    }

    /// True when the service sent this status itself; false when the proxy made it.
    pub fn is_from_service(&self) -> bool {
        self.details == VIA_UPSTREAM
    }

    /// True when the proxy waited as long as it was told to.
    pub fn is_timeout(&self) -> bool {
        self.details == "response_timeout"
    }
}

const VIA_UPSTREAM: &str = "via_upstream";

impl fmt::Display for GrpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(name) => write!(f, "the gRPC call to cluster `{name}` could not start"),
            Self::BadCall(why) => write!(f, "the gRPC call can not be sent: {why}"),
            Self::Failed(Failure { code, message, .. }) => {
                write!(f, "the gRPC call failed with {code}: {message}")
            }
            Self::Closed => f.write_str("the gRPC stream is closed"),
            Self::TooMuch => f.write_str("more came on the gRPC stream than it keeps"),
            Self::Gone => f.write_str("the filter that waited for the gRPC call is gone"),
            Self::Host(status) => write!(f, "the host refused the gRPC call: {status}"),
        }
    }
}

impl std::error::Error for GrpcError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_who_made_it() {
        let failure = Failure::new(7, b"no {really}{via_upstream}");
        assert_eq!((&*failure.message, failure.is_from_service()), ("no {really}", true));
        let failure = Failure::new(14, b"upstream request timeout{response_timeout}");
        assert_eq!((&*failure.message, failure.is_timeout()), ("upstream request timeout", true));
        assert!(!failure.is_from_service());
        assert!(Failure::new(5, b"via_upstream").is_from_service());
        assert_eq!(Failure::new(13, b"\xff").message, "\u{fffd}");
        let nested = Failure::new(14, b"gone{upstream_reset_before_response_started{remote_reset}}");
        assert_eq!(nested.details, "upstream_reset_before_response_started{remote_reset}");
    }
}
