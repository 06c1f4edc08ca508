//! Typed configuration with located errors.

use serde::de::DeserializeOwned;
use std::fmt;

/// A configuration that does not fit.
#[derive(Debug)]
pub(crate) struct ConfigError {
    path: String,
    source: serde_json::Error,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration")?;
        if !self.path.is_empty() {
            write!(f, " at `{}`", self.path)?;
        }
        write!(f, ": {}", self.source)
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration. None at all is `null`, and where that does not fit, `{}`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConfigError> {
    if bytes.trim_ascii().is_empty() {
        if let Ok(config) = serde_json::from_slice(b"null") {
            return Ok(config);
        }
        return serde_json::from_slice(b"{}").map_err(|source| ConfigError { path: String::new(), source });
    }
    serde_json::from_slice(bytes).map_err(|source| {
        let path = path_at(bytes, offset(bytes, source.line(), source.column()));
        ConfigError { path, source }
    })
}

/// Byte offset of a line and column as serde_json counts them: from 1, columns in bytes.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let start: usize =
        bytes.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (start + column).min(bytes.len())
}

/// Where in the document an offset lies, as `rules[2].header`; as far as the text before it tells.
fn path_at(bytes: &[u8], end: usize) -> String {
    enum Level {
        Object(Option<String>),
        Array(usize),
    }
    let mut levels: Vec<Level> = Vec::new();
    let (mut at, mut key, mut is_key) = (0, String::new(), false);
    while at < end {
        let byte = bytes[at];
        at += 1;
        match byte {
            b'{' => {
                levels.push(Level::Object(None));
                is_key = true;
            }
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' if at < end => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(known)) => {
                    *known = None;
                    is_key = true;
                }
                None => {}
            },
            b':' => {
                if let Some(Level::Object(known)) = levels.last_mut() {
                    *known = Some(std::mem::take(&mut key));
                    is_key = false;
                }
            }
            b'"' => {
                let start = at;
                while at < end && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                if is_key {
                    key = String::from_utf8_lossy(&bytes[start..at.min(end)]).into_owned();
                }
                at += 1;
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key);
            }
            Level::Object(None) => {}
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
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
