//! An answer that the filter gives itself.

use crate::headers::Headers;
use crate::host;
use crate::log;
use tamis_abi::{Status, pairs};

/// gRPC's `RESOURCE_EXHAUSTED`. Envoy 1.40 makes 14, `UNAVAILABLE`, from 429, which tells clients to retry.
const RESOURCE_EXHAUSTED: i32 = 8;

/// "Let the host choose": Envoy maps the HTTP status.
const FROM_HTTP_STATUS: i32 = -1;

/// An answer to the client without asking upstream.
///
/// A gRPC request gets it as gRPC: HTTP 200 with `grpc-status` from the HTTP status, the body as
/// `grpc-message`. `HEAD` gets no body. The proxy sets `content-length`.
///
/// ```
/// use tamis_sdk::prelude::*;
///
/// fn refused(rule: &str) -> Response {
///     Reply::new(403)
///         .header("content-type", "application/json")
///         .body(r#"{"error": "not allowed"}"#)
///         .details(format!("rule_{rule}"))
///         .into()
/// }
/// ```
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    body: Vec<u8>,
    grpc_status: Option<u8>,
    details: String,
}

impl Reply {
    /// An empty answer. A status outside 200..=599 becomes 500.
    pub fn new(status: u16) -> Self {
        let status = if (200..=599).contains(&status) { status } else { 500 };
        Self {
            status,
            headers: Headers::owned(),
            body: Vec::new(),
            grpc_status: None,
            details: String::new(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// One more header. One that HTTP does not allow is left out, with a warning in the log.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.headers.add(name, value) {
            log::warn!("a header of the reply is left out: {error}");
        }
        self
    }

    /// The body. `text/plain` unless a `content-type` is given.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// What a gRPC client sees as its status, 0 to 16, where the usual mapping is not wanted.
    pub fn grpc_status(mut self, status: u8) -> Self {
        self.grpc_status = Some(status);
        self
    }

    /// Why, for access logs (`response.code_details`).
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// Sends it on the stream in effect.
    pub(crate) fn send(self) -> Result<(), Status> {
        let headers = self.headers.encode();
        let headers = if pairs::decode(&headers).is_ok() {
            headers
        } else {
            log::error!("the headers of the reply are more than 1024 or 1 MiB and are left out");
            Vec::new()
        };
        let grpc = match (self.grpc_status, self.status) {
            (Some(status), _) => i32::from(status),
            (None, 429) => RESOURCE_EXHAUSTED,
            _ => FROM_HTTP_STATUS,
        };
        host::send_reply(u32::from(self.status), self.details.as_bytes(), &self.body, &headers, grpc)
    }
}
