//! Who is to be polled: contexts by id, and the wakers that name them.

use crate::exchange::Exchange;
use crate::ids::Ids;
use crate::root::RootState;
use crate::{host, log, streams};
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
    static LIVE: RefCell<Ids<Other>> = const { RefCell::new(Ids::new()) };
    /// The root of the callback, when its context is no exchange.
    static ROOT: Cell<u32> = const { Cell::new(0) };
    /// The context that the host has in effect.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
    /// The one that it called, while others have their turn.
    static CALLBACK: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Who can be woken.
enum Live {
    Exchange(Rc<Exchange>),
    Stream(Rc<dyn Woken>),
    Root(Rc<RootState>),
}

/// As [`Live`], of those that [`streams`] does not know.
enum Other {
    Stream(Weak<dyn Woken>),
    Root(Weak<RootState>),
}

impl Other {
    fn upgrade(&self) -> Option<Live> {
        match self {
            Self::Stream(stream) => stream.upgrade().map(Live::Stream),
            Self::Root(root) => root.upgrade().map(Live::Root),
        }
    }
}

/// A stream that is no exchange, whose future may be woken.
pub(crate) trait Woken {
    /// A waker of it was used.
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
    enter_exchange(id);
}

/// As [`enter`], for an exchange, whose root is known to [`streams`].
pub(crate) fn enter_exchange(id: u32) {
    log::forget_level();
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
    LIVE.with_borrow_mut(|live| live.insert(id, Other::Stream(stream)));
}

/// As [`keep_stream`], for a root.
pub(crate) fn keep_root(id: u32, root: &Rc<RootState>) {
    LIVE.with_borrow_mut(|live| live.insert(id, Other::Root(Rc::downgrade(root))));
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

/// Polls everybody who was woken, each on its own context. The last thing in a callback: the host begins the next one
/// with a context of its own, so nothing is put back.
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
    let mut woken = READY.with_borrow_mut(std::mem::take);
    for id in woken.drain(..) {
        let Some(found) = find(id) else { continue };
        if id == callback && matches!(&found, Live::Exchange(exchange) if exchange.holds()) {
            make_ready(id);
            continue;
        }
        // A context that the host no longer knows is skipped: its stream is gone.
        if CURRENT.get() != id && host::set_effective_context(id).is_err() {
            continue;
        }
        CURRENT.set(id);
        match found {
            Live::Exchange(exchange) => exchange.woken(),
            Live::Stream(stream) => stream.woken(),
            Live::Root(root) => root.poll(),
        }
    }
    CALLBACK.set(None);
    // Its memory is for the next time.
    READY.with_borrow_mut(|ready| {
        if ready.capacity() == 0 {
            *ready = woken;
        }
    });
}

fn find(id: u32) -> Option<Live> {
    streams::find(id).map(Live::Exchange).or_else(|| LIVE.with_borrow(|live| live.get(id)?.upgrade()))
}
