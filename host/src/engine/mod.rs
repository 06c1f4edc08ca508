//! The compiler and its settings; one for a process is enough.

mod cache;

use cache::Cache;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Deepest stack of a filter in bytes (1 MiB), V8's default within a few KiB. Beyond it the filter traps, as
/// in Envoy (docs/envoy.md 2.12); the thread that plays needs this much and some more.
const STACK_LIMIT: usize = 1 << 20;

/// Compiles filters. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    count_fuel: bool,
    cache: Option<Cache>,
}

/// Settings of an [`Engine`]. The default counts fuel and keeps no files.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Counts executed instructions: exact costs, and an end to endless loops. About a fifth slower.
    pub count_fuel: bool,
    /// Folder for compiled modules, made when missing. It must be the user's own: what is in it is run as
    /// machine code. None compiles anew each time.
    pub cache: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { count_fuel: true, cache: None }
    }
}

impl Engine {
    /// Makes an engine.
    ///
    /// # Errors
    /// When this machine cannot run compiled wasm, and when the cache folder cannot be made or is open to others.
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let wasmtime = wasmtime::Engine::new(&config(options.count_fuel)).map_err(|e| EngineError {
            text: "cannot set up the wasm engine".into(),
            cause: Some(one_line(&e).into()),
        })?;
        let cache = options.cache.as_deref().map(|folder| Cache::open(folder, &wasmtime)).transpose()?;
        Ok(Self(Arc::new(Inner { wasmtime, count_fuel: options.count_fuel, cache })))
    }

    /// True when filters of this engine count fuel.
    pub fn counts_fuel(&self) -> bool {
        self.0.count_fuel
    }

    /// The wasmtime engine inside.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    /// Machine code for a module: from the cache, else compiled (and then kept).
    ///
    /// # Errors
    /// What the compiler says, in one line. A cache that cannot be read or written is no error.
    pub(crate) fn compile(&self, wasm: &[u8]) -> Result<wasmtime::Module, String> {
        let Some(cache) = &self.0.cache else {
            return wasmtime::Module::from_binary(&self.0.wasmtime, wasm).map_err(|e| one_line(&e));
        };
        let name = cache.name(wasm);
        if let Some(module) = cache.load(&self.0.wasmtime, &name) {
            return Ok(module);
        }
        let module = wasmtime::Module::from_binary(&self.0.wasmtime, wasm).map_err(|e| one_line(&e))?;
        cache.store(&name, &module);
        Ok(module)
    }
}

/// What V8 in Envoy accepts and wasmtime has, and the same results on every machine.
///
/// Instances are made on demand: a stage makes a handful, and the pooling allocator is only 2 % faster for
/// calls into a reused instance while it reserves its address space up front.
fn config(count_fuel: bool) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .consume_fuel(count_fuel)
        .max_wasm_stack(STACK_LIMIT)
        .parallel_compilation(true)
        .relaxed_simd_deterministic(true)
        // Addresses of the ABI are 32 bits.
        .wasm_memory64(false);
    config
}

/// An error and its causes as one lower-case line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    joined(&format!("{error:#}"))
}

/// Lines of a text as one.
pub(crate) fn joined(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// An engine could not be made.
#[derive(Debug)]
pub struct EngineError {
    text: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("count_fuel", &self.0.count_fuel).finish_non_exhaustive()
    }
}
