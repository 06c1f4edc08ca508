//! Streams of filters that are none for HTTP: connections, and exchanges that are only logged.
//!
//! All of it hangs on one function that the first such filter puts in its place, so that a module with HTTP filters
//! alone carries none of it.

use crate::filter::Stream;
use crate::root::RootState;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tamis_abi::Action;

/// What a host says about such a stream.
#[derive(Clone, Copy)]
pub(crate) enum Event<'a> {
    Create(&'a Rc<RootState>),
    Opened,
    Downstream { size: usize, end: bool },
    Upstream { size: usize, end: bool },
    Log(Option<&'a Rc<RootState>>),
    Done,
}

type Tell = fn(u32, Event<'_>) -> Option<Action>;

thread_local! {
    static TELL: Cell<Option<Tell>> = const { Cell::new(None) };
    static STREAMS: RefCell<Vec<(u32, Rc<dyn Stream>)>> = const { RefCell::new(Vec::new()) };
}

/// There are such filters.
pub(crate) fn begin() {
    TELL.set(Some(serve));
}

/// Says it to the stream with this id; `None` when there is none.
pub(crate) fn tell(id: u32, event: Event<'_>) -> Option<Action> {
    TELL.get()?(id, event)
}

fn serve(id: u32, event: Event<'_>) -> Option<Action> {
    match event {
        Event::Create(root) => {
            let stream = root.kind()?.open(id, root);
            STREAMS.with_borrow_mut(|streams| {
                // Hosts count ids up, so this is the end.
                let at = streams.partition_point(|(known, _)| *known < id);
                streams.insert(at, (id, stream));
            });
        }
        Event::Opened => return Some(find(id)?.opened()),
        Event::Downstream { size, end } => return Some(find(id)?.downstream(size, end)),
        Event::Upstream { size, end } => return Some(find(id)?.upstream(size, end)),
        Event::Log(root) => match (remove(id), root) {
            (Some(stream), _) => stream.log(),
            (None, Some(root)) => root.kind()?.log(id),
            (None, None) => return None,
        },
        Event::Done => {
            if find(id)?.done() {
                drop(remove(id));
            }
        }
    }
    Some(Action::Continue)
}

fn find(id: u32) -> Option<Rc<dyn Stream>> {
    STREAMS.with_borrow(|streams| {
        let at = streams.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        streams.get(at).map(|(_, stream)| stream.clone())
    })
}

fn remove(id: u32) -> Option<Rc<dyn Stream>> {
    STREAMS.with_borrow_mut(|streams| {
        let at = streams.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(streams.remove(at).1)
    })
}
