//! The code of a module: its stretches without a branch, and the module anew with counters in them.

use super::{COUNTER, CoverageError};
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{BinaryReader, FunctionBody, Operator, Parser, Payload, TypeRef};

const GLOBAL_SECTION: u8 = 6;
const EXPORT_SECTION: u8 = 7;
const CODE_SECTION: u8 = 10;

/// A module, as far as counters and debug information need it.
pub(super) struct Module<'a> {
    /// Number and contents of each section, in order.
    sections: Vec<(u8, Range<usize>)>,
    pub(super) bodies: Vec<Body>,
    /// Globals that there are: the counters come behind them.
    globals: u32,
    /// The DWARF sections by name.
    pub(super) debug: HashMap<&'a str, &'a [u8]>,
    /// Where the contents of the code section begin: DWARF counts from there (WebAssembly tool conventions, "DWARF").
    code: usize,
}

/// A function's body.
pub(super) struct Body {
    pub(super) range: Range<usize>,
}

/// Operators of which none branches, calls or is branched to, but for the first and the last.
#[derive(Default)]
pub(super) struct Block {
    /// Offset of its first operator in the module.
    pub(super) start: usize,
    /// Offsets of the operators that do something. The others (`end`, `else`, …) are as good as nowhere: they
    /// carry the line of what stands before them, reached or not.
    pub(super) operators: Vec<usize>,
}

impl<'a> Module<'a> {
    pub(super) fn read(wasm: &'a [u8]) -> Result<Self, CoverageError> {
        let mut module =
            Self { sections: Vec::new(), bodies: Vec::new(), globals: 0, debug: HashMap::new(), code: 0 };
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::ImportSection(section) => {
                    for import in section.clone().into_imports() {
                        module.globals += u32::from(matches!(import?.ty, TypeRef::Global(_)));
                    }
                }
                Payload::GlobalSection(section) => module.globals += section.count(),
                Payload::CodeSectionStart { range, .. } => module.code = range.start,
                Payload::CodeSectionEntry(body) => module.bodies.push(Body { range: body.range() }),
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    module.debug.insert(section.name(), section.data());
                    continue;
                }
                _ => {}
            }
            module.sections.extend(payload.as_section());
        }
        Ok(module)
    }

    /// A place in the module as DWARF counts it.
    pub(super) fn address_of(&self, offset: usize) -> u64 {
        offset.saturating_sub(self.code) as u64
    }

    pub(super) fn address(&self, range: &Range<usize>) -> Range<u64> {
        self.address_of(range.start)..self.address_of(range.end)
    }

    /// The function body that holds an address.
    pub(super) fn body_at(&self, address: u64) -> Option<usize> {
        let after = self.bodies.partition_point(|b| self.address_of(b.range.start) <= address);
        let index = after.checked_sub(1)?;
        (address < self.address_of(self.bodies[index].range.end)).then_some(index)
    }

    /// The module with `total` counters; `at` has for each body where they go, in order.
    pub(super) fn with_counters(&self, wasm: &[u8], at: &[Vec<(usize, usize)>], total: usize) -> Vec<u8> {
        let mut out = wasm[..8].to_vec();
        let had_globals = self.sections.iter().any(|(id, _)| *id == GLOBAL_SECTION);
        for (id, range) in &self.sections {
            let content = &wasm[range.clone()];
            match *id {
                GLOBAL_SECTION => section(&mut out, *id, &grown(content, total, &mut counter_global)),
                EXPORT_SECTION => {
                    // Only custom sections may stand between: globals come right before exports.
                    if !had_globals {
                        section(&mut out, GLOBAL_SECTION, &grown(&[0], total, &mut counter_global));
                    }
                    let mut export = |index: usize, out: &mut Vec<u8>| {
                        let name = format!("{COUNTER}{index}");
                        leb(name.len() as u64, out);
                        out.extend_from_slice(name.as_bytes());
                        out.push(3);
                        leb(u64::from(self.globals) + index as u64, out);
                    };
                    section(&mut out, *id, &grown(content, total, &mut export));
                }
                CODE_SECTION => section(&mut out, *id, &self.code_section(wasm, at)),
                _ => section(&mut out, *id, content),
            }
        }
        out
    }

    fn code_section(&self, wasm: &[u8], at: &[Vec<(usize, usize)>]) -> Vec<u8> {
        let mut code = Vec::new();
        leb(self.bodies.len() as u64, &mut code);
        let mut anew = Vec::new();
        for (body, counters) in self.bodies.iter().zip(at) {
            anew.clear();
            let mut from = body.range.start;
            for (offset, index) in counters {
                anew.extend_from_slice(&wasm[from..*offset]);
                count(u64::from(self.globals) + *index as u64, &mut anew);
                from = *offset;
            }
            anew.extend_from_slice(&wasm[from..body.range.end]);
            leb(anew.len() as u64, &mut code);
            code.extend_from_slice(&anew);
        }
        code
    }
}

