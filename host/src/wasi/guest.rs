//! WASI on the store of a VM.

use super::Host;
use crate::vm::{Broke, Door, Guest, HostEnd};
use tamis_traffic::{FaultKind, LogLevel};
use wasmtime::{Memory, Result};

/// What the allocator may call (facts 1.4).
const IN_ALLOCATOR: [&str; 3] = ["fd_write", "clock_time_get", "poll_oneoff"];

impl Host for Guest {
    fn enter(&mut self, name: &'static str) -> Result<()> {
        if self.door == Door::Allocating && !IN_ALLOCATOR.contains(&name) {
            let text = format!("called `{name}` inside the allocator, where Envoy forbids it");
            return Err(wasmtime::Error::new(HostEnd(Broke::new(FaultKind::Trap, text))));
        }
        self.desk.host_calls += 1;
        Ok(())
    }

    fn memory(&self) -> Option<Memory> {
        self.memory
    }

    fn env(&self) -> &[(String, String)] {
        &self.env
    }

    fn wall(&self) -> u64 {
        self.desk.clock.wall()
    }

    fn monotonic(&self) -> u64 {
        self.desk.clock.monotonic()
    }

    fn random(&mut self, out: &mut [u8]) {
        self.desk.random.fill(out);
    }

    fn log(&mut self, level: LogLevel, line: &[u8]) {
        self.desk.log(level, line);
    }
}
