//! Expressions of filters (`expr_create`): the same language and library, over whatever the host knows.

use super::bytes::{exact, restored};
use super::headers::Map;
use super::message::Proto;
use super::patterns::{self, Pattern};
use super::{WhereErrorKind, parse};
use crate::{Headers, PropertyValue};
use cel::common::traits::Indexer;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelNull, CelString, CelTimestamp,
    CelUInt, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// What a path leads to.
#[derive(Debug)]
pub enum Found<'a> {
    /// There is nothing.
    Missing,
    /// A group such as `request`, which has fields and no value.
    Group,
    /// Header fields; absent ones are an empty map.
    Headers(Option<&'a Headers>),
    /// A value.
    Value(PropertyValue),
}

/// Who knows the values of an expression's names.
pub trait Lookup: Send + Sync {
    /// Follows a path, for instance `["request", "path"]`.
    fn lookup(&self, path: &[&str]) -> Found<'_>;
}

/// Why there is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpressionError {
    /// It is not CEL.
    Syntax,
    /// It is CEL, with a function that there is not.
    UnknownFunction,
    /// It is right, and its loops may take more steps than an exchange is worth.
    TooCostly,
    /// It makes a protobuf message, which Envoy can for the types that it has.
    Message,
}

/// An expression with names of its own, see [`Lookup`].
#[derive(Debug, Clone)]
pub struct Expression {
    expression: IdedExpr,
    patterns: Vec<Pattern>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none, or one that is beyond this library or the limits of [`super`].
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let (expression, patterns) = parse::parse_free(text).map_err(|error| match error.kind {
            WhereErrorKind::Syntax(_) | WhereErrorKind::TooLong(_) | WhereErrorKind::TooDeep => {
                ExpressionError::Syntax
            }
            WhereErrorKind::TooManyLoops => ExpressionError::TooCostly,
            WhereErrorKind::Message => ExpressionError::Message,
            _ => ExpressionError::UnknownFunction,
        })?;
        Ok(Self { expression, patterns })
    }

    /// Its value; none when it is an error in CEL, for instance when a name is missing. A value without bytes
    /// (a group, a type) is [`PropertyValue::Null`].
    pub fn evaluate(&self, names: &dyn Lookup) -> Option<PropertyValue> {
        let env: Arc<Env> = Arc::new(patterns::env());
        let names = Names { names, patterns: &self.patterns };
        let mut context = Context::with_env(env);
        context.set_variable_resolver(&names);
        let value = Value::resolve_val(&self.expression, &context).ok()?;
        Some(plain(value.as_ref()).unwrap_or(PropertyValue::Null))
    }
}

struct Names<'a> {
    names: &'a dyn Lookup,
    patterns: &'a [Pattern],
}

impl VariableResolver for Names<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(pattern) = patterns::find(self.patterns, name) {
            return Some(CowVal::Borrowed(pattern));
        }
        found(self.names, name.split('.').map(str::to_owned).collect())
    }
}

fn found(names: &dyn Lookup, path: Vec<String>) -> Option<CowVal<'_, '_>> {
    static NONE: Headers = Headers::new();
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.lookup(&segments) {
        Found::Missing => None,
        Found::Group => Some(CowVal::owned(Group { names: Shared(names), path })),
        Found::Headers(headers) => Some(CowVal::owned(Map::new(headers.unwrap_or(&NONE), exact))),
        Found::Value(value) => Some(CowVal::Owned(boxed(value))),
    }
}

/// A reference that can be shown.
#[derive(Clone, Copy)]
struct Shared<'a>(&'a dyn Lookup);

impl std::fmt::Debug for Shared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("names")
    }
}

/// A group of names, for `request['path']` and `has(request.path)`.
#[derive(Debug, Clone)]
struct Group<'a> {
    names: Shared<'a>,
    path: Vec<String>,
}

impl<'a> Group<'a> {
    fn field(&self, key: &dyn Val) -> Result<CowVal<'a, 'a>, ExecutionError> {
        let key = key.downcast_ref::<CelString>().map_or("", |key| key.inner());
        let mut path = self.path.clone();
        path.push(key.to_owned());
        found(self.names.0, path).ok_or_else(|| ExecutionError::NoSuchKey(Arc::new(String::new())))
    }
}

