//! The last step of a build: the sdk's own callbacks in the place of the crate's, and nothing that is not used.
//!
//! A module asks for it by its exports (docs/decisions/0004-own-dispatcher.md): `tamis.for.X` takes the place
//! of `X`, `tamis.wants.X` says when the callback `X` is needed. One that does not is left as it is.

mod graph;
mod names;
mod pointers;
mod segments;
#[cfg(test)]
mod tests;

use super::schema;
use anyhow::{Context, Result, anyhow, ensure};
use graph::{Graph, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, ElementSection, Elements, ExportSection,
};
use wasm_encoder::{FunctionSection, ImportSection, Module, NameMap, NameSection};
use wasmparser::{DataKind, ElementItems, ElementKind, ExternalKind, Name, Operator, Parser};

/// What cargo's `rustc` must be told, so that the linker says which numbers are addresses, and keeps the names.
pub const ARGUMENTS: &[&str] = &[
    "-Clink-arg=--emit-relocs",
    "-Cstrip=debuginfo",
    // `export!` then has the module tell the schema of its configuration.
    "--cfg=tamis_build",
    "--check-cfg=cfg(tamis_build)",
];

/// A function with this before its name takes the place of the one with the name alone.
const FOR: &str = "tamis.for.";
/// As [`FOR`], by the name that the compiler gave, where nothing is left then that sets a panic hook or needs one.
const LEAN: &str = "tamis.lean.";
/// A function with this before a callback's name is called by whatever needs the callback.
const WANTS: &str = "tamis.wants.";
/// Functions of the sdk that are exported only so that they can be replaced.
const OWN: &str = "tamis_";
/// What hosts call.
const CALLBACK: &str = "proxy_on_";
/// Looks like a callback and is the allocator.
const ALLOCATOR: &str = "proxy_on_memory_allocate";
/// The standard library's functions around panic hooks, as they end in Rust's second mangling (RFC 2603).
const HOOKS: [&str; 3] =
    ["3std9panicking8set_hook", "3std9panicking9take_hook", "3std9panicking15panic_with_hook"];

/// A module that is ready, and what was set aside.
#[derive(Debug, PartialEq, Eq)]
pub struct Linked {
    /// The module, without names.
    pub wasm: Vec<u8>,
    /// The content of its name section, when the compiler left one.
    pub names: Option<Vec<u8>>,
}

/// The module with its own callbacks and without what nothing reaches. The same bytes in give the same out.
///
/// # Errors
/// When the module cannot be read.
pub fn link(wasm: &[u8]) -> Result<Linked> {
    let graph = Graph::read(wasm).context("the built module cannot be read")?;
    let is_ours = graph.exports.keys().any(|name| name.starts_with(FOR));
    if !is_ours && graph.pointers.is_none() {
        return names::aside(wasm);
    }
    let mut linker = Linker::new(&graph, is_ours)?;
    let mut module = Module::new();
    linker
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|e| anyhow!("{e}"))
        .context("the built module cannot be linked")?;
    names::aside(&module.finish())
}

/// The number that an expression is, when it is one.
fn constant(expression: &wasmparser::ConstExpr<'_>) -> Result<Option<u32>> {
    Ok(match expression.get_operators_reader().read()? {
        Operator::I32Const { value } => Some(value.cast_unsigned()),
        _ => None,
    })
}

/// What becomes of each function.
struct Linker<'g> {
    graph: &'g Graph,
    /// From a function to the one in its place.
    instead: BTreeMap<u32, u32>,
    /// From a function that stays to its new index, in order.
    kept: BTreeMap<u32, u32>,
    /// Pieces of data that stay, and those that go.
    data: [Vec<Range<u32>>; 2],
    /// The exports that stay.
    exports: BTreeSet<String>,
    /// The module has callbacks of the sdk, so that those of the crate may go.
    is_ours: bool,
    /// The function that the sections are at.
    at: u32,
}

impl<'g> Linker<'g> {
    fn new(graph: &'g Graph, is_ours: bool) -> Result<Self> {
        let mut linker = Self {
            graph,
            instead: BTreeMap::new(),
            kept: BTreeMap::new(),
            data: Default::default(),
            exports: BTreeSet::new(),
            is_ours,
            at: 0,
        };
        for (name, new) in &graph.exports {
            if let Some(old) = name.strip_prefix(FOR).and_then(|name| graph.exports.get(name)) {
                ensure!(graph.is_alike(*old, *new), "`{name}` is no function like the one that it replaces");
                linker.instead.insert(*old, *new);
            }
        }
        let mut reached = linker.settle();
        if let Some(lean) = lean(graph) {
            let plain = linker.instead.clone();
            linker.instead.extend(lean);
            let less = linker.settle();
            let is_reached =
                |hook: &&str| compiled(graph, hook).is_some_and(|f| less.contains(&Node::Function(f)));
            if HOOKS.iter().any(is_reached) {
                linker.instead = plain;
                reached = linker.settle();
            } else {
                reached = less;
            }
        }
        let functions = reached.iter().filter_map(|node| match node {
            Node::Function(function) => Some(*function),
            Node::Data(_) => None,
        });
        linker.kept = functions.zip(0..).collect();
        for (piece, range) in (0..).zip(graph.pointers.iter().flat_map(|p| &p.data)) {
            let [live, dead] = &mut linker.data;
            if reached.contains(&Node::Data(piece)) { live } else { dead }.push(range.clone());
        }
        Ok(linker)
    }

