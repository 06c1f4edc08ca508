//! Are all names of an expression known? Told when it is read, not when nothing matches.

use super::attributes::{self, ATTRIBUTES, Kind};
use super::{MAX_DEPTH, MAX_LENGTH, MAX_LOOPS, WhereErrorKind, nearest};
use crate::wellknown::{self, NoValue};
use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, SourceInfo};

/// Functions and methods of the standard library that the `cel` crate has; macros (`has`, `all`, …) are expanded
/// before.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// Names that only macros give meaning to; known for hints.
const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "map", "filter"];

/// Names of types, for `type(x) == string`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

type Problem = (usize, WhereErrorKind);

pub(super) fn check(expression: &IdedExpr, source: &SourceInfo, _: usize) -> Result<(), Problem> {
    Walk { source, bound: Vec::new(), free: false, loops: MAX_LOOPS }.expression(expression, 0)
}

/// Functions and limits only: the names are whatever their evaluator knows.
pub(super) fn check_free(expression: &IdedExpr, source: &SourceInfo, length: usize) -> Result<(), Problem> {
    // Lists are as long as the text: the longer it is, the fewer loops inside each other.
    let loops = match length {
        ..=200 => 2 * MAX_LOOPS,
        201..=MAX_LENGTH => MAX_LOOPS,
        _ => 1,
    };
    Walk { source, bound: Vec::new(), free: true, loops }.expression(expression, 0)
}

struct Walk<'a> {
    source: &'a SourceInfo,
    /// Variables of the comprehensions around.
    bound: Vec<&'a str>,
    /// Any name is fine.
    free: bool,
    /// Most loops inside each other.
    loops: usize,
}

impl<'a> Walk<'a> {
    fn offset(&self, id: u64) -> usize {
        self.source.offset_for(id).map_or(0, |(start, _)| start as usize)
    }

    fn expression(&mut self, node: &'a IdedExpr, depth: usize) -> Result<(), Problem> {
        // An operator that was written twenty times in a row nests twenty deep: allow as much again. Envoy allows none.
        let most = if self.free { MAX_DEPTH - 1 } else { 2 * MAX_DEPTH };
        if depth > most {
            return Err((self.offset(node.id), WhereErrorKind::TooDeep));
        }
        let depth = depth + 1;
        match &node.expr {
            Expr::Literal(_) | Expr::Unspecified => Ok(()),
            Expr::Ident(_) | Expr::Select(_) => self.name(node, depth),
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                let operator = name.contains(|c: char| !c.is_ascii_alphanumeric());
                if !operator && !FUNCTIONS.contains(&name) {
                    let known = FUNCTIONS.iter().chain(MACROS).copied();
                    let nearest = nearest(name, known).filter(|near| *near != name);
                    let kind = WhereErrorKind::UnknownFunction { name: name.to_owned(), nearest };
                    return Err((self.offset(node.id), kind));
                }
                // Envoy's parser balances or joins these.
                let flat = self.free && matches!(name, "_&&_" | "_||_" | "!_");
                let depth = if flat { depth - 1 } else { depth };
                call.target
                    .as_deref()
                    .into_iter()
                    .chain(&call.args)
                    .try_for_each(|e| self.expression(e, depth))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|e| self.expression(e, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key, depth)?;
                    self.expression(&entry.value, depth)
                }
                EntryExpr::StructField(field) => self.expression(&field.value, depth),
            }),
            Expr::Comprehension(loops) => {
                self.expression(&loops.iter_range, depth)?;
                self.expression(&loops.accu_init, depth)?;
                let outer = self.bound.len();
                self.bound.extend([loops.accu_var.as_str(), loops.iter_var.as_str()]);
                self.bound.extend(loops.iter_var2.as_deref());
                // Each loop binds two names or three.
                if self.bound.len() > 3 * self.loops || outer >= 2 * self.loops {
                    return Err((self.offset(node.id), WhereErrorKind::TooManyLoops));
                }
                for part in [&loops.loop_cond, &loops.loop_step, &loops.result] {
                    self.expression(part, depth)?;
                }
                self.bound.truncate(outer);
                Ok(())
            }
            Expr::Struct(message) => {
                let offset = self.offset(node.id);
                if !self.free {
                    return Err((offset, WhereErrorKind::Message));
                }
                // As a function that nobody knows: Envoy finds both out at the same time.
                let unknown =
                    |name: &str| WhereErrorKind::UnknownFunction { name: name.to_owned(), nearest: None };
                let name = message.type_name.trim_start_matches('.');
                let Some(fields) = wellknown::fields_of(name) else {
                    let own = wellknown::unknown(name) == NoValue::Unknown;
                    return Err((offset, if own { WhereErrorKind::Message } else { unknown(name) }));
                };
                message.entries.iter().try_for_each(|entry| match &entry.expr {
                    EntryExpr::StructField(field) if fields.contains(&field.field.as_str()) => {
                        self.expression(&field.value, depth)
                    }
                    _ => Err((offset, unknown(name))),
                })
            }
        }
    }

    /// `a`, `a.b.c`, or a field of something computed.
    fn name(&mut self, node: &'a IdedExpr, depth: usize) -> Result<(), Problem> {
        let (mut segments, mut inner, mut test) = (Vec::new(), node, false);
        let root = loop {
            match &inner.expr {
                Expr::Select(select) => {
                    segments.push(select.field.as_str());
                    test |= select.test;
                    inner = &select.operand;
                }
                Expr::Ident(name) => break name.as_str(),
                _ => return self.expression(inner, depth + segments.len()),
            }
            let most = if self.free { (MAX_DEPTH - 1).saturating_sub(depth - 1) } else { MAX_DEPTH };
            if segments.len() > most {
                return Err((self.offset(node.id), WhereErrorKind::TooDeep));
            }
        };
        let offset = self.offset(inner.id);
        if self.free || self.bound.contains(&root) || (segments.is_empty() && TYPES.contains(&root)) {
            return Ok(());
        }
        segments.push(root);
        segments.reverse();
        let name = segments.join(".");
        let known = |name: &str| attributes::find(name).is_some();
        let inside_a_map = (1..segments.len()).any(|n| {
            attributes::find(&segments[..n].join(".")).is_some_and(|attribute| attribute.kind == Kind::Map)
        });
        if known(&name) || inside_a_map {
            return Ok(());
        }
        if !test && segments.len() == 1 && attributes::is_group(root) {
            return Err((offset, WhereErrorKind::Group(root.to_owned())));
        }
        // `request.path.size` is text with a field: the part that is known is no help as a hint.
        let nearest = nearest(&name, ATTRIBUTES.iter().map(|attribute| attribute.name));
        Err((offset, WhereErrorKind::UnknownAttribute { name, nearest }))
    }
}