impl Val for Group<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Group<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(CowVal::Owned(self.field(key)?.into_owned()))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.field(key)?.into_owned())
    }
}

pub(super) fn boxed(value: PropertyValue) -> Box<dyn Val> {
    match value {
        PropertyValue::Null => Box::new(CelNull),
        PropertyValue::Bool(value) => Box::new(CelBool::from(value)),
        PropertyValue::Int(value) => Box::new(CelInt::from(value)),
        PropertyValue::Uint(value) => Box::new(CelUInt::from(value)),
        PropertyValue::Double(value) => Box::new(CelDouble::from(value)),
        PropertyValue::Text(value) => Box::new(CelString::from(value)),
        PropertyValue::Bytes(value) => Box::new(CelBytes::from(value)),
        PropertyValue::Duration(nanos) => Box::new(CelDuration::from(chrono::Duration::nanoseconds(nanos))),
        PropertyValue::Timestamp(nanos) => {
            Box::new(CelTimestamp::from(chrono::DateTime::from_timestamp_nanos(nanos).fixed_offset()))
        }
        PropertyValue::List(list) => {
            Box::new(CelList::from(list.into_iter().map(boxed).collect::<Vec<Box<dyn Val>>>()))
        }
        PropertyValue::Message(message) => Box::new(Proto(message)),
        PropertyValue::Map(map) => {
            let entry = |(key, value): (PropertyValue, PropertyValue)| {
                Some((boxed(key).try_into().ok()?, boxed(value)))
            };
            Box::new(CelMap::from(map.into_iter().filter_map(entry).collect::<HashMap<_, Box<dyn Val>>>()))
        }
    }
}

/// None for what has no bytes. Maps come in order of their keys: the library has none.
pub(super) fn plain(value: &dyn Val) -> Option<PropertyValue> {
    if let Some(map) = value.downcast_ref::<CelMap>() {
        let mut entries = Vec::new();
        for (key, value) in map.inner() {
            entries.push((plain(key.inner())?, plain(value.as_ref())?));
        }
        entries.sort_by_cached_key(|(key, _)| format!("{key:?}"));
        return Some(PropertyValue::Map(entries));
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return Some(PropertyValue::List(
            list.inner().iter().map(|v| plain(v.as_ref())).collect::<Option<_>>()?,
        ));
    }
    if let Some(message) = value.downcast_ref::<Proto>() {
        return Some(PropertyValue::Message(message.0.clone()));
    }
    if *value.get_type() == MAP_TYPE {
        return headers(value);
    }
    Some(match Value::try_from(value).ok()? {
        // A type is text for the library and nothing for Envoy.
        Value::String(text) if value.downcast_ref::<CelString>().is_some() => {
            restored(Arc::unwrap_or_clone(text))
        }
        Value::Null => PropertyValue::Null,
        Value::Bool(value) => PropertyValue::Bool(value),
        Value::Int(value) => PropertyValue::Int(value),
        Value::UInt(value) => PropertyValue::Uint(value),
        Value::Float(value) => PropertyValue::Double(value),
        Value::Bytes(value) => PropertyValue::Bytes(Arc::unwrap_or_clone(value)),
        Value::Duration(value) => PropertyValue::Duration(value.num_nanoseconds()?),
        Value::Timestamp(value) => PropertyValue::Timestamp(value.timestamp_nanos_opt()?),
        _ => return None,
    })
}

