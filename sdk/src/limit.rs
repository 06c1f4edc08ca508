//! How much may be under way at once.

use crate::slot::Slot;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;

/// A bound on what runs at once in this worker: `running` at most, and `waiting` more in the order in which they came.
/// Without one, a slow service and many requests make as many callouts as there are requests.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::Limit;
///
/// async fn ask(limit: &Limit, call: Callout) -> Result<bool> {
///     // Two errors: nobody was asked, or nobody answered.
///     let reply = limit.run(call.send()).await??;
///     Ok(reply.is_success())
/// }
/// ```
#[derive(Clone)]
pub struct Limit(Rc<State>);

struct State {
    free: Cell<usize>,
    most_waiting: usize,
    waiting: RefCell<VecDeque<Rc<Slot<()>>>>,
}

/// As many run and wait as may.
///
/// ```
/// use tamis_sdk::prelude::*;
/// use tamis_sdk::{Busy, Limit};
///
/// async fn ask(limit: &Limit, call: Callout) -> Result<u16> {
///     match limit.run(call.send()).await {
///         Ok(reply) => Ok(reply?.status()),
///         Err(Busy) => Err(Reply::new(503).into()),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too much of this is under way")
    }
}

impl std::error::Error for Busy {}

/// A place among those that run; given on when it is dropped.
struct Place<'a>(&'a State);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let next = self.0.waiting.borrow_mut().pop_front();
        match next {
            Some(next) => next.fill(()),
            None => self.0.free.set(self.0.free.get() + 1),
        }
    }
}

/// A place in the queue.
struct Queued<'a> {
    state: &'a State,
    slot: Rc<Slot<()>>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let place = self.state.waiting.borrow().iter().position(|other| Rc::ptr_eq(other, &self.slot));
        if let Some(place) = place {
            self.state.waiting.borrow_mut().remove(place);
        } else if self.slot.take().is_some() {
            // It was its turn and nobody came.
            drop(Place(self.state));
        }
    }
}

impl Limit {
    /// A bound; `running` is at least 1.
    pub fn new(running: usize, waiting: usize) -> Self {
        let state =
            State { free: Cell::new(running.max(1)), most_waiting: waiting, waiting: RefCell::default() };
        Self(Rc::new(state))
    }

    /// Runs the future when there is room. Its place is free again when it ends or is dropped.
    ///
    /// # Errors
    /// [`Busy`] at once when the queue is full too.
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, Busy> {
        let state = &*self.0;
        let place = match state.free.get().checked_sub(1) {
            Some(free) => {
                state.free.set(free);
                Place(state)
            }
            None if state.waiting.borrow().len() >= state.most_waiting => return Err(Busy),
            None => {
                let slot = Rc::<Slot<()>>::default();
                state.waiting.borrow_mut().push_back(slot.clone());
                let queued = Queued { state, slot };
                poll_fn(|context| queued.slot.poll(context)).await;
                Place(state)
            }
        };
        let output = future.await;
        drop(place);
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    type Gate = Rc<Slot<u8>>;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    async fn through(limit: &Limit, gate: &Gate) -> Result<u8, Busy> {
        limit.run(poll_fn(|context| gate.poll(context))).await
    }

    #[test]
    fn so_many_run_so_many_wait_and_the_rest_is_told() {
        let limit = Limit::new(1, 1);
        let gates: [Gate; 3] = Default::default();
        let mut first = pin!(through(&limit, &gates[0]));
        let mut second = pin!(through(&limit, &gates[1]));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!(poll(pin!(through(&limit, &gates[2]))), Poll::Ready(Err(Busy)));
        gates[1].fill(2);
        assert!(poll(second.as_mut()).is_pending(), "it is not its turn");
        gates[0].fill(1);
        assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(1)));
        assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(2)));
        gates[2].fill(3);
        assert_eq!(poll(pin!(through(&limit, &gates[2]))), Poll::Ready(Ok(3)), "its place came back");
    }

    #[test]
    fn who_leaves_gives_the_place_on() {
        let limit = Limit::new(1, 2);
        let gates: [Gate; 3] = Default::default();
        let mut runs = Box::pin(through(&limit, &gates[0]));
        let mut leaves = Box::pin(through(&limit, &gates[1]));
        let mut stays = Box::pin(through(&limit, &gates[2]));
        for future in [&mut runs, &mut leaves, &mut stays] {
            assert!(poll(future.as_mut()).is_pending());
        }
        // Its turn comes, and it leaves before it is polled; then the one that waited on.
        drop(runs);
        drop(leaves);
        gates[2].fill(9);
        assert_eq!(poll(stays.as_mut()), Poll::Ready(Ok(9)));
        assert_eq!((limit.0.free.get(), limit.0.waiting.borrow().len()), (1, 0));
    }
}
