//! The end of a stream: log for every filter in order, then done and delete one by one (docs/envoy.md 1.5).

use super::call::Inside;
use super::{Dir, Play};
use crate::stage::Context;

impl Play<'_> {
    pub(super) fn finish(&mut self) {
        let stream = &mut self.desk.stream;
        stream.logged_trailers = stream.maps[Dir::Response.trailers()].present;
        for filter in 0..self.count() {
            let Some(context) = self.last_context(filter) else { continue };
            let seat = &mut self.desk.stream.seats[filter];
            (seat.logging, seat.over) = (true, true);
            let ran = self.call(context, "proxy_on_log", |vm, desk, used| {
                vm.run(desk, |c| &c.on_log, (context.id,), used)
            });
            self.desk.stream.seats[filter].logging = false;
            if ran.is_ok() {
                self.drain(Inside::Nothing);
            }
        }
        for filter in 0..self.count() {
            if !self.lives(filter) || self.desk.stream.seats[filter].context == 0 {
                continue;
            }
            let context = Context { id: self.desk.stream.seats[filter].context, filter, stream: true };
            // What `proxy_on_done` of a stream returns changes nothing.
            let done = self.call(context, "proxy_on_done", |vm, desk, used| {
                vm.run(desk, |c| &c.on_done, (context.id,), used)
            });
            if done.is_ok() {
                self.drain(Inside::Nothing);
                let ran = self.call(context, "proxy_on_delete", |vm, desk, used| {
                    vm.run(desk, |c| &c.on_delete, (context.id,), used)
                });
                if ran.is_ok() {
                    self.drain(Inside::Nothing);
                }
            }
            self.desk.stream.seats[filter].context = 0;
        }
        self.desk.stream.alive = false;
        self.out
            .filters
            .extend(self.desk.stream.seats.iter_mut().map(|seat| std::mem::take(&mut seat.trace)));
    }

    fn lives(&self, filter: usize) -> bool {
        let seat = &self.desk.stream.seats[filter];
        !(seat.absent || seat.dead || self.slots[self.desk.plugins[filter].vm].vm.dead)
    }

    /// A filter that was never reached gets its context only now (docs/envoy.md 1.5).
    fn last_context(&mut self, filter: usize) -> Option<Context> {
        if !self.lives(filter) {
            return None;
        }
        match self.desk.stream.seats[filter].context {
            0 => self.create(filter),
            id => Some(Context { id, filter, stream: true }),
        }
    }
}
