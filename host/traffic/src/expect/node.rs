//! YAML as a tree in which every value knows its place.

use super::error::{Problem, Spot};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt::{self, Write as _};
use std::ops::Range;

/// A value of the file.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Spot,
    /// Bytes of the file, quotes included.
    span: Range<usize>,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().map_or(Spot { line: 1, column: 1 }, spot);
        let words = error.to_string();
        // The place comes first in our errors, and options of the parser help nobody.
        let words = words.split(" at line ").next().unwrap_or(&words);
        let words = words.split(", set ").next().unwrap_or(words);
        let words = words.split("; use ").next().unwrap_or(words);
        let problem = Problem::new(at, words);
        match words.starts_with("mapping values are not allowed") {
            true => problem.hint("put text that holds `: ` in quotes, or write it as a block with `>-`"),
            false => problem,
        }
    })
}

impl Node {
    /// What kind of value it is, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a bool",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// As it stands in the file.
    pub(super) fn raw<'a>(&self, file: &'a str) -> &'a str {
        file.get(self.span.clone()).unwrap_or("")
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn expected(&self, what: &str) -> Problem {
        Problem::new(self.at, format!("expected {what}, found {}", self.kind()))
    }

    pub(super) fn as_text(&self, what: &str) -> Result<&str, Problem> {
        self.text().ok_or_else(|| self.expected(what))
    }

    /// A list's items, or the value itself as the only item.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// Text as bytes of traffic. A double-quoted value with an escape from `\x80` to `\xff` is bytes, one for
    /// each character: YAML knows no bytes and makes `U+00FF` of `\xff`. All other text is UTF-8. A number or
    /// a bool is what stands in the file (`1.10` stays `1.10`).
    pub(super) fn bytes(&self, file: &str, what: &str) -> Result<Vec<u8>, Problem> {
        match &self.value {
            Value::Text(text) if has_byte_escape(self.raw(file)) => {
                text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<_, _>>().map_err(|_| {
                    Problem::new(self.at, "characters above U+00FF beside a `\\xff` escape")
                        .hint("write every byte of the value as an escape, or none")
                })
            }
            Value::Text(text) => Ok(text.clone().into_bytes()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Ok(self.raw(file).trim().as_bytes().to_vec()),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.expected(what)),
        }
    }

    /// As JSON, keys in the order of the file.
    pub(super) fn json(&self, out: &mut String) -> Result<(), Problem> {
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => drop(write!(out, "{value}")),
            Value::Int(value) => drop(write!(out, "{value}")),
            Value::Float(value) if value.is_finite() => drop(write!(out, "{value}")),
            Value::Float(_) => return Err(Problem::new(self.at, "JSON has no such number")),
            Value::Text(text) => quote(text, out),
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.json(out)?;
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    quote(key.as_text("a key that is text")?, out);
                    out.push(':');
                    value.json(out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn has_byte_escape(raw: &str) -> bool {
    let escape = |at: usize| {
        // An odd number of backslashes before the `x`: the escape itself, not an escaped backslash.
        let slashes = raw[..at].bytes().rev().take_while(|c| *c == b'\\').count();
        slashes % 2 == 1
            && raw[at + 1..]
                .starts_with(['8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'A', 'B', 'C', 'D', 'E', 'F'])
    };
    raw.starts_with('"') && raw.match_indices('x').any(|(at, _)| escape(at))
}

fn spot(location: serde_saphyr::Location) -> Spot {
    let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Spot { line: clamp(location.line()), column: clamp(location.column()) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let span = spanned.defined.span();
        let start = span.byte_offset().unwrap_or(0) as usize;
        let end = start.saturating_add(span.byte_len().unwrap_or(0) as usize);
        Ok(Self { at: spot(spanned.referenced), span: start..end, value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
