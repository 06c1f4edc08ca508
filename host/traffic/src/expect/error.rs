//! Places in a test file, and errors that name them.

use std::fmt;

/// A place in a test file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value and where it stands, for errors that come later (a file that is not there).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Spot,
}

/// A traffic test that cannot be used: one line with the place, and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestError {
    /// The path that was given to [`TrafficTest::parse`](super::TrafficTest::parse).
    pub file: String,
    /// Where.
    pub at: Spot,
    /// What is wrong.
    pub problem: String,
    /// What would make it work, when that is known.
    pub hint: Option<String>,
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.problem)
    }
}

impl std::error::Error for TestError {}

/// A [`TestError`] that does not know its file yet.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: Spot,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(at: Spot, text: impl Into<String>) -> Self {
        Self { at, text: text.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What an error repeats of a test may hold anything: control characters are escaped.
pub(super) fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}
