//! gRPC calls and streams to other services, as futures.
//!
//! Messages are bytes: encode and decode them with whatever the filter has for it.

use crate::events::{self, GrpcEvent};
use crate::headers::{HeaderError, Headers};
use crate::slot::Slot;
use crate::wire::Fields;
use crate::{host, tasks};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tamis_abi::{BufferType, Status, pairs};

mod stream;

pub use stream::Stream;
use stream::StreamState;

/// How long an answer may take when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(5);

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
    authority: String,
    service: String,
    method: String,
    metadata: Headers,
    timeout: Duration,
    failed: Option<HeaderError>,
}

/// Why there is no answer.
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
    fn new(code: u32, text: &[u8]) -> Self {
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

impl Call {
    /// A call of `service/method`, for instance `auth.v1.Authz` and `Check`.
    pub fn new(cluster: impl Into<String>, service: impl Into<String>, method: impl Into<String>) -> Self {
        let cluster = cluster.into();
        // Istio's `outbound|80||HOST`; Envoy would send all of it, which peers refuse (docs/envoy.md 2.7).
        let authority = cluster.rsplit('|').next().unwrap_or_default().to_owned();
        Self {
            cluster,
            authority,
            service: service.into(),
            method: method.into(),
            metadata: Headers::owned(),
            timeout: TIMEOUT,
            failed: None,
        }
    }

    /// The host name that the service shall see; not said, it is the cluster's name, of Istio's the host in it.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = authority.into();
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
        self.timeout = timeout.clamp(Duration::from_millis(1), Duration::from_millis(i32::MAX as u64));
        self
    }

    /// Sends one message and waits for one. Dropping the future cancels the call.
    ///
    /// # Errors
    /// When there is no message, see [`GrpcError`].
    pub async fn send(self, message: &[u8]) -> Result<Vec<u8>, GrpcError> {
        let (target, metadata) = self.target()?;
        let timeout = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        let root = prepare();
        let token = host::grpc_call(&target, &self.service, &self.method, &metadata, message, timeout)
            .map_err(|status| self.refused(status))?;
        let slot = Rc::<Slot<_>>::default();
        let waits = Waits { token, ended: Cell::new(false) };
        add(token, root, Waiting::Call(slot.clone()));
        let outcome = poll_fn(|context| slot.poll(context)).await;
        waits.ended.set(true);
        outcome
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
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        for name in [&self.service, &self.method] {
            if !plain(name) {
                return Err(GrpcError::BadCall(format!("`{name}` is no name of a service or method")));
            }
        }
        if self.authority.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(GrpcError::BadCall("the authority is no host".into()));
        }
        let metadata = self.metadata.encode();
        if pairs::decode(&metadata).is_err() {
            return Err(GrpcError::BadCall("more than 1024 entries of metadata or 1 MiB".into()));
        }
        Ok((target(&self.cluster, &self.authority), metadata))
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

/// `GrpcService { envoy_grpc: { cluster_name, authority } }`: field 1, and fields 1 and 2 in it. In two parts, which the
/// reader joins: the crate takes text only, and a length above 127 is none.
fn target(cluster: &str, authority: &str) -> Vec<u8> {
    let cluster = Fields::default().bytes(1, cluster.as_bytes());
    let authority = Fields::default().bytes(2, authority.as_bytes());
    Fields::default().bytes(1, &cluster.0).bytes(1, &authority.0).0
}

enum Waiting {
    Call(Rc<Slot<Result<Vec<u8>, GrpcError>>>),
    Stream(Rc<StreamState>),
}

impl Waiting {
    fn lost(self) {
        match self {
            Self::Call(slot) => slot.fill(Err(GrpcError::Gone)),
            Self::Stream(state) => state.end(Err(GrpcError::Gone)),
        }
    }
}

#[derive(Default)]
struct Calls {
    waiting: BTreeMap<u32, (u32, Waiting)>,
    /// The token whose callback runs; 0 is none.
    running: u32,
    /// To be cancelled in a callback of something else: Envoy is still reading from the peer of this one.
    later: Vec<u32>,
}

thread_local! {
    static CALLS: RefCell<Calls> = RefCell::default();
}

/// Ready for a call, which comes home to this root.
fn prepare() -> u32 {
    events::want_grpc(event);
    cancel_later(0);
    tasks::callouts_home()
}

fn add(token: u32, root: u32, waiting: Waiting) {
    let before = CALLS.with_borrow_mut(|calls| calls.waiting.insert(token, (root, waiting)));
    // A host that gives a token twice answers once.
    if let Some((_, before)) = before {
        before.lost();
    }
}

/// Nobody waits for this one any more.
fn cancel(token: u32) {
    let now = CALLS.try_with(|calls| {
        let mut calls = calls.borrow_mut();
        let known = calls.waiting.remove(&token);
        if known.is_some() && calls.running == token {
            calls.later.push(token);
        }
        (known, calls.running != token)
    });
    if let Ok((Some(_known), true)) = now {
        let _ = host::grpc_cancel(token);
    }
}

fn cancel_later(but: u32) {
    let tokens = CALLS.with_borrow_mut(|calls| std::mem::take(&mut calls.later));
    for token in tokens {
        if token == but {
            CALLS.with_borrow_mut(|calls| calls.later.push(token));
        } else {
            let _ = host::grpc_cancel(token);
        }
    }
}

/// Cancels a unary call whose future is dropped.
struct Waits {
    token: u32,
    ended: Cell<bool>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.ended.get() {
            cancel(self.token);
        }
    }
}

