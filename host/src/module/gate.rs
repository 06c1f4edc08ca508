//! The gate: what Envoy asks of a module before it runs any of it.

use super::facts::{MemorySource, Parts, RawImport, kind_of};
use super::signature::{self, Signature};
use super::{AbiVersion, LoadError, tables};
use wasmparser::{ExternalKind, FuncType, TypeRef};

/// What the gate learned.
pub(super) struct Passed {
    pub(super) abi: AbiVersion,
    pub(super) allocator: &'static str,
    pub(super) memory: MemorySource,
}

/// Marker, imports, exports, in Envoy's order.
pub(super) fn check(parts: &Parts<'_>) -> Result<Passed, LoadError> {
    let abi = marker(parts)?;
    for import in &parts.imports {
        check_import(parts, import, abi)?;
    }
    let memory = memory(parts).ok_or(LoadError::NoMemory)?;
    check_start(parts)?;
    let allocator = allocator(parts)?;
    for (name, expected) in tables::callbacks(abi) {
        check_export(parts, name, &expected)?;
    }
    Ok(Passed { abi, allocator, memory })
}

/// The first known marker in order of the export section (docs/envoy.md 1.4).
fn marker(parts: &Parts<'_>) -> Result<AbiVersion, LoadError> {
    let markers = || {
        let functions = parts.exports.iter().filter(|e| is_function(e.kind));
        functions.filter(|e| e.name.starts_with("proxy_abi_version_")).map(|e| e.name)
    };
    markers().find_map(AbiVersion::from_marker).ok_or_else(|| match markers().next() {
        Some(name) => LoadError::UnknownAbi { marker: name.to_owned() },
        None => LoadError::NoAbiMarker,
    })
}

fn check_import(parts: &Parts<'_>, import: &RawImport<'_>, abi: AbiVersion) -> Result<(), LoadError> {
    let (module, name) = (import.module.to_owned(), import.name.to_owned());
    let index = match import.ty {
        TypeRef::Func(index) | TypeRef::FuncExact(index) => index,
        // The host makes them (docs/envoy.md 1.2).
        TypeRef::Memory(_) | TypeRef::Table(_) => return Ok(()),
        other => return Err(LoadError::ImportKind { module, name, kind: kind_of(other) }),
    };
    let Some(expected) = tables::import(import.module, import.name, abi) else {
        let known_in = if import.module == "env" { tables::versions_of(import.name) } else { Vec::new() };
        return Err(LoadError::MissingImport { module, name, abi, known_in });
    };
    match parts.type_at(index) {
        Some(ty) if expected.is(ty) => Ok(()),
        ty => Err(LoadError::ImportType { module, name, found: text(ty), expected: expected.to_string() }),
    }
}

/// Envoy takes the last exported memory, else the one that it made for an import.
fn memory(parts: &Parts<'_>) -> Option<MemorySource> {
    let exported = parts.exports.iter().rev().find(|e| e.kind == ExternalKind::Memory);
    if let Some(export) = exported {
        return Some(MemorySource::Exported(export.name.to_owned()));
    }
    let imported = parts.imports.iter().find(|i| matches!(i.ty, TypeRef::Memory(_)))?;
    Some(MemorySource::Imported(imported.module.to_owned(), imported.name.to_owned()))
}

/// `_initialize` and then `main` or `__main_void`; `_start` only without `_initialize` (docs/envoy.md 1.4).
fn check_start(parts: &Parts<'_>) -> Result<(), LoadError> {
    if !check_export(parts, "_initialize", &Signature::of(">"))? {
        check_export(parts, "_start", &Signature::of(">"))?;
    } else if !check_export(parts, "main", &Signature::of("ii>i"))? {
        check_export(parts, "__main_void", &Signature::of(">i"))?;
    }
    Ok(())
}

/// `malloc` first, then `proxy_on_memory_allocate` (docs/envoy.md 1.4).
fn allocator(parts: &Parts<'_>) -> Result<&'static str, LoadError> {
    for name in ["malloc", "proxy_on_memory_allocate"] {
        if check_export(parts, name, &Signature::of("i>i"))? {
            return Ok(name);
        }
    }
    Err(LoadError::NoAllocator)
}

/// Says whether the function is exported; an export of that name that is no function does not count.
fn check_export(parts: &Parts<'_>, name: &str, expected: &Signature) -> Result<bool, LoadError> {
    let Some(export) = parts.exports.iter().find(|e| e.name == name && is_function(e.kind)) else {
        return Ok(false);
    };
    match parts.function(export.index) {
        Some(ty) if expected.is(ty) => Ok(true),
        ty => Err(LoadError::ExportType {
            name: name.to_owned(),
            found: text(ty),
            expected: expected.to_string(),
        }),
    }
}

fn is_function(kind: ExternalKind) -> bool {
    matches!(kind, ExternalKind::Func | ExternalKind::FuncExact)
}

fn text(ty: Option<&FuncType>) -> String {
    ty.map_or_else(|| "not a function type".to_owned(), signature::text)
}
