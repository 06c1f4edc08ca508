//! Configuration helpers: errors with a path, ordered maps, durations, header names and values.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::time::Duration;

/// Whether a filter or a rule acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Decide and act.
    #[default]
    Enforce,
    /// Decide, count and log, but leave the exchange as it is.
    Shadow,
    /// Do not even decide.
    Disabled,
}

/// What is wrong in a configuration, and where: `rules[2].match[0].path.regex: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    message: String,
}

impl ConfigError {
    /// An error at the place that the caller is looking at.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The same error, seen from one level further out.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{place}{joint}{}", self.path);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for ConfigError {}

/// A map of strings that keeps its order and refuses a key written twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if pairs.iter().any(|(known, _)| *known == key) {
                        return Err(de::Error::custom(format_args!("`{key}` is written twice")));
                    }
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl schemars::JsonSchema for Pairs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pairs".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// A duration in a configuration, written like `"1.5s"`, `"200ms"`, `"1m"`, `"2h"` or `"1d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration(&text).map(Self).ok_or_else(|| {
            de::Error::custom(format_args!(
                "`{text}` is not a duration; write it like `1.5s`, `200ms`, `1m`, `2h` or `1d`"
            ))
        })
    }
}

impl schemars::JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$" })
    }
}

/// Reads a duration: digits, optionally a dot and up to nine digits, and one of `ms`, `s`, `m`, `h`, `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let nanos_per_unit: u64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(fraction.len() as u32);
    let whole = whole.parse::<u64>().ok()?.checked_mul(nanos_per_unit)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(nanos_per_unit) / u128::from(scale);
    Some(Duration::from_nanos(whole.checked_add(u64::try_from(part).ok()?)?))
}

/// Checks a header name of a configuration and gives it back in lower case.
///
/// Pseudo headers are refused: what changes them has keys of its own.
///
/// # Errors
/// When the name is not a token (RFC 9110 5.1).
pub fn header_name(name: &str) -> Result<String, ConfigError> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(ConfigError::new(format!("`{}` is not a header name", name.escape_debug())));
    }
    Ok(name.to_ascii_lowercase())
}

/// Checks a header value of a configuration.
///
/// # Errors
/// When it holds a control character: Envoy answers 503 to an exchange with one (docs/envoy.md 2.1.8).
pub fn header_value(value: &str) -> Result<&str, ConfigError> {
    if value.bytes().any(|b| b == 0x7f || (b < 0x20 && b != b'\t')) {
        return Err(ConfigError::new(format!("`{}` holds a control character", value.escape_debug())));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_their_path() {
        let error = ConfigError::new("no").at("regex").at("headers[0]").at("[1]").at("match");
        assert_eq!(error.to_string(), "match[1].headers[0].regex: no");
    }

    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("0.000000001s"), Some(Duration::from_nanos(1)));
        for bad in [
            "",
            "1",
            "s",
            "-1s",
            "1,5s",
            "1.s",
            ".5s",
            "1e3s",
            "1 s",
            "99999999999999999999s",
            "999999999999d",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_map_key_written_twice_is_an_error() {
        let error = serde_json::from_str::<Pairs>(r#"{"a":"1","a":"2"}"#).unwrap_err();
        assert!(error.to_string().starts_with("`a` is written twice"), "{error}");
        let pairs: Pairs = serde_json::from_str(r#"{"b":"1","a":"2"}"#).unwrap();
        assert_eq!(pairs.0[0].0, "b");
    }
}
