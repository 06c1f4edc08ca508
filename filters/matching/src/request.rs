//! Matching of requests: headers, path, methods, authority, query parameters, cookies.

use crate::config::{ConfigError, header_name};
use crate::text::{Text, TextConfig};
use crate::view::View;
use serde::Deserialize;

/// Conditions on a request; all of those given must hold. A list of them is an "any of".
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    /// Conditions on headers; all must hold.
    pub headers: Vec<FieldConfig>,
    /// A condition on the canonical path, without its query. A path that servers read in different ways
    /// fulfils none.
    pub path: Option<PathConfig>,
    /// Any of these methods, as written (methods know upper and lower case).
    pub methods: Vec<String>,
    /// A condition on the authority (host), compared without case.
    pub authority: Option<TextConfig>,
    /// Conditions on decoded query parameters; all must hold.
    pub query: Vec<FieldConfig>,
    /// Conditions on cookies; all must hold.
    pub cookies: Vec<FieldConfig>,
}

/// A condition on a header, query parameter or cookie: at most one kind of condition; without any, the field
/// has to be there. With several values, one that fits is enough.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldConfig {
    /// Name of the field. For headers also `:method`, `:authority`, `:scheme`.
    pub name: String,
    /// The whole value.
    #[serde(default)]
    pub exact: Option<String>,
    /// How the value starts.
    #[serde(default)]
    pub prefix: Option<String>,
    /// How the value ends.
    #[serde(default)]
    pub suffix: Option<String>,
    /// Something inside the value.
    #[serde(default)]
    pub contains: Option<String>,
    /// A regular expression for the whole value.
    #[serde(default)]
    pub regex: Option<String>,
    /// Compare ASCII letters without case.
    #[serde(default)]
    pub ignore_case: bool,
    /// `true`: the field is there; `false`: it is not.
    #[serde(default)]
    pub present: Option<bool>,
    /// A decimal integer in a range.
    #[serde(default)]
    pub range: Option<Range>,
    /// Turn the condition around. Mind that a missing field then fits.
    #[serde(default)]
    pub invert: bool,
}

/// A range of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first that fits.
    pub start: i64,
    /// The first that fits no more.
    pub end: i64,
}

/// A condition on the path: exactly one of the first five keys.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathConfig {
    /// The whole path.
    pub exact: Option<String>,
    /// How the path starts: `/api` fits `/apis` too.
    pub prefix: Option<String>,
    /// How the path starts, in whole segments: `/api` fits `/api` and `/api/x`, not `/apis`.
    pub separated_prefix: Option<String>,
    /// How the path ends.
    pub suffix: Option<String>,
    /// A regular expression for the whole path.
    pub regex: Option<String>,
    /// Compare ASCII letters without case.
    pub ignore_case: bool,
}

/// Compiled conditions on a request.
#[derive(Debug, Clone)]
pub struct RequestMatch {
    headers: Vec<Field>,
    path: Option<PathMatch>,
    methods: Vec<Vec<u8>>,
    authority: Option<Text>,
    query: Vec<Field>,
    cookies: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    name: Vec<u8>,
    test: Test,
    invert: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Present,
    Absent,
    Range(Range),
    Text(Text),
}

#[derive(Debug, Clone)]
enum PathMatch {
    Text(Text),
    Separated { exact: Text, below: Text },
}

impl RequestConfig {
    /// Compiles the conditions. With `any_case`, paths are compared without case whatever the configuration says.
    ///
    /// # Errors
    /// When a condition is impossible; the error says where.
    pub fn compile(&self, any_case: bool) -> Result<RequestMatch, ConfigError> {
        let methods = self.methods.iter().enumerate().map(|(i, method)| {
            header_name(method).map_err(|_| {
                ConfigError::new(format!("`{method}` is no method")).at(format!("methods[{i}]"))
            })?;
            Ok(method.as_bytes().to_vec())
        });
        let authority = self.authority.clone().map(|text| TextConfig { ignore_case: true, ..text });
        Ok(RequestMatch {
            headers: fields(&self.headers, "headers", true)?,
            path: self.path.as_ref().map(|p| p.compile(any_case)).transpose().map_err(|e| e.at("path"))?,
            methods: methods.collect::<Result<_, ConfigError>>()?,
            authority: authority.map(|t| t.compile()).transpose().map_err(|e| e.at("authority"))?,
            query: fields(&self.query, "query", false)?,
            cookies: fields(&self.cookies, "cookies", false)?,
        })
    }
}

