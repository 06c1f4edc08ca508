//! The JSON Schema of a filter's configuration, which the built module tells and the shipped one carries.

use crate::failure::{Code, Failure, Result};
use serde_json::Value;
use tamis_host::{Engine, EngineOptions, ask};
use wasmparser::{Parser, Payload};

/// Name of the custom section. Its content is the schema, one JSON document.
pub const SCHEMA_SECTION: &str = "tamis.schema";

/// The exported function that `export!` of the sdk makes; it does not ship.
pub(super) const EXPORT: &str = "tamis.schema";

/// The schema that a module tells before it is linked. `None` when its type does not say any.
///
/// # Errors
/// When the module cannot be asked, or tells what is no JSON.
pub fn schema(wasm: &[u8]) -> Result<Option<Value>> {
    if !exports(wasm) {
        return Ok(None);
    }
    let failed = |cause: anyhow::Error| {
        Failure::because(Code::BuildFailed, "the filter does not tell the schema of its configuration", cause)
    };
    let engine =
        Engine::new(&EngineOptions { count_fuel: true, cache: None }).map_err(|e| failed(e.into()))?;
    match ask(&engine, wasm, EXPORT).map_err(|e| failed(e.into()))? {
        Some(text) if !text.is_empty() => {
            serde_json::from_slice(&text).map(Some).map_err(|e| failed(e.into()))
        }
        _ => Ok(None),
    }
}

/// Looked at first, since asking compiles the module.
fn exports(wasm: &[u8]) -> bool {
    Parser::new(0).parse_all(wasm).flatten().any(|payload| match payload {
        Payload::ExportSection(section) => section.into_iter().flatten().any(|export| export.name == EXPORT),
        _ => false,
    })
}
