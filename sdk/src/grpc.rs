//! gRPC calls and streams to other services, as futures.
//!
//! Messages are bytes: encode and decode them with whatever the filter has for it.

use crate::callout::millis;
use crate::headers::{HeaderError, Headers, words};
use crate::host;
use crate::wire::Fields;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tamis_abi::{Status, pairs};

mod calls;
mod failure;
mod stream;

use calls::{Answer, Waiting, Waits, add, prepare};
pub use failure::{Failure, GrpcError};
pub use stream::Stream;
use stream::StreamState;

/// How long an answer may take when nothing else is said, milliseconds.
const TIMEOUT_MS: u32 = 5_000;

/// A unary call, or the beginning of a stream. `cluster` is a name that the proxy knows, not a host.
///
/// ```
/// use std::time::Duration;
/// use tamis_sdk::grpc::{Call, GrpcError};
/// use tamis_sdk::prelude::*;
///
/// async fn allowed(question: Vec<u8>) -> Result<bool> {
///     let call = Call::new("authz", "auth.v1.Authz", "Check").timeout(Duration::from_millis(200));
///     match call.send(&question).await {
///         Ok(answer) => Ok(answer == [8, 1]),
///         Err(GrpcError::Failed(why)) if why.code == 7 => Ok(false),
///         Err(error) => Err(error.into()),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Call {
    cluster: String,
    /// Not said, it is of the cluster's name.
    authority: Option<String>,
    service: String,
    method: String,
    metadata: Headers,
    timeout_ms: u32,
    failed: Option<HeaderError>,
}

impl Call {
    /// A call of `service/method`, for instance `auth.v1.Authz` and `Check`.
    pub fn new(cluster: impl Into<String>, service: impl Into<String>, method: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            authority: None,
            service: service.into(),
            method: method.into(),
            metadata: Headers::owned(),
            timeout_ms: TIMEOUT_MS,
            failed: None,
        }
    }

    /// The host name that the service shall see; not said, it is the cluster's name, of Istio's the host in it.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// One more entry of metadata. The proxy encodes values of `-bin` names. One that HTTP does not allow makes the
    /// call fail, and so does one that begins with a colon: Envoy would join it to the call's own path.
    pub fn metadata(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        if name.starts_with(b":") {
            self.failed = Some(HeaderError::BadName(String::from_utf8_lossy(name).into_owned()));
        } else if let Err(error) = self.metadata.add(name, value) {
            self.failed = Some(error);
        }
        self
    }

    /// How long a unary call may take; 5 s when not said, at least a millisecond. Streams have no such limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// Sends one message and waits for one. Dropping the future cancels the call.
    ///
    /// # Errors
    /// When there is no message, see [`GrpcError`].
    pub async fn send(self, message: &[u8]) -> Result<Vec<u8>, GrpcError> {
        let (slot, _waits) = self.start(message)?;
        poll_fn(|context| slot.poll(context)).await
    }

    /// What was said about the call is not needed while it is waited for.
    fn start(self, message: &[u8]) -> Result<(Rc<Answer>, Waits), GrpcError> {
        let (target, metadata) = self.target()?;
        let root = prepare();
        let token =
            host::grpc_call(&target, &self.service, &self.method, &metadata, message, self.timeout_ms)
                .map_err(|status| self.refused(status))?;
        let slot = Rc::<Answer>::default();
        add(token, root, Waiting::Call(slot.clone()));
        Ok((slot, Waits(token)))
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// When it can not start, see [`GrpcError`].
    pub fn open(self) -> Result<Stream, GrpcError> {
        let (target, metadata) = self.target()?;
        let root = prepare();
        let token = host::grpc_stream(&target, &self.service, &self.method, &metadata)
            .map_err(|status| self.refused(status))?;
        let state = Rc::<StreamState>::default();
        add(token, root, Waiting::Stream(state.clone()));
        Ok(Stream::new(token, state))
    }

    /// The cluster as the message that a host reads, and the metadata. A bare name may read as another message, and
    /// Envoy aborts on some: `users` for instance (docs/envoy.md 2.7).
    fn target(&self) -> Result<(Vec<u8>, Vec<u8>), GrpcError> {
        if let Some(error) = &self.failed {
            return Err(GrpcError::BadCall(error.to_string()));
        }
        for name in [&self.service, &self.method] {
            if !is_plain(name) {
                return Err(GrpcError::BadCall(format!("`{name}` is no name of a service or method")));
            }
        }
        let authority = self.host();
        if !words::all(authority.as_bytes(), words::are_name)
            && authority.bytes().any(|b| b.is_ascii_control())
        {
            return Err(GrpcError::BadCall("the authority is no host".into()));
        }
        let metadata = self.metadata.encode();
        if pairs::decode(&metadata).is_err() {
            return Err(GrpcError::BadCall("more than 1024 entries of metadata or 1 MiB".into()));
        }
        Ok((target(&self.cluster, authority), metadata))
    }

    /// Of Istio's `outbound|80||HOST` the host; Envoy would send all of it, which peers refuse (docs/envoy.md 2.7).
    fn host(&self) -> &str {
        let named = || {
            let bar = self.cluster.bytes().rposition(|byte| byte == b'|');
            bar.and_then(|bar| self.cluster.get(bar + 1..)).unwrap_or(&self.cluster)
        };
        self.authority.as_deref().unwrap_or_else(named)
    }

    fn refused(&self, status: Status) -> GrpcError {
        match status {
            Status::ParseFailure | Status::InternalFailure | Status::BadArgument => {
                GrpcError::NotStarted(self.cluster.clone())
            }
            other => GrpcError::Host(other),
        }
    }
}

