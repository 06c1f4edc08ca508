//! One connection: the future of `handle` on one side, the proxy's callbacks on the other.
//!
//! What each step does to a real Envoy is in docs/decisions/0008-tcp-filters.md.

use super::lane::{Lane, Unread};
use super::{Flow, HELD_LIMIT, HeldTooMuch, Piece, is_close};
use crate::filter::{OnError, Stream};
use crate::root::RootState;
use crate::tasks::{Polled, WakeId, Woken};
use crate::{Error, Result, host, log, tasks};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tamis_abi::{Action, BufferType, StreamType};

type Work = Pin<Box<dyn Future<Output = Result<()>>>>;

/// Looks at what the upstream sends.
pub(super) type Hook = Box<dyn FnMut(&mut Vec<u8>, bool) -> Result<Flow>>;

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The upstream was not asked yet.
    New,
    /// `handle` runs.
    Open,
    /// `handle` has nothing more to say.
    Passing,
    /// Closed by us, or over.
    Closed,
}

/// See the file's head.
pub(super) struct Wire {
    id: u32,
    root: Rc<RootState>,
    stage: Cell<Stage>,
    /// The client's side.
    lane: Lane,
    /// `read` was asked for.
    asked: Cell<bool>,
    /// Our last callback of the client's side stopped it.
    stopped: Cell<bool>,
    work: RefCell<Option<Work>>,
    hook: RefCell<Option<Hook>>,
    /// Who waits for bytes.
    reader: RefCell<Option<Waker>>,
    waker: Waker,
    me: Weak<Wire>,
}

impl Wire {
    pub(super) fn open(id: u32, root: &Rc<RootState>, work: impl FnOnce(Rc<Self>) -> Work) -> Rc<Self> {
        let wire = Rc::new_cyclic(|me: &Weak<Self>| Self {
            id,
            root: root.clone(),
            stage: Cell::new(Stage::New),
            lane: Lane::default(),
            asked: Cell::new(false),
            stopped: Cell::new(false),
            work: RefCell::new(None),
            hook: RefCell::new(None),
            reader: RefCell::new(None),
            waker: Waker::from(WakeId::new(id)),
            me: me.clone(),
        });
        *wire.work.borrow_mut() = Some(work(wire.clone()));
        tasks::keep_stream(id, wire.me.clone());
        wire
    }

    /// What there is to read; `None` when that is nothing yet.
    pub(super) fn read(&self) -> Option<Result<Option<Piece>, HeldTooMuch>> {
        self.asked.set(true);
        match self.lane.unread() {
            Unread::Bytes(at, end) => {
                let bytes = host::buffer(BufferType::DownstreamData, end).unwrap_or_default();
                let bytes = bytes.get(at..).map(<[u8]>::to_vec).unwrap_or_default();
                let len = end - at;
                self.lane.take(len);
                Some(Ok(Some(Piece { bytes, at, len, edited: false, wire: self.me.upgrade() })))
            }
            Unread::End => {
                self.lane.tell_end();
                Some(Ok(None))
            }
            Unread::Nothing if self.lane.in_hand() >= HELD_LIMIT => Some(Err(HeldTooMuch)),
            Unread::Nothing => None,
        }
    }

    pub(super) fn wait(&self, waker: &Waker) {
        *self.reader.borrow_mut() = Some(waker.clone());
    }

    pub(super) fn forward(&self, at: usize, len: usize, edited: bool, bytes: &[u8]) {
        self.lane.forward(at, len, edited, bytes);
    }

    pub(super) fn discard(&self, len: usize) {
        self.lane.discard(len);
    }

    pub(super) fn hook(&self, hook: Hook) {
        *self.hook.borrow_mut() = Some(hook);
    }

