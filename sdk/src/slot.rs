//! A place for one value that a future waits for.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// See the file's head.
pub(crate) struct Slot<T> {
    value: Cell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: Cell::new(None), waker: RefCell::new(None) }
    }
}

impl<T> Slot<T> {
    /// Puts the value there and wakes who waits.
    pub(crate) fn fill(&self, value: T) {
        self.value.set(Some(value));
        self.wake();
    }

    /// The value, when it is there.
    pub(crate) fn take(&self) -> Option<T> {
        self.value.take()
    }

    /// Wakes who waits, for instance for something that lies beside the value.
    pub(crate) fn wake(&self) {
        // Let go before the waker runs, so that it may come back here.
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The value, or a promise to wake.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<T> {
        if let Some(value) = self.value.take() {
            return Poll::Ready(value);
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}
