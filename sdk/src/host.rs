//! The border: the same functions over a real host (wasm) and over one in memory (native).

/// Of the other host, for its tests.
#[cfg(all(test, not(target_family = "wasm")))]
#[path = "host/wasm/memory.rs"]
mod memory;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;