    /// Chooses the exports and gives all that they reach. Each wanted callback may want more.
    fn settle(&mut self) -> BTreeSet<Node> {
        let graph = self.graph;
        let goes = |name: &str| {
            [FOR, LEAN, WANTS, OWN, schema::EXPORT].iter().any(|prefix| name.starts_with(prefix))
                || (name.starts_with(CALLBACK) && name != ALLOCATOR)
        };
        let names = graph.exports.keys();
        self.exports = names.filter(|name| !self.is_ours || !goes(name)).cloned().collect();
        loop {
            let roots: Vec<u32> =
                self.exports.iter().filter_map(|name| graph.exports.get(name)).copied().collect();
            let reached = graph.reach(&roots, |function| self.resolve(function));
            let is_reached = |name: String| {
                graph.exports.get(&name).is_none_or(|wants| reached.contains(&Node::Function(*wants)))
            };
            let callbacks = graph.exports.keys().filter_map(|name| name.strip_prefix(FOR));
            let wanted = callbacks.filter(|name| {
                name.starts_with(CALLBACK)
                    && graph.exports.contains_key(*name)
                    && is_reached(format!("{WANTS}{name}"))
            });
            let before = self.exports.len();
            self.exports.extend(wanted.map(str::to_owned));
            if self.exports.len() == before {
                return reached;
            }
        }
    }

    fn resolve(&self, function: u32) -> u32 {
        self.instead.get(&function).copied().unwrap_or(function)
    }

    /// True when the function that the sections are at stays; then they are at the next one.
    fn step(&mut self) -> bool {
        self.at += 1;
        self.kept.contains_key(&(self.at - 1))
    }
}

/// What [`LEAN`] replaces: all of it or nothing, since another release of the standard library may differ.
fn lean(graph: &Graph) -> Option<Vec<(u32, u32)>> {
    let names = graph.exports.iter().filter_map(|(name, new)| Some((name.strip_prefix(LEAN)?, *new)));
    let pair =
        |(name, new)| compiled(graph, name).filter(|old| graph.is_alike(*old, new)).map(|old| (old, new));
    names.map(pair).collect()
}

/// The function with this name of the compiler's, or with a path in Rust's second mangling that ends so.
fn compiled(graph: &Graph, name: &str) -> Option<u32> {
    let functions = &graph.pointers.as_ref()?.functions;
    let ends = || functions.iter().find(|(known, _)| known.starts_with("_R") && known.ends_with(name));
    functions.get(name).or_else(|| ends().map(|(_, function)| function)).copied()
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
            let body = body?;
            if self.step() {
                self.parse_function_body(code, body)?;
            }
        }
        Ok(())
    }

    /// A table keeps the functions that stay, each at its place.
    fn parse_element_section(
        &mut self,
        elements: &mut ElementSection,
        section: wasmparser::ElementSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        for element in section {
            let element = element?;
            let (ElementKind::Active { table_index, offset_expr }, ElementItems::Functions(functions)) =
                (&element.kind, &element.items)
            else {
                self.parse_element(elements, element)?;
                continue;
            };
            let Some(offset) = constant(offset_expr).map_err(reencode::Error::UserError)? else {
                self.parse_element(elements, element)?;
                continue;
            };
            let mut runs: Vec<(u32, Vec<u32>)> = Vec::new();
            for (place, function) in (offset..).zip(functions.clone()) {
                let Some(kept) = self.kept.get(&self.resolve(function?)).copied() else { continue };
                match runs.last_mut() {
                    Some((start, run)) if *start as usize + run.len() == place as usize => run.push(kept),
                    _ => runs.push((place, vec![kept])),
                }
            }
            for (place, run) in runs {
                let offset = ConstExpr::i32_const(place.cast_signed());
                elements.active(*table_index, &offset, Elements::Functions(run.into()));
            }
        }
        Ok(())
    }

    /// Data keeps the pieces that stay, each at its place.
    fn parse_data_section(
        &mut self,
        data: &mut DataSection,
        section: wasmparser::DataSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        for segment in section {
            let segment = segment?;
            let offset = match &segment.kind {
                // Without addresses nothing is known of data; the code may name its segments.
                DataKind::Active { memory_index: 0, offset_expr } if self.graph.pointers.is_some() => {
                    constant(offset_expr).map_err(reencode::Error::UserError)?
                }
                _ => None,
            };
            let Some(offset) = offset else {
                self.parse_data(data, segment)?;
                continue;
            };
            let [live, dead] = &self.data;
            for part in segments::parts(segment.data, offset, live, dead) {
                let place = offset.cast_signed().wrapping_add(part.start as i32);
                data.active(0, &ConstExpr::i32_const(place), segment.data[part].iter().copied());
            }
        }
        Ok(())
    }

    /// Those of compilers and linkers speak of places in the code, which moved.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error<anyhow::Error>> {
        let of_linkers = [".debug_", "reloc.", "linking"];
        if of_linkers.iter().any(|name| section.name().starts_with(name)) {
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
