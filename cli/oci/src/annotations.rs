//! What an image says about itself: keys of the OCI image specification, and ours.

use crate::error::{Error, Kind};
use crate::module::Module;
use std::collections::BTreeMap;

/// Marks the compat layout for people; readers do not need it.
pub(crate) const VARIANT: &str = "module.wasm.image/variant";

/// When the image was made.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";

/// The digest of the raw module, `sha256:…`.
pub const WASM_SHA256: &str = "tamis.wasm.sha256";

/// What is known of the package and its repository. Empty fields are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Name.
    pub title: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// One sentence.
    pub description: Option<String>,
    /// `Name <mail>`, joined by commas.
    pub authors: Option<String>,
    /// SPDX expression.
    pub licenses: Option<String>,
    /// Address of the sources. Some registries link a package to its repository by it.
    pub source: Option<String>,
    /// Home page.
    pub url: Option<String>,
    /// Where it is described.
    pub documentation: Option<String>,
    /// Commit, when the sources are exactly that commit.
    pub revision: Option<String>,
    /// Time of the image, RFC 3339.
    pub created: Option<String>,
    /// Version of the sdk that the filter is built with.
    pub sdk: Option<String>,
    /// Envoy's `root_id` that the filter wants.
    pub root_id: Option<String>,
    /// Digest of the JSON Schema of its configuration.
    pub config_schema: Option<String>,
}

impl Facts {
    /// The annotations of an image with this module.
    pub fn annotations(&self, module: &Module) -> BTreeMap<String, String> {
        let standard = [
            ("title", &self.title),
            ("version", &self.version),
            ("description", &self.description),
            ("authors", &self.authors),
            ("licenses", &self.licenses),
            ("source", &self.source),
            ("url", &self.url),
            ("documentation", &self.documentation),
            ("revision", &self.revision),
            ("created", &self.created),
        ];
        let standard =
            standard.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.clone()));
        let own = [
            ("tamis.abi", module.abi().map(str::to_owned)),
            ("tamis.sdk", self.sdk.clone()),
            ("tamis.root-id", self.root_id.clone()),
            ("tamis.config-schema", self.config_schema.clone()),
            (WASM_SHA256, Some(module.sha256.to_string())),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        let filled =
            |(key, value): (String, Option<String>)| Some((key, value.filter(|v| !v.trim().is_empty())?));
        standard.into_iter().chain(own).filter_map(filled).collect()
    }
}

/// Seconds since the epoch, as `SOURCE_DATE_EPOCH` and git give them, as a time for [`Facts::created`].
///
/// # Errors
/// When it is no integer, or beyond what a calendar holds.
pub fn time(seconds: &str) -> Result<String, Error> {
    let number = seconds.trim().parse::<i64>().ok().filter(|s| *s >= 0);
    let time = number.and_then(|s| chrono::DateTime::from_timestamp(s, 0));
    let time = time.map(|t| t.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    time.ok_or_else(|| {
        let shown: String = seconds.chars().take(40).collect();
        Error::new(Kind::BadReference, format!("`{}` is no time", shown.escape_debug()))
            .hint("`SOURCE_DATE_EPOCH` is a whole number of seconds since 1970")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_facts_leave_no_keys_and_the_module_is_always_named() {
        let module = Module::read(b"\0asm\x01\0\0\0");
        let facts = Facts { title: Some("t".into()), version: Some(" ".into()), ..Facts::default() };
        let all = facts.annotations(&module);
        let keys: Vec<_> = all.keys().map(String::as_str).collect();
        assert_eq!(keys, ["org.opencontainers.image.title", WASM_SHA256]);
    }

    #[test]
    fn times_are_whole_seconds() {
        assert_eq!(time("0").unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(time("1700000000\n").unwrap(), "2023-11-14T22:13:20Z");
        for bad in ["", "now", "-1", "1.5", "99999999999999999"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
