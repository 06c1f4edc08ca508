//! What a store holds: the way into the guest's memory, its limits, and the desk while a callback runs.

use super::{Broke, HostEnd};
use crate::profile::since;
use crate::stage::Desk;
use crate::wasi;
use crate::world::LimitReached;
use tamis_abi::AbiVersion;
use tamis_traffic::{FaultKind, LogLevel};
use wasmtime::{Memory, ResourceLimiter, TypedFunc};

/// Entries of all tables of a filter together. V8's limit is ten million; no filter comes near.
const TABLE_LIMIT: usize = 10_000_000;

/// Which host functions a filter may call now (docs/envoy.md 1.4).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// In `_initialize` and `_start`: `proxy_log` and WASI.
    #[default]
    Starting,
    /// In the allocator: `proxy_log`, `fd_write`, `clock_time_get`, `poll_oneoff`.
    Allocating,
    /// In callbacks: everything.
    Open,
}

/// See the module.
pub(crate) struct Guest {
    pub(crate) desk: Box<Desk>,
    pub(crate) memory: Option<Memory>,
    /// `malloc`, else `proxy_on_memory_allocate`. Taken out while it runs: cloning it costs four times the call.
    pub(crate) allocate: Option<TypedFunc<u32, u32>>,
    pub(crate) door: Door,
    pub(crate) abi: AbiVersion,
    pub(crate) limits: Limits,
    /// `KEY=value` with a zero byte each, for WASI.
    pub(crate) env: Vec<(String, String)>,
}

impl Guest {
    pub(crate) fn new(abi: AbiVersion, memory: u64, env: Vec<(String, String)>) -> Self {
        Self {
            desk: Desk::idle(),
            memory: None,
            allocate: None,
            door: Door::Starting,
            abi,
            limits: Limits { memory, used: 0, entries: 0, grown: 0, refused: None, starved: None },
            env,
        }
    }
}

/// Memory limit of one VM, and what became of requests for more.
#[derive(Debug)]
pub(crate) struct Limits {
    memory: u64,
    /// Bytes of all its memories: a module may have several.
    used: u64,
    /// Entries of all its tables.
    entries: usize,
    /// Bytes that memory grew by since this was last read.
    pub(crate) grown: u64,
    /// The size in bytes that was refused last.
    pub(crate) refused: Option<u64>,
    /// The injected fault that took its memory away.
    starved: Option<usize>,
}

impl Limits {
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// No memory beyond these bytes, by the injected fault of this number.
    pub(crate) fn starve(&mut self, size: u64, number: usize) {
        (self.memory, self.starved) = (size, Some(number));
    }

    pub(crate) fn starved(&self) -> Option<usize> {
        self.starved
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = (desired - current) as u64;
        if self.used + more > self.memory {
            self.refused = Some(self.used + more);
            return Ok(false);
        }
        self.used += more;
        self.grown += more;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let entries = self.entries + (desired - current);
        if entries > TABLE_LIMIT {
            return Ok(false);
        }
        self.entries = entries;
        Ok(true)
    }
}

impl wasi::Host for Guest {
    fn enter(&mut self, name: &'static str) -> wasmtime::Result<()> {
        if self.door == Door::Allocating && !matches!(name, "fd_write" | "clock_time_get" | "poll_oneoff") {
            return Err(restricted(self.door, name));
        }
        self.desk.host_calls += 1;
        self.desk.has_room().map_err(full)
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

    fn polls(&self) -> bool {
        self.desk.profile.has(since::ALL_OF_WASI)
    }

    fn log(&mut self, level: LogLevel, line: &[u8]) {
        self.desk.log(level, line);
    }
}

/// The trap of a call that Envoy forbids here.
#[cold]
pub(crate) fn restricted(door: Door, name: &str) -> wasmtime::Error {
    let place = if door == Door::Starting { "before the filter has started" } else { "inside the allocator" };
    let text = format!("called `{name}` {place}, where Envoy forbids it");
    wasmtime::Error::new(HostEnd(Broke::new(FaultKind::Trap, text)))
}

/// The end of a filter that has filled memory of the host.
#[cold]
pub(crate) fn full(limit: LimitReached) -> wasmtime::Error {
    wasmtime::Error::new(HostEnd(limit.into()))
}
