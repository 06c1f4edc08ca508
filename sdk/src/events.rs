//! Callbacks that only some filters need. Who needs one says so; of what nobody needs nothing but these few
//! lines is in a module, whoever made it.

use std::cell::Cell;

/// What comes back from a gRPC call or stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrpcEvent {
    /// Initial metadata, of streams.
    Initial,
    /// A message of so many bytes.
    Message(usize),
    /// Trailing metadata, of streams.
    Trailing,
    /// The end, with a status.
    Close(u32),
    /// The root is being taken down; nothing more comes. Without a token.
    Gone,
}

/// How large the answer of an HTTP callout is; no headers is how a reset looks (docs/envoy.md 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpEvent {
    /// So many headers, bytes of a body, and trailers.
    Answer { headers: usize, body: usize, trailers: usize },
    /// As [`GrpcEvent::Gone`].
    Gone,
}

/// Takes a root, a token and what came.
pub(crate) type OnHttp = fn(u32, u32, HttpEvent);
/// As [`OnHttp`].
pub(crate) type OnGrpc = fn(u32, u32, GrpcEvent);
/// Takes a root and a queue's token.
pub(crate) type OnQueue = fn(u32, u32);

thread_local! {
    static HTTP: Cell<Option<OnHttp>> = const { Cell::new(None) };
    static GRPC: Cell<Option<OnGrpc>> = const { Cell::new(None) };
    static QUEUE: Cell<Option<OnQueue>> = const { Cell::new(None) };
}

/// Somebody makes HTTP callouts.
pub(crate) fn want_http(handler: OnHttp) {
    HTTP.set(Some(handler));
}

/// Somebody calls gRPC services.
pub(crate) fn want_grpc(handler: OnGrpc) {
    GRPC.set(Some(handler));
}

/// Somebody waits for a queue.
pub(crate) fn want_queue(handler: OnQueue) {
    QUEUE.set(Some(handler));
}

/// The host tells of an HTTP callout.
pub(crate) fn http(root: u32, token: u32, event: HttpEvent) {
    if let Some(handler) = HTTP.get() {
        handler(root, token, event);
    }
}

/// This root is being taken down.
pub(crate) fn gone(root: u32) {
    http(root, 0, HttpEvent::Gone);
    grpc(root, 0, GrpcEvent::Gone);
}

/// The host tells of a gRPC call or stream.
pub(crate) fn grpc(root: u32, token: u32, event: GrpcEvent) {
    if let Some(handler) = GRPC.get() {
        handler(root, token, event);
    }
}

/// The host tells of a queue.
pub(crate) fn queue(root: u32, token: u32) {
    if let Some(handler) = QUEUE.get() {
        handler(root, token);
    }
}
