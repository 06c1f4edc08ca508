//! One exchange: the future of `handle` on one side, the proxy's phases on the other.
//!
//! What each step does to a real Envoy is in docs/decisions/0001-one-async-function.md.

use crate::body::{BodyMissed, BodyTooLarge, Side};
use crate::filter::{Came, OnError, Work};
use crate::root::{RootState, count_failure};
use crate::tasks::{Polled, WakeId};
use crate::{Error, Reply, Request, host, log, tasks};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use tamis_abi::{Action, MapType, StreamType};

mod flow;

/// How far the exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing happened.
    Start,
    /// The request's headers are in hand.
    Request,
    /// As before, and the author lets them go: the host will be told when this poll is over.
    Going,
    /// The response's headers are in hand.
    Response,
    /// The request went on, the response is not here.
    Forwarded,
    /// `handle` has nothing more to say.
    Passed,
    /// We answered; the response that the proxy shows next is our own (docs/envoy.md 2.5).
    Answered,
    /// The stream is over.
    Ended,
}

/// Where a step happens: the same decision is told differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// In the callback of the phase: by the returned action. Resuming there would send twice (docs/envoy.md 2.4).
    Phase,
    /// In a later callback: by `continue_stream`.
    Later,
}

/// See the file's head.
pub(crate) struct Exchange {
    id: Cell<u32>,
    /// The id of its root.
    home: u32,
    stage: Cell<Stage>,
    /// There is, or was, more to look at than the stage: a hook, a filter that is old. Most exchanges have none of it.
    closer: Cell<bool>,
    pub(crate) request: Side,
    pub(crate) response: Side,
    /// The seat of the future, taken out while the author's code runs; none as long as there is no filter.
    work: Cell<Option<Box<dyn Work>>>,
    wake: Arc<WakeId>,
    waker: Waker,
    /// Its filter has been replaced.
    old: Cell<bool>,
    /// The spare behind this one, see [`streams`](crate::streams).
    pub(crate) next: Cell<Option<Rc<Exchange>>>,
}

impl Exchange {
    /// One of this root, which still has to begin.
    pub(crate) fn new(root: &RootState) -> Rc<Self> {
        let wake = WakeId::new(0);
        Rc::new(Self {
            id: Cell::new(0),
            home: root.id(),
            stage: Cell::new(Stage::Ended),
            closer: Cell::new(false),
            request: Side::default(),
            response: Side::default(),
            work: Cell::new(root.filter().map(|filter| filter.work())),
            waker: Waker::from(wake.clone()),
            wake,
            old: Cell::new(false),
            next: Cell::new(None),
        })
    }

    /// The host has a new stream. What ended before left nothing behind.
    pub(crate) fn begin(&self, id: u32) {
        self.id.set(id);
        self.wake.rename(id);
        self.stage.set(Stage::Start);
    }

    /// The id of its stream.
    pub(crate) fn id(&self) -> u32 {
        self.id.get()
    }

    /// The id of its root.
    pub(crate) fn home(&self) -> u32 {
        self.home
    }

    /// The hot ways do not suffice.
    pub(crate) fn look_closer(&self) {
        self.closer.set(true);
    }

    /// Its filter has been replaced: it may end with it, and then it is not used again.
    pub(crate) fn outdate(&self) {
        self.old.set(true);
        self.look_closer();
    }

    pub(crate) fn request_headers(self: &Rc<Self>, end: bool) -> Action {
        tasks::enter_exchange(self.id.get());
        let Some(mut work) = self.work.take() else { return Action::Continue };
        self.stage.set(Stage::Request);
        self.request.bodiless.set(end);
        let came = work.begin(Request::new(self.clone()), &self.waker);
        self.put_back(work);
        self.settle(came, Turn::Phase)
    }

