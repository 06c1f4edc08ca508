//! A gRPC stream: messages both ways.

use super::GrpcError;
use super::calls::{cancel, is_running};
use crate::headers::Headers;
use crate::host;
use crate::slot::Slot;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use tamis_abi::{MapType, Status};

/// What may lie there for somebody who does not receive, bytes: Envoy's own default for a connection. More cancels the
/// stream with [`GrpcError::TooMuch`].
const KEPT: usize = 1 << 20;

/// An open stream. Dropping it cancels it.
///
/// ```
/// use tamis_sdk::grpc::{Call, GrpcError};
///
/// async fn sum(parts: &[Vec<u8>]) -> Result<usize, GrpcError> {
///     let mut stream = Call::new("sums", "math.Sums", "Add").open()?;
///     for part in parts {
///         stream.send(part)?;
///     }
///     stream.finish()?;
///     let mut bytes = 0;
///     while let Some(message) = stream.receive().await? {
///         bytes += message.len();
///     }
///     Ok(bytes)
/// }
/// ```
pub struct Stream {
    token: u32,
    state: Rc<StreamState>,
    finished: Cell<bool>,
}

#[derive(Default)]
pub(super) struct StreamState {
    messages: RefCell<VecDeque<Vec<u8>>>,
    kept: Cell<usize>,
    initial: OnceCell<Headers>,
    trailing: OnceCell<Headers>,
    end: RefCell<Option<Result<(), GrpcError>>>,
    slot: Slot<()>,
}

impl StreamState {
    /// False when there is no room.
    pub(super) fn keep(&self, message: Vec<u8>) -> bool {
        let kept = self.kept.get().saturating_add(message.len());
        if kept > KEPT {
            return false;
        }
        self.kept.set(kept);
        self.messages.borrow_mut().push_back(message);
        self.slot.wake();
        true
    }

    pub(super) fn metadata(&self, trailing: bool) {
        let (map, place) = match trailing {
            false => (MapType::GrpcReceiveInitialMetadata, &self.initial),
            true => (MapType::GrpcReceiveTrailingMetadata, &self.trailing),
        };
        let _ = place.set(Headers::decoded(host::header_pairs(map).unwrap_or_default()));
        self.slot.wake();
    }

    /// The first end counts.
    pub(super) fn end(&self, end: Result<(), GrpcError>) {
        self.end.borrow_mut().get_or_insert(end);
        self.slot.wake();
    }

    fn is_over(&self) -> bool {
        self.end.borrow().is_some()
    }
}

impl Stream {
    pub(super) fn new(token: u32, state: Rc<StreamState>) -> Self {
        Self { token, state, finished: Cell::new(false) }
    }

    /// Sends a message. The host takes it at once; nobody says when it has left.
    ///
    /// # Errors
    /// [`GrpcError::Closed`] after [`finish`](Self::finish) and when the stream is over: Envoy would take the message
    /// and lose it.
    pub fn send(&self, message: &[u8]) -> Result<(), GrpcError> {
        self.writable()?;
        told(host::grpc_send(self.token, message, false))
    }

    /// Says that no message follows. The peer may still send.
    ///
    /// # Errors
    /// [`GrpcError::Closed`] when it was said before or the stream is over.
    pub fn finish(&self) -> Result<(), GrpcError> {
        self.writable()?;
        self.finished.set(true);
        told(host::grpc_close(self.token))
    }

    fn writable(&self) -> Result<(), GrpcError> {
        if self.finished.get() || self.state.is_over() { Err(GrpcError::Closed) } else { Ok(()) }
    }

    /// The next message; `None` when the peer ended the stream well.
    ///
    /// # Errors
    /// How the stream ended otherwise; messages that came before it are given first.
    pub async fn receive(&mut self) -> Result<Option<Vec<u8>>, GrpcError> {
        let state = &self.state;
        poll_fn(|context| {
            if let Some(message) = state.messages.borrow_mut().pop_front() {
                state.kept.set(state.kept.get() - message.len());
                return Poll::Ready(Ok(Some(message)));
            }
            if let Some(end) = state.end.borrow().clone() {
                return Poll::Ready(end.map(|()| None));
            }
            let _ = state.slot.poll(context);
            Poll::Pending
        })
        .await
    }

    /// Initial metadata, once it is there: with or before the first message. An error that comes first has none.
    pub fn initial_metadata(&self) -> Option<&Headers> {
        self.state.initial.get()
    }

    /// Trailing metadata, once it is there: before the end.
    pub fn trailing_metadata(&self) -> Option<&Headers> {
        self.state.trailing.get()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.state.is_over() {
            return;
        }
        // Within its own callback it can not be cancelled yet, but the peer can be told that nothing follows.
        if is_running(self.token) && !self.finished.get() {
            let _ = host::grpc_close(self.token);
        }
        cancel(self.token);
    }
}

fn told(result: Result<(), Status>) -> Result<(), GrpcError> {
    result.map_err(|status| match status {
        Status::NotFound => GrpcError::Closed,
        other => GrpcError::Host(other),
    })
}
