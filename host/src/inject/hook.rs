//! A function of ours in front of a filter's callback. A filter without hooks is entered as ever.

use crate::stage::At;
use crate::vm::{Broke, Guest, HostEnd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tamis_traffic::FaultKind;
use tamis_traffic::inject::{Entry, Planned, What};
use wasmtime::{Caller, Func, Store};

/// Callbacks that roots have too; a hook means those of streams.
const ROOTS_TOO: &[&str] = &["proxy_on_context_create", "proxy_on_done", "proxy_on_delete"];

/// Counts the entries of one filter into one phase, and strikes at one of them. A new VM counts on.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    number: usize,
    filter: usize,
    entry: Entry,
    /// It takes the memory away instead of trapping.
    starves: bool,
    seen: Arc<AtomicU64>,
}

impl Hook {
    /// The hook of a fault, if it needs one.
    pub(super) fn of(planned: &Planned) -> Option<Self> {
        let (entry, starves) = match planned.fault.what {
            What::Trap(entry) => (entry, false),
            What::OutOfMemory(entry) => (entry, true),
            _ => return None,
        };
        let filter = planned.filter.unwrap_or_default();
        Some(Self { number: planned.number, filter, entry, starves, seen: Arc::default() })
    }

    /// The export that it stands before.
    pub(crate) fn phase(&self) -> &'static str {
        self.entry.phase
    }

    fn strikes(&self, at: &At) -> bool {
        let current = at.current;
        if current.filter != self.filter || (ROOTS_TOO.contains(&self.entry.phase) && !current.stream) {
            return false;
        }
        self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.entry.number
    }

    /// The function that is called instead of the callback.
    pub(crate) fn before(&self, store: &mut Store<Guest>, callback: Func) -> Func {
        let hook = self.clone();
        let ty = callback.ty(&*store);
        Func::new(store, ty, move |mut caller: Caller<'_, Guest>, params, results| {
            if hook.strikes(&caller.data().desk.at) {
                if !hook.starves {
                    return Err(wasmtime::Error::new(HostEnd(hook.trap())));
                }
                starve(&mut caller, hook.number);
            }
            callback.call(&mut caller, params, results)
        })
    }

    fn trap(&self) -> Broke {
        let text = format!("trapped at entry {}, as asked for", self.entry.number);
        Broke::injected(FaultKind::InjectedTrap, self.number, text)
    }
}

/// From here on memory does not grow, and nobody asks the allocator: the first who wants to ends the callback.
fn starve(caller: &mut Caller<'_, Guest>, number: usize) {
    let size = caller.data().memory.map_or(0, |memory| memory.data_size(&*caller));
    let guest = caller.data_mut();
    guest.allocate = None;
    guest.limits.starve(size as u64, number);
}
