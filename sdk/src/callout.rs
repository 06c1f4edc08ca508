//! HTTP calls to other services, as futures.

use crate::block::Block;
use crate::events::{self, HttpEvent};
use crate::headers::{Headers, check, check_text, is_usual};
use crate::ids::Ids;
use crate::slot::Slot;
use crate::{host, tasks};
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tamis_abi::{BufferType, MapType, Status};

/// How long an answer may take when nothing else is said, milliseconds.
const TIMEOUT_MS: u32 = 5_000;

/// A call that is being put together. `cluster` is a name that the proxy knows, not a host: in Istio
/// `outbound|80||svc.ns.svc.cluster.local`.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::callout::CalloutError;
///
/// async fn check(token: &[u8]) -> Result<bool> {
///     let call = Callout::get("outbound|80||idp.auth.svc.cluster.local", "idp.auth", "/check");
///     match call.header("authorization", token).send().await {
///         Ok(reply) => Ok(reply.is_success()),
///         // The proxy gave up; a 504 of the service itself would be a reply.
///         Err(CalloutError::Timeout) => Ok(false),
///         Err(error) => Err(error.into()),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Callout {
    cluster: String,
    /// The method is the first.
    headers: Block,
    body: Vec<u8>,
    timeout_ms: u32,
    /// On the heap, so that a call that is well is moved for less.
    failed: Option<Box<CalloutError>>,
}

/// Why there is no answer.
///
/// ```
/// use tamis_sdk::callout::CalloutError;
/// use tamis_sdk::prelude::*;
///
/// fn answer(error: CalloutError) -> Error {
///     match error {
///         CalloutError::Timeout | CalloutError::Unreachable(_) => Reply::new(503).header("retry-after", "1").into(),
///         error => error.into(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalloutError {
    /// The proxy has no such cluster, or a header that it needs is missing.
    UnknownCluster(String),
    /// The call could not start: no healthy host, or a header that HTTP does not allow.
    NotStarted(String),
    /// A header is not allowed or not UTF-8 (what the proxy-wasm crate can send), or they are more than 1024
    /// or 1 MiB, which a host would silently take as none.
    BadHeaders(String),
    /// The proxy waited as long as it was told to: its own 504.
    Timeout,
    /// The proxy could not connect, or the connection broke before the answer began: its own 503, with its words.
    Unreachable(String),
    /// The connection broke while the answer came, or the answer was larger than the proxy keeps (32 MiB).
    Reset,
    /// The filter is being taken down; the answer will not come. A stream that ends drops its future instead.
    Gone,
    /// The host refused.
    Host(Status),
}

impl fmt::Display for CalloutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCluster(name) => write!(f, "cluster `{name}` is not known to the proxy"),
            Self::NotStarted(name) => write!(f, "the call to cluster `{name}` could not start"),
            Self::BadHeaders(why) => write!(f, "the callout can not be sent: {why}"),
            Self::Timeout => f.write_str("the callout took too long"),
            Self::Unreachable(why) => write!(f, "the proxy could not reach the service: {why}"),
            Self::Reset => f.write_str("the connection of the callout broke"),
            Self::Gone => f.write_str("the filter that waited for the callout is gone"),
            Self::Host(status) => write!(f, "the host could not start the callout: {status}"),
        }
    }
}

impl std::error::Error for CalloutError {}

/// As a host takes it: at least one, and what a signed number holds.
pub(crate) fn millis(timeout: Duration) -> u32 {
    let most = i32::MAX.unsigned_abs();
    // In 64 bits what would take more than that is long enough.
    let millis = timeout.as_secs().saturating_mul(1000).saturating_add(timeout.subsec_millis().into());
    u32::try_from(millis).unwrap_or(most).clamp(1, most)
}

/// What a service answered, 5xx too. Answers that the proxy makes in its name are [`CalloutError`]s.
///
/// ```
/// use tamis_sdk::callout::CalloutReply;
/// use tamis_sdk::prelude::*;
///
/// fn user(reply: &CalloutReply) -> Result<String> {
///     if !reply.is_success() {
///         return Err(Error::msg(format!("the service answered {}", reply.status())));
///     }
///     let user = reply.headers.text("x-user")?.ok_or_else(|| Error::msg("the service named nobody"))?;
///     Ok(user.to_owned())
/// }
/// ```
#[derive(Debug)]
pub struct CalloutReply {
    /// The headers, `:status` among them.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
}

impl CalloutReply {
    /// The status; 0 when it is not a number.
    pub fn status(&self) -> u16 {
        let status = self.headers.get(":status").and_then(|value| std::str::from_utf8(value).ok());
        status.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// True for 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }
}

impl Callout {
    /// A `GET` of `path`. `authority` is the host name that the service shall see.
    pub fn get(cluster: impl Into<String>, authority: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self::new("GET", cluster, authority, path)
    }

    /// A `POST` of `body` to `path`.
    pub fn post(
        cluster: impl Into<String>,
        authority: impl AsRef<[u8]>,
        path: impl AsRef<[u8]>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        Self::new("POST", cluster, authority, path).body(body)
    }

    /// A call with any method.
    pub fn new(
        method: impl AsRef<[u8]>,
        cluster: impl Into<String>,
        authority: impl AsRef<[u8]>,
        path: impl AsRef<[u8]>,
    ) -> Self {
        let mut call = Self {
            cluster: cluster.into(),
            headers: Block::default(),
            body: Vec::new(),
            timeout_ms: TIMEOUT_MS,
            failed: None,
        };
        call.put(b":method", method.as_ref());
        call.put(b":authority", authority.as_ref());
        call.put(b":path", path.as_ref());
        call
    }

