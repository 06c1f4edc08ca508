//! From bytes to a checked and compiled filter, gated exactly as Envoy gates (docs/envoy.md 1.2, 1.4, 2.11).

mod error;
mod facts;
mod gate;
mod signature;
mod tables;

pub use error::LoadError;
pub(crate) use facts::MemorySource;
pub use facts::{Export, Import, ModuleFacts, inspect};
pub use tamis_abi::AbiVersion;

use crate::Engine;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Largest module in bytes (64 MiB). Published filters are at most a few MiB; what is larger is some other
/// file, and [`LoadError::TooLarge`] says so before anything is parsed.
pub const MODULE_LIMIT: usize = 64 << 20;

/// A checked and compiled filter. Cheap to clone.
#[derive(Clone)]
pub struct Module(Arc<Compiled>);

struct Compiled {
    facts: ModuleFacts,
    code: wasmtime::Module,
    sum: [u8; 32],
}

impl Module {
    /// Checks a module as Envoy does when it loads one, and compiles it.
    ///
    /// # Errors
    /// When it is no module, a component, or too large; when it lacks the ABI marker, imports what its ABI
    /// does not have, exports a callback with the wrong signature or no allocator; when it is not valid.
    pub fn load(engine: &Engine, wasm: &[u8]) -> Result<Self, LoadError> {
        let facts = inspect(wasm)?;
        let code = engine.compile(wasm).map_err(|text| LoadError::Compile { text })?;
        Ok(Self(Arc::new(Compiled { facts, code, sum: Sha256::digest(wasm).into() })))
    }

    /// What the module says of itself.
    pub fn facts(&self) -> &ModuleFacts {
        &self.0.facts
    }

    /// A function of WASI that it imports and that Envoy has since 1.39 only.
    pub(crate) fn newer_wasi(&self) -> Option<&Import> {
        self.0.facts.imports.iter().find(|import| tables::is_new_wasi(&import.module, &import.name))
    }

    /// True for the same bytes, loaded once or twice: filters of one code may share a VM (docs/envoy.md 1.5).
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.sum == other.0.sum
    }

    /// The compiled code.
    pub(crate) fn code(&self) -> &wasmtime::Module {
        &self.0.code
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("facts", &self.0.facts).finish_non_exhaustive()
    }
}

/// Name, parameters and results of each WASI function, for tests of what is linked.
#[cfg(test)]
pub(crate) fn wasi_functions() -> impl Iterator<Item = (&'static str, Vec<&'static str>, Vec<&'static str>)> {
    let types =
        |letters: &'static str| letters.bytes().map(|b| if b == b'i' { "i32" } else { "i64" }).collect();
    tables::WASI.iter().map(move |(name, signature)| {
        let (params, results) = signature.split_once('>').unwrap_or((signature, ""));
        (*name, types(params), types(results))
    })
}

#[cfg(test)]
mod tests;
