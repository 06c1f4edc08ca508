//! How a callback ended that did not return.

use super::Guest;
use crate::world::LimitReached;
use std::fmt;
use tamis_traffic::FaultKind;
use tamis_traffic::redact::show;
use wasmtime::{Trap, WasmBacktrace};

/// A callback did not return: the VM is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broke {
    pub(crate) kind: FaultKind,
    pub(crate) text: String,
    /// The number of the fault that was asked for.
    pub(crate) injected: Option<usize>,
}

/// The second failure channel of host functions: not a status for the filter but the end of the playback.
#[derive(Debug)]
pub(crate) struct HostEnd(pub(crate) Broke);

impl fmt::Display for HostEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl std::error::Error for HostEnd {}

impl Broke {
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), injected: None }
    }

    /// The user asked for it.
    pub(crate) fn injected(kind: FaultKind, number: usize, text: impl Into<String>) -> Self {
        Self { injected: Some(number), ..Self::new(kind, text) }
    }

    /// There is no memory, because that was asked for.
    pub(crate) fn starved(number: usize) -> Self {
        Self::injected(FaultKind::InjectedOutOfMemory, number, "wanted memory and got none, as asked for")
    }

    /// Tells a trap from used-up fuel, refused memory and an end made by a host function.
    pub(super) fn of(error: &wasmtime::Error, guest: &mut Guest, fuel: Option<u64>) -> Self {
        if let Some(HostEnd(broke)) = error.downcast_ref::<HostEnd>() {
            return broke.clone();
        }
        let Some(trap) = error.downcast_ref::<Trap>() else {
            return Self::new(FaultKind::Trap, crate::engine::one_line(error));
        };
        if *trap == Trap::OutOfFuel {
            let fuel = fuel.unwrap_or_default();
            return Self::new(
                FaultKind::OutOfFuel,
                format!("used up the {fuel} units of fuel of one callback"),
            );
        }
        let place = place(error);
        if let Some(wanted) = guest.limits.refused.take() {
            if let Some(number) = guest.limits.starved() {
                return Self::starved(number);
            }
            let limit = guest.limits.memory();
            let text =
                format!("asked for {wanted} bytes of memory, the limit is {limit}, then trapped{place}");
            return Self::new(FaultKind::OutOfMemory, text);
        }
        Self::new(FaultKind::Trap, format!("{}{place}", what(*trap)))
    }
}

impl From<LimitReached> for Broke {
    fn from(limit: LimitReached) -> Self {
        Self::new(FaultKind::OutOfMemory, limit.to_string())
    }
}

fn what(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").map_or(text.clone(), str::to_owned)
}

/// Crates through which a panic goes on its way to the trap: what went wrong is in whoever called them.
const BENEATH: [&str; 4] = ["core", "std", "alloc", "tamis_sdk"];

/// The innermost function that has a name, of the filter's own if there is one, as ` in NAME`.
fn place(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let frames = trace.frames().iter().filter_map(|frame| frame.func_name());
    let names: Vec<String> = frames.map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect();
    let name = names.iter().find(|name| is_own(name)).or(names.first());
    // A name is what the module says, and may say anything.
    name.map(|n| format!(" in `{}`", show(n.as_bytes()))).unwrap_or_default()
}

/// False for code of the standard library and of the sdk, also where it implements something for another's type.
fn is_own(name: &str) -> bool {
    let path = name.trim_start_matches(['<', '&']);
    name.contains("::")
        && !BENEATH.iter().any(|crate_| path.strip_prefix(crate_).is_some_and(|p| p.starts_with("::")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_own_function_is_named_where_there_is_one() {
        let place_of = |names: [&str; 3]| {
            let [trapped, between, outer] = names;
            let text = format!(
                r#"(module (func ${trapped} unreachable) (func ${between} (call 0)) (func ${outer} (export "run") (call 1)))"#
            );
            let engine = wasmtime::Engine::default();
            let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            let mut store = wasmtime::Store::new(&engine, ());
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
            place(&run.call(&mut store, ()).unwrap_err())
        };
        let panic = "_ZN4core9panicking5panic17h0123456789abcdefE";
        let sdk = "_ZN9tamis_sdk4host4wasm5panic8panicked17h0123456789abcdefE";
        let own = "_ZN5hello6Header6handle17h0123456789abcdefE";
        assert_eq!(place_of([sdk, panic, own]), " in `hello::Header::handle`");
        assert_eq!(place_of([sdk, panic, "proxy_on_tick"]), " in `tamis_sdk::host::wasm::panic::panicked`");
        assert_eq!(place_of(["plain", own, panic]), " in `hello::Header::handle`");
        assert_eq!(place_of(["plain", "other", "run"]), " in `plain`");
    }
}