    pub(crate) fn response_headers(&self, end: bool) -> Action {
        tasks::enter_exchange(self.id.get());
        match self.stage.get() {
            Stage::Forwarded => {
                self.stage.set(Stage::Response);
                self.response.bodiless.set(end);
                self.step(Turn::Phase)
            }
            // The proxy answered while we held the request, by a timeout for instance.
            Stage::Request => {
                self.close(Stage::Passed);
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    /// The stream is over: the future is dropped, its callouts are not waited for. True when a later stream may have
    /// its memory.
    pub(crate) fn end(&self) -> bool {
        let is_plain = !self.is_running() && !self.closer.get();
        if is_plain {
            self.stage.set(Stage::Ended);
        }
        is_plain || self.end_closely()
    }

    fn end_closely(&self) -> bool {
        // What the author's code leaves behind may log and call.
        tasks::enter_exchange(self.id.get());
        self.close(Stage::Ended);
        self.request.missed.set(false);
        self.response.missed.set(false);
        self.closer.set(false);
        !self.old.get()
    }

    /// There is a future in the seat.
    fn is_running(&self) -> bool {
        matches!(self.stage.get(), Stage::Request | Stage::Going | Stage::Response | Stage::Forwarded)
    }

    /// True while this map is in hand, in the exchange that the host has in effect.
    pub(crate) fn has(&self, map: MapType) -> bool {
        let stage = if map == MapType::HttpRequestHeaders { Stage::Request } else { Stage::Response };
        self.stage.get() == stage && tasks::is_current(self.id.get())
    }

    /// Lets the request go, if it is still here. True when the response is here.
    pub(crate) fn let_go(&self) -> bool {
        if self.stage.get() == Stage::Request {
            self.stage.set(Stage::Going);
        }
        self.stage.get() == Stage::Response
    }

    fn close(&self, stage: Stage) {
        self.stage.set(stage);
        self.drop_work();
        self.request.drop_hooks();
        self.response.drop_hooks();
    }

    fn drop_work(&self) {
        if let Some(mut work) = self.work.take() {
            work.clear();
            self.put_back(work);
        }
    }

    /// The place is empty then, so that there is nothing to drop.
    fn put_back(&self, work: Box<dyn Work>) {
        std::mem::forget(self.work.replace(Some(work)));
    }

    fn poll(&self) -> Came {
        // Taken out, so that nothing is borrowed while the author's code runs.
        let Some(mut work) = self.work.take() else { return Came::Waits };
        let came = work.poll(&self.waker);
        self.put_back(work);
        came
    }

    fn step(&self, turn: Turn) -> Action {
        let came = self.poll();
        self.settle(came, turn)
    }

    /// Tells the host what came of a poll.
    #[inline(always)]
    fn settle(&self, mut came: Came, turn: Turn) -> Action {
        if came == Came::Waits && tasks::is_woken() {
            came = self.poll_on();
        }
        match (came, self.stage.get()) {
            (Came::Waits, Stage::Going) => self.go_on(turn, Stage::Forwarded),
            (Came::Waits, Stage::Request | Stage::Response) => Action::Pause,
            (Came::Waits, _) => Action::Continue,
            (Came::Upstream, _) => self.go_on(turn, Stage::Passed),
            (Came::Otherwise, _) => self.finish(turn),
        }
    }

    /// As [`poll`](Self::poll), as long as it wakes itself.
    #[cold]
    fn poll_on(&self) -> Came {
        let polled = tasks::poll_on(self.id.get(), || match self.poll() {
            Came::Waits => None,
            came => Some(came),
        });
        match polled {
            Polled::Done(came) => came,
            Polled::Waits | Polled::Again => Came::Waits,
        }
    }

    /// `handle` came to something else than the response of the upstream.
    #[cold]
    fn finish(&self, turn: Turn) -> Action {
        let ending = self.work.take().and_then(|mut work| {
            let ending = work.ending();
            self.put_back(work);
            ending
        });
        match ending {
            Some(Ok(reply)) => self.answer(*reply),
            Some(Err(error)) => self.failed(error, turn),
            None => Action::Continue,
        }
    }

    /// Lets go what is in hand.
    #[inline(always)]
    fn go_on(&self, turn: Turn, next: Stage) -> Action {
        if turn == Turn::Phase && !self.closer.get() {
            self.stage.set(next);
            return Action::Continue;
        }
        self.go_on_closely(turn, next)
    }

    #[inline(never)]
    fn go_on_closely(&self, turn: Turn, next: Stage) -> Action {
        let held = self.stage.replace(next);
        let (side, map, stream) = match held {
            Stage::Request | Stage::Going => {
                (&self.request, MapType::HttpRequestHeaders, StreamType::Request)
            }
            Stage::Response => (&self.response, MapType::HttpResponseHeaders, StreamType::Response),
            _ => return Action::Continue,
        };
        if side.is_late() {
            self.stage.set(held);
            side.hook.take();
            return self.failed(BodyMissed.into(), turn);
        }
        side.prepare(map);
        if turn == Turn::Later
            && let Err(status) = host::continue_stream(stream)
        {
            log::error!("the host could not go on: {status}");
        }
        Action::Continue
    }

    /// What the filter wants after a failure.
    fn policy(&self) -> OnError {
        let Some(work) = self.work.take() else { return OnError::Deny };
        let policy = work.on_error();
        self.put_back(work);
        policy
    }

    fn answer(&self, reply: Reply) -> Action {
        self.close(Stage::Answered);
        if let Err(status) = reply.send() {
            log::error!("the host could not send the reply: {status}");
        }
        // Ignored by the host after a reply; a host that did not take it must not forward either.
        Action::Pause
    }

    fn failed(&self, error: Error, turn: Turn) -> Action {
        let error = match error.into_reply() {
            Ok(reply) => return self.answer(reply),
            Err(error) => error,
        };
        match count_failure("exchange", self.policy(), &error) {
            OnError::Pass => {
                self.drop_work();
                self.go_on_closely(turn, Stage::Passed)
            }
            OnError::Deny => self.deny(&error),
            OnError::Reply(reply) => self.answer(reply),
        }
    }

    fn deny(&self, error: &Error) -> Action {
        let status = if error.downcast_ref::<BodyTooLarge>().is_some() { 413 } else { 500 };
        self.answer(Reply::new(status).details("tamis_filter_error"))
    }

    /// While headers are in hand it must not be polled inside a callback of its own: resuming a phase there sends twice
    /// or hangs (docs/envoy.md 2.4).
    pub(crate) fn holds(&self) -> bool {
        matches!(self.stage.get(), Stage::Request | Stage::Response)
    }

    /// A waker of it was used.
    pub(crate) fn woken(&self) {
        if matches!(self.stage.get(), Stage::Request | Stage::Forwarded | Stage::Response) {
            self.step(Turn::Later);
        }
    }
}
