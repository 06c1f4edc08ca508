//! One exchange: the future of `handle` on one side, the proxy's phases on the other.
//!
//! What each step does to a real Envoy is in docs/decisions/0001-one-async-function.md.

use crate::body::{BodyMissed, BodyTooLarge, Flow, Side};
use crate::filter::{OnError, Work};
use crate::next::Shared;
use crate::response::Kind;
use crate::root::RootState;
use crate::tasks::{Polled, WakeId, Woken};
use crate::{Error, Next, Reply, Request, Response, Result, host, log, tasks};
use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tamis_abi::{Action, BufferType, MapType, StreamType};

/// How far the exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing happened.
    Start,
    /// The request's headers are in hand.
    Request,
    /// The request went on, the response is not here.
    Forwarded,
    /// The response's headers are in hand.
    Response,
    /// `handle` has nothing more to say.
    Passed,
    /// We answered; the response that the proxy shows next is our own (docs/envoy.md 2.5).
    Answered,
    /// The stream is over.
    Ended,
}

/// Where a step happens: the same decision is told differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the callback of the phase: by the returned action. Resuming there would send twice (docs/envoy.md 2.4).
    Phase,
    /// In a later callback: by `continue_stream`.
    Later,
}

/// See the file's head.
pub(crate) struct Exchange {
    id: Cell<u32>,
    root: Rc<RootState>,
    stage: Cell<Stage>,
    pub(crate) shared: Shared,
    /// The place of the future, taken out while the author's code runs.
    work: Cell<Option<Box<dyn Work>>>,
    /// The filter that the place was made for, see [`RootState::generation`].
    generation: Cell<u32>,
    /// There is a future in the place.
    running: Cell<bool>,
    wake: Arc<WakeId>,
    waker: Waker,
    /// Wakers can find it.
    known: Cell<bool>,
}

impl Exchange {
    pub(crate) fn new(id: u32, root: &Rc<RootState>) -> Rc<Self> {
        if let Some(spare) = root.spare() {
            spare.id.set(id);
            spare.wake.rename(id);
            return spare;
        }
        let wake = WakeId::new(id);
        Rc::new(Self {
            id: Cell::new(id),
            root: root.clone(),
            stage: Cell::new(Stage::Start),
            shared: Shared::default(),
            work: Cell::new(None),
            generation: Cell::new(root.generation()),
            running: Cell::new(false),
            waker: Waker::from(wake.clone()),
            wake,
            known: Cell::new(false),
        })
    }

    /// The id of its stream.
    pub(crate) fn id(&self) -> u32 {
        self.id.get()
    }

    /// Gives an ended exchange back, to be used again when nobody can know that it was another one.
    pub(crate) fn retire(self: Rc<Self>) {
        let root = self.root.clone();
        if Rc::strong_count(&self) == 1 && !self.is_waker_kept() && self.generation.get() == root.generation()
        {
            self.stage.set(Stage::Start);
            self.shared.reset();
            root.keep_spare(self);
        }
    }

    /// True when somebody kept a waker.
    fn is_waker_kept(&self) -> bool {
        // One for `wake`, one for `waker`.
        Arc::strong_count(&self.wake) > 2
    }

    pub(crate) fn request_headers(self: &Rc<Self>, end: bool) -> Action {
        tasks::enter(self.id.get(), self.root.id());
        let generation = self.root.generation();
        let mut work = match self.work.take() {
            Some(kept) if self.generation.get() == generation => kept,
            _ => {
                let Some(filter) = self.root.filter() else { return Action::Continue };
                self.generation.set(generation);
                filter.work()
            }
        };
        self.stage.set(Stage::Request);
        self.shared.request.bodiless.set(end);
        work.start(Request::new(self.clone()), Next::new());
        self.put_back(work);
        self.running.set(true);
        let action = self.step(Place::Phase);
        tasks::drain();
        action
    }

