//! Expressions that make a message (`google.protobuf.Duration{seconds: 1}`): a call of a function with its fields.

use super::free::{boxed, plain};
use crate::wellknown;
use cel::common::ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, StructExpr};
use cel::common::types::{CelList, CelString, LIST_TYPE, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{Env, ExecutionError, IdedExpr};

/// No expression can spell it.
const NAME: &str = "@message";

pub(super) fn add_to(env: &mut Env) {
    // It can only fail when declared twice.
    let _ = env.add_overload(NAME, "message", vec![STRING_TYPE, LIST_TYPE], make);
}

/// The call that stands for a message: its type, and names and values of its fields in turns.
pub(super) fn call(id: u64, message: &StructExpr) -> CallExpr {
    let text = |text: &str| IdedExpr {
        id,
        expr: Expr::Literal(LiteralValue::String(CelString::from(text.to_owned()))),
    };
    let field = |entry: &cel::common::ast::IdedEntryExpr| match &entry.expr {
        EntryExpr::StructField(field) => vec![text(&field.field), field.value.clone()],
        EntryExpr::MapEntry(_) => Vec::new(),
    };
    let fields = ListExpr::new(message.entries.iter().flat_map(field).collect());
    let name = text(message.type_name.trim_start_matches('.'));
    let args = vec![name, IdedExpr { id, expr: Expr::List(fields) }];
    CallExpr { func_name: NAME.into(), target: None, args }
}

fn make<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let no = || ExecutionError::no_such_overload(NAME, Vec::new());
    let [name, fields] = args.as_slice() else { return Err(no()) };
    let name = name.downcast_ref::<CelString>().ok_or_else(no)?;
    let fields = fields.downcast_ref::<CelList>().ok_or_else(no)?;
    let (mut rest, mut pairs) = (fields.inner().iter(), Vec::new());
    while let (Some(name), Some(value)) = (rest.next(), rest.next()) {
        let name = name.as_ref().downcast_ref::<CelString>().ok_or_else(no)?;
        pairs.push((name.inner().to_owned(), plain(value.as_ref()).ok_or_else(no)?));
    }
    let value = wellknown::make(name.inner(), pairs).ok_or_else(no)?;
    Ok(CowVal::Owned(boxed(value)))
}
