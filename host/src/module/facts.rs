//! What a module says of itself, read without compiling it.

use super::signature;
use super::{LoadError, MODULE_LIMIT, gate};
use tamis_abi::AbiVersion;
use wasmparser::{Encoding, ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFacts {
    /// The ABI version of its first marker.
    pub abi: AbiVersion,
    /// In order of the import section.
    pub imports: Vec<Import>,
    /// In order of the export section.
    pub exports: Vec<Export>,
    /// Names and contents, in order.
    pub custom_sections: Vec<(String, Vec<u8>)>,
    /// Bytes of the module.
    pub size: usize,
    /// The export by which the host gets memory: `malloc` or `proxy_on_memory_allocate`.
    pub allocator: &'static str,
    pub(crate) memory: MemorySource,
}

/// Something that the module imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its module, for instance `env`.
    pub module: String,
    /// Its name.
    pub name: String,
    /// Its type in text, for instance `(i32) -> i32` or `memory`.
    pub ty: String,
}

/// Something that the module exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its type in text, for instance `(i32) -> i32` or `memory`.
    pub ty: String,
}

/// Where the memory comes from that the host reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemorySource {
    /// The export of this name (the last one, as in Envoy).
    Exported(String),
    /// The host makes it and links it as this module and name.
    Imported(String, String),
}

/// An import with its parsed type.
pub(super) struct RawImport<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
    pub(super) ty: TypeRef,
}

/// An export with the index of what it exports.
pub(super) struct RawExport<'a> {
    pub(super) name: &'a str,
    pub(super) kind: ExternalKind,
    pub(super) index: u32,
}

/// The parts of a module that decide whether it loads.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) imports: Vec<RawImport<'a>>,
    pub(super) exports: Vec<RawExport<'a>>,
    types: Option<wasmparser::types::Types>,
    custom: Vec<(String, Vec<u8>)>,
}

impl Parts<'_> {
    /// The type at an index of the type section.
    pub(super) fn type_at(&self, index: u32) -> Option<&wasmparser::FuncType> {
        let types = self.types.as_ref()?.as_ref();
        let id = (index < types.core_type_count_in_module()).then(|| types.core_type_at_in_module(index))?;
        match &types.get(id)?.composite_type.inner {
            wasmparser::CompositeInnerType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// The type of a function by its index.
    pub(super) fn function(&self, index: u32) -> Option<&wasmparser::FuncType> {
        let types = self.types.as_ref()?.as_ref();
        let id = (index < types.function_count()).then(|| types.core_function_at(index))?;
        match &types.get(id)?.composite_type.inner {
            wasmparser::CompositeInnerType::Func(ty) => Some(ty),
            _ => None,
        }
    }
}

/// Checks a module as Envoy does when it loads one, without compiling it. Function bodies are not looked at:
/// [`Module::load`](super::Module::load) does that.
///
/// # Errors
/// As [`Module::load`](super::Module::load), but for [`LoadError::Compile`].
pub fn inspect(wasm: &[u8]) -> Result<ModuleFacts, LoadError> {
    if wasm.len() > MODULE_LIMIT {
        return Err(LoadError::TooLarge { size: wasm.len() });
    }
    let mut parts = parse(wasm)?;
    let passed = gate::check(&parts)?;
    Ok(ModuleFacts {
        abi: passed.abi,
        imports: parts.imports.iter().map(|i| import(&parts, i)).collect(),
        exports: parts.exports.iter().map(|e| export(&parts, e)).collect(),
        custom_sections: std::mem::take(&mut parts.custom),
        size: wasm.len(),
        allocator: passed.allocator,
        memory: passed.memory,
    })
}

fn parse(wasm: &[u8]) -> Result<Parts<'_>, LoadError> {
    if !wasm.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm);
    }
    if Parser::is_component(wasm) {
        return Err(LoadError::Component);
    }
    let damage = |e: wasmparser::BinaryReaderError| LoadError::Invalid {
        offset: e.offset(),
        text: e.message().to_owned(),
    };
    let mut validator = Validator::new_with_features(WasmFeatures::default() - WasmFeatures::MEMORY64);
    let mut parts = Parts::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(damage)?;
        match &payload {
            Payload::Version { encoding: Encoding::Component, .. } => return Err(LoadError::Component),
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import.map_err(damage)?;
                    parts.imports.push(RawImport { module: import.module, name: import.name, ty: import.ty });
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let export = export.map_err(damage)?;
                    parts.exports.push(RawExport {
                        name: export.name,
                        kind: export.kind,
                        index: export.index,
                    });
                }
            }
            Payload::CustomSection(section) => {
                parts.custom.push((section.name().to_owned(), section.data().to_vec()));
            }
            _ => {}
        }
        if let wasmparser::ValidPayload::End(types) = validator.payload(&payload).map_err(damage)? {
            parts.types = Some(types);
        }
    }
    Ok(parts)
}

fn import(parts: &Parts<'_>, import: &RawImport<'_>) -> Import {
    let ty = match import.ty {
        TypeRef::Func(index) | TypeRef::FuncExact(index) => {
            parts.type_at(index).map_or_else(String::new, signature::text)
        }
        other => kind_of(other).to_owned(),
    };
    Import { module: import.module.to_owned(), name: import.name.to_owned(), ty }
}

fn export(parts: &Parts<'_>, export: &RawExport<'_>) -> Export {
    let ty = match export.kind {
        ExternalKind::Func | ExternalKind::FuncExact => {
            parts.function(export.index).map_or_else(String::new, signature::text)
        }
        ExternalKind::Table => "table".to_owned(),
        ExternalKind::Memory => "memory".to_owned(),
        ExternalKind::Global => "global".to_owned(),
        ExternalKind::Tag => "tag".to_owned(),
    };
    Export { name: export.name.to_owned(), ty }
}

/// What an import is, in a word.
pub(super) fn kind_of(ty: TypeRef) -> &'static str {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => "function",
        TypeRef::Table(_) => "table",
        TypeRef::Memory(_) => "memory",
        TypeRef::Global(_) => "global",
        TypeRef::Tag(_) => "tag",
    }
}
