//! Which numbers of a module are addresses: what the linker tells with `--emit-relocs`.
//!
//! Form: <https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md>, version 2.

use super::graph::Node;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ops::Range;
use wasmparser::{DataKind, KnownCustom, Linking, Parser, Payload, RelocationType as Kind};
use wasmparser::{SymbolFlags, SymbolInfo};

/// Who holds the address of what.
#[derive(Default)]
pub(super) struct Pointers {
    /// Pieces of data: where each lies in memory. They may overlap: the linker lets strings share their ends.
    pub(super) data: Vec<Range<u32>>,
    /// Held by what cannot go.
    pub(super) roots: Vec<Node>,
    /// Functions by the name that the compiler gave them.
    pub(super) functions: BTreeMap<String, u32>,
    held: BTreeMap<Node, Vec<Node>>,
}

impl Pointers {
    /// What this one holds the addresses of.
    pub(super) fn of(&self, node: Node) -> impl Iterator<Item = Node> {
        self.held.get(&node).into_iter().flatten().copied()
    }
}

/// Where sections and what is in them lie in the file.
#[derive(Default)]
struct Places {
    /// Start of each section's content, by the section's index.
    sections: Vec<usize>,
    code: Option<usize>,
    data: Option<usize>,
    /// Bodies of functions in order.
    bodies: Vec<Range<usize>>,
    /// Address and place of each active segment's bytes.
    segments: Vec<(u32, Range<usize>)>,
    imported: u32,
}

/// `None` when the module does not say it.
pub(super) fn read(wasm: &[u8]) -> Result<Option<Pointers>> {
    let mut places = Places::default();
    let (mut symbols, mut relocations) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Some((_, range)) = payload.as_section() {
            places.sections.push(range.start);
        }
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    places.imported += u32::from(super::graph::is_function(&import?.ty));
                }
            }
            Payload::CodeSectionStart { range, .. } => places.code = Some(range.start),
            Payload::CodeSectionEntry(body) => places.bodies.push(body.range()),
            Payload::DataSection(section) => {
                places.data = Some(section.range().start);
                for segment in section {
                    let segment = segment?;
                    let DataKind::Active { offset_expr, .. } = segment.kind else { return Ok(None) };
                    let Some(address) = super::constant(&offset_expr)? else { return Ok(None) };
                    let end = segment.range.end;
                    places.segments.push((address, end - segment.data.len()..end));
                }
            }
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Linking(linking) => {
                    for part in linking.subsections() {
                        if let Linking::SymbolTable(table) = part? {
                            symbols = table.into_iter().collect::<Result<_, _>>()?;
                        }
                    }
                }
                KnownCustom::Reloc(section) => relocations.push(section),
                _ => {}
            },
            _ => {}
        }
    }
    if relocations.is_empty() {
        return Ok(None);
    }
    let mut pointers = Pointers::default();
    let nodes: Vec<Option<Node>> =
        symbols.iter().map(|symbol| pointers.symbol(symbol, &places)).collect::<Result<_>>()?;
    for section in relocations {
        let target = places.sections.get(section.section_index() as usize).copied();
        let target = target.context("relocations of a section that is not there")?;
        for entry in section.entries() {
            let entry = entry?;
            let named = match entry.ty {
                Kind::TableIndexSleb | Kind::TableIndexI32 => true,
                Kind::MemoryAddrLeb | Kind::MemoryAddrSleb | Kind::MemoryAddrI32 => true,
                // A call, which the code tells too, and what is no function or data.
                Kind::FunctionIndexLeb | Kind::TypeIndexLeb | Kind::GlobalIndexLeb => false,
                Kind::TableNumberLeb | Kind::FunctionOffsetI32 | Kind::SectionOffsetI32 => false,
                other => bail!("a relocation of a kind that is not known: {other:?}"),
            };
            let node = nodes.get(entry.index as usize).copied().flatten();
            if let Some(node) = node.filter(|_| named) {
                let at = target + entry.offset as usize;
                if Some(target) == places.code {
                    pointers.held_by_code(at, node, &places)?;
                } else if Some(target) == places.data {
                    pointers.held_by_data(at, node, &places)?;
                }
            }
        }
    }
    Ok(Some(pointers))
}

impl Pointers {
    fn symbol(&mut self, symbol: &SymbolInfo<'_>, places: &Places) -> Result<Option<Node>> {
        Ok(match symbol {
            SymbolInfo::Func { index, name, .. } => {
                if let Some(name) = name {
                    self.functions.insert((*name).to_owned(), *index);
                }
                Some(Node::Function(*index))
            }
            SymbolInfo::Data { flags, symbol: Some(known), .. } if !flags.contains(SymbolFlags::ABSOLUTE) => {
                let segment = places.segments.get(known.index as usize);
                let (address, _) = segment.context("data outside of the segments")?;
                let start = address.checked_add(known.offset).context("data outside of memory")?;
                let end = start.checked_add(known.size).context("data outside of memory")?;
                self.data.push(start..end);
                Some(Node::Data(u32::try_from(self.data.len() - 1)?))
            }
            _ => None,
        })
    }

    fn held_by_code(&mut self, at: usize, node: Node, places: &Places) -> Result<()> {
        let body = places.bodies.partition_point(|body| body.end <= at);
        let found = places.bodies.get(body).is_some_and(|range| range.contains(&at));
        anyhow::ensure!(found, "a relocation outside of the functions");
        let holder = Node::Function(places.imported + u32::try_from(body)?);
        self.held.entry(holder).or_default().push(node);
        Ok(())
    }

    /// What lies in no known piece of data stays, and all that it holds.
    fn held_by_data(&mut self, at: usize, node: Node, places: &Places) -> Result<()> {
        let segment = places.segments.iter().find(|(_, range)| range.contains(&at));
        let (address, range) = segment.context("a relocation outside of the data")?;
        let address = address + u32::try_from(at - range.start)?;
        let mut is_known = false;
        for (piece, _) in (0..).zip(&self.data).filter(|(_, piece)| piece.contains(&address)) {
            is_known = true;
            self.held.entry(Node::Data(piece)).or_default().push(node);
        }
        if !is_known {
            self.roots.push(node);
        }
        Ok(())
    }
}
