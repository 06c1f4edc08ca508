//! Who looks on while something long goes on: progress, waiting, and asking to stop.

use std::time::Duration;

/// The side of the one who waits.
pub trait Watch {
    /// A transfer of this many bytes begins.
    fn begin(&self, what: &str, bytes: u64) {
        let _ = (what, bytes);
    }

    /// So many bytes of it are through.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }

    /// The transfer ended, well or not.
    fn end(&self) {}

    /// Something worth a line: a retry, a warning of the registry.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// True once the user asked to stop; asked between pieces of work.
    fn stopped(&self) -> bool {
        false
    }

    /// Waits before the next attempt. The one place where time passes.
    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Watch for Silent {}