    /// One more header. One that HTTP does not allow makes the call fail, and so does one that begins with a colon or is
    /// `host`: the proxy would join it to the call's own.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        if is_usual(name) && name != b"host" {
            self.put(name, value);
        } else {
            self.put_odd(name, value);
        }
        self
    }

    /// A field whose name is in order.
    fn put(&mut self, name: &[u8], value: &[u8]) {
        match check_text(name, value) {
            Ok(()) => self.headers.push(name, value),
            Err(error) => self.fail(CalloutError::BadHeaders(error.to_string())),
        }
    }

    #[inline(never)]
    fn put_odd(&mut self, name: &[u8], value: &[u8]) {
        let small = name.to_ascii_lowercase();
        if name.starts_with(b":") || small == b"host" {
            let name = String::from_utf8_lossy(name);
            return self.fail(CalloutError::BadHeaders(format!("`{name}` is there already")));
        }
        match check(name, value) {
            Ok(()) => self.put(&small, value),
            Err(error) => self.fail(CalloutError::BadHeaders(error.to_string())),
        }
    }

    #[cold]
    fn fail(&mut self, error: CalloutError) {
        self.failed = Some(Box::new(error));
    }

    /// The body. The proxy sets `content-length`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// How long the answer may take; 5 s when not said. At least a millisecond, since 0 is "for ever" to
    /// Envoy.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// Sends it and waits. Dropping the future does not stop the call (the ABI can not), its answer is
    /// dropped when it comes.
    ///
    /// # Errors
    /// When the service did not answer, see [`CalloutError`].
    pub async fn send(self) -> Result<CalloutReply, CalloutError> {
        let slot = self.start()?;
        poll_fn(|context| slot.poll(context)).await
    }

    /// True when sending it twice does what sending it once does (RFC 9110 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        [&b"GET"[..], b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"].contains(&self.headers.first())
    }

    fn start(self) -> Result<Rc<Answer>, CalloutError> {
        if let Some(error) = self.failed {
            return Err(*error);
        }
        if self.headers.is_too_much() {
            return Err(CalloutError::BadHeaders("more than 1024 headers or 1 MiB".into()));
        }
        events::want_http(event);
        let root = tasks::callouts_home();
        let headers = self.headers.finish();
        let token = match host::http_call(&self.cluster, &headers, &self.body, self.timeout_ms) {
            Ok(token) => token,
            Err(Status::BadArgument) => return Err(CalloutError::UnknownCluster(self.cluster)),
            Err(Status::InternalFailure) => return Err(CalloutError::NotStarted(self.cluster)),
            Err(other) => return Err(CalloutError::Host(other)),
        };
        let slot = Rc::<Answer>::default();
        let waiting = Waiting { slot: Rc::downgrade(&slot), root };
        let before = WAITING.with_borrow_mut(|all| all.insert(token, waiting));
        // A host that gives a token twice answers once.
        if let Some(before) = before.and_then(|before| before.slot.upgrade()) {
            before.fill(Err(CalloutError::Gone));
        }
        Ok(slot)
    }
}

type Answer = Slot<Result<CalloutReply, CalloutError>>;

struct Waiting {
    slot: Weak<Answer>,
    root: u32,
}

thread_local! {
    static WAITING: RefCell<Ids<Waiting>> = const { RefCell::new(Ids::new()) };
}

/// An answer came to this root. Tokens that nobody waits for are dropped.
fn event(root: u32, token: u32, event: HttpEvent) {
    let HttpEvent::Answer { headers, body, trailers } = event else { return gone(root) };
    tasks::enter(root, root);
    let waiting = WAITING.with_borrow_mut(|all| all.remove(token));
    if let Some(slot) = waiting.and_then(|waiting| waiting.slot.upgrade()) {
        // No headers at all is how a reset in the middle looks (docs/envoy.md 2.6).
        let answer = if headers == 0 {
            Err(CalloutError::Reset)
        } else {
            let map = |kind| Headers::decoded(host::header_pairs(kind).unwrap_or_default());
            judge(CalloutReply {
                headers: map(MapType::HttpCallResponseHeaders),
                body: host::buffer(BufferType::HttpCallResponseBody, body).unwrap_or_default(),
                // Most answers have none, and then the host need not be asked.
                trailers: if trailers == 0 {
                    Headers::owned()
                } else {
                    map(MapType::HttpCallResponseTrailers)
                },
            })
        };
        slot.fill(answer);
    }
    tasks::drain();
}

/// Tells an answer that the proxy made from one of the service. To what came over the wire Envoy appends
/// `x-envoy-upstream-service-time`, whatever the service wrote; to its own answers, which have fixed words, it does not
/// (docs/envoy.md 2.6). Both must hold, so that other hosts and proxies further on are taken for the service.
fn judge(reply: CalloutReply) -> Result<CalloutReply, CalloutError> {
    if reply.headers.contains("x-envoy-upstream-service-time") {
        return Ok(reply);
    }
    match (reply.status(), &reply.body[..]) {
        (504, b"upstream request timeout") => Err(CalloutError::Timeout),
        (503, body) if body.starts_with(b"upstream connect error") => {
            Err(CalloutError::Unreachable(String::from_utf8_lossy(body).into_owned()))
        }
        _ => Ok(reply),
    }
}

/// A root is gone; what would have come back through it never will.
fn gone(root: u32) {
    let lost = WAITING.try_with(|all| {
        let mut all = all.borrow_mut();
        let tokens: Vec<u32> = all.iter().filter(|(_, w)| w.root == root).map(|(token, _)| token).collect();
        tokens.into_iter().filter_map(|token| all.remove(token)).collect::<Vec<_>>()
    });
    for slot in lost.unwrap_or_default().into_iter().filter_map(|waiting| waiting.slot.upgrade()) {
        slot.fill(Err(CalloutError::Gone));
    }
}
