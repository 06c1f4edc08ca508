//! Which rule a request meets: plain Rust that knows no proxy.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a request must be like, and the route that it gets then.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the path begins with, in whole segments: `/cart` is met by `/cart` and `/cart/1`, not by `/carts`.
    pub prefix: Option<String>,
    /// Headers that must be there, each once, with just this value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The route.
    pub route: String,
}

impl Rule {
    /// Why the rule can not be meant, if so.
    pub fn mistake(&self) -> Option<&'static str> {
        match &self.prefix {
            Some(prefix) if !prefix.starts_with('/') => Some("`prefix` must begin with `/`"),
            None if self.headers.is_empty() => {
                Some("a rule without `prefix` and `headers` hides those below it")
            }
            _ => None,
        }
    }

    fn fits<'r>(&self, path: &[u8], header: impl Fn(&str) -> Option<&'r [u8]>) -> bool {
        self.prefix
            .as_ref()
            .is_none_or(|prefix| is_below(path, prefix.as_bytes()))
            && self
                .headers
                .iter()
                .all(|(name, value)| header(name) == Some(value.as_bytes()))
    }
}

/// The route of the first rule that fits. `path` is without its query; `header` gives the only value of a header.
pub fn route<'a, 'r>(
    rules: &'a [Rule],
    path: &[u8],
    header: impl Fn(&str) -> Option<&'r [u8]>,
) -> Option<&'a str> {
    rules
        .iter()
        .find(|rule| rule.fits(path, &header))
        .map(|rule| rule.route.as_str())
}

/// Whole segments: what follows the prefix is nothing, or begins with `/`.
fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_whole_segments() {
        for (path, prefix, below) in [
            ("/cart", "/cart", true),
            ("/cart/1", "/cart", true),
            ("/cart/1", "/cart/", true),
            ("/carts", "/cart", false),
            ("/", "/cart", false),
            ("/anything", "/", true),
            ("*", "/", false),
        ] {
            assert_eq!(
                is_below(path.as_bytes(), prefix.as_bytes()),
                below,
                "{path} below {prefix}"
            );
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rule = |prefix: Option<&str>, header: Option<(&str, &str)>, route: &str| Rule {
            prefix: prefix.map(str::to_owned),
            headers: header
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            route: route.to_owned(),
        };
        let rules = [
            rule(Some("/cart"), Some(("x-beta", "yes")), "beta"),
            rule(Some("/cart"), None, "cart"),
            rule(None, Some(("x-beta", "yes")), "all-beta"),
        ];
        let beta = |name: &str| (name == "x-beta").then_some(&b"yes"[..]);
        assert_eq!(route(&rules, b"/cart/1", beta), Some("beta"));
        assert_eq!(route(&rules, b"/cart/1", |_| None), Some("cart"));
        assert_eq!(route(&rules, b"/", beta), Some("all-beta"));
        assert_eq!(route(&rules, b"/", |_| None), None);
        assert!(
            rule(None, None, "all").mistake().is_some()
                && rule(Some("cart"), None, "cart").mistake().is_some()
        );
    }
}