/// What a path can be made of.
fn is_plain(name: &str) -> bool {
    let is_odd = |byte: u8| !byte.is_ascii_graphic() || byte == b'/';
    !name.is_empty() && (words::all(name.as_bytes(), words::are_name) || !name.bytes().any(is_odd))
}

/// `GrpcService { envoy_grpc: { cluster_name, authority } }`: field 1, and fields 1 and 2 in it. In two parts, which the
/// reader joins: the crate takes text only, and a length above 127 is none.
fn target(cluster: &str, authority: &str) -> Vec<u8> {
    // Two keys and two lengths for each, none of more than five bytes.
    let room = || Fields(Vec::with_capacity(2 * 12 + cluster.len() + authority.len()));
    let inner = room().bytes(1, cluster.as_bytes());
    let (cluster, both) = (inner.0.len(), inner.bytes(2, authority.as_bytes()));
    room().bytes(1, &both.0[..cluster]).bytes(1, &both.0[cluster..]).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_named_by_a_message() {
        assert_eq!(target("idp", "a"), b"\x0a\x05\x0a\x03idp\x0a\x03\x12\x01a");
        let bytes = target(&"c".repeat(300), "");
        assert_eq!(&bytes[..6], b"\x0a\xaf\x02\x0a\xac\x02");
        assert_eq!(bytes.len(), 306);
        assert_eq!(Call::new("outbound|80||a.b.svc", "s", "m").host(), "a.b.svc");
        assert_eq!(Call::new("idp", "s", "m").host(), "idp");
    }

    #[test]
    fn what_would_change_the_call_is_refused() {
        let bad = |call: Call| matches!(call.target(), Err(GrpcError::BadCall(_)));
        assert!(bad(Call::new("c", "s", "m").metadata(":path", "/other")));
        assert!(bad(Call::new("c", "s", "m").metadata("a", "b\r\nc")));
        assert!(bad(Call::new("c", "s/x", "m")));
        assert!(bad(Call::new("c", "", "m")));
        assert!(bad(Call::new("c", "s", "m").authority("a\r\nb")));
        assert!(!bad(Call::new("c", "a.B", "M").metadata("x-bin", [0xff])));
    }
}
