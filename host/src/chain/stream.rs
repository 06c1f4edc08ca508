//! The stream that is being played: four header maps, two bodies, and where each filter stands in it.

use super::Dir;
use tamis_traffic::{Exchange, FilterTrace, Headers};

/// Index of the response headers in [`Stream::maps`]; maps have the numbers of the ABI (docs/envoy.md 1.1).
pub(crate) const RESPONSE_HEADERS: usize = 2;

/// A header map of the stream.
#[derive(Debug, Default)]
pub(crate) struct Map {
    pub(crate) headers: Headers,
    /// The map exists. Headers do from the first byte on, trailers when they came or were made.
    pub(crate) present: bool,
    /// The headers came as they stand in the recording, and no filter has changed them.
    pub(crate) verbatim: bool,
    /// As it was before the running filter wrote first; only valid while `touched` and not `verbatim`.
    before: Headers,
    touched: bool,
    /// A filter wrote something that the router or the codec may refuse, or took a pseudo header away.
    pub(crate) suspect: bool,
    /// A filter changed it.
    pub(crate) changed: bool,
}

impl Map {
    fn clear(&mut self) {
        (self.present, self.touched, self.suspect, self.changed) = (false, false, false, false);
        self.verbatim = false;
    }

    /// To be called before a filter writes. `known`: this filter has changed the message already, so
    /// nothing needs to be kept for the comparison; neither when the recording has it.
    #[inline]
    pub(crate) fn touch(&mut self, known: bool) {
        if !self.touched {
            self.touched = true;
            if !known && !self.verbatim {
                self.before.clone_from(&self.headers);
            }
        }
    }
}

/// The headers of a map of this number, as recorded.
fn recorded(exchange: Option<&Exchange>, kind: usize) -> Option<&Headers> {
    let exchange = exchange?;
    let message = if kind == 0 { &exchange.request } else { &exchange.response };
    message.get().map(|m| &m.headers)
}

/// How far a filter lets one direction through (the iteration state of Envoy's filter manager).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    #[default]
    Open,
    /// Stopped, but its own data callbacks go on.
    Single,
    /// Stopped for everything; data is kept up to the limit.
    AllBuffer,
    /// Stopped for everything; the sender is held back.
    AllWatermark,
}

impl Gate {
    pub(crate) fn all(self) -> bool {
        matches!(self, Gate::AllBuffer | Gate::AllWatermark)
    }
}

/// Which bytes a filter sees as the body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyView {
    #[default]
    Nothing,
    /// What just arrived.
    Piece,
    /// What is held back.
    Held,
    /// The buffer of an earlier piece, which the codec still has: that of the end is another one.
    Behind,
    /// What arrived last and did not stay: Envoy has freed it.
    Gone,
}

/// Where a filter stands in one direction.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Side {
    pub(crate) gate: Gate,
    /// Headers went past it.
    pub(crate) headers_continued: bool,
    /// It saw the end.
    pub(crate) ended: bool,
    /// Its headers callback ran.
    pub(crate) entered: bool,
    /// What its last body callback was given, unless it let that go.
    pub(crate) body: BodyView,
    /// The next data callback shows everything that is held.
    pub(crate) gathers: bool,
    /// It is resumed, and what was held begins with itself.
    pub(crate) again: bool,
}

impl Side {
    /// Which bytes its buffer has.
    pub(crate) fn seen(&self) -> BodyView {
        if self.gathers { BodyView::Held } else { self.body }
    }
}

/// One filter's place in the stream.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// Its stream context; 0 before it is made.
    pub(crate) context: u32,
    /// The filter is not in this stream (its VM is dead and its policy open).
    pub(crate) absent: bool,
    /// Its VM was dead before the stream began, or died in it.
    pub(crate) dead: bool,
    /// It said the end of the stream in its last headers or body callback.
    pub(crate) eos: bool,
    /// Maps that it can reach now, by number.
    pub(crate) open: [bool; 4],
    /// It is in `proxy_on_log`.
    pub(crate) logging: bool,
    /// It has reached `proxy_on_log`: everything is over and known.
    pub(crate) over: bool,
    pub(crate) sides: [Side; 2],
    /// The host replied for it since it broke.
    pub(crate) failed: bool,
    pub(crate) trace: FilterTrace,
}

/// One direction's data on its way.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// What arrived last.
    pub(crate) piece: Vec<u8>,
    /// Some filter did not let it go.
    pub(crate) kept: bool,
    /// Some filter still has the buffer of an earlier piece in reach.
    pub(crate) stays: bool,
    /// What was written into that buffer since.
    pub(crate) behind: Vec<u8>,
    /// What filters hold back.
    pub(crate) held: Vec<u8>,
    /// There is a buffer of held data, though perhaps an empty one.
    pub(crate) holds: bool,
    /// The sender has ended.
    pub(crate) ended: bool,
    /// Nothing goes on in this direction: a reply or a reset took over.
    pub(crate) aborted: bool,
    /// Headers left at the far end.
    pub(crate) headers_out: bool,
    /// All of it left at the far end.
    pub(crate) done: bool,
    /// Frames of metadata that wait, each with the position that it waits at and how many names it has.
    pub(crate) metadata: Vec<(usize, u32)>,
    /// Some filter changed the body.
    pub(crate) body_changed: bool,
    /// Body bytes that came in, for `request.size` and `response.size`.
    pub(crate) bytes_in: u64,
    /// Body bytes that left at the far end, for `response.size`.
    pub(crate) bytes_out: u64,
}