impl Body {
    /// Its stretches, in order.
    pub(super) fn blocks(&self, wasm: &[u8]) -> Result<Vec<Block>, CoverageError> {
        let body = FunctionBody::new(BinaryReader::new(&wasm[self.range.clone()], self.range.start));
        let mut blocks: Vec<Block> = Vec::new();
        let mut leads = true;
        for operator in body.get_operators_reader()?.into_iter_with_offsets() {
            let (operator, offset) = operator?;
            if leads {
                blocks.push(Block { start: offset, operators: Vec::new() });
            }
            let shape = shape(&operator);
            if shape.works
                && let Some(block) = blocks.last_mut()
            {
                block.operators.push(offset);
            }
            leads = shape.ends;
        }
        Ok(blocks)
    }
}

struct Shape {
    /// It does something by itself.
    works: bool,
    /// What follows it may run more or less often.
    ends: bool,
}

fn shape(operator: &Operator<'_>) -> Shape {
    use Operator as O;
    let (works, ends) = match operator {
        O::Block { .. } | O::Nop | O::TryTable { .. } | O::Try { .. } => (false, false),
        O::Loop { .. } | O::Else | O::End | O::Catch { .. } | O::CatchAll | O::Delegate { .. } => (false, true),
        O::If { .. }
        | O::Br { .. }
        | O::BrIf { .. }
        | O::BrTable { .. }
        | O::BrOnNull { .. }
        | O::BrOnNonNull { .. }
        | O::BrOnCast { .. }
        | O::BrOnCastFail { .. }
        | O::Return
        | O::Unreachable
        | O::Throw { .. }
        | O::ThrowRef
        | O::Rethrow { .. }
        // A call may never come back: what stands behind it is counted apart.
        | O::Call { .. }
        | O::CallIndirect { .. }
        | O::CallRef { .. }
        | O::ReturnCall { .. }
        | O::ReturnCallIndirect { .. }
        | O::ReturnCallRef { .. } => (true, true),
        _ => (true, false),
    };
    Shape { works, ends }
}

/// `global.get`, `i64.const 1`, `i64.add`, `global.set`: nothing on the stack before and after, no memory touched.
fn count(global: u64, out: &mut Vec<u8>) {
    out.push(0x23);
    leb(global, out);
    out.extend_from_slice(&[0x42, 1, 0x7c, 0x24]);
    leb(global, out);
}

/// A mutable i64 that begins at 0.
fn counter_global(_: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x7e, 1, 0x42, 0, 0x0b]);
}

/// The content of a list section with `more` entries at its end.
fn grown(content: &[u8], more: usize, entry: &mut dyn FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut reader = BinaryReader::new(content, 0);
    // The section was read before, so it begins with its count.
    let count = reader.read_var_u32().unwrap_or(0);
    let mut out = Vec::new();
    leb(u64::from(count) + more as u64, &mut out);
    out.extend_from_slice(&content[reader.original_position().min(content.len())..]);
    (0..more).for_each(|index| entry(index, &mut out));
    out
}

fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    leb(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// Unsigned LEB128 (WebAssembly core specification, "Integers").
fn leb(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}
