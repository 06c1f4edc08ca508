//! The name section, set aside: a third of a small module, and of use only where a trap is read.

use super::Linked;
use anyhow::Result;
use wasm_encoder::{Module, RawSection};
use wasmparser::{KnownCustom, Parser, Payload};

/// The module without its names.
pub(super) fn aside(wasm: &[u8]) -> Result<Linked> {
    let mut module = Module::new();
    let mut names = None;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload
            && matches!(section.as_known(), KnownCustom::Name(_))
        {
            names = Some(section.data().to_vec());
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    // Not written anew when nothing changes: a module that needs no linking stays byte for byte.
    let wasm = if names.is_some() { module.finish() } else { wasm.to_vec() };
    Ok(Linked { wasm, names })
}
