//! For tests of filters: keeps a JSON Schema file and the examples of a README true.

use schemars::{JsonSchema, schema_for};
use std::path::Path;

/// Compares a schema file with the type it describes. With `TAMIS_UPDATE` in the environment it writes the
/// file instead.
///
/// # Panics
/// When the file is not what the type says, or cannot be read or written: this is a test's assertion.
pub fn schema_is_true<C: JsonSchema>(file: &Path) {
    let made = format!("{:#}\n", schema_for!(C).to_value());
    if std::env::var_os("TAMIS_UPDATE").is_some() {
        std::fs::write(file, &made).expect("the schema file can be written");
    }
    let kept = std::fs::read_to_string(file).expect("the schema file can be read");
    assert!(kept == made, "{} is old: run the test again with TAMIS_UPDATE=1", file.display());
}

/// All blocks of a Markdown text that are marked as `json`.
pub fn json_blocks(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next())
}
