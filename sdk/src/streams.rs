//! Which exchange a callback is about: contexts by the ids that the host gave them.
//!
//! Each callback begins with this search, so it is short: hosts count ids up, and the last bits of an id say where its
//! exchange is. One whose place is taken is in the crowd.

use crate::exchange::Exchange;
use crate::filter::Make;
use crate::ids::Ids;
use crate::others::{self, Event};
use crate::root::RootState;
use crate::tasks;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tamis_abi::Action;

/// Places, a power of two. Twice the requests that a busy worker has in hand, so that few are in the crowd; each that
/// was ever taken keeps the size of an exchange and of the filter's future.
const PLACES: usize = 256;

/// Heaps of spares, a power of two: few VMs have more roots.
const HEAPS: usize = 8;

/// Where an exchange is.
struct Place {
    /// Of its stream; 0, which is no stream, in an empty place.
    id: Cell<u32>,
    /// The id of its root.
    home: Cell<u32>,
    /// Out of it while its filter runs.
    exchange: Cell<Option<Rc<Exchange>>>,
}

impl Place {
    const fn new() -> Self {
        Self { id: Cell::new(0), home: Cell::new(0), exchange: Cell::new(None) }
    }

    /// An exchange begins here.
    fn take_in(&self, id: u32, exchange: Rc<Exchange>) {
        self.id.set(id);
        self.home.set(exchange.home());
        fill(&self.exchange, Some(exchange));
    }
}

/// Puts something where nothing is, so that there is nothing to drop.
fn fill<T>(place: &Cell<Option<T>>, new: Option<T>) {
    std::mem::forget(place.replace(new));
}

thread_local! {
    static MAKE: Cell<Option<Make>> = const { Cell::new(None) };
    static ROOTS: RefCell<Vec<Rc<RootState>>> = const { RefCell::new(Vec::new()) };
    static STREAMS: [Place; PLACES] = const { [const { Place::new() }; PLACES] };
    static CROWD: RefCell<Ids<Rc<Exchange>>> = const { RefCell::new(Ids::new()) };
    /// The last exchanges that ended, by the last bits of their roots, and behind each those before: their memory is for
    /// later ones.
    static SPARES: [Spare; HEAPS] = const { [const { Cell::new(None) }; HEAPS] };
}

type Spare = Cell<Option<Rc<Exchange>>>;

/// How new roots make their filter.
pub(crate) fn set_make(make: Make) {
    MAKE.set(Some(make));
}

fn place<T>(id: u32, f: impl FnOnce(&Place) -> T) -> T {
    STREAMS.with(|places| f(&places[id as usize % PLACES]))
}

fn spares<T>(root: u32, f: impl FnOnce(&Spare) -> T) -> T {
    SPARES.with(|heaps| f(&heaps[root as usize % HEAPS]))
}

/// The host has a new context: a root when `parent` is 0, else a stream of that root. One of an unknown root
/// stays unknown, and its exchange passes.
pub(crate) fn create(id: u32, parent: u32) {
    let is_done = spares(parent, |spares| {
        let Some(spare) = spares.take() else { return false };
        place(id, |place| {
            let fits = spare.home() == parent && place.id.get() == 0;
            if fits {
                fill(spares, spare.next.take());
                spare.begin(id);
                place.take_in(id, spare);
            } else {
                fill(spares, Some(spare));
            }
            fits
        })
    });
    if !is_done {
        create_first(id, parent);
    }
}

/// As [`create`], without a spare that fits.
#[cold]
fn create_first(id: u32, parent: u32) {
    if parent == 0 {
        if let Some(make) = MAKE.get() {
            ROOTS.with_borrow_mut(|roots| roots.push(RootState::new(id, make)));
        }
    } else if let Some(root) = root(parent) {
        match root.is_http() {
            true => open(id, &root),
            false => drop(others::tell(id, Event::Create(&root))),
        }
    }
}

/// A new exchange of this root.
pub(crate) fn open(id: u32, root: &RootState) {
    let exchange = take_spare(root.id()).unwrap_or_else(|| Exchange::new(root));
    exchange.begin(id);
    place(id, |place| {
        if place.id.get() == 0 {
            place.take_in(id, exchange);
        } else {
            CROWD.with_borrow_mut(|crowd| crowd.insert(id, exchange));
        }
    });
}

/// The first spare of this root, wherever it is among them.
fn take_spare(root: u32) -> Option<Rc<Exchange>> {
    spares(root, |spares| {
        let (mut found, mut others) = (None, None::<Rc<Exchange>>);
        while let Some(spare) = spares.take() {
            spares.set(spare.next.take());
            if found.is_none() && spare.home() == root {
                found = Some(spare);
            } else {
                spare.next.set(others.replace(spare.clone()));
            }
        }
        spares.set(others);
        found
    })
}

/// The root with this id.
pub(crate) fn root(id: u32) -> Option<Rc<RootState>> {
    ROOTS.with_borrow(|roots| roots.iter().find(|root| root.id() == id).cloned())
}

