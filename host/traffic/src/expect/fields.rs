//! A mapping whose keys are known.

use super::error::{Problem, Spot};
use super::node::{Node, Value};
use crate::select::nearest;

/// The entries of a mapping; every key is one that is known.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) at: Spot,
    entries: Vec<(&'a str, &'a Node)>,
}

impl<'a> Fields<'a> {
    /// Refuses what is not a mapping, and keys that are not `known`.
    pub(super) fn of(node: &'a Node, what: &str, known: &[&str]) -> Result<Self, Problem> {
        let Value::Map(map) = &node.value else {
            return Err(node.expected(what));
        };
        let mut entries = Vec::with_capacity(map.len());
        for (key, value) in map {
            let Some(name) = key.text().filter(|name| known.contains(name)) else {
                let name = key.text().unwrap_or("");
                let problem = Problem::new(key.at, format!("unknown key `{name}` in {what}"));
                return Err(match nearest(name, known.iter().copied()) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem.hint(format!("known keys: {}", known.join(", "))),
                });
            };
            entries.push((name, value));
        }
        Ok(Self { at: node.at, entries })
    }

    /// The value of a key; what is empty (`key:`) counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries
            .iter()
            .find(|(name, node)| *name == key && !matches!(node.value, Value::Null))
            .map(|(_, n)| *n)
    }

    pub(super) fn need(&self, key: &str, what: &str) -> Result<&'a Node, Problem> {
        self.get(key).ok_or_else(|| Problem::new(self.at, format!("{what} lacks `{key}`")))
    }

    /// Reads the value of a key, when it is there.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Node) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        self.get(key).map(read).transpose()
    }
}

/// The entries of a mapping with free names.
pub(super) fn named<'a>(node: &'a Node, what: &str) -> Result<Vec<(&'a str, &'a Node)>, Problem> {
    let Value::Map(map) = &node.value else {
        return Err(node.expected(what));
    };
    map.iter().map(|(key, value)| Ok((key.as_text("a name that is text")?, value))).collect()
}

/// One of some words.
pub(super) fn word<T: Copy>(node: &Node, words: &[(&str, T)]) -> Result<T, Problem> {
    let text = node.text().unwrap_or("");
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    let problem = Problem::new(node.at, format!("expected {}", all.join(" or ")));
    Err(match nearest(text, words.iter().map(|(word, _)| *word)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}
