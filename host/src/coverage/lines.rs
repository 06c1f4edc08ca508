//! The debug information of a module: which line each address comes from, and its functions.

use super::CoverageError;
use super::code::Module;
use gimli::{AttributeValue, DebuggingInformationEntry, EndianSlice, LineProgramHeader, LittleEndian};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;
type Dwarf<'a> = gimli::Dwarf<Bytes<'a>>;
type Unit<'a> = gimli::Unit<Bytes<'a>>;
type Entry<'a> = DebuggingInformationEntry<Bytes<'a>>;

/// How many references from one entry to the next are followed for a name: a copy points to what it is a copy of,
/// that to what it declares.
const REFERENCES: usize = 4;

/// A line of one of [`Lines::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) line: u32,
}

/// A function of the sources asked for.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) address: u64,
    /// Index of its body in the code section.
    pub(super) body: Option<usize>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) files: Vec<PathBuf>,
    /// From this address on, up to the next entry.
    rows: Vec<(u64, Option<Place>)>,
    /// Lines of functions that the linker left out.
    pub(super) dropped: Vec<Place>,
    /// In order of their addresses.
    pub(super) functions: Vec<Function>,
    /// A source file that was not asked for.
    pub(super) seen: Option<String>,
}

/// Which paths are asked for, each looked at once.
struct Own<'a> {
    own: &'a dyn Fn(&Path) -> bool,
    known: HashMap<PathBuf, Option<usize>>,
}

impl Lines {
    /// Reads line tables and functions; keeps what belongs to files that `own` says yes to.
    pub(super) fn read(module: &Module<'_>, own: &dyn Fn(&Path) -> bool) -> Result<Self, CoverageError> {
        if !module.debug.contains_key(".debug_line") || !module.debug.contains_key(".debug_info") {
            return Err(CoverageError::NoDebugInfo);
        }
        let section = |id: gimli::SectionId| -> Result<Bytes<'_>, gimli::Error> {
            Ok(EndianSlice::new(module.debug.get(id.name()).copied().unwrap_or_default(), LittleEndian))
        };
        let dwarf = Dwarf::load(section)?;
        let mut lines = Self::default();
        let mut own = Own { own, known: HashMap::new() };
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            lines.table(module, &dwarf, &unit, &mut own)?;
            lines.entries(module, &dwarf, &unit, &mut own)?;
        }
        lines.rows.sort_by_key(|(address, _)| *address);
        lines.functions.sort_by_key(|f| f.address);
        lines.dropped.sort_unstable();
        lines.dropped.dedup();
        Ok(lines)
    }

    /// The place that an address comes from.
    pub(super) fn at(&self, address: u64) -> Option<Place> {
        let after = self.rows.partition_point(|(from, _)| *from <= address);
        self.rows.get(after.checked_sub(1)?)?.1
    }

    /// Whether one of the functions has its code here.
    pub(super) fn function_in(&self, range: Range<u64>) -> bool {
        let first = self.functions.partition_point(|f| f.address < range.start);
        self.functions.get(first).is_some_and(|f| f.address < range.end)
    }

    fn table<'a>(
        &mut self,
        module: &Module<'_>,
        dwarf: &Dwarf<'a>,
        unit: &Unit<'a>,
        own: &mut Own<'_>,
    ) -> Result<(), CoverageError> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let mut rows = program.rows();
        // Whether the sequence that is being read is in the module; none before its first row.
        let mut present = None;
        while let Some((header, row)) = rows.next_row()? {
            let here = *present.get_or_insert_with(|| module.body_at(row.address()).is_some());
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
            let place = match (row.end_sequence(), line) {
                (false, Some(line)) => {
                    self.file(dwarf, unit, header, row.file_index(), own)?.map(|file| Place { file, line })
                }
                _ => None,
            };
            if here {
                // Of two rows for one address the later one counts.
                self.rows.push((row.address(), place));
            } else {
                self.dropped.extend(place);
            }
            if row.end_sequence() {
                present = None;
            }
        }
        Ok(())
    }

    fn file<'a>(
        &mut self,
        dwarf: &Dwarf<'a>,
        unit: &Unit<'a>,
        header: &LineProgramHeader<Bytes<'a>>,
        index: u64,
        own: &mut Own<'_>,
    ) -> Result<Option<usize>, CoverageError> {
        let Some(file) = header.file(index) else { return Ok(None) };
        let text = |value| -> Result<String, CoverageError> {
            Ok(dwarf.attr_string(unit, value)?.to_string_lossy().into_owned())
        };
        let mut path = PathBuf::new();
        if let Some(folder) = unit.comp_dir {
            path.push(folder.to_string_lossy().into_owned());
        }
        if let Some(folder) = file.directory(header) {
            path.push(text(folder)?);
        }
        path.push(text(file.path_name())?);
        let path = plain(&path);
        if let Some(known) = own.known.get(&path) {
            return Ok(*known);
        }
        let wanted = (own.own)(&path);
        if !wanted && self.seen.is_none() {
            self.seen = Some(path.display().to_string());
        }
        let index = wanted.then(|| {
            self.files.push(path.clone());
            self.files.len() - 1
        });
        own.known.insert(path, index);
        Ok(index)
    }

    fn entries<'a>(
        &mut self,
        module: &Module<'_>,
        dwarf: &Dwarf<'a>,
        unit: &Unit<'a>,
        own: &mut Own<'_>,
    ) -> Result<(), CoverageError> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(address) = entry.attr_value(gimli::DW_AT_low_pc) else { continue };
            let Some(address) = dwarf.attr_address(unit, address)? else { continue };
            if module.body_at(address).is_none() {
                continue;
            }
            let Some(said) = declared(dwarf, unit, entry)? else { continue };
            if let Some(file) = self.file(dwarf, unit, program.header(), said.file, own)? {
                let place = Place { file, line: said.line };
                self.functions.push(Function { name: said.name, place, address, body: None });
            }
        }
        Ok(())
    }
}

/// Where a function is declared, and how it is called.
struct Declared {
    name: String,
    file: u64,
    line: u32,
}

/// From the entry itself, or from what it is a copy of.
fn declared<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
) -> Result<Option<Declared>, CoverageError> {
    let (mut linkage, mut name, mut file, mut line) = (None, None, None, None);
    let mut entry = entry.clone();
    for _ in 0..REFERENCES {
        let text = |attribute| entry.attr_value(attribute).and_then(|v| dwarf.attr_string(unit, v).ok());
        linkage = linkage.or_else(|| text(gimli::DW_AT_linkage_name));
        name = name.or_else(|| text(gimli::DW_AT_name));
        file = file.or_else(|| match entry.attr_value(gimli::DW_AT_decl_file) {
            Some(AttributeValue::FileIndex(index)) => Some(index),
            other => other.and_then(|v| v.udata_value()),
        });
        line = line.or_else(|| entry.attr_value(gimli::DW_AT_decl_line).and_then(|v| v.udata_value()));
        let origin = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
        let Some(AttributeValue::UnitRef(next)) = origin.into_iter().find_map(|at| entry.attr_value(at))
        else {
            break;
        };
        entry = unit.entry(next)?;
    }
    let (Some(file), Some(line)) = (file, line.and_then(|l| u32::try_from(l).ok())) else { return Ok(None) };
    let name = match (linkage, name) {
        (Some(mangled), _) => format!("{:#}", rustc_demangle::demangle(&mangled.to_string_lossy())),
        (None, Some(name)) => name.to_string_lossy().into_owned(),
        (None, None) => return Ok(None),
    };
    Ok(Some(Declared { name, file, line }))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
