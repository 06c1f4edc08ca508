//! Which exchanges are meant: CEL over Envoy's attribute names.

mod attributes;
mod bytes;
mod error;
mod flags;
mod free;
mod headers;
mod make;
mod message;
mod names;
mod nearest;
mod parse;
mod patterns;

pub use attributes::ATTRIBUTES;
pub use bytes::exact;
pub use error::{WhereError, WhereErrorKind};
pub use free::{Expression, ExpressionError, Found, Lookup};
pub(crate) use nearest::nearest;

use crate::Exchange;
use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, Value};
use std::sync::Arc;

/// Bytes of one expression. What people write is below 300; the parser's time grows with it.
pub const MAX_LENGTH: usize = 2_048;

/// Levels of nesting, of brackets as well as of operators: evaluation uses the stack.
pub const MAX_DEPTH: usize = 32;

/// `all`, `exists`, `map` and the like inside each other. Each multiplies the steps by the length of its list;
/// lists are as long as the expression or the headers.
pub const MAX_LOOPS: usize = 2;

/// A condition on exchanges: [CEL](https://cel.dev) over the [`ATTRIBUTES`] of Envoy.
///
/// As in Envoy, an attribute or map key that an exchange lacks is an error in CEL, and then the exchange does
/// not match; `"name" in request.headers` and `has(request.referer)` ask first. Header names are looked up
/// without case, several values of one name are joined by a comma. Text that is not UTF-8 is seen with `U+FFFD`
/// for each wrong byte.
///
/// Evaluation ends: CEL has no unbounded loop, and [`MAX_LENGTH`], [`MAX_DEPTH`] and [`MAX_LOOPS`] bound what
/// can be written. Attributes are computed when an expression asks for them, headers without a copy.
#[derive(Clone)]
pub struct Where {
    text: Arc<str>,
    expression: Arc<cel::IdedExpr>,
    patterns: Arc<[patterns::Pattern]>,
    env: Arc<Env>,
}

impl Where {
    /// Reads an expression.
    ///
    /// # Errors
    /// With line and column: bad syntax, an attribute or function that does not exist (with the nearest
    /// that does), a bad regular expression, or a limit.
    pub fn parse(text: &str) -> Result<Self, WhereError> {
        let (expression, patterns) = parse::parse(text)?;
        Ok(Self {
            text: text.into(),
            expression: Arc::new(expression),
            patterns: patterns.into(),
            env: Arc::new(patterns::env()),
        })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `exchange` is meant.
    ///
    /// # Errors
    /// When the expression makes no sense for the values: types that do not fit, a result that is not a bool,
    /// a bad regular expression that is not a literal. It would most likely fail for each exchange, so it is not a silent `false`.
    pub fn matches(&self, exchange: &Exchange) -> Result<bool, WhereError> {
        let attributes = attributes::Attributes::new(exchange, &self.patterns);
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(&attributes);
        match Value::resolve_val(&self.expression, &context) {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(bool) => Ok(*bool.inner()),
                None => Err(self.error(WhereErrorKind::NotBool(value.get_type().name().to_owned()))),
            },
            Err(ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_)) => Ok(false),
            Err(error) => Err(self.error(WhereErrorKind::Evaluation(error::without_values(&error)))),
        }
    }

    fn error(&self, kind: WhereErrorKind) -> WhereError {
        WhereError { line: 1, column: 1, kind }
    }
}

impl std::fmt::Debug for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Where").field(&self.text).finish()
    }
}

impl PartialEq for Where {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
