//! What the client sent and has not left the proxy: how much was read, what is in hand, what may go.

use std::cell::{Cell, RefCell};

/// The proxy keeps all bytes in its own buffer until they leave, so that its limits hold; this counts them.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Bytes in the proxy's buffer.
    size: Cell<usize>,
    /// How many of them were read.
    read: Cell<usize>,
    /// The client has ended, and the filter was told.
    ended: Cell<bool>,
    told: Cell<bool>,
    /// Pieces in hand, and their bytes as they came.
    pieces: Cell<usize>,
    in_hand: Cell<usize>,
    /// What was forwarded and has not left.
    out: RefCell<Vec<u8>>,
    /// It is not what the buffer holds.
    changed: Cell<bool>,
}

/// What there is to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Bytes of the proxy's buffer from here to there.
    Bytes(usize, usize),
    /// Nothing more will come.
    End,
    /// Nothing yet.
    Nothing,
}

impl Lane {
    /// The buffer holds so much now.
    pub(super) fn arrive(&self, size: usize, end: bool) {
        self.size.set(size);
        self.read.set(self.read.get().min(size));
        self.ended.set(end);
    }

    pub(super) fn unread(&self) -> Unread {
        match (self.read.get(), self.size.get()) {
            (read, size) if read < size => Unread::Bytes(read, size),
            _ if self.ended.get() => Unread::End,
            _ => Unread::Nothing,
        }
    }

    /// The filter has read so much more.
    pub(super) fn take(&self, len: usize) {
        self.read.set(self.read.get() + len);
        self.pieces.set(self.pieces.get() + 1);
        self.in_hand.set(self.in_hand.get() + len);
    }

    pub(super) fn tell_end(&self) {
        self.told.set(true);
    }

    /// Bytes in hand, as they came.
    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.get()
    }

    /// A piece is out of hand. Those that came before it and were not forwarded are behind it now, or gone.
    pub(super) fn forward(&self, at: usize, len: usize, edited: bool, bytes: &[u8]) {
        self.put_down(len);
        let mut out = self.out.borrow_mut();
        if edited || at != out.len() {
            self.changed.set(true);
        }
        out.extend_from_slice(bytes);
    }

    /// A piece is gone.
    pub(super) fn discard(&self, len: usize) {
        self.put_down(len);
        self.changed.set(true);
    }

    fn put_down(&self, len: usize) {
        self.pieces.set(self.pieces.get().saturating_sub(1));
        self.in_hand.set(self.in_hand.get().saturating_sub(len));
    }

    /// Nothing is in hand or unread, so that all may leave.
    pub(super) fn is_clear(&self) -> bool {
        let told = !self.ended.get() || self.told.get();
        self.pieces.get() == 0 && self.read.get() == self.size.get() && told
    }

    /// What leaves: how many bytes of the buffer were read, and what takes their place where that is something else.
    /// The lane is as new, but for the end.
    pub(super) fn leave(&self) -> Option<(usize, Vec<u8>)> {
        let (read, out) = (self.read.replace(0), self.out.take());
        self.size.set(0);
        self.pieces.set(0);
        self.in_hand.set(0);
        self.changed.take().then_some((read, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lane: &Lane, size: usize) -> usize {
        lane.arrive(size, false);
        let Unread::Bytes(at, end) = lane.unread() else { panic!("nothing to read of {size}") };
        lane.take(end - at);
        at
    }

    #[test]
    fn what_is_forwarded_as_it_came_needs_no_writing() {
        let lane = Lane::default();
        let first = read(&lane, 3);
        assert!(!lane.is_clear(), "it is in hand");
        let second = read(&lane, 5);
        lane.forward(first, 3, false, b"abc");
        assert!(!lane.is_clear(), "the second is in hand");
        lane.forward(second, 2, false, b"de");
        assert!(lane.is_clear());
        assert_eq!(lane.leave(), None);
        assert_eq!(read(&lane, 1), 0, "the buffer is another");
    }

    #[test]
    fn changed_turned_and_dropped_pieces_are_written() {
        let lane = Lane::default();
        let at = read(&lane, 3);
        lane.forward(at, 3, true, b"ABCD");
        assert_eq!(lane.leave(), Some((3, b"ABCD".to_vec())));
        let (first, second) = (read(&lane, 2), read(&lane, 4));
        lane.forward(second, 2, false, b"cd");
        lane.forward(first, 2, false, b"ab");
        assert_eq!(lane.leave(), Some((4, b"cdab".to_vec())));
        read(&lane, 2);
        lane.discard(2);
        assert!(lane.is_clear());
        assert_eq!(lane.leave(), Some((2, Vec::new())));
    }

    #[test]
    fn an_end_that_nobody_was_told_of_waits() {
        let lane = Lane::default();
        lane.arrive(0, true);
        assert_eq!(lane.unread(), Unread::End);
        assert!(!lane.is_clear());
        lane.tell_end();
        assert!(lane.is_clear());
    }

    #[test]
    fn unread_bytes_are_left_where_they_are() {
        let lane = Lane::default();
        let at = read(&lane, 3);
        lane.forward(at, 3, true, b"x");
        lane.arrive(5, false);
        assert!(!lane.is_clear());
        assert_eq!(lane.leave(), Some((3, b"x".to_vec())), "two more bytes stand behind them");
    }
}
