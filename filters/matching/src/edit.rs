//! Header edits of a configuration: remove, set, add.

use crate::config::{ConfigError, Pairs, header_name, header_value};
use serde::Deserialize;

/// What to do to a header map, in this order: `remove`, `set`, `add`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderEditsConfig {
    /// Headers that end up with exactly this value.
    pub set: Pairs,
    /// Values that are appended beside those that are there.
    pub add: Pairs,
    /// Headers that go away.
    pub remove: Vec<String>,
}

/// Checked header edits; names are in lower case.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    /// Name and the only value it will have.
    pub set: Vec<(String, String)>,
    /// Name and a further value.
    pub add: Vec<(String, String)>,
    /// Names that go away.
    pub remove: Vec<String>,
}

impl HeaderEditsConfig {
    /// Checks names and values.
    ///
    /// # Errors
    /// When a name is no header name or a value holds control characters.
    pub fn compile(&self) -> Result<HeaderEdits, ConfigError> {
        let pairs = |pairs: &Pairs| -> Result<Vec<_>, ConfigError> {
            let pair = |(name, value): &(String, String)| {
                let checked = header_value(value).map_err(|e| e.at(name))?;
                Ok((header_name(name)?, checked.to_owned()))
            };
            pairs.0.iter().map(pair).collect()
        };
        Ok(HeaderEdits {
            set: pairs(&self.set).map_err(|e| e.at("set"))?,
            add: pairs(&self.add).map_err(|e| e.at("add"))?,
            remove: self
                .remove
                .iter()
                .map(|n| header_name(n))
                .collect::<Result<_, _>>()
                .map_err(|e| e.at("remove"))?,
        })
    }
}

impl HeaderEdits {
    /// True when nothing is to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
