//! Who calls whom in a module.

use anyhow::Result;
use std::collections::BTreeMap;
use wasmparser::{ConstExpr, ElementItems, ExternalKind, Operator, Parser, Payload, TypeRef};

/// The functions of a module.
pub(super) struct Graph {
    /// How many are imported; those come first.
    pub(super) imported: u32,
    /// Exported functions by name.
    pub(super) exports: BTreeMap<String, u32>,
    /// Functions that run or can be called without an export: the start function, those in tables.
    pub(super) roots: Vec<u32>,
    /// What each defined function names, in order and without repeats.
    calls: Vec<Vec<u32>>,
}

impl Graph {
    pub(super) fn read(wasm: &[u8]) -> Result<Self> {
        let mut graph = Self { imported: 0, exports: BTreeMap::new(), roots: Vec::new(), calls: Vec::new() };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        graph.imported += u32::from(is_function(&import?.ty));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            graph.exports.insert(export.name.to_owned(), export.index);
                        }
                    }
                }
                Payload::StartSection { func, .. } => graph.roots.push(func),
                Payload::ElementSection(section) => {
                    for element in section {
                        match element?.items {
                            ElementItems::Functions(functions) => {
                                for function in functions {
                                    graph.roots.push(function?);
                                }
                            }
                            ElementItems::Expressions(_, expressions) => {
                                for expression in expressions {
                                    named(&expression?, &mut graph.roots)?;
                                }
                            }
                        }
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        named(&global?.init_expr, &mut graph.roots)?;
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let mut calls = Vec::new();
                    for operator in body.get_operators_reader()? {
                        name(&operator?, &mut calls);
                    }
                    calls.sort_unstable();
                    calls.dedup();
                    graph.calls.push(calls);
                }
                _ => {}
            }
        }
        Ok(graph)
    }

    /// What this function names; nothing for an import.
    pub(super) fn calls(&self, function: u32) -> &[u32] {
        let defined = function.checked_sub(self.imported).and_then(|at| self.calls.get(at as usize));
        defined.map_or(&[], Vec::as_slice)
    }
}

pub(super) fn is_function(kind: &TypeRef) -> bool {
    matches!(kind, TypeRef::Func(_) | TypeRef::FuncExact(_))
}

fn named(expression: &ConstExpr<'_>, out: &mut Vec<u32>) -> Result<()> {
    for operator in expression.get_operators_reader() {
        name(&operator?, out);
    }
    Ok(())
}

fn name(operator: &Operator<'_>, out: &mut Vec<u32>) {
    match operator {
        Operator::Call { function_index }
        | Operator::ReturnCall { function_index }
        | Operator::RefFunc { function_index } => out.push(*function_index),
        _ => {}
    }
}
