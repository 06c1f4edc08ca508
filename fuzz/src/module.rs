//! Modules: the gate, the compiler, the counters of coverage, the last step of a build.

use crate::one_line;
use std::path::Path;
use std::sync::LazyLock;
use tamis_host::coverage::Covered;
use tamis_host::{Engine, EngineOptions, Module};

/// Largest module that is compiled here: a parsed byte is compiled in microseconds, so this bounds one input to
/// a fraction of a second.
const COMPILED_LIMIT: usize = 64 << 10;

/// The engine of all targets.
pub(crate) static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(&EngineOptions::default()).expect("an engine without a cache"));

/// Any bytes are a module or an error of one line.
pub fn module(data: &[u8]) {
    match tamis_host::inspect(data) {
        Ok(facts) => assert_eq!(facts.size, data.len()),
        Err(error) => one_line(&error),
    }
}

/// What passes the gate compiles or says in one line why not.
pub fn load(data: &[u8]) {
    if data.len() > COMPILED_LIMIT {
        return;
    }
    if let Err(error) = Module::load(&ENGINE, data) {
        one_line(&error);
    }
}

/// A module with counters is as valid as it was without, and any counts make a report.
pub fn coverage(data: &[u8]) {
    match Covered::new(data, &|path: &Path| !path.as_os_str().as_encoded_bytes().starts_with(b"/other")) {
        Ok(covered) => {
            assert!(valid(covered.wasm()) || !valid(data), "the counters broke the module");
            covered.files(&[]);
            covered.files(&[u64::MAX; 64]);
        }
        Err(error) => one_line(&error),
    }
}

/// A linked module is as valid as it was, the same each time, and linked for good.
pub fn link(data: &[u8]) {
    match tamis_cli::build::link(data) {
        Ok(linked) => {
            assert!(valid(&linked.wasm) || !valid(data), "linking broke the module");
            assert_eq!(tamis_cli::build::link(data).ok().as_ref(), Some(&linked));
        }
        Err(error) => one_line(&error),
    }
}

fn valid(wasm: &[u8]) -> bool {
    wasmparser::Validator::new().validate_all(wasm).is_ok()
}
