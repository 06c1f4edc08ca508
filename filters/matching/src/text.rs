//! Matching of byte strings: exact, prefix, suffix, contains, regular expression.

use crate::ConfigError;
use crate::literal::required;
use crate::memo::Memo;
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// Longest pattern, bytes. A longer one is a list in disguise; the configuration is refused.
const MAX_PATTERN: usize = 4096;
/// Largest compiled regular expression, bytes; bounds the time of one match, which is linear in both sizes.
const MAX_REGEX: usize = 256 << 10;

/// A condition on a text: exactly one of the first five keys.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// The whole text.
    pub exact: Option<String>,
    /// How the text starts.
    pub prefix: Option<String>,
    /// How the text ends.
    pub suffix: Option<String>,
    /// Something inside the text.
    pub contains: Option<String>,
    /// A regular expression for the whole text (linear time; ASCII classes; no look-around).
    pub regex: Option<String>,
    /// Compare ASCII letters without case.
    pub ignore_case: bool,
}

/// A compiled condition on a byte string.
#[derive(Debug, Clone)]
pub struct Text {
    kind: Kind,
    ignore_case: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Vec<u8>),
    /// With a text that every match holds, when one is known.
    Regex(Box<Regex>, Option<Vec<u8>>, Memo),
}

impl TextConfig {
    /// Compiles the condition; `None` when no key is set.
    ///
    /// # Errors
    /// When more than one key is set, a pattern is empty where that always matches, too long, or no regular expression.
    pub fn compile_if_any(&self) -> Result<Option<Text>, ConfigError> {
        let keys = [
            ("exact", &self.exact),
            ("prefix", &self.prefix),
            ("suffix", &self.suffix),
            ("contains", &self.contains),
            ("regex", &self.regex),
        ];
        let mut set = keys.iter().filter_map(|(key, value)| value.as_ref().map(|value| (*key, value)));
        let Some((key, pattern)) = set.next() else { return Ok(None) };
        if let Some((second, _)) = set.next() {
            return Err(ConfigError::new(format!("`{key}` and `{second}` exclude each other")));
        }
        let kind = kind(key, pattern, self.ignore_case).map_err(|e| e.at(key))?;
        Ok(Some(Text { kind, ignore_case: self.ignore_case }))
    }

    /// Compiles the condition.
    ///
    /// # Errors
    /// As [`Self::compile_if_any`], and when no key is set.
    pub fn compile(&self) -> Result<Text, ConfigError> {
        self.compile_if_any()?
            .ok_or_else(|| ConfigError::new("needs one of `exact`, `prefix`, `suffix`, `contains`, `regex`"))
    }
}

fn kind(key: &str, pattern: &str, ignore_case: bool) -> Result<Kind, ConfigError> {
    if pattern.len() > MAX_PATTERN {
        return Err(ConfigError::new(format!("is longer than {MAX_PATTERN} bytes")));
    }
    if pattern.is_empty() && key != "exact" {
        return Err(ConfigError::new("is empty, which matches always"));
    }
    let bytes = pattern.as_bytes().to_vec();
    Ok(match key {
        "exact" => Kind::Exact(bytes),
        "prefix" => Kind::Prefix(bytes),
        "suffix" => Kind::Suffix(bytes),
        "contains" => Kind::Contains(bytes),
        _ => {
            let regex = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                .case_insensitive(ignore_case)
                .size_limit(MAX_REGEX)
                .build()
                .map_err(|e| ConfigError::new(e.to_string()))?;
            Kind::Regex(
                Box::new(regex),
                required(pattern, ignore_case).map(String::into_bytes),
                Memo::default(),
            )
        }
    })
}

impl Text {
    /// True when `value` fulfils the condition. A value that is not UTF-8 fulfils no regular expression.
    pub fn matches(&self, value: &[u8]) -> bool {
        let same = |a: &[u8], b: &[u8]| if self.ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
        match &self.kind {
            Kind::Exact(p) => same(value, p),
            Kind::Prefix(p) => value.get(..p.len()).is_some_and(|head| same(head, p)),
            Kind::Suffix(p) => value.len().checked_sub(p.len()).is_some_and(|at| same(&value[at..], p)),
            Kind::Contains(p) => contains(value, p, self.ignore_case),
            Kind::Regex(regex, literal, memo) => {
                literal.as_ref().is_none_or(|p| contains(value, p, self.ignore_case))
                    && memo.get_or(value, || str::from_utf8(value).is_ok_and(|text| regex.is_match(text)))
            }
        }
    }
}

/// True when `part`, which is not empty, is in `value`.
fn contains(value: &[u8], part: &[u8], ignore_case: bool) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let Some(last) = value.len().checked_sub(part.len()) else { return false };
    let other = if ignore_case { swap_case(*first) } else { *first };
    // One byte at a time until the first fits; comparing a whole window at each place is five times that.
    value[..=last].iter().enumerate().any(|(at, byte)| {
        (*byte == *first || *byte == other) && {
            let window = &value[at + 1..at + part.len()];
            if ignore_case { window.eq_ignore_ascii_case(rest) } else { window == rest }
        }
    })
}

fn swap_case(byte: u8) -> u8 {
    if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Text {
        serde_json::from_str::<TextConfig>(json).unwrap().compile().unwrap()
    }

    #[test]
    fn each_kind_matches_bytes() {
        for (json, yes, no) in [
            (r#"{"exact":"ab"}"#, &b"ab"[..], &b"Ab"[..]),
            (r#"{"exact":"ab","ignore_case":true}"#, b"AB", b"abc"),
            (r#"{"exact":""}"#, b"", b"x"),
            (r#"{"prefix":"a"}"#, b"a\xff", b"\xffa"),
            (r#"{"suffix":"a"}"#, b"\xffa", b"a\xff"),
            (r#"{"contains":"a"}"#, b"\xffa\xff", b"\xff"),
            (r#"{"contains":"ab","ignore_case":true}"#, b"xAbx", b"a"),
            (r#"{"contains":"aB","ignore_case":true}"#, b"abAbB", b"aa"),
            (r#"{"contains":"aab"}"#, b"aaab", b"aaa"),
            (r#"{"regex":"a+b"}"#, b"aab", b"b"),
            (r#"{"regex":"a|bc"}"#, b"bc", b"abc"),
            (r#"{"regex":"a.*","ignore_case":true}"#, b"Axx", b"a\xff"),
        ] {
            assert!(text(json).matches(yes), "{json}");
            assert!(!text(json).matches(no), "{json}");
        }
    }

    #[test]
    fn impossible_conditions_are_errors_with_a_place() {
        let error =
            |json: &str| serde_json::from_str::<TextConfig>(json).unwrap().compile().unwrap_err().to_string();
        assert_eq!(error("{}"), "needs one of `exact`, `prefix`, `suffix`, `contains`, `regex`");
        assert_eq!(error(r#"{"exact":"a","regex":"b"}"#), "`exact` and `regex` exclude each other");
        assert_eq!(error(r#"{"prefix":""}"#), "prefix: is empty, which matches always");
        assert!(error(r#"{"regex":"("}"#).starts_with("regex: "));
        assert!(error(r#"{"regex":"((a{1,200}){1,200}){1,200}"}"#).starts_with("regex: "));
    }
}