fn fields(configs: &[FieldConfig], place: &str, header: bool) -> Result<Vec<Field>, ConfigError> {
    let field = |(i, config): (usize, &FieldConfig)| {
        config.compile(header).map_err(|e| e.at(format!("{place}[{i}]")))
    };
    configs.iter().enumerate().map(field).collect()
}

impl FieldConfig {
    fn compile(&self, header: bool) -> Result<Field, ConfigError> {
        let name = match self.name.as_str() {
            ":path" => return Err(ConfigError::new("paths are matched by `path`").at("name")),
            pseudo @ (":method" | ":authority" | ":scheme") if header => pseudo.to_owned(),
            name if header => header_name(name).map_err(|e| e.at("name"))?,
            "" => return Err(ConfigError::new("is empty").at("name")),
            name => name.to_owned(),
        };
        let text = TextConfig {
            exact: self.exact.clone(),
            prefix: self.prefix.clone(),
            suffix: self.suffix.clone(),
            contains: self.contains.clone(),
            regex: self.regex.clone(),
            ignore_case: self.ignore_case,
        };
        let test = match (text.compile_if_any()?, self.present, self.range) {
            (None, None | Some(true), None) => Test::Present,
            (None, Some(false), None) => Test::Absent,
            (None, None, Some(range)) if range.start < range.end => Test::Range(range),
            (None, None, Some(_)) => {
                return Err(ConfigError::new("is empty: `end` has to be above `start`").at("range"));
            }
            (Some(text), None, None) => Test::Text(text),
            _ => {
                return Err(ConfigError::new(
                    "`present`, `range` and the conditions on the value exclude each other",
                ));
            }
        };
        Ok(Field { name: name.into_bytes(), test, invert: self.invert })
    }
}

impl PathConfig {
    fn compile(&self, any_case: bool) -> Result<PathMatch, ConfigError> {
        let ignore_case = self.ignore_case || any_case;
        let text = TextConfig {
            exact: self.exact.clone(),
            prefix: self.prefix.clone(),
            suffix: self.suffix.clone(),
            regex: self.regex.clone(),
            contains: None,
            ignore_case,
        };
        for (key, value) in
            [("exact", &self.exact), ("prefix", &self.prefix), ("separated_prefix", &self.separated_prefix)]
        {
            if value.as_ref().is_some_and(|v| !v.starts_with('/')) {
                return Err(ConfigError::new("has to start with `/`").at(key));
            }
        }
        match (text.compile_if_any()?, &self.separated_prefix) {
            (Some(text), None) => Ok(PathMatch::Text(text)),
            (None, Some(prefix)) => {
                let stem = prefix.trim_end_matches('/');
                let exact = TextConfig { exact: Some(stem.to_owned()), ignore_case, ..TextConfig::default() };
                let below =
                    TextConfig { prefix: Some(format!("{stem}/")), ignore_case, ..TextConfig::default() };
                Ok(PathMatch::Separated { exact: exact.compile()?, below: below.compile()? })
            }
            (Some(_), Some(_)) => {
                Err(ConfigError::new("`separated_prefix` and the other keys exclude each other"))
            }
            (None, None) => {
                Err(ConfigError::new("needs one of `exact`, `prefix`, `separated_prefix`, `suffix`, `regex`"))
            }
        }
    }
}

impl RequestMatch {
    /// True when the conditions look at the path.
    pub fn needs_path(&self) -> bool {
        self.path.is_some()
    }

    /// True when all conditions hold.
    pub fn matches(&self, view: &View<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|m| m == view.method()))
            && self.path.as_ref().is_none_or(|p| view.path().is_ok_and(|path| p.matches(path)))
            && self.authority.as_ref().is_none_or(|a| a.matches(view.authority()))
            && self.headers.iter().all(|f| f.holds(view.all(&f.name)))
            && self.query.iter().all(|f| f.holds(view.query_all(&f.name)))
            && self.cookies.iter().all(|f| f.holds(view.cookie_all(&f.name)))
    }
}

impl PathMatch {
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.matches(path),
            Self::Separated { exact, below } => exact.matches(path) || below.matches(path),
        }
    }
}

