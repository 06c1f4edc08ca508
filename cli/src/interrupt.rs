//! Ctrl-C: the first asks, the second ends.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Listens for Ctrl-C and for SIGTERM. Long work asks [`asked`] between two exchanges, writes what it has
/// and ends with 130; the second signal ends the program at once.
pub fn listen() {
    let flag = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        let exit = i32::from(crate::exit::Exit::Interrupted.code());
        // When the system does not let us listen, Ctrl-C works as always, without the partial report.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, exit, Arc::clone(flag));
        let _ = signal_hook::flag::register(signal, Arc::clone(flag));
    }
}

/// True once the user asked to stop.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}