    pub(crate) fn response_headers(self: &Rc<Self>, end: bool) -> Action {
        tasks::enter(self.id.get(), self.root.id());
        let action = match self.stage.get() {
            Stage::Forwarded => {
                self.stage.set(Stage::Response);
                self.shared.response.bodiless.set(end);
                self.shared.answered.set(true);
                self.step(Place::Phase)
            }
            // The proxy answered while we held the request, by a timeout for instance.
            Stage::Request => {
                self.close(Stage::Passed);
                Action::Continue
            }
            _ => Action::Continue,
        };
        tasks::drain();
        action
    }

    pub(crate) fn request_body(&self, size: usize, end: bool) -> Action {
        self.body(&self.shared.request, Stage::Request, BufferType::HttpRequestBody, size, end)
    }

    pub(crate) fn response_body(&self, size: usize, end: bool) -> Action {
        self.body(&self.shared.response, Stage::Response, BufferType::HttpResponseBody, size, end)
    }

    pub(crate) fn request_trailers(&self) -> Action {
        let (buffer, map) = (BufferType::HttpRequestBody, MapType::HttpRequestTrailers);
        self.trailers(&self.shared.request, Stage::Request, buffer, map)
    }

    pub(crate) fn response_trailers(&self) -> Action {
        let (buffer, map) = (BufferType::HttpResponseBody, MapType::HttpResponseTrailers);
        self.trailers(&self.shared.response, Stage::Response, buffer, map)
    }

    /// The stream is over: the future is dropped, its callouts are not waited for.
    pub(crate) fn end(&self) {
        if self.running.get() || self.shared.request.has_hook() || self.shared.response.has_hook() {
            // What the author's code leaves behind may log and call.
            tasks::enter(self.id.get(), self.root.id());
            self.close(Stage::Ended);
        } else {
            self.stage.set(Stage::Ended);
        }
        if self.known.take() {
            tasks::forget(self.id.get());
        }
    }

    /// True while this map is in hand, in the exchange that the host has in effect.
    pub(crate) fn has(&self, map: MapType) -> bool {
        let stage = if map == MapType::HttpRequestHeaders { Stage::Request } else { Stage::Response };
        self.stage.get() == stage && tasks::is_current(self.id.get())
    }

    fn close(&self, stage: Stage) {
        self.stage.set(stage);
        self.drop_work();
        self.shared.request.drop_hooks();
        self.shared.response.drop_hooks();
    }

    fn drop_work(&self) {
        if self.running.take()
            && let Some(mut work) = self.work.take()
        {
            work.clear();
            self.put_back(work);
        }
    }

    /// The place is empty then, so that there is nothing to drop.
    fn put_back(&self, work: Box<dyn Work>) {
        std::mem::forget(self.work.replace(Some(work)));
    }

