//! Running one callback of one filter, and what it asked to happen afterwards.

use super::{Dir, Gate, Play, Reply};
use crate::stage::{Action, At, Context, Desk};
use crate::vm::{Broke, Used, Vm};
use tamis_traffic::{Blame, FaultKind, Outcome};

/// What a phase callback asked for that its own phase has to take into account.
#[derive(Default)]
pub(super) struct Asked {
    /// It resumed the very stream that it stands in.
    pub(super) resumed: bool,
    pub(super) reply: Option<(usize, Box<Reply>)>,
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
    /// wait until that phase has ended, and resuming that very stream is left to it.
    #[inline]
    pub(super) fn drain(&mut self, inside: Option<(usize, Dir)>) -> Asked {
        if self.desk.actions.is_empty() {
            return Asked::default();
        }
        self.drain_some(inside)
    }

    fn drain_some(&mut self, inside: Option<(usize, Dir)>) -> Asked {
        let mut asked = Asked::default();
        for action in std::mem::take(&mut self.desk.actions) {
            match action {
                Action::Continue { filter, .. } if self.desk.stream.tcp => self.continue_reading(filter),
                Action::Close { filter } if self.desk.stream.tcp => self.close_by_filter(filter),
                Action::Continue { filter, stream } => {
                    let dir = if stream == 0 { Dir::Request } else { Dir::Response };
                    if inside == Some((filter, dir)) {
                        asked.resumed = true;
                    } else {
                        self.resume_filter(dir, filter);
                    }
                }
                Action::Close { filter } => self.close(filter),
                Action::Reply { filter, reply } if inside.is_some() => {
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
        let position = self.index(dir, filter);
        if self.desk.stream.seats[filter].sides[dir as usize].gate != Gate::Open {
            self.resume(dir, position);
        }
    }

    /// `proxy_close_stream`: the stream is reset.
    fn close(&mut self, filter: usize) {
        if !self.desk.stream.alive || self.over() {
            return;
        }
        let stream = &mut self.desk.stream;
        if stream.details.is_empty() && !stream.response_begun {
            stream.details.push_str("wasm_close_stream");
            stream.explained = true;
        }
        stream.seats[filter].trace.answered = true;
        self.reset();
    }

    /// The client's connection ends without more.
    pub(super) fn reset(&mut self) {
        self.desk.stream.lanes.iter_mut().for_each(|lane| lane.aborted = true);
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
        self.drain(None);
        result
    }
}
