//! What a module's bytes say about it, without compiling it.

use crate::digest::Digest;
use wasmparser::{Encoding, Parser, Payload};

/// The section in which `tamis build` writes name and version.
const PACKAGE: &str = "tamis.package";

/// Names of the markers that say which ABI a filter speaks.
const MARKER: &str = "proxy_abi_version_";

/// What the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleKind {
    /// A Proxy-Wasm filter of this ABI, for instance `0.2.1`.
    Filter(String),
    /// A core module without the marker of Proxy-Wasm.
    Core,
    /// A component: the layer above core modules, which no proxy loads.
    Component,
    /// Not WebAssembly: the first four bytes are others, or there are fewer than eight.
    Other,
    /// Begins as WebAssembly and breaks off or is malformed; the text says where.
    Broken(String),
}

/// Facts of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Of the bytes as they are: what `sha256` means for `http(s)://` in the meshes.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// What it is.
    pub kind: ModuleKind,
    /// Name and version of the package, when `tamis build` wrote them.
    pub package: Option<(String, String)>,
}

impl Module {
    /// Reads section headers and exports; never fails, since what is wrong is a fact too.
    pub fn read(wasm: &[u8]) -> Self {
        let mut package = None;
        let kind = kind(wasm, &mut package);
        Self { sha256: Digest::of(wasm), size: wasm.len() as u64, kind, package }
    }

    /// The ABI, if this is a filter.
    pub fn abi(&self) -> Option<&str> {
        match &self.kind {
            ModuleKind::Filter(abi) => Some(abi),
            _ => None,
        }
    }
}

fn kind(wasm: &[u8], package: &mut Option<(String, String)>) -> ModuleKind {
    if wasm.len() < 8 || &wasm[..4] != b"\0asm" {
        return ModuleKind::Other;
    }
    let mut abi = None;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::Version { encoding: Encoding::Component, .. }) if depth == 0 => {
                return ModuleKind::Component;
            }
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::ExportSection(exports)) => {
                for export in exports {
                    match export {
                        Ok(export) => {
                            if let Some(version) = export.name.strip_prefix(MARKER) {
                                abi = Some(version.replace('_', "."));
                            }
                        }
                        Err(e) => return ModuleKind::Broken(e.to_string()),
                    }
                }
            }
            Ok(Payload::CustomSection(section)) if section.name() == PACKAGE => {
                *package = named(section.data());
            }
            Ok(_) => {}
            Err(e) => return ModuleKind::Broken(e.to_string()),
        }
    }
    abi.map_or(ModuleKind::Core, ModuleKind::Filter)
}

fn named(content: &[u8]) -> Option<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let package: Package = serde_json::from_slice(content).ok()?;
    Some((package.name, package.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_makes_a_filter() {
        let filter = wat::parse_str("(module (func (export \"proxy_abi_version_0_2_1\")))").unwrap();
        let module = Module::read(&filter);
        assert_eq!(module.abi(), Some("0.2.1"));
        assert_eq!(module.sha256, Digest::of(&filter));
        let core = wat::parse_str("(module)").unwrap();
        assert_eq!(Module::read(&core).kind, ModuleKind::Core);
        let component = wat::parse_str("(component)").unwrap();
        assert_eq!(Module::read(&component).kind, ModuleKind::Component);
    }

    #[test]
    fn bytes_that_are_no_module_say_so() {
        assert_eq!(Module::read(b"\0asm\x01\0\0").kind, ModuleKind::Other);
        assert_eq!(Module::read(b"hello, world").kind, ModuleKind::Other);
        let filter = wat::parse_str("(module (func (export \"proxy_abi_version_0_2_1\")))").unwrap();
        assert!(matches!(Module::read(&filter[..filter.len() - 3]).kind, ModuleKind::Broken(_)));
    }
}