    fn poll(self: &Rc<Self>) -> Option<Result<Response>> {
        if !self.running.get() {
            return None;
        }
        // Taken out, so that nothing is borrowed while the author's code runs.
        let mut work = self.work.take()?;
        let done = match work.poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(done) => {
                self.running.set(false);
                Some(done)
            }
            Poll::Pending => None,
        };
        self.put_back(work);
        if done.is_none() && self.is_waker_kept() && !self.known.replace(true) {
            self.keep();
        }
        done
    }

    /// Makes it findable by its wakers.
    fn keep(self: &Rc<Self>) {
        let this: Weak<Self> = Rc::downgrade(self);
        tasks::keep_stream(self.id.get(), this);
    }

    fn step(self: &Rc<Self>, place: Place) -> Action {
        let done = match tasks::poll_settled(self.id.get(), || self.poll()) {
            Polled::Done(done) => done,
            waits => {
                if matches!(waits, Polled::Again) && !self.known.replace(true) {
                    self.keep();
                }
                return match self.stage.get() {
                    Stage::Request if self.shared.forwarded.get() => self.go_on(place, Stage::Forwarded),
                    Stage::Request | Stage::Response => Action::Pause,
                    _ => Action::Continue,
                };
            }
        };
        match done.map(|response| response.0) {
            Ok(Kind::Reply(reply)) => self.answer(*reply),
            Ok(Kind::Upstream { .. }) => self.go_on(place, Stage::Passed),
            Err(error) => self.failed(error, place),
        }
    }

    /// Lets go what is in hand.
    fn go_on(&self, place: Place, next: Stage) -> Action {
        let held = self.stage.replace(next);
        let (side, map, stream) = match held {
            Stage::Request => (&self.shared.request, MapType::HttpRequestHeaders, StreamType::Request),
            Stage::Response => (&self.shared.response, MapType::HttpResponseHeaders, StreamType::Response),
            _ => return Action::Continue,
        };
        if side.has_hook() {
            if side.is_late() {
                self.stage.set(held);
                side.hook.take();
                return self.failed(BodyMissed.into(), place);
            }
            side.prepare(map);
        }
        if place == Place::Later
            && let Err(status) = host::continue_stream(stream)
        {
            log::error!("the host could not go on: {status}");
        }
        Action::Continue
    }

    fn answer(&self, reply: Reply) -> Action {
        self.close(Stage::Answered);
        if let Err(status) = reply.send() {
            log::error!("the host could not send the reply: {status}");
        }
        // Ignored by the host after a reply; a host that did not take it must not forward either.
        Action::Pause
    }

    fn failed(&self, error: Error, place: Place) -> Action {
        let error = match error.into_reply() {
            Ok(reply) => return self.answer(reply),
            Err(error) => error,
        };
        match self.root.count_failure("exchange", &error) {
            OnError::Pass => {
                self.drop_work();
                self.go_on(place, Stage::Passed)
            }
            OnError::Deny => self.deny(&error),
            OnError::Reply(reply) => self.answer(reply),
        }
    }

    fn deny(&self, error: &Error) -> Action {
        let status = if error.downcast_ref::<BodyTooLarge>().is_some() { 413 } else { 500 };
        self.answer(Reply::new(status).details("tamis_filter_error"))
    }

    fn body(&self, side: &Side, held: Stage, buffer: BufferType, size: usize, end: bool) -> Action {
        tasks::enter(self.id.get(), self.root.id());
        if self.stage.get() == held {
            // Only with `allow_on_headers_stop_iteration`: going on here would let the headers go too.
            side.missed.set(true);
            return Action::Pause;
        }
        if matches!(self.stage.get(), Stage::Answered | Stage::Ended) {
            return Action::Continue;
        }
        let action = match side.run(buffer, size, end) {
            Ok(Flow::On) => Action::Continue,
            Ok(Flow::Hold) => Action::Pause,
            Err(error) => self.failed_in_body(error),
        };
        tasks::drain();
        action
    }

    fn trailers(&self, side: &Side, held: Stage, buffer: BufferType, map: MapType) -> Action {
        tasks::enter(self.id.get(), self.root.id());
        if self.stage.get() == held {
            return Action::Pause;
        }
        if matches!(self.stage.get(), Stage::Answered | Stage::Ended) {
            return Action::Continue;
        }
        let action = match side.finish(buffer, map) {
            Ok(()) => Action::Continue,
            Err(error) => self.failed_in_body(error),
        };
        tasks::drain();
        action
    }

    /// As [`failed`](Self::failed); what passes is the piece, `handle` goes on undisturbed.
    fn failed_in_body(&self, error: Error) -> Action {
        let error = match error.into_reply() {
            Ok(reply) => return self.answer(reply),
            Err(error) => error,
        };
        match self.root.count_failure("exchange", &error) {
            OnError::Pass => Action::Continue,
            OnError::Deny => self.deny(&error),
            OnError::Reply(reply) => self.answer(reply),
        }
    }
}

impl Woken for Exchange {
    /// While headers are in hand: resuming a phase inside its own callback sends twice or hangs (docs/envoy.md 2.4).
    fn holds(&self) -> bool {
        matches!(self.stage.get(), Stage::Request | Stage::Response)
    }

    fn woken(self: Rc<Self>) {
        if matches!(self.stage.get(), Stage::Request | Stage::Forwarded | Stage::Response) {
            self.step(Place::Later);
        }
    }
}
