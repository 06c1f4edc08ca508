//! Virtual time: what happens while a stream waits.

use super::call::Inside;
use super::{Dir, Gate, Play, Reply};
use crate::properties::flag;
use crate::stage::Context;
use crate::world::Owner;
use tamis_traffic::{Exchange, FaultKind, Outcome};

/// Most events (ticks, answers) that are played while one stream waits. With Envoy's idle timeout of five
/// minutes that is a tick each 5 ms; beyond it the stream counts as stuck.
const EVENTS_LIMIT: u32 = 60_000;

impl Play<'_> {
    /// Until this direction is done: answers to callouts and ticks, in order of time.
    pub(super) fn wait_for(&mut self, dir: Dir) {
        if self.settled(dir) {
            return;
        }
        let timeout = u64::try_from(self.desk.profile.stream_idle_timeout.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.desk.clock.wall().saturating_add(timeout);
        for _ in 0..EVENTS_LIMIT {
            self.post_ready();
            if self.settled(dir) || (dir == Dir::Request && self.filled()) {
                return;
            }
            match self.next_event() {
                Some(due) if due < deadline => self.event(due),
                _ => break,
            }
        }
        if !self.settled(dir) {
            self.idle(dir);
        }
    }

    /// Over HTTP/1 the upstream answers once it has the bytes that `content-length` tells of, also when a filter holds
    /// the end of the body (docs/envoy.md 2.3). A call that is under way comes first.
    fn filled(&self) -> bool {
        let stream = &self.desk.stream;
        if stream.http2 || !stream.lanes[0].headers_out || self.desk.callouts.next_due().is_some() {
            return false;
        }
        let told = self.out.upstream.get().and_then(|message| message.headers.text("content-length"));
        told.and_then(|told| told.trim().parse().ok())
            .is_some_and(|told: u64| stream.lanes[0].bytes_out >= told)
    }

    fn settled(&self, dir: Dir) -> bool {
        let lanes = &self.desk.stream.lanes;
        if self.desk.stream.upgrade && lanes[dir as usize].headers_out {
            return true;
        }
        match dir {
            Dir::Request => lanes[0].done || lanes[0].aborted || self.over(),
            Dir::Response => self.over() || lanes[1].aborted,
        }
    }

    /// Nothing wakes the stream: Envoy answers 504 after its idle timeout (docs/envoy.md 2.3). The stage's clock stays.
    fn idle(&mut self, dir: Dir) {
        let held = |filter: &usize| self.desk.stream.seats[*filter].sides[dir as usize].gate != Gate::Open;
        let filter = (0..self.count()).find(held);
        let what = if dir == Dir::Request { "request" } else { "response" };
        let name = filter.map_or("", |f| self.desk.plugins[f].name.as_str());
        let text = format!("filter `{name}` holds the {what} and nothing is left that could wake it");
        self.desk.fault(FaultKind::Stuck, filter, text);
        self.out.outcome = Outcome::Stuck;
        self.desk.stream.flags |= flag("SI");
        // When that is held in turn, the next one goes past the filters.
        self.local_reply(None, Reply::host(504, "stream timeout", "stream_idle_timeout"));
        if dir == Dir::Response && !self.over() {
            self.reset();
        }
    }

    /// Time until the recorded response: what falls due meanwhile is delivered.
    pub(super) fn upstream_time(&mut self, exchange: &Exchange) {
        self.post_ready();
        let Some(duration) = exchange.duration.filter(|_| self.desk.follows_recording) else { return };
        let until = self.desk.clock.wall().saturating_add(duration);
        self.run_until(until);
    }

    /// Plays all events up to a time and moves the clock there.
    pub(crate) fn run_until(&mut self, until: u64) {
        for _ in 0..EVENTS_LIMIT {
            match self.next_event() {
                Some(due) if due <= until => self.event(due),
                _ => break,
            }
            self.post_ready();
        }
        self.desk.clock.advance_to(until);
        // Ticks beyond the limit are dropped, not caught up with in the next exchange.
        for plugin in self.desk.all_plugins() {
            if plugin.tick > 0 && plugin.tick_at <= until {
                plugin.tick_at = until.saturating_add(plugin.tick);
            }
        }
    }

    /// When the next event is due.
    fn next_event(&self) -> Option<u64> {
        let ticks = self.desk.plugins.iter().filter(|p| p.tick > 0 && p.root != 0).map(|p| p.tick_at).min();
        let away = if self.desk.crew.alone() { None } else { self.desk.next_tick_away() };
        let ticks = ticks.into_iter().chain(away).min();
        match (ticks, self.desk.callouts.next_due()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn event(&mut self, due: u64) {
        self.desk.clock.advance_to(due);
        let now = self.desk.clock.wall();
        if let Some(delivery) = self.desk.callouts.take_due(now) {
            let thread = self.desk.crew.thread_of(delivery.vm);
            return self.on(thread, |play| play.deliver(delivery));
        }
        let due = |p: &crate::stage::Plugin| p.tick > 0 && p.root != 0 && p.tick_at <= now;
        if let Some(filter) = self.desk.plugins.iter().position(due) {
            return self.tick(filter);
        }
        if let Some((thread, filter)) = self.desk.due_away(now) {
            self.on(thread, |play| play.tick(filter));
        }
    }

    /// Runs something on a thread of the proxy.
    #[inline]
    pub(crate) fn on(&mut self, thread: usize, run: impl FnOnce(&mut Self)) {
        if thread == self.desk.crew.running() {
            return run(self);
        }
        self.visit(thread, run);
    }

    /// On another thread than the stream's: there it does not exist.
    #[cold]
    fn visit(&mut self, thread: usize, run: impl FnOnce(&mut Self)) {
        let home = self.desk.crew.running();
        let alive = std::mem::replace(&mut self.desk.stream.alive, false);
        self.desk.sit(thread);
        run(self);
        self.desk.sit(home);
        self.desk.stream.alive = alive;
    }

    /// Re-armed after the handler (docs/envoy.md 2.8).
    fn tick(&mut self, filter: usize) {
        let context = Context { id: self.desk.plugins[filter].root, filter, stream: false };
        let ran = self.call(context, "proxy_on_tick", |vm, desk, used| {
            vm.run(desk, |c| &c.on_tick, (context.id,), used)
        });
        let now = self.desk.clock.wall();
        let plugin = &mut self.desk.plugins[filter];
        // At least a millisecond: that is the unit of the period.
        plugin.tick_at = now.saturating_add(plugin.tick);
        if ran.is_ok() {
            self.drain(Inside::Nothing);
        }
    }

    /// One `proxy_on_queue_ready` for each message, after the event that sent it (docs/envoy.md 2.8).
    pub(crate) fn post_ready(&mut self) {
        for _ in 0..EVENTS_LIMIT {
            let Some((owner, token)) = self.desk.ready.pop_front() else { return };
            let thread = self.desk.crew.thread_of(owner.vm);
            self.on(thread, |play| play.queue_ready(owner, token));
        }
    }

    fn queue_ready(&mut self, owner: Owner, token: u32) {
        let receives = |p: &crate::stage::Plugin| p.vm == owner.vm && p.root == owner.context && p.root != 0;
        let Some(filter) = self.desk.plugins.iter().position(receives) else { return };
        let context = Context { id: owner.context, filter, stream: false };
        let ran = self.call(context, "proxy_on_queue_ready", |vm, desk, used| {
            vm.run(desk, |c| &c.on_queue_ready, (context.id, token), used)
        });
        if ran.is_ok() {
            self.drain(Inside::Nothing);
        }
    }
}
