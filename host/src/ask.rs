//! Asks a module for a text of its own that no host needs: what `tamis build` writes down about it.

use crate::Engine;
use crate::engine::one_line;
use std::fmt;
use wasmtime::{Linker, Memory, Store};

/// Instructions that an answer may take: a schema of a thousand types takes less than a hundredth.
const FUEL: u64 = 10_000_000_000;

/// What the function of this name, without parameters, answers: the place of its bytes in memory in the upper half of
/// an `i64`, their number in the lower half. `None` when there is no such export. Imports may be there and not be
/// called; nothing is initialised.
///
/// # Errors
/// When the module does not compile, the function traps or takes too long, or points outside of memory.
pub fn ask(engine: &Engine, wasm: &[u8], export: &str) -> Result<Option<Vec<u8>>, AskError> {
    answer(engine, wasm, export).map_err(AskError)
}

/// A module gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskError(String);

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AskError {}

fn answer(engine: &Engine, wasm: &[u8], export: &str) -> Result<Option<Vec<u8>>, String> {
    let module = engine.compile(wasm)?;
    if module.get_export(export).is_none() {
        return Ok(None);
    }
    let told = |e: wasmtime::Error| one_line(&e);
    let mut linker = Linker::new(engine.wasmtime());
    linker.define_unknown_imports_as_traps(&module).map_err(told)?;
    let mut store = Store::new(engine.wasmtime(), ());
    if engine.counts_fuel() {
        store.set_fuel(FUEL).map_err(told)?;
    }
    let instance = linker.instantiate(&mut store, &module).map_err(told)?;
    let function = instance.get_typed_func::<(), i64>(&mut store, export).map_err(told)?;
    let place = function.call(&mut store, ()).map_err(told)?.cast_unsigned();
    let memory: Memory = instance.get_memory(&mut store, "memory").ok_or("it exports no memory")?;
    let (start, length) = ((place >> 32) as usize, (place & 0xffff_ffff) as usize);
    let bytes = memory.data(&store).get(start..).and_then(|rest| rest.get(..length));
    Ok(Some(bytes.ok_or_else(|| format!("`{export}` points outside of memory"))?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineOptions;

    fn asked(body: &str) -> Result<Option<Vec<u8>>, AskError> {
        let text = format!(
            r#"(module (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 16) "an answer")
            (func (export "text") (result i64) {body}))"#
        );
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        ask(&engine, &wat::parse_str(text).unwrap(), "text")
    }

    #[test]
    fn an_answer_is_the_bytes_that_it_points_at() {
        assert_eq!(asked("(i64.const 0x1000000009)").unwrap().unwrap(), b"an answer");
        assert_eq!(asked("(i64.const 0)").unwrap().unwrap(), b"");
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        assert_eq!(ask(&engine, b"\0asm\x01\0\0\0", "text"), Ok(None));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        let why = |body: &str| asked(body).unwrap_err().to_string();
        assert!(why("(i64.const 0xfffffff0)").contains("outside of memory"));
        assert!(why("(i64.const 0xffffffffffffffff)").contains("outside of memory"));
        assert!(why("(unreachable)").contains("unreachable"));
        assert!(why("(loop (br 0)) (i64.const 0)").contains("fuel"));
        assert!(
            why("(drop (call $log (i32.const 0) (i32.const 0) (i32.const 0))) (i64.const 0)")
                .contains("proxy_log")
        );
    }
}
