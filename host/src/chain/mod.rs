//! The filter manager: how one exchange goes through the chain, as Envoy 1.40 does it.
//!
//! A request goes through the filters in order, a response in reverse. Each direction is a lane; a position on
//! a lane counts from the side where the bytes come in, so that both directions are the same code.

mod call;
mod deliver;
mod drive;
mod enter;
mod finish;
mod lane;
mod leave;
mod managed;
mod metadata;
mod out;
mod reply;
mod stream;
mod tcp;
mod upgrade;
mod wait;

pub(crate) use reply::Reply;
pub(crate) use stream::{BodyView, Gate, Map, RESPONSE_HEADERS, Stream};

use crate::stage::{Desk, Slot};
use tamis_traffic::{Exchange, Outcome, Playback};

/// A direction through the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dir {
    Request = 0,
    Response = 1,
}

impl Dir {
    /// Number of its header map.
    pub(crate) fn headers(self) -> usize {
        self as usize * 2
    }

    /// Number of its trailer map.
    pub(crate) fn trailers(self) -> usize {
        self as usize * 2 + 1
    }
}

/// One exchange being played.
pub(crate) struct Play<'a> {
    pub(crate) slots: &'a mut [Slot],
    pub(crate) desk: &'a mut Box<Desk>,
    pub(crate) out: &'a mut Playback,
    pub(crate) exchange: Option<&'a Exchange>,
}

impl Play<'_> {
    fn count(&self) -> usize {
        self.desk.plugins.len()
    }

    /// The filter at a position of a lane, and the position of a filter.
    #[inline]
    fn index(&self, dir: Dir, position: usize) -> usize {
        match dir {
            Dir::Request => position,
            Dir::Response => self.count() - 1 - position,
        }
    }

    /// Nothing goes on in this direction.
    #[inline]
    fn cut(&self, dir: Dir) -> bool {
        self.desk.stream.lanes[dir as usize].aborted
    }

    /// The client has what it will get.
    fn over(&self) -> bool {
        let lane = &self.desk.stream.lanes[Dir::Response as usize];
        lane.done || (lane.aborted && self.cut(Dir::Request))
    }

    /// Keeps the first outcome that is more than "forwarded".
    fn outcome(&mut self, outcome: Outcome) {
        if self.out.outcome == Outcome::Forwarded {
            self.out.outcome = outcome;
        }
    }
}
