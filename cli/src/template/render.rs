//! A template with its words replaced.

use super::{ABOUT, Template};
use crate::failure::{Code, Failure, Result};
use crate::plan::nearest;

/// The dependency on the sdk as it stands in a template.
const SDK: &str = r#"tamis-sdk = { {% if sdk contains "://" %}git{% else %}path{% endif %} = '{{sdk}}' }"#;

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Path inside the package.
    pub path: String,
    /// Content.
    pub content: Vec<u8>,
}

/// The files of a new package. `sdk` is the path that its manifest names.
///
/// # Errors
/// When a `--set` is no `key=value`, its key unknown, or its value has characters that no file could hold.
pub fn render(template: &Template, name: &str, set: &[String], sdk: &str) -> Result<Vec<Rendered>> {
    let mut words = values(template, set)?;
    words.push(("{{project-name}}".to_owned(), name.to_owned()));
    // A path may hold anything; TOML takes it as a quoted string.
    words.push((SDK.to_owned(), format!("tamis-sdk = {{ path = {} }}", toml::Value::from(sdk))));
    let files = template.files.iter().filter(|(path, _)| *path != ABOUT);
    Ok(files
        .map(|(path, content)| {
            let content = match std::str::from_utf8(content) {
                Ok(text) => replace(text, &words).into_bytes(),
                Err(_) => content.to_vec(),
            };
            Rendered { path: (*path).to_owned(), content }
        })
        .collect())
}

fn values(template: &Template, set: &[String]) -> Result<Vec<(String, String)>> {
    let all = template.about.set.iter();
    let mut words: Vec<_> = all.map(|v| (format!("{{{{{}}}}}", v.key), v.default.clone())).collect();
    for pair in set {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failure::new(Code::Usage, format!("`--set {pair}` wants KEY=VALUE")));
        };
        let Some(known) = template.about.set.iter().position(|v| v.key == key) else {
            let keys: Vec<&str> = template.about.set.iter().map(|v| v.key.as_str()).collect();
            let failure = Failure::new(
                Code::UnknownTemplate,
                format!("template `{}` has no value `{key}`", template.name),
            );
            return Err(match nearest(key, &keys) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None if keys.is_empty() => failure,
                None => failure.hint(format!("it has: {}", keys.join(", "))),
            });
        };
        // The words go into Rust, JSON, YAML and Markdown alike.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if value.is_empty() || !value.chars().all(plain) {
            let text = format!("`--set {key}=…` wants letters, digits, `-`, `_` and `.`");
            return Err(Failure::new(Code::Usage, text));
        }
        value.clone_into(&mut words[known].1);
    }
    Ok(words)
}

/// Replaces all words in one pass: what was put in is not looked at again.
fn replace(text: &str, words: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, (from, to))) = words
        .iter()
        .filter_map(|w| Some((rest.find(&w.0)?, w)))
        .min_by_key(|(at, w)| (*at, usize::MAX - w.0.len()))
    {
        out.push_str(&rest[..at]);
        out.push_str(to);
        rest = &rest[at + from.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(files: &[Rendered], path: &str) -> String {
        let file = files.iter().find(|f| f.path == path).unwrap_or_else(|| panic!("no {path}"));
        String::from_utf8(file.content.clone()).unwrap()
    }

    #[test]
    fn names_values_and_the_sdk_are_put_in() {
        let template = super::super::find("header").unwrap();
        let files =
            render(&template, "my-hello", &["header=x-hello".to_owned()], "vendor/tamis-sdk").unwrap();
        let manifest = file(&files, "Cargo.toml");
        assert!(
            manifest.contains("name = \"my-hello\"") && manifest.contains("path = \"vendor/tamis-sdk\""),
            "{manifest}"
        );
        assert!(file(&files, "config.json").contains(r#""header": "x-hello", "value": "template-value""#));
        assert!(
            files.iter().all(|f| !String::from_utf8_lossy(&f.content).contains("{{project")),
            "{files:?}"
        );
        let workflow = file(&files, ".github/workflows/filter.yml");
        assert!(workflow.contains("${{ vars.TAMIS }}"), "{workflow}");
        assert!(files.iter().all(|f| f.path != ABOUT));
    }

    #[test]
    fn what_was_put_in_is_not_replaced_again() {
        let words = [("a".to_owned(), "b".to_owned()), ("b".to_owned(), "c".to_owned())];
        assert_eq!(replace("ab", &words), "bc");
    }

    #[test]
    fn bad_values_are_refused() {
        let template = super::super::find("header").unwrap();
        for bad in ["x", "colour=red", "header=", "header=a\"b", "header=a b"] {
            assert!(render(&template, "a", &[bad.to_owned()], "s").is_err(), "{bad}");
        }
    }
}
