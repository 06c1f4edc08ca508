//! The templates and the sdk inside the binary.

mod check;
mod render;

pub use check::check_name;
pub use render::{Rendered, render};

use crate::failure::{Code, Failure, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

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

/// What a template says of itself, in the words of `cargo generate`.
#[derive(Debug, Clone)]
pub struct About {
    /// One line.
    pub summary: String,
    /// What `--set` fills in.
    pub set: Vec<Value>,
}

/// A value that is filled in where `{{key}}` stands.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its key for `--set`.
    pub key: String,
    /// What is filled in unless said.
    pub default: String,
    /// What it is.
    pub text: String,
}

/// File that describes a template and is not copied: `cargo generate` reads it too.
const ABOUT: &str = "cargo-generate.toml";

/// The value that only `cargo generate` has to ask for.
const SDK: &str = "sdk";

/// [`ABOUT`], as far as it matters here.
#[derive(Deserialize)]
struct Described {
    tamis: Ours,
    placeholders: BTreeMap<String, Placeholder>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    summary: String,
}

#[derive(Deserialize)]
struct Placeholder {
    prompt: String,
    #[serde(default)]
    default: String,
}

impl About {
    fn read(text: &str) -> std::result::Result<Self, toml::de::Error> {
        let Described { tamis, placeholders } = toml::from_str(text)?;
        let value = |(key, placeholder): (String, Placeholder)| Value {
            key,
            default: placeholder.default,
            text: placeholder.prompt,
        };
        let set = placeholders.into_iter().filter(|(key, _)| key != SDK).map(value).collect();
        Ok(Self { summary: tamis.summary, set })
    }
}

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
            let about = About::read(&String::from_utf8_lossy(about));
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

    /// The values that stand in a file: what is between `{{` and `}}`.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next())
    }

    #[test]
    fn what_a_template_asks_for_stands_in_its_files_and_nothing_else() {
        let all = all().unwrap();
        assert_eq!(all.len(), 7);
        for template in all {
            let files = template.files.iter().filter(|(path, _)| *path != ABOUT);
            // The one file that has double braces of its own: `cargo generate` leaves it alone.
            let files = files.filter(|(path, _)| *path != ".github/workflows/filter.yml");
            let texts: Vec<_> = files.map(|(_, content)| String::from_utf8_lossy(content)).collect();
            let mut stand: Vec<_> = texts.iter().flat_map(|text| named(text)).collect();
            stand.sort_unstable();
            stand.dedup();
            let mut asked: Vec<_> = template.about.set.iter().map(|value| value.key.as_str()).collect();
            asked.extend(["project-name", SDK]);
            asked.sort_unstable();
            assert_eq!(stand, asked, "{}", template.name);
            assert!(template.about.set.iter().all(|value| !value.default.is_empty()), "{}", template.name);
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
