//! Conditions on numbers and on bytes.

use super::error::Problem;
use super::fields::Fields;
use super::node::{Node, Value};
use std::fmt;

/// A condition on a number: `10`, `"== 10"`, `"< 20000"`, `">= 10"`, `"!= 0"`. Digits may be grouped by `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    op: Op,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Longer ones first: `<=` starts with `<`.
const OPS: [(&str, Op); 6] =
    [("==", Op::Eq), ("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge), ("<", Op::Lt), (">", Op::Gt)];

impl Comparison {
    /// Equal to `number`.
    pub const fn exactly(number: u64) -> Self {
        Self { op: Op::Eq, number }
    }

    /// Whether it holds.
    pub const fn holds(self, value: u64) -> bool {
        match self.op {
            Op::Eq => value == self.number,
            Op::Ne => value != self.number,
            Op::Lt => value < self.number,
            Op::Le => value <= self.number,
            Op::Gt => value > self.number,
            Op::Ge => value >= self.number,
        }
    }

    pub(super) fn read(node: &Node) -> Result<Self, Problem> {
        let wrong = || {
            Problem::new(node.at, "expected a number or a comparison")
                .hint("for instance `10`, `\">= 10\"`, `\"< 20000\"`")
        };
        match &node.value {
            Value::Int(number) => u64::try_from(*number).map(Self::exactly).map_err(|_| wrong()),
            Value::Text(text) => {
                let text = text.trim();
                let (op, rest) = OPS
                    .iter()
                    .find_map(|(sign, op)| text.strip_prefix(sign).map(|rest| (*op, rest)))
                    .unwrap_or((Op::Eq, text));
                let digits = rest.trim().replace('_', "");
                let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
                let number = plain.then(|| digits.parse().ok()).flatten().ok_or_else(wrong)?;
                Ok(Self { op, number })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OPS.iter().find(|(_, op)| *op == self.op && *op != Op::Eq) {
            Some((sign, _)) => write!(f, "{sign} {}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

/// A condition on the value of a header or on a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// Exactly these bytes.
    Exact(Vec<u8>),
    /// Starts with them.
    Prefix(Vec<u8>),
    /// Ends with them.
    Suffix(Vec<u8>),
    /// Holds them.
    Contains(Vec<u8>),
    /// Is there, whatever its value.
    Present,
    /// Is not there.
    Absent,
}

pub(super) const MATCHER_KEYS: &[&str] = &["exact", "prefix", "suffix", "contains", "present", "absent"];

impl Matcher {
    /// Whether it holds for the values of a header, in order. Of several values one must match.
    pub fn holds<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            Matcher::Present => values.next().is_some(),
            Matcher::Absent => values.next().is_none(),
            Matcher::Exact(want) => values.any(|value| value == want),
            Matcher::Prefix(want) => values.any(|value| value.starts_with(want)),
            Matcher::Suffix(want) => values.any(|value| value.ends_with(want)),
            Matcher::Contains(want) => {
                let finder = memchr::memmem::Finder::new(want);
                values.any(|value| finder.find(value).is_some())
            }
        }
    }

    pub(super) fn read(node: &Node, file: &str) -> Result<Self, Problem> {
        let what = "a value or a matcher";
        if !matches!(node.value, Value::Map(_)) {
            return node.bytes(file, what).map(Matcher::Exact);
        }
        let fields = Fields::of(node, "a matcher", MATCHER_KEYS)?;
        let bytes = |key| fields.read(key, |node| node.bytes(file, "text"));
        let flag = |key, matcher| {
            fields.read(key, |node| match node.value {
                Value::Bool(true) => Ok(matcher),
                _ => Err(Problem::new(node.at, format!("`{key}` can only be `true`"))),
            })
        };
        let all = [
            bytes("exact")?.map(Matcher::Exact),
            bytes("prefix")?.map(Matcher::Prefix),
            bytes("suffix")?.map(Matcher::Suffix),
            bytes("contains")?.map(Matcher::Contains),
            flag("present", Matcher::Present)?,
            flag("absent", Matcher::Absent)?,
        ];
        let mut all = all.into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(matcher), None) => Ok(matcher),
            _ => Err(Problem::new(node.at, "a matcher has exactly one key")
                .hint(format!("one of {}", MATCHER_KEYS.join(", ")))),
        }
    }

    /// What is wanted, its bytes shown by `show`.
    pub(super) fn describe(&self, show: impl Fn(&[u8]) -> String) -> String {
        match self {
            Matcher::Exact(want) => show(want),
            Matcher::Prefix(want) => format!("prefix {}", show(want)),
            Matcher::Suffix(want) => format!("suffix {}", show(want)),
            Matcher::Contains(want) => format!("something with {}", show(want)),
            Matcher::Present => "any value".into(),
            Matcher::Absent => "none".into(),
        }
    }
}

/// A condition on a named field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMatcher {
    /// The name, in lower case.
    pub name: String,
    /// What its value must be.
    pub matcher: Matcher,
}