impl Lane {
    fn clear(&mut self) {
        self.piece.clear();
        self.held.clear();
        self.behind.clear();
        self.metadata.clear();
        (self.holds, self.ended, self.aborted, self.headers_out, self.done) =
            (false, false, false, false, false);
        (self.body_changed, self.bytes_in, self.bytes_out, self.kept, self.stays) =
            (false, 0, 0, false, false);
    }

    pub(crate) fn bytes(&self, view: BodyView) -> &[u8] {
        match view {
            BodyView::Nothing | BodyView::Gone => &[],
            BodyView::Piece => &self.piece,
            BodyView::Behind => &self.behind,
            BodyView::Held => &self.held,
        }
    }

    pub(crate) fn bytes_mut(&mut self, view: BodyView) -> Option<&mut Vec<u8>> {
        match view {
            BodyView::Nothing | BodyView::Gone => None,
            BodyView::Piece => Some(&mut self.piece),
            BodyView::Behind => Some(&mut self.behind),
            BodyView::Held => Some(&mut self.held),
        }
    }
}

/// One exchange on its way through the chain.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) alive: bool,
    /// It became a WebSocket: neither direction ends.
    pub(crate) upgrade: bool,
    /// It is a TCP connection: lanes hold data, there are no maps.
    pub(crate) tcp: bool,
    /// Who closed that connection, by the number of the ABI.
    pub(crate) closer: u32,
    pub(crate) maps: [Map; 4],
    pub(crate) lanes: [Lane; 2],
    pub(crate) seats: Vec<Seat>,
    /// There are response headers, the upstream's or a reply's.
    pub(crate) response_begun: bool,
    /// The response headers left before the request had come to its end.
    pub(crate) early: bool,
    /// The response that is going out was made by a filter or by the host.
    pub(crate) local: bool,
    /// `response.code`: as the response began, at its end as it went out.
    pub(crate) code: Option<u32>,
    /// The headers of a reply that went past the filters: what `proxy_on_log` reads, while what is held stays as it was.
    pub(crate) past: Option<Headers>,
    pub(crate) grpc: bool,
    /// Bodies end with their last piece.
    pub(crate) http2: bool,
    pub(crate) head: bool,
    /// What runs, runs while Envoy reads the client's bytes: what it writes over HTTP/2 meanwhile leaves only then.
    pub(crate) reading: bool,
    /// `response.code_details`.
    pub(crate) details: String,
    /// `response.flags` of what this host did itself.
    pub(crate) flags: u64,
    /// A filter led the request to where no route is.
    pub(crate) lost: bool,
    /// `details` is what a reply, a reset or a client that left said, be it nothing.
    pub(crate) explained: bool,
    /// There were response trailers when the stream ended.
    pub(crate) logged_trailers: bool,
    /// Filters that were resumed and are not done with what that brought.
    pub(super) resumes: u32,
    /// The connection manager has had its way with the response headers, see [`Stream::manage`].
    pub(super) managed: bool,
}

impl Stream {
    /// Makes it ready for the next exchange and keeps its memory.
    pub(crate) fn begin(&mut self, filters: usize) {
        self.maps.iter_mut().for_each(Map::clear);
        self.lanes.iter_mut().for_each(Lane::clear);
        self.seats.clear();
        self.seats.resize_with(filters, Seat::default);
        self.details.clear();
        (self.alive, self.response_begun, self.local, self.early) = (true, false, false, false);
        (self.grpc, self.http2, self.head) = (false, false, false);
        (self.tcp, self.upgrade, self.reading) = (false, false, false);
        (self.code, self.past) = (None, None);
        (self.flags, self.lost, self.explained, self.managed) = (0, false, false, false);
        self.resumes = 0;
    }

    /// Notes for the filter's trace whether what it wrote since the last look made a difference. `exchange` is
    /// the one that is played.
    pub(crate) fn settle(&mut self, filter: usize, exchange: Option<&Exchange>) {
        for (kind, map) in self.maps.iter_mut().enumerate() {
            if !map.touched {
                continue;
            }
            map.touched = false;
            if kind % 2 == 0 && self.lanes[kind / 2].headers_out {
                // Too late: what left is as it was.
                continue;
            }
            let trace = &mut self.seats[filter].trace;
            let known = if kind < 2 { &mut trace.request_changed } else { &mut trace.response_changed };
            let verbatim = std::mem::replace(&mut map.verbatim, false);
            let before = if verbatim { recorded(exchange, kind) } else { Some(&map.before) };
            if *known || before != Some(&map.headers) {
                *known = true;
                map.changed = true;
            } else {
                map.verbatim = verbatim;
            }
        }
    }

    pub(crate) fn known_change(&self, filter: usize, dir: Dir) -> bool {
        let trace = &self.seats[filter].trace;
        match dir {
            Dir::Request => trace.request_changed,
            Dir::Response => trace.response_changed,
        }
    }

    pub(crate) fn body_changed(&mut self, filter: usize, dir: Dir) {
        let trace = &mut self.seats[filter].trace;
        match dir {
            Dir::Request => trace.request_changed = true,
            Dir::Response => trace.response_changed = true,
        }
        self.lanes[dir as usize].body_changed = true;
    }
}
