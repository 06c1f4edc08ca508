//! What a panic leaves in the log before it traps.
//!
//! The standard library's own way there is a tenth of a small filter: hooks, a backtrace that there is none of,
//! standard error. `tamis build` puts the functions exported as `tamis.lean.X` in the place of the standard
//! library's `X`, unless the filter has to do with panic hooks itself (docs/decisions/0004-own-dispatcher.md).

use crate::log;
use std::alloc::Layout;
use std::cell::Cell;
use std::panic::PanicHookInfo;

/// Has panics logged, by the standard library's way.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn tamis_set_hook() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| log::critical!("{panic}")));
}

#[unsafe(export_name = "tamis.lean.tamis_set_hook")]
extern "C" fn no_hook() {}

thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

/// The end of every panic. One on the way to the log traps at once.
#[unsafe(export_name = "tamis.lean.17rust_begin_unwind")]
fn panicked(panic: &core::panic::PanicInfo<'_>) -> ! {
    if !PANICS.replace(true) {
        log::critical!("{panic}");
    }
    core::arch::wasm32::unreachable()
}

/// There is no memory left; the standard library traps afterwards.
#[unsafe(export_name = "tamis.lean.24default_alloc_error_hook")]
fn no_memory(layout: Layout) {
    // Not formatted, which may ask for memory again.
    let _ = layout;
    super::log(tamis_abi::LogLevel::Critical, "out of memory");
}