impl Field {
    fn holds<V: AsRef<[u8]>>(&self, mut values: impl Iterator<Item = V>) -> bool {
        let fits = match &self.test {
            Test::Present => values.next().is_some(),
            Test::Absent => values.next().is_none(),
            Test::Range(range) => {
                values.any(|v| integer(v.as_ref()).is_some_and(|n| range.start <= n && n < range.end))
            }
            Test::Text(text) => values.any(|v| text.matches(v.as_ref())),
        };
        fits != self.invert
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathOptions;

    fn matches(json: &str, fields: &[(&str, &[u8])]) -> bool {
        let fields = fields.iter().map(|(n, v)| (n.as_bytes(), *v));
        let view = View::new(fields, None, PathOptions::default());
        serde_json::from_str::<RequestConfig>(json).unwrap().compile(false).unwrap().matches(&view)
    }

    #[test]
    fn a_request_is_matched_by_all_its_parts() {
        let request: &[(&str, &[u8])] = &[
            (":method", b"GET"),
            (":path", b"//api/%76/x?q=a+b&q=2"),
            (":authority", b"Shop.example"),
            ("x-n", b"17"),
            ("x-b", b"\xff"),
            ("x-b", b"gold"),
            ("cookie", b"uid=7; t=x"),
            ("cookie", b"late=1"),
        ];
        for yes in [
            "{}",
            r#"{"path":{"exact":"/api/v/x"}}"#,
            r#"{"path":{"separated_prefix":"/api"},"methods":["POST","GET"],"authority":{"exact":"shop.example"}}"#,
            r#"{"path":{"separated_prefix":"/"}}"#,
            r#"{"path":{"regex":"/api/[a-z]/x"}}"#,
            r#"{"path":{"prefix":"/API","ignore_case":true}}"#,
            r#"{"headers":[{"name":"X-N","range":{"start":17,"end":18}},{"name":"x-b","exact":"gold"},{"name":"x-none","present":false}]}"#,
            r#"{"headers":[{"name":"x-b"},{"name":"x-b","exact":"silver","invert":true},{"name":":method","exact":"GET"}]}"#,
            r#"{"query":[{"name":"q","exact":"a b"},{"name":"q","exact":"2"}]}"#,
            r#"{"cookies":[{"name":"uid","regex":"[0-9]+"},{"name":"late"}]}"#,
        ] {
            assert!(matches(yes, request), "{yes}");
        }
        for no in [
            r#"{"path":{"separated_prefix":"/ap"}}"#,
            r#"{"path":{"exact":"/API/v/x"}}"#,
            r#"{"methods":["get"]}"#,
            r#"{"headers":[{"name":"x-n","range":{"start":18,"end":99}}]}"#,
            r#"{"headers":[{"name":"x-n","present":false}]}"#,
            r#"{"headers":[{"name":"x-b","regex":".*silver.*"}]}"#,
            r#"{"headers":[{"name":"x-n","invert":true}]}"#,
            r#"{"cookies":[{"name":"u"}]}"#,
            r#"{"query":[{"name":"uid"}]}"#,
        ] {
            assert!(!matches(no, request), "{no}");
        }
    }

    #[test]
    fn a_missing_or_ambiguous_path_fits_no_path_condition() {
        let any = r#"{"path":{"prefix":"/"}}"#;
        assert!(!matches(any, &[(":method", b"CONNECT"), (":authority", b"h:1")]));
        assert!(!matches(any, &[(":path", b"/a%2fb")]));
        assert!(!matches(any, &[(":path", b"")]));
    }

    #[test]
    fn impossible_requests_are_errors_with_a_place() {
        let error = |json: &str| {
            serde_json::from_str::<RequestConfig>(json).unwrap().compile(false).unwrap_err().to_string()
        };
        assert_eq!(error(r#"{"path":{"exact":"admin"}}"#), "path.exact: has to start with `/`");
        assert_eq!(
            error(r#"{"headers":[{"name":"a"},{"name":"b c"}]}"#),
            "headers[1].name: `b c` is not a header name"
        );
        assert_eq!(
            error(r#"{"query":[{"name":"a","present":true,"exact":"b"}]}"#),
            "query[0]: `present`, `range` and the conditions on the value exclude each other"
        );
        assert_eq!(
            error(r#"{"headers":[{"name":":path"}]}"#),
            "headers[0].name: paths are matched by `path`"
        );
        assert!(serde_json::from_str::<RequestConfig>(r#"{"headres":[]}"#).is_err());
    }
}
