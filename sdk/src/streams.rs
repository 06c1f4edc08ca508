//! Which exchange a callback is about: contexts by the ids that the host gave them.

use crate::exchange::Exchange;
use crate::filter::Make;
use crate::ids::Ids;
use crate::others::{Event, tell};
use crate::root::RootState;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static MAKE: Cell<Option<Make>> = const { Cell::new(None) };
    static ROOTS: RefCell<Vec<Rc<RootState>>> = const { RefCell::new(Vec::new()) };
    static STREAMS: RefCell<Ids<Rc<Exchange>>> = const { RefCell::new(Ids::new()) };
}

/// How new roots make their filter.
pub(crate) fn set_make(make: Make) {
    MAKE.set(Some(make));
}

/// The host has a new context: a root when `parent` is 0, else a stream of that root. One of an unknown root
/// stays unknown, and its exchange passes.
pub(crate) fn create(id: u32, parent: u32) {
    if parent != 0 {
        let other = ROOTS.with_borrow(|roots| {
            let root = roots.iter().find(|root| root.id() == parent)?;
            if !root.is_http() {
                return Some(root.clone());
            }
            STREAMS.with_borrow_mut(|streams| streams.insert(id, Exchange::new(id, root)));
            None
        });
        if let Some(root) = other {
            tell(id, Event::Create(&root));
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