    /// Polls, and says whether the client's side may go on.
    fn step(&self) -> Action {
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
        let done = tasks::poll_settled(self.id, || {
            // Taken out, so that nothing is borrowed while the author's code runs.
            let mut work = self.work.borrow_mut().take()?;
            match work.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => {
                    *self.work.borrow_mut() = Some(work);
                    None
                }
            }
        });
        match done {
            // What it has not read passes.
            Polled::Done(Ok(())) => self.stage.set(Stage::Passing),
            Polled::Done(Err(error)) => return self.failed(error),
            Polled::Waits | Polled::Again => {}
        }
        let goes = match self.stage.get() {
            Stage::New => {
                let goes = self.asked.get();
                if goes {
                    self.stage.set(Stage::Open);
                }
                goes
            }
            Stage::Open => self.lane.is_clear(),
            Stage::Passing => true,
            Stage::Closed => false,
        };
        if !goes {
            return Action::Pause;
        }
        if let Some((read, out)) = self.lane.leave()
            && let Err(status) = host::set_buffer(BufferType::DownstreamData, read, &out)
        {
            return self.failed(Error::msg(format!("the host could not change the data: {status}")));
        }
        Action::Continue
    }

    fn failed(&self, error: Error) -> Action {
        let passes =
            !is_close(&error) && matches!(self.root.count_failure("connection", &error), OnError::Pass);
        let gone = (self.work.borrow_mut().take(), self.hook.borrow_mut().take());
        drop(gone);
        if passes {
            self.stage.set(Stage::Passing);
            // Nothing was written, so it is still as it came.
            self.lane.leave();
            return Action::Continue;
        }
        self.stage.set(Stage::Closed);
        if let Err(status) = host::close_stream(StreamType::Downstream) {
            log::error!("the host could not close the connection: {status}");
        }
        Action::Pause
    }

    /// Lets go what our last callback of the client's side stopped.
    fn resume(&self) {
        if self.stopped.take()
            && let Err(status) = host::continue_stream(StreamType::Downstream)
        {
            log::error!("the host could not go on: {status}");
        }
    }

    fn client(&self, told: impl FnOnce(&Self)) -> Action {
        tasks::enter(self.id, self.root.id());
        told(self);
        let action = self.step();
        self.stopped.set(action == Action::Pause);
        tasks::drain();
        action
    }

    fn look(&self, size: usize, end: bool) -> Result<Flow> {
        // Taken out, so that a hook may set another one.
        let Some(mut hook) = self.hook.borrow_mut().take() else { return Ok(Flow::On) };
        let read = host::buffer(BufferType::UpstreamData, size);
        let before = crate::error::told("read the upstream's data", read)?;
        let mut after = before.clone();
        let flow = hook(&mut after, end)?;
        if after != before {
            let written = host::set_buffer(BufferType::UpstreamData, before.len(), &after);
            crate::error::told("change the upstream's data", written)?;
        }
        self.hook.borrow_mut().get_or_insert(hook);
        match flow {
            Flow::Hold if !end && after.len() >= HELD_LIMIT => Err(HeldTooMuch.into()),
            // The end of the upstream would never come to the client (docs/envoy.md 2.13).
            Flow::Hold if !end => Ok(Flow::Hold),
            _ => Ok(Flow::On),
        }
    }
}

impl Stream for Wire {
    fn opened(&self) -> Action {
        self.client(|_| {})
    }

    fn downstream(&self, size: usize, end: bool) -> Action {
        self.client(|wire| wire.lane.arrive(size, end))
    }

    fn upstream(&self, size: usize, end: bool) -> Action {
        tasks::enter(self.id, self.root.id());
        let action = match self.look(size, end) {
            Ok(Flow::On) => Action::Continue,
            Ok(Flow::Hold) => Action::Pause,
            Err(error) => {
                let action = self.failed(error);
                if action == Action::Continue {
                    self.resume();
                }
                action
            }
        };
        tasks::drain();
        action
    }

    fn done(&self) -> bool {
        tasks::enter(self.id, self.root.id());
        self.stage.set(Stage::Closed);
        let gone = (self.work.borrow_mut().take(), self.hook.borrow_mut().take());
        drop(gone);
        tasks::forget(self.id);
        true
    }
}

impl Woken for Wire {
    /// Going on inside our own callback is harmless here (docs/envoy.md 2.13).
    fn woken(self: Rc<Self>) {
        if matches!(self.stage.get(), Stage::New | Stage::Open) && self.step() == Action::Continue {
            self.resume();
        }
    }
}
