//! Who names whom in a module: functions by calls and by address, data by address.

use super::pointers::{self, Pointers};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{ConstExpr, ElementItems, ExternalKind, Operator, Parser, Payload, TypeRef};

/// What can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// A function by its index.
    Function(u32),
    /// A piece of data by its place in [`Pointers::data`].
    Data(u32),
}

/// The functions of a module.
#[derive(Default)]
pub(super) struct Graph {
    /// How many are imported; those come first.
    pub(super) imported: u32,
    /// Exported functions by name.
    pub(super) exports: BTreeMap<String, u32>,
    /// What runs or can be reached without an export.
    roots: Vec<Node>,
    /// Functions in tables. They are roots where nobody knows which numbers are their addresses.
    table: Vec<u32>,
    /// What each defined function names, in order and without repeats.
    calls: Vec<Vec<u32>>,
    /// Which type each function has.
    types: Vec<u32>,
    /// Which numbers are addresses, when the module says it.
    pub(super) pointers: Option<Pointers>,
}

impl Graph {
    pub(super) fn read(wasm: &[u8]) -> Result<Self> {
        let mut graph = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        if let TypeRef::Func(kind) | TypeRef::FuncExact(kind) = import?.ty {
                            graph.imported += 1;
                            graph.types.push(kind);
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for kind in section {
                        graph.types.push(kind?);
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
                Payload::StartSection { func, .. } => graph.roots.push(Node::Function(func)),
                Payload::ElementSection(section) => {
                    for element in section {
                        match element?.items {
                            ElementItems::Functions(functions) => {
                                for function in functions {
                                    graph.table.push(function?);
                                }
                            }
                            ElementItems::Expressions(_, expressions) => {
                                for expression in expressions {
                                    named(&expression?, &mut graph.table)?;
                                }
                            }
                        }
                    }
                }
                Payload::GlobalSection(section) => {
                    let mut functions = Vec::new();
                    for global in section {
                        named(&global?.init_expr, &mut functions)?;
                    }
                    graph.roots.extend(functions.into_iter().map(Node::Function));
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
        graph.pointers = pointers::read(wasm)?;
        match &graph.pointers {
            Some(pointers) => graph.roots.extend(&pointers.roots),
            None => graph.roots.extend(graph.table.iter().map(|f| Node::Function(*f))),
        }
        Ok(graph)
    }

    /// Everything that runs when these functions may, where `resolve` says which function stands for which.
    pub(super) fn reach(&self, functions: &[u32], resolve: impl Fn(u32) -> u32) -> BTreeSet<Node> {
        let mut reached = BTreeSet::new();
        let start = functions.iter().map(|f| Node::Function(*f));
        let mut next: Vec<Node> = start.chain(self.roots.iter().copied()).collect();
        while let Some(node) = next.pop() {
            let node = match node {
                Node::Function(function) => Node::Function(resolve(function)),
                data => data,
            };
            if !reached.insert(node) {
                continue;
            }
            if let Node::Function(function) = node {
                let defined = function.checked_sub(self.imported).and_then(|at| self.calls.get(at as usize));
                next.extend(defined.into_iter().flatten().map(|f| Node::Function(*f)));
            }
            next.extend(self.pointers.iter().flat_map(|p| p.of(node)));
        }
        reached
    }

    /// True when both take and give the same.
    pub(super) fn is_alike(&self, one: u32, other: u32) -> bool {
        let kind = |function: u32| self.types.get(function as usize);
        kind(one).is_some() && kind(one) == kind(other)
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