/// What the host tells. Tokens that nobody waits for are dropped, before anything else: Envoy tells of a stream that
/// could not start within the function that starts it (docs/envoy.md 2.7).
fn event(root: u32, token: u32, event: GrpcEvent) {
    if event == GrpcEvent::Gone {
        return root_gone(root);
    }
    let stream = CALLS.with_borrow(|calls| match calls.waiting.get(&token) {
        Some((_, Waiting::Call(_))) => Some(None),
        Some((_, Waiting::Stream(state))) => Some(Some(state.clone())),
        None => None,
    });
    let Some(stream) = stream else { return };
    tasks::enter(root, root);
    CALLS.with_borrow_mut(|calls| calls.running = token);
    cancel_later(token);
    let remove = || CALLS.with_borrow_mut(|calls| calls.waiting.remove(&token));
    match (stream, event) {
        (None, GrpcEvent::Message(_) | GrpcEvent::Close(_)) => {
            if let Some((_, Waiting::Call(slot))) = remove() {
                slot.fill(match event {
                    GrpcEvent::Message(size) => message(size),
                    _ => Err(failure(event)),
                });
            }
        }
        (None, _) | (_, GrpcEvent::Gone) => {}
        (Some(state), GrpcEvent::Close(code)) => {
            remove();
            state.end(if code == 0 { Ok(()) } else { Err(failure(event)) });
        }
        (Some(state), GrpcEvent::Message(size)) => match message(size) {
            Ok(message) => {
                if !state.keep(message) {
                    cancel(token);
                    state.end(Err(GrpcError::TooMuch));
                }
            }
            Err(error) => {
                cancel(token);
                state.end(Err(error));
            }
        },
        (Some(state), GrpcEvent::Initial) => state.metadata(false),
        (Some(state), GrpcEvent::Trailing) => state.metadata(true),
    }
    tasks::drain();
    CALLS.with_borrow_mut(|calls| calls.running = 0);
}

fn message(size: usize) -> Result<Vec<u8>, GrpcError> {
    host::buffer(BufferType::GrpcReceiveBuffer, size).map_err(GrpcError::Host)
}

fn failure(event: GrpcEvent) -> GrpcError {
    let code = if let GrpcEvent::Close(code) = event { code } else { 0 };
    let text = host::call_status().map(|(_, text)| text).unwrap_or_default();
    GrpcError::Failed(Failure::new(code, &text))
}

/// A root is gone; what would have come back through it never will.
fn root_gone(root: u32) {
    let lost = CALLS.try_with(|calls| {
        let mut calls = calls.borrow_mut();
        let all = std::mem::take(&mut calls.waiting);
        let (lost, kept) = all.into_iter().partition(|(_, (home, _))| *home == root);
        calls.waiting = kept;
        lost
    });
    let lost: BTreeMap<u32, (u32, Waiting)> = lost.unwrap_or_default();
    for (_, waiting) in lost.into_values() {
        waiting.lost();
    }
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
        assert_eq!(Call::new("outbound|80||a.b.svc", "s", "m").authority, "a.b.svc");
        assert_eq!(Call::new("idp", "s", "m").authority, "idp");
    }

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
