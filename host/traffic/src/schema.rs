//! JSON Schemas of what this crate reads and writes.

/// The schema of one line of our own capture form, as text (draft 2020-12).
pub const CAPTURE: &str = include_str!("../schema/capture.json");

/// The schema of one line of our own capture form.
///
/// # Panics
/// Never: a test parses the text.
pub fn capture() -> serde_json::Value {
    serde_json::from_str(CAPTURE).expect("the schema is JSON")
}
