//! Typed configuration with located errors.

use crate::json;
use serde::de::DeserializeOwned;
use std::fmt;

/// A configuration that does not fit.
pub(crate) struct ConfigError {
    source: json::Error,
    /// Line and column.
    place: (usize, usize),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration")?;
        if !self.source.path().is_empty() {
            write!(f, " at `{}`", self.source.path())?;
        }
        let (line, column) = self.place;
        write!(f, ": {} at line {line} column {column}", self.source)
    }
}

// By hand, since a derived one is code that every filter carries and nobody calls.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({self})")
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration. None at all is `null`, and where that does not fit, `{}`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConfigError> {
    if bytes.trim_ascii().is_empty() {
        return read(b"null").or_else(|_| read(b"{}"));
    }
    read(bytes)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConfigError> {
    json::from_slice(bytes).map_err(|source| {
        let place = source.place(bytes);
        ConfigError { source, place }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read by the parser")]
    struct Rule {
        header: String,
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only read by the parser")]
    struct Config {
        rules: Vec<Rule>,
    }

    fn error(text: &str) -> String {
        parse::<Config>(text.as_bytes()).expect_err("does not fit").to_string()
    }

    #[test]
    fn errors_name_path_line_and_column() {
        assert_eq!(
            error("{\"rules\":[{\"header\":\"a,[{:\"},\n{\"header\":7}]}"),
            "configuration at `rules[1].header`: invalid type: integer `7`, expected a string at line 2 column 11"
        );
        assert!(error(r#"{"rules":[{"haeder":"x"}]}"#).contains("`rules[0]`: unknown field `haeder`"));
    }

    #[test]
    fn nothing_is_null_and_then_an_empty_object() {
        parse::<()>(b" \n").expect("null");
        assert_eq!(parse::<Option<u8>>(b"").expect("null"), None);
        assert_eq!(error(""), "configuration: missing field `rules` at line 1 column 2");
    }

    #[test]
    fn no_bytes_panic() {
        for text in ["{", "\"", "{\"a\\", "[[[,,,", "}}}]", "\u{ff}", "{\"rules\":[\"\\\"]"] {
            assert!(!error(text).is_empty());
        }
        assert!(parse::<Config>(&[0x0a, 0x03, 0xff, 0xfe]).is_err());
    }
}
