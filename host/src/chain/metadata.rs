//! Frames of HTTP/2 metadata: they pass what is held of a body, and wait for headers (docs/envoy.md 2.2).

use super::{Dir, Play};
use tamis_traffic::Message;

impl Play<'_> {
    /// The frames that come behind so many pieces of the body, from `next` on.
    #[inline]
    pub(super) fn metadata_behind(&mut self, dir: Dir, message: &Message, pieces: usize, next: &mut usize) {
        if *next < message.body.metadata.len() {
            self.some_behind(dir, message, pieces, next);
        }
    }

    #[cold]
    fn some_behind(&mut self, dir: Dir, message: &Message, pieces: usize, next: &mut usize) {
        while let Some(frame) = message.body.metadata.get(*next).filter(|f| f.after as usize <= pieces) {
            *next += 1;
            if self.cut(dir) {
                return;
            }
            self.metadata(dir, 0, frame.names());
        }
    }

    /// A frame goes through the filters from this position on.
    fn metadata(&mut self, dir: Dir, from: usize, names: u32) {
        for position in from..self.count() {
            let filter = self.index(dir, position);
            let side = &self.desk.stream.seats[filter].sides[dir as usize];
            if !side.entered || side.gate.all() {
                self.desk.stream.lanes[dir as usize].metadata.push((position, names));
                return;
            }
            self.enter_metadata(dir, filter, names);
            if self.cut(dir) {
                return;
            }
        }
    }

    /// What waited at this position goes on.
    #[cold]
    pub(super) fn waiting_metadata(&mut self, dir: Dir, position: usize) {
        let waiting = std::mem::take(&mut self.desk.stream.lanes[dir as usize].metadata);
        for (at, names) in waiting {
            if self.cut(dir) {
                return;
            }
            if at == position {
                self.metadata(dir, position, names);
            } else {
                self.desk.stream.lanes[dir as usize].metadata.push((at, names));
            }
        }
    }
}
