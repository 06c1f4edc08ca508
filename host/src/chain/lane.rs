//! One direction through the chain: who is asked next, what is held back, what resuming does (docs/envoy.md 2.3).

use super::enter::Pass;
use super::{BodyView, Dir, Gate, Play};
use tamis_traffic::FaultKind;

/// Most times that filters resume inside of what a resume brought (100); beyond it nobody stops by itself. In Envoy the
/// stack of the VM ends after some 1,500.
const RESUMES_LIMIT: u32 = 100;

impl Play<'_> {
    /// Headers go through the filters from this position on.
    pub(super) fn headers(&mut self, dir: Dir, from: usize, eos: bool) {
        for position in from..self.count() {
            let filter = self.index(dir, position);
            self.desk.stream.seats[filter].sides[dir as usize].ended = eos;
            let gate = self.enter_headers(dir, filter, eos);
            if self.cut(dir) {
                return;
            }
            let side = &mut self.desk.stream.seats[filter].sides[dir as usize];
            side.entered = true;
            if gate == Gate::Open {
                side.headers_continued = true;
            } else {
                side.gate = gate;
            }
            if !gate.all() && !self.desk.stream.lanes[dir as usize].metadata.is_empty() {
                self.waiting_metadata(dir, position);
                if self.cut(dir) {
                    return;
                }
            }
            if gate != Gate::Open {
                return;
            }
        }
        self.headers_out(dir, eos);
    }

    /// A piece of the body, or all that is held, goes through the filters from this position on.
    pub(super) fn data(&mut self, dir: Dir, from: usize, view: BodyView, eos: bool) {
        let (d, trailers) = (dir as usize, dir.trailers());
        let had_trailers = self.desk.stream.maps[trailers].present;
        let mut made_at = None;
        let mut stopped = false;
        for position in from..self.count() {
            let filter = self.index(dir, position);
            let side = &mut self.desk.stream.seats[filter].sides[d];
            if side.gate.all() {
                let buffers = side.gate == Gate::AllBuffer;
                self.hold(dir, view, buffers);
                return;
            }
            if side.ended {
                return;
            }
            side.ended = eos && !self.desk.stream.maps[trailers].present;
            let ended = self.desk.stream.seats[filter].sides[d].ended;
            let was_done = self.desk.stream.lanes[d].done;
            let pass = self.enter_data(dir, filter, view, ended);
            if self.cut(dir) {
                return;
            }
            let done = self.desk.stream.lanes[d].done && !was_done;
            if done && dir == Dir::Response && pass != Pass::Go {
                // It resumed its end, and what just came stays where it is: the log has it.
                return;
            }
            if done && dir == Dir::Request {
                self.left_behind(filter, view);
            }
            if !had_trailers && made_at.is_none() && self.desk.stream.maps[trailers].present {
                made_at = Some(position);
            }
            let gate = &mut self.desk.stream.seats[filter].sides[d].gate;
            if pass == Pass::Go && *gate == Gate::Open {
                continue;
            }
            stopped = true;
            match pass {
                Pass::Go => {
                    self.hold(dir, view, true);
                    if !self.cut(dir) {
                        self.resume(dir, position);
                    }
                }
                _ => {
                    *gate = Gate::Single;
                    match pass {
                        Pass::Drop => self.drop_piece(dir, filter, view),
                        _ => self.hold(dir, view, pass == Pass::Buffer),
                    }
                }
            }
            break;
        }
        if !stopped {
            if self.desk.stream.lanes[d].done {
                // Envoy's router has had its end and asks no more; its codec has not.
                match dir {
                    Dir::Response if self.desk.stream.past.is_some() => self.spoiled(view),
                    Dir::Response if from < self.count() => {
                        return self.ended_already(self.index(dir, self.count() - 1));
                    }
                    _ => return,
                }
            } else {
                self.data_out(dir, view, eos && made_at.is_none());
            }
        }
        // Trailers of a request overtake a body that is held; those of a response wait behind it (docs/envoy.md 2.1.13).
        if let Some(position) = made_at
            && (!stopped || dir == Dir::Request)
            && !self.cut(dir)
        {
            if dir == Dir::Request && self.desk.stream.lanes[d].done {
                return self.ends_twice(self.index(dir, position));
            }
            self.trailers(dir, self.start(dir, position));
        }
    }

    /// Trailers go through the filters from this position on.
    pub(super) fn trailers(&mut self, dir: Dir, from: usize) {
        for position in from..self.count() {
            let filter = self.index(dir, position);
            if self.desk.stream.seats[filter].sides[dir as usize].gate.all() {
                return;
            }
            let pass = self.enter_trailers(dir, filter);
            if self.cut(dir) {
                return;
            }
            let side = &mut self.desk.stream.seats[filter].sides[dir as usize];
            side.ended = true;
            let gate = side.gate;
            if dir == Dir::Request && pass == Pass::Go && self.desk.stream.lanes[dir as usize].done {
                return self.ends_twice(filter);
            }
            match (pass, gate) {
                (Pass::Go, Gate::Open) => {}
                (Pass::Go, _) => return self.resume(dir, position),
                (_, Gate::Open) => {
                    self.desk.stream.seats[filter].sides[dir as usize].gate = Gate::Single;
                    return;
                }
                _ => return,
            }
        }
        self.trailers_out(dir);
    }

    /// Opens the gate at a position: what was held goes on.
    pub(super) fn resume(&mut self, dir: Dir, position: usize) {
        let (d, trailers) = (dir as usize, dir.trailers());
        let filter = self.index(dir, position);
        if self.desk.stream.resumes == RESUMES_LIMIT {
            let text = "resumes from inside of what a resume brought, without end: Envoy breaks its VM";
            return self.desk.fault(FaultKind::WouldDuplicate, Some(filter), text);
        }
        self.desk.stream.resumes += 1;
        let side = &mut self.desk.stream.seats[filter].sides[d];
        side.again |= side.gate.all();
        side.gate = Gate::Open;
        if !side.headers_continued {
            side.headers_continued = true;
            let stream = &self.desk.stream;
            let eos = stream.lanes[d].ended && !stream.lanes[d].holds && !stream.maps[trailers].present;
            self.headers(dir, position + 1, eos);
            // What is refused here ends the way of all filters, and so does a response that a later filter took on with
            // all that was held.
            let stream = &mut self.desk.stream;
            let whole = stream.lanes[d].done && stream.lanes[d].holds;
            stream.lanes[d].aborted |= dir == Dir::Response && (whole || stream.past.is_some());
        }
        if !self.desk.stream.lanes[d].metadata.is_empty() {
            self.waiting_metadata(dir, position);
        }
        // Trailers that a filter makes of what was held go on from there.
        let came = self.desk.stream.maps[trailers].present;
        if self.desk.stream.lanes[d].holds && !self.cut(dir) {
            let eos = self.desk.stream.lanes[d].ended && !came;
            self.data(dir, self.start(dir, position), BodyView::Held, eos);
        }
        if came && !self.cut(dir) {
            self.trailers(dir, self.start(dir, position));
        }
        self.desk.stream.seats[filter].sides[d].again = false;
        self.desk.stream.resumes -= 1;
    }

    /// Where what comes from a position goes on: a filter that was stopped for everything has not seen it yet.
    fn start(&self, dir: Dir, position: usize) -> usize {
        let again = self.desk.stream.seats[self.index(dir, position)].sides[dir as usize].again;
        position + usize::from(!again)
    }

    /// The filter resumed its request in a callback that saw the end: what was held went as all of it, and what just
    /// came stays behind (docs/envoy.md 2.4).
    #[cold]
    fn left_behind(&mut self, filter: usize, view: BodyView) {
        let lane = &self.desk.stream.lanes[Dir::Request as usize];
        if view == BodyView::Piece && !lane.piece.is_empty() {
            self.desk.stream.body_changed(filter, Dir::Request);
            self.check_length(Dir::Request);
        }
    }

    /// Keeps a piece. `bounded`: the sender is not held back, so too much is an error.
    pub(super) fn hold(&mut self, dir: Dir, view: BodyView, bounded: bool) {
        let limit = self.desk.profile.buffer_limit;
        let lane = &mut self.desk.stream.lanes[dir as usize];
        if view == BodyView::Piece {
            lane.held.extend_from_slice(&lane.piece);
            lane.piece.clear();
        }
        lane.holds = true;
        if bounded && lane.held.len() as u64 > limit {
            self.too_large(dir);
        }
    }

    /// The filter returned 3: the piece is gone once all have seen what comes of it (docs/envoy.md 2.3).
    fn drop_piece(&mut self, dir: Dir, filter: usize, view: BodyView) {
        let present = self.desk.stream.maps[dir.trailers()].present;
        let lane = &mut self.desk.stream.lanes[dir as usize];
        if lane.ended && !present {
            lane.holds = true;
        }
        if view == BodyView::Piece && !lane.piece.is_empty() {
            self.desk.stream.body_changed(filter, dir);
        }
    }
}
