//! Who is to be polled: contexts by id, and the wakers that name them.

use crate::ids::Ids;
use crate::root::RootState;
use crate::{host, streams};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Wake;

/// How often a task may wake itself within one poll before it has to wait for the next event, so that a
/// future that always wakes itself can not hang the worker.
const SELF_WAKES: usize = 32;

thread_local! {
    static READY: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    /// `READY` may hold something: what each callback looks at.
    static WOKEN: Cell<bool> = const { Cell::new(false) };
    static LIVE: RefCell<Ids<Live>> = const { RefCell::new(Ids::new()) };
    /// The root of the callback, when its context is no exchange.
    static ROOT: Cell<u32> = const { Cell::new(0) };
    /// The context that the host has in effect.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
    /// The one that it called, while others have their turn.
    static CALLBACK: Cell<Option<u32>> = const { Cell::new(None) };
}

#[derive(Clone)]
enum Live {
    Stream(Weak<dyn Woken>),
    Root(Weak<RootState>),
}

/// A stream whose future may be woken.
pub(crate) trait Woken {
    /// It must not be polled inside a callback of its own.
    fn holds(&self) -> bool;
    /// A waker of it was used outside its own callback, or it does not mind.
    fn woken(self: Rc<Self>);
}

/// Names a context to wakers.
pub(crate) struct WakeId(AtomicU32);

impl Wake for WakeId {
    fn wake(self: Arc<Self>) {
        make_ready(self.0.load(Relaxed));
    }
}

fn make_ready(id: u32) {
    READY.with_borrow_mut(|ready| ready.push(id));
    WOKEN.set(true);
}

impl WakeId {
    pub(crate) fn new(id: u32) -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(id)))
    }

    /// Names another context, when nobody holds a waker that could still mean the old one.
    pub(crate) fn rename(&self, id: u32) {
        self.0.store(id, Relaxed);
    }
}

/// The host calls into this context, a child of this root, now.
pub(crate) fn enter(id: u32, root: u32) {
    ROOT.set(root);
    CURRENT.set(id);
}

/// As [`enter`], for an exchange, whose root is known to [`streams`].
pub(crate) fn enter_exchange(id: u32) {
    CURRENT.set(id);
}

/// True when the host has this context in effect.
pub(crate) fn is_current(id: u32) -> bool {
    CURRENT.get() == id
}

/// The root to which answers of callouts come back, made ready to take them.
pub(crate) fn callouts_home() -> u32 {
    let callback = CALLBACK.get().unwrap_or(CURRENT.get());
    let root = streams::home(callback).unwrap_or(ROOT.get());
    if callback != root {
        host::route_callouts(root);
    }
    root
}

/// Makes a waiting stream findable by its wakers.
pub(crate) fn keep_stream(id: u32, stream: Weak<dyn Woken>) {
    LIVE.with_borrow_mut(|live| live.insert(id, Live::Stream(stream)));
}

/// As [`keep_stream`], for a root.
pub(crate) fn keep_root(id: u32, root: &Rc<RootState>) {
    LIVE.with_borrow_mut(|live| live.insert(id, Live::Root(Rc::downgrade(root))));
}

/// Forgets a context.
pub(crate) fn forget(id: u32) {
    let _ = LIVE.try_with(|live| live.borrow_mut().remove(id));
}

/// What came of a poll.
pub(crate) enum Polled<T> {
    /// It is done.
    Done(T),
    /// It waits for somebody else.
    Waits,
    /// It woke itself too often and waits for the next event.
    Again,
}

/// Polls until the task is done or waits for somebody else.
pub(crate) fn poll_settled<T>(id: u32, mut poll: impl FnMut() -> Option<T>) -> Polled<T> {
    match poll() {
        Some(done) => Polled::Done(done),
        None if is_woken() => poll_on(id, poll),
        None => Polled::Waits,
    }
}

/// True when somebody was woken who had no turn yet.
pub(crate) fn is_woken() -> bool {
    WOKEN.get()
}

/// As [`poll_settled`], after a first poll while which somebody was woken.
#[cold]
pub(crate) fn poll_on<T>(id: u32, mut poll: impl FnMut() -> Option<T>) -> Polled<T> {
    for _ in 1..SELF_WAKES {
        if !forget_wakes(id) {
            return Polled::Waits;
        }
        if let Some(done) = poll() {
            return Polled::Done(done);
        }
    }
    make_ready(id);
    Polled::Again
}

/// True when this context was woken.
fn forget_wakes(id: u32) -> bool {
    READY.with_borrow_mut(|ready| {
        let before = ready.len();
        ready.retain(|other| *other != id);
        WOKEN.set(!ready.is_empty());
        ready.len() < before
    })
}

/// Polls everybody who was woken, each on its own context; afterwards the callback's context is back.
pub(crate) fn drain() {
    if is_woken() {
        wake_up();
    }
}

#[cold]
fn wake_up() {
    let callback = CURRENT.get();
    CALLBACK.set(Some(callback));
    WOKEN.set(false);
    // Wakes during this round wait for the next event, unless they come from a poll of their own.
    for id in READY.with_borrow_mut(std::mem::take) {
        let Some(found) = LIVE.with_borrow(|live| live.get(id).cloned()) else { continue };
        // A context that the host no longer knows is skipped: its stream is gone.
        if CURRENT.get() != id && host::set_effective_context(id).is_err() {
            continue;
        }
        CURRENT.set(id);
        match found {
            Live::Stream(stream) => {
                let Some(stream) = stream.upgrade() else { continue };
                if id == callback && stream.holds() {
                    make_ready(id);
                } else {
                    stream.woken();
                }
            }
            Live::Root(root) => {
                if let Some(root) = root.upgrade() {
                    root.poll();
                }
            }
        }
    }
    CALLBACK.set(None);
    if CURRENT.get() != callback {
        let _ = host::set_effective_context(callback);
        CURRENT.set(callback);
    }
}