/// The id of the root of this exchange.
pub(crate) fn home(id: u32) -> Option<u32> {
    let placed = place(id, |place| (place.id.get() == id).then(|| place.home.get()));
    placed.or_else(|| CROWD.with_borrow(|crowd| crowd.get(id).map(|exchange| exchange.home())))
}

/// Tells the exchange of this stream; one that is unknown goes on.
pub(crate) fn tell(id: u32, told: impl FnOnce(&Rc<Exchange>) -> Action) -> Action {
    place(id, |place| {
        let (found, is_placed) = match place.exchange.take() {
            Some(exchange) if place.id.get() == id => (Some(exchange), true),
            other => {
                place.exchange.set(other);
                (CROWD.with_borrow(|crowd| crowd.get(id).cloned()), false)
            }
        };
        let Some(exchange) = found else { return Action::Continue };
        let action = told(&exchange);
        if is_placed {
            fill(&place.exchange, Some(exchange));
        }
        tasks::drain();
        action
    })
}

/// The exchange of this stream.
pub(crate) fn find(id: u32) -> Option<Rc<Exchange>> {
    let placed = place(id, |place| {
        if place.id.get() != id {
            return None;
        }
        let found = place.exchange.take();
        fill(&place.exchange, found.clone());
        found
    });
    placed.or_else(|| CROWD.with_borrow(|crowd| crowd.get(id).cloned()))
}

/// The host logs a stream, or with a root what its proxy has seen.
pub(crate) fn log(id: u32) {
    others::tell(id, Event::Log(root(id).as_ref()));
}

/// The host is done with a context. Nothing of ours happens between that and its deletion.
pub(crate) fn done(id: u32) {
    let ended = place(id, |place| {
        let exchange = if place.id.get() == id { place.exchange.take() } else { None }?;
        let is_fit = exchange.end();
        place.id.set(0);
        // Nobody can know then that it was another one.
        if is_fit && Rc::strong_count(&exchange) == 1 {
            spares(exchange.home(), |spares| {
                fill(&exchange.next, spares.take());
                fill(spares, Some(exchange));
            });
        }
        Some(())
    });
    if ended.is_none() {
        done_elsewhere(id);
    }
}

#[cold]
fn done_elsewhere(id: u32) {
    if let Some(exchange) = CROWD.with_borrow_mut(|crowd| crowd.remove(id)) {
        exchange.end();
    } else if others::tell(id, Event::Done).is_none()
        && let Some(root) = root(id)
    {
        ROOTS.with_borrow_mut(|roots| roots.retain(|known| known.id() != id));
        root.end();
    }
}

/// What was made for the filter of this root is not used again.
pub(crate) fn outdate(root: u32) {
    let _ = SPARES.try_with(|_| while take_spare(root).is_some() {});
    let _ = STREAMS.try_with(|places| {
        for place in places.iter().filter(|place| place.home.get() == root) {
            let exchange = place.exchange.take();
            if let Some(exchange) = &exchange {
                exchange.outdate();
            }
            place.exchange.set(exchange);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which exchange it is.
    fn of(id: u32) -> Option<*const Exchange> {
        find(id).map(|exchange| Rc::as_ptr(&exchange))
    }

    #[test]
    fn an_ended_exchange_lends_its_memory_to_a_later_one() {
        set_make(|_, _| Err(crate::Error::msg("none")));
        create(1, 0);
        create(2, 1);
        create(3, 9);
        let first = of(2);
        assert!(first.is_some() && of(3).is_none(), "a stream of an unknown root is unknown");
        assert_eq!((home(2), home(3)), (Some(1), None));
        done(2);
        assert!(of(2).is_none() && home(2).is_none());
        create(4, 1);
        assert_eq!(of(4), first);
        let kept = find(4);
        done(4);
        create(5, 1);
        assert_ne!(of(5), first, "somebody holds it");
        drop(kept);
        done(5);
        done(1);
        assert!(root(1).is_none());
        create(6, 1);
        assert!(of(6).is_none(), "its root is gone");
    }

    #[test]
    fn exchanges_whose_places_are_taken_are_found() {
        set_make(|_, _| Err(crate::Error::msg("none")));
        create(1, 0);
        create(1 + HEAPS as u32, 0);
        let ids: Vec<u32> =
            (0..4).flat_map(|turn| (0..10).map(move |at| 30 + at + turn * PLACES as u32)).collect();
        let home_of = |id: u32| 1 + id % 2 * HEAPS as u32;
        ids.iter().for_each(|id| create(*id, home_of(*id)));
        let all: std::collections::BTreeSet<_> = ids.iter().map(|id| of(*id)).collect();
        assert_eq!(all.len(), ids.len(), "each has its own");
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(home(*id), Some(home_of(*id)));
            done(*id);
            assert!(of(*id).is_none());
            assert!(ids[at + 1..].iter().all(|other| of(*other).is_some()), "after {id}");
        }
        // The spares of one root are found behind those of the other.
        create(2000, 1);
        create(2001, 1 + HEAPS as u32);
        create(2002, 1);
        assert!([2000, 2001, 2002].iter().all(|id| all.contains(&of(*id))));
        assert_eq!((home(2000), home(2001)), (Some(1), Some(1 + HEAPS as u32)));
    }
}
