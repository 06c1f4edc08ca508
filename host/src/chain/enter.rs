//! Entering a filter in one phase: which maps and buffers it can reach, and what its return value means
//! (docs/envoy.md 1.1, 2.1.12).

use super::call::Inside;
use super::{BodyView, Dir, Gate, Play};
use crate::stage::Context;
use tamis_traffic::FaultKind;

/// What a body or trailers callback lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Go,
    /// Keep it and show it again with what follows.
    Buffer,
    /// Keep it; the next callback shows only what is new.
    Watermark,
    /// Throw it away.
    Drop,
}

impl Play<'_> {
    /// The filter's stream context, made when there is none yet and request headers come. None when the filter sees
    /// nothing of this stream, or nothing more: then what happens instead has been done.
    #[inline]
    fn context(&mut self, dir: Dir, filter: usize, headers: bool) -> Option<Context> {
        let seat = &self.desk.stream.seats[filter];
        if seat.absent || seat.failed {
            return None;
        }
        let (id, dead) = (seat.context, seat.dead);
        if id == 0 && !(headers && dir == Dir::Request) {
            // A filter that the request's headers did not reach sees nothing of what follows, nor of the response.
            return None;
        }
        let vm = self.desk.plugins[filter].vm;
        if dead || self.slots[vm].vm.dead {
            self.dead_phase(filter, false);
            return None;
        }
        if id == 0 {
            return self.create(filter);
        }
        Some(Context { id, filter, stream: true })
    }

    /// `proxy_on_context_create` of a stream context.
    pub(super) fn create(&mut self, filter: usize) -> Option<Context> {
        let (vm, root) = (self.desk.plugins[filter].vm, self.desk.plugins[filter].root);
        let id = self.slots[vm].vm.next_id();
        self.desk.stream.seats[filter].context = id;
        let context = Context { id, filter, stream: true };
        let ran = self.call(context, "proxy_on_context_create", |vm, desk, used| {
            vm.run(desk, |c| &c.on_context_create, (id, root), used)
        });
        if ran.is_err() {
            self.dead_phase(filter, true);
            return None;
        }
        self.drain(Inside::Nothing);
        Some(context)
    }

    pub(super) fn enter_headers(&mut self, dir: Dir, filter: usize, eos: bool) -> Gate {
        let Some(context) = self.context(dir, filter, true) else { return Gate::Open };
        let stream = &mut self.desk.stream;
        let count = stream.maps[dir.headers()].headers.len() as u32;
        let seat = &mut stream.seats[filter];
        if dir == Dir::Request {
            seat.trace.reached = true;
        }
        seat.open[dir.headers()] = true;
        seat.eos = eos;
        let request = dir == Dir::Request;
        let phase = if request { "proxy_on_request_headers" } else { "proxy_on_response_headers" };
        let ran = self.call(context, phase, |vm, desk, used| {
            vm.run_headers(desk, request, context.id, count, eos, used)
        });
        let Ok(result) = ran else {
            self.dead_phase(filter, true);
            return Gate::Open;
        };
        let stops = self.desk.at.stops;
        let asked = self.drain(Inside::Headers(filter, dir));
        let mut gate = match result.unwrap_or(0) {
            0 | 2 => Gate::Open,
            1 if self.desk.plugins[filter].allow_on_headers_stop_iteration => Gate::Single,
            3 => Gate::AllBuffer,
            _ => Gate::AllWatermark,
        };
        if stops {
            gate = Gate::AllWatermark;
        }
        let lets_go = gate == Gate::Open;
        if asked.resumed && gate == Gate::Single {
            // Only the headers were to be held: the body goes its own way.
            self.resume(dir, self.index(dir, filter));
        } else if asked.resumed {
            self.resumed_in_headers(dir, filter, phase, gate, eos);
            gate = Gate::Open;
        }
        if let Some((who, reply)) = asked.reply {
            self.local_reply(Some(who), *reply);
            return Gate::AllWatermark;
        }
        // A stream that was closed in the callback ended before the map went.
        if lets_go && !self.cut(dir) {
            self.desk.stream.seats[filter].open[dir.headers()] = false;
        }
        gate
    }

    /// Only a stream without a body survives this in Envoy, and only when the filter also says `Pause` (docs/envoy.md 2.4).
    #[cold]
    fn resumed_in_headers(&mut self, dir: Dir, filter: usize, phase: &'static str, gate: Gate, eos: bool) {
        if gate != Gate::Open && eos {
            return;
        }
        self.desk.at.phase = phase;
        if (gate, dir, eos) == (Gate::Open, Dir::Response, true) {
            let what = "resumed a response without a body and returned continue: Envoy crashes";
            return self.desk.fault(FaultKind::WouldCrash, Some(filter), what);
        }
        let what = match (gate, dir) {
            (Gate::Open, Dir::Request) => {
                "resumed its request and returned continue: Envoy sends the request twice"
            }
            (Gate::Open, Dir::Response) => {
                "resumed its response and returned continue: Envoy sends the headers twice"
            }
            (_, Dir::Request) => "resumed its request and returned pause: Envoy never sends the body",
            (_, Dir::Response) => "resumed its response and returned pause: Envoy never sends the body",
        };
        self.desk.fault(FaultKind::WouldDuplicate, Some(filter), what);
    }

    pub(super) fn enter_data(&mut self, dir: Dir, filter: usize, view: BodyView, eos: bool) -> Pass {
        let Some(context) = self.context(dir, filter, false) else { return Pass::Go };
        if !self.slots[self.desk.plugins[filter].vm].vm.hears_body(dir == Dir::Request) {
            return Pass::Go;
        }
        let d = dir as usize;
        let mut view = view;
        let mut gathered = false;
        if self.desk.stream.seats[filter].sides[d].gathers && view == BodyView::Piece {
            self.hold(dir, view, true);
            if self.cut(dir) {
                return Pass::Drop;
            }
            (view, gathered) = (BodyView::Held, true);
        }
        let stream = &mut self.desk.stream;
        let size = stream.lanes[d].bytes(view).len() as u32;
        let (was_cut, was_done) = (stream.lanes[d].aborted, stream.lanes[d].done);
        let seat = &mut stream.seats[filter];
        seat.sides[d].body = view;
        seat.eos = eos;
        let params = (context.id, size, u32::from(eos));
        let ran = match dir {
            Dir::Request => self.call(context, "proxy_on_request_body", |vm, desk, used| {
                vm.run(desk, |c| &c.on_request_body, params, used)
            }),
            Dir::Response => self.call(context, "proxy_on_response_body", |vm, desk, used| {
                vm.run(desk, |c| &c.on_response_body, params, used)
            }),
        };
        let Ok(result) = ran else {
            self.dead_phase(filter, true);
            return Pass::Go;
        };
        let pass = match result.unwrap_or(0) {
            _ if self.desk.at.stops => Pass::Drop,
            0 => Pass::Go,
            1 => Pass::Buffer,
            2 => Pass::Watermark,
            _ => Pass::Drop,
        };
        let asked = self.drain(Inside::Rest);
        // A stream that ended in the callback, however it did, ended before the buffer went; one that replied past the
        // filters too.
        let lane = &self.desk.stream.lanes[d];
        let ended = (lane.aborted && !was_cut)
            || (dir == Dir::Response && (lane.done && !was_done || asked.reply.is_some()));
        if !ended {
            let side = &mut self.desk.stream.seats[filter].sides[d];
            side.gathers = pass == Pass::Buffer;
            if pass == Pass::Go {
                side.body = BodyView::Nothing;
            } else {
                if gathered && !side.gathers && side.body == BodyView::Held {
                    // What it saw stays, but what stays in reach is the buffer that the piece came in.
                    side.body = BodyView::Piece;
                }
                self.desk.stream.lanes[d].kept = true;
            }
        }
        if let Some((who, reply)) = asked.reply {
            self.local_reply(Some(who), *reply);
            return Pass::Drop;
        }
        pass
    }

    /// No map shows what the frame says, and what the callback returns does not count.
    pub(super) fn enter_metadata(&mut self, dir: Dir, filter: usize, names: u32) {
        let Some(context) = self.context(dir, filter, false) else { return };
        let ran = match dir {
            Dir::Request => self.call(context, "proxy_on_request_metadata", |vm, desk, used| {
                vm.run(desk, |c| &c.on_request_metadata, (context.id, names), used)
            }),
            Dir::Response => self.call(context, "proxy_on_response_metadata", |vm, desk, used| {
                vm.run(desk, |c| &c.on_response_metadata, (context.id, names), used)
            }),
        };
        if ran.is_err() {
            return self.dead_phase(filter, true);
        }
        self.drain(Inside::Nothing);
    }

    pub(super) fn enter_trailers(&mut self, dir: Dir, filter: usize) -> Pass {
        let Some(context) = self.context(dir, filter, false) else { return Pass::Go };
        let stream = &mut self.desk.stream;
        let count = stream.maps[dir.trailers()].headers.len() as u32;
        stream.seats[filter].open[dir.trailers()] = true;
        let ran = match dir {
            Dir::Request => self.call(context, "proxy_on_request_trailers", |vm, desk, used| {
                vm.run(desk, |c| &c.on_request_trailers, (context.id, count), used)
            }),
            Dir::Response => self.call(context, "proxy_on_response_trailers", |vm, desk, used| {
                vm.run(desk, |c| &c.on_response_trailers, (context.id, count), used)
            }),
        };
        let Ok(result) = ran else {
            self.dead_phase(filter, true);
            return Pass::Go;
        };
        let stops = self.desk.at.stops;
        let asked = self.drain(Inside::Rest);
        if let Some((who, reply)) = asked.reply {
            self.local_reply(Some(who), *reply);
            return Pass::Buffer;
        }
        if result.unwrap_or(0) != 0 || stops {
            return Pass::Buffer;
        }
        if self.cut(dir) {
            self.closed_in_trailers(dir, filter);
            return Pass::Go;
        }
        // What was refused goes its way all the same.
        if dir == Dir::Response
            && self.desk.stream.lanes[dir as usize].done
            && self.desk.stream.past.is_none()
        {
            self.desk.at.phase = "proxy_on_response_trailers";
            self.ended_already(filter);
            return Pass::Buffer;
        }
        // As in headers.
        if !self.cut(dir) {
            self.desk.stream.seats[filter].open[dir.trailers()] = false;
        }
        Pass::Go
    }

    /// It resumed the end of its response and returned continue: Envoy goes on with a stream that is over.
    #[cold]
    pub(super) fn ended_already(&mut self, filter: usize) {
        let text = "resumed the end of its response and returned continue: Envoy crashes";
        self.desk.fault(FaultKind::WouldCrash, Some(filter), text);
    }

    /// It closed the stream in the response trailers and returned continue: Envoy goes on with contexts that it has
    /// deleted (docs/envoy.md 2.15). In the request's trailers it does not.
    #[cold]
    fn closed_in_trailers(&mut self, dir: Dir, filter: usize) {
        if dir == Dir::Response && filter > 0 {
            let text = "closed the stream in the response trailers and returned continue: \
                        Envoy calls the filters before it, whose contexts are deleted";
            self.desk.fault(FaultKind::WouldCrash, Some(filter), text);
        }
    }
}
