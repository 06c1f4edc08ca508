//! Calls and streams that are under way, by token.

use super::stream::StreamState;
use super::{Failure, GrpcError};
use crate::events::{self, GrpcEvent};
use crate::ids::Ids;
use crate::slot::Slot;
use crate::{host, tasks};
use std::cell::RefCell;
use std::rc::Rc;
use tamis_abi::BufferType;

/// Where the answer of a call goes.
pub(super) type Answer = Slot<Result<Vec<u8>, GrpcError>>;

/// Who waits for what comes.
pub(super) enum Waiting {
    Call(Rc<Answer>),
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

struct Calls {
    waiting: Ids<(u32, Waiting)>,
    /// The token whose callback runs; 0 is none.
    running: u32,
    /// To be cancelled in a callback of something else: Envoy is still reading from the peer of this one.
    later: Vec<u32>,
}

thread_local! {
    static CALLS: RefCell<Calls> =
        const { RefCell::new(Calls { waiting: Ids::new(), running: 0, later: Vec::new() }) };
}

/// Ready for a call, which comes home to this root.
pub(super) fn prepare() -> u32 {
    events::want_grpc(event);
    cancel_later(0);
    tasks::callouts_home()
}

pub(super) fn add(token: u32, root: u32, waiting: Waiting) {
    let before = CALLS.with_borrow_mut(|calls| calls.waiting.insert(token, (root, waiting)));
    // A host that gives a token twice answers once.
    if let Some((_, before)) = before {
        before.lost();
    }
}

/// Nobody waits for this one any more.
pub(super) fn cancel(token: u32) {
    let now = CALLS.try_with(|calls| {
        let mut calls = calls.borrow_mut();
        let known = calls.waiting.remove(token);
        if known.is_some() && calls.running == token {
            calls.later.push(token);
        }
        (known, calls.running != token)
    });
    // Not known any more: it has ended.
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

/// Cancels a unary call whose future is dropped. It has no effect on one that has ended.
pub(super) struct Waits(pub(super) u32);

impl Drop for Waits {
    fn drop(&mut self) {
        cancel(self.0);
    }
}

/// True within a callback of this one.
pub(super) fn is_running(token: u32) -> bool {
    CALLS.try_with(|calls| calls.borrow().running == token).unwrap_or(false)
}

/// What the host tells. Tokens that nobody waits for are dropped, before anything else: Envoy tells of a stream that
/// could not start within the function that starts it (docs/envoy.md 2.7).
fn event(root: u32, token: u32, event: GrpcEvent) {
    if event == GrpcEvent::Gone {
        return root_gone(root);
    }
    let stream = CALLS.with_borrow(|calls| match calls.waiting.get(token) {
        Some((_, Waiting::Call(_))) => Some(None),
        Some((_, Waiting::Stream(state))) => Some(Some(state.clone())),
        None => None,
    });
    let Some(stream) = stream else { return };
    tasks::enter(root, root);
    CALLS.with_borrow_mut(|calls| calls.running = token);
    cancel_later(token);
    let remove = || CALLS.with_borrow_mut(|calls| calls.waiting.remove(token));
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
        let theirs = calls.waiting.iter().filter(|(_, (home, _))| *home == root).map(|(token, _)| token);
        let tokens: Vec<u32> = theirs.collect();
        tokens.into_iter().filter_map(|token| calls.waiting.remove(token)).collect::<Vec<_>>()
    });
    for (_, waiting) in lost.unwrap_or_default() {
        waiting.lost();
    }
}
