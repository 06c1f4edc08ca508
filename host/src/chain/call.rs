//! Running one callback of one filter, and what it asked to happen afterwards.

use super::{Dir, Play, Reply};
use crate::stage::{Action, At, Context, Desk};
use crate::vm::{Broke, Used, Vm};
use tamis_traffic::{Blame, FaultKind, Outcome};

/// What a phase callback asked for that its own phase has to take into account.
#[derive(Default)]
pub(super) struct Asked {
    /// In a headers callback: it resumed the very direction that it stands in.
    pub(super) resumed: bool,
    pub(super) reply: Option<(usize, Box<Reply>)>,
}

/// The phase of the stream in which a callback ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// None: a root context, or a stream that is over.
    Nothing,
    Headers(usize, Dir),
    /// A body or trailers.
    Rest,
}

impl Play<'_> {
    /// Runs a callback in a context. None when the filter does not export it; `Err` when it broke.
    #[inline]
    pub(super) fn call<R>(
        &mut self,
        context: Context,
        phase: &'static str,
        run: impl FnOnce(&mut Vm, &mut Box<Desk>, &mut Used) -> Result<Option<R>, Broke>,
    ) -> Result<Option<R>, ()> {
        let mut used = Used::default();
        let vm = self.before(context, phase);
        let result = run(&mut self.slots[vm].vm, self.desk, &mut used);
        self.after(context.filter, used);
        result.map_err(|broke| self.broke(context.filter, phase, broke))
    }

    // These two are calls and not part of every callback's code: that of one exchange has to fit the cache.
    #[inline(never)]
    fn before(&mut self, context: Context, phase: &'static str) -> usize {
        let vm = self.desk.plugins[context.filter].vm;
        self.desk.at = At { vm, current: context, effective: context, phase, stops: false };
        vm
    }

    #[inline(never)]
    fn after(&mut self, filter: usize, used: Used) {
        let calls = std::mem::take(&mut self.desk.host_calls);
        self.desk.callouts.failed = false;
        if let Some(seat) = self.desk.stream.seats.get_mut(filter) {
            let cost = &mut seat.trace.cost;
            cost.fuel += used.fuel;
            cost.host_calls += calls;
            cost.memory_grown += used.grown;
            if calls > 0 {
                self.desk.stream.settle(filter, self.exchange);
            }
        }
    }

    /// The VM died in this callback. What it had asked for is forgotten with it.
    #[cold]
    fn broke(&mut self, filter: usize, phase: &'static str, broke: Broke) {
        self.desk.at.phase = phase;
        self.desk.actions.clear();
        self.desk.fault(broke.kind, Some(filter), broke.text);
        self.out.injected.extend(broke.injected);
        if self.desk.stream.alive
            && let Some(seat) = self.desk.stream.seats.get_mut(filter)
        {
            match broke.kind.blame() {
                Blame::Filter => seat.trace.broke = true,
                Blame::Injection => seat.trace.injected = true,
                _ => {}
            }
        }
        let vm = self.desk.plugins[filter].vm;
        for plugin in self.desk.plugins.iter_mut().filter(|plugin| plugin.vm == vm) {
            (plugin.root, plugin.tick, plugin.leaving) = (0, 0, false);
        }
        self.desk.callouts.cancel(vm);
    }

    /// Does what the last callback asked for, in order (docs/envoy.md 1.5). `inside` is the phase it ran in: replies
    /// wait until that phase has ended, and a headers callback that resumes its own direction sees to that itself.
    #[inline]
    pub(super) fn drain(&mut self, inside: Inside) -> Asked {
        if self.desk.actions.is_empty() {
            return Asked::default();
        }
        self.drain_some(inside)
    }

    fn drain_some(&mut self, inside: Inside) -> Asked {
        let mut asked = Asked::default();
        for action in std::mem::take(&mut self.desk.actions) {
            match action {
                Action::Continue { filter, .. } if self.desk.stream.tcp => self.continue_reading(filter),
                Action::Close { filter } if self.desk.stream.tcp => self.close_by_filter(filter),
                Action::Continue { filter, stream } => {
                    let dir = if stream == 0 { Dir::Request } else { Dir::Response };
                    if inside == Inside::Headers(filter, dir) {
                        asked.resumed = true;
                    } else {
                        self.resume_filter(dir, filter);
                    }
                }
                Action::Close { filter } => self.close(filter),
                Action::Reply { filter, reply } if inside != Inside::Nothing => {
                    asked.reply.get_or_insert((filter, reply));
                }
                Action::Reply { filter, reply } => self.local_reply(Some(filter), *reply),
                Action::Deliver(delivery) => self.deliver(*delivery),
            }
        }
        asked
    }

    /// `proxy_continue_stream` from outside of the phase that holds the stream.
    fn resume_filter(&mut self, dir: Dir, filter: usize) {
        if !self.desk.stream.alive || self.cut(dir) || self.over() {
            return;
        }
        if dir == Dir::Response && !self.desk.stream.response_begun {
            let text = "resumed a response that has not begun: Envoy crashes";
            return self.desk.fault(FaultKind::WouldCrash, Some(filter), text);
        }
        if dir == Dir::Request
            && self.desk.stream.lanes[0].done
            && self.desk.stream.maps[dir.trailers()].present
        {
            return self.ends_twice(filter);
        }
        self.resume(dir, self.index(dir, filter));
    }

    /// The trailers of the request went out already, and would again (docs/envoy.md 2.15).
    #[cold]
    pub(super) fn ends_twice(&mut self, filter: usize) {
        let text =
            "the trailers of its request go out twice: Envoy's next request on that connection is garbled";
        self.desk.fault(FaultKind::WouldDuplicate, Some(filter), text);
    }

    /// `proxy_close_stream`: the stream is reset.
    fn close(&mut self, filter: usize) {
        if !self.desk.stream.alive {
            return;
        }
        if self.over() {
            // What took the place of a refused response is out; the refused body does not follow any more.
            self.desk.stream.lanes[Dir::Response as usize].aborted = true;
            return;
        }
        self.desk.stream.seats[filter].trace.answered = true;
        self.reset();
    }

    /// The client's connection ends without more.
    pub(super) fn reset(&mut self) {
        let lane = &self.desk.stream.lanes[Dir::Response as usize];
        let whole = lane.done;
        if lane.body_changed && !whole {
            self.check_surplus();
        }
        self.desk.stream.lanes.iter_mut().for_each(|lane| lane.aborted = true);
        if self.desk.stream.reading {
            // Of the reply nothing has left.
            self.out.reply.clear();
        } else if let Some(reply) = self.out.reply.get_mut() {
            reply.body.truncated = !whole;
        }
        if self.out.outcome != Outcome::Stuck {
            self.out.outcome = Outcome::Reset;
        }
    }

    /// A callback of a root context, with all that it asks for. None when it broke or is not exported.
    pub(crate) fn root_call<R>(
        &mut self,
        context: Context,
        phase: &'static str,
        run: impl FnOnce(&mut Vm, &mut Box<Desk>, &mut Used) -> Result<Option<R>, Broke>,
    ) -> Option<R> {
        let result = self.call(context, phase, run).ok()?;
        self.drain(Inside::Nothing);
        result
    }
}
