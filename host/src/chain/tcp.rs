//! A TCP connection through a chain of network filters (docs/envoy.md 2.13).
//!
//! Each direction has one buffer. What arrives is put behind what is held, and the filters are asked from the
//! first one on, each with the whole buffer; when all continue, it leaves.

use super::call::Inside;
use super::{BodyView, Dir, Gate, Play};
use crate::FailurePolicy;
use crate::stage::Context;
use tamis_traffic::{Connection, FaultKind, Outcome, Party};

/// Who closed (docs/envoy.md 1.1, peer).
#[derive(Debug, Clone, Copy)]
enum Closer {
    Unknown = 0,
    Local = 1,
    Remote = 2,
}

impl Play<'_> {
    /// Plays the connection. Whatever happens is in the playback afterwards.
    pub(crate) fn run_connection(&mut self, connection: &Connection) {
        let began = self.begin_connection(connection);
        self.read();
        self.post_ready();
        let mut last = Party::Client;
        for event in &connection.events {
            self.run_until(began.saturating_add(event.at));
            if event.end {
                last = event.from;
            }
            self.arrives(event.from, &event.bytes, event.end);
        }
        self.run_until(began.saturating_add(connection.duration));
        // A recording that stops before the connection did: the client leaves, and then so does the upstream.
        for from in [Party::Client, Party::Upstream] {
            if !self.desk.stream.lanes[from as usize].ended {
                last = from;
                self.arrives(from, &[], true);
            }
        }
        self.end_connection(last);
        self.out.details.clone_from(&self.desk.stream.details);
        self.post_ready();
    }

    fn arrives(&mut self, from: Party, bytes: &[u8], end: bool) {
        if self.closed() {
            return;
        }
        let lane = &mut self.desk.stream.lanes[from as usize];
        lane.held.extend_from_slice(bytes);
        lane.bytes_in += bytes.len() as u64;
        lane.ended |= end;
        match from {
            Party::Client if self.connected() => self.read(),
            // Nothing is read before `tcp_proxy` has heard of the connection, and nothing comes from behind it.
            Party::Client => {}
            Party::Upstream if self.connected() => self.write(),
            Party::Upstream => self.desk.stream.lanes[from as usize].held.clear(),
        }
        self.post_ready();
    }

    /// Every filter has let the connection through.
    fn connected(&self) -> bool {
        self.out.upstream.is_some()
    }

    /// Both sides have ended, or nothing is left that could let the end through.
    fn end_connection(&mut self, last: Party) {
        if self.closed() {
            return self.finish_connection();
        }
        let lanes = &self.desk.stream.lanes;
        if !(lanes[0].done && lanes[1].done) {
            let holds = |f: &usize| self.desk.stream.seats[*f].sides.iter().any(|s| s.gate != Gate::Open);
            let filter = (0..self.count()).find(holds);
            let name = filter.map_or("", |f| self.desk.plugins[f].name.as_str());
            let text = format!("filter `{name}` holds the connection and nothing is left that could wake it");
            self.desk.fault(FaultKind::Stuck, filter, text);
            self.out.outcome = Outcome::Stuck;
        }
        // Envoy closes when the upstream was the last to end.
        self.close_connection(if last == Party::Client { Closer::Remote } else { Closer::Local });
        self.finish_connection();
    }

    /// When it began, by the stage's clock.
    fn begin_connection(&mut self, connection: &Connection) -> u64 {
        let filters = self.count();
        let desk = &mut **self.desk;
        desk.stream.begin(filters);
        desk.stream.tcp = true;
        desk.properties.clear();
        desk.know_connection(connection);
        for filter in 0..filters {
            if !self.slots[self.desk.plugins[filter].vm].vm.dead {
                continue;
            }
            let seat = &mut self.desk.stream.seats[filter];
            match self.desk.plugins[filter].policy {
                FailurePolicy::Open | FailurePolicy::LegacyOpen => seat.absent = true,
                FailurePolicy::Closed | FailurePolicy::Reload => seat.dead = true,
            }
        }
        self.desk.known.started
    }

    fn closed(&self) -> bool {
        self.desk.stream.lanes.iter().any(|lane| lane.aborted)
    }

    /// Asks the filters from the first one on with all that the client sent and nobody let go yet.
    fn read(&mut self) {
        self.read_from(0);
    }

    fn read_from(&mut self, first: usize) {
        let connected = self.connected();
        for filter in first..self.count() {
            let Some(context) = self.tcp_context(filter) else {
                if self.closed() {
                    return;
                }
                continue;
            };
            if !std::mem::replace(&mut self.desk.stream.seats[filter].sides[0].entered, true) {
                self.desk.stream.seats[filter].trace.reached = true;
                let ran = self.call(context, "proxy_on_new_connection", |vm, desk, used| {
                    vm.run(desk, |c| &c.on_new_connection, (context.id,), used)
                });
                if self.stops(Dir::Request, filter, ran) {
                    return;
                }
            }
            let lane = &self.desk.stream.lanes[0];
            if !connected || (lane.held.is_empty() && !lane.ended) {
                continue;
            }
            if self.shows(Dir::Request, filter, context) {
                return;
            }
        }
        if connected {
            return self.leave_proxy(Dir::Request);
        }
        self.out.upstream.fill();
        let lane = &self.desk.stream.lanes[0];
        if !lane.held.is_empty() || lane.ended {
            self.read();
        }
    }

    /// The same for what the upstream sent, from the last filter on.
    fn write(&mut self) {
        for filter in (0..self.count()).rev() {
            let Some(context) = self.tcp_context(filter) else {
                if self.closed() {
                    return;
                }
                continue;
            };
            let stops = self.shows(Dir::Response, filter, context);
            if self.closed() {
                return;
            }
            // Envoy's filter sees no more of the upstream connection than its last byte.
            if self.desk.stream.lanes[1].ended {
                let params = (context.id, Closer::Unknown as u32);
                let ran = self.call(context, "proxy_on_upstream_connection_close", |vm, desk, used| {
                    vm.run(desk, |c| &c.on_upstream_close, params, used)
                });
                if ran.is_err() {
                    return self.break_connection(filter);
                }
                self.drain(Inside::Nothing);
            }
            if stops || self.closed() {
                return;
            }
        }
        self.leave_proxy(Dir::Response);
    }

    /// Shows a filter the buffer; true when it stops here.
    fn shows(&mut self, dir: Dir, filter: usize, context: Context) -> bool {
        let d = dir as usize;
        let lane = &self.desk.stream.lanes[d];
        let params = (context.id, lane.held.len() as u32, u32::from(lane.ended));
        self.desk.stream.seats[filter].sides[d].body = BodyView::Held;
        let ran = match dir {
            Dir::Request => self.call(context, "proxy_on_downstream_data", |vm, desk, used| {
                vm.run(desk, |c| &c.on_downstream_data, params, used)
            }),
            Dir::Response => self.call(context, "proxy_on_upstream_data", |vm, desk, used| {
                vm.run(desk, |c| &c.on_upstream_data, params, used)
            }),
        };
        let stops = self.stops(dir, filter, ran);
        if !stops {
            self.desk.stream.seats[filter].sides[d].body = BodyView::Nothing;
        }
        stops
    }

    /// What follows a callback of the connection; true when nothing goes past this filter.
    fn stops(&mut self, dir: Dir, filter: usize, ran: Result<Option<u32>, ()>) -> bool {
        let Ok(result) = ran else {
            self.break_connection(filter);
            return self.closed();
        };
        let stops = result.unwrap_or(0) != 0;
        let gate = if stops { Gate::Single } else { Gate::Open };
        self.desk.stream.seats[filter].sides[dir as usize].gate = gate;
        self.drain(Inside::Nothing);
        stops || self.closed()
    }

    /// The buffer leaves the proxy.
    fn leave_proxy(&mut self, dir: Dir) {
        let lane = &mut self.desk.stream.lanes[dir as usize];
        let message = match dir {
            Dir::Request => self.out.upstream.get_or_fill(),
            Dir::Response => self.out.reply.get_or_fill(),
        };
        if !lane.held.is_empty() {
            message.body.chunks.push(lane.held.len() as u32);
            message.body.bytes.append(&mut lane.held);
        }
        lane.done |= lane.ended;
    }

    /// The filter's stream context, made when there is none yet; none when it sees nothing of this connection.
    fn tcp_context(&mut self, filter: usize) -> Option<Context> {
        let seat = &self.desk.stream.seats[filter];
        if seat.absent || seat.failed {
            return None;
        }
        let (id, dead) = (seat.context, seat.dead);
        if dead || self.slots[self.desk.plugins[filter].vm].vm.dead {
            self.break_connection(filter);
            return None;
        }
        if id != 0 {
            return Some(Context { id, filter, stream: true });
        }
        let made = self.create(filter);
        if made.is_none() {
            self.break_connection(filter);
        }
        made
    }

    /// A callback of this filter cannot run: the connection is closed, unless the old `fail_open` lets it go on.
    #[cold]
    fn break_connection(&mut self, filter: usize) {
        if self.desk.plugins[filter].policy == FailurePolicy::LegacyOpen {
            return;
        }
        let seat = &mut self.desk.stream.seats[filter];
        if seat.dead && !std::mem::replace(&mut seat.failed, true) {
            (seat.trace.broke, seat.trace.reached) = (true, true);
            let name = &self.desk.plugins[filter].name;
            let text = format!("the VM of filter `{name}` broke earlier; the policy closes the connection");
            self.desk.fault(FaultKind::DeadVm, Some(filter), text);
        }
        self.out.outcome = Outcome::Reset;
        self.close_connection(Closer::Local);
    }

    /// `proxy_continue_stream(2)`: the filters behind this one are asked with all that is held.
    #[cold]
    pub(super) fn continue_reading(&mut self, filter: usize) {
        if self.desk.stream.alive && !self.closed() {
            self.desk.stream.seats[filter].sides[0].gate = Gate::Open;
            self.read_from(filter + 1);
        }
    }

    /// `proxy_close_stream(2)` and `(3)`: the connection is closed, whichever is named.
    #[cold]
    pub(super) fn close_by_filter(&mut self, filter: usize) {
        if self.desk.stream.alive && !self.closed() {
            self.desk.stream.seats[filter].trace.answered = true;
            self.out.outcome = Outcome::Reset;
            self.close_connection(Closer::Local);
        }
    }

    fn close_connection(&mut self, by: Closer) {
        if self.closed() {
            return;
        }
        self.desk.stream.lanes.iter_mut().for_each(|lane| lane.aborted = true);
        self.desk.stream.closer = by as u32;
    }

    /// Each filter on its own: it hears of the close, then done, log, delete (docs/envoy.md 1.5).
    fn finish_connection(&mut self) {
        for filter in 0..self.count() {
            let (id, vm) = (self.desk.stream.seats[filter].context, self.desk.plugins[filter].vm);
            if id == 0 || self.slots[vm].vm.dead {
                continue;
            }
            let context = Context { id, filter, stream: true };
            let closer = self.desk.stream.closer;
            let mut ran = self.call(context, "proxy_on_downstream_connection_close", |vm, desk, used| {
                vm.run(desk, |c| &c.on_downstream_close, (id, closer), used).map(|_| Some(0))
            });
            for phase in ["proxy_on_done", "proxy_on_log", "proxy_on_delete"] {
                if ran.is_err() {
                    break;
                }
                self.drain(Inside::Nothing);
                self.desk.stream.seats[filter].logging = phase == "proxy_on_log";
                ran = self.call(context, phase, |vm, desk, used| match phase {
                    "proxy_on_done" => vm.run(desk, |c| &c.on_done, (id,), used),
                    "proxy_on_log" => vm.run(desk, |c| &c.on_log, (id,), used).map(|_| Some(0)),
                    _ => vm.run(desk, |c| &c.on_delete, (id,), used).map(|_| Some(0)),
                });
            }
            if ran.is_ok() {
                self.drain(Inside::Nothing);
            }
            self.desk.stream.seats[filter].context = 0;
        }
        self.desk.stream.alive = false;
        self.out
            .filters
            .extend(self.desk.stream.seats.iter_mut().map(|seat| std::mem::take(&mut seat.trace)));
    }
}
