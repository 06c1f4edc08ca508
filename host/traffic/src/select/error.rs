//! What can be wrong with an expression.

use super::{MAX_DEPTH, MAX_LENGTH, MAX_LOOPS};
use cel::ExecutionError;
use std::fmt;

/// An expression that cannot be used, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhereError {
    /// Line in the expression, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub kind: WhereErrorKind,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhereErrorKind {
    /// It does not follow CEL's grammar; the parser's words.
    Syntax(String),
    /// No attribute has this name.
    UnknownAttribute {
        /// As written.
        name: String,
        /// The nearest known one.
        nearest: Option<&'static str>,
    },
    /// No function has this name.
    UnknownFunction {
        /// As written.
        name: String,
        /// The nearest known one.
        nearest: Option<&'static str>,
    },
    /// Only the attributes of this group are values, not the group itself.
    Group(String),
    /// Messages (`Type{field: value}`) have no place here.
    Message,
    /// Longer than [`MAX_LENGTH`] bytes; the length.
    TooLong(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More loops inside each other than [`MAX_LOOPS`].
    TooManyLoops,
    /// A literal pattern of `matches` is no regular expression; why.
    Pattern(String),
    /// The result is not a bool; its type.
    NotBool(String),
    /// Evaluation failed; why.
    Evaluation(String),
}

impl WhereError {
    /// What would make it work, when that is known.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            WhereErrorKind::UnknownAttribute { nearest: Some(name), .. }
            | WhereErrorKind::UnknownFunction { nearest: Some(name), .. } => {
                Some(format!("did you mean `{name}`?"))
            }
            WhereErrorKind::UnknownAttribute { .. } => {
                Some("attributes are named as in Envoy, for instance `request.path`".into())
            }
            WhereErrorKind::Group(name) => Some(format!("write `{name}.` and the name of an attribute")),
            WhereErrorKind::NotBool(_) => {
                Some("compare with something, for instance `… == \"value\"`".into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for WhereError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let located = !matches!(
            self.kind,
            WhereErrorKind::TooLong(_) | WhereErrorKind::NotBool(_) | WhereErrorKind::Evaluation(_)
        );
        if located && self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        if located {
            write!(f, "column {}: ", self.column)?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for WhereErrorKind {
    /// What is wrong, without the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WhereErrorKind::Syntax(text) => f.write_str(text),
            WhereErrorKind::UnknownAttribute { name, .. } => write!(f, "no attribute `{name}`"),
            WhereErrorKind::UnknownFunction { name, .. } => write!(f, "no function `{name}`"),
            WhereErrorKind::Group(name) => write!(f, "`{name}` is a group of attributes, not a value"),
            WhereErrorKind::Message => f.write_str("messages cannot be used here"),
            WhereErrorKind::TooLong(length) => {
                write!(f, "expression of {length} bytes is above the limit of {MAX_LENGTH} bytes")
            }
            WhereErrorKind::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            WhereErrorKind::TooManyLoops => write!(f, "more than {MAX_LOOPS} loops inside each other"),
            WhereErrorKind::Pattern(reason) => write!(f, "not a regular expression: {reason}"),
            WhereErrorKind::NotBool(kind) => write!(f, "expression gives a {kind}, not a bool"),
            WhereErrorKind::Evaluation(text) => write!(f, "expression cannot be evaluated: {text}"),
        }
    }
}

impl std::error::Error for WhereError {}

/// The reason without values of the traffic, which may be secrets.
pub(super) fn without_values(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(overload) => {
            let types = overload.argument_types();
            let name = overload.function().trim_matches('_').trim_start_matches('@');
            format!("`{name}` does not take {}", types.join(" and "))
        }
        ExecutionError::UnexpectedType { got, want } => format!("a {got} where a {want} is needed"),
        ExecutionError::FunctionError { function, message } => {
            format!("`{function}`: {}", message.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("{actual} arguments where {expected} are needed")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".into(),
        ExecutionError::Overflow(..) => "a number overflows".into(),
        ExecutionError::IndexOutOfBounds(_) => "index outside of its list".into(),
        ExecutionError::UnsupportedKeyType(_) => "a map key must be text".into(),
        ExecutionError::DuplicateKey(_) => "a map literal has one key twice".into(),
        _ => "types that do not fit".into(),
    }
}
