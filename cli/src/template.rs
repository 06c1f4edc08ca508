//! The templates and the sdk inside the binary.

mod check;
mod render;

pub use check::check_name;
pub use render::{Rendered, render};

use crate::failure::{Code, Failure, Result};
use serde::Deserialize;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Files as (path, content).
pub type Files = &'static [(&'static str, &'static [u8])];

/// A template.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// Its own description.
    pub about: About,
    files: Files,
}

/// `template.toml` of a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// One line.
    pub summary: String,
    /// Words that `--set` replaces.
    #[serde(default)]
    pub set: Vec<Value>,
}

/// A word of a template that can be another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Its key for `--set`.
    pub key: String,
    /// The word as it stands in the files.
    pub default: String,
    /// What it is.
    pub text: String,
}

/// File that describes a template and is not copied.
const ABOUT: &str = "template.toml";

/// All templates.
///
/// # Errors
/// When a description is broken, which a test excludes.
pub fn all() -> Result<Vec<Template>> {
    embedded::TEMPLATES
        .iter()
        .map(|(name, files)| {
            let about =
                files.iter().find(|(path, _)| *path == ABOUT).map_or(&b""[..], |(_, content)| content);
            let about = toml::from_str(&String::from_utf8_lossy(about));
            let about =
                about.map_err(|e| Failure::because(Code::Internal, format!("template `{name}`"), e))?;
            Ok(Template { name, about, files })
        })
        .collect()
}

/// The template of this name.
///
/// # Errors
/// `unknown-template`.
pub fn find(name: &str) -> Result<Template> {
    let all = all()?;
    let names: Vec<_> = all.iter().map(|t| t.name).collect();
    all.iter().find(|t| t.name == name).cloned().ok_or_else(|| {
        let failure = Failure::new(Code::UnknownTemplate, format!("no template `{name}`"));
        failure.hint(format!("there is: {}", names.join(", ")))
    })
}

/// The sdk's packages, for `vendor/`.
pub fn sdk() -> Files {
    embedded::SDK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_describes_itself_and_its_words_stand_in_its_files() {
        let all = all().unwrap();
        assert!(all.iter().any(|t| t.name == "header"));
        for template in all {
            for value in &template.about.set {
                let used = template
                    .files
                    .iter()
                    .filter(|(path, _)| *path != ABOUT)
                    .any(|(_, content)| String::from_utf8_lossy(content).contains(&value.default));
                assert!(used, "{} has no `{}`", template.name, value.default);
            }
        }
    }

    #[test]
    fn the_vendored_sdk_inherits_nothing() {
        let manifests: Vec<_> = sdk().iter().filter(|(path, _)| path.ends_with("Cargo.toml")).collect();
        assert_eq!(manifests.len(), 2);
        for (path, content) in manifests {
            let text = String::from_utf8_lossy(content);
            assert!(!text.contains("workspace"), "{path}: {text}");
        }
    }
}
