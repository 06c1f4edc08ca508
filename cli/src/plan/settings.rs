//! `[package.metadata.tamis]` over `[workspace.metadata.tamis]`.

use crate::args::{Bytes, Policy};
use crate::failure::{Code, Failure, Result};
use clap::ValueEnum;
use serde_json::Value;
use std::path::PathBuf;

/// Settings of a package. A flag or a `TAMIS_*` variable wins over each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `config`: configuration file of the filter, from the folder of the package.
    pub config: Option<PathBuf>,
    /// `target`: wasm target.
    pub target: Option<String>,
    /// `profile`: cargo profile.
    pub profile: Option<String>,
    /// `max-size`: largest module.
    pub max_size: Option<Bytes>,
    /// `policy`: failure policy.
    pub policy: Option<Policy>,
    /// `seed`: of the filters' randomness.
    pub seed: Option<u64>,
    /// `fuel-limit`: for each callback.
    pub fuel_limit: Option<u64>,
    /// `memory-limit`: for each filter.
    pub memory_limit: Option<Bytes>,
    /// `root-id`: Envoy's `root_id`.
    pub root_id: Option<String>,
}

const KEYS: &[&str] =
    &["config", "target", "profile", "max-size", "policy", "seed", "fuel-limit", "memory-limit", "root-id"];

impl Settings {
    /// Merges the two tables; the package's keys win.
    ///
    /// # Errors
    /// An unknown key (with the nearest known one as a hint) or a value of the wrong type.
    pub fn resolve(package: &Value, workspace: &Value) -> Result<Self> {
        let mut settings = Self::default();
        settings.take("workspace.metadata.tamis", &workspace["tamis"])?;
        settings.take("package.metadata.tamis", &package["tamis"])?;
        Ok(settings)
    }

    fn take(&mut self, table: &str, value: &Value) -> Result<()> {
        let entries = match value {
            Value::Null => return Ok(()),
            Value::Object(entries) => entries,
            _ => return Err(wrong(table, "a table")),
        };
        for (key, value) in entries {
            let name = format!("{table}.{key}");
            let text = || value.as_str().map(str::to_owned).ok_or_else(|| wrong(&name, "a string"));
            let number = || value.as_u64().ok_or_else(|| wrong(&name, "a number"));
            let bytes = || match value {
                Value::String(text) => {
                    text.parse::<Bytes>().map_err(|e| wrong(&name, &format!("a size: {e}")))
                }
                _ => number().map(Bytes),
            };
            match key.as_str() {
                "config" => self.config = Some(text()?.into()),
                "target" => self.target = Some(text()?),
                "profile" => self.profile = Some(text()?),
                "max-size" => self.max_size = Some(bytes()?),
                "policy" => {
                    let policy = Policy::from_str(&text()?, false);
                    self.policy = Some(policy.map_err(|_| wrong(&name, "`closed`, `open` or `reload`"))?);
                }
                "seed" => self.seed = Some(number()?),
                "fuel-limit" => self.fuel_limit = Some(number()?),
                "memory-limit" => self.memory_limit = Some(bytes()?),
                "root-id" => self.root_id = Some(text()?),
                unknown => return Err(unknown_key(table, unknown)),
            }
        }
        Ok(())
    }
}

fn wrong(name: &str, want: &str) -> Failure {
    Failure::new(Code::UnknownSetting, format!("`{name}` in Cargo.toml wants {want}"))
}

fn unknown_key(table: &str, key: &str) -> Failure {
    let failure =
        Failure::new(Code::UnknownSetting, format!("unknown key `{key}` in `[{table}]` of Cargo.toml"));
    match nearest(key, KEYS) {
        Some(known) => failure.hint(format!("did you mean `{known}`?")),
        None => failure.hint(format!("known keys: {}", KEYS.join(", "))),
    }
}

/// The known word that is most like this one, if any is.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let score = |k: &&str| strsim::jaro_winkler(word, k);
    known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b))).filter(|k| score(k) > 0.75)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_package_wins_over_the_workspace() {
        let workspace = json!({"tamis": {"target": "wasm32-wasip1", "seed": 7}});
        let package = json!({"tamis": {"seed": 8, "max-size": "1MiB"}, "other": 1});
        let settings = Settings::resolve(&package, &workspace).unwrap();
        assert_eq!(settings.seed, Some(8));
        assert_eq!(settings.target.as_deref(), Some("wasm32-wasip1"));
        assert_eq!(settings.max_size, Some(Bytes(1 << 20)));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_and_a_wrong_type_names_the_key() {
        let failure = Settings::resolve(&json!({"tamis": {"max_size": 1}}), &Value::Null).unwrap_err();
        assert_eq!(failure.hints[0].to_string(), "did you mean `max-size`?");
        let failure = Settings::resolve(&json!({"tamis": {"zzz": 1}}), &Value::Null).unwrap_err();
        assert!(failure.hints[0].to_string().contains("known keys: config"));
        let failure = Settings::resolve(&Value::Null, &json!({"tamis": {"seed": "x"}})).unwrap_err();
        assert!(failure.headline().contains("workspace.metadata.tamis.seed"), "{}", failure.headline());
        assert!(Settings::resolve(&json!({"tamis": 1}), &Value::Null).is_err());
    }
}
