//! `expr_create`, `expr_evaluate`, `expr_delete`: CEL over the filter's properties.

use super::{Answer, Stop, unsupported};
use crate::properties::encode;
use crate::stage::{Asked, Desk, view};
use crate::vm::Broke;
use tamis_abi::Status;
use tamis_traffic::FaultKind;
use tamis_traffic::select::{Expression, ExpressionError};

/// Most expressions that one root makes (65,536), deleted ones counted; beyond it the playback ends.
const EXPRESSIONS_LIMIT: usize = 65_536;

/// Bytes of the texts of all expressions of one root (8 MiB), deleted ones counted. Each takes some fifty times as much
/// once it is read.
const EXPRESSED_LIMIT: usize = 8 << 20;

/// Gives the token of a new expression of the root; 2 for what is none. A call of an unknown function uses a
/// token up.
pub(super) fn create(desk: &mut Desk, text: &[u8]) -> Answer<Vec<u8>> {
    let text = std::str::from_utf8(text).map_err(|_| Status::BadArgument)?;
    let plugin = desk.plugins.get_mut(desk.at.current.filter).ok_or(Status::NotFound)?;
    let expressions = &mut plugin.expressions;
    if expressions.len() >= EXPRESSIONS_LIMIT {
        let (what, unit) = ("expressions", "of one root");
        return Err(crate::world::LimitReached { what, limit: EXPRESSIONS_LIMIT, unit }.into());
    }
    plugin.expressed += text.len();
    if plugin.expressed > EXPRESSED_LIMIT {
        let (what, unit) = ("expressions", "bytes of text");
        return Err(crate::world::LimitReached { what, limit: EXPRESSED_LIMIT, unit }.into());
    }
    match Expression::parse(text) {
        Ok(expression) => {
            let token = expressions.len() as u32;
            expressions.push(Some(expression));
            Ok(token.to_le_bytes().to_vec())
        }
        Err(ExpressionError::Syntax) => Err(Status::BadArgument.into()),
        Err(ExpressionError::UnknownFunction) => {
            expressions.push(None);
            Err(Status::BadArgument.into())
        }
        Err(ExpressionError::Message) => {
            Err(unsupported::end("an expression that makes a message of this type"))
        }
        Err(ExpressionError::TooCostly) => {
            let text = "an expression with so many loops inside each other may never end; Envoy stops it after some steps";
            Err(Stop::End(Broke::new(FaultKind::OutOfFuel, text)))
        }
    }
}

/// The value where the filter stands, in the bytes of a property: 1 for an unknown token, 10 for an error in CEL,
/// 3 for a value without bytes.
pub(super) fn evaluate(desk: &mut Desk, token: &[u8]) -> Answer<Vec<u8>> {
    let at = desk.at.current;
    let token = number(token)?;
    desk.manage_response();
    let plugin = desk.plugins.get(at.filter).ok_or(Status::NotFound)?;
    let expression = plugin.expressions.get(token).and_then(Option::as_ref).ok_or(Status::NotFound)?;
    let asked = Asked::new(view(desk, at).ok_or(Status::NotFound)?);
    let value = expression.evaluate(&asked);
    if let Some(what) = asked.beyond.get() {
        return Err(unsupported::end(what));
    }
    let value = value.ok_or(Stop::Tell(Status::InternalFailure))?;
    Ok(encode(&value, false)?)
}

/// Always 0 for a token, known or not.
pub(super) fn delete(desk: &mut Desk, token: &[u8]) -> Answer {
    let token = number(token)?;
    let plugin = desk.plugins.get_mut(desk.at.current.filter).ok_or(Status::NotFound)?;
    if let Some(expression) = plugin.expressions.get_mut(token) {
        *expression = None;
    }
    Ok(())
}

fn number(token: &[u8]) -> Answer<usize> {
    let token = token.try_into().map_err(|_| Status::BadArgument)?;
    Ok(usize::try_from(u32::from_le_bytes(token)).unwrap_or(usize::MAX))
}