/// Our own map of header fields; a group cannot be iterated and gives none.
fn headers(value: &dyn Val) -> Option<PropertyValue> {
    let (fields, index) = (value.as_iterable()?, value.as_indexer()?);
    let (mut fields, mut entries) = (fields.iter(), Vec::new());
    while let Some(name) = fields.next() {
        let field = index.get(name).ok()?;
        entries.push((plain(name)?, plain(field.as_ref())?));
    }
    Some(PropertyValue::Map(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Lookup for Known {
        fn lookup(&self, path: &[&str]) -> Found<'_> {
            match path {
                ["a"] => Found::Group,
                ["a", "b"] => Found::Value(PropertyValue::Int(7)),
                ["m"] => Found::Value(PropertyValue::Map(vec![(
                    PropertyValue::Text("k".into()),
                    PropertyValue::List(vec![PropertyValue::Uint(1)]),
                )])),
                ["none"] => Found::Headers(None),
                _ => Found::Missing,
            }
        }
    }

    fn value(text: &str) -> Option<PropertyValue> {
        Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).evaluate(&Known)
    }

    #[test]
    fn envoy_2_10_names_groups_and_maps() {
        assert_eq!(value("a.b + 1"), Some(PropertyValue::Int(8)));
        assert_eq!(value("a['b']"), Some(PropertyValue::Int(7)));
        assert_eq!(value("has(a.b) && !has(a.c)"), Some(PropertyValue::Bool(true)));
        assert_eq!(value("m.k[0]"), Some(PropertyValue::Uint(1)));
        assert_eq!(value("m"), Known.lookup(&["m"]).into_value());
        assert_eq!(value("none"), Some(PropertyValue::Map(Vec::new())));
        assert_eq!(value("'x' in none"), Some(PropertyValue::Bool(false)));
        assert_eq!(value("a"), Some(PropertyValue::Null));
        assert_eq!(value("type(1)"), Some(PropertyValue::Null));
        assert_eq!(value("nothing"), None);
        assert_eq!(value("1/0"), None);
        assert_eq!(value("'abc'.matches('^a.c$')"), Some(PropertyValue::Bool(true)));
        assert_eq!(value("{'a': 1, 'b': 2.5}['b']"), Some(PropertyValue::Double(2.5)));
    }

    #[test]
    fn envoy_2_10_what_is_no_expression() {
        for text in ["1+", "", "(", "has(a['b'])"] {
            assert_eq!(Expression::parse(text).unwrap_err(), ExpressionError::Syntax, "{text}");
        }
        for text in ["nofunction(1)", "a.lowerAscii()"] {
            assert_eq!(Expression::parse(text).unwrap_err(), ExpressionError::UnknownFunction, "{text}");
        }
        let nested = |n| format!("{}1{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(value(&nested(32)), Some(PropertyValue::Int(1)));
        for (text, good) in
            [("[".repeat(31) + "1" + &"]".repeat(31), true), ("-(".repeat(31) + "1" + &")".repeat(31), true)]
        {
            assert_eq!(Expression::parse(&text).is_ok(), good, "{text}");
        }
        let chain = |with: &str, n| vec![if with == "+" { "1" } else { "true" }; n].join(with);
        for text in [
            nested(33),
            "[".repeat(32) + "1" + &"]".repeat(32),
            chain("+", 33),
            format!("a{}", ".b".repeat(32)),
        ] {
            assert_eq!(Expression::parse(&text).unwrap_err(), ExpressionError::Syntax, "{text}");
        }
        for text in [
            chain("+", 32),
            chain("&&", 200),
            chain("||", 200),
            "!".repeat(200) + "true",
            format!("a{}", ".b".repeat(31)),
        ] {
            assert!(Expression::parse(&text).is_ok(), "{text}");
        }
        let long = |n: usize| format!("'{}'", "a".repeat(n - 2));
        assert!(Expression::parse(&long(100_000)).is_ok());
        assert_eq!(Expression::parse(&long(100_001)).unwrap_err(), ExpressionError::Syntax);
        let loops = |n: usize| (0..n).fold("true".to_owned(), |inner, n| format!("[1].all(x{n},{inner})"));
        assert_eq!(value(&loops(4)), Some(PropertyValue::Bool(true)));
        assert_eq!(Expression::parse(&loops(5)).unwrap_err(), ExpressionError::TooCostly);
        assert_eq!(value("'a'.matches('(')"), None);
    }

    impl Found<'_> {
        fn into_value(self) -> Option<PropertyValue> {
            match self {
                Found::Value(value) => Some(value),
                _ => None,
            }
        }
    }
}
