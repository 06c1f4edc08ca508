//! Literal patterns of `matches`, compiled when the expression is read.

use super::WhereErrorKind;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo};
use cel::common::types::{CelBool, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError, IdedExpr};
use regex::{Regex, RegexBuilder};
use std::any::Any;

/// Bytes of one compiled pattern: a repetition of a repetition grows without bound.
const MAX_COMPILED: usize = 1 << 20;

/// A variable of this name and a number stands for a pattern; no expression can spell it.
const NAME: &str = "@pattern";

static PATTERN_TYPE: Type = Type::new_unspecified_type("pattern");

/// A compiled pattern as a value.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

/// The standard library, `matches` with a compiled pattern, and messages.
pub(super) fn env() -> Env {
    let mut env = Env::stdlib();
    // They can only fail when declared twice: the type is ours alone.
    let args = vec![STRING_TYPE, PATTERN_TYPE.to_owned()];
    let _ = env.add_overload("matches", "matches_pattern", args, matches);
    let args = vec![PATTERN_TYPE.to_owned()];
    let _ = env.add_member_overload("matches", "string_matches_pattern", STRING_TYPE, args, matches);
    super::make::add_to(&mut env);
    env
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match args.as_slice() {
        [text, pattern] => match (text.downcast_ref::<CelString>(), pattern.downcast_ref::<Pattern>()) {
            (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner())))),
            _ => Err(ExecutionError::no_such_overload("matches", Vec::new())),
        },
        _ => Err(ExecutionError::invalid_argument_count(2, args.len())),
    }
}

/// Puts a variable in the place of every literal pattern; its value is in the list at the number of its name.
///
/// One that is no pattern stays where it is when `lenient`: then the evaluation fails. Called after the check of names,
/// which also bounds the depth.
pub(super) fn take(
    node: &mut IdedExpr,
    source: &SourceInfo,
    patterns: &mut Vec<Pattern>,
    lenient: bool,
) -> Result<(), (usize, WhereErrorKind)> {
    match &mut node.expr {
        Expr::Call(call) => {
            if let Some(index) = pattern_index(call) {
                let argument = &mut call.args[index];
                if let Expr::Literal(LiteralValue::String(text)) = &argument.expr {
                    let built = RegexBuilder::new(text.inner()).size_limit(MAX_COMPILED).build();
                    match built {
                        Ok(regex) => {
                            argument.expr = Expr::Ident(format!("{NAME}{}", patterns.len()));
                            patterns.push(Pattern(regex));
                        }
                        Err(_) if lenient => {}
                        Err(error) => {
                            let offset =
                                source.offset_for(argument.id).map_or(0, |(start, _)| start as usize);
                            return Err((offset, WhereErrorKind::Pattern(reason(&error))));
                        }
                    }
                }
            }
            let mut parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
            parts.try_for_each(|part| take(part, source, patterns, lenient))
        }
        Expr::Comprehension(loops) => {
            let parts = [
                &mut loops.iter_range,
                &mut loops.accu_init,
                &mut loops.loop_cond,
                &mut loops.loop_step,
                &mut loops.result,
            ];
            parts.into_iter().try_for_each(|part| take(part, source, patterns, lenient))
        }
        Expr::List(list) => {
            list.elements.iter_mut().try_for_each(|part| take(part, source, patterns, lenient))
        }
        Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                take(&mut entry.key, source, patterns, lenient)?;
                take(&mut entry.value, source, patterns, lenient)
            }
            EntryExpr::StructField(field) => take(&mut field.value, source, patterns, lenient),
        }),
        Expr::Select(select) => take(&mut select.operand, source, patterns, lenient),
        Expr::Struct(message) => {
            let mut call = super::make::call(node.id, message);
            call.args.iter_mut().try_for_each(|part| take(part, source, patterns, lenient))?;
            node.expr = Expr::Call(call);
            Ok(())
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
    }
}

/// Which argument is the pattern, in `text.matches(pattern)` and in `matches(text, pattern)`.
fn pattern_index(call: &CallExpr) -> Option<usize> {
    let index = usize::from(call.target.is_none());
    (call.func_name == "matches" && call.args.len() == index + 1).then_some(index)
}

/// The pattern that a variable stands for.
pub(super) fn find<'a>(patterns: &'a [Pattern], name: &str) -> Option<&'a Pattern> {
    patterns.get(name.strip_prefix(NAME)?.parse::<usize>().ok()?)
}

/// The last line of the library's message; those before it draw the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &PATTERN_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
