//! Which exchange a callback is about: contexts by the ids that the host gave them.

use crate::exchange::Exchange;
use crate::filter::Make;
use crate::others::{Event, tell};
use crate::root::RootState;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Slots at first, a power of two.
const SLOTS: usize = 16;

thread_local! {
    static MAKE: Cell<Option<Make>> = const { Cell::new(None) };
    static ROOTS: RefCell<Vec<Rc<RootState>>> = const { RefCell::new(Vec::new()) };
    static STREAMS: RefCell<Streams> = const { RefCell::new(Streams { slots: Vec::new(), count: 0 }) };
}

/// How new roots make their filter.
pub(crate) fn set_make(make: Make) {
    MAKE.set(Some(make));
}

/// The host has a new context: a root when `parent` is 0, else a stream of that root. One of an unknown root
/// stays unknown, and its exchange passes.
pub(crate) fn create(id: u32, parent: u32) {
    if parent != 0 {
        if let Some(root) = root(parent) {
            if root.is_http() {
                STREAMS.with_borrow_mut(|streams| streams.insert(Exchange::new(id, &root)));
            } else {
                tell(id, Event::Create(&root));
            }
        }
    } else if let Some(make) = MAKE.get() {
        ROOTS.with_borrow_mut(|roots| roots.push(RootState::new(id, make)));
    }
}

/// The root with this id.
pub(crate) fn root(id: u32) -> Option<Rc<RootState>> {
    ROOTS.with_borrow(|roots| roots.iter().find(|root| root.id() == id).cloned())
}

/// The exchange of this stream.
pub(crate) fn stream(id: u32) -> Option<Rc<Exchange>> {
    STREAMS.with_borrow(|streams| streams.get(id).cloned())
}

/// The host logs a stream, or with a root what its proxy has seen.
pub(crate) fn log(id: u32) {
    tell(id, Event::Log(root(id).as_ref()));
}

/// The host is done with a context. Nothing of ours happens between that and its deletion.
pub(crate) fn done(id: u32) {
    if let Some(exchange) = STREAMS.with_borrow_mut(|streams| streams.remove(id)) {
        exchange.end();
        exchange.retire();
    } else if tell(id, Event::Done).is_none()
        && let Some(root) = root(id)
    {
        ROOTS.with_borrow_mut(|roots| roots.retain(|known| known.id() != id));
        root.end();
    }
}

/// A hash table whose hash is the id itself: hosts count ids up, so neighbours fill it evenly.
struct Streams {
    /// Empty or a power of two, at least half free.
    slots: Vec<Option<Rc<Exchange>>>,
    count: usize,
}

impl Streams {
    fn home(&self, id: u32) -> usize {
        id as usize & self.slots.len().wrapping_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().wrapping_sub(1)
    }

    /// Where this id is, or the free slot where it would be.
    fn find(&self, id: u32) -> Option<usize> {
        let mut at = self.home(id);
        while self.slots.get(at)?.as_ref().is_some_and(|other| other.id() != id) {
            at = self.next(at);
        }
        Some(at)
    }

    fn get(&self, id: u32) -> Option<&Rc<Exchange>> {
        self.slots.get(self.find(id)?)?.as_ref()
    }

    fn insert(&mut self, exchange: Rc<Exchange>) {
        if (self.count + 1) * 2 > self.slots.len() {
            self.grow();
        }
        if let Some(at) = self.find(exchange.id())
            && self.slots[at].replace(exchange).is_none()
        {
            self.count += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![None; size]);
        for exchange in old.into_iter().flatten() {
            if let Some(at) = self.find(exchange.id()) {
                self.slots[at] = Some(exchange);
            }
        }
    }

    fn remove(&mut self, id: u32) -> Option<Rc<Exchange>> {
        let mut hole = self.find(id)?;
        let gone = self.slots[hole].take()?;
        self.count -= 1;
        // Whoever had to go past this slot moves up, so that searches do not stop at the hole.
        let mut at = self.next(hole);
        while let Some(other) = &self.slots[at] {
            let mask = self.slots.len() - 1;
            let from_home = at.wrapping_sub(self.home(other.id())) & mask;
            if from_home >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at].take();
                hole = at;
            }
            at = self.next(at);
        }
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(root: &Rc<RootState>, ids: &[u32]) -> Streams {
        let mut streams = Streams { slots: Vec::new(), count: 0 };
        ids.iter().for_each(|id| streams.insert(Exchange::new(*id, root)));
        streams
    }

    #[test]
    fn every_id_is_found_whatever_went_before() {
        let root = RootState::new(1, |_, _| Err(crate::Error::msg("none")));
        // Neighbours, ids that share a slot, and the ends of the numbers.
        let mut ids: Vec<u32> = (2..40).chain([64, 128, 192, 256, 320, u32::MAX, u32::MAX - 64, 0]).collect();
        let mut streams = table(&root, &ids);
        // Some order that is none.
        ids.sort_by_key(|id| id.wrapping_mul(0x9e37_79b9));
        while let Some(id) = ids.pop() {
            assert_eq!(streams.remove(id).map(|gone| gone.id()), Some(id));
            assert!(streams.get(id).is_none() && streams.remove(id).is_none());
            for other in &ids {
                assert_eq!(streams.get(*other).map(|e| e.id()), Some(*other), "after {id} was removed");
            }
        }
        assert_eq!(streams.count, 0);
    }

    #[test]
    fn an_ended_exchange_lends_its_memory_to_a_later_one() {
        set_make(|_, _| Err(crate::Error::msg("none")));
        create(1, 0);
        create(2, 1);
        create(3, 9);
        let first = stream(2).map(|exchange| Rc::as_ptr(&exchange));
        assert!(first.is_some() && stream(3).is_none(), "a stream of an unknown root is unknown");
        done(2);
        assert!(stream(2).is_none());
        create(4, 1);
        assert_eq!(stream(4).map(|exchange| Rc::as_ptr(&exchange)), first);
        let held = stream(4);
        done(4);
        create(5, 1);
        assert_ne!(stream(5).map(|exchange| Rc::as_ptr(&exchange)), first, "somebody holds it");
        drop(held);
        done(5);
        done(1);
        assert!(root(1).is_none());
    }

    #[test]
    fn nothing_is_found_in_an_empty_table() {
        let mut streams = Streams { slots: Vec::new(), count: 0 };
        assert!(streams.get(0).is_none() && streams.remove(7).is_none());
    }
}
