//! The last step of a build: the sdk's own callbacks in the place of the crate's, and nothing that is not used.
//!
//! A module asks for it by its exports (docs/decisions/0004-own-dispatcher.md): `tamis.for.X` takes the place
//! of `X`, `tamis.wants.X` says when the callback `X` is needed. One that does not is left as it is.

mod graph;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, anyhow};
use graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, ExportSection, Function, FunctionSection, ImportSection, Instruction};
use wasm_encoder::{CustomSection, Module, NameMap, NameSection};
use wasmparser::{ExternalKind, Name, Parser};

/// A function with this before its name takes the place of the one with the name alone.
const FOR: &str = "tamis.for.";
/// A function with this before a callback's name is called by whatever needs the callback.
const WANTS: &str = "tamis.wants.";
/// Functions of the sdk that are exported only so that they can be replaced.
const OWN: &str = "tamis_";
/// What hosts call.
const CALLBACK: &str = "proxy_on_";
/// Looks like a callback and is the allocator.
const ALLOCATOR: &str = "proxy_on_memory_allocate";

/// The module with its own callbacks and without what nothing reaches. The same bytes in give the same out.
///
/// # Errors
/// When the module cannot be read.
pub fn link(wasm: &[u8]) -> Result<Vec<u8>> {
    let graph = Graph::read(wasm).context("the built module cannot be read")?;
    if !graph.exports.keys().any(|name| name.starts_with(FOR)) {
        return Ok(wasm.to_vec());
    }
    let mut linker = Linker::new(&graph);
    let mut module = Module::new();
    linker
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|e| anyhow!("{e}"))
        .context("the built module cannot be linked")?;
    Ok(module.finish())
}

/// What becomes of each function.
struct Linker<'g> {
    graph: &'g Graph,
    /// From a function to the one in its place.
    instead: BTreeMap<u32, u32>,
    /// From a function that stays to its new index, in order.
    kept: BTreeMap<u32, u32>,
    /// Functions that are named but can never run: their bodies go.
    stubs: BTreeSet<u32>,
    /// The exports that stay.
    exports: BTreeSet<String>,
    /// The function that the sections are at.
    at: u32,
}

impl<'g> Linker<'g> {
    fn new(graph: &'g Graph) -> Self {
        let by_name = |name: &str| graph.exports.get(name).copied();
        let replaced = graph.exports.iter().filter_map(|(name, new)| {
            let name = name.strip_prefix(FOR)?;
            Some((name, by_name(name)?, *new))
        });
        let replaced: Vec<(&str, u32, u32)> = replaced.collect();
        let mut linker = Self {
            graph,
            instead: replaced.iter().map(|(_, old, new)| (*old, *new)).collect(),
            kept: BTreeMap::new(),
            stubs: BTreeSet::new(),
            exports: BTreeSet::new(),
            at: 0,
        };
        // Whoever calls one of these is the crate's dispatcher, which goes: a call of it says nothing.
        let doors: BTreeSet<u32> =
            replaced.iter().filter(|(name, ..)| name.starts_with(CALLBACK)).map(|(_, _, new)| *new).collect();
        for name in graph.exports.keys() {
            let is_ours = [FOR, WANTS, OWN].iter().any(|prefix| name.starts_with(prefix));
            if !is_ours && (!name.starts_with(CALLBACK) || name == ALLOCATOR) {
                linker.exports.insert(name.clone());
            }
        }
        let mut reached = BTreeSet::new();
        loop {
            let names = linker.exports.iter().filter_map(|name| by_name(name));
            let roots: Vec<u32> = names.chain(graph.roots.iter().copied()).collect();
            reached = linker.reach(&roots, &doors, reached);
            let wanted = replaced.iter().filter(|(name, ..)| {
                name.starts_with(CALLBACK)
                    && by_name(&format!("{WANTS}{name}")).is_none_or(|wants| reached.contains(&wants))
            });
            let before = linker.exports.len();
            linker.exports.extend(wanted.map(|(name, ..)| (*name).to_owned()));
            if linker.exports.len() == before {
                break;
            }
        }
        // What the table of the dispatcher's functions still names.
        let called = reached.iter().flat_map(|f| graph.calls(*f)).map(|f| linker.resolve(*f));
        linker.stubs = called.filter(|f| doors.contains(f) && !reached.contains(f)).collect();
        linker.kept = reached.union(&linker.stubs).copied().zip(0..).collect();
        linker
    }

    fn resolve(&self, function: u32) -> u32 {
        self.instead.get(&function).copied().unwrap_or(function)
    }

    fn reach(&self, roots: &[u32], doors: &BTreeSet<u32>, mut reached: BTreeSet<u32>) -> BTreeSet<u32> {
        let mut next: Vec<u32> = roots.iter().map(|f| self.resolve(*f)).collect();
        while let Some(function) = next.pop() {
            if reached.insert(function) {
                let called = self.graph.calls(function).iter().map(|f| self.resolve(*f));
                next.extend(called.filter(|f| !doors.contains(f)));
            }
        }
        reached
    }

    /// True when the function that the sections are at stays; then they are at the next one.
    fn step(&mut self) -> bool {
        self.at += 1;
        self.kept.contains_key(&(self.at - 1))
    }
}

impl Reencode for Linker<'_> {
    type Error = anyhow::Error;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<anyhow::Error>> {
        let found = self.kept.get(&self.resolve(function)).copied();
        found.ok_or_else(|| reencode::Error::UserError(anyhow!("function {function} was left out")))
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        self.at = 0;
        for import in section.into_imports() {
            let import = import?;
            if !graph::is_function(&import.ty) || self.step() {
                self.parse_import(imports, import)?;
            }
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        self.at = self.graph.imported;
        for kind in section {
            let kind = kind?;
            if self.step() {
                functions.function(self.type_index(kind)?);
            }
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        for export in section {
            let export = export?;
            if export.kind != ExternalKind::Func || self.exports.contains(export.name) {
                self.parse_export(exports, export)?;
            }
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        self.at = self.graph.imported;
        for body in section {
            let (body, index) = (body?, self.at);
            if self.step() {
                if self.stubs.contains(&index) {
                    let mut stub = Function::new([]);
                    stub.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
                    code.function(&stub);
                } else {
                    self.parse_function_body(code, body)?;
                }
            }
        }
        Ok(())
    }

    /// Those of compilers speak of places in the code, which moved.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        if section.name().starts_with(".debug_") {
            return Ok(());
        }
        if let wasmparser::KnownCustom::Name(names) = section.as_known() {
            module.section(&self.custom_name_section(names)?);
        } else {
            module.section(&CustomSection { name: section.name().into(), data: section.data().into() });
        }
        Ok(())
    }

    /// Names of functions stay, for backtraces; those of locals go.
    fn parse_custom_name_subsection(
        &mut self,
        names: &mut NameSection,
        section: Name<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        if let Name::Function(known) = section {
            let mut list = NameMap::new();
            for naming in known {
                let naming = naming?;
                if let Some(index) = self.kept.get(&naming.index) {
                    list.append(*index, naming.name);
                }
            }
            names.functions(&list);
        }
        Ok(())
    }
}
