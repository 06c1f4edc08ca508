//! One instance of a filter's module: memory, allocator, limits, callbacks; dead or alive.

mod allowed;
mod broke;
mod callbacks;
mod guest;
mod start;

pub(crate) use allowed::Allowed;
pub(crate) use broke::{Broke, HostEnd};
pub(crate) use callbacks::Callbacks;
pub(crate) use guest::{Door, Guest, full, restricted};
pub(crate) use start::{Failed, Recipe};

use crate::stage::Desk;
use wasmtime::{Global, Store, TypedFunc, Val, WasmParams, WasmResults};

/// An instance with its store. Between callbacks its store holds an idle desk.
pub(crate) struct Vm {
    store: Store<Guest>,
    calls: Callbacks,
    /// Fuel of one callback; none when the engine does not count.
    fuel: Option<u64>,
    /// It broke and runs nothing any more.
    pub(crate) dead: bool,
    /// It ended because this host lacks something: it may be made anew without asking the policy.
    pub(crate) ended_by_tool: bool,
    /// It ended because the user asked for it: what follows is not the filter's doing.
    pub(crate) ended_by_injection: bool,
    /// When it was loaded, wall nanoseconds (for the back-off of reloads).
    pub(crate) loaded: u64,
    next_context: u32,
    /// For coverage; empty without.
    counters: Vec<Global>,
}

/// What a callback used.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) fuel: u64,
    pub(crate) grown: u64,
}

impl Vm {
    /// A fresh context id: they rise across the VM and never come back (docs/envoy.md 1.5).
    pub(crate) fn next_id(&mut self) -> u32 {
        self.next_context = self.next_context.wrapping_add(1);
        self.next_context
    }

    /// The filter exports the callback for pieces of a body.
    #[inline]
    pub(crate) fn hears_body(&self, request: bool) -> bool {
        if request { self.calls.on_request_body.is_some() } else { self.calls.on_response_body.is_some() }
    }

    /// What its counters say; they begin anew.
    pub(crate) fn take_counts(&mut self) -> Vec<u64> {
        let store = &mut self.store;
        let read = |global: &Global| {
            let count = global.get(&mut *store).i64().unwrap_or(0);
            // A counter is a mutable i64: setting it cannot fail.
            let _ = global.set(&mut *store, Val::I64(0));
            count as u64
        };
        self.counters.iter().map(read).collect()
    }

    /// Runs a callback; none when the filter does not export it.
    #[inline]
    pub(crate) fn run<P: WasmParams, R: WasmResults>(
        &mut self,
        desk: &mut Box<Desk>,
        pick: impl FnOnce(&Callbacks) -> &Option<TypedFunc<P, R>>,
        params: P,
        used: &mut Used,
    ) -> Result<Option<R>, Broke> {
        let Some(callback) = pick(&self.calls) else { return Ok(None) };
        let result = enter(&mut self.store, callback, self.fuel, desk, params, used);
        result.map(Some).inspect_err(|broke| {
            self.dead = true;
            self.ended_by_tool = broke.kind.blame() == tamis_traffic::Blame::Tool;
            self.ended_by_injection = broke.injected.is_some();
        })
    }

    /// The headers callbacks have one parameter fewer in ABI 0.1.0.
    #[inline]
    pub(crate) fn run_headers(
        &mut self,
        desk: &mut Box<Desk>,
        request: bool,
        context: u32,
        count: u32,
        eos: bool,
        used: &mut Used,
    ) -> Result<Option<u32>, Broke> {
        let new = if request { &self.calls.on_request_headers } else { &self.calls.on_response_headers };
        if new.is_some() {
            let params = (context, count, u32::from(eos));
            return match request {
                true => self.run(desk, |c| &c.on_request_headers, params, used),
                false => self.run(desk, |c| &c.on_response_headers, params, used),
            };
        }
        match request {
            true => self.run(desk, |c| &c.on_request_headers_0_1_0, (context, count), used),
            false => self.run(desk, |c| &c.on_response_headers_0_1_0, (context, count), used),
        }
    }
}

/// Lends the desk to the store, runs the function with fresh fuel, and takes the desk back.
#[inline]
fn enter<P: WasmParams, R: WasmResults>(
    store: &mut Store<Guest>,
    callback: &TypedFunc<P, R>,
    fuel: Option<u64>,
    desk: &mut Box<Desk>,
    params: P,
    used: &mut Used,
) -> Result<R, Broke> {
    std::mem::swap(&mut store.data_mut().desk, desk);
    if let Some(fuel) = fuel {
        // Only an engine that counts has `fuel`, so this cannot fail; if it did, the call would trap at once.
        let _ = store.set_fuel(fuel);
    }
    let result = callback.call(&mut *store, params);
    if let Some(fuel) = fuel {
        used.fuel += fuel - store.get_fuel().unwrap_or(0).min(fuel);
    }
    let guest = store.data_mut();
    used.grown += std::mem::take(&mut guest.limits.grown);
    std::mem::swap(&mut guest.desk, desk);
    result.map_err(|error| Broke::of(&error, store.data_mut(), fuel))
}
